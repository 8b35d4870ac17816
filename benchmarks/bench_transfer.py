"""Fine-tuning on COVID-CT from random weights, from SimCLR and from the flip pretext.

For each network and seed, classifiers are trained on the official train and val splits
and scored once on test. The flip pretext sees the first 0, 25, 50, 75 and 100 % of the
training images, as in Ewen & Khan 2020. Since the set is sorted by class, patients are
shuffled with the seed first. Settings were chosen with ``--score-on val``, which trains
on the train split only. Runs that are in the file are skipped.

    python benchmarks/bench_transfer.py --data covid-ct
"""

import argparse
import time
from pathlib import Path

import numpy as np
from _datasets import shuffle_patients
from _results import ResultsFileError, RowsFile
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from skssl import (
    FineTuneClassifier,
    Phase,
    SelfSupervisedPretrainer,
    TargetedFlipPretrainer,
)
from skssl.augment import get_recipe
from skssl.datasets import load_covid_ct
from skssl.metrics import bootstrap_interval

SIZE = 112  # px
FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
FLIPS = {f"flip {fraction:.0%}": fraction for fraction in FRACTIONS}
RUNS = ("random init", "SimCLR, frozen", "SimCLR, fine-tuned", *FLIPS)
# Training starts from random weights, so the learning rates are not those of the
# papers. All runs but the frozen one share these phases.
FLIP_PHASES = [Phase("all", epochs=20, schedule="cosine", warmup=0.05)]
LABEL_PHASES = [Phase("all", epochs=30, schedule="cosine", warmup=0.05)]
SSL_EPOCHS = 40


def make_classifier(run: str, network: str, seed: int, ssl: object) -> object:
    """Return the unfitted classifier of a run."""
    settings = {
        "head": "mlp",
        "phases": LABEL_PHASES,
        # Without horizontal flips, whose detection is the flip pretext.
        "augmentation": get_recipe("self_trans_finetune", p_horizontal_flip=0.0),
        "random_state": seed,
    }
    if run == "random init":
        return FineTuneClassifier(backbone=network, image_size=SIZE, **settings)
    if run in FLIPS:
        flip = TargetedFlipPretrainer(
            backbone=network,
            image_size=SIZE,
            phases=FLIP_PHASES,
            fraction=FLIPS[run],
            random_state=seed,
        )
        return FineTuneClassifier(flip, **{**settings, "head": "auto"})
    if run == "SimCLR, frozen":
        settings |= {"frozen": True, "phases": "frozen"}
    return FineTuneClassifier(ssl, **settings)


def score(clf: object, X: object, y: np.ndarray, groups: np.ndarray) -> dict:
    """Return the metrics of a classifier on held-out images."""
    log_odds = clf.decision_function(X)
    predicted = log_odds > 0
    accuracy = float(np.mean(predicted == y))
    auc = bootstrap_interval(y, log_odds, groups=groups, random_state=0)
    metrics = {
        "accuracy": accuracy,
        # The formula of the paper: 1.96 sqrt(p (1 - p) / n).
        "accuracy_half_width": 1.96 * (accuracy * (1 - accuracy) / len(y)) ** 0.5,
        "balanced_accuracy": balanced_accuracy_score(y, predicted),
        "auc": roc_auc_score(y, log_odds),
        "auc_low": auc.low,
        "auc_high": auc.high,
        "f1": f1_score(y, predicted),
    }
    return {name: round(float(value), 4) for name, value in metrics.items()}


def main() -> None:
    """Run the requested classifiers that are not in the file yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", default=["resnet18", "crnet"])
    parser.add_argument("--runs", nargs="+", default=RUNS, choices=RUNS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--score-on", choices=["test", "val"], default="test")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    name = "transfer_covid-ct.json" if args.score_on == "test" else "transfer_val.json"
    path = args.json or Path(__file__).parent / "results" / name
    file = RowsFile(
        path,
        key=("network", "run", "seed"),
        header={"settings": settings(args.score_on)},
    )
    try:
        finished = file.keys()
    except ResultsFileError as error:
        parser.error(str(error))
    scans = load_covid_ct(args.data)
    splits = ["train", "val"] if args.score_on == "test" else ["train"]
    train = np.flatnonzero(np.isin(scans.split, splits))
    test = np.flatnonzero(scans.split == args.score_on)
    for network in args.networks:
        for seed in args.seeds:
            left = [run for run in args.runs if (network, run, seed) not in finished]
            shuffled = train[shuffle_patients(scans.groups[train], seed)]
            X, y, groups = (
                column[shuffled] for column in (scans.data, scans.target, scans.groups)
            )
            ssl = None
            if any("SimCLR" in run for run in left):
                ssl = SelfSupervisedPretrainer(
                    "simclr",
                    backbone=network,
                    image_size=SIZE,
                    max_epochs=SSL_EPOCHS,
                    batch_size=32,
                    random_state=seed,
                ).fit(X)
            for run in left:
                start = time.perf_counter()
                frozen = None if ssl is None else FrozenEstimator(ssl)
                clf = make_classifier(run, network, seed, frozen)
                clf.fit(X, y, groups=groups)
                row = {"network": network, "run": run, "seed": seed}
                row |= score(
                    clf, scans.data[test], scans.target[test], scans.groups[test]
                )
                row["loss"] = round(clf.history_[-1]["loss"], 4)
                row["seconds"] = round(time.perf_counter() - start, 1)
                if FLIPS.get(run):
                    pretext = clf.pretrainer_
                    row["flip_accuracy"] = round(pretext.score(scans.data[test]), 4)
                print(" · ".join(f"{k} {v}" for k, v in row.items()), flush=True)
                file.add(row)


def settings(score_on: str) -> dict:
    """Return the settings that all rows share."""
    return {
        "image_size": SIZE,
        "score_on": score_on,
        "ssl_epochs": SSL_EPOCHS,
        "flip_phases": [repr(phase) for phase in FLIP_PHASES],
        "label_phases": [repr(phase) for phase in LABEL_PHASES],
    }


if __name__ == "__main__":
    main()
