"""What is held out does not touch the weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    GroupShuffleSplit,
    StratifiedGroupKFold,
    cross_validate,
)

from skssl import FineTuneClassifier, Phase
from skssl.data import sources

pytestmark = pytest.mark.filterwarnings(
    "ignore::skssl.exceptions.NothingLearnedWarning"  # of one epoch
)


# Stratified folds look at labels; this one does not.
BLIND = GroupShuffleSplit(1, test_size=0.4, random_state=1)


def weights_of(clf):
    return [network.state_dict() for network in clf.networks_]


def assert_same(first, second):
    for ours, theirs in zip(first, second, strict=True):
        for name, value in ours.items():
            assert torch.equal(value, theirs[name]), name


@pytest.fixture(params=["none", "ssl", "flip"])
def clf(request, make_clf, make_ssl, make_flip):
    pretrainer = {"none": lambda: None, "ssl": make_ssl, "flip": make_flip}
    return make_clf(pretrainer[request.param](), validation_fraction=BLIND)


def changed(scans, rows):
    """The scans with other pixels and labels in some rows, of a wider range."""
    X = scans.data.astype(np.float32)
    X[rows] = 300 - X[rows]
    y = scans.target.copy()
    y[rows] = 1 - y[rows]
    return X, y


@pytest.mark.parametrize("part", ["pixels", "labels", "both"])
def test_validation_patients_do_not_change_the_last_weights(clf, scans, part):
    X, y = scans.data.astype(np.float32), scans.target
    before = clf.fit(X, y, scans.groups)
    kept, held = weights_of(before), before.validation_indices_
    figures = [row["val_loss"] for row in before.history_]
    other_X, other_y = changed(scans, held)
    clf.fit(
        X if part == "labels" else other_X,
        y if part == "pixels" else other_y,
        scans.groups,
    )
    np.testing.assert_array_equal(clf.validation_indices_, held)
    assert_same(kept, weights_of(clf))
    assert figures != [row["val_loss"] for row in clf.history_]


@pytest.mark.parametrize("fraction", [0.3, 0.5])
def test_pixels_of_validation_patients_do_not_choose_who_is_held_out(
    make_clf, make_flip, scans, fraction
):
    """The stratified split looks at labels and patients alone."""
    clf = make_clf(make_flip(), validation_fraction=fraction)
    X, y = scans.data.astype(np.float32), scans.target
    kept = weights_of(clf.fit(X, y, scans.groups))
    held = clf.validation_indices_
    clf.fit(changed(scans, held)[0], y, scans.groups)
    np.testing.assert_array_equal(clf.validation_indices_, held)
    assert_same(kept, weights_of(clf))


def test_balanced_weights_are_those_of_the_training_part(make_clf, scans):
    """Another share of a class among those held out does not change the balance."""
    clf = make_clf(validation_fraction=BLIND, class_weight="balanced")
    kept = weights_of(clf.fit(scans.data, scans.target, scans.groups))
    held = clf.validation_indices_
    y = scans.target.copy()
    y[held[1:]] = 0
    y[held[0]] = 1
    assert y.sum() != scans.target.sum(), "the case does not show anything"
    assert_same(kept, weights_of(clf.fit(scans.data, y, scans.groups)))


def test_best_chooses_an_epoch_and_nothing_else(make_clf, scans):
    """Other held-out labels: the same weights in each epoch, another choice."""
    clf = make_clf(
        phases=[Phase("head", epochs=3), Phase(epochs=3, lr=3e-2, optimizer="sgd")],
        validation_fraction=BLIND,
        selection="average_last_k",
        n_average=6,
    )
    every = weights_of(clf.fit(scans.data, scans.target, scans.groups))
    clf.set_params(selection="best")
    other = changed(scans, clf.validation_indices_)[1]
    chosen = set()
    for y in (scans.target, other):
        (epoch,) = clf.fit(scans.data, y, scans.groups).selected_epochs_
        assert_same(weights_of(clf), every[epoch - 1 : epoch])
        chosen.add(epoch)
    assert len(chosen) == 2, "the case does not show anything"


@pytest.fixture
def paths(scans, tmp_path):
    """The scans as files, and a set of the rows that were read."""
    names = []
    for i, scan in enumerate(scans.data):
        names.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(scan).save(names[-1])
    return names


@pytest.fixture
def reads(monkeypatch):
    """Rows of the files that were opened."""
    opened = set()
    for name in ("decode_file", "read_header"):
        read = getattr(sources, name)

        def noted(path, read=read, **options):
            opened.add(int(Path(path).stem))
            return read(path, **options)

        monkeypatch.setattr(sources, name, noted)
    return opened


@pytest.mark.parametrize("kind", ["ssl", "flip"])
def test_fit_never_reads_a_test_row(
    make_clf, make_ssl, make_flip, scans, paths, reads, kind
):
    pretrainer = make_ssl() if kind == "ssl" else make_flip()
    clf = make_clf(pretrainer, validation_fraction=0.3)
    read_in_fit = []

    class Watched(FineTuneClassifier):
        def fit(self, X, y, groups=None, sample_weight=None):
            reads.clear()
            super().fit(X, y, groups, sample_weight)
            read_in_fit.append(set(reads))
            return self

    done = cross_validate(
        Watched(**clf.get_params(deep=False)),
        paths,
        scans.target,
        groups=scans.groups,
        cv=StratifiedGroupKFold(2),
        return_indices=True,
        error_score="raise",
    )
    assert len(read_in_fit) == 2
    for read, train in zip(read_in_fit, done["indices"]["train"], strict=True):
        assert read == set(train.tolist())


def test_the_pretrainer_never_sees_a_validation_patient(
    make_clf, make_ssl, scans, paths, reads
):
    """Nor the unlabelled rows of one."""
    y = scans.target.copy()
    y[::3] = -1
    clf = make_clf(make_ssl(), validation_fraction=0.3)
    clf.fit(paths, y, scans.groups)
    held = set(scans.groups[clf.validation_indices_])
    n_seen = len(clf.pretrainer_.sample_indices_)
    assert n_seen == sum(group not in held for group in scans.groups)
    # What is read of these patients is their labelled rows, to be scored.
    of_held = {i for i in reads if scans.groups[i] in held}
    assert of_held == set(clf.validation_indices_.tolist())


def test_a_frozen_pretrainer_is_not_fitted_again(make_clf, make_ssl, scans):
    ssl = make_ssl(random_state=0).fit(scans.data)
    state = {name: value.clone() for name, value in ssl.backbone_.state_dict().items()}
    make_clf(FrozenEstimator(ssl)).fit(scans.data, scans.target)
    for name, value in ssl.backbone_.state_dict().items():
        assert torch.equal(value, state[name])
