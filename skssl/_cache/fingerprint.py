"""Names for things by what they are, so that equal ones have equal names anywhere."""

import enum
import hashlib
import json
import sys
import sysconfig
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache, cached_property, partial, singledispatch
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import hash as joblib_hash
from sklearn.utils import Bunch
from torch import nn

_PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "skorch",
    "pillow",
)
_INSTALLED = {
    Path(sysconfig.get_path(name)).resolve()
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
}

Plain = Callable[[Any], Any]


def fingerprint(*parts: Any) -> str:
    """Return 32 hexadecimal digits that stand for values of any kind.

    Numbers, texts, containers, arrays and tensors are taken by value, objects by their
    class and attributes. Functions and classes of installed packages are taken by name
    and version, those of the user by their compiled code and the functions, classes,
    modules and plain values that it names.

    Raises
    ------
    TypeError
        If a value has no content to tell it by, as a lock or an open file.

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


@cache
def code_version() -> str:
    """Return what stands for the code of skssl and of what it computes with."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parents[1]
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    pydicom = version("pydicom") if "pydicom" in packages_distributions() else None
    return fingerprint(digest.digest(), pydicom, [version(name) for name in _PACKAGES])


def hardware(device: torch.device) -> list[str]:
    """Return what the last bits of a computation depend on, beside the code."""
    precision = [torch.get_float32_matmul_precision(), str(torch.get_default_dtype())]
    if device.type == "cuda":
        cudnn = torch.backends.cudnn
        return [torch.cuda.get_device_name(device), *precision, str(cudnn.allow_tf32)]
    capability = torch.backends.cpu.get_cpu_capability()
    return [capability, str(torch.get_num_threads()), *precision]


def _plain(value: Any, above: tuple[int, ...], seen: dict[int, int]) -> Any:
    """Return what JSON can write.

    ``above`` are the objects that hold this one, ``seen`` the code that was told.
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
    if hasattr(value, "to_numpy"):  # pandas' and others' tables
        columns = list(getattr(value, "columns", ()))
        return [plain(columns), plain(value.to_numpy())]
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
def _(value: enum.Enum, plain: Plain) -> list:  # noqa: ARG001
    return [_name(type(value)), value.name, repr(value.value)]


@_parts.register
def _(value: np.ndarray, plain: Plain) -> list:
    if value.dtype.kind not in "biufcSUV":  # objects, dates, texts of any length
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
    state = {name: of for name, of in vars(value).items() if name != "_modules"}
    children = [list(child) for child in value._modules.items()]  # in their order
    return [plain(type(value)), plain(state), plain(children)]


@_parts.register
def _(value: dict, plain: Plain) -> list:
    pairs = [[plain(key), plain(of)] for key, of in value.items()]
    in_order = isinstance(value, OrderedDict) and not isinstance(value, Bunch)
    return pairs if in_order else sorted(pairs, key=json.dumps)


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
def _(value: types.BuiltinFunctionType, plain: Plain) -> list:
    of_module = isinstance(value.__self__, types.ModuleType)
    return [value.__qualname__, None if of_module else plain(value.__self__)]


@_parts.register
def _(value: types.ModuleType, plain: Plain) -> list:  # noqa: ARG001
    installed = _installed_as(value.__name__)
    if installed is not None or not getattr(value, "__file__", None):
        return [value.__name__, installed]
    code = Path(str(value.__file__)).read_bytes()
    return [value.__name__, hashlib.sha256(code).hexdigest()]


@_parts.register
def _(value: types.CodeType, plain: Plain) -> list:
    return [plain(value.co_code), plain(value.co_consts), plain(value.co_names)]


@_parts.register
def _(value: types.FunctionType, plain: Plain) -> list:
    installed = _installed_as(value.__module__)
    if installed is not None:
        return [_name(value), installed]
    cells = value.__closure__ or ()
    held = [_content(cell) for cell in cells]
    defaults = [value.__defaults__, value.__kwdefaults__]
    used = {
        name: value.__globals__[name]
        for name in _names(value.__code__)
        if _is_code_or_plain(value.__globals__.get(name))
    }
    parts = [value.__code__, defaults, held, used]
    return [_name(value), *map(plain, parts)]


@_parts.register(staticmethod | classmethod)
def _(value: Any, plain: Plain) -> list:
    return [plain(value.__func__)]


@_parts.register
def _(value: property, plain: Plain) -> list:
    return [plain(value.fget), plain(value.fset)]


@_parts.register
def _(value: cached_property, plain: Plain) -> list:
    return [plain(value.func)]


@_parts.register(types.MemberDescriptorType | types.GetSetDescriptorType)
def _(value: Any, plain: Plain) -> list:  # noqa: ARG001
    return [value.__name__]


@_parts.register
def _(value: type, plain: Plain) -> list:
    installed = _installed_as(value.__module__)
    if installed is not None:
        return [_name(value), installed]
    own = {
        name: of
        for name, of in vars(value).items()
        if callable(of) or not name.startswith(("__", "_abc_"))
    }
    return [_name(value), plain(own), plain(value.__bases__)]


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def _names(code: types.CodeType) -> Iterator[str]:
    """Yield the names that a function and those within it look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _is_code_or_plain(value: Any) -> bool:
    plain = (bool, int, float, str, bytes, tuple, type)
    return isinstance(value, (*plain, types.FunctionType, types.ModuleType))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


@cache
def _installed_as(module: str) -> str | None:
    """Return name and version of the distribution of a module; None for one's own."""
    top = module.split(".", maxsplit=1)[0]
    if top in ("skssl", "builtins"):
        return top  # see code_version
    file = getattr(sys.modules.get(top), "__file__", None)
    if top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return sys.version
    if file is None or not _INSTALLED.intersection(Path(file).resolve().parents):
        return None
    names = sorted(packages_distributions().get(top, ()))
    return " ".join(f"{name} {version(name)}" for name in names) or top
