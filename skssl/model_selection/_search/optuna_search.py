"""OptunaSearchCV: hyperparameter search with optuna as a scikit-learn estimator."""

import time
from collections.abc import Callable, Sequence
from copy import copy
from numbers import Integral, Real
from typing import Any, ClassVar, Self

from sklearn.model_selection import GroupKFold
from sklearn.utils import get_tags, indexable

from skssl._labels import check_groups
from skssl._random import RandomState
from skssl._sklearn import (
    BaseSearchCV,
    HasMethods,
    Interval,
    StrOptions,
    fit_context,
)
from skssl.model_selection import _folds
from skssl.model_selection._search.optuna_study import (
    best_trial,
    check_optuna,
    open_study,
    run_trials,
    tabulate_trials,
)
from skssl.model_selection._search.space import SearchSpace
from skssl.model_selection._search.trials import SearchTask, probed_callbacks


class OptunaSearchCV(BaseSearchCV):
    """Search hyperparameters with optuna, on folds that are drawn once.

    Parameters
    ----------
    estimator : estimator
        Such as a pipeline, or `FineTuneClassifier`.
    space : dict or callable
        For each parameter an optuna distribution, such as
        ``FloatDistribution(1e-4, 1e-1, log=True)``, or a list of numbers, strings,
        booleans or None. Or a function of an optuna trial that returns the parameters;
        these may be objects such as ``MoCo(queue_size=trial.suggest_int(...))``.
    n_trials : int, default=50
        Total number of completed and pruned trials, including those of an earlier run
        in ``storage``; at least 1.
    timeout : float, optional
        No trial starts after this time, in seconds.
    scoring : str or callable, optional
        A single metric, as in scikit-learn. Default: ``score`` of the estimator.
    cv : int or splitter, default=5
        An int is the number of folds, which are stratified for classifiers and keep the
        images of a patient together if `fit` gets ``groups``.
    seeds : sequence of int, optional
        A trial's score is the mean over these values of ``random_state``, set on the
        estimator and its nested estimators. Default: not changed.
    refit : bool, default=True
        Fit the best parameters on all rows, with the first of ``seeds``.
    storage : str or optuna storage, optional
        Such as "sqlite:///search.db", from which an interrupted search resumes.
        Default: in memory.
    study_name : str, optional
        Prefix of the name in ``storage``; a hash of data, folds and settings follows.
    sampler : callable or optuna sampler, optional
        Called as ``sampler(seed=...)`` before each trial. Pass an instance for samplers
        that plan all trials, such as ``GridSampler``. Default: ``TPESampler``.
    pruner : optuna pruner, optional
        Stops trials that score worse than others at the same step.
    prune_by : {"fold", "probe"}, default="fold"
        What the pruner compares: the mean score after each fold, or the pretrainer's
        ``probe`` after each epoch of the first fold, which uses training rows only.
    n_jobs : int, optional
        Number of folds that run in parallel, in processes. On a CUDA device, a
        ``cache`` lets one process pretrain at a time.
    random_state : int, RandomState, Generator or None, default=None
        Seeds the sampler.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    best_params_, best_score_, best_index_, best_estimator_, refit_time_, n_splits_
        As in ``GridSearchCV``, like ``scorer_`` and ``multimetric_``. The best of many
        scores is biased upwards: evaluate the search by an outer cross-validation.
    cv_results_ : dict of arrays
        One entry per trial: ``params``, ``state`` ("COMPLETE" or "PRUNED"),
        ``mean_test_score``, ``std_test_score``, ``rank_test_score``,
        ``split0_test_score`` and so on, for all folds of the first seed, then of the
        second; ``mean_fit_time`` in seconds. Scores after pruning are NaN.
    study_ : optuna.Study
    splits_ : list of (train, test), rows of X
    transductive_ : bool
        Whether ``cv`` trains on unlabelled images of test patients
        (`KeepUnlabeledInTrain`).

    Notes
    -----
    This class avoids two leaks of such searches. If each trial draws new folds, trials
    with easy folds win and their scores are too high; here folds are drawn once, before
    the first trial, even if ``cv`` is random. If one study serves several fits, as in
    the outer folds of a nested cross-validation, later fits start from results on their
    own test rows; here a stored study resumes only for the same data, folds, estimator,
    space, scoring, seeds and ``prune_by``.

    The same ``random_state`` gives the same trials, also in a resumed search. Only one
    process at a time may run a study. An error in a fit, or a score of NaN, is raised;
    finished trials stay in ``storage``.

    References
    ----------
    .. [1] T. Akiba, S. Sano, T. Yanase, T. Ohta, M. Koyama. "Optuna: A Next-generation
       Hyperparameter Optimization Framework", KDD 2019.
       :doi:`10.1145/3292500.3330701`

    Examples
    --------
    >>> from optuna.distributions import FloatDistribution
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skssl.model_selection import OptunaSearchCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> search = OptunaSearchCV(
    ...     make_pipeline(StandardScaler(), LogisticRegression()),
    ...     {"logisticregression__C": FloatDistribution(1e-3, 1e1, log=True)},
    ...     n_trials=5, scoring="roc_auc", cv=3, random_state=0,
    ... ).fit(X, y)
    >>> len(search.cv_results_["params"]), round(search.best_score_, 3)
    (5, 0.995)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "estimator": [HasMethods(["fit", "get_params", "set_params"])],
        "space": [dict, callable],
        "n_trials": [Interval(Integral, 1, None, closed="left")],
        "timeout": [Interval(Real, 0, None, closed="left"), None],
        "scoring": [str, callable, None],
        "cv": ["cv_object"],
        "seeds": ["array-like", None],
        "refit": ["boolean"],
        "storage": [str, HasMethods("get_all_trials"), None],
        "study_name": [str, None],
        "sampler": [callable, HasMethods("sample_independent"), None],
        "pruner": [HasMethods("prune"), None],
        "prune_by": [StrOptions({"fold", "probe"})],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }
    error_score = "raise"
    multimetric_ = False

    def __init__(
        self,
        estimator: Any,
        space: dict[str, Any] | Callable[[Any], dict[str, Any]],
        *,
        n_trials: int = 50,
        timeout: float | None = None,
        scoring: str | Callable | None = None,
        cv: Any = 5,
        seeds: Sequence[int] | None = None,
        refit: bool = True,
        storage: Any = None,
        study_name: str | None = None,
        sampler: Any = None,
        pruner: Any = None,
        prune_by: str = "fold",
        n_jobs: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ):
        self.estimator = estimator
        self.space = space
        self.n_trials = n_trials
        self.timeout = timeout
        self.scoring = scoring
        self.cv = cv
        self.seeds = seeds
        self.refit = refit
        self.storage = storage
        self.study_name = study_name
        self.sampler = sampler
        self.pruner = pruner
        self.prune_by = prune_by
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Run the trials, and fit the best parameters on all rows.

        Parameters
        ----------
        X : sequence of n images or rows
        y : array-like of shape (n,), optional
        **params : dict
            ``groups``, of shape (n,), go to the splitter; all others go to ``fit`` of
            the estimator, restricted to the rows of each fold. With metadata routing
            enabled, they go to the objects that request them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter, the space or ``groups`` is invalid, if a splitter puts a
            patient into both the training and the test set, or if no trial completed.
        ImportError
            If optuna is not installed.
        """
        check_optuna()
        X, y = indexable(X, y)
        _folds.check_target(self.estimator, y)
        task = self._make_task(X, y, params)
        space = SearchSpace(self.space, self.estimator)
        prune_by = self.prune_by if self.pruner else None
        if prune_by == "probe" and not probed_callbacks(self.estimator):
            raise ValueError(
                "prune_by='probe' needs a pretrainer with a probe, such as "
                "SelfSupervisedPretrainer(probe=Probe(LogisticRegression()))."
            )
        self.splits_ = task.splits
        self.n_splits_ = len(task.splits)
        self.scorer_ = task.scorer
        self.transductive_ = bool(getattr(self.cv, "transductive", False))
        self.study_ = open_study(
            task,
            [self.space, self.scoring],
            storage=self.storage,
            name=self.study_name,
            pruner=self.pruner,
            prune_by=prune_by,
        )
        run_trials(
            self.study_,
            task,
            space,
            n_trials=self.n_trials,
            timeout=self.timeout,
            sampler=self.sampler,
            prune_by=prune_by,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
            verbose=self.verbose,
        )
        self.cv_results_ = tabulate_trials(self.study_, space, task.n_fits)
        self.best_index_ = best = best_trial(self.cv_results_["mean_test_score"])
        self.best_score_ = float(self.cv_results_["mean_test_score"][best])
        self.best_params_ = self.cv_results_["params"][best]
        if self.refit:
            start = time.perf_counter()
            self.best_estimator_ = task.fit(self.best_params_)
            self.refit_time_ = time.perf_counter() - start
            if hasattr(self.best_estimator_, "feature_names_in_"):
                self.feature_names_in_ = self.best_estimator_.feature_names_in_
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags = get_tags(self.estimator).target_tags
        return tags

    def get_metadata_routing(self) -> Any:
        """Return the metadata routing; an int as ``cv`` requests ``groups``."""
        if self.cv is not None and not isinstance(self.cv, Integral):
            return super().get_metadata_routing()
        grouped = copy(self)
        grouped.cv = GroupKFold()
        return super(OptunaSearchCV, grouped).get_metadata_routing()

    def _make_task(self, X: Any, y: Any, params: dict[str, Any]) -> SearchTask:
        """Draw the folds, and return what all trials share."""
        if self.seeds is not None and len(self.seeds) == 0:
            raise ValueError("seeds is empty: give at least one, or None.")
        routed = self._get_routed_params_for_fit(params)
        groups = check_groups(routed.splitter.split.get("groups"), _folds.n_rows(X))
        options = {k: v for k, v in routed.splitter.split.items() if k != "groups"}
        splits = _folds.draw_folds(
            _folds.make_splitter(self.estimator, self.cv, y, groups),
            *(X, y, groups),
            reproducible=self.storage is not None,
            **options,
        )
        return SearchTask(
            estimator=self.estimator,
            X=X,
            y=y,
            splits=splits,
            scorer=self._get_scorers()[0],
            seeds=(None,) if self.seeds is None else tuple(self.seeds),
            fit_params=routed.estimator.fit,
            score_params=routed.scorer.score,
        )
