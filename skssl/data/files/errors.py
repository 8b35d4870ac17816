"""Errors of decoders, turned into errors that name the file."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skssl.exceptions import ImageNotFoundError, ImageReadError

__all__ = ["errors_naming"]


@contextmanager
def errors_naming(path: str | Path, *, folder: bool = False) -> Iterator[None]:
    """Convert all errors of decoders to errors that name the file.

    Parameters
    ----------
    path : str or Path
    folder : bool, default=False
        Whether a folder is expected instead of a file.

    Raises
    ------
    ImageNotFoundError
        If the file does not exist.
    ImageReadError
        If it is not a regular file, or cannot be decoded.
    """
    name = repr(str(path))
    try:
        _check_kind(os.stat(path).st_mode, folder)  # noqa: PTH116
        yield
    except ImageReadError as error:
        if name in str(error):
            raise
        raise type(error)(f"{name} {error}") from error
    except ImportError:
        raise
    except FileNotFoundError as error:
        raise ImageNotFoundError(f"no such file: {name}") from error
    # Decoders raise errors of nearly any type for damaged files, even SyntaxError.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageReadError(f"{name} could not be decoded: {reason}") from error


def _check_kind(mode: int, folder: bool) -> None:
    """Refuse what is no file: reading from a named pipe would never end."""
    if stat.S_ISDIR(mode) != folder:
        raise ImageReadError("is no folder" if folder else "is a folder")
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ImageReadError("is no regular file")
