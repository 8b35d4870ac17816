from pathlib import Path

import pytest

from skssl.datasets import load_covid_radiography

CLASSES = ["COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"]


def write_set(write_images, root, inner):
    for name in CLASSES:
        write_images(root, f"{name}/{inner}{name}-2.png", f"{name}/{inner}{name}-1.png")
        write_images(root, f"{name}/masks/{name}-1.png")
        (root / f"{name}.metadata.xlsx").touch()
    return root


@pytest.mark.parametrize("inner", ["images/", ""], ids=["newer", "older"])
@pytest.mark.parametrize("below", ["", "COVID-19_Radiography_Dataset"])
def test_both_layouts_give_the_same_set(write_images, tmp_path, inner, below):
    write_set(write_images, tmp_path / below, inner)
    scans = load_covid_radiography(tmp_path)
    assert [Path(path).stem for path in scans.data] == [
        f"{name}-{k}" for name in CLASSES for k in (1, 2)
    ]
    assert not any("masks" in path for path in scans.data)
    assert scans.target.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert scans.target_names == CLASSES
    assert scans.groups is None
    assert scans.split is None
    assert "8 chest X-rays: 2 COVID, 2 Lung_Opacity" in scans.DESCR


def test_classes_keep_their_order(write_images, tmp_path):
    root = write_set(write_images, tmp_path, "images/")
    scans = load_covid_radiography(root, classes=["Viral Pneumonia", "COVID"])
    assert scans.target_names == ["COVID", "Viral Pneumonia"]
    assert scans.target.tolist() == [0, 0, 1, 1]
    assert "Viral Pneumonia-1" in scans.data[2]


def test_classes_that_are_absent_are_not_named(write_images, tmp_path):
    write_images(tmp_path, "Normal/1.png", "COVID/2.png", "scripts/3.png")
    scans = load_covid_radiography(tmp_path)
    assert scans.target_names == ["COVID", "Normal"]
    assert scans.target.tolist() == [0, 1]


@pytest.mark.parametrize("below", ["", "COVID-19 Radiography Database"])
def test_names_of_older_releases(write_images, tmp_path, below):
    images = ("COVID-19/1.png", "NORMAL/2.png", "Viral Pneumonia/3.png")
    write_images(tmp_path / below, *images)
    scans = load_covid_radiography(tmp_path)
    assert scans.target_names == ["COVID", "Normal", "Viral Pneumonia"]
    assert [Path(path).stem for path in scans.data] == ["1", "2", "3"]
    (only,) = load_covid_radiography(tmp_path, classes=["Normal"]).data
    assert Path(only).stem == "2"


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        ("COVID", TypeError, "sequence such as .* got 'COVID'"),
        ([], ValueError, r"sequence such as .* got \[\]"),
        (["covid"], ValueError, "classes='covid' is unknown. Did you mean 'COVID'"),
        (["Normal"], FileNotFoundError, "Normal' has no images.*found no such folder"),
        (["Viral Pneumonia"], FileNotFoundError, r"no images.*\.png.*found nothing"),
    ],
)
def test_wrong_classes_are_explained(write_images, tmp_path, classes, error, message):
    write_images(tmp_path, "COVID/1.png")
    (tmp_path / "Viral Pneumonia").mkdir()
    with pytest.raises(error, match=message):
        load_covid_radiography(tmp_path, classes=classes)


def test_another_layout_is_refused(write_images, tmp_path):
    write_images(tmp_path, "covid19/1.png")
    with pytest.raises(
        FileNotFoundError,
        match=r"laid out as COVID-19 Radiography\. .*Lung_Opacity.*found 'covid19/'",
    ):
        load_covid_radiography(tmp_path)
