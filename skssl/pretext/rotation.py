"""Rotation: predict the quarter turn by which an image was rotated.

Gidaris, Singh & Komodakis 2018.
"""

from typing import ClassVar, Self

import torch
from torch import Tensor

from skssl.pretext._base import MethodCard, TrainingInfo
from skssl.pretext._labelled import WhichViewTask


class Rotation(WhichViewTask):
    r"""Predict whether an image was rotated by 0, 90, 180 or 270 degrees.

    Parameters
    ----------
    augmentation : str or Augmentation, default="auto"
        Recipe of the view that is then rotated: "auto" is "medical_gray" for gray
        images and "cross" (crop, left-right flip, blur) for colour, without rotations
        and top-bottom flips, which are not allowed.

    Notes
    -----
    Each image is augmented once, and passes the network in all four rotations
    g(x, y), y = 0, 1, 2, 3 quarter turns counter-clockwise. With F the softmax of a
    linear head's four logits, the loss of n images is

    .. math:: -\frac{1}{4n} \sum_i \sum_{y=0}^{3} \log F_y(g(x_i, y))

    As in the paper, the rotations are exact: resampling would leave traces that reveal
    the angle. Images must be square for this. All 4n images are one batch, so a step
    costs four times as much as with a single view.

    **Differences from the paper**

    - Gray images also get brightness, contrast, gamma, blur and noise: **our choice**,
      since a network soon memorises a few hundred images.
    - The optimizer is AdamW, at its default learning rate, instead of SGD.

    References
    ----------
    .. [1] S. Gidaris, P. Singh, N. Komodakis. "Unsupervised Representation Learning by
       Predicting Image Rotations", ICLR 2018. :doi:`10.48550/arXiv.1803.07728`

    Examples
    --------
    >>> from skssl.pretext import Rotation
    >>> Rotation(augmentation="identity")
    Rotation(augmentation='identity')
    """

    name = "rotation"
    n_versions = 4
    forbidden_augmentations: ClassVar[dict[str, str]] = {
        "rotation": "the label is the angle by which it turned the image itself",
        "vertical_flip": "a top-bottom mirror is a left-right mirror and a turn by "
        "180 degrees",
    }
    card = MethodCard(
        title="Rotation",
        paper="Gidaris et al. 2018",
        doi="10.48550/arXiv.1803.07728",
        n_views=4,
        compares_batch=False,
        keeps="nothing",
        momentum_encoder=False,
        advice="When all images are upright, as scans and X-rays are. There is nothing "
        "to tune, and any batch size works.",
    )

    def resolve(self, info: TrainingInfo) -> Self:
        """Return a copy for square images; see `PretextTask.resolve`."""
        task = super().resolve(info)
        height, width = info.image_size
        if height != width:
            raise ValueError(
                "image_size must be square for Rotation, since a quarter turn changes "
                f"height and width, got {info.image_size}; give one number, such as "
                f"image_size={max(height, width)}."
            )
        return task

    def versions(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the images rotated by 0, 1, 2 and 3 quarter turns.

        Parameters
        ----------
        images : Tensor of shape (n, C, H, H), any dtype

        Returns
        -------
        tuple of 4 Tensors of shape (n, C, H, H)
        """
        return tuple(torch.rot90(images, k, dims=(2, 3)) for k in range(4))
