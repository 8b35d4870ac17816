"""Results come in order, and the first bad row is named whichever thread is faster."""

import os
import time

import pytest
from joblib import parallel_config

from skssl.data.threads import map_rows


def test_results_are_in_order():
    assert map_rows(lambda row: row * row, range(50), 3) == [r * r for r in range(50)]


def test_the_first_failure_wins_though_it_comes_last():
    def look(row):
        time.sleep(0.05 if row == 1 else 0.0)
        raise ValueError(f"row {row}")

    with pytest.raises(ValueError, match=r"row 1$"):
        map_rows(look, [1, 2, 3, 4], 4)


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_rows_are_read_in_this_process_whatever_the_default_is(backend):
    with parallel_config(backend=backend):
        assert set(map_rows(lambda row: os.getpid(), range(8), 2)) == {os.getpid()}
