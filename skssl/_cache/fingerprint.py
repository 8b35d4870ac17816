"""Keys that identify values by their content, in any process."""

import enum
import hashlib
import json
import types
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import cache, cached_property, partial, singledispatch
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import hash as joblib_hash
from torch import nn

from skssl._cache.user_code import installed_as, used_values

__all__ = ["TRAINING_LAYERS", "code_version", "fingerprint", "hardware"]

#: Top-level files and folders of skssl that a pretraining runs.
TRAINING_LAYERS = frozenset(
    {
        "_cache",
        "_estimator",
        "_labels",
        "_names",
        "_params",
        "_pretrain",
        "_random",
        "_results",
        "_rows",
        "_sklearn",
        "_targeted",
        "_warn",
        "augment",
        "data",
        "encoder",
        "engine",
        "exceptions",
        "nn",
        "pretext",
    }
)
_ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "skorch",
    "pillow",
)

Plain = Callable[[Any], Any]


def fingerprint(*parts: Any) -> str:
    """Return 32 hexadecimal digits that identify values by their content.

    Numbers, strings, containers, arrays and tensors are identified by value, objects by
    class and attributes, functions and classes of installed packages by name and
    version. Those of the user are identified by their compiled code, and by the content
    of everything that they name.

    Raises
    ------
    TypeError
        If a value has no content that can be hashed, such as a lock or an open file, or
        if the user's code reads files.

    Examples
    --------
    >>> fingerprint({"a": 1, "b": [2.0]}) == fingerprint({"b": [2.0], "a": 1})
    True
    >>> fingerprint(1) == fingerprint(1.0)
    False
    """
    seen: dict[int, int] = {}
    text = json.dumps([_plain(part, above=(), seen=seen) for part in parts])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


# By the name that is imported; those that decode images or make networks.
_EXTRAS = ("SimpleITK", "pydicom", "timm")


@cache
def code_version(layers: Iterable[str] = TRAINING_LAYERS, root: Path = _ROOT) -> str:
    """Return a key of the code that computes a result, and of the packages it uses.

    Parameters
    ----------
    layers : frozenset of str
        Top-level files and folders of skssl.
    root : Path
        Folder of skssl.
    """
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if place.parts[0].removesuffix(".py") in layers:
            digest.update(str(place).encode() + path.read_bytes())
    installed = packages_distributions()
    extras = [version(name) for name in _EXTRAS if name in installed]
    return fingerprint(digest.digest(), extras, [version(name) for name in _PACKAGES])


def hardware(device: torch.device) -> list[str]:
    """Return what the last bits of a computation depend on, beside the code."""
    precision = [torch.get_float32_matmul_precision(), str(torch.get_default_dtype())]
    if device.type == "cuda":
        cudnn = torch.backends.cudnn
        return [torch.cuda.get_device_name(device), *precision, str(cudnn.allow_tf32)]
    capability = torch.backends.cpu.get_cpu_capability()
    return [capability, str(torch.get_num_threads()), *precision]


def _plain(value: Any, above: tuple[int, ...], seen: dict[int, int]) -> Any:
    """Return what JSON can hold.

    ``above`` are the objects that contain this one, ``seen`` the code described so far.
    """
    if isinstance(value, np.generic) and value.dtype.kind in "biufUS":
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if id(value) in above:
        return ["above", len(above) - above.index(id(value))]
    if isinstance(value, (type, types.FunctionType)):
        if id(value) in seen:
            return ["seen", seen[id(value)]]
        seen[id(value)] = len(seen)
    inner = partial(_plain, above=(*above, id(value)), seen=seen)
    return [_name(type(value)), *_parts(value, inner)]


@singledispatch
def _parts(value: Any, plain: Plain) -> list:
    """Return the parts of a value; here, of an object of any class."""
    if isinstance(value, (float, complex, bytes, Path, np.generic)):
        return [repr(value)]
    if hasattr(value, "to_numpy"):  # tables of pandas and others
        return [plain(list(getattr(value, "columns", ()))), plain(value.to_numpy())]
    if hasattr(value, "__dict__"):
        return [plain(type(value)), plain(vars(value))]
    try:
        return [joblib_hash(value)]
    except Exception as error:  # pickling fails in any way
        raise TypeError(f"{value!r} has no content that can be hashed.") from error


@_parts.register
def _(value: enum.Enum, plain: Plain) -> list:  # noqa: ARG001
    return [_name(type(value)), value.name, repr(value.value)]


@_parts.register
def _(value: np.ndarray, plain: Plain) -> list:
    if value.dtype.kind not in "biufcSUV":  # objects, dates, strings of any length
        return [value.dtype.str, value.shape, plain(value.astype(object).tolist())]
    digest = hashlib.sha256(np.ascontiguousarray(value).data)
    return [value.dtype.str, value.shape, digest.hexdigest()]


@_parts.register
def _(value: torch.Tensor, plain: Plain) -> list:  # noqa: ARG001
    flat = value.detach().to_dense().cpu().contiguous().flatten()
    digest = hashlib.sha256(flat.view(torch.uint8).numpy().data)
    strides = value.stride() if value.layout is torch.strided else None
    kind = [str(value.dtype), value.requires_grad, value.shape, strides]
    return [*kind, digest.hexdigest()]


@_parts.register
def _(value: nn.Module, plain: Plain) -> list:
    children = [list(child) for child in value._modules.items()]  # in their order
    state = {name: held for name, held in vars(value).items() if name != "_modules"}
    return [plain(type(value)), plain(state), plain(children)]


@_parts.register(dict)
def _(value: Any, plain: Plain) -> list:
    pairs = [[plain(key), plain(held)] for key, held in value.items()]
    return pairs if isinstance(value, OrderedDict) else sorted(pairs, key=json.dumps)


@_parts.register(set | frozenset)
def _(value: Any, plain: Plain) -> list:
    return sorted(map(plain, value), key=json.dumps)


@_parts.register(list | tuple)
def _(value: Any, plain: Plain) -> list:
    return list(map(plain, value))


@_parts.register(partial)
@_parts.register(types.MethodType)
@_parts.register(staticmethod)
@_parts.register(classmethod)
@_parts.register(property)
@_parts.register(cached_property)
def _(value: Any, plain: Plain) -> list:
    names = ("func", "args", "keywords", "__self__", "__func__", "fget", "fset")
    return [plain(getattr(value, name, None)) for name in names]


@_parts.register
def _(value: types.BuiltinFunctionType, plain: Plain) -> list:
    owner = value.__self__
    is_module = isinstance(owner, types.ModuleType)
    return [value.__qualname__, None if is_module else plain(owner)]


@_parts.register
def _(value: types.CodeType, plain: Plain) -> list:
    return [plain(value.co_code), plain(value.co_consts), plain(value.co_names)]


@_parts.register
def _(value: types.ModuleType, plain: Plain) -> list:
    installed = installed_as(value.__name__)
    # What code uses of a module of the user's is described where it is used.
    return [value.__name__, installed, plain(None)]


@_parts.register
def _(value: types.FunctionType, plain: Plain) -> list:
    installed = installed_as(value.__module__)
    if installed is not None:
        return [_name(value), installed]
    used = {}
    for name, held in used_values(value):
        try:
            used[name] = plain(held)
        except TypeError as error:
            raise TypeError(f"{_name(value)} uses {name!r}: {error}") from error
    return [_name(value), plain(value.__code__), used]


@_parts.register
def _(value: type, plain: Plain) -> list:
    installed = installed_as(value.__module__)
    if installed is not None:
        return [_name(value), installed]
    own = {
        name: held
        for name, held in vars(value).items()
        if (callable(held) or not name.startswith(("__", "_abc_")))
        and not isinstance(
            held, types.MemberDescriptorType | types.GetSetDescriptorType
        )
    }
    return [_name(value), plain(own), plain(value.__bases__)]


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
