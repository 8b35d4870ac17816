"""The study of a search: its parameters, its name, its trials and their table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.base import clone

from skssl._cache.fingerprint import fingerprint
from skssl._random import RandomState, spawn_seeds
from skssl.data import image_digests, is_table, make_source
from skssl.model_selection._search.trials import Task

# Parameters of estimators that no score depends on.
_WITHOUT_EFFECT = ("cache", "device", "memory", "n_jobs", "verbose")


def check_optuna() -> None:
    """Say how to get optuna where it is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "OptunaSearchCV needs optuna: pip install 'skssl[optuna]'."
        ) from error


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

    def params_of(self, trial: Any) -> dict[str, Any]:
        """Return the parameters of a trial that has begun."""
        from optuna.trial import FixedTrial, FrozenTrial

        if self.make is None:
            for name, distribution in self.distributions.items():
                if name not in trial.params:
                    _suggest(trial, name, distribution)
            return trial.params
        if trial.number not in self.made:
            if isinstance(trial, FrozenTrial):  # of an earlier run
                trial = FixedTrial(trial.params, number=trial.number)
            self.made[trial.number] = self.make(trial)
        return self.made[trial.number]


def open_study(
    task: Task,
    asked: Any,
    *,
    storage: Any,
    name: str | None,
    pruner: Any,
    prune_by: str | None,
) -> Any:
    """Make a study, or go on with that of the same task in ``storage``.

    ``asked`` is what the scores depend on beside the task.
    """
    import optuna

    if storage is not None:
        told = _fingerprint(task, asked, prune_by)
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
    sampler: Any,
    prune_by: str | None,
    n_jobs: int | None,
    random_state: RandomState,
    verbose: int,
) -> None:
    """Run trials until there are ``n_trials``, or the time is up."""
    import optuna

    sampler = sampler or optuna.samplers.TPESampler
    seeds = spawn_seeds(random_state, n_trials)
    n_done = len(finished(study))

    def seed_sampler(*_: Any) -> None:
        # By its number, so that a search that goes on draws what it would have drawn.
        done = len(finished(study))
        if callable(sampler) and done < n_trials:
            study.sampler = sampler(seed=seeds[done] % 2**32)

    def objective(trial: Any) -> float:
        params = space.params_of(trial)
        return _score(task, trial, params, prune_by=prune_by, n_jobs=n_jobs)

    if n_done >= n_trials:
        return
    if not callable(sampler):
        study.sampler = sampler
    seed_sampler()
    with _quiet_optuna():
        study.optimize(
            objective,
            n_trials=n_trials - n_done,
            timeout=timeout,
            callbacks=[seed_sampler],
            show_progress_bar=bool(verbose),
        )


def _score(
    task: Task,
    trial: Any,
    params: dict[str, Any],
    *,
    prune_by: str | None,
    n_jobs: int | None,
) -> float:
    """Return the mean score of the folds, or raise TrialPruned."""
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

    scores = task.scores(
        params,
        n_jobs=n_jobs,
        in_rounds=prune_by == "fold",
        after_fold=after_fold,
        after_epoch=report if prune_by == "probe" else None,
    )
    return float(np.mean(scores))


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


def _suggest(trial: Any, name: str, distribution: Any) -> Any:
    """Draw a parameter from a distribution."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    kind = "float" if isinstance(distribution, FloatDistribution) else "int"
    return getattr(trial, f"suggest_{kind}")(
        name,
        distribution.low,
        distribution.high,
        step=distribution.step,
        log=distribution.log,
    )


def _plain_values(name: str, choices: Any) -> list[Any]:
    """Return choices that a storage can keep."""
    listed = isinstance(choices, (list, tuple, range, np.ndarray))
    values = [getattr(v, "item", lambda v=v: v)() for v in choices] if listed else []
    plain = (str, Real, type(None))
    if not values or not all(isinstance(value, plain) for value in values):
        raise ValueError(
            f"space[{name!r}] must be an optuna distribution, or a list of numbers, "
            f"strings, booleans or None, got {choices!r}: objects are for a function "
            "of a trial."
        )
    return values


def _fingerprint(task: Task, asked: Any, prune_by: str | None) -> str:
    """Return what stands for all that the scores of a study depend on."""
    X: Any = task.X if is_table(task.X) else image_digests(make_source(task.X))
    estimator = clone(task.estimator)
    names = estimator.get_params()
    without = [name for name in names if name.split("__")[-1] in _WITHOUT_EFFECT]
    estimator.set_params(**dict.fromkeys(without))
    try:
        return fingerprint(
            [X, None if task.y is None else np.asarray(task.y)],
            [task.splits, task.seeds, estimator, asked, prune_by],
            [task.fit_params, task.score_params],
        )
    except Exception as error:  # attributes of the user's objects raise anything
        raise ValueError(
            f"storage needs a search that can be told by its content: {error}"
        ) from error


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Keep optuna from announcing studies, trials and errors that are raised."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.ERROR))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
