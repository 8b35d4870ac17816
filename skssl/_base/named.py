"""Parameters that are a name or an object, and nested ones of either."""

from collections.abc import Callable
from typing import Any, ClassVar, Self


class NamedObjectsMixin:
    """Let ``set_params(pretext__temperature=…)`` make the object of a name.

    Subclasses say in ``_makers`` what makes the object of each such parameter.
    """

    _makers: ClassVar[dict[str, Callable[[str], Any]]] = {}

    def set_params(self, **params: Any) -> Self:
        """Set parameters; nested ones of a name make the object of that name."""
        before = {}
        try:
            for name, make in self._makers.items():
                value = params.get(name, getattr(self, name))
                nested = any(given.startswith(f"{name}__") for given in params)
                if nested and isinstance(value, str):
                    if value == "auto":
                        raise ValueError(
                            f"{name}='auto' has no parameters to set: give a name or "
                            "an object first."
                        )
                    before[name] = getattr(self, name)
                    params[name] = make(value)
            return super().set_params(**params)  # type: ignore[misc]
        except ValueError:
            for name, value in before.items():
                setattr(self, name, value)
            raise
