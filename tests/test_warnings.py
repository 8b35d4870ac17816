"""Each warning points at the line of the user's that called skssl."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from skssl import Phase, SelfSupervisedPretrainer, TargetedFlipPretrainer
from skssl.exceptions import (
    CacheWarning,
    CollapseWarning,
    NothingLearnedWarning,
    SelectionWarning,
)
from skssl.testing import tiny_cnn

FLAT = np.full((8, 32, 32), 128, dtype=np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (8, 32, 32), dtype=np.uint8)
LABELS = np.arange(8) % 2
KINDS = [CacheWarning, CollapseWarning, NothingLearnedWarning, SelectionWarning]


def pretrainer(**options):
    settings = {"backbone": tiny_cnn, "max_epochs": 1, "random_state": 0, **options}
    return SelfSupervisedPretrainer(**settings)


def make(kind, folder):
    """Return an estimator and images with which ``fit`` gives a warning."""
    if kind is CollapseWarning:
        return pretrainer(), FLAT
    if kind is SelectionWarning:
        return pretrainer(select=no_score), NOISE
    if kind is CacheWarning:
        (folder / "file").write_text("")
        return pretrainer(cache=folder / "file"), NOISE
    return TargetedFlipPretrainer(
        backbone=tiny_cnn, phases=[Phase(epochs=1)], random_state=0
    ), FLAT


def no_score(row):
    return None


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def case(request, tmp_path):
    return request.param, *make(request.param, tmp_path)


def assert_here(caught, kind):
    given = [warning for warning in caught if warning.category is kind]
    assert given
    assert {warning.filename for warning in given} == {__file__}


def test_fit(case):
    kind, estimator, images = case
    with pytest.warns(kind) as caught:
        estimator.fit(images)
    assert_here(caught, kind)


def test_fit_of_a_pipeline_in_a_cross_validation(case):
    kind, estimator, images = case
    pipe = make_pipeline(estimator, LogisticRegression())
    with pytest.warns(kind) as caught:
        cross_val_score(pipe, images, LABELS, cv=2, error_score="raise")
    assert_here(caught, kind)


def test_a_recalled_training(tmp_path):
    for _ in range(2):
        with pytest.warns(SelectionWarning) as caught:
            pretrainer(select=no_score, cache=tmp_path).fit(NOISE)
        assert_here(caught, SelectionWarning)


def test_the_line_is_that_of_the_call():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pretrainer(select=no_score).fit(NOISE)  # this line
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    assert lines[caught[0].lineno - 1].endswith("# this line")
