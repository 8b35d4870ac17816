"""VICReg: two views agree, while features keep their variance and are uncorrelated.

Bardes, Ponce & LeCun 2022.
"""

from numbers import Integral, Real
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.nn import Backbone, mlp
from skssl.pretext._base import MethodCard, PretextModule, PretextTask, TrainingInfo

_GAMMA = 1.0  # γ, the standard deviation that each feature should have
_EPS = 1e-4


def _variance(z: Tensor) -> Tensor:
    """Return v(z): by how much standard deviations (n, d) are below γ, eq. 1 and 2."""
    deviation = (z.var(0) + _EPS).sqrt()  # (d,)
    return functional.relu(_GAMMA - deviation).mean()


def _covariance(z: Tensor) -> Tensor:
    """Return c(z): the squared covariances between features (n, d), eq. 3 and 4."""
    n, d = z.shape
    centered = z - z.mean(0)  # (n, d)
    covariance = centered.T @ centered / (n - 1)  # (d, d)
    others = covariance - covariance.diagonal().diag()  # (d, d), 0 on its diagonal
    return others.square().sum() / d


def _vicreg_loss(
    z1: Tensor, z2: Tensor, invariance: float, variance: float, covariance: float
) -> Tensor:
    """Return the loss of two projections (n, d) with its three weights, eq. 6."""
    with torch.autocast(z1.device.type, enabled=False):
        z1, z2 = z1.float(), z2.float()
        return (
            invariance * functional.mse_loss(z1, z2)
            + variance * (_variance(z1) + _variance(z2))
            + covariance * (_covariance(z1) + _covariance(z2))
        )


class _VICRegModule(PretextModule):
    def __init__(self, backbone: Backbone, task: "VICReg"):
        super().__init__(backbone)
        self.weights = (
            task.invariance_weight,
            task.variance_weight,
            task.covariance_weight,
        )
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
        return _vicreg_loss(z1, z2, *self.weights)


class VICReg(PretextTask):
    r"""Attract two views, and regularise variance and covariance of the features.

    Parameters
    ----------
    invariance_weight : float, default=25.0
        λ, the weight of the distance between the views, at least 0.
    variance_weight : float, default=25.0
        μ, the weight of the variances, at least 0. With 0 all features may collapse.
    covariance_weight : float, default=1.0
        :math:`\nu`, the weight of the covariances, at least 0.
    hidden_size : int, default=512
        Width of the projector's two hidden layers. The paper calls it expander.
    projection_size : int, default=256
        Dimension d of the projections z.
    augmentation : str or Augmentation, default="auto"
        Recipe of the views: "auto" is "medical_gray" for gray images and "moco_v2"
        for colour.

    Notes
    -----
    With z and z' (n, d) the projections of the two views of n images, the loss is

    .. math:: λ\, s(z, z') + μ\, [v(z) + v(z')] + \nu\, [c(z) + c(z')]

    .. math:: s = \frac{1}{nd} \sum_b \|z_b - z'_b\|^2, \quad
              v = \frac{1}{d} \sum_j \max(0, 1 - \sqrt{\mathrm{Var}_j + 10^{-4}}), \quad
              c = \frac{1}{d} \sum_i \sum_{j ≠ i} \mathrm{Cov}_{ij}^2

    where λ, μ and :math:`\nu` are the three weights, Var and Cov the (co)variances over
    the batch, with n - 1.

    The published weights 25, 25 and 1 belong to a distance that is also a mean over the
    d features, as in the paper's pseudocode and the authors' code. The paper's equation
    5 omits the d: the distance would then weigh d times as much. The sum of both views'
    v is that of the paper's equation 6; the authors' code takes their mean, which is
    ``variance_weight=12.5`` here.

    **Differences from the paper**

    - Widths are 512 and 256, the paper's 8192: **our choice**. n images span at most
      n - 1 directions. If d is larger, not all covariances can vanish: c is at least
      d / (n - 1) - 1 at unit variances. If that outweighs v, features settle at
      variances below 1.
    - The learning rate is AdamW's 3e-4, which learned on phantoms within a few hundred
      steps. The paper uses LARS.
    - Both views follow one recipe. The paper's also differ in solarisation.
    - Both views pass the network as one batch.

    References
    ----------
    .. [1] A. Bardes, J. Ponce, Y. LeCun. "VICReg: Variance-Invariance-Covariance
       Regularization for Self-Supervised Learning", ICLR 2022.
       :doi:`10.48550/arXiv.2105.04906`

    Examples
    --------
    >>> from skssl.pretext import VICReg
    >>> VICReg(covariance_weight=2.0)
    VICReg(covariance_weight=2.0)
    """

    name = "vicreg"
    default_lr = 3e-4
    card = MethodCard(
        title="VICReg",
        paper="Bardes et al. 2022",
        doi="10.48550/arXiv.2105.04906",
        n_views=2,
        compares_batch=True,
        keeps="nothing",
        momentum_encoder=False,
        advice="When images are too similar to be negatives of each other: it has no "
        "negatives, and improves within a few hundred steps. Batches of 32 and more.",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "invariance_weight": [Interval(Real, 0, None, closed="left")],
        "variance_weight": [Interval(Real, 0, None, closed="left")],
        "covariance_weight": [Interval(Real, 0, None, closed="left")],
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "projection_size": [Interval(Integral, 1, None, closed="left")],
        "augmentation": [str, Augmentation],
    }

    def __init__(
        self,
        *,
        invariance_weight: float = 25.0,
        variance_weight: float = 25.0,
        covariance_weight: float = 1.0,
        hidden_size: int = 512,
        projection_size: int = 256,
        augmentation: str | Augmentation = "auto",
    ):
        self.invariance_weight = invariance_weight
        self.variance_weight = variance_weight
        self.covariance_weight = covariance_weight
        self.hidden_size = hidden_size
        self.projection_size = projection_size
        self.augmentation = augmentation

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:  # noqa: ARG002
        """Return the backbone with a projector; see `PretextTask.build`."""
        return _VICRegModule(backbone, self)
