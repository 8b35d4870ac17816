"""How far random weights get on COVID-CT: procedures chosen on train and val alone.

Each procedure is scored by patient-grouped cross-validation of the training and
validation slices. ``--test`` then takes the ones with the highest mean AUC, fits them
to all of these slices with each seed, and scores the official test split once: the
best one alone, and the mean of the best three's log odds. What the file has is not run
again, and processes that are given other ``--procedures`` or ``--seeds`` share it.

    python benchmarks/bench_scratch.py --data covid-ct --luna luna
    python benchmarks/bench_scratch.py --data covid-ct --luna luna --test
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _report import save
from filelock import FileLock
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


def supervised(**changes: Any) -> Callable[[int, Any], FineTuneClassifier]:
    """Return what makes a classifier from random weights, for a seed."""

    def make(seed: int, external: Any) -> FineTuneClassifier:  # noqa: ARG001
        return FineTuneClassifier(**_settings(changes), random_state=seed)

    return make


def after_simclr(**changes: Any) -> Callable[[int, Any], FineTuneClassifier]:
    """Return what makes one that first learns from LUNA's and the training images."""

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


PROCEDURES: dict[str, Callable[[int, Any], FineTuneClassifier]] = {
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
    """Cross-validate what is asked for, or test the best."""
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
    scans = load_covid_ct(args.data)
    if args.test:
        test_best(scans, args.luna, args.procedures, args.seeds, path)
    else:
        cross_validate(scans, args.luna, args.procedures, path)


def cross_validate(scans: Any, luna: Path | None, names: list[str], path: Path) -> None:
    """Score procedures on folds of the training and validation slices."""
    X, y, groups = _rows(scans, scans.split != "test")
    found = _read(path)
    done = {row["procedure"] for row in found["cross_validation"]}
    names = [name for name in names if name not in done]
    if names and found["fits"]:
        raise SystemExit(
            f"{path} has fits for the test images: the choice was made. To compare "
            f"{', '.join(names)}, give another --json."
        )
    for name in names:
        if name in _NEEDS_LUNA and luna is None:
            continue
        start = time.perf_counter()
        external = _external(name, luna, 0)
        areas = []
        for fold, held in FOLDS.split(X, y, groups):
            clf = PROCEDURES[name](0, external)
            clf.fit(X[fold], y[fold], groups=groups[fold])
            areas.append(roc_auc_score(y[held], clf.decision_function(X[held])))
        row = {
            "procedure": name,
            "auc": round(float(np.mean(areas)), 4),
            "sd": round(float(np.std(areas)), 4),
            "seconds": round(time.perf_counter() - start, 1),
        }
        _add(path, "cross_validation", row)


def test_best(
    scans: Any, luna: Path | None, names: list[str], seeds: list[int], path: Path
) -> None:
    """Fit the procedures of the highest mean areas, and score the test slices."""
    X, y, groups = _rows(scans, scans.split != "test")
    X_test, y_test, groups_test = _rows(scans, scans.split == "test")
    for seed, name in itertools.product(seeds, _best(path)):
        if name in names and (name, seed) not in _fits(path):
            clf = PROCEDURES[name](seed, _external(name, luna, seed))
            odds = clf.fit(X, y, groups=groups).decision_function(X_test)
            row = {"procedure": name, "seed": seed, "log_odds": odds.round(4).tolist()}
            _add(path, "fits", row)
    best, fits = _best(path), _fits(path)
    for seed in seeds:
        if all((name, seed) in fits for name in best):
            odds = np.array([fits[name, seed] for name in best])
            mean = "mean of: " + "; ".join(best)
            for name, scores in ((best[0], odds[0]), (mean, odds.mean(axis=0))):
                figures = _tested(y_test, scores, groups_test)
                _add(path, "test", {"procedure": name, "seed": seed, **figures})


def _best(path: Path) -> list[str]:
    """Return the procedures of the highest mean areas, the highest first."""
    ranked = sorted(_read(path)["cross_validation"], key=lambda row: -row["auc"])
    return [row["procedure"] for row in ranked[:N_BEST]]


def _fits(path: Path) -> dict[tuple[str, int], list[float]]:
    """Return the log odds of the test slices, by procedure and seed."""
    fits = _read(path)["fits"]
    return {(row["procedure"], row["seed"]): row["log_odds"] for row in fits}


def _rows(scans: Any, which: np.ndarray) -> tuple[np.ndarray, ...]:
    return scans.data[which], scans.target[which], scans.groups[which]


def _external(name: str, luna: Path | None, seed: int) -> Any:
    """Return SimCLR after LUNA's slices, where a procedure goes on from it."""
    if name not in _NEEDS_LUNA:
        return None
    slices = load_luna_slices(luna)
    ssl = SelfSupervisedPretrainer(
        "simclr", image_size=112, max_epochs=20, batch_size=32, random_state=seed
    )
    return ssl.fit(slices.data, groups=slices.groups)


def _tested(y: np.ndarray, odds: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    area = delong_interval(y, odds, groups=groups)
    figures = {
        "auc": area.estimate,
        "auc_low": area.low,
        "auc_high": area.high,
        "accuracy": accuracy_score(y, odds > 0),
    }
    return {name: round(float(value), 4) for name, value in figures.items()}


def _read(path: Path) -> dict[str, list]:
    found = json.loads(path.read_text()) if path.exists() else {}
    return {part: found.get(part, []) for part in ("cross_validation", "fits", "test")}


def _add(path: Path, part: str, row: dict[str, Any]) -> None:
    """Say a row, and add it to what the file holds by now, in the place of its like."""
    shown = {name: value for name, value in row.items() if name != "log_odds"}
    print(" · ".join(f"{name} {value}" for name, value in shown.items()), flush=True)
    key = ("procedure", "seed")
    with FileLock(path.with_suffix(".lock")):
        found = _read(path)
        others = (
            old for old in found[part] if any(old.get(k) != row.get(k) for k in key)
        )
        found[part] = [*others, row]
        save(path, found)


if __name__ == "__main__":
    main()
