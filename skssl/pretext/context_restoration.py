"""Context restoration: restore an image in which patches were swapped.

Chen, Bentley, Mori, Misawa, Fujiwara & Rueckert 2019.
"""

from numbers import Integral, Real
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional

from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.nn import Backbone
from skssl.nn.decoder import ImageDecoder
from skssl.nn.maps import find_map, forward_map
from skssl.pretext._base import MethodCard, PretextModule, PretextTask, TrainingInfo


def _draw_starts(
    n_images: int, side_px: int, patch_px: int, apart: bool, generator: torch.Generator
) -> Tensor:
    """Draw where two patches start along one axis of the image.

    Returns
    -------
    Tensor of shape (n_images, 2), int64
        If ``apart``, the second starts after the end of the first.
    """
    n_starts = side_px - (2 if apart else 1) * patch_px + 1
    starts = torch.randint(
        n_starts, (n_images, 2), generator=generator, device=generator.device
    )
    if not apart:
        return starts
    first, second = starts.sort(dim=1).values.unbind(1)
    return torch.stack([first, second + patch_px], dim=1)


def _draw_patches(
    n_images: int, size: tuple[int, int], patch_px: int, generator: torch.Generator
) -> Tensor:
    """Draw two patches for each image that do not overlap.

    They are apart along a random axis; along the other, each is anywhere.

    Returns
    -------
    Tensor of shape (n_images, 2, patch_px**2), int64
        The numbers of their pixels, row by row in image and patch.
    """
    starts = [
        _draw_starts(n_images, side_px, patch_px, apart, generator)
        for side_px in size
        for apart in (True, False)
    ]
    rows_apart, rows, columns_apart, columns = starts  # (n, 2) each
    coin = torch.rand((n_images, 1), generator=generator, device=generator.device)
    top = torch.where(coin < 0.5, rows_apart, rows)
    left = torch.where(coin < 0.5, columns, columns_apart)
    step = torch.arange(patch_px, device=generator.device)
    inside = (step[:, None] * size[1] + step).flatten()  # (patch_px**2,)
    return (top * size[1] + left)[..., None] + inside


def _swap(images: Tensor, patches: list[Tensor]) -> Tensor:
    """Swap pairs of patches, one pair after the other, without changing a pixel.

    Parameters
    ----------
    images : Tensor of shape (n, C, H, W)
    patches : list of Tensor of shape (n, 2, p), int64
        From `_draw_patches`.
    """
    n_images, n_channels, height, width = images.shape
    order = torch.arange(height * width, device=images.device).repeat(n_images, 1)
    for pair in patches:
        here, there = pair.flatten(1), pair.flip(1).flatten(1)  # (n, 2p)
        order = order.scatter(1, here, order.gather(1, there))
    order = order[:, None].expand(-1, n_channels, -1)  # (n, C, H * W)
    return images.flatten(2).gather(2, order).view(images.shape)


class _ContextRestorationModule(PretextModule):
    def __init__(
        self, backbone: Backbone, task: "ContextRestoration", info: TrainingInfo
    ):
        super().__init__(backbone)
        self.map_site = find_map(backbone, info.image_size)
        self.decoder = ImageDecoder(
            self.map_site.n_channels,
            backbone.n_channels,
            map_size=self.map_site.size,
            image_size=info.image_size,
            width=task.decoder_width,
        )

    def restore(self, corrupted: Tensor) -> Tensor:
        """Map images (n, C, H, W) to images as before the swaps."""
        return self.decoder(forward_map(self.backbone, corrupted, self.map_site))

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:  # noqa: ARG002
        corrupted, original = views  # (n, C, H, W) each
        restored = self.restore(corrupted)  # (n, C, H, W)
        with torch.autocast(restored.device.type, enabled=False):
            return functional.mse_loss(restored.float(), original)


class ContextRestoration(PretextTask):
    r"""Restore images in which pairs of patches were swapped.

    Parameters
    ----------
    n_swaps : int, default=10
        Number of swaps, at least 1.
    patch_fraction : float, default=0.15
        Side of the patches as a fraction of the image's short side, in (0, 0.5].
    decoder_width : int, default=128
        Number of maps of the decoder's first layer.
    augmentation : str or Augmentation, default="auto"
        Recipe of the view that is corrupted and restored: "auto" is "medical_gray" for
        gray images and "moco_v2" for colour.

    Notes
    -----
    Each swap exchanges two square patches that do not overlap, at random positions
    drawn for each image; later swaps may move them again. So the corrupted image x̃ has
    the pixels of the view x in another order. With f the backbone up to its last map
    and g the decoder, the loss is the mean over images, channels and pixels of

    .. math:: (g(f(\tilde x)) - x)^2

    The map is the last before the pooling. Networks with trained layers after it, such
    as VGG, are decoded from their features instead, so that all layers are trained.

    **Differences from the paper**

    - The size of the patches is left open in the paper; the default moves about a third
      of the pixels (**our choice**).
    - The decoder for classification is not specified in the paper. Here it doubles the
      map until it has the image's size, with one convolution each time.
    - There are no skip connections around the backbone's last map, so the features have
      to describe the whole image.
    - The optimizer is AdamW.

    References
    ----------
    .. [1] L. Chen, P. Bentley, K. Mori, K. Misawa, M. Fujiwara, D. Rueckert.
       "Self-supervised learning for medical image analysis using image context
       restoration", Medical Image Analysis 2019. :doi:`10.1016/j.media.2019.101539`

    Examples
    --------
    >>> from skssl.pretext import ContextRestoration
    >>> ContextRestoration(n_swaps=5)
    ContextRestoration(n_swaps=5)
    """

    name = "context_restoration"
    card = MethodCard(
        title="Context restoration",
        paper="Chen et al. 2019",
        doi="10.1016/j.media.2019.101539",
        n_views=1,
        compares_batch=False,
        keeps="nothing",
        momentum_encoder=False,
        advice="When the later task depends on positions, such as segmentation or the "
        "detection of small lesions. Any batch size works.",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_swaps": [Interval(Integral, 1, None, closed="left")],
        "patch_fraction": [Interval(Real, 0, 0.5, closed="right")],
        "decoder_width": [Interval(Integral, 1, None, closed="left")],
        "augmentation": [str, Augmentation],
    }

    def __init__(
        self,
        *,
        n_swaps: int = 10,
        patch_fraction: float = 0.15,
        decoder_width: int = 128,
        augmentation: str | Augmentation = "auto",
    ):
        self.n_swaps = n_swaps
        self.patch_fraction = patch_fraction
        self.decoder_width = decoder_width
        self.augmentation = augmentation

    def resolve(self, info: TrainingInfo) -> Self:
        """Return a copy, after a check of the image size; see `PretextTask.resolve`."""
        task = super().resolve(info)
        if min(info.image_size) < 2:
            raise ValueError(
                "image_size must be at least 2 px in both directions for "
                f"ContextRestoration, got {info.image_size}."
            )
        return task

    def views(
        self, images: Tensor, generator: torch.Generator, *, size: tuple[int, int]
    ) -> tuple[Tensor, ...]:
        """Make one view of each image, and swap patches of it.

        Parameters
        ----------
        images : Tensor of shape (n, C, H, W), uint8
        generator : torch.Generator
        size : (height, width)
            Each at least 2.

        Returns
        -------
        corrupted, original : Tensors of shape (n, C, height, width), float32 in [0, 1]
        """
        view = self.augment(images, generator, size)
        patch_px = max(1, int(self.patch_fraction * min(size)))
        patches = [
            _draw_patches(len(view), size, patch_px, generator)
            for _ in range(self.n_swaps)
        ]
        return _swap(view, patches), view

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:
        """Return the backbone with a decoder; see `PretextTask.build`."""
        return _ContextRestorationModule(backbone, self, info)
