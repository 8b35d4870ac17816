"""The one rule of ``set_params``: names become objects, and it is all or nothing."""

from collections.abc import Callable, Mapping
from typing import Any

from sklearn.base import BaseEstimator, clone

from skssl._sklearn import BaseComposition

__all__ = ["set_params"]

Makers = Mapping[str, Callable[[str], Any]]


def set_params(
    owner: Any,
    params: Mapping[str, Any],
    apply: Callable[..., Any],
    makers: Makers | None = None,
) -> Any:
    """Set parameters of an object, or raise and leave it as it was.

    Parameters
    ----------
    owner : BaseEstimator
        Its constructor only assigns.
    params : dict
        As for scikit-learn's ``set_params``.
    apply : callable
        The ``set_params`` of scikit-learn, bound to ``owner``.
    makers : dict of str to callable, optional
        For parameters that may be a name: what makes the object of a name, so that
        nested parameters such as ``pretext__temperature`` can be set on it.

    Returns
    -------
    owner

    Raises
    ------
    ValueError
        If a parameter does not exist, or a nested one is set on None or "auto".
    """
    params = _with_objects(owner, dict(params), makers or {})
    trial = _copy_parameters(owner)
    BaseEstimator.set_params(
        trial, **{name: _copy_parameters(value) for name, value in params.items()}
    )
    return apply(**params)


def _with_objects(owner: Any, params: dict[str, Any], makers: Makers) -> dict[str, Any]:
    """Replace each name that gets nested parameters with the object of that name."""
    present = {**owner.get_params(deep=False), **params}
    for name in {given.split("__")[0] for given in params if "__" in given}:
        value = present.get(name, owner)  # unknown names are left to scikit-learn
        if name in makers and isinstance(value, str) and value != "auto":
            params[name] = makers[name](value)
        elif value is None or isinstance(value, str):
            raise ValueError(
                f"{name}={value!r} has no parameters to set: give a name or an object "
                "first."
            )
    return params


def _copy_parameters(value: Any) -> Any:
    """Copy an estimator and those within it, but no array, network or fitted state."""
    if not isinstance(value, BaseEstimator):
        return value
    if isinstance(value, BaseComposition):  # a Pipeline holds its steps in a list
        return clone(value)
    inner = value.get_params(deep=False)
    return type(value)(**{name: _copy_parameters(held) for name, held in inner.items()})
