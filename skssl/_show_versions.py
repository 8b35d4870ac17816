"""Versions and hardware, for bug reports and for the methods section of a paper."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

__all__ = ["show_versions"]

_REQUIRED = (
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "torchvision",
    "skorch",
    "joblib",
    "filelock",
    "pillow",
    "tqdm",
)
_OPTIONAL = (
    "timm",
    "pydicom",
    "SimpleITK",
    "pyjpegls",
    "pylibjpeg-openjpeg",
    "python-gdcm",
    "safetensors",
    "skops",
    "pandas",
    "openpyxl",
    "matplotlib",
    "optuna",
    "captum",
    "onnx",
    "onnxruntime",
)


def show_versions() -> None:
    """Print the versions of skssl and its dependencies, and the hardware in use.

    Please include the output in bug reports. It contains no names of users, files or
    machines.

    Examples
    --------
    >>> import skssl
    >>> skssl.show_versions()  # doctest: +SKIP
    """
    for title, rows in _sections().items():
        print(f"{title}:")
        width = max(map(len, rows))
        for name, value in rows.items():
            print(f"  {name:<{width}}  {value}")


def _sections() -> dict[str, dict[str, str]]:
    """Return what is printed: a table of names and values for each title."""
    system = {
        "Python": sys.version.replace("\n", " "),
        "platform": platform.platform(),
        "CPU cores": str(os.cpu_count()),
    }
    return {
        "System": system,
        "skssl and its dependencies": {
            name: _version(name) for name in ("skssl", *_REQUIRED)
        },
        "Optional dependencies": {name: _version(name) for name in _OPTIONAL},
        "PyTorch": _torch_facts(),
    }


def _version(name: str) -> str:
    if name == "skssl":  # also right when run from a folder that is not installed
        from skssl._version import __version__

        return __version__
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _torch_facts() -> dict[str, str]:
    """Return the devices and number formats that PyTorch can use."""
    import torch

    from skssl.engine import resolve_precision

    size = (224, 224)
    facts = {
        "CPU capability": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        "precision 'auto' on the CPU": resolve_precision(
            "auto", torch.device("cpu"), size
        ),
        "CUDA of this build": str(torch.version.cuda or "none"),
        "CUDA devices": str(torch.cuda.device_count()),
    }
    for index in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(index)
        with torch.cuda.device(index):
            precision = resolve_precision("auto", torch.device("cuda", index), size)
        name = torch.cuda.get_device_name(index)
        facts[f"CUDA device {index}"] = (
            f"{name}, compute capability {major}.{minor}, precision 'auto': {precision}"
        )
    return facts
