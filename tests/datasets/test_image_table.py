from pathlib import Path

import pytest

from skssl.datasets import MissingPatientWarning, load_image_table

ROWS = """\
filename,label,patient,part
b.png,ill,p1,train
a.png,well,p1,Valid
sub/c.png,,p2,TEST
d.png,ill,p3,validation
"""
NAMES = ["b.png", "a.png", "sub/c.png", "d.png"]


@pytest.fixture
def table(write_images, tmp_path):
    write_images(tmp_path, *NAMES)
    (tmp_path / "scans.csv").write_text(ROWS)
    return tmp_path / "scans.csv"


def relative(scans, root):
    return [Path(path).relative_to(root).as_posix() for path in scans.data]


def test_rows_keep_their_order(table):
    scans = load_image_table(str(table))
    assert relative(scans, table.parent) == NAMES
    assert scans.target.tolist() == [0, 1, -1, 0]
    assert scans.target_names == ["ill", "well"]
    assert scans.groups is None
    assert scans.split is None
    assert "4 image files of scans.csv" in scans.DESCR


def test_without_label_all_are_unlabelled(table):
    scans = load_image_table(table, label=None, group="patient")
    assert scans.target.tolist() == [-1] * 4
    assert scans.target_names == []
    assert scans.groups.tolist() == ["p1", "p1", "p2", "p3"]


def test_splits_have_several_names(table):
    scans = load_image_table(table, split="part")
    assert scans.split.tolist() == ["train", "val", "test", "val"]
    scans = load_image_table(table, split="part", subset=["test", "train"])
    assert relative(scans, table.parent) == ["b.png", "sub/c.png"]
    # classes do not depend on the subset
    assert scans.target_names == ["ill", "well"]


def test_root_may_lie_elsewhere(write_images, tmp_path):
    write_images(tmp_path / "files", *NAMES)
    (tmp_path / "scans.csv").write_text(ROWS)
    scans = load_image_table(tmp_path / "scans.csv", root=tmp_path / "files")
    assert relative(scans, tmp_path / "files") == NAMES
    with pytest.raises(
        FileNotFoundError, match=r"b\.png is listed in .*4 files are missing"
    ):
        load_image_table(tmp_path / "scans.csv")


@pytest.mark.parametrize(
    ("labels", "names", "target"),
    [
        (["10", "9", "9", "0"], ["0", "9", "10"], [2, 1, 1, 0]),
        (["1.0", "0.0", "", "1.0"], ["0.0", "1.0"], [1, 0, -1, 1]),
        (["1", "-1", "0", "nan"], ["0", "1"], [1, -1, 0, -1]),
        (["1.0", "-1.0", "0.0", "NAN"], ["0.0", "1.0"], [1, -1, 0, -1]),
        (["ill ", "well", " ill", "-1"], ["ill", "well"], [0, 1, 0, -1]),
        (["10", "9", "b", "0"], ["0", "10", "9", "b"], [1, 2, 3, 0]),
    ],
)
def test_classes_are_sorted(table, labels, names, target):
    rows = zip(NAMES, labels, strict=True)
    table.write_text("filename,label\n" + "".join(f"{n},{k}\n" for n, k in rows))
    scans = load_image_table(table)
    assert scans.target_names == names
    assert scans.target.tolist() == target


def test_a_number_in_two_spellings_is_refused(table):
    table.write_text("filename,label\na.png,1\nb.png,0\nsub/c.png,1.0\n")
    with pytest.raises(
        ValueError, match=r"label is '1' in line 2 and '1\.0' in line 4"
    ):
        load_image_table(table)


@pytest.mark.parametrize("unknown", ["", "nan", " NaN"])
def test_an_image_without_a_group_stands_alone(table, unknown):
    table.write_text(ROWS.replace("p2", unknown))
    with pytest.warns(
        MissingPatientWarning, match="patients of 1 of 4 .*column patient"
    ):
        scans = load_image_table(table, group="patient")
    assert scans.groups.tolist() == ["p1", "p1", "sub/c.png", "p3"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"label": "lable"}, "label='lable' .* mean 'label'.* Known: filename, label"),
        ({"filename": "file"}, r"scans\.csv has no such column: filename='file'"),
        ({"group": "Patient"}, "group='Patient' is unknown. Did you mean 'patient'"),
        ({"subset": "train"}, "subset='train' needs split"),
        ({"subset": "dev", "split": "part"}, "subset must be 'train'"),
        ({"split": "label"}, "line 2: the split must be one of train, .* got 'ill'"),
    ],
)
def test_wrong_parameters_are_explained(table, parameters, message):
    with pytest.raises(ValueError, match=message):
        load_image_table(table, **parameters)


def test_a_subset_of_nothing_is_refused(table):
    table.write_text(ROWS.replace("train", "test"))
    with pytest.raises(ValueError, match="subset='train' lists none of the images"):
        load_image_table(table, split="part", subset="train")


def test_a_file_with_two_labels_is_refused(table):
    table.write_text(ROWS + "./a.png,ill,p1,train\n")
    with pytest.raises(ValueError, match=r"a\.png is listed in .* as .* and as "):
        load_image_table(table)


def test_lines_are_those_of_the_file(table):
    table.write_text("filename,label,part\na.png,x,train\n\n\nb.png,x,dev\n")
    with pytest.raises(ValueError, match="line 5: the split must be"):
        load_image_table(table, split="part")
    table.write_text("filename,label\na.png,x\n\n,x\n")
    with pytest.raises(ValueError, match=r"scans\.csv, line 4: filename is empty"):
        load_image_table(table)


def test_an_absent_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.csv' is not a file"):
        load_image_table(tmp_path / "absent.csv")
