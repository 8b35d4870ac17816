"""Searches, processes and killed runs share what was computed."""

import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline

from skssl import DiskCache, FineTuneClassifier, Phase
from skssl.datasets import load_covid_ct


@pytest.mark.parametrize("n", [1, 5, 15, 16, 17, 30])
def test_features_have_the_same_bits_in_any_company(make_ssl, scans, cache, n):
    plain = make_ssl().fit(scans.data)
    h = plain.transform(scans.data)
    cached = make_ssl(cache=cache).fit(scans.data)
    np.testing.assert_array_equal(cached.transform(scans.data[-n:]), h[-n:])
    np.testing.assert_array_equal(plain.transform(scans.data[:n]), h[:n])
    np.testing.assert_array_equal(cached.transform(scans.data), h)
    shuffled = np.random.default_rng(n).permutation(len(h))
    np.testing.assert_array_equal(cached.transform(scans.data[shuffled]), h[shuffled])


def test_an_image_is_encoded_once_for_each_network(make_ssl, scans, cache, work):
    ssl = make_ssl(cache=cache).fit(scans.data)
    doubled = np.concatenate([scans.data[:4], scans.data[:6]])
    ssl.transform(doubled)
    assert work["images"] == 6
    pickle.loads(pickle.dumps(ssl)).transform(scans.data[:8])
    assert work["images"] == 8
    with torch.no_grad():
        next(ssl.backbone_.parameters()).data.mul_(2)
    assert not np.array_equal(
        ssl.transform(doubled), make_ssl(cache=cache).fit(scans.data).transform(doubled)
    )
    assert work["images"] == 14


def test_a_search_pretrains_once_for_each_fraction_and_fold(
    make_ssl, scans, cache, work
):
    def search(place):
        pipe = Pipeline(
            [
                ("ssl", make_ssl(cache=place)),
                ("clf", LogisticRegression(max_iter=1000)),
            ]
        )
        return GridSearchCV(
            pipe,
            {"ssl__fraction": [0.5, 1.0], "clf__C": [0.01, 0.1, 1.0]},
            scoring="roc_auc",
            cv=StratifiedGroupKFold(2),
            error_score="raise",
            refit=False,
        ).fit(scans.data, scans.target, groups=scans.groups)

    cached = search(cache)
    assert work == {"fits": 4, "images": 4 * len(scans.data)}
    again = search(cache)
    assert work == {"fits": 4, "images": 4 * len(scans.data)}
    plain = search(None)
    assert work == {"fits": 16, "images": 4 * 4 * len(scans.data)}
    for other in (again, plain):
        for name in ("split0_test_score", "split1_test_score"):
            np.testing.assert_array_equal(
                cached.cv_results_[name], other.cv_results_[name]
            )


def test_fine_tuning_recalls_its_pretraining(make_ssl, scans, cache, work):
    clf = FineTuneClassifier(
        make_ssl(cache=cache, random_state=None),
        phases=[Phase(epochs=1)],
        random_state=3,
    )
    p = clf.fit(scans.data, scans.target).predict_proba(scans.data)
    clf.set_params(dropout=0.1, head="mlp").fit(scans.data, scans.target)
    assert work["fits"] == 1
    plain = clone(clf).set_params(dropout=0.5, head="auto", pretrainer__cache=None)
    np.testing.assert_array_equal(
        plain.fit(scans.data, scans.target).predict_proba(scans.data), p
    )


KILLED = """
import sys
import numpy as np
from skssl import SelfSupervisedPretrainer
from skssl.testing import tiny_cnn
X = np.random.default_rng(0).integers(0, 256, (20, 16, 16), dtype=np.uint8)
for seed in range(3):
    epochs = 1 if seed < 2 or sys.argv[2] == "whole" else 100_000
    ssl = SelfSupervisedPretrainer(backbone=tiny_cnn, max_epochs=epochs,
        random_state=seed, cache=sys.argv[1]).fit(X)
    print(seed, flush=True)
"""


def test_a_killed_run_keeps_what_was_finished(tmp_path):
    cache = DiskCache(tmp_path)
    run = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), "killed"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert [run.stdout.readline().strip() for _ in range(2)] == ["0", "1"]
    time.sleep(0.5)  # in the midst of the third
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    assert cache.n_fits == 2
    ages = {path: path.stat().st_ino for path in tmp_path.glob("skssl-cache/fits/*")}
    subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), "whole"],
        check=True,
        capture_output=True,
        timeout=100,
    )
    assert cache.n_fits == 3
    assert {path: path.stat().st_ino for path in ages} == ages


def test_of_two_processes_one_trains(tmp_path):
    script = """
import sys, time
import numpy as np
from skssl import SelfSupervisedPretrainer
from skssl.testing import tiny_cnn
from skssl._pretrain import pretrainer
pretrain = pretrainer.pretrain
def slow(*args):
    print("trains", flush=True)
    time.sleep(3)
    return pretrain(*args)
pretrainer.pretrain = slow
X = np.random.default_rng(0).integers(0, 256, (20, 16, 16), dtype=np.uint8)
h = SelfSupervisedPretrainer(backbone=tiny_cnn, max_epochs=1, random_state=0,
    cache=sys.argv[1]).fit_transform(X)
print(h.tobytes().hex()[:64])
"""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = [run.communicate(timeout=100)[0].split() for run in runs]
    assert sum("trains" in lines for lines in told) == 1
    assert told[0][-1] == told[1][-1]


@pytest.mark.slow
def test_the_grid_on_files_pretrains_fifteen_times(make_ssl, real_data, cache, work):
    scans = load_covid_ct(real_data("covid-ct"), subset=["train", "val"])
    pipe = Pipeline(
        [
            ("ssl", make_ssl(cache=cache, image_size=24)),
            ("clf", LogisticRegression(max_iter=1000)),
        ]
    )
    search = GridSearchCV(
        pipe,
        {
            "ssl__fraction": [0.25, 0.5, 1.0],
            "clf__C": [0.01, 0.05, 0.1, 0.2, 0.5, 1.0],
        },
        scoring="roc_auc",
        cv=StratifiedGroupKFold(5),
        error_score="raise",
        refit=False,
    )
    scores = []
    for _ in range(2):
        search.fit(scans.data, scans.target, groups=scans.groups)
        scores.append(search.cv_results_["mean_test_score"])
        assert work == {"fits": 15, "images": 15 * len(scans.data)}
    np.testing.assert_array_equal(*scores)
