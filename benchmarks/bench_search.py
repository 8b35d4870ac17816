"""Cost of a search beyond its pretrainings: 6 C × 3 fractions × 5 folds.

The search runs twice per caching method, starting with an empty directory. ``cache`` is
the parameter of the pretrainer, ``memory`` that of scikit-learn's ``Pipeline``; any
other name runs without a cache. The benchmark counts pretrainings and encoded images,
and compares the total time with that of the pretrainings.

    python benchmarks/bench_search.py --data covid-ct
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from _results import save
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline

from skssl import SelfSupervisedPretrainer
from skssl._pretrain import pretrainer
from skssl.datasets import load_covid_ct
from skssl.encoder import Encoder

GRID = {
    "ssl__fraction": [0.25, 0.5, 1.0],
    "clf__C": [0.01, 0.05, 0.1, 0.2, 0.5, 1.0],
}
N_FOLDS = 5


@dataclass
class Work:
    """Computations that were not read from a cache."""

    pretrainings: int = 0
    encoded: int = 0
    pretraining_seconds: float = 0.0


@contextmanager
def counted_work() -> Iterator[Work]:
    """Count pretrainings and encoded images, of this process only."""
    work = Work()
    pretrain, features_of = pretrainer.pretrain, Encoder.features_of

    def counted_pretrain(*args: Any, **options: Any) -> Any:
        start = time.perf_counter()
        result = pretrain(*args, **options)
        work.pretrainings += 1
        work.pretraining_seconds += time.perf_counter() - start
        return result

    def counted_features_of(*args: Any, **options: Any) -> np.ndarray:
        h = features_of(*args, **options)
        work.encoded += len(h)
        return h

    with (
        mock.patch.object(pretrainer, "pretrain", counted_pretrain),
        mock.patch.object(Encoder, "features_of", counted_features_of),
    ):
        yield work


def make_search(way: str, folder: str, args: argparse.Namespace) -> GridSearchCV:
    """Return the unfitted search."""
    ssl = SelfSupervisedPretrainer(
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
    """Run each search twice, print the counts and save them."""
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
                start = time.perf_counter()
                with counted_work() as work:
                    search = make_search(way, folder, args).fit(
                        scans.data, scans.target, groups=scans.groups
                    )
                row = {"way": way, "run": run, **asdict(work)}
                row["seconds"] = round(time.perf_counter() - start, 1)
                scores[way, run] = search.cv_results_["mean_test_score"]
                rows.append(row)
                print(_line(row), flush=True)
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


def _line(row: dict[str, Any]) -> str:
    return " · ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in row.items()
    )


if __name__ == "__main__":
    main()
