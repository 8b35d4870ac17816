"""Checks that every pretext must pass, including your own.

In a test file::

    @pytest.mark.parametrize("check", pretext_checks(), ids=lambda c: c.__name__)
    def test_my_method(check):
        check(MyMethod(temperature=0.3))
"""

from collections.abc import Callable

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor, nn

from skssl import SelfSupervisedPretrainer
from skssl._random import isolated_rng, make_generator
from skssl.nn import EMACopy, build_backbone
from skssl.nn.vit import VisionTransformer
from skssl.pretext import (
    MethodCard,
    PretextModule,
    PretextTask,
    TrainingInfo,
    get_pretext,
)

__all__ = ["check_pretext", "pretext_checks", "tiny_cnn", "tiny_vit"]

_N_IMAGES = 12
_PX = 24


def tiny_cnn() -> nn.Module:
    """Return a small network (1,504 weights for RGB) that trains in milliseconds.

    Examples
    --------
    >>> from skssl import SelfSupervisedPretrainer
    >>> SelfSupervisedPretrainer(backbone=tiny_cnn).get_params()["backbone"].__name__
    'tiny_cnn'
    """
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
    )


def tiny_vit() -> nn.Module:
    """Return a small vision transformer: patches of 6 px, 24 wide, 2 blocks.

    Examples
    --------
    >>> from skssl.nn import build_backbone
    >>> build_backbone(tiny_vit, in_channels=1, image_size=(24, 24)).n_features
    24
    """
    return VisionTransformer(
        image_size=24,
        patch_size=6,
        num_layers=2,
        num_heads=2,
        hidden_dim=24,
        mlp_dim=48,
        num_classes=1,
        pool="mean",
    )


def check_pretext(task: PretextTask | str) -> None:
    """Run all `pretext_checks` on a task.

    Parameters
    ----------
    task : PretextTask or str
        A task, or the name of a registered one.

    Raises
    ------
    AssertionError
        At the first check that fails; the message says what is wrong.
    """
    for check in pretext_checks():
        check(get_pretext(task))


def pretext_checks() -> list[Callable[[PretextTask], None]]:
    """Return the checks, each a function of a task that raises AssertionError."""
    return [
        check_is_documented,
        check_is_cloneable,
        check_views,
        check_loss_of_any_batch,
        check_gradients,
        check_forward_is_pure,
        check_state_dict_round_trip,
        check_leaves_global_rng_alone,
        check_pretrains,
    ]


def check_is_documented(task: PretextTask) -> None:
    """A task has a card for the method table and documents its parameters."""
    assert isinstance(task.card, MethodCard), "the class needs a card"
    assert task.card.doi.startswith("10."), "the card needs the DOI of the paper"
    text = type(task).__doc__ or ""
    for name in task.get_params(deep=False):
        assert f"{name} : " in text, f"parameter {name} is not documented"


def check_is_cloneable(task: PretextTask) -> None:
    """The constructor only assigns, and clone makes an equal task."""
    copy = clone(task)
    assert repr(copy) == repr(task), "clone changes the parameters"
    resolved = task.resolve(_info(n_channels=1))
    assert resolved is not task, "resolve must copy"
    assert repr(task) == repr(copy), "resolve changes its task"


def check_views(task: PretextTask) -> None:
    """Views are float32 in [0, 1], drawn for each image; labels are int64.

    Both depend on the generator only.
    """
    for n_channels in (1, 3):
        _, resolved = _module(task, n_channels)
        images = _images(1, n_channels).expand(4, -1, -1, -1).contiguous()
        first, again, other = (
            resolved.views(images, make_generator(seed), size=(20, 20))
            for seed in (1, 1, 2)
        )
        for view, same in zip(first, again, strict=True):
            kinds = (torch.float32, torch.int64)
            assert view.dtype in kinds, "views must be float32, labels int64"
            assert torch.equal(view, same), "views must depend on the generator only"
            assert torch.isfinite(view).all(), "views must be finite"
            assert view.shape[0] == len(images), "views must have a row for each image"
            if view.is_floating_point():
                low, high = view.min().item(), view.max().item()
                assert low > -1e-5, f"views must be in [0, 1], one has {low}"
                assert high < 1 + 1e-5, f"views must be in [0, 1], one has {high}"
        assert any(
            not torch.equal(view, another)
            for view, another in zip(first, other, strict=True)
        ), "views must follow the generator, and other seeds give the same"
        view = first[0]
        assert view.shape[-3] == n_channels, "views must keep the channels"
        alike = [torch.equal(view[0], row) for row in view[1:]]
        assert not all(alike), "views must be drawn for each image, not for the batch"


def check_loss_of_any_batch(task: PretextTask) -> None:
    """The loss is a finite float32 scalar for 1 and 3 channels and small batches."""
    for n_channels in (1, 3):
        module, resolved = _module(task, n_channels)
        for batch in (2, 3, 7):
            loss = _loss(module, resolved, batch)
            assert loss.shape == (), "the loss must be a scalar"
            assert loss.dtype == torch.float32, "the loss must be float32"
            assert torch.isfinite(loss), f"loss {loss} at a batch of {batch}"


def check_gradients(task: PretextTask) -> None:
    """The gradient reaches every backbone parameter, and no frozen one."""
    module, resolved = _module(task, 1)
    for step in range(3):  # a queue may need a step before it matters
        module.zero_grad()
        _loss(module, resolved, 6, seed=step).backward()
        module.after_step((step + 1) / 10)
    for name, weight in module.backbone.named_parameters():
        grad = weight.grad
        assert grad is not None, f"no gradient for backbone.{name}"
        assert grad.abs().sum() > 0, f"the gradient of backbone.{name} is zero"
    for name, child in module.named_modules():
        if isinstance(child, EMACopy):
            for weight in child.parameters():
                assert not weight.requires_grad, f"{name} is trained"
                assert weight.grad is None, f"{name} got a gradient"


def check_forward_is_pure(task: PretextTask) -> None:
    """Only `after_step` changes state (except BatchNorm's running statistics)."""
    module, resolved = _module(task, 1)
    before = _state(module)
    first = _loss(module, resolved, 5)
    again = _loss(module, resolved, 5)
    assert torch.equal(first, again), "the same batch gives another loss"
    for name, value in _state(module).items():
        assert torch.equal(value, before[name]), f"forward changes {name}"


def check_state_dict_round_trip(task: PretextTask) -> None:
    """A module restored from its state dict continues with the same loss."""
    module, resolved = _module(task, 1)
    for step in range(3):
        _loss(module, resolved, 5, seed=step).backward()
        module.after_step((step + 1) / 10)
    restored, _ = _module(task, 1, seed=99)
    restored.load_state_dict(module.state_dict())
    for step in range(3, 8):  # long enough to refill a queue
        ours, theirs = (_loss(m, resolved, 5, seed=step) for m in (module, restored))
        assert torch.equal(ours, theirs), "the state dict does not hold the whole state"
        for each in (module, restored):
            each.after_step((step + 1) / 10)
    for name, value in _state(restored).items():
        same = torch.equal(value, _state(module)[name])
        assert same, f"{name} of a restored module goes another way"


def check_leaves_global_rng_alone(task: PretextTask) -> None:
    """Views and loss draw from the generator they are given."""
    module, resolved = _module(task, 3)
    state, numpy_state = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    _loss(module, resolved, 4)
    assert torch.equal(state, torch.get_rng_state()), "torch's global generator is used"
    assert numpy_state == str(np.random.get_state()), (  # noqa: NPY002
        "numpy's global generator is used"
    )


def check_pretrains(task: PretextTask) -> None:
    """The pretrainer fits with it, moves the weights, and repeats to the bit."""
    images = _images(_N_IMAGES, 1)[:, 0].numpy()
    patients = np.arange(_N_IMAGES) // 2
    ssl, same, untrained = (
        SelfSupervisedPretrainer(
            task,
            backbone=_backbone(task),
            max_epochs=epochs,
            batch_size=5,
            random_state=0,
        ).fit(images, groups=patients)
        for epochs in (2, 2, 0)
    )
    assert np.isfinite(ssl.transform(images)).all(), "features must be finite"
    pairs = zip(
        ssl.backbone_.parameters(),
        same.backbone_.parameters(),
        untrained.backbone_.parameters(),
        strict=True,
    )
    for ours, theirs, start in pairs:
        assert torch.equal(ours, theirs), "the same seed gives other weights"
        assert not torch.equal(ours, start), "training leaves weights as they were"


def _info(n_channels: int) -> TrainingInfo:
    return TrainingInfo(
        n_images=_N_IMAGES,
        n_channels=n_channels,
        image_size=(_PX, _PX),
        batch_size=5,
        max_epochs=2,
        groups=torch.arange(_N_IMAGES) // 2,
    )


def _module(
    task: PretextTask, n_channels: int, seed: int = 0
) -> tuple[PretextModule, PretextTask]:
    resolved = task.resolve(_info(n_channels))
    with isolated_rng(seed):
        backbone = build_backbone(
            _backbone(task), in_channels=n_channels, image_size=(_PX, _PX)
        )
        return resolved.build(backbone, _info(n_channels)).train(), resolved


def _backbone(task: PretextTask) -> Callable[[], nn.Module]:
    return tiny_vit if task.card.backbones == "ViT" else tiny_cnn


def _images(n: int, n_channels: int) -> Tensor:
    shape = (n, n_channels, _PX, _PX)
    generator = make_generator(0)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def _loss(
    module: PretextModule, task: PretextTask, batch: int, seed: int = 0
) -> Tensor:
    images = _images(batch, module.backbone.n_channels)
    views = task.views(images, make_generator(seed), size=(_PX, _PX))
    return module(views, torch.arange(batch))


def _state(module: PretextModule) -> dict[str, Tensor]:
    return {
        name: value.clone()
        for name, value in module.state_dict().items()
        if "running_" not in name and "num_batches" not in name
    }
