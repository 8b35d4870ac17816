from pathlib import Path

import pytest

from skssl.datasets import load_chexpert

HEADER = "Path,Sex,Age,Frontal/Lateral,AP/PA,Pneumonia,No Finding"
# path below the folder of the release, label
TRAIN = [
    ("train/patient00001/study1/view1_frontal.jpg", "1.0"),
    ("train/patient00001/study1/view2_lateral.jpg", "-1.0"),
    ("train/patient00001/study2/view1_frontal.jpg", ""),
    ("train/patient00002/study1/view1_frontal.jpg", "0.0"),
]
VALID = [("valid/patient64541/study1/view1_frontal.jpg", "1.0")]
TEST = [("test/patient64741/study1/view1_frontal.jpg", "0")]


def write_split(root, name, rows, prefix="CheXpert-v1.0-small/"):
    lines = [HEADER]
    for folder in {(root / path).parent for path, _ in rows}:
        folder.mkdir(parents=True)
    # the loader sorts, whatever the order of the table
    for path, label in reversed(rows):
        (root / path).touch()
        lines.append(f"{prefix}{path},Male,68,Frontal,AP,{label},")
    (root / name).write_text("\n".join(lines) + "\n")


@pytest.fixture
def chexpert(tmp_path):
    root = tmp_path / "renamed"
    write_split(root, "train.csv", TRAIN)
    write_split(root, "valid.csv", VALID)
    return root


def relative(scans, root):
    return [Path(path).relative_to(root).as_posix() for path in scans.data]


def test_images_are_unlabelled_unless_a_finding_is_named(chexpert):
    scans = load_chexpert(chexpert)
    assert relative(scans, chexpert) == [path for path, _ in TRAIN + VALID]
    assert scans.target.tolist() == [-1] * 5
    assert scans.target_names == []
    assert scans.groups.tolist() == ["patient00001"] * 3 + [
        "patient00002",
        "patient64541",
    ]
    assert scans.split.tolist() == ["train"] * 4 + ["val"]
    assert "5 chest X-rays of 3 patients" in scans.DESCR


@pytest.mark.parametrize(
    ("uncertain", "label"), [("ignore", -1), ("positive", 1), ("negative", 0)]
)
def test_uncertain_labels_follow_their_policy(chexpert, uncertain, label):
    scans = load_chexpert(chexpert, finding="Pneumonia", uncertain=uncertain)
    assert scans.target.tolist() == [1, label, 0, 0, 1]
    assert scans.target_names == ["not Pneumonia", "Pneumonia"]


@pytest.mark.parametrize(("view", "n_images"), [("frontal", 4), ("lateral", 1)])
def test_view_picks_images(chexpert, view, n_images):
    scans = load_chexpert(chexpert, view=view)
    assert len(scans.data) == n_images
    assert all(view in path for path in scans.data)


def test_subset_picks_splits(chexpert):
    assert load_chexpert(chexpert, subset="val").split.tolist() == ["val"]
    with pytest.raises(FileNotFoundError, match=r"subset='test' needs .*test\.csv"):
        load_chexpert(chexpert, subset="test")
    # paths of the test split do not name the folder of the release
    write_split(chexpert, "test.csv", TEST, prefix="")
    scans = load_chexpert(chexpert, subset=["test", "val"])
    assert relative(scans, chexpert) == [path for path, _ in VALID + TEST]
    assert scans.split.tolist() == ["val", "test"]


def test_the_folder_of_the_release_is_found_below_root(tmp_path):
    write_split(tmp_path / "CheXpert-v1.0", "train.csv", TRAIN, "CheXpert-v1.0/")
    assert len(load_chexpert(tmp_path).data) == 4


def test_a_long_list_is_read_whole(tmp_path):
    # as many patients as rows would be slow to write; files of one study are not
    names = [(f"train/patient1/study1/view{k}_frontal.jpg", "") for k in range(20_000)]
    write_split(tmp_path, "train.csv", names)
    scans = load_chexpert(tmp_path, finding="Pneumonia")
    assert len(set(scans.data)) == 20_000
    assert scans.target.sum() == 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"finding": "Pneumonie"}, "finding='Pneumonie' .* mean 'Pneumonia'"),
        ({"uncertain": "ones"}, "uncertain='ones' is unknown.* negative, positive"),
        ({"view": "Frontal"}, "view='Frontal' is unknown. Did you mean 'frontal'"),
        ({"subset": "valid"}, "subset must be 'train', 'val', 'test'"),
        ({"finding": "Edema"}, r"train\.csv lacks the columns \['Edema'\]"),
    ],
)
def test_wrong_parameters_are_explained(chexpert, parameters, message):
    with pytest.raises(ValueError, match=message):
        load_chexpert(chexpert, **parameters)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("AP,1.0", "AP,2", ValueError, "line 5: Pneumonia must be 1, 0, .* got '2'"),
        ("small/train/patient00002", "x", ValueError, "line 2: Path must be such as"),
        ("study2", "study9", FileNotFoundError, r"study9/.* listed in .*train\.csv"),
    ],
)
def test_wrong_tables_are_explained(chexpert, old, new, error, message):
    table = chexpert / "train.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(error, match=message):
        load_chexpert(chexpert, finding="Pneumonia")


def test_another_layout_is_refused(write_images, tmp_path):
    write_images(tmp_path, "train/patient1/1.png")
    with pytest.raises(
        FileNotFoundError, match=r"not laid out as CheXpert.*train\.csv.*'train/'"
    ):
        load_chexpert(tmp_path)


@pytest.mark.parametrize("below", ["", "CheXpert-v1.0 batch 1 (validate & csv)"])
def test_full_size_lies_in_batches(tmp_path, below):
    tables = tmp_path / "CheXpert-v1.0 batch 1 (validate & csv)"
    write_split(tables, "train.csv", TRAIN, "CheXpert-v1.0/")
    write_split(tables, "valid.csv", VALID, "CheXpert-v1.0/")
    for batch, patient in ((2, "patient00001"), (3, "patient00002")):
        folder = tmp_path / f"CheXpert-v1.0 batch {batch} (train {batch - 1})"
        folder.mkdir()
        (tables / "train" / patient).rename(folder / patient)
    (tables / "train").rmdir()
    scans = load_chexpert(tmp_path / below)
    assert relative(scans, tmp_path) == [
        "CheXpert-v1.0 batch 2 (train 1)/patient00001/study1/view1_frontal.jpg",
        "CheXpert-v1.0 batch 2 (train 1)/patient00001/study1/view2_lateral.jpg",
        "CheXpert-v1.0 batch 2 (train 1)/patient00001/study2/view1_frontal.jpg",
        "CheXpert-v1.0 batch 3 (train 2)/patient00002/study1/view1_frontal.jpg",
        f"{tables.name}/valid/patient64541/study1/view1_frontal.jpg",
    ]
    assert scans.split.tolist() == ["train"] * 4 + ["val"]


def test_test_labels_under_their_other_name(chexpert):
    write_split(chexpert, "test_labels.csv", TEST, "")
    scans = load_chexpert(chexpert, finding="Pneumonia", subset="test")
    assert relative(scans, chexpert) == [path for path, _ in TEST]


def test_view_that_no_image_has(tmp_path):
    write_split(tmp_path, "valid.csv", VALID)
    with pytest.raises(ValueError, match="view='lateral' lists none of the images"):
        load_chexpert(tmp_path, view="lateral")
