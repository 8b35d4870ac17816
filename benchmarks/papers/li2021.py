"""Li et al. 2021, table 2 and figure 3: Cross + Transfer on chest X-rays."""

import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import confusion_matrix, roc_auc_score
from sklearn.model_selection import train_test_split
from torch import nn

from benchmarks.papers import metrics
from benchmarks.papers.setup import Setup, load_error
from benchmarks.papers.tables import Outcome, Paper, Row, Settings, Table
from skssl.datasets import load_covid_radiography
from skssl.metrics import (
    bootstrap_interval,
    harmonic_mean_score,
    sensitivity_score,
    specificity_score,
)
from skssl.model_selection import mask_labels
from skssl.recipes import cross_transfer

_NAMES = {
    "cross_transfer": "Cross + Transfer",
    "transfer": "Transfer",
    "cross": "Cross",
    "byol": "BYOL",
    "simsiam": "SimSiam",
    "simclr": "SimCLR",
    "pirl_jigsaw": "PIRL-Jigsaw",
    "pirl_rotation": "PIRL-Rotation",
    "scratch": "from scratch",
}
_PUBLISHED = {
    "cross_transfer": (0.972, 0.997, 0.985, 0.999, 0.953),
    "transfer": (0.944, 0.994, 0.968, 0.997, 0.936),
    "cross": (0.923, 0.991, 0.955, 0.995, 0.908),
    "byol": (0.895, 0.987, 0.939, 0.991, 0.894),
    "simsiam": (0.794, 0.972, 0.874, 0.972, 0.849),
    "simclr": (0.778, 0.965, 0.862, 0.996, 0.876),
    "pirl_jigsaw": (0.685, 0.973, 0.804, 0.954, 0.821),
    "pirl_rotation": (0.760, 0.962, 0.849, 0.960, 0.817),
    "scratch": (0.665, 0.954, 0.783, 0.935, 0.774),
}
_PRINTED = ("sensitivity", "specificity", "harmonic_mean", "auc", "accuracy")
Metric = Callable[[np.ndarray, np.ndarray], float]
_CLASSES = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")
_TWO_CLASSES = ("COVID", "Normal")
_COVID = _CLASSES.index("COVID")  # in both lists
_LITE = "timm/tf_efficientnet_lite0"
# The paper's method, and comparison methods with and without ImageNet weights.
_LITE_METHODS = ("cross_transfer", "transfer", "cross", "simclr", "scratch")


def _settings(method: str, labels: float = 1.0) -> Settings:
    settings = {"backbone": "resnet50", "method": method}
    return settings if labels == 1 else {**settings, "labels": labels}


def _needs(method: str) -> tuple[str, ...]:
    return (
        ("data", "weights") if method in ("cross_transfer", "transfer") else ("data",)
    )


def _table_2() -> tuple[Row, ...]:
    return tuple(
        Row(
            (_NAMES[method],),
            _settings(method),
            dict(zip(_PRINTED, published, strict=True)),
            _needs(method),
        )
        for method, published in _PUBLISHED.items()
    )


def _figure_3() -> tuple[Row, ...]:
    """Return the rows of figure 3, whose values the paper does not print."""
    return tuple(
        Row((_NAMES[method], f"{labels:.0%}"), _settings(method, labels), {}, needs)
        for method in _PUBLISHED
        for needs in (_needs(method),)
        for labels in (0.01, 0.1, 0.5)
    )


def _table_lite() -> tuple[Row, ...]:
    """Return methods with a network whose ImageNet weights come with pip."""
    return tuple(
        Row(
            (_NAMES[method], f"{labels:.0%}"),
            {"backbone": _LITE, "method": method, "labels": labels, "classes": 2},
            {},
            ("two_classes", *_needs(method)[1:]),
        )
        for method in _LITE_METHODS
        for labels in (0.01, 0.1, 0.5, 1.0)
    )


@lru_cache
def _split(root: Path, classes: tuple[str, ...] = _CLASSES) -> tuple[np.ndarray, ...]:
    """Return X, X_test, y and y_test; the test set is a fifth of each class."""
    scans = load_covid_radiography(root, classes=classes)
    return tuple(
        train_test_split(
            scans.data,
            scans.target,
            test_size=0.2,
            stratify=scans.target,
            random_state=0,
        )
    )


def _run(setup: Setup, settings: Settings, seed: int) -> Outcome:
    classes = _TWO_CLASSES if settings.get("classes") == 2 else _CLASSES
    X, X_test, y, y_test = _split(setup.data, classes)
    backbone = settings["backbone"]
    recipe = cross_transfer(
        backbone,
        method=settings["method"],
        weights=setup.weights(backbone),
        budget=setup.budget,
        random_state=seed,
    )
    clf = setup.prepare(recipe)
    labels = settings.get("labels", 1.0)
    clf.fit(X, mask_labels(y, labels, random_state=seed))
    p = _probabilities(clf, X_test)
    return Outcome(_mean_metrics(y_test, p), confusion=_confusion(y_test, p))


def _probabilities(clf: Any, X: Any) -> np.ndarray:
    """Return the probabilities of each network, (n, n_networks, n_classes)."""
    networks = clf.networks_
    p = []
    for network in networks:
        clf.networks_ = nn.ModuleList([network])
        p.append(clf.predict_proba(X))
    clf.networks_ = networks
    return np.stack(p, axis=1)


def _mean_metrics(y: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """Return means over the networks, standard deviations, and intervals by images."""
    values = {}
    for name, metric in _METRICS.items():
        each = [metric(y, p[:, k]) for k in range(p.shape[1])]
        with warnings.catch_warnings():  # raised if all resamples give the same value
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            interval = bootstrap_interval(
                y,
                p.reshape(len(p), -1),
                metric=partial(_mean_over_networks, metric, p.shape[1:]),
                n_resamples=metrics.N_RESAMPLES,
                random_state=0,
            )
        values[name] = float(np.mean(each))
        values[f"{name}_sd"] = float(np.std(each))
        if interval.low < interval.high:
            values |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    return values


def _mean_over_networks(
    metric: Metric, shape: tuple[int, ...], y: np.ndarray, p: np.ndarray
) -> float:
    p = p.reshape(len(p), *shape)
    return fmean(metric(y, p[:, k]) for k in range(shape[0]))


def _confusion(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the fraction of each class by predicted class, mean over networks."""
    labels = range(p.shape[2])
    matrices = [
        confusion_matrix(y, predicted, labels=labels, normalize="true")
        for predicted in p.argmax(axis=2).T
    ]
    return np.mean(matrices, axis=0)


def _covid_versus_rest(metric: Callable[..., float]) -> Metric:
    """Return a metric of predicted labels, with COVID as the positive class."""

    def score(y: np.ndarray, p: np.ndarray) -> float:
        return metric(y == _COVID, p.argmax(axis=1) == _COVID, pos_label=True)

    return score


def _auc(y: np.ndarray, p: np.ndarray) -> float:
    return float(roc_auc_score(y == _COVID, p[:, _COVID]))


def _accuracy(y: np.ndarray, p: np.ndarray) -> float:
    """Return the accuracy over all classes."""
    return float(np.mean(p.argmax(axis=1) == y))


_METRICS: dict[str, Metric] = {
    "sensitivity": _covid_versus_rest(sensitivity_score),
    "specificity": _covid_versus_rest(specificity_score),
    "harmonic_mean": _covid_versus_rest(harmonic_mean_score),
    "auc": _auc,
    "accuracy": _accuracy,
}


def _why_unavailable(setup: Setup, need: str) -> str | None:
    classes = _TWO_CLASSES if need == "two_classes" else _CLASSES
    return load_error("COVID-19 Radiography", _split, setup.data, classes)


PAPER = Paper(
    name="li2021",
    title="Li et al. 2021: Cross + Transfer",
    doi="10.1007/s11548-022-02813-x",
    data="COVID-19 Radiography",
    external=None,
    tables=(
        Table("Table 2: all labels", ("Method",), _PRINTED, _table_2()),
        Table(
            "Figure 3: fractions of the labels",
            ("Method", "Labels"),
            ("harmonic_mean", "accuracy"),
            _figure_3(),
        ),
        Table(
            "EfficientNet-lite0, not in the paper, on two classes (COVID, Normal)",
            ("Method", "Labels"),
            _PRINTED,
            _table_lite(),
        ),
    ),
    run=_run,
    why_unavailable=_why_unavailable,
    classes=_CLASSES,
)
