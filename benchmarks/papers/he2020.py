"""He, Yang et al. 2020, tables III, V, VI and VII: Self-Trans on COVID-CT."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.papers import covid_ct
from benchmarks.papers.setup import Setup, load_error
from benchmarks.papers.tables import Claim, Outcome, Paper, Row, Settings, Table
from skssl.datasets import load_luna_slices
from skssl.recipes import self_trans, self_trans_pretrainer

_NAMES = {
    "vgg16": "VGG-16",
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "densenet121": "DenseNet-121",
    "densenet169": "DenseNet-169",
    "efficientnet_b0": "EfficientNet-b0",
    "efficientnet_b1": "EfficientNet-b1",
    "crnet": "CRNet",
    "timm/tf_efficientnet_lite0": "EfficientNet-lite0",
}
_LITE = "timm/tf_efficientnet_lite0"
# Accuracy, F1 and AUC.
_TABLE_3 = {
    "vgg16": ((0.66, 0.58, 0.74), (0.76, 0.76, 0.82)),
    "resnet18": ((0.67, 0.66, 0.76), (0.74, 0.73, 0.82)),
    "resnet50": ((0.69, 0.72, 0.76), (0.80, 0.81, 0.88)),
    "densenet121": ((0.76, 0.77, 0.82), (0.79, 0.79, 0.88)),
    "densenet169": ((0.80, 0.79, 0.86), (0.83, 0.81, 0.87)),
    "efficientnet_b0": ((0.72, 0.71, 0.76), (0.77, 0.78, 0.89)),
    "efficientnet_b1": ((0.70, 0.62, 0.77), (0.79, 0.79, 0.84)),
    "crnet": ((0.72, 0.76, 0.77), (0.73, 0.76, 0.79)),
}
_TABLE_6 = {
    "resnet50": {
        1: (0.69, 0.63, 0.66),
        2: (0.83, 0.83, 0.91),
        3: (0.75, 0.78, 0.85),
        4: (0.81, 0.81, 0.88),
        "self_trans": (0.84, 0.83, 0.91),
    },
    "densenet169": {
        1: (0.70, 0.63, 0.77),
        2: (0.86, 0.85, 0.91),
        3: (0.74, 0.76, 0.86),
        4: (0.83, 0.82, 0.88),
        "self_trans": (0.86, 0.85, 0.94),
    },
}
_TABLE_7 = {
    "resnet50": ((0.70, 0.63, 0.77), (0.83, 0.83, 0.91)),
    "densenet169": ((0.79, 0.77, 0.83), (0.86, 0.85, 0.91)),
}
_METRICS = ("accuracy", "f1", "auc")
_METHODS = {
    "scratch": "random init",
    "transfer": "transfer",
    **{i: f"Method {i}" for i in (1, 2, 3, 4)},
    "self_trans": "Self-Trans",
}


def _settings(backbone: str, method: Any, frozen: bool = False) -> Settings:
    settings = {"backbone": backbone, "method": method}
    return {**settings, "frozen": True} if frozen else settings


def _row(
    labels: tuple[str, str], settings: Settings, published: tuple[float, ...]
) -> Row:
    method = settings["method"]
    needs = ["data"]
    if method not in (1, "scratch"):
        needs.append("weights")
    if method in (3, "self_trans"):
        needs.append("external")
    return Row(
        labels,
        settings,
        dict(zip(_METRICS, published, strict=bool(published))),
        tuple(needs),
    )


def _table_3() -> tuple[Row, ...]:
    return tuple(
        _row(
            (_NAMES[backbone], _METHODS[method]),
            _settings(backbone, method),
            published,
        )
        for backbone, both in _TABLE_3.items()
        for method, published in zip(("scratch", "transfer"), both, strict=True)
    )


def _table_6() -> tuple[Row, ...]:
    return tuple(
        _row(
            (_NAMES[backbone], _METHODS[method]),
            _settings(backbone, method),
            published,
        )
        for backbone, rows in _TABLE_6.items()
        for method, published in rows.items()
    )


def _table_7() -> tuple[Row, ...]:
    # The unfrozen rows are those of Method 2.
    return tuple(
        _row(
            (_NAMES[backbone], label),
            _settings(backbone, 2, frozen=frozen),
            published,
        )
        for backbone, both in _TABLE_7.items()
        for label, frozen, published in zip(
            ("frozen", "unfrozen"), (True, False), both, strict=True
        )
    )


def _table_lite() -> tuple[Row, ...]:
    """Return all methods with a network whose ImageNet weights come with pip.

    It is not in the paper. The published values are those of DenseNet-169.
    """
    scratch, transfer = _TABLE_3["densenet169"]
    published = {
        "scratch": scratch,
        "transfer": transfer,
        **_TABLE_6["densenet169"],
    }
    rows = []
    for method, values in published.items():
        settings = _settings(_LITE, method)
        rows.append(_row((_METHODS[method], "all"), settings, values))
        if method != 4:  # whose backbone must be trained
            in_paper = _TABLE_7["densenet169"][0] if method == 2 else ()
            frozen = _settings(_LITE, method, frozen=True)
            rows.append(_row((_METHODS[method], "head"), frozen, in_paper))
    return tuple(rows)


def _run(setup: Setup, settings: Settings, seed: int) -> Outcome:
    backbone, method = settings["backbone"], settings["method"]
    weights = setup.weights(backbone)
    external = None
    if method in (3, "self_trans"):
        stage = self_trans_pretrainer(
            backbone, weights=weights, budget=setup.budget, random_state=seed
        )
        external = setup.prepare(stage).fit(*_luna(setup.external))
    recipe = self_trans(
        backbone,
        method=method,
        external=external,
        weights=weights,
        frozen=settings.get("frozen", False),
        budget=setup.budget,
        random_state=seed,
    )
    clf = setup.prepare(recipe)
    train = covid_ct.load_splits(setup.data, "train")
    clf.fit(train.X, train.y, groups=train.groups)
    return covid_ct.score_on_test(clf, setup.data)


@lru_cache
def _luna(root: Path) -> tuple[Any, None, Any]:
    slices = load_luna_slices(root)
    return slices.data, None, slices.groups


def _why_unavailable(setup: Setup, need: str) -> str | None:
    if need == "data":
        return covid_ct.missing(setup.data)
    if setup.external is None:
        return "no slices of LUNA (--external)"
    return load_error("LUNA", _luna, setup.external)


def _claim(backbone: str, better: Any, worse: Any, *, claimed: bool = True) -> Claim:
    return Claim(
        f"{_NAMES[backbone]}: {_METHODS[better]} above {_METHODS[worse]}",
        _settings(backbone, better),
        _settings(backbone, worse),
        claimed=claimed and backbone != _LITE,  # which the paper does not have
    )


def _claims(backbone: str) -> list[Claim]:
    transfer = _claim(backbone, "transfer", "scratch")
    if backbone not in (*_TABLE_6, _LITE):
        return [transfer]
    pairs = [
        ("self_trans", "transfer"),
        (2, 1),
        (2, 3),
        ("self_trans", 3),
        ("self_trans", 2),
        (4, "transfer"),
        (2, 4),
        ("self_trans", 4),
    ]
    return [
        transfer,
        *(_claim(backbone, better, worse) for better, worse in pairs),
        Claim(
            f"{_NAMES[backbone]}: unfrozen above frozen",
            _settings(backbone, 2),
            _settings(backbone, 2, frozen=True),
            claimed=backbone != _LITE,
        ),
        _claim(backbone, 1, "scratch", claimed=False),
    ]


PAPER = Paper(
    name="he2020",
    title="He, Yang et al. 2020: Self-Trans",
    doi="10.1101/2020.04.13.20063941",
    data="COVID-CT",
    external="slices of LUNA16",
    tables=(
        Table(
            "Table III (and V): random init and transfer",
            ("Network", "Start"),
            _METRICS,
            _table_3(),
        ),
        Table(
            "Table VI: pretraining before fine-tuning",
            ("Network", "Method"),
            _METRICS,
            _table_6(),
        ),
        Table(
            "Table VII: frozen and unfrozen extractor, after Method 2",
            ("Network", "Extractor"),
            _METRICS,
            _table_7(),
        ),
        Table(
            "EfficientNet-lite0, not in the paper (published: DenseNet-169)",
            ("Method", "Trained on the labels"),
            _METRICS,
            _table_lite(),
        ),
    ),
    run=_run,
    why_unavailable=_why_unavailable,
    claims=tuple(c for backbone in (*_TABLE_3, _LITE) for c in _claims(backbone)),
)
