"""``MissingPatientWarning`` points at the line that calls a loader."""

import warnings

import numpy as np
import pytest
from PIL import Image
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skssl.datasets import (
    MissingPatientWarning,
    load_c19_cohen,
    load_covid_ct,
    load_image_table,
    load_luna_slices,
)

TABLES = {
    load_c19_cohen: (
        "patientid,finding,view,modality,filename\n,COVID-19,PA,X-ray,a.png\n"
    ),
    load_covid_ct: "filename,label,split,patient_id\na.png,COVID,train,\n",
    load_image_table: "filename,label,patient\na.png,1,\n",
    load_luna_slices: "filename,subject_id,slice\na.png,,1\n",
}


def write_set(folder, load):
    """Write one image without a patient; return the argument and options of load."""
    images = folder / "images" if load in (load_c19_cohen, load_covid_ct) else folder
    images.mkdir(exist_ok=True)
    Image.new("L", (8, 8)).save(images / "a.png")
    table = folder / "metadata.csv"
    table.write_text(TABLES[load], encoding="utf-8")
    if load is load_image_table:
        return table, {"group": "patient"}
    return folder, {}


@pytest.mark.parametrize("load", TABLES)
def test_loaders_warn_at_the_call(load, tmp_path):
    root, options = write_set(tmp_path, load)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load(root, **options)
    assert [warning.category for warning in caught] == [MissingPatientWarning]
    assert caught[0].filename == __file__


def test_loaders_warn_at_the_call_through_a_pipeline(tmp_path):
    root, _ = write_set(tmp_path, load_luna_slices)
    pipe = make_pipeline(FunctionTransformer(load_luna_slices), Nothing())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pipe.fit(root)
    assert caught[0].category is MissingPatientWarning
    assert caught[0].filename == __file__


class Nothing(BaseEstimator):
    """The last step of a pipeline, which learns nothing."""

    def fit(self, X, y=None):
        assert np.size(X.data) == 1
        return self
