"""Planted leaks are found and listed; a set without any is clean."""

import io

import numpy as np
import pytest
from PIL import Image

from skssl import SelfSupervisedPretrainer
from skssl.datasets import make_scan_phantoms
from skssl.model_selection import audit_split
from skssl.testing import tiny_cnn

PX = 64


@pytest.fixture(scope="module")
def scans():
    return make_scan_phantoms(24, image_size=PX, random_state=5)


def row_of_other_split(scans, row):
    """Return a row of the other split, of another patient."""
    return int(np.flatnonzero(scans.split != scans.split[row])[0])


def rows_of(matches):
    return [match.rows for match in matches]


def pair(*rows):
    return tuple(sorted(rows))


def saved(image, folder, name, **options):
    Image.fromarray(image).save(folder / name, **options)
    return folder / name


def jpeg(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def scaled(image, factor):
    side = round(PX * factor)
    small = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(small)


def brighter(image, by):
    return np.clip(image.astype(int) + by, 0, 255).astype(np.uint8)


NEAR = {
    "JPEG": lambda image: jpeg(image, 60),
    "coarse JPEG": lambda image: jpeg(image, 20),
    "half the size": lambda image: scaled(image, 0.5),
    "larger": lambda image: scaled(image, 1.7),
    "brighter": lambda image: brighter(image, 15),
    "darker": lambda image: (image * 0.85).astype(np.uint8),
    "gamma": lambda image: (255 * (image / 255) ** 1.3).astype(np.uint8),
    "all of it": lambda image: jpeg(brighter(scaled(image, 0.7), 10), 60),
}


@pytest.mark.parametrize("px", [32, 64, 96])
@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_found_where_nothing_is(px, seed):
    scans = make_scan_phantoms(80, image_size=px, random_state=seed)
    audit = audit_split(scans.data, groups=scans.groups, splits=scans.split)
    assert audit.is_clean
    assert audit.patients == audit.copies == audit.near_copies == ()
    assert audit.neighbours is None
    assert audit.n_patients == 80
    assert audit.parts["test"] + audit.parts["train"] == len(scans.data)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_no_shortcut_is_found_in_files_of_one_kind(ending, tmp_path):
    scans = make_scan_phantoms(40, image_size=48, random_state=1)
    files = [
        saved(image, tmp_path, f"{i}.{ending}") for i, image in enumerate(scans.data)
    ]
    audit = audit_split(
        files, scans.target, groups=scans.groups, splits=scans.split, n_resamples=200
    )
    assert audit.is_clean
    assert audit.hints == ()
    assert {"file size", "border", "intensity", "all"} == {p.name for p in audit.probes}


def test_a_patient_in_two_splits_is_listed(scans):
    split = scans.split.copy()
    rows = np.flatnonzero(scans.groups == 3)
    split[rows] = ["test", *["train"] * (len(rows) - 1)]
    audit = audit_split(scans.data, groups=scans.groups, splits=split)
    (divided,) = audit.patients
    assert (divided.patient, divided.rows) == (3, tuple(rows.tolist()))
    assert divided.parts == tuple(split[rows])
    assert not audit.is_clean
    assert f"3: 1 in test, {len(rows) - 1} in train" in str(audit)


def test_an_exact_copy_in_another_format_is_named(scans, tmp_path):
    """Gray PNG, RGB BMP, RGBA PNG, gray TIFF: the pixels are the same."""
    image = scans.data[0]
    b = row_of_other_split(scans, 0)
    X = [saved(image, tmp_path, f"{i}.png") for i, image in enumerate(scans.data)]
    colour = np.stack([image] * 3, axis=2)
    X[b] = saved(colour, tmp_path, "copy.bmp")
    X += [
        saved(np.dstack([colour, np.full((PX, PX), 255, np.uint8)]), tmp_path, "c.png"),
        saved(image.astype(np.uint16), tmp_path, "copy.tif"),
    ]
    n = len(scans.data)
    audit = audit_split(
        X,
        groups=[*scans.groups, 100, scans.groups[0]],
        splits=[*scans.split, "train", "train"],
    )
    (copy,) = audit.copies
    assert copy.rows == pair(0, b, n, n + 1)
    assert copy.names == tuple(str(X[row]) for row in copy.rows)
    assert copy.crosses
    assert copy.of_one_patient is False
    assert audit.near_copies == ()
    assert "copy.bmp" in str(audit)


@pytest.mark.parametrize("name", NEAR)
def test_near_copies_are_named(scans, name):
    X = list(scans.data)
    planted = []
    for a in (0, 20, 41):
        b = row_of_other_split(scans, a)
        b += len(planted)
        X[b] = NEAR[name](scans.data[a])
        planted.append(pair(a, b))
    audit = audit_split(X, groups=scans.groups, splits=scans.split)
    assert sorted(rows_of(audit.near_copies)) == sorted(planted)
    assert all(match.crosses for match in audit.near_copies)
    assert audit.copies == ()


def test_copies_under_two_patients_of_one_split_are_listed(scans):
    """They hint that the patients' numbers are wrong."""
    train = np.flatnonzero(scans.split == "train")
    a, b = train[0], train[-1]
    X = list(scans.data)
    X[b] = X[a]
    c = next(r for r in train if scans.groups[r] not in scans.groups[[a, b]])
    X[c] = jpeg(X[a], 70)
    audit = audit_split(X, groups=scans.groups, splits=scans.split)
    assert rows_of(audit.copies) == [pair(a, b)]
    assert rows_of(audit.near_copies) == [pair(a, b, c)]
    assert not audit.copies[0].crosses
    # Without patients nobody knows that they are two.
    assert audit_split(X, splits=scans.split).is_clean
    # Without splits as well, any copy would leak in some split.
    assert rows_of(audit_split(X).copies) == [pair(a, b)]


def test_copies_of_one_patient_are_distinguished_from_those_of_two(scans):
    a, b = np.flatnonzero(scans.groups == 2)[:2]
    X = list(scans.data)
    X[b] = X[a]
    assert audit_split(X, groups=scans.groups, splits=scans.split).is_clean
    split = scans.split.astype(object)
    split[a] = "elsewhere"
    audit = audit_split(X, groups=scans.groups, splits=split)
    (copy,) = audit.copies
    assert copy.of_one_patient
    assert copy.crosses
    assert audit.patients[0].patient == 2


def test_a_copy_with_another_label_is_named_even_of_one_patient(scans):
    a, b = np.flatnonzero(scans.groups == 2)[:2]
    X, y = list(scans.data), scans.target.copy()
    X[b], y[b] = X[a], 1 - y[a]
    audit = audit_split(X, y, groups=scans.groups, splits=scans.split, n_resamples=20)
    assert audit.copies[0].labels_differ
    assert "LABELS DIFFER" in str(audit)
    y[b] = -1  # no label is none that differs
    audit = audit_split(X, y, groups=scans.groups, splits=scans.split, n_resamples=20)
    assert audit.copies == ()


def test_images_that_show_nothing_are_listed_and_match_nothing(scans, rng):
    a, b = 1, row_of_other_split(scans, 1)
    X = [image.astype(float) for image in scans.data]
    X[a] = np.zeros((PX, PX))
    X[b] = np.full((PX, PX), 9.0)
    X[b + 1] = np.zeros((PX, PX))
    X[b + 2] = np.rint(rng.normal(100, 1, (PX, PX)))  # noise of a step
    audit = audit_split(X, groups=scans.groups, splits=scans.split)
    assert audit.flat == pair(a, b, b + 1, b + 2)
    assert audit.is_clean
    assert "Images without content: rows" in str(audit)


def test_masks_of_two_values_are_compared(rng):
    X = np.kron(rng.random((20, 7, 7)) < 0.4, np.ones((4, 4))).astype(np.uint8)
    X[11] = X[0]
    for images in (X, X.astype(float), X * 255):
        audit = audit_split(images, splits=["a", "b"] * 10)
        assert audit.flat == ()
        assert rows_of(audit.copies) == [(0, 11)]


def test_constant_images_of_any_value_are_flat():
    X = np.full((4, 48, 48), 0.1)
    X[2:] = 1 / 3
    audit = audit_split(X, groups=[1, 2, 3, 4])
    assert audit.flat == (0, 1, 2, 3)
    assert audit.is_clean


def test_images_of_several_kinds_stand_side_by_side(scans):
    X = list(scans.data)
    X[0] = Image.fromarray(X[0])
    for images in (X, X[::-1]):
        audit = audit_split(images, np.arange(len(X)) % 2, n_resamples=20)
        assert set(audit.images["format"]) == {"None", "array"}


def test_many_copies_are_one_finding(scans):
    X = np.repeat(scans.data[:1], 60, axis=0)
    X[np.arange(60), 0, np.arange(60) % 40] ^= 1 + np.arange(60, dtype=np.uint8) // 40
    (match,) = audit_split(X, groups=np.arange(60)).near_copies
    assert match.rows == tuple(range(60))


class Encoder:
    """Give the features that the test wants, whatever the images."""

    def __init__(self, features):
        self.features = features

    def transform(self, X):
        assert len(X) == len(self.features)
        return self.features


def test_neighbours_of_an_encoder_are_named(scans, rng):
    n = len(scans.data)
    h = rng.normal(size=(n, 8))
    a, b = 0, row_of_other_split(scans, 0)
    h[b] = h[a] + 1e-4
    same = np.flatnonzero(scans.groups == 4)[:2]
    h[same[1]] = h[same[0]]
    audit = audit_split(
        scans.data, groups=scans.groups, splits=scans.split, encoder=Encoder(h + 5)
    )
    (match,) = audit.neighbours
    assert match.rows == pair(a, b)
    assert match.similarity > 0.999
    assert 0 < audit.neighbour_ratio < 1
    assert not audit.is_clean
    # Copies of pixels are not reported as neighbours again.
    X = scans.data.copy()
    X[b] = X[a]
    audit = audit_split(X, groups=scans.groups, splits=scans.split, encoder=Encoder(h))
    assert rows_of(audit.copies) == [pair(a, b)]
    assert audit.neighbours == ()


def test_neighbours_by_a_pretrainer(scans):
    ssl = SelfSupervisedPretrainer(backbone=tiny_cnn, max_epochs=0, random_state=0)
    ssl.fit(scans.data)
    by_chance = audit_split(scans.data, groups=scans.groups, encoder=ssl)
    assert by_chance.neighbours == ()
    assert by_chance.is_clean
    X = scans.data.copy()
    a, b = 0, row_of_other_split(scans, 0)
    # Moved by a stride of the network, whose means over the image hardly change.
    X[b] = np.roll(X[a], 4, axis=0)
    audit = audit_split(X, groups=scans.groups, splits=scans.split, encoder=ssl)
    assert rows_of(audit.neighbours) == [pair(a, b)]
    assert audit.near_copies == ()
