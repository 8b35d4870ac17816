"""The main job on real images, where they are at hand (see conftest.real_data)."""

import numpy as np
import pytest

from skssl import SelfSupervisedPretrainer
from skssl.data import make_source, survey_images
from skssl.datasets import load_covid_ct, load_luna_slices
from skssl.testing import tiny_cnn


def test_covid_ct_is_one_gray_set_of_mixed_files(real_data):
    scans = load_covid_ct(real_data("covid-ct"))
    source = make_source(scans.data)
    survey = survey_images(source, range(0, len(source), 10))
    assert survey.n_channels == 1  # gray, RGB and RGBA files of gray scans
    assert survey.size is None
    assert survey.value_range is None


def test_pretraining_on_covid_ct_and_luna(real_data):
    scans = load_covid_ct(real_data("covid-ct"), subset=["train", "val"])
    luna = load_luna_slices(real_data("luna-288"))
    mixed = [*scans.data[::15], *luna.data[::50]]
    ssl = SelfSupervisedPretrainer(
        "moco", backbone=tiny_cnn, image_size=32, max_epochs=1, random_state=0
    ).fit(mixed)
    h = ssl.transform(scans.data[:5])
    assert np.isfinite(h).all()
    assert ssl.image_shape_ == (None, None, 1)


@pytest.mark.slow
def test_every_slice_of_covid_ct_is_read(real_data):
    scans = load_covid_ct(real_data("covid-ct"))
    ssl = SelfSupervisedPretrainer(
        backbone=tiny_cnn, image_size=32, max_epochs=1, random_state=0
    )
    assert ssl.fit_transform(scans.data).shape == (746, 16)
