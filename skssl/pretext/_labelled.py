"""What methods share that make labels out of transformations."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from skssl.nn import Backbone, in_eval_mode
from skssl.pretext._base import PretextModule

__all__ = ["WhichViewModule", "check_takes_size", "which_view_loss"]


def which_view_loss(logits: Tensor, n_views: int) -> Tensor:
    """Return the mean cross-entropy of telling of which view each row is.

    Parameters
    ----------
    logits : Tensor of shape (n_views * n, n_views)
        The rows of the first view of all n images, then those of the second, etc.
    n_views : int

    Returns
    -------
    Tensor, scalar float32
    """
    view = torch.arange(n_views, device=logits.device)
    label = view.repeat_interleave(len(logits) // n_views)  # (n_views * n,)
    with torch.autocast(logits.device.type, enabled=False):
        return functional.cross_entropy(logits.float(), label)


class WhichViewModule(PretextModule):
    """A backbone with a linear head that tells the views of an image apart.

    All views pass as one batch, so that BatchNorm's statistics do not tell them.

    Parameters
    ----------
    backbone : Backbone
    n_views : int
        Number of views, and of classes.
    """

    def __init__(self, backbone: Backbone, n_views: int) -> None:
        super().__init__(backbone)
        self.head = nn.Linear(backbone.n_features, n_views)

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:  # noqa: ARG002
        h = self.backbone(torch.cat(views))  # (n_views * n, d)
        return which_view_loss(self.head(h), len(views))


@torch.no_grad()
def check_takes_size(backbone: Backbone, size: tuple[int, int], method: str) -> None:
    """Raise an error where a backbone has not the same features at another size.

    Parameters
    ----------
    backbone : Backbone
        Its modes and statistics stay as they were.
    size : (height, width)
        Size of the images that the method feeds it, pixels.
    method : str
        Name of the method, for the message.

    Raises
    ------
    ValueError
        If the backbone fails on images of this size, or gives features of another
        width than ``backbone.n_features``.
    """
    images = backbone.mean.new_zeros((1, backbone.n_channels, *size))
    problem = None
    try:
        with in_eval_mode(backbone):
            width = backbone(images).shape[1]
        if width != backbone.n_features:
            problem = f"it gives {width} features instead of {backbone.n_features}"
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:
        problem = str(error)
    if problem is not None:
        raise ValueError(
            f"{method} feeds the backbone images of {size[0]} x {size[1]} px, which "
            f"{backbone.name!r} cannot take: {problem}; choose a network that averages "
            "its maps, such as backbone='resnet18'."
        )
