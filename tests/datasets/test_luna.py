import numpy as np
import pytest

from skssl.datasets import MissingPatientWarning, load_luna_slices


def test_slices_are_listed_without_labels(write_images, tmp_path):
    write_images(tmp_path, "s1_10.jpg", "s1_20.jpg", "s2_5.jpg")
    rows = (
        "filename,subject_id,slice\ns1_10.jpg,s1,10\ns1_20.jpg,s1,20\ns2_5.jpg,s2,5\n"
    )
    (tmp_path / "metadata.csv").write_text(rows)
    scans = load_luna_slices(tmp_path)
    assert scans.data.tolist() == [
        str(tmp_path / name) for name in ("s1_10.jpg", "s1_20.jpg", "s2_5.jpg")
    ]
    np.testing.assert_array_equal(scans.target, [-1, -1, -1])
    assert scans.groups.tolist() == ["s1", "s1", "s2"]
    assert scans.slice_index.tolist() == [10, 20, 5]
    assert scans.target_names == []
    assert scans.split is None
    assert "3 axial slices of 2 subjects" in scans.DESCR


def test_missing_table_says_what_was_found(write_images, tmp_path):
    write_images(tmp_path, "1.jpg")
    with pytest.raises(FileNotFoundError, match=r"no metadata\.csv.*found '1\.jpg'"):
        load_luna_slices(tmp_path)


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (
            "filename,slice\n1.jpg,3\n",
            ValueError,
            r"lacks the columns \['subject_id'\]",
        ),
        ("filename,subject_id,slice\n", ValueError, "a header, but no rows"),
        ("", ValueError, "lacks the columns"),
        (
            "filename,subject_id,slice\n1.jpg,s,3\n2.jpg,s,4\n3.jpg,s,5\n",
            FileNotFoundError,
            r"2\.jpg is listed in .*metadata\.csv but .* \(2 files are missing",
        ),
        (
            "filename,subject_id,slice\n1.jpg,s,3\n1.jpg,t,4\n",
            ValueError,
            r"1\.jpg is listed in .*metadata\.csv as 3 and as 4",
        ),
        (
            "filename,subject_id,slice\n1.jpg,s,third\n",
            ValueError,
            r"metadata\.csv, line 2: slice must be a whole number, got 'third'",
        ),
    ],
)
def test_bad_tables_are_explained(write_images, tmp_path, table, error, message):
    write_images(tmp_path, "1.jpg")
    (tmp_path / "metadata.csv").write_text(table)
    with pytest.raises(error, match=message):
        load_luna_slices(tmp_path)


def test_a_table_of_another_encoding_is_named(tmp_path):
    table = "filename,subject_id,slice\né.jpg,s,1\n"
    (tmp_path / "metadata.csv").write_bytes(table.encode("latin-1"))
    with pytest.raises(ValueError, match=r"metadata\.csv must be UTF-8"):
        load_luna_slices(tmp_path)


def test_images_of_unknown_subjects_stand_alone(write_images, tmp_path):
    write_images(tmp_path, "1.jpg", "2.jpg")
    table = "filename,subject_id,slice\n1.jpg,,3\n2.jpg,,4\n"
    (tmp_path / "metadata.csv").write_text(table)
    with pytest.warns(MissingPatientWarning, match="2 of 2 images are not known"):
        scans = load_luna_slices(tmp_path)
    assert len(set(scans.groups)) == 2


def test_real_slices_are_two_a_subject(real_data):
    scans = load_luna_slices(real_data("luna-288"))
    assert len(scans.data) == 1000
    subjects, counts = np.unique(scans.groups, return_counts=True)
    assert len(subjects) == 500
    assert set(counts) == {2}
