"""Lists of files are mended where the meaning is certain, with a warning."""

import pytest

from skssl.datasets import ListingWarning, load_image_table
from skssl.datasets._mending import mend_listing
from skssl.datasets._tables import read_header, read_table


def touch(folder, *names):
    for name in names:
        (folder / name).touch()
    return [folder / name for name in names]


def test_a_good_list_is_returned_as_it_is(tmp_path):
    paths = touch(tmp_path, "a.png", "b.png")
    mended = mend_listing(paths, tmp_path / "t.csv", patients=["1", "2"])
    assert mended == ([0, 1], [str(path) for path in paths], ["1", "2"])


@pytest.mark.parametrize(
    "listed", ["scan%201.PNG", "scan_201.png ", "Scan%201.png"], ids=repr
)
def test_spellings_of_a_name(tmp_path, listed):
    touch(tmp_path, "scan_201.png", "other.png")
    with pytest.warns(ListingWarning, match="1 found under another name"):
        mended = mend_listing([tmp_path / listed], tmp_path / "t.csv")
    assert mended.paths == [str(tmp_path / "scan_201.png")]


def test_a_name_that_two_files_could_have_is_missing(tmp_path):
    touch(tmp_path, "a%.png", "a_.PNG")
    with pytest.raises(FileNotFoundError, match=r"a%\.PNG is listed in .*t\.csv"):
        mend_listing([tmp_path / "a%.PNG"], tmp_path / "t.csv")


def test_rows_of_a_few_missing_files_are_left_out(tmp_path):
    names = [f"{i}.png" for i in range(20)]
    paths = touch(tmp_path, *names)
    paths[7].unlink()
    with pytest.warns(ListingWarning, match=r"1 missing and left out .*7\.png"):
        mended = mend_listing(paths, tmp_path / "t.csv")
    assert mended.rows == [i for i in range(20) if i != 7]
    paths[8].unlink()
    with pytest.raises(FileNotFoundError, match="2 files are missing in total"):
        mend_listing(paths, tmp_path / "t.csv")


def test_patients_of_shared_files_are_joined_over_several_files(tmp_path):
    a, b, c = touch(tmp_path, "a.png", "b.png", "c.png")
    listed, patients = [a, a, b, b, c], ["1", "2", "2", "3", "4"]
    with pytest.warns(ListingWarning, match="2 listed repeatedly"):
        mended = mend_listing(listed, tmp_path / "t.csv", patients=patients)
    assert mended.rows == [0, 2, 4]
    assert mended.patients == ["1", "1", "4"]


@pytest.mark.parametrize(
    "text",
    [
        "file,grade\na.png,1\n",
        "file;grade\na.png;1\n",
        "file\tgrade\r\na.png\t1\r\n",
        "\ufeff File , Grade \n a.png , 1 \n",
    ],
    ids=["comma", "semicolon", "tab and Windows", "BOM, spaces, case"],
)
def test_tables_as_spreadsheets_write_them(tmp_path, text):
    table = tmp_path / "t.csv"
    table.write_bytes(text.encode())
    assert len(read_header(table)) == 2
    assert read_table(table, ("file", "grade")) == [{"file": "a.png", "grade": "1"}]


def test_a_file_that_another_row_lists_is_not_meant(tmp_path):
    touch(tmp_path, "A.png")
    table = tmp_path / "t.csv"
    table.write_text("filename,label\nA.png,0\na.png,1\n")
    with pytest.raises(FileNotFoundError, match=r"a\.png is listed in"):
        load_image_table(table, label="label")


def test_a_file_under_two_spellings_with_two_labels_is_refused(tmp_path):
    touch(tmp_path, "a.png")
    (tmp_path / "x").mkdir()
    table = tmp_path / "t.csv"
    table.write_text("filename,label\na.png,0\nx/../a.png,1\n")
    with pytest.raises(ValueError, match=r"a\.png is listed .* and as"):
        load_image_table(table, label="label")


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(FileNotFoundError, match="does not exist"):
        mend_listing([tmp_path / "X"], tmp_path / "t.csv")


def test_surplus_fields_are_refused(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("filename,age,label\na.png,45,5,1\n")
    with pytest.raises(ValueError, match=r"line 2: 4 fields, but 3 columns.*quotes"):
        read_table(table, ("filename", "label"))
    table.write_text("filename,age,label\na.png,45,1,,\n")
    assert read_table(table, ("filename", "label"))[0]["label"] == "1"


def test_a_loader_warns_at_the_call(tmp_path):
    touch(tmp_path, "a.png", "b.png")
    table = tmp_path / "t.csv"
    table.write_text("filename,label\na.png,x\nb.png,y\nb.png,y\n")
    with pytest.warns(ListingWarning, match="1 listed repeatedly") as told:
        scans = load_image_table(table, label="label")
    assert scans.target.tolist() == [0, 1]
    assert told[0].filename == __file__
