"""Tables of all pretexts and one page per pretext, generated from the registry."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from list_tables import list_table
from torch import nn

from skssl import pretext
from skssl._pretrain.defaults import default_max_epochs
from skssl._random import isolated_rng
from skssl.augment import get_recipe
from skssl.engine.optimizers import make_optimizer
from skssl.nn import EMACopy, FeatureQueue, build_backbone
from skssl.nn.bank import MemoryBank
from skssl.pretext import (
    ContrastiveTask,
    PretextTask,
    TrainingInfo,
    get_pretext,
    list_pretexts,
)

#: The training for which default settings and sizes are shown.
EXAMPLE = TrainingInfo(
    n_images=500,
    n_channels=1,
    image_size=(64, 64),
    batch_size=32,
    max_epochs=default_max_epochs(500, 32),
)
_BACKBONES = {
    "any": "any",
    "any size": "all except CRNet, MaxViT, Inception",
    "ViT": "vision transformers",
}


class Sizes(NamedTuple):
    """How many numbers a method holds in addition to its backbone."""

    heads: int  # trained weights
    copies: int  # weights of moving averages
    stored: int  # features in a queue or a memory bank


def needs_table() -> str:
    """Return the requirements of each registered pretext, sorted by name."""
    rows = []
    for name, task in _tasks():
        card, sizes = task.card, count_sizes(task)
        rows.append(
            (
                _link(name, task),
                card.n_views,
                "yes" if card.compares_batch else "no",
                card.keeps,
                "yes" if card.momentum_encoder else "no",
                *(_millions(size) for size in sizes),
                _BACKBONES[card.backbones],
            )
        )
    header = (
        "Method",
        "Views",
        "Compares the batch",
        "Stores",
        "Momentum encoder",
        "Heads",
        "Copies",
        "Stored",
        "Backbones",
    )
    return list_table(header, rows)


def advice_table() -> str:
    """Return the paper and the advice of each registered pretext."""
    rows = []
    for name, task in _tasks():
        card = task.card
        paper = f"{card.paper}, :doi:`{card.doi}`"
        rows.append((_link(name, task), paper, card.advice))
    return list_table(("Method", "Paper", "When to use it (about 500 images)"), rows)


def optimizer_table() -> str:
    """Return the default optimizer of each registered pretext."""
    rows = (
        (_link(name, task), f"``{task.default_optimizer}``", f"{peak_lr(task):g}")
        for name, task in _tasks()
    )
    return list_table(("Method", "Optimizer", "Peak learning rate"), rows)


def contrastive_list() -> str:
    """Return the registered pretexts that have the parameter ``same_group``."""
    return "".join(
        f"- `~{public_name(type(task))}`\n"
        for _, task in _tasks()
        if isinstance(task, ContrastiveTask)
    )


def count_sizes(task: PretextTask) -> Sizes:
    """Build a task's module around the example backbone, and count its numbers."""
    backbone_name = "vit_tiny" if task.card.backbones == "ViT" else "resnet18"
    with isolated_rng(0):
        backbone = build_backbone(
            backbone_name,
            in_channels=EXAMPLE.n_channels,
            image_size=EXAMPLE.image_size,
        )
        module = task.resolve(EXAMPLE).build(backbone, EXAMPLE)
    modules = list(module.modules())
    copies = sum(_n_weights(m) for m in modules if isinstance(m, EMACopy))
    stores = (m for m in modules if isinstance(m, (FeatureQueue, MemoryBank)))
    return Sizes(
        heads=_n_weights(module) - _n_weights(backbone) - copies,
        copies=copies,
        stored=sum(store.features.numel() for store in stores),
    )


def peak_lr(task: PretextTask) -> float:
    """Return the peak learning rate with ``optimizer="auto"``."""
    optimizer = make_optimizer(
        task.default_optimizer, nn.Linear(1, 1), lr=task.default_lr, weight_decay=0
    )
    return optimizer.param_groups[0]["lr"]


def method_page(name: str) -> str:
    """Return a page with the advice, docstring and default settings of a pretext."""
    task = get_pretext(name)
    title = task.card.title
    return "\n".join(
        [
            f"{title}\n{'=' * len(title)}\n",
            f'``SelfSupervisedPretrainer("{name}")``\n',
            f"{task.card.advice}\n",
            f".. autoclass:: {public_name(type(task))}\n",
            "Default settings\n----------------\n",
            *_settings(task),
        ]
    )


def write_method_pages(folder: Path) -> None:
    """Write one page per registered pretext, and delete outdated ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.rst"):
        stale.unlink()
    for name in list_pretexts():
        (folder / f"{name}.rst").write_text(method_page(name), encoding="utf-8")


def public_name(task: type) -> str:
    """Return the import path of a task; a user's own task has that of its module."""
    is_public = getattr(pretext, task.__name__, None) is task
    return f"{'skssl.pretext' if is_public else task.__module__}.{task.__name__}"


def _settings(task: PretextTask) -> Iterable[str]:
    """Yield one paragraph per default that depends on the method or the data."""
    rate = f"{peak_lr(task):g}"
    yield (
        f'``optimizer="auto"`` is ``{task.default_optimizer}`` at a peak learning rate '
        f"of {rate}.\n"
    )
    yield (
        f'``augmentation="auto"`` is {_recipe(task, 1)} for single-channel images, and '
        f"{_recipe(task, 3)} for other images.\n"
    )
    if task.forbidden_augmentations:
        yield "The method rejects these augmentations, and ``auto`` leaves them out:\n"
        for name, reason in task.forbidden_augmentations.items():
            yield f"- ``{name}``: {reason}."
        yield ""
    given, resolved = task.get_params(), task.resolve(EXAMPLE).get_params(deep=False)
    changed = ", ".join(
        f"``{name}={value!r}``"
        for name, value in resolved.items()
        if name != "augmentation" and value != given[name]
    )
    if changed:
        height, width = EXAMPLE.image_size
        yield (
            f"For {EXAMPLE.n_images} images of {height} × {width} px in batches of "
            f"{EXAMPLE.batch_size}: {changed}.\n"
        )


def _recipe(task: PretextTask, n_channels: int) -> str:
    """Return the recipe of "auto", and what the method leaves out of it."""
    name = "medical_gray" if n_channels == 1 else task.default_augmentation
    info = TrainingInfo(**{**vars(EXAMPLE), "n_channels": n_channels})
    resolved = task.resolve(info).augmentation
    left_out = get_recipe(name).active(n_channels) - resolved.active(n_channels)
    names = ", ".join(f"``{step}``" for step in sorted(left_out))
    return f"``{name}``" + (f" without {names}" if names else "")


def _tasks() -> list[tuple[str, PretextTask]]:
    return [(name, get_pretext(name)) for name in list_pretexts()]


def _link(name: str, task: PretextTask) -> str:
    return f":doc:`{task.card.title} </user_guide/methods/{name}>`, ``{name!r}``"


def _millions(number: int) -> str:
    return "< 0.01" if 0 < number < 5000 else f"{number / 1e6:.2f}"


def _n_weights(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())
