import sys
from pathlib import Path

import numpy as np
import pytest

from skssl.datasets import ListingWarning, MissingPatientWarning, load_covid_ct

ROWS = [
    # name in the folder, name in the lists, split, patient
    ("COVID", "a%0.png", "a_0.png", "train", "Patient 1"),
    ("COVID", "a%1.png", "a%1.png", "train", "Patient 1"),
    ("COVID", "b.png", "b.png", "val", "Patient 2"),
    ("COVID", "c.png", "c.png", "test", "Patient 3"),
    ("NonCOVID", "0.jpg", "0.jpg", "train", "Patient 1"),
    ("NonCOVID", "1%0.png", "1%0.png", "val", "Patient 2"),
    ("NonCOVID", "2.jpg", "2.jpg", "test", "Patient 3"),
]
EXPECTED = [
    ("a%0.png", 1, "train", "Patient 1"),
    ("a%1.png", 1, "train", "Patient 1"),
    ("b.png", 1, "val", "Patient 2"),
    ("c.png", 1, "test", "Patient 3"),
    ("0.jpg", 0, "train", "Patient 1"),
    ("1%0.png", 0, "val", "Patient 2"),
    ("2.jpg", 0, "test", "Patient 3"),
]


@pytest.fixture
def published(write_images, tmp_path):
    for label, file_name, listed, split, patient in ROWS:
        write_images(tmp_path, f"Images-processed/CT_{label}/{file_name}")
        names = tmp_path / "Data-split" / label / f"{split}CT_{label}.txt"
        names.parent.mkdir(parents=True, exist_ok=True)
        with names.open("a") as file:
            file.write(listed + "\n")
        # the table spells names with _ and without an ending
        table = tmp_path / f"{label}-CT-MetaInfo.csv"
        if not table.exists():
            table.write_text("File name,Patient ID,Captions\n")
        with table.open("a") as file:
            file.write(f"{Path(listed).stem.replace('%', '_')},{patient},\n")
    return tmp_path


def write_metadata(write_images, root, prefix):
    lines = ["filename,label,split,patient_id"]
    for label, name, _, split, patient in ROWS:
        write_images(root, f"{prefix}{label}/{name}")
        lines.append(f"{label}/{name},{label},{split},{label}:{patient}")
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    return root


def summary(scans):
    rows = zip(scans.data, scans.target, scans.split, scans.groups, strict=True)
    return [
        (Path(path).name, target, split, group.split(":")[1])
        for path, target, split, group in rows
    ]


@pytest.mark.parametrize("layout", ["published", "images/", ""])
def test_all_layouts_give_the_same_set(request, write_images, tmp_path, layout):
    if layout == "published":
        root = request.getfixturevalue("published")
    else:
        root = write_metadata(write_images, tmp_path, layout)
    scans = load_covid_ct(str(root))
    assert summary(scans) == EXPECTED
    assert all(Path(path).is_file() for path in scans.data)
    assert scans.target_names == ["NonCOVID", "COVID"]
    assert scans.target.dtype == np.int64
    # the first patient of one class is not the first patient of the other
    assert len(set(scans.groups)) == 6
    assert "7 axial chest CT slices of 6 patients, 4 slices" in scans.DESCR


@pytest.mark.parametrize(
    ("subset", "splits"),
    [("train", {"train"}), (["val"], {"val"}), (("train", "val"), {"train", "val"})],
)
def test_subset_picks_splits(published, subset, splits):
    scans = load_covid_ct(published, subset=subset)
    assert set(scans.split) == splits
    assert summary(scans) == [row for row in EXPECTED if row[2] in splits]


@pytest.mark.parametrize("subset", ["training", [], ["train", "dev"]])
def test_unknown_subset_is_named(published, subset):
    with pytest.raises(ValueError, match="subset must be 'train', 'val', 'test'"):
        load_covid_ct(published, subset=subset)


def test_exact_names_win_over_loose_ones(published, write_images):
    write_images(published, "Images-processed/CT_COVID/a_1.png")
    assert summary(load_covid_ct(published)) == EXPECTED


def test_images_without_a_patient_stand_alone_with_a_warning(published):
    (published / "NonCOVID-CT-MetaInfo.csv").unlink()
    with pytest.warns(MissingPatientWarning, match="patients of 3 of 7"):
        scans = load_covid_ct(published)
    assert len(set(scans.groups[scans.target == 0])) == 3
    assert len(set(scans.groups[scans.target == 1])) == 3


def test_empty_patient_in_the_table_warns(write_images, tmp_path):
    root = write_metadata(write_images, tmp_path, "")
    table = root / "metadata.csv"
    table.write_text(table.read_text().replace("NonCOVID:Patient 3", ""))
    with pytest.warns(MissingPatientWarning, match="patients of 1 of 7"):
        load_covid_ct(root)


def test_an_xlsx_table_that_cannot_be_read_is_explained(published, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)  # makes its import fail
    (published / "COVID-CT-MetaInfo.csv").rename(published / "COVID-CT-MetaInfo.xlsx")
    with pytest.raises(ImportError, match=r"needs pandas and openpyxl.*MetaInfo\.csv"):
        load_covid_ct(published)


def test_an_xlsx_table_is_read_by_pandas(published, monkeypatch):
    pd = pytest.importorskip("pandas")
    frame = pd.read_csv(published / "COVID-CT-MetaInfo.csv", dtype=str)
    monkeypatch.setattr(pd, "read_excel", lambda path, dtype: frame)
    (published / "COVID-CT-MetaInfo.csv").rename(published / "COVID-CT-MetaInfo.xlsx")
    assert summary(load_covid_ct(published)) == EXPECTED


def test_a_patient_table_without_its_columns_is_named(published):
    (published / "COVID-CT-MetaInfo.csv").write_text("File name,Age\na_0,50\n")
    with pytest.raises(
        ValueError, match=r"'Patient ID'; it has \['File name', 'Age'\]"
    ):
        load_covid_ct(published)


def test_a_listed_file_that_is_missing_is_named_with_its_list(published):
    (published / "Images-processed/CT_COVID/b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"b\.png is listed in .*Data-split"):
        load_covid_ct(published)


def test_a_file_missing_from_the_table_layout_is_named(write_images, tmp_path):
    root = write_metadata(write_images, tmp_path, "")
    (root / "COVID/b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"b\.png is listed in .*metadata\.csv"):
        load_covid_ct(root)


def test_an_image_that_a_table_lists_twice_is_taken_once(write_images, tmp_path):
    root = write_metadata(write_images, tmp_path, "")
    table = root / "metadata.csv"
    first = table.read_text().splitlines()[1]
    table.write_text(f"{table.read_text().rstrip()}\n{first}\n")
    with pytest.warns(ListingWarning, match=r"metadata\.csv: 1 listed repeatedly"):
        scans = load_covid_ct(root)
    assert len(set(scans.data)) == len(scans.data)


def test_a_missing_list_is_named(published):
    (published / "Data-split/COVID/testCT_COVID.txt").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"one file testCT_\*\.txt in .*found 0"
    ):
        load_covid_ct(published)


def test_an_image_in_two_splits_is_refused(published):
    with (published / "Data-split/COVID/testCT_COVID.txt").open("a") as file:
        file.write("b.png\n")
    with pytest.raises(ValueError, match=r"b\.png is listed .*'val'.* and as .*'test'"):
        load_covid_ct(published)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("NonCOVID/0.jpg,NonCOVID", "NonCOVID/0.jpg,flu", "line 6: label .* got 'flu'"),
        ("COVID,val", "COVID,dev", "line 4: split must be one of .* got 'dev'"),
        ("patient_id", "patient", r"lacks the columns \['patient_id'\]"),
    ],
)
def test_a_wrong_table_is_explained(write_images, tmp_path, old, new, message):
    root = write_metadata(write_images, tmp_path, "")
    table = root / "metadata.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        load_covid_ct(root)


def test_another_layout_is_refused(write_images, tmp_path):
    write_images(tmp_path, "x/1.png")
    with pytest.raises(
        FileNotFoundError, match=r"not laid out as COVID-CT.*found 'x/'"
    ):
        load_covid_ct(tmp_path)


def test_images_still_zipped_are_noticed(published):
    folder = published / "Images-processed" / "CT_COVID"
    folder.rename(published / "elsewhere")
    (published / "Images-processed" / "CT_COVID.zip").touch()
    with pytest.raises(FileNotFoundError, match=r"unzipped.*'CT_COVID\.zip'"):
        load_covid_ct(published)


@pytest.mark.parametrize("name", ["covid-ct", "covid-ct-288"])
def test_real_images_have_the_official_split(real_data, name):
    scans = load_covid_ct(real_data(name))
    counts = {
        split: np.bincount(scans.target[scans.split == split])[::-1].tolist()
        for split in ("train", "val", "test")
    }
    # He et al. 2020: COVID and other images of each split
    assert counts == {"train": [191, 234], "val": [60, 58], "test": [98, 105]}
    patients = [set(scans.groups[scans.split == split]) for split in counts]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 213 + 171


def test_the_set_below_root_and_archives_in_folders_of_their_own(published, tmp_path):
    expected = summary(load_covid_ct(published))
    inner = tmp_path / "new" / "COVID-CT-master"
    inner.mkdir(parents=True)
    for path in published.iterdir():
        if path.name != "new":
            path.rename(inner / path.name)
    images = inner / "Images-processed" / "CT_COVID"
    images.rename(images.with_name("unpacked"))
    images.mkdir()
    images.with_name("unpacked").rename(images / "CT_COVID")
    assert summary(load_covid_ct(tmp_path / "new")) == expected


def test_a_file_that_is_no_excel_file_is_named(published):
    table = published / "COVID-CT-MetaInfo.csv"
    table.rename(table.with_suffix(".xlsx"))
    with pytest.raises(
        ValueError, match=r"COVID-CT-MetaInfo\.xlsx is not an Excel file"
    ):
        load_covid_ct(published)
