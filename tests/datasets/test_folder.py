from pathlib import Path

import numpy as np
import pytest

from skssl.datasets import load_image_folder


def relative(bunch, root):
    return [Path(path).relative_to(root).as_posix() for path in bunch.data]


def test_classes_are_sub_folders_in_order(write_images, tmp_path):
    names = ["well/b.png", "ill/z.JPG", "ill/a.png", "well/deep/a.tif"]
    scans = load_image_folder(write_images(tmp_path, *names))
    assert relative(scans, tmp_path) == [
        "ill/a.png",
        "ill/z.JPG",
        "well/b.png",
        "well/deep/a.tif",
    ]
    assert scans.data.dtype == object
    assert all(isinstance(path, str) for path in scans.data)
    np.testing.assert_array_equal(scans.target, [0, 0, 1, 1])
    assert scans.target.dtype == np.int64
    assert scans.target_names == ["ill", "well"]
    assert scans.groups is None
    assert scans.split is None
    assert "4 image files" in scans.DESCR


def test_hidden_files_and_other_files_are_passed_over(write_images, tmp_path):
    write_images(tmp_path, "a/1.png", "a/._1.png", ".cache/2.png", "__MACOSX/3.png")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    scans = load_image_folder(tmp_path)
    assert relative(scans, tmp_path) == ["a/1.png"]
    assert scans.target_names == ["a"]


def test_masks_beside_images_stay_out(write_images, tmp_path):
    write_images(tmp_path, "COVID/images/1.png", "COVID/masks/1.png", "Normal/2.png")
    scans = load_image_folder(tmp_path)
    assert relative(scans, tmp_path) == ["COVID/images/1.png", "Normal/2.png"]


def test_top_level_splits_are_read(write_images, tmp_path):
    names = ["train/a/1.png", "train/b/2.png", "valid/b/3.png", "test/a/4.png"]
    scans = load_image_folder(write_images(tmp_path, *names))
    rows = zip(relative(scans, tmp_path), scans.target, scans.split, strict=True)
    assert sorted(rows) == [
        ("test/a/4.png", 0, "test"),
        ("train/a/1.png", 0, "train"),
        ("train/b/2.png", 1, "train"),
        ("valid/b/3.png", 1, "val"),
    ]


@pytest.mark.parametrize("ending", ["png", ".png", ".PNG"])
def test_extensions_select_files(write_images, tmp_path, ending):
    write_images(tmp_path, "a/1.png", "a/2.jpg")
    scans = load_image_folder(tmp_path, extensions=[ending])
    assert relative(scans, tmp_path) == ["a/1.png"]


@pytest.mark.parametrize(
    "groups", [r"(person\d+)_", lambda path: Path(path).stem.split("_")[0]]
)
def test_groups_come_from_the_name(write_images, tmp_path, groups):
    write_images(tmp_path, "a/person1_x.png", "a/person1_y.png", "b/person2_x.png")
    scans = load_image_folder(tmp_path, groups=groups)
    assert scans.groups.tolist() == ["person1", "person1", "person2"]


def test_groups_see_the_path_below_root_only(write_images, tmp_path):
    root = write_images(tmp_path / "p9", "a/p1.png")
    assert load_image_folder(root, groups=r"(p\d)").groups.tolist() == ["p1"]


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        (
            "patient",
            ValueError,
            "exactly one capturing group in parentheses, got 'patient'",
        ),
        (r"(\d+)-(\d+)", ValueError, "which has 2"),
        (r"(p\d+)", ValueError, "does not match 'a/1.png'"),
        (7, TypeError, "groups must be None, a callable .* got int"),
    ],
)
def test_wrong_groups_are_explained(write_images, tmp_path, groups, error, message):
    write_images(tmp_path, "a/1.png")
    with pytest.raises(error, match=message):
        load_image_folder(tmp_path, groups=groups)


def test_missing_root_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent' does not exist\. Expected"):
        load_image_folder(tmp_path / "absent")


def test_a_file_is_no_root(write_images, tmp_path):
    write_images(tmp_path, "1.png")
    with pytest.raises(FileNotFoundError, match=r"1\.png' is not a folder"):
        load_image_folder(tmp_path / "1.png")


def test_no_class_folders_says_what_was_found(write_images, tmp_path):
    write_images(tmp_path, "1.png", "2.png")
    message = (
        "no class folders. Expected one sub-folder per class.*found '1.png', '2.png'"
    )
    with pytest.raises(FileNotFoundError, match=message):
        load_image_folder(tmp_path)


def test_a_class_without_images_is_named(write_images, tmp_path):
    write_images(tmp_path, "a/1.png")
    (tmp_path / "b").mkdir()
    with pytest.raises(FileNotFoundError, match=r"b' has no images.*\.png.*nothing"):
        load_image_folder(tmp_path)


def test_split_and_class_folders_do_not_mix(write_images, tmp_path):
    write_images(tmp_path, "train/a/1.png", "healthy/2.png")
    with pytest.raises(
        ValueError, match="mixes the split folder train/ with 'healthy'"
    ):
        load_image_folder(tmp_path)


def test_extensions_must_be_a_sequence(tmp_path):
    with pytest.raises(TypeError, match=r"extensions must be a sequence .*'\.png'"):
        load_image_folder(tmp_path, extensions=".png")
