"""Both estimators in scikit-learn's searches, with patients, in two processes."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    StratifiedGroupKFold,
    cross_val_predict,
    cross_validate,
    learning_curve,
    permutation_test_score,
)
from sklearn.pipeline import Pipeline

from skssl import FineTuneClassifier, Phase, SelfSupervisedPretrainer
from skssl.datasets import make_scan_phantoms
from skssl.pretext import SimCLR
from skssl.testing import tiny_cnn

CV = {"cv": StratifiedGroupKFold(2)}
# Log loss moves with each bit of a probability, as the accuracy of few images does not.
LOSS = {"scoring": "neg_log_loss", **CV}
STRICT = {"error_score": "raise", **LOSS}


class Patient(SelfSupervisedPretrainer):
    """It must get the patients of its very images, in whichever process it is.

    The first pixel of an image is the number of its patient.
    """

    def fit(self, X, y=None, groups=None):
        if groups is None or not np.array_equal(X[:, 0, 0], groups):
            raise ValueError(f"patients {groups} for images of {X[:, 0, 0]}")
        return super().fit(X, y, groups)


@dataclass
class Setting:
    """An estimator, and how images and patients are handed over to it."""

    kind: str
    model: Any
    prefix: str  # of the pretrainer's parameters
    X: np.ndarray
    y: np.ndarray
    split: dict[str, np.ndarray]  # for the splitter alone
    params: dict[str, np.ndarray]  # for fit, and with routing for both

    @property
    def grid(self) -> dict[str, list]:
        return {f"{self.prefix}__pretext__temperature": [0.1, 1.0]}

    def searched(self) -> "Setting":
        """As a search wants it: without routing ``groups`` go to the splitter only.

        Arguments of a step reach its fit.
        """
        if "groups" not in self.split or self.kind == "pipeline":
            return self
        return replace(
            self,
            model=Pipeline([("clf", self.model)]),
            prefix=f"clf__{self.prefix}",
            params={"clf__groups": self.params["groups"]},
        )


@pytest.fixture(scope="module", autouse=True)
def as_many_threads_as_a_worker():
    """Sums depend on the number of threads; joblib gives two workers half each."""
    before = torch.get_num_threads()
    half = max(1, joblib.cpu_count() // 2)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", half)))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scans():
    """12 patients with 2 slices; the lesion of a diseased one shows in the first."""
    found = make_scan_phantoms(12, images_per_patient=2, image_size=20, random_state=0)
    found.data[:, 0, 0] = found.groups
    found.target[1::2] = 0
    return found


def make_pretrainer(**options):
    return Patient(
        SimCLR(same_group="ignore"),
        backbone=tiny_cnn,
        max_epochs=1,
        batch_size=4,
        precision="float32",
        random_state=0,
        **options,
    )


def make_pipeline(**options):
    clf = LogisticRegression(max_iter=500)
    return Pipeline([("ssl", make_pretrainer(**options)), ("clf", clf)])


def make_classifier(**options):
    return FineTuneClassifier(
        make_pretrainer(**options),
        phases=[Phase(epochs=1, batch_size=4)],
        validation_fraction=0.5,
        selection="best",
        precision="float32",
        random_state=0,
    )


def make_setting(kind, scans, *, routed, **options):
    """With routing the configuration must say so, too."""
    if kind == "pipeline":
        model, prefix, name = make_pipeline(**options), "ssl", "ssl__groups"
        takes = model["ssl"]
    else:
        model, prefix, name = make_classifier(**options), "pretrainer", "groups"
        takes = model
    split = {"groups": scans.groups}
    if routed:
        takes.set_fit_request(groups=True)
        split, name = {}, "groups"
    params = {name: scans.groups}
    return Setting(kind, model, prefix, scans.data, scans.target, split, params)


def run_cross_validate(s, n_jobs):
    done = cross_validate(
        s.model, s.X, s.y, params=s.params, n_jobs=n_jobs, **s.split, **STRICT
    )
    return done["test_score"]


def run_cross_val_predict(s, n_jobs):
    options = {"params": s.params, "method": "predict_proba", "n_jobs": n_jobs}
    return cross_val_predict(s.model, s.X, s.y, **options, **s.split, **CV)


def run_learning_curve(s, n_jobs):
    options = {"params": s.params, "train_sizes": [0.7, 1.0], "n_jobs": n_jobs}
    _, *scores = learning_curve(s.model, s.X, s.y, **options, **s.split, **STRICT)
    return scores


def run_permutation_test(s, n_jobs):
    options = {"params": s.params, "n_permutations": 2, "n_jobs": n_jobs}
    score, permuted, p = permutation_test_score(
        s.model, s.X, s.y, random_state=0, **options, **s.split, **LOSS
    )
    assert len({score, *permuted}) == 3, "no label changed its place"
    return [score, *permuted, p]


def run_grid_search(s, n_jobs):
    s = s.searched()
    search = GridSearchCV(s.model, s.grid, n_jobs=n_jobs, **STRICT)
    search.fit(s.X, s.y, **s.split, **s.params)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 2, "the parameter changed nothing"
    return [*scores, *search.predict_proba(s.X)[:, 1]]


def run_halving_search(s, n_jobs):
    s = s.searched()
    search = HalvingGridSearchCV(
        s.model,
        s.grid,
        resource=f"{s.prefix}__max_epochs",
        max_resources=2,
        factor=2,
        n_jobs=n_jobs,
        random_state=0,
        **STRICT,
    )
    search.fit(s.X, s.y, **s.split, **s.params)
    assert search.n_resources_ == [1, 2]
    scores = search.cv_results_["mean_test_score"]
    return [*scores, *search.predict_proba(s.X)[:, 1]]


TOOLS: list[Callable] = [
    run_cross_validate,
    run_cross_val_predict,
    run_learning_curve,
    run_permutation_test,
    run_grid_search,
    run_halving_search,
]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.__name__[4:])
@pytest.mark.parametrize("kind", ["pipeline", "classifier"])
def test_scores_are_the_same_with_routing_and_in_two_processes(kind, tool, scans):
    plain = make_setting(kind, scans, routed=False)
    scores, alone = (np.ravel(tool(plain, n_jobs)) for n_jobs in (2, 1))
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, alone)
    with config_context(enable_metadata_routing=True):
        routed = np.ravel(tool(make_setting(kind, scans, routed=True), 2))
    assert np.isfinite(routed).all()
    # Without routing, scikit-learn permutes labels within each patient; with it, all.
    n = 1 if tool is run_permutation_test else len(scores)
    np.testing.assert_array_equal(routed[:n], scores[:n])


@pytest.mark.parametrize("routed", [False, True])
@pytest.mark.parametrize("kind", ["pipeline", "classifier"])
def test_inside_the_folds_patients_are_whole(kind, routed, scans):
    with config_context(enable_metadata_routing=routed):
        s = make_setting(kind, scans, routed=routed, fraction=0.7)
        done = cross_validate(
            s.model,
            s.X,
            s.y,
            params=s.params,
            n_jobs=2,
            return_estimator=True,
            return_indices=True,
            **s.split,
            **STRICT,
        )
    for fitted, train in zip(done["estimator"], done["indices"]["train"], strict=True):
        patients = scans.groups[train]
        if kind == "pipeline":
            ssl = fitted["ssl"]
        else:
            ssl = fitted.pretrainer_
            held = np.isin(patients, patients[fitted.validation_indices_])
            np.testing.assert_array_equal(
                np.flatnonzero(held), fitted.validation_indices_
            )
            patients = patients[~held]
        drawn = np.isin(patients, patients[ssl.sample_indices_])
        np.testing.assert_array_equal(np.flatnonzero(drawn), ssl.sample_indices_)
        assert 0 < drawn.sum() < len(patients)


@pytest.mark.parametrize("kind", ["pipeline", "classifier"])
def test_groups_of_a_plain_search_are_for_the_split_alone(kind, scans):
    """The classifier of the tests above can fail."""
    s = make_setting(kind, scans, routed=False)
    with pytest.raises(ValueError, match="patients None for images of"):
        GridSearchCV(s.model, s.grid, **STRICT).fit(s.X, s.y, groups=scans.groups)


@pytest.mark.parametrize("kind", ["pipeline", "classifier"])
def test_routed_groups_that_nobody_asked_for_are_an_error(kind, scans):
    s = make_setting(kind, scans, routed=False)
    with (
        config_context(enable_metadata_routing=True),
        pytest.raises(UnsetMetadataPassedError, match=r"\[groups\] are passed but"),
    ):
        GridSearchCV(s.model, s.grid, **STRICT).fit(s.X, s.y, groups=scans.groups)
