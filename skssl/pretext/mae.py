"""MAE: most patches of an image are hidden, and their pixels are to be predicted.

He, Chen, Xie, Li, Dollár & Girshick 2022.
"""

from numbers import Integral, Real
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor, nn

from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.nn import Backbone
from skssl.pretext._base import MethodCard, PretextModule, PretextTask, TrainingInfo

if TYPE_CHECKING:
    from skssl.nn.vit import VisionTransformer

_HEAD_WIDTH = 32  # as the paper's decoder has it: 16 heads for 512
_EPSILON = 1e-6
_COLOURS = ("brightness", "contrast", "saturation", "hue", "gamma", "grayscale")
_TEXTURES = ("blur", "noise")


def _patchify(images: Tensor, patch_px: int) -> Tensor:
    """Cut images (n, C, H, W) into rows of pixels (n, L, patch_px² C)."""
    tiles = images.unfold(2, patch_px, patch_px).unfold(3, patch_px, patch_px)
    # Six dimensions: n, C, height and width in patches, height and width of a patch.
    return tiles.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)


def _normalize_patches(patches: Tensor) -> Tensor:
    """Give each patch (n, L, p) mean 0 and variance 1; flat ones become 0."""
    variance, mean = torch.var_mean(patches, dim=2, correction=0, keepdim=True)
    return (patches - mean) / (variance + _EPSILON).sqrt()


def _masked_mse(predicted: Tensor, target: Tensor, rank: Tensor, n_seen: int) -> Tensor:
    """Return the mean squared error of the patches (n, L, p) of rank n_seen and up."""
    with torch.autocast(predicted.device.type, enabled=False):
        errors = (predicted.float() - target).square().mean(2)  # (n, L)
        return (errors * (rank >= n_seen)).sum() / (rank >= n_seen).sum()


def _sin_cos_positions(grid: tuple[int, int], width: int) -> Tensor:
    """Return fixed positions (1, 1 + L, width), zero for the class token.

    The first half of the width tells the row, the second the column, each by the
    sines and cosines of as many frequencies between 1 and 1/10,000 a patch.
    """
    frequencies = 10_000.0 ** -(torch.arange(width // 4) / (width // 4))
    waves = []
    for place in torch.meshgrid(*map(torch.arange, grid), indexing="ij"):
        angles = place.flatten()[:, None] * frequencies  # (L, width / 4)
        waves += [angles.sin(), angles.cos()]
    return nn.functional.pad(torch.cat(waves, dim=1), (0, 0, 1, 0))[None]


class _Decoder(nn.Module):
    """From the tokens of some patches to the pixels of all."""

    positions: Tensor

    def __init__(
        self, n_in: int, width: int, depth: int, n_out: int, grid: tuple[int, int]
    ):
        super().__init__()
        self.embed = nn.Linear(n_in, width)
        self.mask_token = nn.Parameter(torch.empty(1, 1, width).normal_(std=0.02))
        self.register_buffer(
            "positions", _sin_cos_positions(grid, width), persistent=False
        )
        self.blocks = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    width,
                    width // _HEAD_WIDTH,
                    dim_feedforward=4 * width,
                    dropout=0.0,
                    activation="gelu",
                    batch_first=True,
                    norm_first=True,
                )
                for _ in range(depth)
            )
        )
        self.norm = nn.LayerNorm(width)
        self.pixels = nn.Linear(width, n_out)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, seen: Tensor, rank: Tensor) -> Tensor:
        """Map class token and seen patches (n, 1 + n_seen, d) to pixels (n, L, n_out).

        The patch of rank r (n, L) is the r-th of the seen, and hidden if there is none.
        """
        tokens = self.embed(seen)  # (n, 1 + n_seen, width)
        n_hidden = rank.shape[1] + 1 - tokens.shape[1]
        masks = self.mask_token.to(tokens.dtype).expand(len(tokens), n_hidden, -1)
        by_rank = torch.cat([tokens[:, 1:], masks], dim=1)  # (n, L, width)
        patches = by_rank.take_along_dim(rank[:, :, None], dim=1)
        tokens = torch.cat([tokens[:, :1], patches], dim=1) + self.positions
        return self.pixels(self.norm(self.blocks(tokens))[:, 1:])


class _MAEModule(PretextModule):
    def __init__(self, backbone: Backbone, task: "MAE", info: TrainingInfo):
        super().__init__(backbone)
        from skssl.nn.vit import VisionTransformer  # imports torchvision, which is slow

        network = backbone.network
        if not isinstance(network, VisionTransformer):
            raise ValueError(
                "mae hides patches from a vision transformer of skssl: "
                "backbone='vit_tiny', 'vit_small', 'vit_b_16' and the "
                "like, or a skssl.nn.vit.VisionTransformer; got the backbone "
                f"{backbone.name!r}."
            )
        grid = network.grid_of(*info.image_size)
        n_patches = grid[0] * grid[1]
        if n_patches < 2:
            raise ValueError(
                f"image_size={info.image_size} is a single patch of "
                f"{network.patch_size} px for backbone {backbone.name!r}: mae needs at "
                "least two, one to see and one to predict."
            )
        n_hidden = round(task.mask_ratio * n_patches)
        self.n_seen = n_patches - min(max(n_hidden, 1), n_patches - 1)
        self.patch_px = int(network.patch_size)
        self.normalize_pixels = task.normalize_pixels
        n_pixels = self.patch_px**2 * backbone.n_channels
        if n_pixels == 1 and task.normalize_pixels:
            raise ValueError(
                f"image_size={info.image_size} makes patches of one pixel for backbone "
                f"{backbone.name!r}, all 0 with normalize_pixels: use larger "
                "images, or normalize_pixels=False."
            )
        self.decoder = _Decoder(
            network.hidden_dim, task.decoder_width, task.decoder_depth, n_pixels, grid
        )

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:  # noqa: ARG002
        images, noise = views
        rank = self.draw_ranks(noise)  # (n, L)
        predicted = self.predict(images, rank)  # (n, L, p)
        return _masked_mse(predicted, self.targets(images), rank, self.n_seen)

    def draw_ranks(self, noise: Tensor) -> Tensor:
        """Return the rank (n, L) of each patch's noise; the lowest n_seen are seen."""
        p = self.patch_px
        order = noise[:, 0, ::p, ::p].flatten(1).argsort(dim=1, stable=True)
        return order.argsort(dim=1)

    def predict(self, images: Tensor, rank: Tensor) -> Tensor:
        """Return the pixels (n, L, p) of all patches, known from the seen ones."""
        network: VisionTransformer = self.backbone.network  # type: ignore[assignment]
        tokens = network.embed(self.backbone.normalize(images))  # (n, 1 + L, d)
        order = rank.argsort(dim=1)[:, : self.n_seen, None]
        seen = tokens[:, 1:].take_along_dim(order, dim=1)  # (n, n_seen, d)
        seen = network.encode(torch.cat([tokens[:, :1], seen], dim=1))
        return self.decoder(seen, rank)

    def targets(self, images: Tensor) -> Tensor:
        """Return the pixels (n, L, p) to be predicted."""
        network: VisionTransformer = self.backbone.network  # type: ignore[assignment]
        whole = network.whole_patches(self.backbone.normalize(images))
        patches = _patchify(whole, self.patch_px)
        return _normalize_patches(patches) if self.normalize_pixels else patches


class MAE(PretextTask):
    r"""Predict the pixels of hidden patches from the few that are seen.

    For vision transformers, such as ``backbone="vit_tiny"``.

    Parameters
    ----------
    mask_ratio : float, default=0.75
        Share of the patches that is hidden, in (0, 1), rounded to a number of patches,
        such that at least one is hidden and one is seen.
    decoder_width : int, default=128
        Width of the decoder's tokens, a multiple of 32, the width of its heads.
    decoder_depth : int, default=2
        Number of the decoder's blocks, at least 1.
    normalize_pixels : bool, default=True
        Whether each patch to be predicted is first given mean 0 and variance 1.
    augmentation : str or Augmentation, default="auto"
        Recipe of the view: "auto" is "medical_gray" for gray images and "cross" for
        colour, of either only crops, flips and turns.

    Notes
    -----
    Each image has one view, and each of its L patches a uniform random number. The
    round(``mask_ratio`` · L) patches of the largest numbers, H, are hidden. The
    backbone sees the others, with their positions and the class token. The decoder
    gets its tokens, and one learned token in the place of each hidden patch, adds
    fixed positions, and gives pixels :math:`\hat{x}`. The loss is the mean over the
    images of

    .. math:: \frac{1}{|H|} \sum_{i ∈ H} \frac{1}{p} ‖\hat{x}_i - x_i‖^2

    with x_i the p pixels of patch i in all channels, as the backbone sees them, thus
    after its normalisation; with ``normalize_pixels`` their mean is subtracted and
    they are divided by the root of their variance + 10⁻⁶.

    Differences: the paper's decoder is 512 wide and 8 deep; 128 and 2 are **our
    choice** for small sets and small backbones. The backbone's positions are learned,
    those of torchvision, where the paper's are fixed. The paper crops and flips;
    "auto" also turns gray images, by up to 10 degrees. No colour or noise is changed,
    since the view itself is what has to be predicted. With AdamW the paper's peak rate
    is 1.5·10⁻⁴ per 256 images, over 800 epochs or more; 5·10⁻⁴ at any batch size is
    **our choice** for some 1,000 steps, with the estimator's weight decay and torch's
    β₂ of 0.999 where the paper has 0.05 and 0.95.

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
    auto_leaves_out = (*_COLOURS, *_TEXTURES)  # only pixels that move are left
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
        advice="For vision transformers and long trainings: the network sees a quarter "
        "of the patches of one view, so steps are cheap. Fine-tuning gains more by it "
        "than linear models do.",
        backbones="ViT",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "mask_ratio": [Interval(Real, 0, 1, closed="neither")],
        "decoder_width": [Interval(Integral, _HEAD_WIDTH, None, closed="left")],
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
        if self.decoder_width % _HEAD_WIDTH:
            raise ValueError(
                f"The 'decoder_width' parameter of MAE must be a multiple of "
                f"{_HEAD_WIDTH}, got {self.decoder_width}."
            )
        return task

    def views(
        self, images: Tensor, generator: torch.Generator, *, size: tuple[int, int]
    ) -> tuple[Tensor, ...]:
        """Make one view of each image, and draw what decides which patches are hidden.

        Returns
        -------
        tuple of 2 Tensors
            Views (n, C, height, width), float32 in [0, 1], and noise
            (n, 1, height, width), float32, uniform in [0, 1); of each patch the number
            of its upper left pixel is used.
        """
        view = self.augment(images, generator, size)
        noise = torch.rand(
            (len(images), 1, *size), generator=generator, device=generator.device
        )
        return view, noise

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:
        """Return a vision transformer with a decoder; see `PretextTask.build`."""
        return _MAEModule(backbone, self, info)
