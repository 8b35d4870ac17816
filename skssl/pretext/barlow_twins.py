"""Barlow Twins: each feature agrees between two views, and differs from all others.

Zbontar, Jing, Misra, LeCun & Deny 2021.
"""

from numbers import Integral, Real
from typing import ClassVar

import torch
from torch import Tensor

from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.nn import Backbone, mlp
from skssl.pretext._base import MethodCard, PretextModule, PretextTask, TrainingInfo

_EPS = 1e-5  # keeps the gradient of a feature that is constant in a batch finite


def _standardize(z: Tensor) -> Tensor:
    """Give each feature of (n, d) mean 0 and standard deviation 1 over the batch."""
    return (z - z.mean(0)) / (z.var(0, correction=0) + _EPS).sqrt()


def _barlow_twins_loss(z1: Tensor, z2: Tensor, redundancy_weight: float) -> Tensor:
    """Return the loss of two projections (n, d), equations 1 and 2 of the paper."""
    with torch.autocast(z1.device.type, enabled=False):
        z1, z2 = _standardize(z1.float()), _standardize(z2.float())
        correlation = z1.T @ z2 / len(z1)  # (d, d)
        same = correlation.diagonal()  # (d,)
        others = correlation - same.diag()  # (d, d), 0 on its diagonal
        return (1 - same).square().sum() + redundancy_weight * others.square().sum()


class _BarlowTwinsModule(PretextModule):
    def __init__(self, backbone: Backbone, task: "BarlowTwins"):
        super().__init__(backbone)
        self.redundancy_weight = task.redundancy_weight
        self.projector = mlp(
            backbone.n_features,
            task.hidden_size,
            task.projection_size,
            n_layers=3,
            bias_out=False,
        )

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:  # noqa: ARG002
        h = self.backbone(torch.cat(views))  # (2n, n_features)
        z1, z2 = self.projector(h).chunk(2)  # (n, d) each
        return _barlow_twins_loss(z1, z2, self.redundancy_weight)


class BarlowTwins(PretextTask):
    r"""Make the cross-correlation of two views' features the identity matrix.

    Parameters
    ----------
    redundancy_weight : float, default=0.005
        λ, the weight of the correlations between different features, at least 0.
    hidden_size : int, default=512
        Width of the projector's two hidden layers.
    projection_size : int, default=256
        Dimension d of the projections z.
    augmentation : str or Augmentation, default="auto"
        Recipe of the views: "auto" is "medical_gray" for gray images and "moco_v2"
        for colour.

    Notes
    -----
    With z and z' the projections of the two views, each feature standardised over the
    n images of the batch, the loss is

    .. math:: \sum_i (1 - C_{ii})^2 + λ \sum_i \sum_{j ≠ i} C_{ij}^2,
              \qquad C_{ij} = \frac{1}{n} \sum_b z_{bi} z'_{bj}

    It is the plain sum over d and d² elements, as in the paper: about d at the start.
    This does not matter for Adam and AdamW. With ``optimizer="sgd"`` the learning rate
    must be smaller by that factor; the authors use LARS, which scales the gradient.

    **Differences from the paper**

    - Widths are 512 and 256, the paper's 8192: **our choice**. Standardised features of
      n images span at most n - 1 directions. If d is larger, not all correlations can
      vanish, and the best C has about 1 / (1 + λd / (n - 1)) on its diagonal: 0.96 for
      32 images here, 0.43 with the paper's width.
    - The learning rate is AdamW's 3e-4, which learned on phantoms in 360 steps; 1e-3
      with widths of 2048 did not.
    - 1e-5 is added to the variance, so that features which are constant in a batch have
      a finite gradient.
    - The projector's hidden layers have biases, which the normalisation after them
      subtracts.
    - Both views pass the network as one batch, but each is standardised by itself.
    - Both views follow one recipe. The authors blur and solarise them differently.

    References
    ----------
    .. [1] J. Zbontar, L. Jing, I. Misra, Y. LeCun, S. Deny. "Barlow Twins:
       Self-Supervised Learning via Redundancy Reduction", ICML 2021.
       :doi:`10.48550/arXiv.2103.03230`

    Examples
    --------
    >>> from skssl.pretext import BarlowTwins
    >>> BarlowTwins(redundancy_weight=0.01)
    BarlowTwins(redundancy_weight=0.01)
    """

    name = "barlow_twins"
    default_lr = 3e-4
    card = MethodCard(
        title="Barlow Twins",
        paper="Zbontar et al. 2021",
        doi="10.48550/arXiv.2103.03230",
        n_views=2,
        compares_batch=True,
        keeps="nothing",
        momentum_encoder=False,
        advice="When slices are too similar to be negatives of each other: it has no "
        "negatives. Batches of 32 and more.",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "redundancy_weight": [Interval(Real, 0, None, closed="left")],
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "projection_size": [Interval(Integral, 1, None, closed="left")],
        "augmentation": [str, Augmentation],
    }

    def __init__(
        self,
        *,
        redundancy_weight: float = 5e-3,
        hidden_size: int = 512,
        projection_size: int = 256,
        augmentation: str | Augmentation = "auto",
    ):
        self.redundancy_weight = redundancy_weight
        self.hidden_size = hidden_size
        self.projection_size = projection_size
        self.augmentation = augmentation

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:  # noqa: ARG002
        """Return the backbone with a projector; see `PretextTask.build`."""
        return _BarlowTwinsModule(backbone, self)
