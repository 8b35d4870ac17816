"""What each fit of a curve sees, and what is reported."""

from functools import partial

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.semi_supervised import SelfTrainingClassifier

from skssl import FineTuneClassifier, Phase, SelfSupervisedPretrainer
from skssl.datasets import make_scan_phantoms
from skssl.model_selection import fraction_curve
from skssl.testing import tiny_cnn

SEEN = []
GOT_GROUPS = []


class Pretrainer(SelfSupervisedPretrainer):
    """It must get the patients, however deep it is nested."""

    def fit(self, X, y=None, groups=None):
        GOT_GROUPS.append(groups is not None)
        if groups is None:
            raise ValueError("no patients")
        return super().fit(X, y, groups)


class Watched(ClassifierMixin, BaseEstimator):
    """Remember what fit gets; the score is the first column."""

    def __init__(self, random_state=None, fraction=1.0):
        self.random_state = random_state
        self.fraction = fraction

    def fit(self, X, y, groups=None):
        SEEN.append((X, y, groups, self.random_state, self.fraction))
        self.classes_ = np.unique(y[y != -1])
        return self

    def decision_function(self, X):
        return X[:, 0]

    def predict(self, X):
        return (X[:, 0] > 0.5).astype(int)


@pytest.fixture
def rows(rng):
    """X holds a score and the number of the row; 20 patients of 3 rows each."""
    SEEN.clear()
    groups = np.repeat(np.arange(20), 3)
    y = groups % 2
    X = np.stack([y + rng.normal(size=60), np.arange(60)], axis=1)
    return X, y, groups


CV = StratifiedGroupKFold(4)


def test_each_point_is_fitted_on_its_share(rows):
    X, y, groups = rows
    curve = fraction_curve(
        Watched(),
        X,
        y,
        groups=groups,
        cv=CV,
        label_fractions=(0.2, 1.0),
        pretrain_fractions=(0.5, 1.0),
        seeds=(3, 4),
        n_resamples=20,
    )
    assert len(SEEN) == len(curve.rows) == 2 * 2 * 2 * 4
    splits = list(CV.split(X, y, groups))
    labelled = {}
    for (X_fit, y_fit, patients, seed, fraction), row in zip(
        SEEN, curve.rows, strict=True
    ):
        train, test = splits[row["fold"]]
        np.testing.assert_array_equal(X_fit[:, 1], train)
        np.testing.assert_array_equal(patients, groups[train])
        assert (seed, fraction) == (row["seed"], row["pretrain_fraction"])
        kept = np.flatnonzero(y_fit != -1)
        np.testing.assert_array_equal(y_fit[kept], y[train][kept])
        assert row["n_labelled"] == len(kept)
        assert (row["n_train"], row["n_test"]) == (len(train), len(test))
        assert row["score"] == roc_auc_score(y[test], X[test, 0])
        labelled[row["seed"], row["label_fraction"], row["fold"]] = set(train[kept])
    for seed, fold in ((3, 0), (4, 3)):
        assert labelled[seed, 0.2, fold] < labelled[seed, 1.0, fold]
    assert labelled[3, 0.2, 0] != labelled[4, 0.2, 0]
    # A fifth of 7 and of 8 patients of a class: 1 and 2, of 3 rows each.
    assert len(labelled[3, 0.2, 0]) == 9


def test_the_estimate_is_the_mean_and_the_interval_by_patients(rows):
    X, y, groups = rows
    curve = fraction_curve(
        Watched(), X, y, groups=groups, cv=CV, label_fractions=(0.5,), n_resamples=200
    )
    (interval,) = curve.intervals.values()
    assert interval.estimate == pytest.approx(np.mean([r["score"] for r in curve.rows]))
    assert interval.low < interval.estimate < interval.high
    assert interval.method == "bootstrap by patients"
    lines = str(curve).splitlines()
    assert lines[1].split()[:2] == ["0.5", f"{interval.estimate:.3f}"]
    assert curve.to_frame().shape == (4, 10)


def test_transductive_fits_see_the_test_rows_without_labels(rows):
    X, y, groups = rows
    curve = fraction_curve(
        Watched(),
        X,
        y,
        groups=groups,
        cv=CV,
        label_fractions=(1.0,),
        transductive=True,
        n_resamples=5,
    )
    for (X_fit, y_fit, patients, _, _), row in zip(SEEN, curve.rows, strict=True):
        assert sorted(X_fit[:, 1]) == list(range(60))
        n_test = row["n_test"]
        assert np.all(y_fit[-n_test:] == -1)
        assert np.all(y_fit[:-n_test] != -1)
        assert len(patients) == 60
        assert row["transductive"]
    assert "transductive" in str(curve)
    assert "transductive" not in str(
        fraction_curve(Watched(), X, y, cv=3, label_fractions=(1.0,), n_resamples=5)
    )


def test_metrics_of_predictions(rows):
    X, y, groups = rows
    curve = fraction_curve(
        Watched(),
        X,
        y,
        groups=groups,
        cv=CV,
        label_fractions=(1.0,),
        metric=accuracy_score,
        response_method=("predict",),
        n_resamples=10,
    )
    (interval,) = curve.intervals.values()
    expected = np.mean(
        [np.mean((X[t, 0] > 0.5) == y[t]) for _, t in CV.split(X, y, groups)]
    )
    assert interval.estimate == pytest.approx(expected)


def test_folds_of_one_class(rows):
    """A metric that is defined on them is interval."""
    X, y, groups = rows
    options = {"groups": groups, "cv": LeaveOneGroupOut(), "n_resamples": 50}
    curve = fraction_curve(
        Watched(),
        X,
        y,
        label_fractions=(1.0,),
        metric=accuracy_score,
        response_method=("predict",),
        **options,
    )
    (interval,) = curve.intervals.values()
    assert interval.estimate == pytest.approx(np.mean([r["score"] for r in curve.rows]))
    assert interval.low < interval.estimate < interval.high


def test_three_classes_and_two_probabilities(rng):
    y = np.arange(45) % 3
    X = np.eye(3)[y] + rng.normal(size=(45, 3))
    clf = SelfTrainingClassifier(LogisticRegression(), max_iter=0)
    curve = fraction_curve(
        clf,
        X,
        y,
        label_fractions=np.array([0.5]),
        cv=3,
        metric=partial(roc_auc_score, multi_class="ovr"),
        response_method=("predict_proba",),
        n_resamples=20,
    )
    assert 0.5 < next(iter(curve.intervals.values())).estimate < 1
    of_two = fraction_curve(
        clf,
        X[y < 2],
        y[y < 2].astype(object),
        label_fractions=(0.5,),
        response_method=("predict_proba",),
        n_resamples=20,
    )
    assert 0.5 < next(iter(of_two.intervals.values())).estimate <= 1


def test_patients_stay_together_by_default(rows):
    """Features that tell patients apart tell no labels of new ones."""
    _, _, groups = rows
    y = np.random.default_rng(1).integers(0, 2, 20)[groups]
    clf = SelfTrainingClassifier(LogisticRegression(C=100), max_iter=0)
    curve = fraction_curve(
        clf,
        np.eye(20)[groups],
        y,
        groups=groups,
        label_fractions=(1.0,),
        n_resamples=50,
    )
    (interval,) = curve.intervals.values()
    assert interval.low <= 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": ()}, "seeds is empty"),
        ({"label_fractions": (0.0, 1.0)}, r"label_fractions must be in \(0, 1\]"),
        ({"pretrain_fractions": (0.5,), "pretrain_param": "absent"}, "needs the name"),
        ({"response_method": ("absent",)}, "has none of"),
        ({"groups": [1]}, "groups has shape"),
    ],
)
def test_what_cannot_be_measured_is_named(rows, options, message):
    X, y, _ = rows
    with pytest.raises(ValueError, match=message):
        fraction_curve(Watched(), X, y, **options)


def test_a_class_minus_one_is_refused(rows):
    X, y, _ = rows
    with pytest.raises(ValueError, match="takes the label -1 for a class"):
        fraction_curve(LogisticRegression(), X, y, label_fractions=(0.2,))


@pytest.mark.parametrize("kind", ["features", "end to end"])
@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_with_pretraining(kind, routing, n_jobs):
    GOT_GROUPS.clear()
    scans = make_scan_phantoms(12, images_per_patient=2, image_size=32, random_state=0)
    ssl = Pretrainer(backbone=tiny_cnn, max_epochs=1, batch_size=4)
    with config_context(enable_metadata_routing=routing):
        if kind == "features":
            ssl = ssl.set_fit_request(groups=True) if routing else ssl
            last = SelfTrainingClassifier(LogisticRegression(), max_iter=0)
            model = Pipeline([("ssl", ssl), ("clf", last)])
        else:
            model = FineTuneClassifier(ssl, phases=[Phase(epochs=1)])
        curve = fraction_curve(
            model,
            scans.data,
            scans.target,
            groups=scans.groups,
            cv=StratifiedGroupKFold(2),
            label_fractions=(0.5, 1.0),
            pretrain_fractions=(0.5, 1.0),
            n_resamples=5,
            n_jobs=n_jobs,
        )
    assert len(curve.intervals) == 4
    assert len(GOT_GROUPS) == (8 if n_jobs is None else 0)  # in this process
    assert all(GOT_GROUPS)
    # Of 3 patients a class with 2 rows each: 2, and all.
    assert {row["n_labelled"] for row in curve.rows} == {8, 12}
