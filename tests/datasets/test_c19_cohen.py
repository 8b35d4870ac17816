from pathlib import Path

import numpy as np
import pytest

from skssl.datasets import ListingWarning, MissingPatientWarning, load_c19_cohen

HEADER = "patientid,offset,finding,view,modality,folder,filename,license,"
# finding, view, modality, file
OLD = [
    ("COVID-19", "PA", "X-ray", "a.jpg"),
    ('"COVID-19, ARDS"', "AP", "X-ray", "b.jpg"),
    ("Streptococcus", "PA", "X-ray", "c.png"),
    ("SARS", "AP Supine", "X-ray", "d.jpg"),
    ("Pneumocystis", "PA", "X-ray", "e.jpg"),
    ("Lobar Pneumonia", "PA", "X-ray", "f.jpg"),
    ("No Finding", "PA", "X-ray", "g.jpg"),
    ("ARDS", "PA", "X-ray", "h.jpg"),
    ("COVID-19", "L", "X-ray", "i.jpg"),
    ("COVID-19", "Axial", "CT", "j.nii.gz"),
]
NEW = [
    ("Pneumonia/Viral/COVID-19", "PA", "X-ray", "a.jpg"),
    ("Pneumonia/Viral/COVID-19", "AP", "X-ray", "b.jpg"),
    ("Pneumonia/Bacterial/Streptococcus", "PA", "X-ray", "c.png"),
    ("Pneumonia/Viral/SARS", "AP Supine", "X-ray", "d.jpg"),
    ("Pneumonia/Fungal/Pneumocystis", "PA", "X-ray", "e.jpg"),
    ("Pneumonia", "PA", "X-ray", "f.jpg"),
    ("No Finding", "PA", "X-ray", "g.jpg"),
    ("todo", "PA", "X-ray", "h.jpg"),
    ("Pneumonia/Viral/COVID-19", "L", "X-ray", "i.jpg"),
    ("Pneumonia/Viral/COVID-19", "Axial", "CT", "j.nii.gz"),
]
PATIENTS = [2, 2, 3, 4, 5, 6, 7, 8, 2, 2]


def write_set(write_images, root, rows):
    lines = [HEADER]
    for patient, (finding, view, modality, name) in zip(PATIENTS, rows, strict=True):
        folder = "volumes" if name.endswith(".gz") else "images"
        lines.append(f"{patient},0,{finding},{view},{modality},{folder},{name},CC0,")
        if view in {"PA", "AP", "AP Supine"}:
            write_images(root, f"images/{name}")
    # tables of the set are not in the order of the names
    (root / "metadata.csv").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    return root


@pytest.mark.parametrize("rows", [OLD, NEW], ids=["old", "new"])
def test_covid_and_other_pneumonia_are_distinguished(write_images, tmp_path, rows):
    scans = load_c19_cohen(write_set(write_images, tmp_path, rows))
    assert [Path(path).name for path in scans.data] == [
        "a.jpg",
        "b.jpg",
        "c.png",
        "d.jpg",
        "e.jpg",
        "f.jpg",
    ]
    assert scans.target.tolist() == [1, 1, 0, 0, 0, 0]
    assert scans.target_names == ["other pneumonia", "COVID-19"]
    assert scans.groups.tolist() == ["2", "2", "3", "4", "5", "6"]
    assert scans.split is None
    assert scans.finding[2] == rows[2][0]
    other = rows[7][0]
    first = f"1 {min(other, 'No Finding')}, "
    assert f"2 images of these views with neither are excluded: {first}" in scans.DESCR
    assert "10.48550/arXiv.2006.11988" in scans.DESCR


@pytest.mark.parametrize(
    ("finding", "label"),
    [
        ("COVID-19 and ARDS", 1),
        ("Herpes pneumonia, ARDS", 0),
        ("Pneumonia/Viral/Herpes ", 0),
        ("Pneumonia/Bacterial/Staphylococcus/MRSA", 0),
        ("E.Coli", 0),
        ("Tuberculosis", None),
        ("Spinal Tuberculosis", None),
        ("Unknown", None),
        ("", None),
    ],
)
def test_findings_of_the_published_tables(write_images, tmp_path, finding, label):
    rows = [*OLD[:6], (f'"{finding}"', "PA", "X-ray", "g.jpg"), *OLD[7:]]
    scans = load_c19_cohen(write_set(write_images, tmp_path, rows))
    listed = {Path(p).name: t for p, t in zip(scans.data, scans.target, strict=True)}
    assert listed.get("g.jpg") == label


def test_the_unpacked_repository_is_found_below_root(write_images, tmp_path):
    write_set(write_images, tmp_path / "covid-chestxray-dataset-master", NEW)
    assert len(load_c19_cohen(tmp_path).data) == 6


def test_an_image_without_a_patient_stands_alone(write_images, tmp_path):
    root = write_set(write_images, tmp_path, NEW)
    table = root / "metadata.csv"
    table.write_text(table.read_text().replace("3,0,Pneumonia", ",0,Pneumonia"))
    with pytest.warns(MissingPatientWarning, match=r"patients of 1 of 6 .*patientid"):
        scans = load_c19_cohen(root)
    assert scans.groups.tolist() == ["2", "2", "c.png", "4", "5", "6"]


def test_another_layout_is_refused(write_images, tmp_path):
    write_images(tmp_path, "images/1.png")
    with pytest.raises(
        FileNotFoundError, match=r"not laid out as C19-Cohen.*metadata.*found 'images/'"
    ):
        load_c19_cohen(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("modality", "mode", ValueError, r"lacks the columns \['modality'\]"),
        ("X-ray", "CT", ValueError, "no X-ray of the views .* 0 rows"),
        ("c.png", "z.png", FileNotFoundError, r"z\.png is listed in .*metadata\.csv"),
        ("PA,X-ray,images,c.png,CC0,", "PA", ValueError, r"line 9: 4 fields, .*needed"),
    ],
)
def test_wrong_tables_are_explained(write_images, tmp_path, old, new, error, message):
    root = write_set(write_images, tmp_path, NEW)
    table = root / "metadata.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(error, match=message):
        load_c19_cohen(root)


def test_a_row_that_is_there_twice_counts_once(write_images, tmp_path):
    write_set(write_images, tmp_path, NEW)
    table = tmp_path / "metadata.csv"
    before = load_c19_cohen(tmp_path)
    table.write_text(table.read_text() + table.read_text().splitlines()[-1] + "\n")
    with pytest.warns(ListingWarning, match="1 listed repeatedly"):
        scans = load_c19_cohen(tmp_path)
    np.testing.assert_array_equal(scans.data, before.data)


def test_two_patients_of_one_file_become_one(write_images, tmp_path):
    """As in the published table, which lists five files under two patients each."""
    write_set(write_images, tmp_path, NEW)
    table = tmp_path / "metadata.csv"
    again = "3,0,Pneumonia/Viral/SARS,AP Supine,X-ray,images,d.jpg,CC0,"
    table.write_text(table.read_text() + again + "\n")
    with pytest.warns(ListingWarning, match=r"1 listed repeatedly .*d\.jpg"):
        scans = load_c19_cohen(tmp_path)
    assert len(scans.data) == 6
    assert scans.groups.tolist() == ["2", "2", "4", "4", "5", "6"]


def test_one_file_of_both_classes_is_refused(write_images, tmp_path):
    write_set(write_images, tmp_path, NEW)
    table = tmp_path / "metadata.csv"
    again = "4,0,Pneumonia/Viral/COVID-19,AP,X-ray,images,d.jpg,CC0,"
    table.write_text(table.read_text() + again + "\n")
    with pytest.raises(ValueError, match=r"d\.jpg is listed in .* as 0 and as 1"):
        load_c19_cohen(tmp_path)
