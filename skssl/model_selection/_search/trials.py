"""One trial of a search: parameters scored on fixed folds, and given up early."""

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from skssl._sklearn import check_method_params, safe_split
from skssl.engine import EpochReport
from skssl.model_selection._folds import n_rows
from skssl.model_selection._study import set_seed

Report = Callable[[int, float], None]


@dataclass(frozen=True)
class Task:
    """What all trials of a search have in common."""

    estimator: Any
    X: Any
    y: Any
    splits: list[tuple[np.ndarray, np.ndarray]]
    scorer: Any
    seeds: tuple[int | None, ...]
    fit_params: dict[str, Any]
    score_params: dict[str, Any]

    def model(self, params: dict[str, Any], seed: int | None) -> Any:
        """Return the estimator with the parameters of a trial, not fitted."""
        model = clone(self.estimator).set_params(**clone(params, safe=False))
        if seed is not None:
            set_seed(model, seed)
        return model

    def score(
        self,
        params: dict[str, Any],
        seed: int | None,
        fold: int,
        report: Report | None = None,
    ) -> tuple[float, float]:
        """Return the score of one fold, and the seconds that the fit took.

        ``report`` is told the probe of each epoch.
        """
        train, test = self.splits[fold]
        model = self.model(params, seed)
        if report is not None:
            _listen(model, report)
        start = time.perf_counter()
        self._fit_rows(model, train)
        seconds = time.perf_counter() - start
        options = check_method_params(self.X, self.score_params, indices=test)
        score = float(self.scorer(model, *self._rows(model, test, train), **options))
        if not np.isfinite(score):
            raise ValueError(
                f"the score of fold {fold} with {params} is {score}: a fold may lack a "
                "class. Take fewer folds, or another scoring."
            )
        return score, seconds

    def fit(self, params: dict[str, Any]) -> Any:
        """Return the estimator with the parameters of a trial, fitted on all rows."""
        model = self.model(params, self.seeds[0])
        return self._fit_rows(model, np.arange(n_rows(self.X)))

    def _fit_rows(self, model: Any, rows: np.ndarray) -> Any:
        options = check_method_params(self.X, self.fit_params, indices=rows)
        return model.fit(*self._rows(model, rows), **options)

    def _rows(
        self, model: Any, rows: np.ndarray, train: np.ndarray | None = None
    ) -> list[Any]:
        """Return X, and y if there is one, of some rows; kernels want ``train``."""
        X, y = safe_split(model, self.X, self.y, rows, train)
        return [X] if y is None else [X, y]

    @property
    def n_fits(self) -> int:
        """Fits of a trial that is completed."""
        return len(self.seeds) * len(self.splits)

    def scores(
        self,
        params: dict[str, Any],
        *,
        n_jobs: int | None,
        in_rounds: bool,
        after_fold: Callable[[list[float], list[float]], None],
        after_epoch: Report | None = None,
    ) -> list[float]:
        """Return the scores of all folds, first those of the first seed.

        With several jobs all folds are begun at once, or ``in_rounds`` of as many as
        there are jobs, so that a trial may end between two. ``after_fold`` is told the
        scores so far and the seconds that they took, ``after_epoch`` the epochs of the
        first fit and their probes. What they raise ends the trial.
        """
        scores: list[float] = []
        seconds: list[float] = []
        with closing(self._results(params, n_jobs, in_rounds, after_epoch)) as results:
            for score, lasted in results:
                scores.append(score)
                seconds.append(lasted)
                after_fold(scores, seconds)
        return scores

    def _results(
        self,
        params: dict[str, Any],
        n_jobs: int | None,
        in_rounds: bool,
        after_epoch: Report | None,
    ) -> Generator[tuple[float, float]]:
        jobs = list(product(self.seeds, range(len(self.splits))))
        if after_epoch is not None:  # in this process, where the study is
            yield self.score(params, *jobs[0], report=after_epoch)
            jobs = jobs[1:]
        n_at_once = effective_n_jobs(n_jobs)
        if n_at_once > 1 and not in_rounds:
            n_at_once = max(1, len(jobs))
        with Parallel(n_jobs=n_jobs) as run:
            for start in range(0, len(jobs), n_at_once):
                round_ = jobs[start : start + n_at_once]
                yield from run(delayed(self.score)(params, *job) for job in round_)


def probed(estimator: Any) -> list[str]:
    """Return the names of the callbacks of all pretrainers that have a probe."""
    params = estimator.get_params()
    return [
        f"{name.removesuffix('probe')}callbacks"
        for name, value in sorted(params.items())
        if name.split("__")[-1] == "probe" and value is not None
    ]


def _listen(model: Any, report: Report) -> None:
    """Have pretrainers tell their probes."""
    params = model.get_params()
    for name in probed(model):
        callbacks = [*(params[name] or []), EpochReport("probe_score", report)]
        model.set_params(**{name: callbacks})
