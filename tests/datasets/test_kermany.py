from pathlib import Path

import pytest

from skssl.datasets import load_kermany

# the names that one release gives its files, with their patients
PERSONS = {
    "train/NORMAL/IM-0115-0001.jpeg": "IM-0115",
    "train/NORMAL/NORMAL2-IM-0115-0001.jpeg": "NORMAL2-IM-0115",
    "train/PNEUMONIA/person100_virus_184.jpeg": "train/person100",
    "train/PNEUMONIA/person1_bacteria_1.jpeg": "train/person1",
    "train/PNEUMONIA/person1_bacteria_2.jpeg": "train/person1",
    "val/NORMAL/NORMAL2-IM-1427-0001.jpeg": "NORMAL2-IM-1427",
    "val/PNEUMONIA/person1946_bacteria_4874.jpeg": "train/person1946",
    "test/NORMAL/IM-0011-0001-0002.jpeg": "IM-0011",
    "test/PNEUMONIA/person100_bacteria_475.jpeg": "test/person100",
    "test/PNEUMONIA/person1_virus_6.jpeg": "test/person1",
}
NUMBERS = {
    "train/NORMAL/NORMAL-1003233-0001.jpeg": "1003233",
    "train/PNEUMONIA/BACTERIA-1008087-0001.jpeg": "1008087",
    "train/PNEUMONIA/VIRUS-1008087-0002.jpeg": "1008087",
    "test/NORMAL/NORMAL-1049278-0001.jpeg": "1049278",
    "test/PNEUMONIA/BACTERIA-1351146-0001.jpeg": "1351146",
}


def summary(scans, root):
    paths = [Path(path).relative_to(root).as_posix() for path in scans.data]
    return dict(zip(paths, scans.groups, strict=True))


@pytest.mark.parametrize(
    ("names", "below"),
    [
        (PERSONS, ""),
        (PERSONS, "chest_xray"),
        (NUMBERS, "CellData/chest_xray"),
    ],
)
def test_patients_are_read_from_the_names(write_images, tmp_path, names, below):
    folder = write_images(tmp_path / below, *names)
    scans = load_kermany(tmp_path)
    assert summary(scans, folder) == names
    assert list(summary(scans, folder)) == list(names)  # in this order
    assert scans.target.tolist() == ["PNEUMONIA/" in name for name in names]
    assert scans.split.tolist() == [name.split("/")[0] for name in names]
    assert scans.target_names == ["NORMAL", "PNEUMONIA"]


@pytest.mark.parametrize("subset", ["train", ["val", "test"], ("test", "train")])
def test_subset_picks_splits(write_images, tmp_path, subset):
    root = write_images(tmp_path, *PERSONS)
    scans = load_kermany(root, subset=subset)
    wanted = [subset] if isinstance(subset, str) else subset
    assert list(summary(scans, root)) == [
        name for name in PERSONS if name.split("/")[0] in wanted
    ]


def test_a_split_that_is_absent_is_named(write_images, tmp_path):
    write_images(tmp_path, *NUMBERS)
    with pytest.raises(FileNotFoundError, match=r"subset='val' .* 'test/', 'train/'"):
        load_kermany(tmp_path, subset="val")
    with pytest.raises(ValueError, match="subset must be 'train'"):
        load_kermany(tmp_path, subset="validation")


def test_an_unknown_name_is_refused(write_images, tmp_path):
    write_images(tmp_path, *NUMBERS, "test/NORMAL/scan1.jpeg")
    with pytest.raises(
        ValueError, match=r"scan1\.jpeg does not identify a patient.*IM-0115"
    ):
        load_kermany(tmp_path)


def test_a_class_without_images_is_named(write_images, tmp_path):
    write_images(tmp_path, "train/NORMAL/IM-0115-0001.jpeg", "test/NORMAL/a.jpeg")
    with pytest.raises(FileNotFoundError, match=r"PNEUMONIA' has no images"):
        load_kermany(tmp_path)


def test_another_layout_is_refused(write_images, tmp_path):
    write_images(tmp_path, "NORMAL/IM-0115-0001.jpeg")
    with pytest.raises(
        FileNotFoundError, match=r"laid out as Kermany's.*train/, test/.*'NORMAL/'"
    ):
        load_kermany(tmp_path)
