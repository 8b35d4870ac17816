"""Every registered pretext passes every check; a new file is found by itself."""

import importlib
import sys
from pathlib import Path

import pytest

import skssl.pretext
from skssl.pretext import PretextTask, _base, get_pretext, list_pretexts
from skssl.pretext._registry import import_methods
from skssl.testing import check_pretext, pretext_checks

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
    from skssl.pretext import simclr
    from skssl.testing import check_gradients

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
