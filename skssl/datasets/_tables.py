"""Read comma-separated tables, with the line numbers that error messages need."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["TableRow", "read_header", "read_table"]


_SEPARATORS = ",;\t"


class TableRow(dict[str, str]):
    """The cells of a row by column; ``line`` is the line of the file where it ends."""

    __slots__ = ("line",)
    line: int


@contextmanager
def _open_table(path: Path) -> Iterator[Any]:
    """Yield a reader of a comma-separated file; raise ValueError if it is not UTF-8.

    The separator may also be a semicolon or a tab, as some spreadsheets write.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            header = file.readline()
            separator = max(_SEPARATORS, key=header.count)
            file.seek(0)
            yield csv.reader(file, delimiter=separator)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path} must be UTF-8 text, but is not: {error}. Save it as UTF-8."
            ) from error


def read_header(path: Path) -> list[str]:
    """Return the column names of a comma-separated file."""
    with _open_table(path) as reader:
        return [name.strip() for name in next(reader, [])]


def read_table(path: Path, columns: Sequence[str]) -> list[TableRow]:
    """Read the given columns of a comma-separated file; skip empty rows.

    Spaces around names and values are dropped. The case of column names is ignored, if
    that leaves no doubt.

    Raises
    ------
    ValueError
        If a column is missing, a row is too short, there are no rows, or the file is
        not UTF-8.
    """
    found = _as_asked_for(read_header(path), columns)
    missing = [column for column in columns if column not in found]
    if missing:
        raise ValueError(
            f"{path} lacks the columns {missing}. It has {found}; "
            f"{list(columns)} are needed."
        )
    positions = {column: found.index(column) for column in columns}
    n_needed = max(positions.values()) + 1
    rows = []
    with _open_table(path) as reader:
        # csv.DictReader takes three times as long, which matters for 224,316 rows.
        next(reader)
        for row in filter(None, reader):
            if len(row) < n_needed:
                raise ValueError(
                    f"{path}, line {reader.line_num}: {len(row)} fields, but "
                    f"{n_needed} are needed for the column {found[n_needed - 1]!r}."
                )
            if any(value.strip() for value in row[len(found) :]):
                raise ValueError(
                    f"{path}, line {reader.line_num}: {len(row)} fields, but "
                    f"{len(found)} columns: put values with a separator in quotes."
                )
            rows.append(
                TableRow((name, row[i].strip()) for name, i in positions.items())
            )
            rows[-1].line = reader.line_num
    if not rows:
        raise ValueError(f"{path} has a header, but no rows.")
    return rows


def _as_asked_for(found: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Return column names, in the spelling of those that are asked for."""
    by_key: dict[str, list[str]] = {}
    for name in found:
        by_key.setdefault(name.lower(), []).append(name)
    spelling = {
        by_key[column.lower()][0]: column
        for column in columns
        if column not in found and len(by_key.get(column.lower(), [])) == 1
    }
    return [spelling.get(name, name) for name in found]
