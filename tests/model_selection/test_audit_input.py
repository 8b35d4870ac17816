"""The inputs of an audit, its errors, and its report."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.model_selection import (
    KFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
)

from skssl.datasets import make_scan_phantoms
from skssl.model_selection import audit_split

PX = 64


@pytest.fixture(scope="module")
def scans():
    return make_scan_phantoms(24, image_size=PX, random_state=5)


def row_of_other_split(scans, row):
    """Return a row of the other split, of another patient."""
    return int(np.flatnonzero(scans.split != scans.split[row])[0])


class Encoder:
    """Give the features that the test wants, whatever the images."""

    def __init__(self, features):
        self.features = features

    def transform(self, X):
        assert len(X) == len(self.features)
        return self.features


def test_images_of_all_kinds(scans):
    a, b = 0, row_of_other_split(scans, 0)
    data = scans.data.copy()
    data[b] = data[a]
    of_kind = [
        data,
        list(data),
        [Image.fromarray(image) for image in data],
        torch.from_numpy(data)[:, None].repeat(1, 3, 1, 1),
        data.astype(np.float32) * 7.3 - 1000,
        data.reshape(len(data), -1),
    ]
    for X in of_kind:
        audit = audit_split(X, groups=scans.groups, splits=scans.split)
        assert [copy.rows for copy in audit.copies] == [(a, b)]
    flat = data[:, :32].reshape(len(data), -1)
    audit = audit_split(
        flat, groups=scans.groups, splits=scans.split, image_shape=(32, PX)
    )
    assert [copy.rows for copy in audit.copies] == [(a, b)]
    assert audit.images["aspect"].tolist() == [2.0] * len(data)


def test_splitters_and_pairs(scans):
    y, groups = scans.target, scans.groups
    X = scans.data.copy()
    n = len(X)
    clean = audit_split(
        X, groups=groups, splits=StratifiedGroupKFold(3).split(X, y, groups)
    )
    assert clean.is_clean
    assert set(clean.parts) == {"fold 0", "fold 1", "fold 2"}
    by_splitter = audit_split(
        X, y, groups=groups, splits=StratifiedGroupKFold(3), n_resamples=20
    )
    assert by_splitter.parts == clean.parts
    folds = audit_split(X, groups=groups, splits=KFold(4)).patients
    fold = np.arange(n) * 0
    for i, (_, test) in enumerate(KFold(4).split(X)):
        fold[test] = i
    divided = {p for p in groups if len(set(fold[groups == p])) > 1}
    assert {found.patient for found in folds} == divided
    X[n - 1] = X[0]
    train, test = np.arange(n - 5), np.arange(n - 5, n)
    audit = audit_split(X, groups=np.arange(n), splits=[(train, test)])
    assert audit.parts == {"train": n - 5, "test": 5}
    assert audit.copies[0].parts == ("train", "test")
    # Of several partitions, one that separates the pair is named.
    partitions = [([1, 2], [3, 4]), ([1, 2], [n - 1, 0]), ([n - 1, 5], [0])]
    audit = audit_split(X, splits=partitions)
    assert audit.copies[0].parts == ("test of split 2", "train of split 2")
    assert audit.parts == {}
    several = ShuffleSplit(5, test_size=0.3, random_state=0)
    assert len(audit_split(X, groups=groups, splits=several).patients) > 10


def test_rows_in_no_split_leak_nothing(scans):
    X = scans.data.copy()
    X[-1] = X[0]
    split = [([0, 1, 2], [30, 31])]
    assert audit_split(X, splits=split).is_clean
    audit = audit_split(X, groups=np.arange(len(X)), splits=split)
    assert audit.copies[0].parts == ("train", "in no split")
    assert not audit.copies[0].crosses


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"y": [0, 1]}, "y has shape"),
        ({"y": np.zeros(71)}, "y has one class"),
        ({"y": [*[0] * 70, 1]}, "y has 1 patient of class 1"),
        ({"groups": [1, 2]}, "groups has shape"),
        ({"groups": [*range(70), np.nan]}, "groups holds missing"),
        ({"splits": ["train", "test"]}, "splits gives the split of 2 images"),
        ({"splits": ["train"] * 71}, "one split, 'train'"),
        ({"splits": [*["train"] * 70, None]}, r"splits\[70\] is missing"),
        ({"splits": "train"}, "splits must be a splitter"),
        ({"splits": 5}, "splits must be a splitter"),
        ({"splits": []}, "splits is empty"),
        (
            {"splits": [([0, 1], [1, 2])]},
            r"splits\[0\] has 1 rows in both",
        ),
        ({"splits": [([0, 1], [71])]}, "span 71 to 71, but X has 71"),
        ({"splits": [([0, 1], [-1])]}, "span -1 to -1"),
        ({"splits": [([0, 1], [0.5])]}, "row numbers, got float64"),
        ({"splits": [([0, 1], [])]}, "row numbers"),
        ({"splits": [[0, 1, 2]]}, r"splits\[0\] is no pair"),
        ({"splits": StratifiedKFold(3)}, "StratifiedKFold.* cannot split"),
        ({"confidence_level": 1}, "confidence_level"),
        ({"encoder": 3}, "encoder must have a method transform"),
        ({"encoder": Encoder(np.zeros((71, 4)))}, "the same features"),
        ({"encoder": Encoder(np.arange(71))}, r"shape \(71,\)"),
        ({"encoder": Encoder(np.full((71, 4), np.nan))}, "NaN or infinity"),
        ({"encoder": Encoder(np.eye(4)[np.arange(71) % 4])}, "not informative"),
        ({"image_shape": (3, 3), "flatten": True}, "image_shape"),
    ],
)
def test_bad_input_is_named(scans, options, message):
    X = scans.data[:71]
    if options.pop("flatten", False):
        X = X.reshape(71, -1)
    with pytest.raises(ValueError, match=message):
        audit_split(X, **{"groups": scans.groups[:71]} | options)


def test_bad_images_are_named(scans):
    X = [image.astype(float) for image in scans.data[:4]]
    X[2][5, 5] = np.nan
    with pytest.raises(ValueError, match=r"X\[2\]: it contains NaN"):
        audit_split(X)
    with pytest.raises(ValueError, match="expected images"):
        audit_split(np.array([["a", "b"], ["c", "d"]]))
    with pytest.raises(ValueError, match=r"needs 7 patients or more .* got 4"):
        audit_split(scans.data[:4], encoder=Encoder(np.eye(4)))


def test_the_report(scans):
    X, split = scans.data.copy(), scans.split.astype(object)
    b = row_of_other_split(scans, 0)
    X[b] = X[0] // 2
    split[np.flatnonzero(scans.groups == 7)[0]] = "<other>"
    audit = audit_split(
        X, scans.target, groups=scans.groups, splits=split, n_resamples=50
    )
    text = str(audit)
    assert text.splitlines()[0] == (
        f"Leakage audit of {len(X)} images of 24 patients (<other> 1, "
        f"test {audit.parts['test']}, train {audit.parts['train']})"
    )
    assert "Patients in more than one split: 1" in text
    assert "Near copies: 1" in text
    assert "Neighbours in the encoder's feature space: not checked" in text
    page = audit._repr_html_()
    assert "&lt;other&gt;" in page
    assert "<other>" not in page
    frame = audit.to_frame()
    assert set(frame["check"]) == {"patient", "near copy"}
    assert sorted(frame[frame["check"] == "near copy"]["row"]) == sorted((0, b))
    assert list(audit.to_frame("probes")["name"]) == [p.name for p in audit.probes]
    assert len(audit.to_frame("images")) == len(X)
    with pytest.raises(ValueError, match="what must be"):
        audit.to_frame("all")


def test_long_lists_are_cut_in_the_text(scans):
    split = np.where(np.arange(len(scans.data)) % 2 == 0, "a", "b")
    audit = audit_split(scans.data, groups=scans.groups, splits=split)
    assert len(audit.patients) > 12
    assert f"and {len(audit.patients) - 10} more" in str(audit)


def test_the_same_seed_gives_the_same_audit(scans):
    def run(seed):
        return audit_split(
            scans.data,
            scans.target,
            groups=scans.groups,
            n_resamples=50,
            random_state=seed,
        ).probes

    assert run(0) == run(0)
    assert run(0) != run(1)
