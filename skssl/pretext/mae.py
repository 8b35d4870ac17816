"""MAE: most patches of an image are masked, and their pixels are predicted.

He, Chen, Xie, Li, Dollár & Girshick 2022.
"""

import math
from numbers import Integral, Real
from typing import ClassVar, Self

import torch
from torch import Tensor

from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.nn import Backbone
from skssl.nn.families import TokenNetwork, family_of
from skssl.pretext._base import MethodCard, PretextModule, PretextTask, TrainingInfo
from skssl.pretext._token_decoder import HEAD_WIDTH, TokenDecoder

_EPSILON = 1e-6
_COLOURS = ("brightness", "contrast", "saturation", "hue", "gamma", "grayscale")
_TEXTURES = ("blur", "noise")


def _patchify(images: Tensor, patch_px: int) -> Tensor:
    """Cut images (n, C, H, W) into patches (n, L, patch_px² C), row by row."""
    tiles = images.unfold(2, patch_px, patch_px).unfold(3, patch_px, patch_px)
    # (n, C, rows, columns, patch_px, patch_px) to (n, rows, columns, …, C)
    return tiles.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)


def _normalize_patches(patches: Tensor) -> Tensor:
    """Give each patch (n, L, p) mean 0 and variance 1; constant ones become 0."""
    variance, mean = torch.var_mean(patches, dim=2, correction=0, keepdim=True)
    return (patches - mean) / (variance + _EPSILON).sqrt()


def _rank(noise: Tensor) -> Tensor:
    """Return the rank (n, L), from 0, of each patch's number among its image's."""
    return noise.argsort(dim=1, stable=True).argsort(dim=1)


def _masked_mse(predicted: Tensor, target: Tensor, masked: Tensor) -> Tensor:
    """Return the mean squared error of the masked (n, L) among patches (n, L, p)."""
    with torch.autocast(predicted.device.type, enabled=False):
        errors = (predicted.float() - target).square().mean(2)  # (n, L)
        return (errors * masked).sum() / masked.sum()


class _MAEModule(PretextModule):
    def __init__(self, backbone: Backbone, task: "MAE", info: TrainingInfo):
        super().__init__(backbone)
        network = _tokens_of(backbone)
        self.patch_px = network.patch_size
        self.normalize_pixels = task.normalize_pixels
        n_pixels = self.patch_px**2 * backbone.mean.shape[1]
        if n_pixels == 1 and task.normalize_pixels:
            raise ValueError(
                f"image_size={info.image_size} makes patches of one pixel for backbone "
                f"{backbone.name!r}, all 0 with normalize_pixels: use larger "
                "images, or normalize_pixels=False."
            )
        grid = network.grid_of(*info.image_size)
        n_patches = math.prod(grid)
        if n_patches < 2:
            raise ValueError(
                f"image_size={info.image_size} is a single patch of "
                f"{self.patch_px} px for backbone {backbone.name!r}: mae needs at "
                "least two, one to see and one to predict."
            )
        n_masked = round(task.mask_ratio * n_patches)
        self.n_visible = n_patches - min(max(n_masked, 1), n_patches - 1)
        self.decoder = TokenDecoder(
            network.hidden_dim,
            task.decoder_width,
            task.decoder_depth,
            n_pixels,
            grid,
            n_prefix=network.n_prefix,
        )

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:  # noqa: ARG002
        images, noise = views  # (n, C, H, W), (n, L)
        rank = _rank(noise)  # (n, L)
        predicted = self.predict(images, rank)  # (n, L, p)
        target = self.targets(images)  # (n, L, p)
        return _masked_mse(predicted, target, masked=rank >= self.n_visible)

    def predict(self, images: Tensor, rank: Tensor) -> Tensor:
        """Predict the pixels (n, L, p) of all patches from the visible ones."""
        network = _tokens_of(self.backbone)
        tokens = network.embed(self.backbone.normalize(images))  # (n, n_prefix + L, d)
        prefix, patches = tokens.tensor_split([network.n_prefix], dim=1)
        order = rank.argsort(dim=1)[:, : self.n_visible, None]  # (n, n_visible, 1)
        visible = patches.take_along_dim(order, dim=1)  # (n, n_visible, d)
        encoded = network.encode(torch.cat([prefix, visible], dim=1))
        return self.decoder(encoded, rank)  # (n, L, p)

    def targets(self, images: Tensor) -> Tensor:
        """Return the pixels (n, L, p) to be predicted."""
        network = _tokens_of(self.backbone)
        whole = network.whole_patches(self.backbone.normalize(images))
        patches = _patchify(whole, self.patch_px)  # (n, L, p)
        return _normalize_patches(patches) if self.normalize_pixels else patches


def _tokens_of(backbone: Backbone) -> TokenNetwork:
    tokens = family_of(backbone.network).tokens(backbone.network)
    if tokens is None:
        raise ValueError(
            "mae masks patches of a vision transformer of skssl or timm: "
            "backbone='vit_tiny', 'vit_small', 'vit_b_16', "
            "'timm/vit_small_patch16_224' and the like, or a "
            f"skssl.nn.vit.VisionTransformer; got the backbone {backbone.name!r}."
        )
    return tokens


class MAE(PretextTask):
    r"""Predict the pixels of masked patches from the few visible ones.

    For vision transformers, such as ``backbone="vit_tiny"``, and those of timm.

    Parameters
    ----------
    mask_ratio : float, default=0.75
        Fraction of the patches that is masked, in (0, 1), rounded to a number of
        patches such that at least one is masked and one is visible.
    decoder_width : int, default=128
        Width of the decoder's tokens, a multiple of 32, the width of its heads.
    decoder_depth : int, default=2
        Number of the decoder's blocks, at least 1.
    normalize_pixels : bool, default=True
        Whether to scale each target patch to mean 0 and variance 1.
    augmentation : str or Augmentation, default="auto"
        Recipe of the view: "auto" is "medical_gray" for gray images and "cross" for
        colour, reduced to crops, flips and rotations.

    Attributes
    ----------
    patch_px_ : int
        Side of the backbone's patches, pixels; set by `build`.

    Notes
    -----
    Each image has one view, and each of its L patches a uniform random number. The
    round(``mask_ratio`` · L) patches with the largest numbers, M, are masked. The
    backbone encodes the others, with their positions and the class token. The decoder
    receives the encoded tokens and one learned token for each masked patch, adds fixed
    positions, and predicts pixels :math:`\hat{x}`. The loss is the mean over the
    images of

    .. math:: \frac{1}{|M|} \sum_{i ∈ M} \frac{1}{p} ‖\hat{x}_i - x_i‖^2

    where x_i are the p values of patch i in all channels, after the backbone's
    normalisation. With ``normalize_pixels`` they are also standardised per patch:
    minus their mean, divided by the square root of their variance + 10⁻⁶.

    **Differences from the paper**

    - The decoder is 128 wide and 2 blocks deep instead of 512 and 8: **our choice**
      for small sets and small backbones.
    - The backbone's position embeddings are learned, as in torchvision; the paper's
      are fixed.
    - The paper crops and flips; "auto" also rotates gray images by up to 10 degrees.
      It changes no colour and adds no noise, since the view itself is the target.
    - The peak learning rate of AdamW is 5·10⁻⁴ at any batch size: **our choice** for
      about 1,000 steps. The paper's is 1.5·10⁻⁴ per 256 images, over 800 epochs or
      more. Weight decay is the estimator's and β₂ torch's 0.999, where the paper has
      0.05 and 0.95.

    References
    ----------
    .. [1] K. He, X. Chen, S. Xie, Y. Li, P. Dollár, R. Girshick. "Masked Autoencoders
       Are Scalable Vision Learners", CVPR 2022.
       :doi:`10.1109/CVPR52688.2022.01553`

    Examples
    --------
    >>> from skssl.pretext import MAE
    >>> MAE(mask_ratio=0.6)
    MAE(mask_ratio=0.6)
    """

    name = "mae"
    auto_leaves_out = (*_COLOURS, *_TEXTURES)  # all but the geometric ones
    default_augmentation = "cross"
    default_lr = 5e-4
    card = MethodCard(
        title="MAE",
        paper="He et al. 2022",
        doi="10.1109/CVPR52688.2022.01553",
        n_views=1,
        compares_batch=False,
        keeps="nothing",
        momentum_encoder=False,
        advice="For vision transformers and long trainings: the network encodes a "
        "quarter of the patches of one view, so steps are cheap. Fine-tuning gains "
        "more from it than linear models do.",
        backbones="ViT",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "mask_ratio": [Interval(Real, 0, 1, closed="neither")],
        "decoder_width": [Interval(Integral, HEAD_WIDTH, None, closed="left")],
        "decoder_depth": [Interval(Integral, 1, None, closed="left")],
        "normalize_pixels": ["boolean"],
        "augmentation": [str, Augmentation],
    }

    def __init__(
        self,
        *,
        mask_ratio: float = 0.75,
        decoder_width: int = 128,
        decoder_depth: int = 2,
        normalize_pixels: bool = True,
        augmentation: str | Augmentation = "auto",
    ):
        self.mask_ratio = mask_ratio
        self.decoder_width = decoder_width
        self.decoder_depth = decoder_depth
        self.normalize_pixels = normalize_pixels
        self.augmentation = augmentation

    def resolve(self, info: TrainingInfo) -> Self:
        """Check the decoder's width; see `PretextTask.resolve`."""
        task = super().resolve(info)
        if self.decoder_width % HEAD_WIDTH:
            raise ValueError(
                f"The 'decoder_width' parameter of MAE must be a multiple of "
                f"{HEAD_WIDTH}, got {self.decoder_width}."
            )
        return task

    def views(
        self, images: Tensor, generator: torch.Generator, *, size: tuple[int, int]
    ) -> tuple[Tensor, ...]:
        """Make one view of each image, and draw one random number for each patch.

        To be called after `build`, which learns the patch size from the backbone.

        Parameters
        ----------
        images : Tensor of shape (n, C, H, W), uint8
        generator : torch.Generator
        size : (height, width)

        Returns
        -------
        view : Tensor of shape (n, C, height, width), float32 in [0, 1]
        noise : Tensor of shape (n, L), float32, uniform in [0, 1)
            One number for each patch, row by row; the patches with the largest numbers
            are masked.
        """
        n_patches = math.prod(math.ceil(side / self._patch_px()) for side in size)
        view = self.augment(images, generator, size)
        noise = torch.rand(
            (len(images), n_patches), generator=generator, device=generator.device
        )
        return view, noise

    def _patch_px(self) -> int:
        if not hasattr(self, "patch_px_"):
            raise ValueError(
                "MAE.views needs the patch size of the backbone: call build() first."
            )
        return self.patch_px_

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:
        """Return a vision transformer with a decoder; see `PretextTask.build`."""
        module = _MAEModule(backbone, self, info)
        self.patch_px_ = module.patch_px
        return module
