"""The same path on a GPU, and off it again."""

import pickle

import numpy as np
import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore::skssl.exceptions.NothingLearnedWarning"),
]


def test_a_classifier_of_the_gpu_loads_where_there_is_none(
    make_clf, make_flip, scans, monkeypatch
):
    clf = make_clf(make_flip(), auxiliary=None, validation_fraction=0.3, device="cuda")
    clf.fit(scans.data, scans.target, scans.groups)
    assert next(clf.networks_.parameters()).is_cuda
    p = clf.predict_proba(scans.data)
    frozen = pickle.dumps(clf)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    loaded = pickle.loads(frozen)
    assert loaded.device_ == "cpu"
    np.testing.assert_allclose(loaded.predict_proba(scans.data), p, atol=1e-3)


def test_the_same_seed_gives_the_same_bits(make_clf, make_ssl, scans):
    clf = make_clf(make_ssl(device="cuda"), device="cuda", auxiliary="rotation")
    first, again = (
        clf.fit(scans.data, scans.target).predict_proba(scans.data) for _ in "12"
    )
    np.testing.assert_array_equal(first, again)
