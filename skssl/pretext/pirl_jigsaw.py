"""PIRL with jigsaw: shuffled tiles attract the memory bank's feature of their image.

Misra & van der Maaten 2020; the tiles are those of Noroozi & Favaro 2016.
"""

from numbers import Integral
from typing import ClassVar, Self

import torch
from torch import Tensor

from skssl._sklearn import Interval
from skssl.augment import Augmentation, cut_tiles
from skssl.nn import Backbone, mlp
from skssl.nn.sizes import check_takes_size
from skssl.pretext._base import MethodCard, PretextModule, TrainingInfo, settled
from skssl.pretext._pirl import PIRLModule, PIRLTask
from skssl.pretext._tiles import (
    N_TILES,
    TILE_FRACTION,
    choose_tile_size,
    shuffle_tiles,
)


class _PIRLJigsawModule(PIRLModule):
    def __init__(self, backbone: Backbone, task: "PIRLJigsaw", info: TrainingInfo):
        super().__init__(backbone, task, info)
        n_out = task.projection_size
        self.tile_projector = mlp(backbone.n_features, 1, n_out, n_layers=1)
        self.tiles_projector = self.make_projector(N_TILES * n_out, task)

    def project_transformed(self, transformed: Tensor) -> Tensor:
        h = self.backbone(transformed.flatten(0, 1))  # (9n, n_features)
        z = self.tile_projector(h)  # (9n, d)
        return self.tiles_projector(z.view(len(transformed), -1))  # (n, d)


class PIRLJigsaw(PIRLTask):
    r"""Make the features of an image's shuffled tiles equal to those of the image.

    Parameters
    ----------
    temperature : float, default=0.2
        τ of the loss, above 0. The paper's is 0.07.
    transform_weight : float, default=0.5
        λ, the weight of the tiles in the loss, in [0, 1].
    bank_momentum : float, default=0.5
        γ, the weight of the old feature in the memory bank's average, in [0, 1).
    projection_size : int, default=128
        Dimension of the projections and of the bank's features.
    normalize_output : bool, default=True
        End the projectors f and g with a batch normalisation without scale and shift;
        projections of single tiles have none. False is the paper's.
    tile_size : int, optional
        Side of the nine tiles in pixels, at least 1. Default: 85 % of a third of the
        images' short side, but at least 32 px, and at most the short side.
    same_group : {"negative", "ignore", "positive"}, default="negative"
        How other images of the same patient are treated. "negative": as any other
        image. "ignore": they are no negatives. "positive": they are no negatives, and
        one of them is the source of the tiles. The last two need ``groups`` in
        ``fit``.
    augmentation : str or Augmentation, default="auto"
        Recipe of both views, before the cut: "auto" is "medical_gray" for gray images
        and "moco_v2" for colour.

    Notes
    -----
    A second view of each image is divided into 3 x 3 cells. From each, a tile of 85 %
    of the cell's side is cut at a random position and resampled to ``tile_size``. Each
    tile passes the backbone and one linear layer. The nine projections, in a random
    order drawn for each image and step, are concatenated and pass a second linear
    layer, which gives g. With f the projection of the whole view, by a linear layer of
    its own, and m the memory bank's feature, the loss is the mean over the images I of

    .. math:: λ\,L(m_I, g) + (1 - λ)\,L(m_I, f)

    L, memory bank and optimizer are those of :class:`PIRLRotation`.

    **Differences from the paper**

    - Those of :class:`PIRLRotation`.
    - Tiles have 85 % of a cell's side: **our choice**. The paper cuts tiles of 64 px
      from views of 255 px, which is 75 %.
    - If a third of the image is below 32 px, tiles are enlarged. In images that are not
      square, tiles are resized to squares.
    - Whole views and tiles are two passes, each with its own BatchNorm statistics.

    References
    ----------
    .. [1] I. Misra, L. van der Maaten. "Self-Supervised Learning of Pretext-Invariant
       Representations", CVPR 2020. :doi:`10.1109/CVPR42600.2020.00674`
    .. [2] M. Noroozi, P. Favaro. "Unsupervised Learning of Visual Representations by
       Solving Jigsaw Puzzles", ECCV 2016. :doi:`10.1007/978-3-319-46466-4_5`

    Examples
    --------
    >>> from skssl.pretext import PIRLJigsaw
    >>> PIRLJigsaw(tile_size=64)
    PIRLJigsaw(tile_size=64)
    """

    name = "pirl_jigsaw"
    card = MethodCard(
        title="PIRL, jigsaw",
        paper="Misra & van der Maaten 2020",
        doi="10.1109/CVPR42600.2020.00674",
        n_views=1 + N_TILES,
        compares_batch=False,
        keeps="memory bank",
        momentum_encoder=False,
        advice="When small regions show what is in an image, and batches must be "
        "small. Nine tiles per image make a step expensive for images below 100 px.",
        backbones="any size",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **PIRLTask.pirl_constraints,
        "tile_size": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        *,
        temperature: float = 0.2,
        transform_weight: float = 0.5,
        bank_momentum: float = 0.5,
        projection_size: int = 128,
        normalize_output: bool = True,
        tile_size: int | None = None,
        same_group: str = "negative",
        augmentation: str | Augmentation = "auto",
    ):
        self.temperature = temperature
        self.transform_weight = transform_weight
        self.bank_momentum = bank_momentum
        self.projection_size = projection_size
        self.normalize_output = normalize_output
        self.tile_size = tile_size
        self.same_group = same_group
        self.augmentation = augmentation

    def resolve(self, info: TrainingInfo) -> Self:
        """Return a copy with the tile size set; see `PretextTask.resolve`."""
        task = super().resolve(info)
        task.tile_size = choose_tile_size(task.tile_size, info.image_size)
        return task

    def views(
        self,
        images: Tensor,
        generator: torch.Generator,
        *,
        size: tuple[int, int],
        partners: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Make a view of each image, and shuffled tiles of it or of its partner.

        Parameters
        ----------
        images : Tensor of shape (n, C, H, W), uint8
        generator : torch.Generator
        size : (height, width)
        partners : Tensor of shape (n, C, H, W), uint8, optional
            Source of the tiles, instead of ``images``.

        Returns
        -------
        view : Tensor of shape (n, C, height, width), float32 in [0, 1]
        tiles : Tensor of shape (n, 9, C, tile_size, tile_size), float32 in [0, 1]
        """
        view, second = super().views(images, generator, size=size, partners=partners)
        tiles = cut_tiles(
            second,
            generator,
            tile_size=settled(self.tile_size, "tile_size"),
            tile_fraction=TILE_FRACTION,
        )
        noise = torch.rand(tiles.shape[:2], generator=generator, device=tiles.device)
        order = noise.argsort(dim=1)  # (n, 9), uniform over all orders
        return view, shuffle_tiles(tiles, order)

    def input_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return the size of the tiles, or of the views if these are smaller."""
        tile_size = settled(self.tile_size, "tile_size")
        return min(tile_size, image_size[0]), min(tile_size, image_size[1])

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:
        """Return the backbone with projectors and bank; see `PretextTask.build`."""
        tile_size = settled(self.tile_size, "tile_size")
        check_takes_size(backbone, (tile_size, tile_size), self.name)
        return _PIRLJigsawModule(backbone, self, info)
