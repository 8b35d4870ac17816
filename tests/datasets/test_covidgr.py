from pathlib import Path

import pytest

from skssl.datasets import load_covidgr

NAMES = ["N/1.jpg", "N/2.jpg", "P/1.jpg", "P/2.jpg", "P/3.jpg"]


@pytest.mark.parametrize("below", ["", "COVIDGR_1.0"])
def test_classes_are_two_folders(write_images, tmp_path, below):
    folder = write_images(tmp_path / below, *NAMES)
    scans = load_covidgr(tmp_path)
    paths = [Path(path).relative_to(folder).as_posix() for path in scans.data]
    assert paths == NAMES
    assert scans.target.tolist() == [0, 0, 1, 1, 1]
    assert scans.target_names == ["N", "P"]
    assert scans.groups is None
    assert scans.split is None
    assert scans.severity is None
    assert "3 positive by RT-PCR" in scans.DESCR


def test_severity_is_of_positive_images(write_images, tmp_path):
    write_images(tmp_path, *NAMES)
    (tmp_path / "severity.csv").write_text("Name,Severity\n1,NORMAL-PCR+\n3,SEVERE\n")
    scans = load_covidgr(tmp_path)
    # N/1.jpg has the name of P/1.jpg; P/2.jpg has no row
    assert scans.severity.tolist() == ["", "", "NORMAL-PCR+", "", "SEVERE"]


def test_a_wrong_table_is_explained(write_images, tmp_path):
    write_images(tmp_path, *NAMES)
    (tmp_path / "severity.csv").write_text("Name,Grade\n1,MILD\n")
    with pytest.raises(ValueError, match=r"lacks the columns \['Severity'\]"):
        load_covidgr(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["pos/1.jpg"], r"not laid out as COVIDGR 1\.0.*found 'pos/'"),
        (["P/1.jpg", "N/.2.png"], r"N' has no images.*found '\.2\.png'"),
    ],
)
def test_another_layout_is_refused(write_images, tmp_path, names, message):
    write_images(tmp_path, *names)
    with pytest.raises(FileNotFoundError, match=message):
        load_covidgr(tmp_path)
