"""Files of weights: what they are, and the tensors in them."""

import argparse
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["WeightsFile", "read_tensors"]

SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".tar")
_DEPTH = 3  # of dictionaries in dictionaries


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights that needs more than its path to be read.

    Most files need only their path, as ``weights="file.pth"``.

    Parameters
    ----------
    path : str or Path
        A ``.safetensors`` file, or one that torch saved. Only tensors and plain values
        are read from it; no code in it is run.
    prefix : str, optional
        Keys that start with it are the network's, for example ``"student.backbone."``.
        Dictionaries in the file count with their key: ``"student."``. By default the
        prefix is found by comparing keys.
    by_order : bool, default=False
        Whether the tensors are those of the network in the same order, under other
        names. Their number and all shapes must agree.
    mean, std : sequence of float, optional
        The normalisation of the images that the weights were trained with, in units of
        images in [0, 1], one number per channel. By default that of the network's
        published weights, for colour images.

    Raises
    ------
    ValueError
        If only one of ``mean`` and ``std`` is given.

    Examples
    --------
    >>> from skssl.nn import WeightsFile
    >>> WeightsFile("dino.pth", prefix="student.")
    WeightsFile(path='dino.pth', prefix='student.', by_order=False, mean=None, std=None)
    """

    path: str | PathLike[str]
    prefix: str | None = None
    by_order: bool = False
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise ValueError(
                "WeightsFile needs both mean and std, or neither; got "
                f"mean={self.mean!r} and std={self.std!r}."
            )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors with a name from a file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of str to Tensor
        Keys of dictionaries in dictionaries are joined with dots. Lists, such as the
        state of an optimizer, are left out.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If the file needs safetensors, which is not installed.
    ValueError
        If it cannot be read, is damaged, or holds no plain tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"weights file {path} does not exist.")
    content = _read(path)
    tensors = dict(_named_tensors(content)) if isinstance(content, Mapping) else {}
    if not tensors:
        raise ValueError(
            f"weights file {path} must hold a state dict of tensors, bare or in "
            "another dictionary."
        )
    for key, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
            kind = "without values" if tensor.is_meta else "sparse or quantized"
            raise ValueError(
                f"weights file {path} holds {key!r}, a tensor that is {kind}: save "
                "plain tensors."
            )
    return tensors


def _named_tensors(
    content: Mapping[Any, Any], prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, Tensor]]:
    for key, value in content.items():
        if not isinstance(key, str):
            continue
        if isinstance(value, Tensor):
            yield f"{prefix}{key}", value
        elif isinstance(value, Mapping) and depth < _DEPTH:
            yield from _named_tensors(value, f"{prefix}{key}.", depth + 1)


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return _load_safetensors(path)
        _check_sums(path)
        with _plain_objects():
            return torch.load(path, map_location="cpu", weights_only=True)
    except ImportError:
        raise
    except Exception as error:  # the formats have no common error class
        raise ValueError(
            f"weights file {path} could not be read as a state dict of plain tensors: "
            f"{error}"
        ) from error


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise ImportError(
            f"weights file {path} needs safetensors: pip install skssl[safetensors]."
        ) from error
    return load_file(path)


def _check_sums(path: Path) -> None:
    """Raise an error if a file that torch saved has changed since; torch reads it."""
    if not zipfile.is_zipfile(path):
        return  # torch's format until 1.6 has no checksums
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged!r} in it is wrong")


def _plain_objects() -> AbstractContextManager:
    """Allow the arguments of a command line, which DINO and others save, to be read.

    Loading a Namespace sets its attributes and runs nothing.
    """
    safe_globals = getattr(torch.serialization, "safe_globals", None)  # since torch 2.5
    return nullcontext() if safe_globals is None else safe_globals([argparse.Namespace])
