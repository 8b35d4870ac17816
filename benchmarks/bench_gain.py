"""Does pretraining pay? Frozen features against untrained ones and raw pixels.

For each seed: pretrain on the images without labels, then logistic regression on the
few labelled ones, scored on a test set that nothing was chosen on.

    python benchmarks/bench_gain.py phantoms
    python benchmarks/bench_gain.py cifar10 --data cifar10-jpeg.zip
    python benchmarks/bench_gain.py xray --data covid-radiography-96.zip
    python benchmarks/bench_gain.py covid-ct --data covid-ct --luna luna-288
"""

import argparse
import io
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from _report import save
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import SelfSupervisedPretrainer
from skssl.data import ImageFormat, iter_batches, make_source, survey_images
from skssl.datasets import load_covid_ct, load_luna_slices, make_scan_phantoms
from skssl.metrics import bootstrap_interval
from skssl.pretext import get_pretext

C_GRID = [0.001, 0.01, 0.1, 1.0]


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
    augmentation: str = "auto"
    # What single methods get beside: parameters of the pretrainer and, as pretext__*,
    # of the task.
    methods: dict[str, dict] = field(default_factory=dict)


def phantoms(args: argparse.Namespace, seed: int) -> Study:  # noqa: ARG001
    """280 patients, of 40 of whom one slice, drawn at random, is labelled; 120 test."""
    scans = make_scan_phantoms(400, image_size=96, random_state=seed)
    rng = np.random.default_rng(seed)
    patients = rng.permutation(np.unique(scans.groups))
    train = np.flatnonzero(np.isin(scans.groups, patients[:280]))
    test = np.flatnonzero(np.isin(scans.groups, patients[280:]))
    # One slice of each patient: the first rows of a shuffled list.
    shuffled = rng.permutation(train)
    one_each = shuffled[np.unique(scans.groups[shuffled], return_index=True)[1]]
    labelled = _draw(one_each, 40, rng, y=scans.target)
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
        methods={"simclr": {"pretext__normalize_output": True}, "moco": {}},
    )


def cifar10(args: argparse.Namespace, seed: int) -> Study:
    """10,000 training images, 1,000 of them labelled; 10,000 test images."""
    archive = zipfile.ZipFile(args.data)
    X, y = _read_zip(archive, "train/", 1000)
    X_test, y_test = _read_zip(archive, "test/", 1000)
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
                "optimizer": "adamw",
                "lr": 5e-4,
                "pretext__batch_norm": True,
                "pretext__queue_size": 512,
            },
        },
    )


def xray(args: argparse.Namespace, seed: int) -> Study:
    """4,000 X-rays for the pretext, 100 labelled, 1,000 others for test."""
    archive = zipfile.ZipFile(args.data)
    X, y = _read_zip(archive, "COVID-19_Radiography_Dataset/", None)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    pretext, test = order[:4000], order[4000:5000]
    labelled = _draw(pretext, 100, rng)
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
        methods={"simclr": {"pretext__normalize_output": True}},
    )


STUDIES = {"phantoms": phantoms, "cifar10": cifar10, "xray": xray, "covid-ct": covid_ct}


def run_seed(study: Study, methods: list[str], seed: int) -> list[dict]:
    """Return one row for each way of making features."""
    rows = []
    pixels = [_pixels(X) for X in (study.X, study.X_test)]
    probe = make_pipeline(StandardScaler(), PCA(0.95, random_state=seed), _logistic())
    rows.append({"features": "raw pixels (PCA)", **evaluate(probe, pixels, study)})
    for method in ["untrained", *methods]:
        start = time.perf_counter()
        settings = {"pretext": method} | study.settings | study.methods.get(method, {})
        if method == "untrained":
            settings = {"pretext": "simclr", **study.settings, "max_epochs": 0}
        settings["pretext"] = get_pretext(settings["pretext"]).set_params(
            augmentation=study.augmentation
        )
        ssl = SelfSupervisedPretrainer(random_state=seed).set_params(**settings)
        ssl.fit(study.unlabelled)
        seconds = time.perf_counter() - start
        features = [ssl.transform(X) for X in (study.X, study.X_test)]
        probe = make_pipeline(StandardScaler(), _logistic())
        row = {"features": method, **evaluate(probe, features, study)}
        row["pretraining_seconds"] = round(seconds, 1)
        if method != "untrained":
            row["loss"] = [round(epoch["loss"], 4) for epoch in ssl.history_]
            row["feature_std"] = round(ssl.history_[-1]["feature_std"], 3)
            row["epochs"], row["batch_size"] = ssl.n_iter_, ssl.batch_size_
        rows.append(row)
        print(_line(seed, row), flush=True)
    return rows


def evaluate(probe: object, features: list[np.ndarray], study: Study) -> dict:
    """Choose C by patient-grouped cross-validation, then score the test set once."""
    search = GridSearchCV(
        probe,
        {"logisticregression__C": C_GRID},
        scoring=study.metric,
        cv=StratifiedGroupKFold(5, shuffle=True, random_state=0),
        error_score="raise",
    )
    search.fit(features[0], study.y, groups=study.groups)
    if study.metric == "accuracy":
        scores, metric = search.predict(features[1]), accuracy_score
    else:
        scores, metric = search.decision_function(features[1]), roc_auc_score
    interval = bootstrap_interval(
        study.y_test,
        scores,
        metric=metric,
        groups=study.groups_test,
        n_resamples=500,
        random_state=0,
    )
    return {
        "cv": round(float(search.best_score_), 4),
        "C": search.best_params_["logisticregression__C"],
        "test": round(interval.estimate, 4),
        "test_low": round(interval.low, 4),
        "test_high": round(interval.high, 4),
    }


def summarize(rows: list[dict]) -> None:
    """Print mean and spread over seeds."""
    print(f"\n{'features':18} {'cv':>15} {'test':>15}   gain over untrained")
    names = list(dict.fromkeys(row["features"] for row in rows))
    base = np.array([row["test"] for row in rows if row["features"] == "untrained"])
    for name in names:
        mine = [row for row in rows if row["features"] == name]
        cv, test = (np.array([row[key] for row in mine]) for key in ("cv", "test"))
        gain = test - base
        print(
            f"{name:18} {cv.mean():.3f} ± {cv.std():.3f}   {test.mean():.3f} ± "
            f"{test.std():.3f}   {gain.mean():+.3f} ± {gain.std():.3f}"
        )


def _logistic() -> LogisticRegression:
    return LogisticRegression(class_weight="balanced", max_iter=2000)


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


def _read_zip(
    archive: zipfile.ZipFile, prefix: str, per_class: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Decode the first images of each class folder under ``prefix``."""
    names = sorted(
        name
        for name in archive.namelist()
        if name.startswith(prefix) and name.lower().endswith((".jpg", ".png"))
    )
    folders = [name.removeprefix(prefix).split("/")[0] for name in names]
    _, target = np.unique(folders, return_inverse=True)
    keep = np.concatenate(
        [np.flatnonzero(target == c)[:per_class] for c in np.unique(target)]
    )
    images = [np.asarray(Image.open(io.BytesIO(archive.read(names[i])))) for i in keep]
    return np.stack(images), target[keep]


def _pixels(X: object) -> np.ndarray:
    """Return images as rows of 32 × 32 pixels, read as the pretrainer reads them."""
    source = make_source(X)
    survey = survey_images(source, range(len(source)))
    images = iter_batches(
        source,
        image_format=ImageFormat(n_channels=survey.n_channels),
        size=(32, 32),
        batch_size=256,
    )
    return torch.cat([batch.flatten(1) for batch in images]).numpy()


def _line(seed: int, row: dict) -> str:
    return (
        f"seed {seed} {row['features']:12} cv {row['cv']:.3f} test {row['test']:.3f} "
        f"[{row['test_low']:.3f}, {row['test_high']:.3f}] "
        f"{row.get('pretraining_seconds', 0):.0f} s"
    )


def main() -> None:
    """Run the studies asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--luna", type=Path, help="slices that join the pretraining")
    parser.add_argument("--methods", nargs="+", default=["simclr", "moco"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for seed in args.seeds:
        study = STUDIES[args.study](args, seed)
        given = {"max_epochs": args.epochs, "batch_size": args.batch}
        for settings in (study.settings, *study.methods.values()):
            settings |= {name: value for name, value in given.items() if value}
        rows += [{"seed": seed, **row} for row in run_seed(study, args.methods, seed)]
    summarize(rows)
    save(
        args.json,
        {
            "study": args.study,
            "metric": study.metric,
            "settings": {
                **study.settings,
                "augmentation": study.augmentation,
                "methods": study.methods,
                "luna": args.luna is not None,
            },
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
