"""Functions of many rows in threads, with errors that do not depend on timing."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from joblib import Parallel, delayed

__all__ = ["ahead", "map_rows", "n_threads"]

Result = TypeVar("Result")


def n_threads(n_jobs: int | None, n_tasks: int) -> int | None:
    """Return a number of threads that is not above the number of tasks."""
    return n_jobs if n_jobs is None or n_jobs < 1 else min(n_jobs, max(1, n_tasks))


def map_rows(
    function: Callable[[int], Result], rows: Iterable[int], n_jobs: int | None
) -> list[Result]:
    """Return ``function(row)`` for all rows, in order.

    Raises
    ------
    Exception
        The error of the first row that failed, in the order of the rows.
    """

    def attempt(row: int) -> Result | Exception:
        try:
            return function(row)
        except Exception as error:
            return error

    results: list[Result] = []
    rows = list(rows)
    n_jobs = n_threads(n_jobs, len(rows))
    for result in Parallel(n_jobs=n_jobs, require="sharedmem")(
        delayed(attempt)(row) for row in rows
    ):
        if isinstance(result, Exception):
            raise result
        results.append(result)
    return results


def ahead(items: Iterator[Result]) -> Iterator[Result]:
    """Yield the items of an iterator, which works on the next one in another thread.

    Errors are raised where the item would have been. If the consumer stops, at most one
    item more was worked on.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="skssl-ahead") as worker:
        coming = worker.submit(next, items)
        with suppress(StopIteration):
            while True:
                item = coming.result()
                coming = worker.submit(next, items)
                yield item
