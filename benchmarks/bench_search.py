"""What a search costs over its pretrainings: 6 C × 3 fractions × 5 folds.

Each way runs the search twice, on directories that are empty before: with the
pretrainer's ``cache``, with scikit-learn's ``Pipeline(memory=)``, and with neither. It
counts pretrainings and encoded images, and compares the time with that of the
pretrainings alone.

    python benchmarks/bench_search.py --data covid-ct
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from _report import save
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline

from skssl import SelfSupervisedPretrainer
from skssl.datasets import load_covid_ct

GRID = {
    "ssl__fraction": [0.25, 0.5, 1.0],
    "clf__C": [0.01, 0.05, 0.1, 0.2, 0.5, 1.0],
}
N_FOLDS = 5


# Not of the class: what a class holds is part of its name in a cache.
DONE = {"pretrainings": 0, "encoded": 0, "pretraining_seconds": 0.0}


class Counted(SelfSupervisedPretrainer):
    """A pretrainer that counts what it computes."""

    def _fit(self, *args: object, **options: object) -> None:
        start = time.perf_counter()
        super()._fit(*args, **options)
        DONE["pretrainings"] += 1
        DONE["pretraining_seconds"] += time.perf_counter() - start

    def _apply(self, *args: object, **options: object) -> np.ndarray:
        h = super()._apply(*args, **options)
        DONE["encoded"] += len(h)
        return h


def search(way: str, folder: str, args: argparse.Namespace) -> GridSearchCV:
    """Return the search, not fitted."""
    ssl = Counted(
        args.pretext,
        backbone=args.backbone,
        image_size=args.size,
        max_epochs=args.epochs,
        cache=folder if way == "cache" else None,
        random_state=0,
    )
    pipe = Pipeline(
        [("ssl", ssl), ("clf", LogisticRegression(max_iter=1000))],
        memory=folder if way == "memory" else None,
    )
    return GridSearchCV(
        pipe,
        GRID,
        scoring="roc_auc",
        cv=StratifiedGroupKFold(N_FOLDS),
        refit=False,
        error_score="raise",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ways", nargs="+", default=["cache", "memory"])
    parser.add_argument("--pretext", default="simclr")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    scans = load_covid_ct(args.data, subset=["train", "val"])
    rows, scores = [], {}
    for way in args.ways:
        with tempfile.TemporaryDirectory() as folder:
            for run in (1, 2):
                DONE.update(pretrainings=0, encoded=0, pretraining_seconds=0.0)
                start = time.perf_counter()
                fitted = search(way, folder, args).fit(
                    scans.data, scans.target, groups=scans.groups
                )
                row = {"way": way, "run": run, **DONE}
                row["seconds"] = round(time.perf_counter() - start, 1)
                scores[way, run] = fitted.cv_results_["mean_test_score"]
                rows.append(row)
                print(
                    " · ".join(
                        f"{name} {value:.4g}"
                        if isinstance(value, float)
                        else f"{name} {value}"
                        for name, value in row.items()
                    ),
                    flush=True,
                )
    first = next(iter(scores.values()))
    equal = all(np.array_equal(first, other) for other in scores.values())
    print(f"all scores are equal: {equal}")
    save(
        args.json,
        {
            "settings": {
                "data": args.data.name,
                "pretext": args.pretext,
                "backbone": args.backbone,
                "image_size": args.size,
                "max_epochs": args.epochs,
                "n_images": len(scans.data),
                "n_folds": N_FOLDS,
                **GRID,
            },
            "rows": rows,
            "scores_are_equal": equal,
        },
    )


if __name__ == "__main__":
    main()
