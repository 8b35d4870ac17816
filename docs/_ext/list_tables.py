"""The layout of all generated tables."""

from collections.abc import Iterable


def list_table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a reStructuredText table; cells may contain reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (header, *rows):
        for i, cell in enumerate(row):
            lines.append(f"   {'*' if i == 0 else ' '} - {cell}")
    return "\n".join(lines) + "\n"
