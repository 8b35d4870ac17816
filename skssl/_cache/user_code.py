"""The user's functions: where they come from, and what they use."""

import dis
import importlib
import sys
import sysconfig
import types
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

__all__ = ["installed_as", "used_values"]

_INSTALLED = {
    Path(sysconfig.get_path(name)).resolve()
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
}
# Names by which code reads what no key can hold: files, input, other code.
_READS = frozenset(
    {"eval", "exec", "fromfile", "genfromtxt", "imread", "input", "load", "load_file"}
    | {"loadtxt", "memmap", "open", "read_bytes", "read_csv", "read_text"}
)


def used_values(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what a function uses: global, enclosed, default and imported values.

    Raises
    ------
    TypeError
        If it reads files, on which its result may depend.
    """
    code = function.__code__
    reads = sorted(_READS & set(_names(code)))
    if reads:
        raise TypeError(
            f"{function.__module__}.{function.__qualname__} calls {reads[0]!r}, so its "
            "result may depend on a file, which a key cannot hold. Pass the content as "
            "an argument, or weights=path."
        )
    names = list(_names(code))
    values = {n: function.__globals__[n] for n in names if n in function.__globals__}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        values[f"enclosed {name}"] = _content(cell)
    for number, value in enumerate(function.__defaults__ or ()):
        values[f"default {number}"] = value
    for name, value in (function.__kwdefaults__ or {}).items():
        values[f"default {name}"] = value
    for inner in _nested(code):
        for step in dis.get_instructions(inner):
            if step.opname == "IMPORT_NAME":
                values[step.argval] = importlib.import_module(step.argval)
    for name, value in values.items():
        yield name, value
        # Of a module of the user's, what the function may look up in it.
        if isinstance(value, types.ModuleType) and not installed_as(value.__name__):
            for attribute in names:
                if hasattr(value, attribute):
                    yield f"{name}.{attribute}", getattr(value, attribute)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


@cache
def installed_as(module: str) -> str | None:
    """Return name and version of the distribution of a module; None for the user's."""
    top, *inner = module.split(".")
    if top == "builtins" or (top == "skssl" and (inner[:1] or [""])[0] != "testing"):
        return top  # see code_version
    file = getattr(sys.modules.get(top), "__file__", None)
    if top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return sys.version
    if file is None or not _INSTALLED.intersection(Path(file).resolve().parents):
        return None
    names = sorted(packages_distributions().get(top, ()))
    return " ".join(f"{name} {version(name)}" for name in names) or top


def _names(code: types.CodeType) -> Iterator[str]:
    """Yield the names that a function and those within it look up."""
    for inner in _nested(code):
        yield from inner.co_names


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)
