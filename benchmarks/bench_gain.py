"""Gain of pretrained frozen features over untrained features and raw pixels.

For each seed, a network is pretrained on all images without labels. Logistic regression
is then fitted to the few labelled images and scored once on a test set. The settings in
`_datasets.py` were chosen on seed 0 of CIFAR-10, phantoms and X-rays. The test split of
COVID-CT was not used to choose anything.

    python benchmarks/bench_gain.py phantoms
    python benchmarks/bench_gain.py cifar10 --data cifar10-jpeg.zip
    python benchmarks/bench_gain.py xray --data covid-radiography-96.zip
    python benchmarks/bench_gain.py covid-ct --data covid-ct --luna luna-288
"""

import argparse
import time
from pathlib import Path

import numpy as np
from _datasets import DATASETS, Dataset
from _results import save
from _scoring import describe, make_probe, raw_pixels, score_test
from _spread import mean_and_spread

from skssl import SelfSupervisedPretrainer
from skssl.pretext import get_pretext


def run_seed(dataset: Dataset, methods: list[str], seed: int) -> list[dict]:
    """Return one row for each kind of features."""
    rows = []
    pixels = [raw_pixels(X) for X in (dataset.X, dataset.X_test)]
    scores = score_test(make_probe(pca_seed=seed), pixels, dataset)
    rows.append({"features": "raw pixels (PCA)", **describe(scores)})
    for method in ["untrained", *methods]:
        start = time.perf_counter()
        own = dataset.method_settings.get(method, {})
        settings = {"pretext": method} | dataset.settings | own
        if method == "untrained":
            settings = {"pretext": "simclr", **dataset.settings, "max_epochs": 0}
        settings["pretext"] = get_pretext(settings["pretext"]).set_params(
            augmentation=dataset.augmentation
        )
        ssl = SelfSupervisedPretrainer(random_state=seed).set_params(**settings)
        ssl.fit(dataset.unlabelled)
        seconds = time.perf_counter() - start
        features = [ssl.transform(X) for X in (dataset.X, dataset.X_test)]
        scores = score_test(make_probe(), features, dataset)
        row = {"features": method, **describe(scores)}
        row["pretraining_seconds"] = round(seconds, 1)
        if method != "untrained":
            row["loss"] = [round(epoch["loss"], 4) for epoch in ssl.history_]
            row["feature_std"] = round(ssl.history_[-1]["feature_std"], 3)
            row["batch_size"] = ssl.batch_size_
        rows.append(row)
        print(_line(seed, row), flush=True)
    return rows


def summarize(rows: list[dict]) -> None:
    """Print means and standard deviations over seeds."""
    print(f"\n{'features':18} {'cv':15} {'test':15} gain over untrained")
    names = list(dict.fromkeys(row["features"] for row in rows))
    base = np.array([row["test"] for row in rows if row["features"] == "untrained"])
    for name in names:
        matching = [row for row in rows if row["features"] == name]
        cv, test = (np.array([row[key] for row in matching]) for key in ("cv", "test"))
        gain = test - base
        print(
            f"{name:18} {mean_and_spread(cv):15} {mean_and_spread(test):15} "
            f"{mean_and_spread(gain, sign='+')}"
        )


def _line(seed: int, row: dict) -> str:
    return (
        f"seed {seed} {row['features']:12} cv {row['cv']:.3f} test {row['test']:.3f} "
        f"[{row['test_low']:.3f}, {row['test_high']:.3f}] "
        f"{row.get('pretraining_seconds', 0):.0f} s"
    )


def main() -> None:
    """Run all seeds on one data set, print a summary and save the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", choices=DATASETS)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--luna", type=Path, help="more slices for pretraining")
    parser.add_argument("--methods", nargs="+", default=["simclr", "moco"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for seed in args.seeds:
        dataset = DATASETS[args.dataset](args, seed)
        given = {"max_epochs": args.epochs, "batch_size": args.batch}
        for settings in (dataset.settings, *dataset.method_settings.values()):
            settings |= {name: value for name, value in given.items() if value}
        rows += [{"seed": seed, **row} for row in run_seed(dataset, args.methods, seed)]
    summarize(rows)
    save(
        args.json,
        {
            "study": args.dataset,
            "metric": dataset.metric,
            "settings": {
                **dataset.settings,
                "augmentation": dataset.augmentation,
                "methods": dataset.method_settings,
                "luna": args.luna is not None,
            },
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
