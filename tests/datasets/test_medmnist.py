import numpy as np
import pytest

from skssl.datasets import load_medmnist

SIZES = {"train": 4, "val": 2, "test": 3}


def write_set(path, rng, *, shape=(28, 28), n_labels=1, **changes):
    arrays = {}
    for split, n_images in SIZES.items():
        images = rng.integers(0, 256, (n_images, *shape), np.uint8)
        arrays[f"{split}_images"] = images
        high = 2 if n_labels > 1 else 3
        arrays[f"{split}_labels"] = rng.integers(0, high, (n_images, n_labels))
    # one class that is in a single split
    arrays["val_labels"][0] = 1 if n_labels > 1 else 3
    arrays |= changes
    np.savez(path, **{key: of for key, of in arrays.items() if of is not None})
    return arrays


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 3), (64, 64)])
def test_splits_follow_each_other(tmp_path, rng, shape):
    path = tmp_path / "pneumoniamnist.npz"
    arrays = write_set(path, rng, shape=shape)
    scans = load_medmnist(str(path))
    assert scans.data.dtype == np.uint8
    np.testing.assert_array_equal(
        scans.data, np.concatenate([arrays[f"{split}_images"] for split in SIZES])
    )
    np.testing.assert_array_equal(
        scans.target,
        np.concatenate([arrays[f"{split}_labels"][:, 0] for split in SIZES]),
    )
    assert scans.target.dtype == np.int64
    assert scans.target_names == ["0", "1", "2", "3"]
    assert scans.split.tolist() == ["train"] * 4 + ["val"] * 2 + ["test"] * 3
    assert scans.groups is None
    assert "MedMNIST: pneumoniamnist\n------------------------\n" in scans.DESCR


def test_subset_picks_splits_and_keeps_the_classes(tmp_path, rng):
    path = tmp_path / "a.npz"
    arrays = write_set(path, rng)
    scans = load_medmnist(path, subset=["test", "train"])
    assert scans.split.tolist() == ["train"] * 4 + ["test"] * 3
    np.testing.assert_array_equal(scans.data[:4], arrays["train_images"])
    assert scans.target_names == ["0", "1", "2", "3"]
    with pytest.raises(ValueError, match="subset must be 'train'"):
        load_medmnist(path, subset="dev")


def test_several_labels_of_an_image_are_kept(tmp_path, rng):
    arrays = write_set(tmp_path / "chestmnist.npz", rng, n_labels=14)
    scans = load_medmnist(tmp_path / "chestmnist.npz", subset="val")
    np.testing.assert_array_equal(scans.target, arrays["val_labels"])
    assert scans.target_names == [str(k) for k in range(14)]


def test_volumes_are_refused(tmp_path, rng):
    write_set(tmp_path / "organmnist3d.npz", rng, shape=(28, 28, 28))
    with pytest.raises(ValueError, match=r"\(4, 28, 28, 28\)\. These are volumes"):
        load_medmnist(tmp_path / "organmnist3d.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"val_images": None},
            r"Expected the arrays .*'val_images'.*; found \['test_im",
        ),
        ({"val_images": np.zeros((2, 28, 28))}, "must be uint8 .* got float64"),
        ({"val_images": np.zeros((3, 28, 28), np.uint8)}, "val has 3 images and 2 lab"),
        (
            {"val_labels": np.zeros(2, int)},
            r"labels must be .* got int64 of shape \(2,",
        ),
    ],
)
def test_other_arrays_are_explained(tmp_path, rng, changes, message):
    write_set(tmp_path / "a.npz", rng, **changes)
    with pytest.raises(ValueError, match=message):
        load_medmnist(tmp_path / "a.npz")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.npz' is not a file"):
        load_medmnist(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_text("no archive")
    with pytest.raises(ValueError, match=r"a\.npz' is not an \.npz file"):
        load_medmnist(tmp_path / "a.npz")


def test_arrays_of_objects_are_refused(tmp_path, rng):
    images = np.array([np.zeros((28, 28)), None], dtype=object)
    path = tmp_path / "set.npz"
    write_set(path, rng, train_images=images)
    with pytest.raises(ValueError, match=r"set\.npz: train_images cannot be read: Obj"):
        load_medmnist(path)
