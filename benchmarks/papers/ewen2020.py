"""Ewen & Khan 2020, table 2: the flip pretext on fractions of COVID-CT."""

from benchmarks.papers import covid_ct
from benchmarks.papers.best_epoch import fit_and_pick
from benchmarks.papers.setup import Setup
from benchmarks.papers.tables import Claim, Outcome, Paper, Row, Settings, Table
from skssl.recipes import targeted_flip

_LITE = "timm/tf_efficientnet_lite0"
_NAMES = {
    "inception_v3": "InceptionV3",
    "densenet169": "DenseNet-169",
    _LITE: "EfficientNet-lite0",
}
# Accuracy, AUC and F1. With 203 test images, only these definitions fit the published
# values: their AUC is the balanced accuracy of the predicted classes, and their F1 is
# that of the images **without** COVID-19.
_PUBLISHED = {
    "inception_v3": {
        0.0: (0.7882, 0.7850, 0.8106),
        0.25: (0.8276, 0.8241, 0.8472),
        0.5: (0.8621, 0.8612, 0.8692),
        0.75: (0.8423, 0.8415, 0.8505),
        1.0: (0.8473, 0.8469, 0.8531),
    },
    "densenet169": {
        0.0: (0.7882, 0.7888, 0.7902),
        0.25: (0.8227, 0.8214, 0.8333),
        0.5: (0.8424, 0.8408, 0.8532),
        0.75: (0.8276, 0.8279, 0.8309),
        1.0: (0.8621, 0.8609, 0.8704),
    },
}
_METRICS = ("accuracy", "balanced_accuracy", "f1_negative")


def _settings(backbone: str, fraction: float) -> Settings:
    return {"backbone": backbone, "fraction": fraction}


def _row(backbone: str, fraction: float) -> Row:
    published = _PUBLISHED["densenet169" if backbone == _LITE else backbone][fraction]
    return Row(
        (_NAMES[backbone], f"{fraction:.0%}"),
        _settings(backbone, fraction),
        dict(zip(_METRICS, published, strict=True)),
        ("data", "start"),
    )


def _run(setup: Setup, settings: Settings, seed: int) -> Outcome:
    backbone = settings["backbone"]
    recipe = targeted_flip(
        backbone,
        fraction=settings["fraction"],
        weights=setup.weights(backbone),
        budget=setup.budget,
        random_state=seed,
    )
    clf = setup.prepare(recipe, cached=False)
    train = covid_ct.shuffled(covid_ct.load_splits(setup.data, "train", "val"), seed)
    test = covid_ct.load_splits(setup.data, "test")
    picked = fit_and_pick(clf, train, test, scratch=setup.cache)
    outcome = covid_ct.score_on_test(clf, setup.data)
    outcome.picked = picked
    return outcome


def _why_unavailable(setup: Setup, need: str) -> str | None:  # noqa: ARG001
    return covid_ct.missing(setup.data)


PAPER = Paper(
    name="ewen2020",
    title="Ewen & Khan 2020: targeted self supervision",
    doi="10.48550/arXiv.2011.10188",
    data="COVID-CT",
    external=None,
    tables=(
        Table(
            "Table 2: the fraction of the images used by the flip pretext",
            ("CNN base", "Fraction"),
            (*_METRICS, "f1", "auc"),
            tuple(_row(b, f) for b, values in _PUBLISHED.items() for f in values),
        ),
        Table(
            "EfficientNet-lite0, not in the paper (published: DenseNet-169)",
            ("CNN base", "Fraction"),
            (*_METRICS, "f1", "auc"),
            tuple(_row(_LITE, fraction) for fraction in _PUBLISHED["densenet169"]),
        ),
    ),
    run=_run,
    why_unavailable=_why_unavailable,
    claims=tuple(
        Claim(
            f"{_NAMES[backbone]}: flips of {fraction:.0%} of the images versus none",
            _settings(backbone, fraction),
            _settings(backbone, 0.0),
            metric,
            claimed=backbone != _LITE,
        )
        for backbone in _NAMES
        for fraction in (0.25, 0.5, 0.75, 1.0)
        for metric in ("accuracy", "auc")
    ),
)
