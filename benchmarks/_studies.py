"""Data sets, their splits and the settings of pretraining for `bench_gain.py`."""

import argparse
import io
import zipfile
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from skssl.datasets import load_covid_ct, load_luna_slices, make_scan_phantoms

# A slow key network, which goes with SGD and version 2's projector.
SLOW_MOCO = {
    "optimizer": "sgd",
    "lr": 0.02,
    "pretext__momentum": 0.99,
    "pretext__batch_norm": False,
}


@dataclass
class Study:
    """One data set, split, with the settings of its pretraining."""

    unlabelled: object  # what the pretext sees
    X: object
    y: np.ndarray
    X_test: object
    y_test: np.ndarray
    groups: np.ndarray
    groups_test: np.ndarray
    metric: str
    settings: dict = field(default_factory=dict)
    # Rows of X of each draw of labels; by default all are one draw.
    label_sets: list[np.ndarray] | None = None
    augmentation: str = "auto"
    # Settings of single methods: of the pretrainer, and of the task as pretext__*.
    methods: dict[str, dict] = field(default_factory=dict)


def phantoms(
    args: argparse.Namespace,  # noqa: ARG001
    seed: int,
    *,
    n_test: int = 120,
    n_draws: int = 1,
    lesion_contrast: float = 1.0,
) -> Study:
    """280 patients, of 40 of whom one slice, drawn at random, is labelled."""
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
        # One slice of each patient: the first rows of a shuffled list.
        shuffled = rng.permutation(train)
        one_each = shuffled[np.unique(scans.groups[shuffled], return_index=True)[1]]
        draws.append(_draw(one_each, 40, rng, y=scans.target))
    labelled = np.concatenate(draws)
    return Study(
        scans.data[train],
        scans.data[labelled],
        scans.target[labelled],
        scans.data[test],
        scans.target[test],
        scans.groups[labelled],
        scans.groups[test],
        "roc_auc",
        {"image_size": 64, "max_epochs": 20, "batch_size": 32},
        label_sets=_places(draws),
        methods={
            "simclr": {"pretext__normalize_output": True},
            "moco": {"max_epochs": 60, **SLOW_MOCO},
        },
    )


def cifar10(args: argparse.Namespace, seed: int) -> Study:
    """10,000 training images, 1,000 of them labelled; 10,000 test images."""
    archive = zipfile.ZipFile(args.data)
    X, y = read_zip(archive, "train/", 1000)
    X_test, y_test = read_zip(archive, "test/", 1000)
    rng = np.random.default_rng(seed)
    labelled = rng.permutation(len(X))[:1000]
    return Study(
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
        methods={
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
) -> Study:
    """Some X-rays for the pretext, 100 of them labelled, 1,000 others for test."""
    archive = zipfile.ZipFile(args.data)
    X, y = read_zip(archive, "COVID-19_Radiography_Dataset/", None)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    pretext, test = order[:n_unlabelled], order[4000:5000]
    draws = [_draw(pretext, 100, rng) for _ in range(n_draws)]
    labelled = np.concatenate(draws)
    return Study(
        X[pretext],
        X[labelled],
        y[labelled],
        X[test],
        y[test],
        labelled,
        test,
        "roc_auc",
        {"image_size": 64, "max_epochs": 15, "batch_size": 64},
        label_sets=_places(draws),
        methods={"moco": {"pretext__momentum": 0.99}},
    )


def covid_ct(args: argparse.Namespace, seed: int) -> Study:  # noqa: ARG001
    """Official split: train and val for pretext and probe, test for the report."""
    scans = load_covid_ct(args.data)
    train = np.flatnonzero(np.isin(scans.split, ["train", "val"]))
    test = np.flatnonzero(scans.split == "test")
    unlabelled = list(scans.data[train])
    if args.luna:
        unlabelled += list(load_luna_slices(args.luna).data)
    return Study(
        unlabelled,
        scans.data[train],
        scans.target[train],
        scans.data[test],
        scans.target[test],
        scans.groups[train],
        scans.groups[test],
        "roc_auc",
        {"image_size": 112, "max_epochs": 20, "batch_size": 32},
        methods={
            "simclr": {"pretext__normalize_output": True},
            "moco": {**SLOW_MOCO},
        },
    )


STUDIES = {"phantoms": phantoms, "cifar10": cifar10, "xray": xray, "covid-ct": covid_ct}


def shuffle_patients(groups: np.ndarray, seed: int) -> np.ndarray:
    """Return the rows in an order in which patients come at random, each in a block.

    COVID-CT lies sorted by class: its first quarter would be of one class.
    """
    _, patient = np.unique(groups, return_inverse=True)
    place = np.random.default_rng(seed).permutation(patient.max() + 1)
    return np.argsort(place[patient], kind="stable")


def _draw(
    rows: np.ndarray, n: int, rng: np.random.Generator, y: np.ndarray | None = None
) -> np.ndarray:
    """Draw n of ``rows``: as they come, or, given y, as many of each class."""
    if y is None:
        return rng.permutation(rows)[:n]
    classes = np.unique(y)
    return np.concatenate(
        [rng.permutation(rows[y[rows] == c])[: n // len(classes)] for c in classes]
    )


def _places(draws: list[np.ndarray]) -> list[np.ndarray]:
    """Return where each draw lies in all of them, one after the other."""
    ends = np.cumsum([len(draw) for draw in draws])
    return np.split(np.arange(ends[-1]), ends[:-1])


def read_zip(
    archive: zipfile.ZipFile, prefix: str, per_class: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Decode the first images of each class folder under ``prefix``.

    Raises
    ------
    ValueError
        If there are none, or ``per_class`` is below 1.
    """
    names = sorted(
        name
        for name in archive.namelist()
        if name.startswith(prefix) and name.lower().endswith((".jpg", ".png"))
    )
    if not names:
        raise ValueError(f"no {prefix}<class>/*.jpg or *.png is in it.")
    if per_class is not None and per_class < 1:
        raise ValueError(f"{per_class} images of each class were asked for.")
    folders = [name.removeprefix(prefix).split("/")[0] for name in names]
    _, target = np.unique(folders, return_inverse=True)
    keep = np.concatenate(
        [np.flatnonzero(target == c)[:per_class] for c in np.unique(target)]
    )
    images = [np.asarray(Image.open(io.BytesIO(archive.read(names[i])))) for i in keep]
    return np.stack(images), target[keep]
