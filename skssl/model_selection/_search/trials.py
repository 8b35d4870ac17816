"""One trial of a search: parameters scored on fixed folds, with early stopping."""

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
from skssl.model_selection._seeding import set_seed

Report = Callable[[int, float], None]


@dataclass(frozen=True)
class SearchTask:
    """What all trials of a search share.

    Parameters
    ----------
    estimator : estimator
    X : sequence of n images or rows
    y : array-like of shape (n,) or None
    splits : list of (train, test)
        Rows of X.
    scorer : callable
        Called as ``scorer(estimator, X, y)``.
    seeds : tuple of int or None
        None leaves ``random_state`` as it is.
    fit_params, score_params : dict
        Arguments of ``fit`` and of the scorer; arrays of length n are indexed by fold.
    """

    estimator: Any
    X: Any
    y: Any
    splits: list[tuple[np.ndarray, np.ndarray]]
    scorer: Any
    seeds: tuple[int | None, ...]
    fit_params: dict[str, Any]
    score_params: dict[str, Any]

    def make_model(self, params: dict[str, Any], seed: int | None) -> Any:
        """Return an unfitted clone of the estimator with the parameters of a trial."""
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
        """Return the score of one fold, and the duration of its fit in seconds.

        ``report`` is called with each epoch and the probe score after it.
        """
        train, test = self.splits[fold]
        model = self.make_model(params, seed)
        if report is not None:
            _report_probes(model, report)
        start = time.perf_counter()
        self._fit_rows(model, train)
        seconds = time.perf_counter() - start
        options = check_method_params(self.X, self.score_params, indices=test)
        score = float(self.scorer(model, *self._rows(model, test, train), **options))
        if not np.isfinite(score):
            raise ValueError(
                f"the score of fold {fold} with {params} is {score}: the fold may lack "
                "a class. Use fewer folds, or another scoring."
            )
        return score, seconds

    def fit(self, params: dict[str, Any]) -> Any:
        """Return the estimator with the given parameters, fitted on all rows."""
        model = self.make_model(params, self.seeds[0])
        return self._fit_rows(model, np.arange(n_rows(self.X)))

    def _fit_rows(self, model: Any, rows: np.ndarray) -> Any:
        options = check_method_params(self.X, self.fit_params, indices=rows)
        return model.fit(*self._rows(model, rows), **options)

    def _rows(
        self, model: Any, rows: np.ndarray, train: np.ndarray | None = None
    ) -> list[Any]:
        """Return the rows of X, and of y if given; kernels need ``train``, too."""
        X, y = safe_split(model, self.X, self.y, rows, train)
        return [X] if y is None else [X, y]

    @property
    def n_fits(self) -> int:
        """Number of fits of a complete trial."""
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
        """Return the scores of all folds, those of the first seed first.

        With several jobs, all folds start at once, or ``in_rounds`` of as many folds as
        there are jobs, so that a trial can stop between rounds. ``after_fold`` gets the
        scores so far and the durations of their fits, ``after_epoch`` the epochs of the
        first fit and their probe scores. An exception that they raise stops the trial.
        """
        scores: list[float] = []
        seconds: list[float] = []
        with closing(self._results(params, n_jobs, in_rounds, after_epoch)) as results:
            for score, duration in results:
                scores.append(score)
                seconds.append(duration)
                after_fold(scores, seconds)
        return scores

    def _results(
        self,
        params: dict[str, Any],
        n_jobs: int | None,
        in_rounds: bool,
        after_epoch: Report | None,
    ) -> Generator[tuple[float, float]]:
        """Yield the score of each fold, and the duration of its fit in seconds."""
        jobs = list(product(self.seeds, range(len(self.splits))))
        if after_epoch is not None:  # in this process, which holds the study
            yield self.score(params, *jobs[0], report=after_epoch)
            jobs = jobs[1:]
        n_at_once = effective_n_jobs(n_jobs)
        if n_at_once > 1 and not in_rounds:
            n_at_once = max(1, len(jobs))
        with Parallel(n_jobs=n_jobs) as run:
            for start in range(0, len(jobs), n_at_once):
                round_ = jobs[start : start + n_at_once]
                yield from run(delayed(self.score)(params, *job) for job in round_)


def probed_callbacks(estimator: Any) -> list[str]:
    """Return the ``callbacks`` parameters of all pretrainers that have a probe."""
    params = estimator.get_params()
    return [
        f"{name.removesuffix('probe')}callbacks"
        for name, value in sorted(params.items())
        if name.split("__")[-1] == "probe" and value is not None
    ]


def _report_probes(model: Any, report: Report) -> None:
    """Add a callback that reports the probe score of each epoch to all pretrainers."""
    params = model.get_params()
    for name in probed_callbacks(model):
        callbacks = [*(params[name] or []), EpochReport("probe_score", report)]
        model.set_params(**{name: callbacks})
