"""Results files of the benchmarks: one JSON file each, to which runs add rows.

A file holds versions, device and date beside its results. A stopped benchmark resumes
from its file, and several processes may add rows to the same file.
"""

import json
import platform
import resource
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sklearn
import torch
import torchvision
from filelock import FileLock

import skssl

Row = dict[str, Any]


class ResultsFileError(ValueError):
    """A file does not hold results, or holds those of other settings."""


@dataclass(frozen=True)
class RowsFile:
    """The rows of finished runs in one JSON file.

    Parameters
    ----------
    path : Path
    key : tuple of str
        Fields that identify a row. A new row replaces the one with the same key.
    header : dict
        What all rows have in common, such as the settings. A file with a different
        header is refused.
    sections : tuple of str, default=("rows",)
        Names of the lists of rows. The first is the default of the methods.
    is_current : callable, optional
        Rows for which it returns False are outdated. They are neither returned nor
        written again.
    sort_key : callable, optional
        Of a row; gives the order in the file. Default: the order of addition.
    """

    path: Path
    key: tuple[str, ...]
    header: Mapping[str, Any] = field(default_factory=dict)
    sections: tuple[str, ...] = ("rows",)
    is_current: Callable[[Row], bool] | None = None
    sort_key: Callable[[Row], Any] | None = None

    def rows(self, section: str | None = None) -> list[Row]:
        """Return the current rows of a section; none if there is no file.

        Raises
        ------
        ResultsFileError
            If the file is not a results file, or has a different header.
        """
        content = read_results(self.path)
        check_header(self.path, content, self.header)
        return self._current(content, section or self.sections[0])

    def keys(self) -> set[tuple[Any, ...]]:
        """Return the keys of the rows of the first section."""
        return {self._key(row) for row in self.rows()}

    def add(self, row: Row, section: str | None = None) -> None:
        """Add a row to what the file holds now, in one atomic write."""
        update_results(
            self.path,
            lambda content: self._with_row(content, row, section or self.sections[0]),
        )

    def _with_row(self, content: dict[str, Any], row: Row, section: str) -> dict:
        check_header(self.path, content, self.header)
        rows = {name: self._current(content, name) for name in self.sections}
        others = [old for old in rows[section] if self._key(old) != self._key(row)]
        rows[section] = [*others, row]
        if self.sort_key is not None:
            rows[section].sort(key=self.sort_key)
        return {"environment": environment(), **self.header, **rows}

    def _current(self, content: dict[str, Any], section: str) -> list[Row]:
        rows = content.get(section, [])
        is_current = self.is_current or (lambda row: True)  # noqa: ARG005
        return [row for row in rows if is_current(row)]

    def _key(self, row: Row) -> tuple[Any, ...]:
        return tuple(row.get(name) for name in self.key)


def read_results(path: Path, required: Iterable[str] = ()) -> dict[str, Any]:
    """Return the content of a results file; empty if there is no file.

    Parameters
    ----------
    path : Path
    required : iterable of str
        Fields that the file must have.

    Raises
    ------
    ResultsFileError
        If the file is not JSON, or a required field is missing.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResultsFileError(f"{path} is not a results file: {error}") from error
    missing = sorted(set(required).difference(content))
    if missing:
        raise ResultsFileError(f"{path} is not a results file: it lacks {missing}.")
    return content


def check_header(
    path: Path,
    content: Mapping[str, Any],
    header: Mapping[str, Any],
    option: str = "--json",
) -> None:
    """Refuse a results file that was written with other settings.

    Parameters
    ----------
    path : Path
    content : mapping
        Of the file; an empty one is accepted.
    header : mapping
        What the file must hold, by field.
    option : str, default="--json"
        The command-line option that names the file.

    Raises
    ------
    ResultsFileError
        If a field differs.
    """
    if not content:
        return
    for name, expected in json.loads(json.dumps(header)).items():
        found = content.get(name)
        if found != expected:
            raise ResultsFileError(
                f"{path} holds results with {name} {found}, but this run has {name} "
                f"{expected}: pass another file as {option}, or remove this one."
            )


def update_results(
    path: Path,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    to_text: Callable[[dict[str, Any]], str] | None = None,
) -> None:
    """Replace the content of a results file; other processes wait meanwhile.

    Parameters
    ----------
    path : Path
    change : callable
        Maps the content of the file, empty if there is none, to the new content.
    to_text : callable, optional
        Maps the content to JSON. Default: indented by two spaces.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        content = change(read_results(path))
        write_atomically(path, (to_text or _indented)(content))


def save(path: Path | None, results: dict[str, Any]) -> None:
    """Write results and environment to a file, unless the path is None."""
    if path is None:
        return
    update_results(path, lambda _: {"environment": environment(), **results})
    print(f"results written to {path}")


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that an interruption leaves either the old or the new text."""
    temporary = path.with_suffix(".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def environment(device: str = "auto") -> dict[str, str | int]:
    """Return the date, the name of the device, and the versions of libraries."""
    cuda = torch.cuda.is_available() and device != "cpu"
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name() if cuda else _cpu_name(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "skssl": skssl.__version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "scikit-learn": sklearn.__version__,
    }


def peak_ram_gb() -> float:
    """Return the peak resident memory of this process so far, in 10⁹ bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def _indented(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()
