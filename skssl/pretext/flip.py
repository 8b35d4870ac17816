"""Flip: predict whether an image was mirrored left-right.

Ewen & Khan 2020.
"""

from typing import ClassVar

from torch import Tensor

from skssl.pretext._base import MethodCard
from skssl.pretext._labelled import WhichViewTask


class Flip(WhichViewTask):
    r"""Distinguish each image from its left-right mirror image.

    Parameters
    ----------
    augmentation : str or Augmentation, default="auto"
        Recipe of the view that is then mirrored: "auto" is "medical_gray" for gray
        images and "cross" (crop, blur) for colour, without flips, which are not
        allowed. "identity" is the paper's.

    Notes
    -----
    Each image x passes the network unchanged, class 0, and mirrored, class 1. With F
    the softmax of a linear head's two logits and x' the mirrored image, the loss of n
    images is

    .. math:: -\frac{1}{2n} \sum_i \left(\log F_0(x_i) + \log F_1(x'_i)\right)

    An image and its mirror image are in one batch, so the classes are balanced, and
    they have the same crop and intensities, so only the orientation differs.

    **Differences from the paper**

    - The paper has one output with a sigmoid and the binary cross-entropy, which is the
      same function of the difference of the two logits.
    - "auto" augments, the paper does not: **our choice**, since a network soon
      memorises a few hundred images. No remaining augmentation exchanges left and
      right.
    - Training is one run by AdamW, from any weights, with one linear layer as the head.
      The paper trains from ImageNet weights, in three runs by RMSprop and SGD, with the
      head of the later classifier; for that see `skssl.TargetedFlipPretrainer`.

    References
    ----------
    .. [1] N. Ewen, N. Khan. "Targeted Self Supervision for Classification on a Small
       COVID-19 CT Scan Dataset", 2020. :doi:`10.48550/arXiv.2011.10188`

    Examples
    --------
    >>> from skssl.pretext import Flip
    >>> Flip(augmentation="identity")
    Flip(augmentation='identity')
    """

    name = "flip"
    n_versions = 2
    forbidden_augmentations: ClassVar[dict[str, str]] = {
        "horizontal_flip": "the label is whether it mirrored the image itself",
        "vertical_flip": "a top-bottom mirror exchanges the sides, up to a turn",
    }
    card = MethodCard(
        title="Flip",
        paper="Ewen & Khan 2020",
        doi="10.48550/arXiv.2011.10188",
        n_views=2,
        compares_batch=False,
        keeps="nothing",
        momentum_encoder=False,
        advice="When left and right differ, as in scans of the chest. It learns "
        "nothing from images that may already be mirrored or rotated.",
    )

    def versions(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the images, and their mirror images.

        Parameters
        ----------
        images : Tensor of shape (n, C, H, W), any dtype

        Returns
        -------
        tuple of 2 Tensors of shape (n, C, H, W)
        """
        return images, images.flip(3)
