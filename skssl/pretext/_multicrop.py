"""Multi-crop: two large views of each image, and small ones of its parts.

Caron et al. 2020, section 3.3 (:doi:`10.48550/arXiv.2006.09882`). Also what methods
with prototypes and several views share.
"""

from collections.abc import Callable
from itertools import groupby
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import torch
from sklearn.base import clone
from torch import Tensor
from torch.nn import functional

from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.nn import Backbone
from skssl.nn.sizes import check_takes_size
from skssl.pretext._base import PretextModule, PretextTask, TrainingInfo

__all__ = [
    "MultiCropModule",
    "MultiCropTask",
    "cross_view_entropy",
    "encode_views",
    "local_shape",
]

N_GLOBAL_VIEWS = 2
# Below this, torch's CPU convolutions in bfloat16 give wrong gradients.
_SMALLEST_PX = 32
# 96 px of 224 px, the papers' sizes.
_LOCAL_SHARE = 3 / 7


def local_shape(local_size: int | None, image_size: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of the local views, in the proportions of the image.

    Parameters
    ----------
    local_size : int or None
        Short side, pixels, at most that of the image. None is 3/7 of the image's,
        but not below 32.
    image_size : (height, width)
        Size of the global views, pixels.

    Examples
    --------
    >>> local_shape(None, (224, 224)), local_shape(None, (56, 64))
    ((96, 96), (32, 37))
    >>> local_shape(40, (28, 28))
    (28, 28)
    """
    short = min(image_size)
    if local_size is None:
        local_size = max(_SMALLEST_PX, round(_LOCAL_SHARE * short))
    scale = min(1.0, local_size / short)
    return round(scale * image_size[0]), round(scale * image_size[1])


def encode_views(
    network: Callable[[Tensor], Tensor], views: tuple[Tensor, ...]
) -> Tensor:
    """Pass views through a network, neighbours of one size as one batch.

    Parameters
    ----------
    network : callable
        Maps (n, C, H, W) to (n, d) for the sizes of all views.
    views : tuple of V Tensors of shape (n, C, H, W)

    Returns
    -------
    Tensor of shape (V n, d)
        View after view.
    """
    same_size = groupby(views, key=lambda view: view.shape[-2:])
    return torch.cat([network(torch.cat(list(same))) for _, same in same_size])


def cross_view_entropy(targets: Tensor, logits: Tensor, temperature: float) -> Tensor:
    r"""Mean cross-entropy of each global view's target and all other views' outputs.

    .. math:: -\frac{1}{G (V - 1)} \sum_g \sum_{v ≠ g} \frac{1}{n} \sum_i
              q_{gi} · \log softmax(s_{vi} / τ)

    Parameters
    ----------
    targets : Tensor of shape (G, n, K), float32
        Probabilities q.
    logits : Tensor of shape (V, n, K), float32
        Outputs s; the first G views are those of the targets.
    temperature : float
        τ, above 0.

    Returns
    -------
    Tensor, scalar float32
    """
    (n_targets, n, _), n_views = targets.shape, len(logits)
    with torch.autocast(logits.device.type, enabled=False):
        log_p = functional.log_softmax(logits / temperature, dim=2)  # (V, n, K)
        # One product: of the targets' rows as long as n K.
        entropy = -targets.flatten(1) @ log_p.flatten(1).T / n  # (G, V)
        others = 1 - torch.eye(n_targets, n_views, device=logits.device)  # (G, V)
        return (entropy * others).sum() / (n_targets * (n_views - 1))


class MultiCropModule(PretextModule):
    """A module that knows how far the training is, and freezes prototypes at first.

    Parameters
    ----------
    backbone : Backbone
    freeze_prototypes : float
        Share of the training, in [0, 1].

    Attributes
    ----------
    progress : Tensor, scalar float32
        Share of all steps that are done.
    """

    progress: Tensor

    def __init__(self, backbone: Backbone, freeze_prototypes: float):
        super().__init__(backbone)
        self.freeze_prototypes = freeze_prototypes
        self.register_buffer("progress", torch.zeros(()))
        self._is_frozen = freeze_prototypes > 0
        self.register_load_state_dict_post_hook(_note_progress)

    def freeze_at_first(self, weight: Tensor) -> Tensor:
        """Return the weight, which gets no gradient while it is frozen.

        A gradient of zero would not do: Adam and RMSprop add the weight decay to it.
        """
        return weight.detach() if self._is_frozen else weight

    def after_step(self, progress: float) -> None:
        """Note how far the training is."""
        self.progress.fill_(progress)
        self._is_frozen = progress < self.freeze_prototypes


def _note_progress(module: Any, _incompatible_keys: object) -> None:
    """Freeze prototypes, or not, as where the loaded state was saved."""
    module._is_frozen = module.progress.item() < module.freeze_prototypes  # sync


class MultiCropTask(PretextTask):
    """A pretext with ``n_local_views`` small views beside the two large ones.

    Subclasses have the parameters ``n_local_views``, ``local_size`` and
    ``local_crop_scale``, and call `check_backbone` in ``build``.
    """

    n_local_views: int
    local_size: int | None
    local_crop_scale: tuple[float, float]

    multicrop_constraint: ClassVar[dict[str, list]] = {
        "n_local_views": [Interval(Integral, 0, None, closed="left")],
        "local_size": [Interval(Integral, 1, None, closed="left"), None],
        "local_crop_scale": [tuple, list],
        "freeze_prototypes": [Interval(Real, 0, 1, closed="both")],
        "augmentation": [str, Augmentation],
    }

    def resolve(self, info: TrainingInfo) -> Self:
        """Settle the size of the local views; see `PretextTask.resolve`."""
        task = super().resolve(info)
        try:
            task._local_augmentation().validate()
        except ValueError as error:  # all but the crop has been validated
            raise ValueError(f"local_{error}") from error
        short = min(info.image_size)
        if task.local_size is None:
            task.local_size = min(local_shape(None, info.image_size))
        elif task.local_size > short:
            raise ValueError(
                f"local_size={task.local_size} of {type(self).__name__} exceeds the "
                f"short side of the views, {short} px (image_size={info.image_size})."
            )
        return task

    def views(
        self, images: Tensor, generator: torch.Generator, *, size: tuple[int, int]
    ) -> tuple[Tensor, ...]:
        """Make two global views, then the local ones.

        Parameters
        ----------
        images : Tensor of shape (n, C, H, W), uint8
        generator : torch.Generator
        size : (height, width)
            Size of the global views, pixels.

        Returns
        -------
        tuple of 2 + n_local_views Tensors of shape (n, C, h, w), float32 in [0, 1]
            The size of the last ``n_local_views`` is that of `local_shape`.
        """
        local, shape = self._local_augmentation(), local_shape(self.local_size, size)
        return (
            *(self.augment(images, generator, size) for _ in range(N_GLOBAL_VIEWS)),
            *(local(images, generator, size=shape) for _ in range(self.n_local_views)),
        )

    def check_backbone(self, backbone: Backbone, info: TrainingInfo) -> None:
        """Raise ValueError if the backbone cannot take the local views."""
        shape = self.input_size(info.image_size)
        if shape == info.image_size:
            return
        try:
            check_takes_size(backbone, shape, self.name)
        except ValueError as error:
            raise ValueError(
                f"{error} Without local views it works: n_local_views=0."
            ) from error

    def _local_augmentation(self) -> Augmentation:
        return clone(self.augmentation).set_params(crop_scale=self.local_crop_scale)

    def input_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return the size of the local views, where there are any."""
        if not self.n_local_views:
            return image_size
        return local_shape(self.local_size, image_size)
