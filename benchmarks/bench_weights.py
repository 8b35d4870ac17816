"""What initial weights are worth on COVID-CT, and what pretraining on top adds.

    python benchmarks/bench_weights.py --data covid-ct --weights FILE
    python benchmarks/bench_weights.py --data covid-ct --weights FILE --cross-validate

FILE holds the weights of EfficientNet-lite0 that ``imagenet_lite.py`` writes.

The first command scores the official test split: logistic regression on frozen
features, with C selected by patient-grouped cross-validation of train and val, and
fine-tuning with fixed settings. The second compares frozen features by repeated
patient-grouped cross-validation of all slices. The pretraining runs inside each fold,
on its training rows only, and C is selected within them. Runs that are in the results
file are skipped.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from _results import RowsFile
from _scoring import choose, make_probe
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils import Bunch

from skssl import FineTuneClassifier, Phase, SelfSupervisedPretrainer
from skssl.datasets import load_covid_ct
from skssl.metrics import delong_interval

LITE = "timm/tf_efficientnet_lite0"
SIZE_PX = 224
PRETEXT_PX = 128
N_FOLDS = 5
PHASE = Phase(
    "all",
    optimizer="adam",
    lr=1e-4,
    epochs=15,
    batch_size=16,
    schedule="cosine",
    weight_decay=0.0,
)
# What is added to ImageNet weights before the features are taken.
PRETEXTS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "simclr": {"pretext": "simclr", "max_epochs": 10},
    "moco": {"pretext": "moco", "max_epochs": 10},
}


def untrained(weights: Path | None, px: int, seed: int) -> SelfSupervisedPretrainer:
    """Return a pretrainer that gives the features of the initial weights."""
    return SelfSupervisedPretrainer(
        backbone=LITE, weights=weights, image_size=px, max_epochs=0, random_state=seed
    )


def score(scores: np.ndarray, test: Bunch) -> dict[str, Any]:
    """Return AUC, its interval by patients, and accuracy of test scores."""
    interval = delong_interval(test.target, scores, groups=test.groups)
    return {
        "auc": round(interval.estimate, 4),
        "auc_low": round(interval.low, 4),
        "auc_high": round(interval.high, 4),
        "accuracy": round(accuracy_score(test.target, scores > 0), 4),
        "scores": np.round(scores, 4).tolist(),
    }


def frozen(fit: Bunch, test: Bunch, weights: Path | None, seed: int) -> dict[str, Any]:
    """Score logistic regression on the features of the initial weights."""
    ssl = untrained(weights, SIZE_PX, seed).fit(fit.data)
    h, h_test = ssl.transform(fit.data), ssl.transform(test.data)
    search = choose(make_probe(), h, fit.target, fit.groups, "roc_auc")
    scores = search.decision_function(h_test)
    return {"cv": round(float(search.best_score_), 4), **score(scores, test)}


def fine_tuned(
    fit: Bunch, test: Bunch, weights: Path | None, seed: int
) -> dict[str, Any]:
    """Score a network that is fine-tuned with fixed settings."""
    clf = FineTuneClassifier(
        backbone=LITE,
        weights=weights,
        image_size=SIZE_PX,
        phases=[PHASE],
        random_state=seed,
    ).fit(fit.data, fit.target, groups=fit.groups)
    return score(clf.decision_function(test.data), test)


def run_tests(args: argparse.Namespace, file: RowsFile) -> None:
    """Score the official test split once for each procedure and seed."""
    fit = load_covid_ct(args.data, subset=["train", "val"])
    test = load_covid_ct(args.data, subset="test")
    jobs = [("frozen", None, seed) for seed in args.seeds]
    jobs += [("frozen", args.weights, 0)]  # nothing in it is random
    jobs += [("fine-tuned", args.weights, seed) for seed in args.seeds]
    done = {(row["procedure"], row["start"], row["seed"]) for row in file.rows()}
    for procedure, weights, seed in jobs:
        start = "random" if weights is None else "ImageNet"
        if (procedure, start, seed) in done:
            continue
        began = time.perf_counter()
        run = frozen if procedure == "frozen" else fine_tuned
        row = {"procedure": procedure, "start": start, "seed": seed}
        row |= run(fit, test, weights, seed)
        row["seconds"] = round(time.perf_counter() - began)
        file.add(row)
        print({k: v for k, v in row.items() if k != "scores"}, flush=True)


def run_folds(args: argparse.Namespace, file: RowsFile) -> None:
    """Cross-validate frozen features, with a pretraining in each fold."""
    scans = load_covid_ct(args.data)
    done = {
        (row["pretext"], row["seed"], row["fold"])
        for row in file.rows("cross_validation")
    }
    for repeat in args.seeds:
        folds = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=repeat)
        splits = folds.split(scans.target, scans.target, scans.groups)
        for fold, (train, test) in enumerate(splits):
            for pretext, settings in PRETEXTS.items():
                if (pretext, repeat, fold) in done:
                    continue
                began = time.perf_counter()
                ssl = untrained(args.weights, PRETEXT_PX, repeat)
                ssl = ssl.set_params(**(settings or {})).fit(
                    scans.data[train], groups=scans.groups[train]
                )
                # Features at the size of the labels, whatever the pretraining had.
                ssl = SelfSupervisedPretrainer(
                    backbone=ssl.backbone_, image_size=SIZE_PX, max_epochs=0
                ).fit(scans.data[train])
                h, h_test = (ssl.transform(scans.data[rows]) for rows in (train, test))
                search = choose(
                    make_probe(),
                    h,
                    scans.target[train],
                    scans.groups[train],
                    "roc_auc",
                )
                held_out = Bunch(target=scans.target[test], groups=scans.groups[test])
                row = {"pretext": pretext, "seed": repeat, "fold": fold}
                row |= score(search.decision_function(h_test), held_out)
                row["rows"] = test.tolist()
                row["seconds"] = round(time.perf_counter() - began)
                file.add(row, "cross_validation")
                shown = ("pretext", "seed", "fold", "auc", "seconds")
                print({name: row[name] for name in shown}, flush=True)


def main() -> None:
    """Run what is not in the results file yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--cross-validate", action="store_true")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    default = Path(__file__).parent / "results" / "weights_covid-ct.json"
    parser.add_argument("--json", type=Path, default=default)
    args = parser.parse_args()
    file = RowsFile(
        args.json,
        key=("procedure", "start", "pretext", "seed", "fold"),
        sections=("test", "cross_validation"),
    )
    (run_folds if args.cross_validate else run_tests)(args, file)


if __name__ == "__main__":
    main()
