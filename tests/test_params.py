"""A refused ``set_params`` leaves the object, and those within it, as they were."""

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import (
    FineTuneClassifier,
    Phase,
    Probe,
    SelfSupervisedPretrainer,
    TargetedFlipPretrainer,
    TargetedPretrainer,
)
from skssl.augment import get_recipe
from skssl.pretext import MoCo, SimCLR
from skssl.testing import tiny_cnn

OBJECTS = [
    SimCLR(augmentation="simclr"),
    SimCLR(augmentation=get_recipe("simclr")),
    get_recipe("simclr"),
    Phase(lr=1e-3),
    Probe(make_pipeline(StandardScaler(), LogisticRegression())),
    SelfSupervisedPretrainer(MoCo(), probe=LogisticRegression()),
    SelfSupervisedPretrainer("moco", backbone=tiny_cnn()),
    TargetedPretrainer("flip", augmentation="cross"),
    TargetedFlipPretrainer(augmentation="cross"),
    FineTuneClassifier(SelfSupervisedPretrainer("moco"), augmentation="cross"),
]
REFUSED = [
    {"nonsense": 1},
    {"lr": 0.5, "every": 9, "p_blur": 0.5, "random_state": 9, "nonsense": 1},
    {"augmentation__p_blur": 0.5, "augmentation__nonsense": 1},
    {"pretext__temperature": 0.5, "pretext__nonsense": 1},
    {"pretext": "simclr", "pretext__nonsense": 1},
    {"pretrainer__pretext__temperature": 0.5, "pretrainer__nonsense": 1},
    {"estimator__logisticregression__C": 9.0, "estimator__nonsense": 1},
    {"probe__C": 9.0, "probe__nonsense": 1},
]


@pytest.mark.parametrize("params", REFUSED, ids=" ".join)
@pytest.mark.parametrize("held", OBJECTS, ids=lambda held: type(held).__name__)
def test_nothing_changes(held, params):
    before = repr(held), {k: repr(v) for k, v in held.get_params().items()}
    inner = {k: id(v) for k, v in held.get_params(deep=False).items()}
    with pytest.raises(ValueError, match="parameter"):
        held.set_params(**params)
    assert (repr(held), {k: repr(v) for k, v in held.get_params().items()}) == before
    assert {k: id(v) for k, v in held.get_params(deep=False).items()} == inner


def test_an_object_that_is_passed_is_not_changed_either():
    task = MoCo(temperature=0.3)
    ssl = SelfSupervisedPretrainer()
    with pytest.raises(ValueError, match="nonsense"):
        ssl.set_params(pretext=task, pretext__temperature=0.4, nonsense=1)
    assert task.temperature == 0.3
    assert ssl.pretext == "simclr"


def test_names_become_objects_at_any_depth():
    clf = FineTuneClassifier(SelfSupervisedPretrainer("moco"))
    clf.set_params(pretrainer__pretext__augmentation="cross")
    clf.set_params(pretrainer__pretext__augmentation__p_blur=0.25)
    assert clf.pretrainer.pretext.augmentation.p_blur == 0.25


def test_auto_has_no_parameters():
    with pytest.raises(ValueError, match="augmentation='auto' has no parameters"):
        SimCLR().set_params(augmentation__p_blur=0.5)
