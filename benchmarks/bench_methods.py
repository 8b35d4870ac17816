"""All pretexts with the same data, network and epochs, each with its defaults.

For each seed, a network is pretrained on all images without labels. Logistic regression
is then fitted to the labelled images, with C chosen by patient-grouped
cross-validation. Phantoms and X-rays are scored once on a test set. COVID-CT is scored
by patient-grouped cross-validation of train and val, whose images every pretraining
saw without labels. The gain is the difference to the better one of raw pixels and the
untrained network. Its interval is paired: both sides are resampled with the same
patients.

Each run has its own process, so that its peak memory is known. Runs that are in the
file are skipped, unless the defaults of the method have changed.

    python benchmarks/bench_methods.py phantoms
    python benchmarks/bench_methods.py xray --data covid-radiography-96.zip
    python benchmarks/bench_methods.py covid-ct --data covid-ct
"""

import argparse
import json
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import torch
from _datasets import DATASETS, Dataset
from _results import ResultsFileError, RowsFile, peak_ram_gb
from _scoring import (
    Scores,
    compare,
    describe,
    make_probe,
    raw_pixels,
    score_folds,
    score_test,
)
from _spread import mean_and_spread
from joblib import cpu_count
from sklearn.pipeline import Pipeline

from skssl import SelfSupervisedPretrainer
from skssl.engine import feature_rank
from skssl.pretext import get_pretext, list_pretexts

# The same for all methods: 340 to 780 steps. The image size is 64 px.
SETTINGS = {
    "phantoms": {"max_epochs": 25, "batch_size": 32},
    "xray": {"max_epochs": 18, "batch_size": 32},
    "covid-ct": {"max_epochs": 20, "batch_size": 32},
}
SIZES: dict[str, dict[str, float]] = {
    "phantoms": {"n_test": 400, "n_draws": 5, "lesion_contrast": 2.0},
    "xray": {"n_unlabelled": 1000, "n_draws": 20},
    "covid-ct": {},
}
RAW, UNTRAINED, UNTRAINED_VIT = "raw pixels (PCA)", "untrained", "untrained ViT"
CONTROLS = [RAW, UNTRAINED, UNTRAINED_VIT]


def load(name: str, data: Path | None, seed: int) -> Dataset:
    """Return a data set at the size of this benchmark."""
    args = argparse.Namespace(data=data, luna=None)
    return DATASETS[name](args, seed, **SIZES[name])


def score_controls(name: str, data: Path | None, seed: int) -> list[Scores]:
    """Score the controls of the gain: raw pixels and the untrained network."""
    dataset = load(name, data, seed)
    untrained = make_pretrainer(name, UNTRAINED, seed).fit(dataset.unlabelled)
    return [
        score_pixels(name, dataset, seed),
        score_features(name, dataset, untrained)[1],
    ]


def run(
    name: str, data: Path | None, method: str, seed: int, controls: list[Scores]
) -> dict:
    """Return one row; called in a new process."""
    dataset = load(name, data, seed)
    row: dict = {"features": method, "seed": seed}
    if method == RAW:
        return row | describe(score_pixels(name, dataset, seed))
    ssl = make_pretrainer(name, method, seed).fit(dataset.unlabelled)
    row["peak_ram_gb"] = round(peak_ram_gb(), 2)
    h, scores = score_features(name, dataset, ssl)
    row |= describe(scores)
    if method not in CONTROLS:
        row["defaults"] = defaults(method)
    if method != UNTRAINED:
        row |= compare(scores, controls)
    row["rankme"] = round(float(feature_rank(torch.from_numpy(h))), 1)
    if ssl.n_iter_:
        history = ssl.history_
        speed = np.median([epoch["images_per_second"] for epoch in history])
        row["images_per_second"] = round(float(speed), 1)
        row["seconds"] = round(sum(epoch["seconds"] for epoch in history), 1)
        row["loss"] = [round(history[i]["loss"], 4) for i in (0, -1)]
        row["feature_std"] = round(history[-1]["feature_std"], 3)
        row["alignment"] = round(history[-1]["alignment"], 3)
        row["uniformity"] = round(history[-1]["uniformity"], 3)
    return row


def score_pixels(name: str, dataset: Dataset, seed: int) -> Scores:
    """Score raw pixels, the first control."""
    pixels = [raw_pixels(X) for X in (dataset.X, dataset.X_test)]
    return _score(name)(make_probe(pca_seed=seed), pixels, dataset)


def score_features(
    name: str, dataset: Dataset, ssl: SelfSupervisedPretrainer
) -> tuple[np.ndarray, Scores]:
    """Return the features of the labelled images, and the scores of the probe."""
    h = [ssl.transform(X) for X in (dataset.X, dataset.X_test)]
    return h[0], _score(name)(make_probe(), h, dataset)


def make_pretrainer(name: str, method: str, seed: int) -> SelfSupervisedPretrainer:
    """Return the pretrainer of a method, or an untrained control."""
    settings = {"image_size": 64, **SETTINGS[name]}
    if method in CONTROLS:
        network = "vit_tiny" if method == UNTRAINED_VIT else "resnet18"
        settings |= {"max_epochs": 0, "backbone": network}
        method = "simclr"
    elif get_pretext(method).card.backbones == "ViT":
        settings["backbone"] = "vit_tiny"
    return SelfSupervisedPretrainer(method, random_state=seed, **settings)


def defaults(method: str) -> dict:
    """Return the default settings of a method, as they are read from JSON."""
    task = get_pretext(method)
    own = {"optimizer": task.default_optimizer, "lr": task.default_lr}
    return json.loads(json.dumps(task.get_params(deep=False) | own))


def _score(name: str) -> Callable[[Pipeline, list[np.ndarray], Dataset], Scores]:
    # The test split of COVID-CT is not used to compare methods.
    return score_folds if name == "covid-ct" else score_test


def _line(row: dict, n_left: int) -> str:
    values = [
        f"{name} {row[name]:.3f} [{row[name + '_low']:.3f}, {row[name + '_high']:.3f}]"
        for name in ("test", "gain")
        if name in row
    ]
    values += [
        f"{name} {row[name]}"
        for name in ("rankme", "images_per_second", "peak_ram_gb", "loss")
        if name in row
    ]
    line = f"seed {row['seed']} {row['features']:20} {' · '.join(values)}"
    return f"{line} ({n_left} left)"


def summarize(rows: list[dict]) -> None:
    """Print means over seeds, and the standard deviation of the gain."""
    print(f"\n{'features':20} {'test':>6} {'gain':>14} {'rank':>6} {'img/s':>6}")
    for name in dict.fromkeys(row["features"] for row in rows):
        matching = [row for row in rows if row["features"] == name]
        test, rank, speed = (
            [row.get(key, float("nan")) for row in matching]
            for key in ("test", "rankme", "images_per_second")
        )
        gains = [row["gain"] for row in matching if "gain" in row]
        gain = mean_and_spread(gains, sign="+") if gains else ""
        print(
            f"{name:20} {np.mean(test):6.3f} {gain:>14} "
            f"{np.mean(rank):6.1f} {np.mean(speed):6.0f}"
        )


def open_file(path: Path, name: str) -> RowsFile:
    """Return the results file of a data set."""
    order = {method: i for i, method in enumerate([*CONTROLS, *list_pretexts()])}
    return RowsFile(
        path,
        key=("features", "seed"),
        header={
            "study": name,
            "settings": {"image_size": 64, **SIZES[name], **SETTINGS[name]},
        },
        is_current=lambda row: (
            row["features"] in CONTROLS
            or row.get("defaults") == defaults(row["features"])
        ),
        sort_key=lambda row: (row["seed"], order.get(row["features"], len(order))),
    )


def main() -> None:
    """Run the requested methods that are not in the file yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", choices=SETTINGS)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--methods", nargs="+", default=[*CONTROLS, *list_pretexts()])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    path = args.json or Path(__file__).parent / f"results/methods_{args.dataset}.json"
    file = open_file(path, args.dataset)
    try:
        finished = file.keys()
    except ResultsFileError as error:
        parser.error(str(error))
    requested = [(m, seed) for seed in args.seeds for m in args.methods]
    left = [pair for pair in requested if pair not in finished]
    n_threads = max(1, cpu_count() // args.jobs)
    os.environ["OMP_NUM_THREADS"] = str(n_threads)  # read by the new processes
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.jobs, spawn, max_tasks_per_child=1) as pool:
        controls = {
            seed: pool.submit(score_controls, args.dataset, args.data, seed)
            for seed in dict.fromkeys(seed for _, seed in left)
        }
        futures = [
            pool.submit(run, args.dataset, args.data, *pair, controls[pair[1]].result())
            for pair in left
        ]
        for n_done, future in enumerate(as_completed(futures), start=1):
            row = future.result()
            print(_line(row, len(left) - n_done), flush=True)
            file.add(row)
    summarize(file.rows())


if __name__ == "__main__":
    main()
