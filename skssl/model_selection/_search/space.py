"""The search space: what gives the parameters of a trial."""

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np


class SearchSpace:
    """The parameters of each trial, from distributions or from a function.

    Parameters
    ----------
    space : dict or callable
        See `OptunaSearchCV`.
    estimator : estimator

    Raises
    ------
    ValueError
        If the space is empty, names an unknown parameter, or gives neither a
        distribution nor a list of plain values for one.
    """

    def __init__(self, space: Any, estimator: Any):
        from optuna.distributions import BaseDistribution, CategoricalDistribution

        self._function: Callable[[Any], dict[str, Any]] | None = None
        self._distributions: dict[str, Any] = {}
        self._results: dict[int, dict[str, Any]] = {}  # of the function, by trial
        if callable(space):
            self._function = space
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
                self._distributions[name] = choices
            else:
                values = _plain_values(name, choices)
                self._distributions[name] = CategoricalDistribution(values)

    def trial_params(self, trial: Any) -> dict[str, Any]:
        """Return the parameters of a running or finished trial."""
        from optuna.trial import FixedTrial, FrozenTrial

        if self._function is None:
            for name, distribution in self._distributions.items():
                if name not in trial.params:
                    _suggest(trial, name, distribution)
            return trial.params
        if trial.number not in self._results:
            if isinstance(trial, FrozenTrial):  # of an earlier run
                trial = FixedTrial(trial.params, number=trial.number)
            self._results[trial.number] = self._function(trial)
        return self._results[trial.number]


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
    """Return choices as values that an optuna storage can hold."""
    is_list = isinstance(choices, (list, tuple, range, np.ndarray))
    values = [getattr(v, "item", lambda v=v: v)() for v in choices] if is_list else []
    plain = (str, Real, type(None))
    if not values or not all(isinstance(value, plain) for value in values):
        raise ValueError(
            f"space[{name!r}] must be an optuna distribution, or a list of numbers, "
            f"strings, booleans or None, got {choices!r}. To search over objects, pass "
            "a function of a trial as space."
        )
    return values
