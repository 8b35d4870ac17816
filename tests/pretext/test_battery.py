"""Every registered pretext passes every check; a new file is found by itself."""

import pytest

from skssl.pretext import PretextTask, get_pretext, list_pretexts
from skssl.testing import pretext_checks


@pytest.mark.parametrize("name", list_pretexts())
@pytest.mark.parametrize("check", pretext_checks(), ids=lambda check: check.__name__)
def test_registered_pretext(name, check):
    check(get_pretext(name))


def test_names_are_those_of_the_design():
    assert {"simclr", "moco"} <= set(list_pretexts())


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
