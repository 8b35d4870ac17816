from pathlib import Path

import numpy as np
import pytest

from skssl.datasets import ListingWarning, load_chestxray14

# patient -> findings of each image; patients from 20 on are in the test split
PATIENTS = {
    1: ["Pneumonia", "No Finding"],  # an image without a finding, of an ill patient
    2: ["Pneumonia|Edema"],
    3: ["Hernia|Mass"],
    4: ["No Finding", "No Finding"],
    5: ["No Finding"],
    6: ["No Finding"],
    20: ["Pneumonia"],
    21: ["No Finding"],
    22: ["No Finding"],
}


def write_set(write_images, root, *, flat=False, table="Data_Entry_2017.csv"):
    lines = ["Image Index,Finding Labels,Follow-up #,Patient ID"]
    lists = {"train_val_list.txt": [], "test_list.txt": []}
    for patient, images in PATIENTS.items():
        for number, findings in enumerate(images):
            name = f"{patient:08d}_{number:03d}.png"
            lines.append(f"{name},{findings},{number},{patient}")
            lists["test_list.txt" if patient >= 20 else "train_val_list.txt"].append(
                name
            )
            folder = "images" if flat else f"images_{1 + patient // 10:03d}/images"
            write_images(root, f"{folder}/{name}")
    (root / table).write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    for name, images in lists.items():
        (root / name).write_text("\n".join(images) + "\n")
    return root


@pytest.fixture
def chestxray14(write_images, tmp_path):
    return write_set(write_images, tmp_path)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("table", ["Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv"])
def test_pneumonia_meets_as_many_healthy_images(write_images, tmp_path, flat, table):
    scans = load_chestxray14(write_set(write_images, tmp_path, flat=flat, table=table))
    assert all(Path(path).is_file() for path in scans.data)
    ill = scans.target == 1
    assert scans.groups[ill].tolist() == ["1", "2", "20"]
    assert set(scans.groups[~ill]) <= {"4", "5", "6", "21", "22"}
    assert scans.split.tolist() == ["train"] * 4 + ["test"] * 2
    for split in ("train", "test"):
        assert scans.target[scans.split == split].mean() == 0.5
    assert scans.target_names == ["healthy", "pneumonia"]
    assert "3 have pneumonia" in scans.DESCR


def test_the_draw_follows_its_seed_and_not_the_subset(chestxray14):
    draws = {
        tuple(load_chestxray14(chestxray14, random_state=k).data) for k in range(9)
    }
    assert len(draws) > 1
    whole = load_chestxray14(chestxray14)
    for split in ("train", "test"):
        subset = load_chestxray14(chestxray14, subset=split)
        assert subset.data.tolist() == whole.data[whole.split == split].tolist()
        assert set(subset.split) == {split}


def test_findings_are_fourteen_columns(chestxray14):
    scans = load_chestxray14(chestxray14, task="findings")
    assert scans.target.shape == (11, 14)
    assert scans.target.dtype == np.int64
    listed = {
        Path(path).name: [scans.target_names[k] for k in np.flatnonzero(row)]
        for path, row in zip(scans.data, scans.target, strict=True)
    }
    assert listed["00000002_000.png"] == ["Edema", "Pneumonia"]
    assert listed["00000003_000.png"] == ["Hernia", "Mass"]
    assert listed["00000004_001.png"] == []
    assert list(listed) == sorted(listed)
    assert len(set(scans.groups)) == len(PATIENTS)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"task": "pneumoni"}, "task='pneumoni' is unknown. Did you mean 'pneumonia'"),
        ({"subset": "val"}, "subset='val' lists no image; .* has train and test"),
        ({"subset": "dev"}, "subset must be 'train', 'val', 'test'"),
        ({"random_state": "x"}, "random_state must be"),
    ],
)
def test_wrong_parameters_are_explained(chestxray14, parameters, message):
    with pytest.raises(ValueError, match=message):
        load_chestxray14(chestxray14, **parameters)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("Data_Entry_2017.csv", "Hernia", "Hernie", "line 9: .*'Hernie' is unknown"),
        ("Data_Entry_2017.csv", "Patient ID", "Patient", r"columns \['Patient ID'\]"),
        ("test_list.txt", "00000021_000.png\n", "", "00000021_000.png is in neither"),
        (
            "Data_Entry_2017.csv",
            "_000.png,No Finding",
            "_000.png,Mass",
            "train_val_list.txt has 2 images with Pneumonia, but only 0",
        ),
    ],
)
def test_wrong_tables_are_explained(chestxray14, name, old, new, message):
    table = chestxray14 / name
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        load_chestxray14(chestxray14)


def test_a_missing_image_is_named(chestxray14):
    (chestxray14 / "images_001/images/00000001_000.png").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"1_000\.png is listed in .*Data_Entry"
    ):
        load_chestxray14(chestxray14)


def test_an_image_listed_twice_is_taken_once(chestxray14):
    before = load_chestxray14(chestxray14, task="findings")
    table = chestxray14 / "Data_Entry_2017.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, lines[1]]))
    with pytest.warns(ListingWarning, match=r"Data_Entry.*: 1 listed repeatedly"):
        scans = load_chestxray14(chestxray14, task="findings")
    np.testing.assert_array_equal(scans.data, before.data)


@pytest.mark.parametrize("name", ["Data_Entry_2017.csv", "test_list.txt"])
def test_another_layout_is_refused(chestxray14, name):
    (chestxray14 / name).unlink()
    with pytest.raises(FileNotFoundError, match=r"not laid out as ChestX-ray14\. Exp"):
        load_chestxray14(chestxray14)
