"""Method tables and method pages agree with the registered methods."""

from inspect import getdoc

import pytest

from skssl.pretext import MethodCard, MoCo, SimCLR, _base, get_pretext, list_pretexts


@pytest.fixture
def pages(extension):
    return extension("method_pages")


def test_every_pretext_is_in_each_table(pages, cells):
    needs, advice, optimizers = (
        cells(table())
        for table in (pages.needs_table, pages.advice_table, pages.optimizer_table)
    )
    n = len(list_pretexts())
    assert len(needs) == len(advice) == len(optimizers) == 1 + n >= 18
    for name, need, advised, optimizer in zip(
        list_pretexts(), needs[1:], advice[1:], optimizers[1:], strict=True
    ):
        task = get_pretext(name)
        card = task.card
        link = f":doc:`{card.title} </user_guide/methods/{name}>`, ``{name!r}``"
        assert [need[0], advised[0], optimizer[0]] == [link] * 3
        assert need[1:5] == [
            str(card.n_views),
            "yes" if card.compares_batch else "no",
            card.keeps,
            "yes" if card.momentum_encoder else "no",
        ]
        assert len(need) == len(needs[0])
        assert advised[1:] == [f"{card.paper}, :doi:`{card.doi}`", card.advice]
        assert optimizer[1] == f"``{task.default_optimizer}``"
        if task.default_lr is not None:
            assert float(optimizer[2]) == task.default_lr


def test_the_cards_agree_with_the_modules(pages):
    for name in list_pretexts():
        task = get_pretext(name)
        sizes = pages.count_sizes(task)
        assert sizes.heads > 0, name
        assert (sizes.copies > 0) == task.card.momentum_encoder, name
        assert (sizes.stored > 0) == (task.card.keeps != "nothing"), name


def test_the_sizes_of_moco_computed_by_hand(pages, cells):
    # ResNet-18 with one channel, without its head of 1,000 classes
    backbone = 11_689_512 - 2 * 64 * 7 * 7 - (512 * 1000 + 1000)
    projector = 512 * 2048 + 2048 + 2 * 2048 + 2048 * 128 + 128
    queue = 4 * 32 * 128
    assert pages.count_sizes(MoCo()) == (projector, backbone + projector, queue)
    row = next(row for row in cells(pages.needs_table()) if "'moco'" in row[0])
    assert row[5:] == ["1.32", "12.49", "0.02", "any"]


def test_without_a_learning_rate_the_default_of_the_optimizer_is_shown(pages):
    assert SimCLR.default_lr is None
    assert pages.peak_lr(SimCLR()) == 1e-3


@pytest.mark.parametrize("name", list_pretexts())
def test_every_pretext_has_a_page_with_its_equation(pages, name):
    task = get_pretext(name)
    page = pages.method_page(name)
    title = task.card.title
    assert page.startswith(f"{title}\n{'=' * len(title)}\n")
    assert f".. autoclass:: skssl.pretext.{type(task).__name__}\n" in page
    assert task.card.advice in page
    assert ".. math::" in getdoc(type(task))
    assert f'``optimizer="auto"`` is ``{task.default_optimizer}``' in page
    for rejected, reason in task.forbidden_augmentations.items():
        assert f"- ``{rejected}``: {reason}." in page


def test_a_page_shows_what_auto_leaves_out_and_derived_defaults(pages):
    flip, moco = pages.method_page("flip"), pages.method_page("moco")
    assert "is ``medical_gray`` without ``horizontal_flip`` for single-channel" in flip
    assert "and ``cross`` without ``horizontal_flip`` for other images." in flip
    assert "For 500 images" not in flip
    assert "and ``moco_v2`` for other images." in moco
    derived = "For 500 images of 64 × 64 px in batches of 32: ``queue_size=128``."
    assert derived in moco


def test_pages_of_removed_methods_are_deleted(pages, tmp_path):
    (tmp_path / "removed.rst").write_text("x")
    pages.write_method_pages(tmp_path)
    assert sorted(path.stem for path in tmp_path.iterdir()) == list_pretexts()


def test_a_new_pretext_is_added_automatically(pages, tmp_path, monkeypatch, cells):
    monkeypatch.setattr(_base, "REGISTRY", _base.REGISTRY | {})
    monkeypatch.setattr("skssl.pretext._registry.REGISTRY", _base.REGISTRY)

    class Later(SimCLR):
        name = "aa_later"
        default_optimizer = "sgd"
        forbidden_augmentations = {"blur": "it is late"}
        card = MethodCard(
            title="Later",
            paper="A 2030",
            doi="10.1/x",
            n_views=3,
            compares_batch=False,
            keeps="nothing",
            momentum_encoder=True,
            advice="Never yet.",
            backbones="any size",
        )

    link = ":doc:`Later </user_guide/methods/aa_later>`, ``'aa_later'``"
    assert cells(pages.needs_table())[1] == [
        *(link, "3", "no", "nothing", "yes"),
        *("1.32", "0.00", "0.00", "all except CRNet, MaxViT, Inception"),
    ]
    advice = cells(pages.advice_table())[1]
    assert advice == [link, "A 2030, :doi:`10.1/x`", "Never yet."]
    assert cells(pages.optimizer_table())[1] == [link, "``sgd``", "0.03"]
    pages.write_method_pages(tmp_path)
    page = (tmp_path / "aa_later.rst").read_text(encoding="utf-8")
    assert page.startswith("Later\n=====\n")
    assert f".. autoclass:: {Later.__module__}.Later\n" in page
    assert "``medical_gray`` without ``blur``" in page
    assert "- ``blur``: it is late." in page
