"""Data sets of the benchmarks, with their splits and pretraining settings."""

import argparse
import io
import zipfile
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from skssl.datasets import load_covid_ct, load_luna_slices, make_scan_phantoms

# A slowly updated key network, combined with SGD and the projector of MoCo v2.
SLOW_MOCO = {
    "optimizer": "sgd",
    "lr": 0.02,
    "pretext__momentum": 0.99,
    "pretext__batch_norm": False,
}


@dataclass
class Dataset:
    """One data set, split, with the settings of its pretraining."""

    unlabelled: object  # images for pretraining
    X: object
    y: np.ndarray
    X_test: object
    y_test: np.ndarray
    groups: np.ndarray
    groups_test: np.ndarray
    metric: str
    settings: dict = field(default_factory=dict)
    # Rows of X in each draw of labels; None: one draw, of all rows.
    label_sets: list[np.ndarray] | None = None
    augmentation: str = "auto"
    # By method: settings of the pretrainer, and of the pretext as pretext__*.
    method_settings: dict[str, dict] = field(default_factory=dict)


def phantoms(
    args: argparse.Namespace,  # noqa: ARG001
    seed: int,
    *,
    n_test: int = 120,
    n_draws: int = 1,
    lesion_contrast: float = 1.0,
) -> Dataset:
    """280 patients; 40 of them have one labelled slice each, drawn at random."""
    scans = make_scan_phantoms(
        280 + n_test,
        image_size=96,
        lesion_contrast=lesion_contrast,
        random_state=seed,
    )
    rng = np.random.default_rng(seed)
    patients = rng.permutation(np.unique(scans.groups))
    train = np.flatnonzero(np.isin(scans.groups, patients[:280]))
    test = np.flatnonzero(np.isin(scans.groups, patients[280:]))
    draws = []
    for _ in range(n_draws):
        # One slice per patient: its first row in a shuffled list.
        shuffled = rng.permutation(train)
        one_each = shuffled[np.unique(scans.groups[shuffled], return_index=True)[1]]
        draws.append(_draw(one_each, 40, rng, y=scans.target))
    labelled = np.concatenate(draws)
    return Dataset(
        scans.data[train],
        scans.data[labelled],
        scans.target[labelled],
        scans.data[test],
        scans.target[test],
        scans.groups[labelled],
        scans.groups[test],
        "roc_auc",
        {"image_size": 64, "max_epochs": 20, "batch_size": 32},
        label_sets=_positions(draws),
        method_settings={
            "simclr": {"pretext__normalize_output": True},
            "moco": {"max_epochs": 60, **SLOW_MOCO},
        },
    )


def cifar10(args: argparse.Namespace, seed: int) -> Dataset:
    """10,000 training images, of which 1,000 are labelled; 10,000 test images."""
    archive = zipfile.ZipFile(args.data)
    X, y = read_zip(archive, "train/", 1000)
    X_test, y_test = read_zip(archive, "test/", 1000)
    rng = np.random.default_rng(seed)
    labelled = rng.permutation(len(X))[:1000]
    return Dataset(
        X,
        X[labelled],
        y[labelled],
        X_test,
        y_test,
        labelled,
        np.arange(len(X_test)),
        "accuracy",
        {"max_epochs": 6, "batch_size": 64},
        augmentation="moco_v2",
        method_settings={
            "simclr": {"pretext__normalize_output": True},
            "moco": {
                "max_epochs": 16,
                "pretext__momentum": 0.99,
                "pretext__queue_size": 512,
            },
        },
    )


def xray(
    args: argparse.Namespace, seed: int, *, n_unlabelled: int = 4000, n_draws: int = 1
) -> Dataset:
    """X-rays for pretraining, of which 100 are labelled; 1,000 others for the test."""
    archive = zipfile.ZipFile(args.data)
    X, y = read_zip(archive, "COVID-19_Radiography_Dataset/", None)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    pretext, test = order[:n_unlabelled], order[4000:5000]
    draws = [_draw(pretext, 100, rng) for _ in range(n_draws)]
    labelled = np.concatenate(draws)
    return Dataset(
        X[pretext],
        X[labelled],
        y[labelled],
        X[test],
        y[test],
        labelled,
        test,
        "roc_auc",
        {"image_size": 64, "max_epochs": 15, "batch_size": 64},
        label_sets=_positions(draws),
        method_settings={"moco": {"pretext__momentum": 0.99}},
    )


def covid_ct(args: argparse.Namespace, seed: int) -> Dataset:  # noqa: ARG001
    """Official split: train and val for pretraining and probe, test for scoring."""
    scans = load_covid_ct(args.data)
    train = np.flatnonzero(np.isin(scans.split, ["train", "val"]))
    test = np.flatnonzero(scans.split == "test")
    unlabelled = list(scans.data[train])
    if args.luna:
        unlabelled += list(load_luna_slices(args.luna).data)
    return Dataset(
        unlabelled,
        scans.data[train],
        scans.target[train],
        scans.data[test],
        scans.target[test],
        scans.groups[train],
        scans.groups[test],
        "roc_auc",
        {"image_size": 112, "max_epochs": 20, "batch_size": 32},
        method_settings={
            "simclr": {"pretext__normalize_output": True},
            "moco": {**SLOW_MOCO},
        },
    )


DATASETS = {
    "phantoms": phantoms,
    "cifar10": cifar10,
    "xray": xray,
    "covid-ct": covid_ct,
}


def shuffle_patients(groups: np.ndarray, seed: int) -> np.ndarray:
    """Return the rows with patients in random order, each patient in one block.

    COVID-CT is sorted by class, so that its first quarter has one class only.
    """
    _, patient = np.unique(groups, return_inverse=True)
    rank = np.random.default_rng(seed).permutation(patient.max() + 1)
    return np.argsort(rank[patient], kind="stable")


def _draw(
    rows: np.ndarray, n: int, rng: np.random.Generator, y: np.ndarray | None = None
) -> np.ndarray:
    """Draw n of ``rows``; if y is given, equally many of each class."""
    if y is None:
        return rng.permutation(rows)[:n]
    classes = np.unique(y)
    return np.concatenate(
        [rng.permutation(rows[y[rows] == c])[: n // len(classes)] for c in classes]
    )


def _positions(draws: list[np.ndarray]) -> list[np.ndarray]:
    """Return the positions of each draw in the concatenation of all draws."""
    ends = np.cumsum([len(draw) for draw in draws])
    return np.split(np.arange(ends[-1]), ends[:-1])


def read_zip(
    archive: zipfile.ZipFile, prefix: str, per_class: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Decode the first images of each class folder under ``prefix``.

    Raises
    ------
    ValueError
        If there are no images, or ``per_class`` is below 1.
    """
    names = sorted(
        name
        for name in archive.namelist()
        if name.startswith(prefix) and name.lower().endswith((".jpg", ".png"))
    )
    if not names:
        raise ValueError(f"found no {prefix}<class>/*.jpg or *.png in it.")
    if per_class is not None and per_class < 1:
        raise ValueError(f"per_class must be at least 1, got {per_class}.")
    folders = [name.removeprefix(prefix).split("/")[0] for name in names]
    _, target = np.unique(folders, return_inverse=True)
    chosen = np.concatenate(
        [np.flatnonzero(target == c)[:per_class] for c in np.unique(target)]
    )
    images = [
        np.asarray(Image.open(io.BytesIO(archive.read(names[i])))) for i in chosen
    ]
    return np.stack(images), target[chosen]
