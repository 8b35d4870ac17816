"""Gazda et al. 2021, table III: features of CheXpert on four sets of X-rays."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    StratifiedGroupKFold,
    StratifiedKFold,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.papers.metrics import binary_metrics
from benchmarks.papers.setup import Setup, load_error
from benchmarks.papers.tables import Outcome, Paper, Row, Settings, Table
from skssl import Probe
from skssl.datasets import (
    load_c19_cohen,
    load_chestxray14,
    load_chexpert,
    load_covid_radiography,
    load_covidgr,
    load_kermany,
)
from skssl.recipes import contrastive_extractor, contrastive_pretrainer

_LOADERS = {
    "cell": load_kermany,
    "c19_cohen": load_c19_cohen,
    "covidgr": load_covidgr,
    "chestxray14": load_chestxray14,
}
_NAMES = {
    "cell": "Cell",
    "c19_cohen": "C19-Cohen",
    "covidgr": "COVIDGR",
    "chestxray14": "ChestX-ray14",
}
# For three sets, their F1 follows from the other metrics: that of the healthy images.
_METRICS = ("accuracy", "auc", "sensitivity", "specificity", "f1_negative")
# Rows: 1 %, 10 % and 100 % of CheXpert.
_PUBLISHED = {
    "cell": (
        (0.856, 0.966, 0.995, 0.624, 0.764),
        (0.869, 0.969, 0.992, 0.662, 0.791),
        (0.915, 0.977, 0.987, 0.795, 0.875),
    ),
    "c19_cohen": (
        (0.849, 0.892, 0.906, 0.736, 0.765),
        (0.818, 0.915, 0.858, 0.736, 0.729),
        (0.811, 0.882, 0.830, 0.774, 0.732),
    ),
    "covidgr": (
        (0.795, 0.866, 0.835, 0.756, 0.788),
        (0.778, 0.860, 0.800, 0.756, 0.774),
        (0.784, 0.871, 0.835, 0.733, 0.773),
    ),
    "chestxray14": (
        (0.715, 0.791, 0.728, 0.714, 0.830),
        (0.712, 0.781, 0.720, 0.712, 0.829),
        (0.714, 0.784, 0.713, 0.715, 0.830),
    ),
}
_FRACTIONS = (0.01, 0.1, 1.0)
_LITE = "timm/tf_efficientnet_lite0"
_RADIOGRAPHY = "covid_radiography"
_LABELS = 0.1  # of its training images, for the logistic regression


def _rows() -> tuple[Row, ...]:
    return tuple(
        Row(
            (_NAMES[name], f"{fraction:.0%}"),
            {"backbone": "wide_resnet50_2", "set": name, "fraction": fraction},
            dict(zip(_METRICS, values, strict=True)),
            (name, "external"),
        )
        for name, published in _PUBLISHED.items()
        for fraction, values in zip(_FRACTIONS, published, strict=True)
    )


def _lite_rows() -> tuple[Row, ...]:
    """Return rows of ImageNet weights, continued on fractions of one X-ray set."""
    return tuple(
        Row(
            ("COVID-19 Radiography", f"{fraction:.0%}"),
            {"backbone": _LITE, "set": _RADIOGRAPHY, "fraction": fraction},
            {},
            (_RADIOGRAPHY, "weights"),
        )
        for fraction in (0.0, *_FRACTIONS)
    )


@lru_cache
def _radiography(root: Path) -> tuple[np.ndarray, ...]:
    """Return X, X_test, y and y_test of two classes; a fifth of each is tested."""
    scans = load_covid_radiography(root / _RADIOGRAPHY, classes=("COVID", "Normal"))
    y = (scans.target == 0).astype(np.int64)  # COVID is the positive class
    split = train_test_split(scans.data, y, test_size=0.2, stratify=y, random_state=0)
    return tuple(split)


@lru_cache
def _load(root: Path, name: str) -> Any:
    """Load a set; if patients are unknown, each image is a group of its own."""
    scans = _LOADERS[name](root / name)
    if scans.groups is None:
        scans.groups = np.arange(len(scans.data))
    return scans


@lru_cache
def _load_external(root: Path) -> Any:
    return load_chexpert(root)


def _test_rows(scans: Any) -> np.ndarray:
    """Return the official test split, or a fifth of the patients."""
    if scans.split is not None:
        return np.flatnonzero(scans.split == "test")
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    return next(folds.split(scans.data, scans.target, scans.groups))[1]


def _run_continued(setup: Setup, settings: Settings, seed: int) -> Outcome:
    """Continue ImageNet weights on X-rays without labels, and score the features."""
    X, X_test, y, y_test = _radiography(setup.data)
    fraction = settings["fraction"]
    recipe = contrastive_pretrainer(
        settings["backbone"],
        weights=setup.weights(settings["backbone"]),
        fraction=fraction or 1.0,
        budget=setup.budget,
        random_state=seed,
    )
    if fraction == 0:
        recipe.set_params(max_epochs=0)
    else:
        logistic = LogisticRegression(C=0.01, max_iter=2000)
        probe = Probe(make_pipeline(StandardScaler(), logistic), scoring="roc_auc")
        recipe.set_params(probe=probe)
    extractor = setup.prepare(recipe).fit(X, y)
    rows, _ = train_test_split(
        np.arange(len(y)), train_size=_LABELS, stratify=y, random_state=seed
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    pipe = contrastive_extractor(external=extractor, cv=folds)
    scores = pipe.fit(X[rows], y[rows]).decision_function(X_test)
    scored = [epoch.get("probe_score") for epoch in extractor.history_]
    return Outcome(
        binary_metrics(y_test, scores),
        scores=scores,
        test={"y": y_test, "groups": None},
        test_name=_RADIOGRAPHY,
        by_epoch=[score for score in scored if score is not None] or None,
    )


def _run(setup: Setup, settings: Settings, seed: int) -> Outcome:
    if settings["set"] == _RADIOGRAPHY:
        return _run_continued(setup, settings, seed)
    chexpert = _load_external(setup.external)
    recipe = contrastive_pretrainer(
        settings["backbone"],
        fraction=settings["fraction"],
        budget=setup.budget,
        random_state=seed,
    )
    extractor = setup.prepare(recipe)
    extractor.fit(chexpert.data, groups=chexpert.groups)
    scans = _load(setup.data, settings["set"])
    test = _test_rows(scans)
    # Patients of the test images are never trained on, even if the official split does.
    train = np.flatnonzero(~np.isin(scans.groups, scans.groups[test]))
    pipe = contrastive_extractor(external=extractor)
    pipe.fit(scans.data[train], scans.target[train], groups=scans.groups[train])
    scores = pipe.decision_function(scans.data[test])
    return Outcome(
        binary_metrics(scans.target[test], scores),
        scores=scores,
        test={"y": scans.target[test], "groups": scans.groups[test]},
        test_name=settings["set"],
    )


def _why_unavailable(setup: Setup, need: str) -> str | None:
    if need == _RADIOGRAPHY:
        return load_error("COVID-19 Radiography", _radiography, setup.data)
    if need != "external":
        return load_error(_NAMES[need], _load, setup.data, need)
    if setup.external is None:
        return "no CheXpert (--external)"
    return load_error("CheXpert", _load_external, setup.external)


PAPER = Paper(
    name="gazda2021",
    title="Gazda et al. 2021: contrastive features of chest X-rays",
    doi="10.1109/ACCESS.2021.3125324",
    data="a folder with cell, c19_cohen, covidgr, chestxray14 and covid_radiography",
    external="CheXpert",
    tables=(
        Table(
            "Table III: the fraction of CheXpert used for pretraining",
            ("Set", "Fraction"),
            (*_METRICS, "f1"),
            _rows(),
        ),
        Table(
            "EfficientNet-lite0, not in the paper: ImageNet weights, continued on "
            "fractions of X-rays of two classes without labels; then a tenth of the "
            "labels",
            ("Set", "Fraction"),
            (*_METRICS, "f1"),
            _lite_rows(),
        ),
    ),
    run=_run,
    why_unavailable=_why_unavailable,
)
