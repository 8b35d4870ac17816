"""All pretexts side by side: equal data, network and epochs, each with its defaults.

For each seed: pretrain on the images without labels, then logistic regression on the
labelled ones, its C chosen by patient-grouped cross-validation. Phantoms and X-rays
are scored once on a test set; COVID-CT by patient-grouped cross-validation of train
and val (whose images, without labels, all pretrainings saw). The gain over the better
of raw pixels and the untrained network has an interval of its own, from the same
patients for both. A run takes a process of its own, so that its peak memory is known;
a run that the file has already is not repeated, unless the method's defaults are others
now.

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
from _report import peak_ram_gb, save
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
from _studies import STUDIES, Study
from joblib import cpu_count
from sklearn.pipeline import Pipeline

from skssl import SelfSupervisedPretrainer
from skssl.engine import feature_rank
from skssl.pretext import get_pretext, list_pretexts

# Equal for all methods, 340 to 780 steps; the images' size is 64 px.
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


def load(name: str, data: Path | None, seed: int) -> Study:
    """Return the study at the size of this benchmark, without its own settings."""
    args = argparse.Namespace(data=data, luna=None)
    return STUDIES[name](args, seed, **SIZES[name])


def score_rivals(name: str, data: Path | None, seed: int) -> list[Scores]:
    """Score what each method has to beat: raw pixels and the untrained network."""
    study = load(name, data, seed)
    untrained = make_pretrainer(name, UNTRAINED, seed).fit(study.unlabelled)
    return [
        score_pixels(name, study, seed),
        score_features(name, study, untrained)[1],
    ]


def run(
    name: str, data: Path | None, method: str, seed: int, rivals: list[Scores]
) -> dict:
    """Return one row; called in a process of its own."""
    study = load(name, data, seed)
    row: dict = {"features": method, "seed": seed}
    if method == RAW:
        return row | describe(score_pixels(name, study, seed))
    ssl = make_pretrainer(name, method, seed).fit(study.unlabelled)
    row["peak_ram_gb"] = round(peak_ram_gb(), 2)
    h, scores = score_features(name, study, ssl)
    row |= describe(scores)
    if method not in CONTROLS:
        row["defaults"] = defaults(method)
    if method != UNTRAINED:
        row |= compare(scores, rivals)
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


def score_pixels(name: str, study: Study, seed: int) -> Scores:
    """Score the first control."""
    pixels = [raw_pixels(X) for X in (study.X, study.X_test)]
    return _score(name)(make_probe(pca_seed=seed), pixels, study)


def score_features(
    name: str, study: Study, ssl: SelfSupervisedPretrainer
) -> tuple[np.ndarray, Scores]:
    """Return the features of the labelled images, and the scores of all."""
    h = [ssl.transform(X) for X in (study.X, study.X_test)]
    return h[0], _score(name)(make_probe(), h, study)


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
    """Return the settings of a method that are its own, as a file has them."""
    task = get_pretext(method)
    own = {"optimizer": task.default_optimizer, "lr": task.default_lr}
    return json.loads(json.dumps(task.get_params(deep=False) | own))


def _score(name: str) -> Callable[[Pipeline, list[np.ndarray], Study], Scores]:
    # COVID-CT's test split is not for comparisons.
    return score_folds if name == "covid-ct" else score_test


def _line(row: dict, n_left: int) -> str:
    figures = [
        f"{what} {row[what]:.3f} [{row[what + '_low']:.3f}, {row[what + '_high']:.3f}]"
        for what in ("test", "gain")
        if what in row
    ]
    figures += [
        f"{name} {row[name]}"
        for name in ("rankme", "images_per_second", "peak_ram_gb", "loss")
        if name in row
    ]
    return f"seed {row['seed']} {row['features']:20} {' · '.join(figures)} ({n_left})"


def summarize(rows: list[dict]) -> None:
    """Print means over seeds, and of the gain its spread."""
    print(f"\n{'features':20} {'test':>6} {'gain':>14} {'rank':>6} {'img/s':>6}")
    for name in dict.fromkeys(row["features"] for row in rows):
        mine = [row for row in rows if row["features"] == name]
        test, rank, speed = (
            [row.get(key, float("nan")) for row in mine]
            for key in ("test", "rankme", "images_per_second")
        )
        gains = [row["gain"] for row in mine if "gain" in row]
        gain = mean_and_spread(gains, sign="+") if gains else ""
        print(
            f"{name:20} {np.mean(test):6.3f} {gain:>14} "
            f"{np.mean(rank):6.1f} {np.mean(speed):6.0f}"
        )


def _read_rows(path: Path, settings: dict) -> list[dict]:
    """Return the rows of an earlier run that still hold.

    It must have had the same settings.
    """
    if not path.exists():
        return []
    earlier = json.loads(path.read_text())
    if earlier["settings"] != settings:
        raise SystemExit(
            f"{path} was made with {earlier['settings']}, not with {settings}: remove "
            "it, or give another --json."
        )
    return [
        row
        for row in earlier["rows"]
        if row["features"] in CONTROLS
        or row.get("defaults") == defaults(row["features"])
    ]


def main() -> None:
    """Run what is asked for and not in the file yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=SETTINGS)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--methods", nargs="+", default=[*CONTROLS, *list_pretexts()])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    path = args.json or Path(__file__).parent / f"results/methods_{args.study}.json"
    settings = {"image_size": 64, **SIZES[args.study], **SETTINGS[args.study]}
    rows = _read_rows(path, settings)
    done = {(row["features"], row["seed"]) for row in rows}
    asked = [(m, seed) for seed in args.seeds for m in args.methods]
    left = [pair for pair in asked if pair not in done]
    n_threads = max(1, cpu_count() // args.jobs)
    os.environ["OMP_NUM_THREADS"] = str(n_threads)  # of the processes to come
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.jobs, spawn, max_tasks_per_child=1) as pool:
        shared = {
            seed: pool.submit(score_rivals, args.study, args.data, seed)
            for seed in dict.fromkeys(seed for _, seed in left)
        }
        futures = [
            pool.submit(run, args.study, args.data, *pair, shared[pair[1]].result())
            for pair in left
        ]
        for n_done, future in enumerate(as_completed(futures), start=1):
            rows.append(future.result())
            print(_line(rows[-1], len(left) - n_done), flush=True)
            order = {name: i for i, name in enumerate([*CONTROLS, *list_pretexts()])}
            rows.sort(key=lambda row: (row["seed"], order.get(row["features"], 99)))
            save(path, {"study": args.study, "settings": settings, "rows": rows})
    summarize(rows)


if __name__ == "__main__":
    main()
