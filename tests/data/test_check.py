"""check_images finds every bad and every odd image in one go."""

import numpy as np
import pytest
from PIL import Image

from skssl.data import check_images


@pytest.fixture
def folder(tmp_path, rng):
    for i in range(8):
        pixels = rng.integers(0, 1000, (12, 12), dtype=np.uint16)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    return tmp_path


def paths(folder):
    return sorted(folder.glob("*.png"))


def test_a_good_set(folder):
    report = check_images(paths(folder), verbose=0)
    assert str(report) == "8 images: 0 unreadable, 0 suspicious"
    assert report.readable.tolist() == report.fine.tolist() == list(range(8))
    assert report.problems == []


def test_every_unreadable_file_is_listed(folder):
    files = paths(folder)
    files[1].write_bytes(files[1].read_bytes()[:60])
    files[3].write_text("a web page")
    files[5].unlink()
    report = check_images(files, verbose=0)
    assert [(p.row, p.kind) for p in report.problems] == [
        (1, "unreadable"),
        (3, "unreadable"),
        (5, "unreadable"),
    ]
    assert report.readable.tolist() == [0, 2, 4, 6, 7]
    text = str(report).splitlines()
    assert text[0] == "8 images: 3 unreadable, 0 suspicious"
    expected = f"3  unreadable  {files[3]}: is not an image in a supported format"
    assert text[2].strip() == expected
    frame = report.to_frame()
    assert list(frame.columns) == ["row", "name", "kind", "message"]


def test_what_looks_wrong(folder, rng):
    files = paths(folder)
    Image.fromarray(np.full((12, 12), 7, np.uint16)).save(files[0])
    outlier = np.asarray(Image.open(files[1])).copy()
    outlier[0, 0] = 60_000
    Image.fromarray(outlier).save(files[1])
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(files[2]).save(files[2], exif=exif)
    gray = rng.integers(0, 256, (12, 12), dtype=np.uint8)
    Image.fromarray(gray).save(files[3])
    Image.fromarray(gray).convert("RGB").save(files[4])
    Image.fromarray(rng.integers(0, 999, (9, 12), dtype=np.uint16)).save(files[5])
    report = check_images(files, verbose=0)
    found = {(p.row, p.kind) for p in report.problems}
    assert found == {
        (0, "constant"),
        (1, "value range"),
        (2, "turned"),
        (3, "bit depth"),
        (4, "bit depth"),
        (4, "channels"),
        (5, "size"),
    }
    assert report.fine.tolist() == [6, 7]
    assert len(report.readable) == 8


def test_one_of_several_frames_and_nan(tmp_path):
    pages = [Image.new("L", (4, 4), gray) for gray in (0, 50)]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    report = check_images([tmp_path / "a.tiff"], verbose=0)
    assert "2 pages" in report.problems[0].message
    X = np.zeros((3, 4, 4))
    X[2, 0, 0] = np.nan
    report = check_images(X, verbose=0)
    assert "NaN" in report.problems[-1].message
    assert report.readable.tolist() == [0, 1]


def test_two_outliers_do_not_hide_each_other(rng):
    X = rng.integers(0, 1000, (50, 8, 8), dtype=np.uint16)
    X[[7, 30], 0, 0] = 65_535
    report = check_images(X, verbose=0)
    assert [(p.row, p.kind) for p in report.problems] == [
        (7, "value range"),
        (30, "value range"),
    ]


def test_what_fit_refuses_is_refused(tmp_path):
    with pytest.raises(TypeError, match="iterator"):
        check_images(tmp_path.glob("*.png"))
    with pytest.raises(TypeError, match="pair"):
        check_images([(tmp_path / "a.png", 0)])
    rows = np.random.default_rng(0).random((6, 64))
    assert len(check_images(rows, verbose=0).fine) == 6


def test_long_reports_are_cut(rng):
    X = np.zeros((30, 4, 4), np.uint8)
    text = str(check_images(X, verbose=0)).splitlines()
    assert len(text) == 22
    assert text[-1] == "... and 10 more in .problems"


def test_progress_is_shown(capsys, folder):
    check_images(paths(folder))
    assert "check_images" in capsys.readouterr().err
