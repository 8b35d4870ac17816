"""The optuna study of a search: opening it, running trials, and their table."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.base import clone

from skssl._cache.fingerprint import fingerprint
from skssl._random import RandomState, spawn_seeds
from skssl.data import image_digests, is_table, make_source
from skssl.model_selection._search.space import SearchSpace
from skssl.model_selection._search.trials import SearchTask

_ANY = 2**31  # channels, which the estimator itself limits
# Parameters of estimators on which no score depends.
_WITHOUT_EFFECT = ("cache", "device", "memory", "n_jobs", "verbose")


def check_optuna() -> None:
    """Raise ImportError, with the command that installs optuna, if it is missing."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "OptunaSearchCV needs optuna: pip install 'skssl[optuna]'."
        ) from error


def open_study(
    task: SearchTask,
    settings: Any,
    *,
    storage: Any,
    name: str | None,
    pruner: Any,
    prune_by: str | None,
) -> Any:
    """Create a study, or load that of the same task from ``storage``.

    Parameters
    ----------
    task : SearchTask
    settings : object
        What the scores depend on besides the task.
    storage, name, pruner, prune_by
        See `OptunaSearchCV`; ``prune_by`` is None without a pruner.

    Returns
    -------
    optuna.Study
    """
    import optuna

    if storage is not None:
        digest = _fingerprint(task, settings, prune_by)
        name = f"{name or 'skssl'}-{digest[:16]}"
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
        study.tell(trial.number, state=states.FAIL)  # its process was killed
    return study


def run_trials(
    study: Any,
    task: SearchTask,
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
    """Run trials until the study has ``n_trials``, or until the timeout."""
    import optuna

    sampler = sampler or optuna.samplers.TPESampler
    seeds = spawn_seeds(random_state, n_trials)
    n_done = len(finished_trials(study))

    def seed_sampler(*_: Any) -> None:
        # Seeded by the number of the trial, so that a resumed search draws the same.
        n_finished = len(finished_trials(study))
        if callable(sampler) and n_finished < n_trials:
            study.sampler = sampler(seed=seeds[n_finished] % 2**32)

    def objective(trial: Any) -> float:
        params = space.trial_params(trial)
        return _score_trial(task, trial, params, prune_by=prune_by, n_jobs=n_jobs)

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


def _score_trial(
    task: SearchTask,
    trial: Any,
    params: dict[str, Any],
    *,
    prune_by: str | None,
    n_jobs: int | None,
) -> float:
    """Return the mean score over the folds, or raise TrialPruned."""
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


def finished_trials(study: Any) -> list[Any]:
    """Return the trials that were completed or pruned, in order."""
    from optuna.trial import TrialState

    return study.get_trials(
        deepcopy=False, states=[TrialState.COMPLETE, TrialState.PRUNED]
    )


def tabulate_trials(study: Any, space: SearchSpace, n_fits: int) -> dict[str, Any]:
    """Return the trials as ``cv_results_``; a trial that is complete has ``n_fits``."""
    trials = finished_trials(study)
    scores = np.full((len(trials), n_fits), np.nan)
    seconds = np.full((len(trials), n_fits), np.nan)
    for row, trial in enumerate(trials):
        for table, name in ((scores, "scores"), (seconds, "seconds")):
            values = trial.user_attrs.get(name, [])
            table[row, : len(values)] = values
    mean = scores.mean(axis=1)  # NaN if the trial was pruned
    return {
        "params": [space.trial_params(trial) for trial in trials],
        "state": np.array([trial.state.name for trial in trials]),
        "mean_test_score": mean,
        "std_test_score": scores.std(axis=1),
        "rank_test_score": rankdata(np.nan_to_num(-mean, nan=np.inf), "min").astype(
            int
        ),
        **{f"split{fold}_test_score": scores[:, fold] for fold in range(n_fits)},
        "mean_fit_time": seconds.mean(axis=1),
    }


def best_trial(means: np.ndarray) -> int:
    """Return the index of the trial with the best mean score; NaN is a pruned trial."""
    if not np.isfinite(means).any():
        raise ValueError(
            f"none of {len(means)} trials was completed: increase n_trials or timeout, "
            "or use a pruner that stops fewer trials."
        )
    return int(np.nanargmax(means))


def _fingerprint(task: SearchTask, settings: Any, prune_by: str | None) -> str:
    """Return a hash of everything that the scores of a study depend on."""
    X: Any = (
        task.X if is_table(task.X) else image_digests(make_source(task.X, (0, 0, _ANY)))
    )
    estimator = clone(task.estimator)
    names = estimator.get_params()
    ignored = [name for name in names if name.split("__")[-1] in _WITHOUT_EFFECT]
    estimator.set_params(**dict.fromkeys(ignored))
    try:
        return fingerprint(
            [X, None if task.y is None else np.asarray(task.y)],
            [task.splits, task.seeds, estimator, settings, prune_by],
            [task.fit_params, task.score_params],
        )
    except Exception as error:  # attributes of the user's objects may raise anything
        raise ValueError(
            "storage needs data and parameters whose content can be hashed, to "
            f"identify the study: {error}"
        ) from error


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Suppress optuna's log of studies, trials, and errors that are raised anyway."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.ERROR))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
