"""Every registered pretext passes every check; a new file is found by itself."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

import skssl.pretext
from skssl._random import make_generator
from skssl.nn import FeatureQueue
from skssl.pretext import PretextTask, _base, get_pretext, list_pretexts, simclr
from skssl.pretext._registry import import_methods
from skssl.pretext.simclr import SimCLR
from skssl.testing import (
    check_forward_is_pure,
    check_gradients,
    check_pretext,
    check_state_dict_round_trip,
    check_views,
    pretext_checks,
)

EXTENSION = Path(__file__).resolve().parents[2] / "docs" / "_ext"
NEW_METHOD = '''
"""Predict the mean brightness of a view."""

import torch

from skssl.pretext import MethodCard, PretextModule, PretextTask


class _BrightnessModule(PretextModule):
    def __init__(self, backbone):
        super().__init__(backbone)
        self.head = torch.nn.Linear(backbone.n_features, 1)

    def forward(self, views, index):
        predicted = self.head(self.backbone(views[0])).flatten().float()
        return (predicted - views[0].mean((1, 2, 3))).square().mean()


class Brightness(PretextTask):
    """Predict the mean of a view.

    Parameters
    ----------
    augmentation : str or Augmentation, default="auto"
        Recipe of the view.
    """

    name = "brightness"
    card = MethodCard(
        title="Brightness",
        paper="Nobody 2030",
        doi="10.1/x",
        n_views=1,
        compares_batch=False,
        keeps="nothing",
        momentum_encoder=False,
        advice="Never, but as an example of a file.",
    )
    _parameter_constraints = {}

    def __init__(self, *, augmentation="auto"):
        self.augmentation = augmentation

    def build(self, backbone, info):
        return _BrightnessModule(backbone)
'''


@pytest.mark.parametrize("name", list_pretexts())
@pytest.mark.parametrize("check", pretext_checks(), ids=lambda check: check.__name__)
def test_registered_pretext(name, check):
    check(get_pretext(name))


def test_names_are_those_of_the_design():
    papers = "simclr moco byol simsiam cross pirl_jigsaw pirl_rotation rotation jigsaw"
    later = "flip context_restoration barlow_twins vicreg dino swav nnclr mae"
    assert set(f"{papers} {later}".split()) <= set(list_pretexts())


def test_every_method_is_offered_by_the_package():
    for name in list_pretexts():
        kind = type(get_pretext(name))
        assert getattr(skssl.pretext, kind.__name__) is kind
        assert kind.__name__ in skssl.pretext.__all__


def test_a_new_file_is_found_passes_and_appears_in_the_table(tmp_path, monkeypatch):
    (tmp_path / "brightness.py").write_text(NEW_METHOD)
    folders = [*skssl.pretext.__path__, str(tmp_path)]
    monkeypatch.setattr(skssl.pretext, "__path__", folders)
    try:
        import_methods("skssl.pretext", folders)
        assert "brightness" in list_pretexts()
        check_pretext("brightness")
        monkeypatch.syspath_prepend(EXTENSION)
        pages = importlib.import_module("method_pages")
        assert "Nobody 2030" in pages.advice_table()
        assert "Never, but as an example of a file." in pages.advice_table()
        assert "``'brightness'``" in pages.needs_table()
    finally:
        _base.REGISTRY.pop("brightness", None)
        sys.modules.pop("skssl.pretext.brightness", None)


def test_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'simclr'"):
        get_pretext("simclar")


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="a name or a PretextTask"):
        get_pretext(3)
    assert isinstance(get_pretext(get_pretext("moco")), PretextTask)


def test_a_broken_method_is_caught(monkeypatch):
    """The battery can fail: a forward that forgets its gradient does not pass."""
    forward = simclr._SimCLRModule.forward
    monkeypatch.setattr(
        simclr._SimCLRModule,
        "forward",
        lambda self, views, index: (
            forward(self, tuple(v.detach() for v in views), index)
            .detach()
            .requires_grad_()
        ),
    )
    with pytest.raises(AssertionError, match="no gradient for backbone"):
        check_gradients(get_pretext("simclr"))


class OneDrawForAll(SimCLR):
    def views(self, images, generator, *, size, **partners):
        drawn = torch.rand((), generator=generator)
        view = torch.zeros(len(images), images.shape[1], *size) + drawn
        return view, view


class DeafToTheGenerator(SimCLR):
    def views(self, images, generator, *, size, **partners):
        return super().views(images, make_generator(0), size=size)


class NotInUnits(SimCLR):
    def views(self, images, generator, *, size, **partners):
        views = super().views(images, generator, size=size)
        return tuple(255 * view for view in views)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (OneDrawForAll, "drawn for each image"),
        (DeafToTheGenerator, "follow the generator"),
        (NotInUnits, r"in \[0, 1\]"),
    ],
)
def test_views_that_break_the_contract_are_caught(method, message):
    with pytest.raises(AssertionError, match=message):
        check_views(method())


def test_state_that_matters_later_is_asked_for(monkeypatch):
    """A queue that forgets where it was goes on with the same loss, once."""
    start = FeatureQueue.__init__

    def forgetful(self, *args, **kwargs):
        start(self, *args, **kwargs)
        self._non_persistent_buffers_set.add("pointer")

    monkeypatch.setattr(FeatureQueue, "__init__", forgetful)
    with pytest.raises(AssertionError, match=r"whole state|goes another way"):
        check_state_dict_round_trip(get_pretext("moco"))


def test_a_first_forward_that_changes_state_is_caught(monkeypatch):
    forward = simclr._SimCLRModule.forward

    def lazy(self, views, index):
        with torch.no_grad():
            self.projector[-1].weight.clamp_(max=0)
        return forward(self, views, index)

    monkeypatch.setattr(simclr._SimCLRModule, "forward", lazy)
    with pytest.raises(AssertionError, match="forward changes"):
        check_forward_is_pure(get_pretext("simclr"))
