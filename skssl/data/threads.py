"""Work on many images in threads, with errors that do not depend on their timing."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from joblib import Parallel, delayed

Result = TypeVar("Result")


def map_rows(
    look: Callable[[int], Result], rows: Iterable[int], n_jobs: int | None
) -> list[Result]:
    """Return ``look(row)`` of all rows, in order.

    Raises
    ------
    Exception
        That of the first row that failed, whichever thread was the fastest.
    """

    def attempt(row: int) -> Result | Exception:
        try:
            return look(row)
        except Exception as error:
            return error

    results: list[Result] = []
    for result in Parallel(n_jobs=n_jobs, require="sharedmem")(
        delayed(attempt)(row) for row in rows
    ):
        if isinstance(result, Exception):
            raise result
        results.append(result)
    return results
