"""Planted shortcuts in files are found, and their areas are correct."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from skssl.datasets import load_covid_ct, make_scan_phantoms
from skssl.model_selection import audit_split
from skssl.model_selection._audit.shortcuts import mean_area, probe_columns


@pytest.fixture(scope="module")
def scans():
    return make_scan_phantoms(30, image_size=40, random_state=2)


def files(scans, folder, save):
    """Save each image as ``save(image, label, path without ending)`` does."""
    return [
        save(Image.fromarray(image), label, folder / f"{i:03}")
        for i, (image, label) in enumerate(
            zip(scans.data, scans.target.tolist(), strict=True)
        )
    ]


def written(image, path, **options):
    image.save(path, **options)
    return path


def by_format(image, label, path):
    return written(image, path.with_suffix(".png" if label else ".bmp"))


def by_content_under_one_name(image, label, path):
    return written(image, path.with_suffix(".png"), format="PNG" if label else "JPEG")


def by_mode(image, label, path):
    return written(image.convert("RGB" if label else "L"), path.with_suffix(".png"))


def by_compression(image, label, path):
    return written(image, path.with_suffix(".png"), compress_level=9 * label)


def by_pixels(image, label, path):
    side = 40 if label else 48
    return written(image.resize((side, side)), path.with_suffix(".png"))


@pytest.mark.parametrize(
    ("save", "name"),
    [
        (by_format, "format"),
        (by_content_under_one_name, "format"),
        (by_mode, "format"),
        (by_compression, "file size"),
        (by_pixels, "image size"),
    ],
)
def test_planted_shortcuts_are_found(scans, tmp_path, save, name):
    audit = audit_split(
        files(scans, tmp_path, save), scans.target, groups=scans.groups, n_resamples=50
    )
    found = {probe.name: probe for probe in audit.shortcuts}
    assert name in found
    assert found[name].area.estimate > 0.99
    assert not audit.is_clean
    assert "shortcut" in str(audit)


def test_a_shortcut_of_some_images_is_found(scans, tmp_path, rng):
    """Two thirds of the diseased patients come from another source."""
    source = rng.random(30) < 2 / 3
    paths = [
        written(
            Image.fromarray(image),
            tmp_path / f"{i}.{'bmp' if label and odd else 'png'}",
        )
        for i, (image, label, odd) in enumerate(
            zip(scans.data, scans.target, source[scans.groups], strict=True)
        )
    ]
    audit = audit_split(paths, scans.target, groups=scans.groups, n_resamples=200)
    (probe,) = (p for p in audit.shortcuts if p.name == "format")
    assert 0.5 < probe.area.low < probe.area.estimate < 0.95


def test_gray_values_and_borders_are_hints(scans):
    bright = scans.data.astype(int) + 60 * scans.target[:, None, None]
    audit = audit_split(bright, scans.target, groups=scans.groups, n_resamples=50)
    assert {"intensity", "border"} == {probe.name for probe in audit.hints}
    assert audit.is_clean
    assert "source or disease" in str(audit)
    framed = scans.data.copy()
    framed[scans.target == 1, :1] = 255
    audit = audit_split(framed, scans.target, groups=scans.groups, n_resamples=50)
    assert "border" in {probe.name for probe in audit.hints}


def test_several_classes(scans, tmp_path):
    """Two of three classes share a format: by hand 0.75, 0.75 and 1 against the rest.

    All images of a class get one score. A pair of classes 0 and 1 is half right, and
    half of the rest of each is the other: (0.5 + 1) / 2.
    """
    y = scans.groups % 3
    counts = [np.sum(y == k) for k in range(3)]
    paths = [
        written(Image.fromarray(image), tmp_path / f"{i}.{'bmp' if k == 2 else 'png'}")
        for i, (image, k) in enumerate(zip(scans.data, y, strict=True))
    ]
    names = np.array(["a", "b", "c"])[y]
    audit = audit_split(paths, names, groups=scans.groups, n_resamples=100)
    (probe,) = (p for p in audit.probes if p.name == "format")
    assert list(probe.by_class) == ["a", "b", "c"]
    assert probe.by_class["c"] == 1
    for k, label in ((0, "a"), (1, "b")):
        other = counts[1 - k]
        by_hand = (0.5 * other + counts[2]) / (other + counts[2])
        assert probe.by_class[label] == pytest.approx(by_hand, abs=0.1)
    assert probe.area.estimate == pytest.approx(np.mean([*probe.by_class.values()]))
    assert probe.tells


def test_rows_without_a_label_are_left_out(scans):
    y = scans.target.copy()
    bright = scans.data + np.uint8(5) * y[:, None, None].astype(np.uint8)
    y[::4] = -1
    audit = audit_split(bright, y, groups=scans.groups, n_resamples=20)
    alone = audit_split(
        bright[y != -1], y[y != -1], groups=scans.groups[y != -1], n_resamples=20
    )
    assert audit.probes == alone.probes


def test_the_mean_area_is_that_of_scikit_learn_weighed_by_pairs(rng):
    y = rng.integers(0, 3, 60)
    fold = rng.integers(0, 2, 60)
    scores = rng.dirichlet([1, 1, 1], 60).round(1)
    areas = []
    for k in range(3):
        of_folds, n_pairs = [], []
        for inside in (fold == 0, fold == 1):
            of_folds.append(roc_auc_score(y[inside] == k, scores[inside, k]))
            n_pairs.append(np.sum(y[inside] == k) * np.sum(y[inside] != k))
        areas.append(np.average(of_folds, weights=n_pairs))
    area = mean_area(y, np.column_stack([fold, scores]))
    assert area == pytest.approx(np.mean(areas))
    assert np.isnan(mean_area(np.zeros(4, int), np.eye(4)[:, :3]))


def probed(columns, y, groups, **options):
    settings = {"confidence_level": 0.95, "n_resamples": 20, "seeds": (0, 0)}
    return probe_columns(columns, y, groups, n_jobs=None, **{**settings, **options})


def test_bounds_of_a_probe_without_a_fault():
    """One probe of ten patients a class: 0.025^(1/10) = 0.6915."""
    groups = np.repeat(np.arange(20), 3)
    y = groups % 2
    (probe,) = probed({"height": 100 + 9 * y}, y, groups)
    assert probe.area.estimate == 1
    assert (probe.area.low, probe.area.high) == (pytest.approx(0.6915, abs=1e-4), 1)
    assert probe.name == "image size"


def test_a_fault_makes_a_probe_no_surer():
    """One image of three is of the other kind; nothing is surer than no fault."""
    groups = np.repeat(np.arange(10), 3)
    y = groups % 2
    height = 100 + 9 * y
    height[0] = 109
    (probe,) = probed({"height": height}, y, groups, n_resamples=200)
    assert 0.9 < probe.area.estimate < 1
    assert probe.area.low == pytest.approx(0.025 ** (1 / 5))
    assert not probe.tells  # 0.478, of five patients
    assert not probe.can_tell


def test_few_patients_are_reported(scans):
    rows = np.flatnonzero(np.isin(scans.groups, np.unique(scans.groups)[:4]))
    y = np.unique(scans.groups[rows], return_inverse=True)[1] % 2
    audit = audit_split(scans.data[rows], y, groups=scans.groups[rows], n_resamples=20)
    assert "predicted by file metadata alone: too few patients to decide" in str(audit)


def test_a_small_class_can_be_decided():
    """Leaves of five rows could not separate six images of a class."""
    y = np.arange(12) % 2
    (probe,) = probed({"height": 100 + 9 * y}, y, None)
    assert probe.area.estimate == 1


def test_all_probes_share_the_level(rng):
    groups = np.arange(60)
    y = groups % 2
    columns = {"bytes": rng.normal(size=60), "height": rng.normal(size=60)}
    probes = probed(columns, y, groups, confidence_level=0.94)
    assert [probe.name for probe in probes] == ["file size", "image size", "file"]
    assert [p.area.confidence_level for p in probes] == [pytest.approx(0.98)] * 3


def test_what_is_read_of_an_image_by_hand():
    image = np.full((10, 20), 100, np.uint8)
    image[0] = 0  # a dark line of 20 pixels, all of them border
    image[5, 5] = 200
    audit = audit_split([image, image.T])
    columns = {name: column[0] for name, column in audit.images.items()}
    assert (columns["height"], columns["width"], columns["aspect"]) == (10, 20, 2)
    assert columns["mean"] == pytest.approx((179 * 100 + 200) / 200)
    assert (columns["minimum"], columns["maximum"]) == (0, 200)
    assert (columns["dark"], columns["bright"]) == (0.1, 1 / 200)
    n_border = 2 * 20 + 2 * 8  # a pixel wide
    assert columns["border_mean"] == pytest.approx((n_border - 20) * 100 / n_border)
    assert columns["border_dark"] == pytest.approx(20 / n_border)
    assert columns["mode"] == "uint8 × 1"
    assert audit.images["aspect"][1] == 0.5


def test_files_of_covid_ct_predict_the_class(real_data):
    """The classes come in different formats and sizes, and two images in both."""
    scans = load_covid_ct(real_data("covid-ct"))
    audit = audit_split(
        scans.data,
        scans.target,
        groups=scans.groups,
        splits=scans.split,
        n_resamples=200,
    )
    assert audit.patients == ()
    assert audit.copies == ()
    areas = {probe.name: probe.area for probe in audit.shortcuts}
    assert set(areas) == {"format", "file size", "image size", "file"}
    assert areas["format"].low > 0.8
    assert areas["file"].low > 0.9
    named = {
        frozenset(Path(name).name for name in match.names): match
        for match in audit.near_copies
    }
    for pair in (
        ("kjr-21-e24-p5-29.png", "71%0.jpg"),
        (
            "kjr-21-e24-p5-31.png",
            "71%1.jpg",
        ),
    ):
        match = named.pop(frozenset(pair))
        assert match.labels_differ
        assert match.crosses
        assert sorted(match.parts) == ["test", "train"]
    assert named == {}
