"""Results and errors are in the order of the rows, whichever thread is faster."""

import os
import time

import pytest
from joblib import parallel_config

from skssl.data.threads import map_rows


def test_results_are_in_order():
    assert map_rows(lambda row: row * row, range(50), 3) == [r * r for r in range(50)]


def test_error_of_the_first_row_is_raised():
    def fail(row):
        time.sleep(0.05 if row == 1 else 0.0)
        raise ValueError(f"row {row}")

    with pytest.raises(ValueError, match=r"row 1$"):
        map_rows(fail, [1, 2, 3, 4], 4)


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_rows_are_processed_in_this_process(backend):
    with parallel_config(backend=backend):
        assert set(map_rows(lambda row: os.getpid(), range(8), 2)) == {os.getpid()}
