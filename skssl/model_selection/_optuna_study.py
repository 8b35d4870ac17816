"""The study of a search: its parameters, its name, its trials and their table."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy.stats import rankdata
from tqdm import tqdm

from skssl._base.fingerprint import fingerprint
from skssl._random import RandomState, spawn_seeds
from skssl.data import image_digests, is_table, make_source
from skssl.model_selection._trials import Task


class SearchSpace:
    """What makes the parameters of a trial.

    Parameters
    ----------
    space : dict or callable
        See `OptunaSearchCV`.
    estimator : estimator

    Raises
    ------
    ValueError
        If the space is empty, or a choice is no distribution and no list of values.
    """

    def __init__(self, space: Any, estimator: Any):
        from optuna.distributions import BaseDistribution, CategoricalDistribution

        self.make: Callable[[Any], dict[str, Any]] | None = None
        self.distributions: dict[str, Any] = {}
        self.made: dict[int, dict[str, Any]] = {}  # by number of the trial
        if callable(space):
            self.make = space
            return
        if not space:
            raise ValueError("space is empty: there is nothing to search.")
        known = estimator.get_params()
        for name, choices in space.items():
            if name.split("__")[0] not in known:
                raise ValueError(
                    f"space has {name!r}, which is no parameter of "
                    f"{type(estimator).__name__}."
                )
            if isinstance(choices, BaseDistribution):
                self.distributions[name] = choices
            else:
                values = _plain_values(name, choices)
                self.distributions[name] = CategoricalDistribution(values)

    def ask(self, study: Any) -> tuple[Any, dict[str, Any]]:
        """Begin a trial; return it and its parameters."""
        if self.make is None:
            trial = study.ask(self.distributions)
            return trial, trial.params
        trial = study.ask()
        self.made[trial.number] = self.make(trial)
        return trial, self.made[trial.number]

    def params_of(self, trial: Any) -> dict[str, Any]:
        """Return the parameters of a trial that has been."""
        from optuna.trial import FixedTrial

        if self.make is None:
            return trial.params
        made = self.made.get(trial.number)
        return self.make(FixedTrial(trial.params)) if made is None else made


def open_study(
    task: Task, space: Any, *, storage: Any, name: str | None, pruner: Any
) -> Any:
    """Make a study, or go on with that of the same task in ``storage``."""
    import optuna

    if storage is not None:
        told = _fingerprint(task, space)
        name = f"{name or 'skssl'}-{told[:16]}"
    with _quiet_optuna():
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            load_if_exists=True,
            direction="maximize",
            pruner=pruner or optuna.pruners.NopPruner(),
        )
    states = optuna.trial.TrialState
    for trial in study.get_trials(deepcopy=False, states=[states.RUNNING]):
        study.tell(trial.number, state=states.FAIL)  # of a run that was killed
    return study


def run_trials(
    study: Any,
    task: Task,
    space: SearchSpace,
    *,
    n_trials: int,
    timeout: float | None,
    make_sampler: Callable[..., Any] | None,
    prune_by: str | None,
    n_jobs: int | None,
    random_state: RandomState,
    verbose: int,
) -> None:
    """Run trials until there are ``n_trials``, or the time is up."""
    import optuna

    states = optuna.trial.TrialState
    start = time.perf_counter()
    n_done = len(finished(study))
    seeds = spawn_seeds(random_state, n_trials)[n_done:]
    for seed in tqdm(seeds, initial=n_done, total=n_trials, disable=not verbose):
        if timeout is not None and time.perf_counter() - start > timeout:
            break
        # By its number, so that a search that goes on draws what it would have drawn.
        study.sampler = (make_sampler or optuna.samplers.TPESampler)(seed=seed % 2**32)
        trial, params = space.ask(study)
        try:
            scores = _score(task, trial, params, prune_by=prune_by, n_jobs=n_jobs)
        except optuna.TrialPruned:
            study.tell(trial, state=states.PRUNED)
        except BaseException:
            study.tell(trial, state=states.FAIL)
            raise
        else:
            study.tell(trial, float(np.mean(scores)))


def _score(
    task: Task,
    trial: Any,
    params: dict[str, Any],
    *,
    prune_by: str | None,
    n_jobs: int | None,
) -> list[float]:
    """Return the scores of the folds, or raise TrialPruned."""
    import optuna

    def report(step: int, value: float) -> None:
        trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    def after_fold(scores: list[float], seconds: list[float]) -> None:
        trial.set_user_attr("scores", scores)
        trial.set_user_attr("seconds", seconds)
        if prune_by == "fold" and len(scores) < task.n_fits:
            report(len(scores), float(np.mean(scores)))

    return task.scores(
        params,
        n_jobs=n_jobs,
        after_fold=after_fold,
        after_epoch=report if prune_by == "probe" else None,
    )


def finished(study: Any) -> list[Any]:
    """Return the trials that were completed or pruned, in order."""
    from optuna.trial import TrialState

    return study.get_trials(
        deepcopy=False, states=[TrialState.COMPLETE, TrialState.PRUNED]
    )


def tabulate(study: Any, space: SearchSpace, n_scores: int) -> dict[str, Any]:
    """Return the trials as ``cv_results_``."""
    trials = finished(study)
    scores = np.full((len(trials), n_scores), np.nan)
    seconds = np.full((len(trials), n_scores), np.nan)
    for row, trial in enumerate(trials):
        for table, name in ((scores, "scores"), (seconds, "seconds")):
            values = trial.user_attrs.get(name, [])
            table[row, : len(values)] = values
    mean = scores.mean(axis=1)  # NaN where a trial was pruned
    return {
        "params": [space.params_of(trial) for trial in trials],
        "state": np.array([trial.state.name for trial in trials]),
        "mean_test_score": mean,
        "std_test_score": scores.std(axis=1),
        "rank_test_score": rankdata(np.nan_to_num(-mean, nan=np.inf), "min").astype(
            int
        ),
        **{f"split{fold}_test_score": scores[:, fold] for fold in range(n_scores)},
        "mean_fit_time": seconds.mean(axis=1),
    }


def _plain_values(name: str, choices: Any) -> list[Any]:
    """Return choices that a storage can keep."""
    listed = isinstance(choices, (list, tuple, np.ndarray))
    values = np.asarray(choices, dtype=object).tolist() if listed else []
    plain = (str, int, float, bool, type(None))
    if not values or not all(isinstance(value, plain) for value in values):
        raise ValueError(
            f"space[{name!r}] must be an optuna distribution, or a list of numbers, "
            f"strings, booleans or None, got {choices!r}: objects are for a function "
            "of a trial."
        )
    return values


def _fingerprint(task: Task, space: Any) -> str:
    """Return what stands for all that the scores of a study depend on."""
    X: Any = task.X
    if not is_table(X):
        X = image_digests(make_source(X))
    elif hasattr(X, "to_numpy"):
        X = X.to_numpy()
    try:
        return fingerprint(
            [X, None if task.y is None else np.asarray(task.y)],
            [task.splits, task.seeds, task.estimator, task.scorer, space],
            [task.fit_params, task.score_params],
        )
    except TypeError as error:
        raise ValueError(
            f"storage needs a search that can be told by its content: {error}"
        ) from error


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Keep optuna from announcing each study."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
