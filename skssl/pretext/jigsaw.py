"""Jigsaw: predict the order in which the nine tiles of an image were shuffled.

Noroozi & Favaro 2016.
"""

from functools import lru_cache
from numbers import Integral, Real
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from skssl._sklearn import Interval
from skssl.augment import Augmentation, cut_tiles, maximal_hamming_permutations
from skssl.nn import Backbone, mlp
from skssl.nn.sizes import check_takes_size
from skssl.pretext._base import (
    MethodCard,
    PretextModule,
    PretextTask,
    TrainingInfo,
    settled,
)
from skssl.pretext._tiles import (
    N_TILES,
    TILE_FRACTION,
    choose_tile_size,
    shuffle_tiles,
)

_MIN_STD = 0.01  # in units of the images' range [0, 1]


def _standardize(tiles: Tensor) -> Tensor:
    """Give each channel of each tile (…, h, w) mean 0 and standard deviation about 1.

    Nearly constant tiles get a smaller one, so that their noise is not amplified.
    """
    std, mean = torch.std_mean(tiles, dim=(-2, -1), correction=0, keepdim=True)
    return (tiles - mean) / (std + _MIN_STD)


@lru_cache(maxsize=8)
def _orders(n_permutations: int, device: torch.device) -> Tensor:
    """Return the orders (n_permutations, 9) on the device."""
    # sync: copied to the device once, hence the cache.
    return maximal_hamming_permutations(n_permutations, N_TILES).to(device)


class _JigsawModule(PretextModule):
    def __init__(self, backbone: Backbone, task: "Jigsaw"):
        super().__init__(backbone)
        self.normalize_tiles = task.normalize_tiles
        self.tile_layer = nn.Linear(backbone.n_features, task.projection_size)
        self.classifier = mlp(
            N_TILES * task.projection_size,
            task.hidden_size,
            task.n_permutations,
            batch_norm=False,
        )

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:  # noqa: ARG002
        shuffled, label = views  # (n, 9, C, t, t), (n,)
        logits = self.classify(shuffled)  # (n, n_permutations)
        with torch.autocast(logits.device.type, enabled=False):
            return functional.cross_entropy(logits.float(), label)

    def classify(self, shuffled: Tensor) -> Tensor:
        """Map tiles (n, 9, C, t, t) to the logits of their order."""
        tiles = shuffled.flatten(0, 1)  # (9n, C, t, t)
        if self.normalize_tiles:
            # The backbone normalises its input: it then receives the standardised tile.
            tiles = self.backbone.mean + self.backbone.std * _standardize(tiles)
        h = self.backbone(tiles)  # (9n, d)
        z = functional.relu(self.tile_layer(h))  # (9n, projection_size)
        return self.classifier(z.view(len(shuffled), -1))  # (n, n_permutations)


class Jigsaw(PretextTask):
    r"""Predict the order of the nine shuffled tiles of an image.

    Parameters
    ----------
    n_permutations : int, default=100
        Number of orders, which are the classes, from 2 to the paper's 1,000. The
        fewer, the easier.
    tile_size : int, optional
        Side of the tiles in pixels, at least 1. Default: the side of the region that is
        cut out of the image, but at least 32 px, and at most the image's short side.
    tile_fraction : float, default=0.85
        Side of a tile as a fraction of a third of the image's side, in (0, 1]. The tile
        is placed at random within its third, so that edges do not continue from one
        tile to the next. 0.85 is the paper's 64 px of 75 px.
    normalize_tiles : bool, default=True
        Give all tiles the same mean and standard deviation in each channel, so that
        brightness and contrast do not reveal which tiles are neighbours.
    projection_size : int, default=512
        Width of the linear layer after the backbone, applied to each tile.
    hidden_size : int, default=1024
        Width of the classifier's hidden layer, applied to all tiles of an image.
    augmentation : str or Augmentation, default="auto"
        Recipe of the view that is then cut: "auto" is "medical_gray" for gray images
        and "moco_v2" for colour, without rotations, whose empty corners would reveal
        the corner tiles.

    Notes
    -----
    One of the orders is drawn for each image and step. With f the backbone followed by
    a linear layer and ReLU, t₁ … t₉ the tiles, π_k the k-th order and F the softmax of
    a perceptron with one hidden layer, the loss is the mean over the images of

    .. math:: -\log F_k\left(f(t_{π_k(1)}), …, f(t_{π_k(9)})\right)

    The orders are chosen as in the paper, to differ in many positions (see
    :func:`skssl.augment.maximal_hamming_permutations`), and are always the same.

    With ``normalize_tiles`` a tile becomes :math:`m + s (t - μ) / (σ + 0.01)`, with μ
    and σ its mean and standard deviation and m and s those of the backbone's
    normalisation, so that the layers receive mean 0 and standard deviation 1. The 0.01
    limits the noise of empty tiles (**our choice**).

    **Differences from the paper**

    - The second hidden layer has 1,024 units. The paper's 4,096 would mean 19 million
      weights here.
    - The backbones average their last map, the paper's network flattens it. An average
      says less about positions within a tile.
    - The paper's tiles have 64 px. Most networks reduce tiles below 32 px to a single
      pixel, so the tiles of small images are enlarged.
    - The paper shifts colour channels against each other and turns some images gray, to
      hide the chromatic aberration of lenses; here the recipe's jitter serves this.
    - The optimizer is AdamW instead of SGD.
    - In images that are not square, tiles are resized to squares.

    References
    ----------
    .. [1] M. Noroozi, P. Favaro. "Unsupervised Learning of Visual Representations by
       Solving Jigsaw Puzzles", ECCV 2016. :doi:`10.1007/978-3-319-46466-4_5`

    Examples
    --------
    >>> from skssl.pretext import Jigsaw
    >>> Jigsaw(n_permutations=30)
    Jigsaw(n_permutations=30)
    """

    name = "jigsaw"
    # A rotated view has black corners, which would mark the corner tiles.
    auto_leaves_out = ("rotation",)
    card = MethodCard(
        title="Jigsaw",
        paper="Noroozi & Favaro 2016",
        doi="10.1007/978-3-319-46466-4_5",
        n_views=N_TILES,
        compares_batch=False,
        keeps="nothing",
        momentum_encoder=False,
        advice="When the arrangement of structures matters, on images of 100 px or "
        "more. With few images, fewer permutations make the task easier.",
        backbones="any size",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_permutations": [Interval(Integral, 2, 1000, closed="both")],
        "tile_size": [Interval(Integral, 1, None, closed="left"), None],
        "tile_fraction": [Interval(Real, 0, 1, closed="right")],
        "normalize_tiles": ["boolean"],
        "projection_size": [Interval(Integral, 1, None, closed="left")],
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "augmentation": [str, Augmentation],
    }

    def __init__(
        self,
        *,
        n_permutations: int = 100,
        tile_size: int | None = None,
        tile_fraction: float = TILE_FRACTION,
        normalize_tiles: bool = True,
        projection_size: int = 512,
        hidden_size: int = 1024,
        augmentation: str | Augmentation = "auto",
    ):
        self.n_permutations = n_permutations
        self.tile_size = tile_size
        self.tile_fraction = tile_fraction
        self.normalize_tiles = normalize_tiles
        self.projection_size = projection_size
        self.hidden_size = hidden_size
        self.augmentation = augmentation

    def resolve(self, info: TrainingInfo) -> Self:
        """Return a copy with the tile size set; see `PretextTask.resolve`."""
        task = super().resolve(info)
        task.tile_size = choose_tile_size(
            task.tile_size, info.image_size, task.tile_fraction
        )
        return task

    def input_size(self, image_size: tuple[int, int]) -> tuple[int, int]:  # noqa: ARG002
        """Return the size of the tiles, pixels."""
        tile_size = settled(self.tile_size, "tile_size")
        return tile_size, tile_size

    def views(
        self, images: Tensor, generator: torch.Generator, *, size: tuple[int, int]
    ) -> tuple[Tensor, ...]:
        """Cut one view of each image into nine tiles, and shuffle them.

        Parameters
        ----------
        images : Tensor of shape (n, C, H, W), uint8
        generator : torch.Generator
        size : (height, width)

        Returns
        -------
        tiles : Tensor of shape (n, 9, C, tile_size, tile_size), float32 in [0, 1]
            At position j is tile ``order[j]`` of the image.
        label : Tensor of shape (n,), int64
            Row of ``maximal_hamming_permutations(n_permutations)`` that is the order.
        """
        tiles = cut_tiles(
            self.augment(images, generator, size),
            generator,
            tile_size=settled(self.tile_size, "tile_size"),
            tile_fraction=self.tile_fraction,
        )
        label = torch.randint(
            self.n_permutations,
            (len(images),),
            generator=generator,
            device=images.device,
        )
        orders = _orders(self.n_permutations, images.device)
        return shuffle_tiles(tiles, orders[label]), label

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:
        """Return the backbone with the heads; see `PretextTask.build`."""
        check_takes_size(backbone, self.input_size(info.image_size), self.name)
        return _JigsawModule(backbone, self)
