"""Names for things by what they are, so that equal ones have equal names anywhere."""

import hashlib
import json
import types
from collections.abc import Callable
from functools import cache, partial, singledispatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import hash as joblib_hash

import skssl

# Code of these is named by its version, all other code by itself.
_PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "skorch",
    "pillow",
)
_MODULES = {"builtins", "skssl", "sklearn", "PIL", *_PACKAGES}

Plain = Callable[[Any], Any]


def fingerprint(*parts: Any) -> str:
    """Return 32 hexadecimal digits that stand for values of any kind.

    Numbers, texts, containers, arrays and tensors are taken by value, objects by their
    class and attributes, functions and classes of the user by their compiled code,
    others by their name.

    Examples
    --------
    >>> fingerprint({"a": 1, "b": [2.0]}) == fingerprint({"b": [2.0], "a": 1})
    True
    >>> fingerprint(1) == fingerprint(1.0)
    False
    """
    text = json.dumps([_plain(part, above=()) for part in parts])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@cache
def code_version() -> str:
    """Return what stands for the code of skssl and of what it computes with."""
    digest = hashlib.sha256()
    root = Path(skssl.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return fingerprint(digest.digest(), [version(name) for name in _PACKAGES])


def hardware(device: torch.device) -> list[str]:
    """Return what the last bits of a computation depend on, beside the code."""
    if device.type == "cuda":
        return [torch.cuda.get_device_name(device)]
    return [torch.backends.cpu.get_cpu_capability(), str(torch.get_num_threads())]


def _plain(value: Any, above: tuple[int, ...]) -> Any:
    """Return what JSON can write; ``above`` are the objects that hold this one."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if id(value) in above:
        return ["above", len(above) - above.index(id(value))]
    inner = partial(_plain, above=(*above, id(value)))
    return [_name(type(value)), *_parts(value, inner)]


@singledispatch
def _parts(value: Any, plain: Plain) -> list:
    """Return the parts of a value; here, of an object of any class."""
    if hasattr(value, "__dict__"):
        return [plain(type(value)), plain(vars(value))]
    try:
        return [joblib_hash(value)]
    except Exception as error:  # pickling fails in any way
        raise TypeError(f"{value!r} cannot be told by its content.") from error


@_parts.register(float | complex | bytes | Path | np.generic)
def _(value: Any, plain: Plain) -> list:  # noqa: ARG001
    return [repr(value)]


@_parts.register
def _(value: np.ndarray, plain: Plain) -> list:
    if value.dtype == object:
        return [value.shape, plain(value.tolist())]
    digest = hashlib.sha256(np.ascontiguousarray(value).data)
    return [value.dtype.str, value.shape, digest.hexdigest()]


@_parts.register
def _(value: torch.Tensor, plain: Plain) -> list:  # noqa: ARG001
    flat = value.detach().cpu().contiguous().flatten()
    digest = hashlib.sha256(flat.view(torch.uint8).numpy().data)
    kind = [str(value.dtype), value.requires_grad, value.shape]
    return [*kind, digest.hexdigest()]


@_parts.register
def _(value: dict, plain: Plain) -> list:
    pairs = [[plain(key), plain(of)] for key, of in value.items()]
    return sorted(pairs, key=json.dumps)


@_parts.register(set | frozenset)
def _(value: Any, plain: Plain) -> list:
    return sorted(map(plain, value), key=json.dumps)


@_parts.register(list | tuple)
def _(value: Any, plain: Plain) -> list:
    return list(map(plain, value))


@_parts.register
def _(value: partial, plain: Plain) -> list:
    return [plain(value.func), plain(value.args), plain(value.keywords)]


@_parts.register
def _(value: types.MethodType, plain: Plain) -> list:
    return [plain(value.__self__), plain(value.__func__)]


@_parts.register
def _(value: types.CodeType, plain: Plain) -> list:
    return [plain(value.co_code), plain(value.co_consts), plain(value.co_names)]


@_parts.register(types.FunctionType | types.BuiltinFunctionType)
def _(value: Any, plain: Plain) -> list:
    if _has_version(value):
        return [_name(value)]
    held = [cell.cell_contents for cell in value.__closure__ or ()]
    defaults = [value.__defaults__, value.__kwdefaults__]
    return [_name(value), plain(value.__code__), plain(defaults), plain(held)]


@_parts.register(staticmethod | classmethod)
def _(value: Any, plain: Plain) -> list:
    return [plain(value.__func__)]


@_parts.register
def _(value: property, plain: Plain) -> list:
    return [plain(value.fget), plain(value.fset)]


@_parts.register(types.MemberDescriptorType | types.GetSetDescriptorType)
def _(value: Any, plain: Plain) -> list:  # noqa: ARG001
    return [value.__name__]


@_parts.register
def _(value: type, plain: Plain) -> list:
    if _has_version(value):
        return [_name(value)]
    own = {
        name: of
        for name, of in vars(value).items()
        if callable(of) or not name.startswith(("__", "_abc_"))
    }
    return [_name(value), plain(own), plain(value.__bases__)]


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def _has_version(value: Any) -> bool:
    return str(value.__module__).split(".", maxsplit=1)[0] in _MODULES
