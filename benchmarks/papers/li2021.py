"""Li et al. 2021, table 2 and figure 3: Cross + Transfer on chest X-rays."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from torch import nn

from benchmarks.papers.setup import Setup, why_not
from benchmarks.papers.tables import Outcome, Paper, Row, Settings, Table
from skssl.datasets import load_covid_radiography
from skssl.metrics import harmonic_mean_score, sensitivity_score, specificity_score
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
_FIGURES = ("sensitivity", "specificity", "harmonic_mean", "auc", "accuracy")
_CLASSES = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")
_COVID = _CLASSES.index("COVID")


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
            dict(zip(_FIGURES, published, strict=True)),
            _needs(method),
        )
        for method, published in _PUBLISHED.items()
    )


def _figure_3() -> tuple[Row, ...]:
    """Return the rows of the low-shot figure, whose values are not printed."""
    return tuple(
        Row((_NAMES[method], f"{labels:.0%}"), _settings(method, labels), {}, needs)
        for method in _PUBLISHED
        for needs in (_needs(method),)
        for labels in (0.01, 0.1, 0.5)
    )


@lru_cache
def _split(root: Path) -> tuple[np.ndarray, ...]:
    """Return X and y of four fifths of each class, and of the rest."""
    scans = load_covid_radiography(root, classes=_CLASSES)
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
    X, X_test, y, y_test = _split(setup.data)
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
    return Outcome(_mean_figures(clf, X_test, y_test))


def _mean_figures(clf: Any, X: Any, y: np.ndarray) -> dict[str, float]:
    """Return the mean figures of the networks of the last epochs, and their spread."""
    networks = clf.networks_
    of_each = []
    for network in networks:
        clf.networks_ = nn.ModuleList([network])
        of_each.append(_figures(y, clf.predict_proba(X)))
    clf.networks_ = networks
    mean = {name: float(np.mean([f[name] for f in of_each])) for name in of_each[0]}
    spread = {
        f"{name}_sd": float(np.std([f[name] for f in of_each])) for name in of_each[0]
    }
    return mean | spread


def _figures(y: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """Return COVID against the rest, and the accuracy of all classes."""
    told = p.argmax(axis=1)
    ill, told_ill = y == _COVID, told == _COVID
    return {
        "sensitivity": sensitivity_score(ill, told_ill, pos_label=True),
        "specificity": specificity_score(ill, told_ill, pos_label=True),
        "harmonic_mean": harmonic_mean_score(ill, told_ill, pos_label=True),
        "auc": float(roc_auc_score(ill, p[:, _COVID])),
        "accuracy": float(np.mean(told == y)),
    }


def _find(setup: Setup, need: str) -> str | None:  # noqa: ARG001
    return why_not("COVID-19 Radiography", _split, setup.data)


PAPER = Paper(
    name="li2021",
    title="Li et al. 2021: Cross + Transfer",
    doi="10.1007/s11548-022-02813-x",
    data="COVID-19 Radiography",
    external=None,
    tables=(
        Table("Table 2: all labels", ("Method",), _FIGURES, _table_2()),
        Table(
            "Figure 3: shares of the labels",
            ("Method", "Labels"),
            ("harmonic_mean", "accuracy"),
            _figure_3(),
        ),
    ),
    run=_run,
    find=_find,
)
