"""Labels that are independent of the images are predicted at chance, end to end.

Each test of chance has a twin with a leak, which scores more: the test can fail.
"""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_val_predict,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from skssl import FineTuneClassifier, Phase, SelfSupervisedPretrainer
from skssl.datasets import make_scan_phantoms
from skssl.metrics import bootstrap_interval
from skssl.model_selection import fraction_curve
from skssl.pretext import SimCLR
from skssl.testing import tiny_cnn

N_SETS = 3
GROUPED = StratifiedGroupKFold(3, shuffle=True, random_state=0)
NAIVE = StratifiedKFold(3, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def sets():
    """Three sets of 16 patients with 6 slices, whose lesions can be seen."""
    return [
        make_scan_phantoms(
            16,
            images_per_patient=6,
            image_size=24,
            lesion_contrast=4.0,
            noise=0.5,
            random_state=seed,
        )
        for seed in range(N_SETS)
    ]


def labels_of(scans, kind, seed):
    """Labels drawn for each slice, or those of patients, shuffled among them."""
    rng = np.random.default_rng([seed, 1])
    if kind == "slices":
        return rng.permutation(np.arange(len(scans.target)) % 2)
    _, first = np.unique(scans.groups, return_index=True)
    return rng.permutation(scans.target[first])[scans.groups]


def make_pretrainer(seed, *, grouped):
    return SelfSupervisedPretrainer(
        SimCLR(same_group="ignore" if grouped else "negative"),
        backbone=tiny_cnn,
        max_epochs=1,
        batch_size=16,
        precision="float32",
        random_state=seed,
    )


def make_model(kind, seed, *, grouped):
    """Return an estimator, and the name by which its fit takes patients."""
    ssl = make_pretrainer(seed, grouped=grouped)
    if kind == "pipeline":
        clf = LogisticRegression(C=100, max_iter=1000)
        steps = [("ssl", ssl), ("scale", StandardScaler()), ("clf", clf)]
        return Pipeline(steps), "ssl__groups"
    clf = FineTuneClassifier(
        ssl,
        head="mlp",
        hidden_size=64,
        dropout=0.0,
        phases=[Phase(lr=1e-2, epochs=15, batch_size=16)],
        augmentation="identity",
        validation_fraction=0.25,
        selection="best",
        precision="float32",
        random_state=seed,
    )
    return clf, "groups"


def auc_of(kind, labels, cv, sets, *, grouped=True):
    """The area under the curve of all sets together, with its interval."""
    pooled = []
    for seed, scans in enumerate(sets):
        model, name = make_model(kind, seed, grouped=grouped)
        patients = {"groups": scans.groups, "params": {name: scans.groups}}
        y = labels_of(scans, labels, seed)
        p = cross_val_predict(
            model,
            scans.data,
            y,
            cv=cv,
            method="predict_proba",
            **(patients if grouped else {}),
        )
        pooled.append((y, p[:, 1], scans.groups + 1000 * seed))
    y, p, groups = (np.concatenate(part) for part in zip(*pooled, strict=True))
    return bootstrap_interval(y, p, groups=groups, n_resamples=500, random_state=0)


@pytest.mark.parametrize("labels", ["slices", "patients"])
@pytest.mark.parametrize("kind", ["pipeline", "classifier"])
def test_labels_independent_of_images_are_predicted_at_chance(kind, labels, sets):
    auc = auc_of(kind, labels, GROUPED, sets)
    assert auc.low < 0.5 < auc.high


@pytest.mark.parametrize("kind", ["pipeline", "classifier"])
def test_slices_of_a_patient_in_both_parts_would_be_seen(kind, sets):
    """The same labels, but without groups."""
    assert auc_of(kind, "patients", NAIVE, sets, grouped=False).low > 0.5


@pytest.mark.parametrize("kind", ["pipeline", "classifier"])
def test_tested_slices_in_the_training_would_be_seen(kind, sets):
    class Leaky(StratifiedGroupKFold):
        def split(self, X, y=None, groups=None):
            for _, test in super().split(X, y, groups):
                yield np.arange(len(y)), test

    leaky = Leaky(3, shuffle=True, random_state=0)
    assert auc_of(kind, "slices", leaky, sets).low > 0.5


@pytest.mark.parametrize("grouped", [True, False])
def test_curves_of_shuffled_patients(grouped, sets):
    """Two sets as one, without and with the leak."""
    sets = sets[:2]
    X = np.concatenate([scans.data for scans in sets])
    y = np.concatenate(
        [labels_of(scans, "patients", i) for i, scans in enumerate(sets)]
    )
    groups = np.concatenate([scans.groups + 1000 * i for i, scans in enumerate(sets)])
    ssl = make_pretrainer(0, grouped=grouped)
    neighbours = SelfTrainingClassifier(KNeighborsClassifier(3), max_iter=0)
    curve = fraction_curve(
        Pipeline([("ssl", ssl), ("scale", StandardScaler()), ("clf", neighbours)]),
        X,
        y,
        groups=groups if grouped else None,
        cv=GROUPED if grouped else NAIVE,
        label_fractions=(1.0,),
        response_method=("predict_proba",),
        n_resamples=200,
    )
    (auc,) = curve.intervals.values()
    assert (auc.low < 0.5 < auc.high) if grouped else (auc.low > 0.5)
