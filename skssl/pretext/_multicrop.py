"""Multi-crop: two large, global views of each image and several small, local ones.

Caron et al. 2020, section 3.3 (:doi:`10.48550/arXiv.2006.09882`). SwAV and DINO share
it, and the loss between views and the frozen prototypes.
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
_LOCAL_FRACTION = 3 / 7


def local_shape(local_size: int | None, image_size: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of the local views, with the image's aspect ratio.

    Parameters
    ----------
    local_size : int or None
        Short side, pixels, at most the image's. None is 3/7 of the image's, but at
        least 32.
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
        local_size = max(_SMALLEST_PX, round(_LOCAL_FRACTION * short))
    scale = min(1.0, local_size / short)
    return round(scale * image_size[0]), round(scale * image_size[1])


def encode_views(
    network: Callable[[Tensor], Tensor], views: tuple[Tensor, ...]
) -> Tensor:
    """Pass views through a network; consecutive views of one size are one batch.

    Parameters
    ----------
    network : callable
        Maps (n, C, H, W) to (n, d), for the size of each view.
    views : tuple of V Tensors of shape (n, C, H, W)

    Returns
    -------
    Tensor of shape (V n, d)
        View after view.
    """
    same_size = groupby(views, key=lambda view: view.shape[-2:])
    return torch.cat([network(torch.cat(list(same))) for _, same in same_size])


def cross_view_entropy(targets: Tensor, logits: Tensor, temperature: float) -> Tensor:
    r"""Mean cross-entropy between targets of global views and outputs of other views.

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
        # One matrix product of rows of n K values, instead of G (V - 1) sums.
        entropy = -targets.flatten(1) @ log_p.flatten(1).T / n  # (G, V)
        others = 1 - torch.eye(n_targets, n_views, device=logits.device)  # (G, V)
        return (entropy * others).sum() / (n_targets * (n_views - 1))


class MultiCropModule(PretextModule):
    """A module that records the progress of training, and freezes prototypes at first.

    Parameters
    ----------
    backbone : Backbone
    freeze_prototypes : float
        Fraction of the training, in [0, 1], at whose start they are frozen.

    Attributes
    ----------
    progress : Tensor, scalar float32
        Fraction of all steps that are done.
    """

    progress: Tensor

    def __init__(self, backbone: Backbone, freeze_prototypes: float):
        super().__init__(backbone)
        self.freeze_prototypes = freeze_prototypes
        self.register_buffer("progress", torch.zeros(()))
        self._is_frozen = freeze_prototypes > 0
        self.register_load_state_dict_post_hook(_restore_is_frozen)

    def freeze_at_first(self, weight: Tensor) -> Tensor:
        """Return the weight, without gradient while it is frozen.

        A gradient of zero would not be enough: Adam and RMSprop add weight decay to it.
        """
        return weight.detach() if self._is_frozen else weight

    def after_step(self, progress: float) -> None:
        """Record the progress of training."""
        self.progress.fill_(progress)
        self._is_frozen = progress < self.freeze_prototypes


def _restore_is_frozen(module: Any, _incompatible_keys: object) -> None:
    """Freeze prototypes or not, as in the training that saved the loaded state."""
    # sync: the progress is read from the device.
    module._is_frozen = module.progress.item() < module.freeze_prototypes


class MultiCropTask(PretextTask):
    """A pretext with ``n_local_views`` small views in addition to the two large ones.

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
        """Return a copy with the size of local views set; see `PretextTask.resolve`."""
        task = super().resolve(info)
        try:
            task._local_augmentation().validate()
        except ValueError as error:  # only the crop has not been validated yet
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
            The last ``n_local_views`` have the size of `local_shape`.
        """
        augment_local = self._local_augmentation()
        local_size = local_shape(self.local_size, size)
        global_views = [
            self.augment(images, generator, size) for _ in range(N_GLOBAL_VIEWS)
        ]
        local_views = [
            augment_local(images, generator, size=local_size)
            for _ in range(self.n_local_views)
        ]
        return *global_views, *local_views

    def check_backbone(self, backbone: Backbone, info: TrainingInfo) -> None:
        """Raise ValueError if the backbone does not accept the local views."""
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
        """Return the size of the local views; without them, of the global ones."""
        if not self.n_local_views:
            return image_size
        return local_shape(self.local_size, image_size)
