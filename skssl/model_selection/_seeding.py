"""Seeds of composite estimators."""

from typing import Any


def set_seed(estimator: Any, seed: int) -> Any:
    """Set ``random_state`` of an estimator and of its nested estimators; return it."""
    names = [n for n in estimator.get_params() if n.split("__")[-1] == "random_state"]
    return estimator.set_params(**dict.fromkeys(names, seed))
