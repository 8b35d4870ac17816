"""Training from random weights on COVID-CT, with procedures chosen on train and val.

Each procedure is scored by patient-grouped cross-validation of the train and val
slices. ``--test`` then fits the procedures with the highest mean AUC to all of these
slices, with each seed, and scores the official test split once: with the best procedure
alone, and with the mean log odds of the best three. Runs that are in the file are
skipped. Several processes with other ``--procedures`` or ``--seeds`` may share a file.

    python benchmarks/bench_scratch.py --data covid-ct --luna luna
    python benchmarks/bench_scratch.py --data covid-ct --luna luna --test
"""

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _results import ResultsFileError, RowsFile
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from skssl import FineTuneClassifier, Phase, SelfSupervisedPretrainer
from skssl.augment import get_recipe
from skssl.datasets import load_covid_ct, load_luna_slices
from skssl.metrics import delong_interval

FOLDS = StratifiedGroupKFold(3, shuffle=True, random_state=0)
N_BEST = 3
STRONG = get_recipe("medical_gray", crop_scale=(0.5, 1.0))
Procedure = Callable[[int, Any], FineTuneClassifier]


def supervised(**changes: Any) -> Procedure:
    """Return a function from a seed to a classifier with random initial weights."""

    def make(seed: int, external: Any) -> FineTuneClassifier:  # noqa: ARG001
        return FineTuneClassifier(**_settings(changes), random_state=seed)

    return make


def after_simclr(**changes: Any) -> Procedure:
    """Return a function to a classifier pretrained on LUNA and on its own images."""

    def make(seed: int, external: Any) -> FineTuneClassifier:
        settings = _settings(changes)
        ssl = SelfSupervisedPretrainer(
            "simclr",
            backbone=settings.pop("backbone"),
            weights=FrozenEstimator(external),
            image_size=settings["image_size"],
            max_epochs=20,
            batch_size=32,
        )
        return FineTuneClassifier(ssl, **settings, random_state=seed)

    return make


def _settings(changes: dict[str, Any]) -> dict[str, Any]:
    settings = {"backbone": "resnet18", "image_size": 112, "head": "mlp", **changes}
    epochs = settings.pop("epochs", 30)
    phase = Phase("all", epochs=epochs, schedule="cosine", warmup=0.05)
    return {**settings, "phases": [phase]}


PROCEDURES: dict[str, Procedure] = {
    "resnet18, 112 px": supervised(),
    "mean of 10 epochs": supervised(selection="average_last_k"),
    "stronger views": supervised(augmentation=STRONG),
    "60 epochs, stronger views": supervised(epochs=60, augmentation=STRONG),
    "60 epochs, stronger views, mean of 10": supervised(
        epochs=60, augmentation=STRONG, selection="average_last_k"
    ),
    "120 epochs, stronger views": supervised(epochs=120, augmentation=STRONG),
    "aspect ratio kept": supervised(resize="pad"),
    "120 epochs, stronger views, smoothed labels": supervised(
        epochs=120, label_smoothing=0.1, augmentation=STRONG
    ),
    "160 px, stronger views": supervised(image_size=160, augmentation=STRONG),
    "60 epochs at 160 px, stronger views": supervised(
        epochs=60, image_size=160, augmentation=STRONG
    ),
    "densenet121, stronger views": supervised(
        backbone="densenet121", augmentation=STRONG
    ),
    "SimCLR on LUNA and train": after_simclr(augmentation=STRONG),
}
_NEEDS_LUNA = ("SimCLR on LUNA and train",)


def main() -> None:
    """Cross-validate the requested procedures, or test the best ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--luna", type=Path)
    parser.add_argument(
        "--procedures", nargs="+", choices=PROCEDURES, default=list(PROCEDURES)
    )
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    path = args.json or Path(__file__).parent / "results" / "scratch_covid-ct.json"
    file = RowsFile(
        path,
        key=("procedure", "seed"),
        sections=("cross_validation", "fits", "test"),
    )
    scans = load_covid_ct(args.data)
    try:
        if args.test:
            test_best(scans, args.luna, args.procedures, args.seeds, file)
        else:
            cross_validate(scans, args.luna, args.procedures, file)
    except ResultsFileError as error:
        parser.error(str(error))


def cross_validate(
    scans: Any, luna: Path | None, names: list[str], file: RowsFile
) -> None:
    """Score procedures by cross-validation of the train and val slices."""
    X, y, groups = _rows(scans, scans.split != "test")
    finished = {row["procedure"] for row in file.rows("cross_validation")}
    names = [name for name in names if name not in finished]
    if names and file.rows("fits"):
        raise ResultsFileError(
            f"{file.path} holds fits that were scored on the test split, so the best "
            f"procedures can no longer change. To cross-validate {', '.join(names)}, "
            "pass another file as --json."
        )
    for name in names:
        if name in _NEEDS_LUNA and luna is None:
            continue
        start = time.perf_counter()
        external = _external(name, luna, 0)
        aucs = []
        for train, test in FOLDS.split(X, y, groups):
            clf = PROCEDURES[name](0, external)
            clf.fit(X[train], y[train], groups=groups[train])
            aucs.append(roc_auc_score(y[test], clf.decision_function(X[test])))
        row = {
            "procedure": name,
            "auc": round(float(np.mean(aucs)), 4),
            "sd": round(float(np.std(aucs)), 4),
            "seconds": round(time.perf_counter() - start, 1),
        }
        _add(file, "cross_validation", row)


def test_best(
    scans: Any, luna: Path | None, names: list[str], seeds: list[int], file: RowsFile
) -> None:
    """Fit the procedures with the highest mean AUC, and score the test split."""
    X, y, groups = _rows(scans, scans.split != "test")
    X_test, y_test, groups_test = _rows(scans, scans.split == "test")
    for seed, name in itertools.product(seeds, _best(file)):
        if name in names and (name, seed) not in _fits(file):
            clf = PROCEDURES[name](seed, _external(name, luna, seed))
            log_odds = clf.fit(X, y, groups=groups).decision_function(X_test)
            row = {"procedure": name, "seed": seed}
            _add(file, "fits", {**row, "log_odds": log_odds.round(4).tolist()})
    best, fits = _best(file), _fits(file)
    for seed in seeds:
        if all((name, seed) in fits for name in best):
            log_odds = np.array([fits[name, seed] for name in best])
            mean = "mean of: " + "; ".join(best)
            for name, scores in ((best[0], log_odds[0]), (mean, log_odds.mean(axis=0))):
                metrics = _test_metrics(y_test, scores, groups_test)
                _add(file, "test", {"procedure": name, "seed": seed, **metrics})


def _best(file: RowsFile) -> list[str]:
    """Return the procedures with the highest mean AUC, best first."""
    ranked = sorted(file.rows("cross_validation"), key=lambda row: -row["auc"])
    return [row["procedure"] for row in ranked[:N_BEST]]


def _fits(file: RowsFile) -> dict[tuple[str, int], list[float]]:
    """Return the log odds of the test slices, by procedure and seed."""
    return {
        (row["procedure"], row["seed"]): row["log_odds"] for row in file.rows("fits")
    }


def _rows(scans: Any, mask: np.ndarray) -> tuple[np.ndarray, ...]:
    return scans.data[mask], scans.target[mask], scans.groups[mask]


def _external(name: str, luna: Path | None, seed: int) -> Any:
    """Return SimCLR pretrained on LUNA, if a procedure starts from it."""
    if name not in _NEEDS_LUNA:
        return None
    slices = load_luna_slices(luna)
    ssl = SelfSupervisedPretrainer(
        "simclr", image_size=112, max_epochs=20, batch_size=32, random_state=seed
    )
    return ssl.fit(slices.data, groups=slices.groups)


def _test_metrics(
    y: np.ndarray, log_odds: np.ndarray, groups: np.ndarray
) -> dict[str, float]:
    auc = delong_interval(y, log_odds, groups=groups)
    metrics = {
        "auc": auc.estimate,
        "auc_low": auc.low,
        "auc_high": auc.high,
        "accuracy": accuracy_score(y, log_odds > 0),
    }
    return {name: round(float(value), 4) for name, value in metrics.items()}


def _add(file: RowsFile, section: str, row: dict[str, Any]) -> None:
    """Print a row, and add it to the file."""
    shown = {name: value for name, value in row.items() if name != "log_odds"}
    print(" · ".join(f"{name} {value}" for name, value in shown.items()), flush=True)
    file.add(row, section)


if __name__ == "__main__":
    main()
