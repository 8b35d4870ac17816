"""BYOL: predict what a slowly moving copy of the network says of the other view.

Grill, Strub, Altché et al. 2020.
"""

from numbers import Integral, Real
from typing import ClassVar

from torch import Tensor

from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.nn import Backbone, EMACopy, mean_cosine, mlp, rising_momentum
from skssl.pretext._base import MethodCard, PretextModule, PretextTask, TrainingInfo


def _byol_loss(p1: Tensor, p2: Tensor, target1: Tensor, target2: Tensor) -> Tensor:
    """Squared distances of unit vectors, both ways (eq. 2 and its mirror image)."""
    return (2 - 2 * mean_cosine(p1, target2)) + (2 - 2 * mean_cosine(p2, target1))


class _BYOLModule(PretextModule):
    def __init__(self, backbone: Backbone, task: "BYOL"):
        super().__init__(backbone)
        self.momentum = task.momentum
        hidden, n_out = task.hidden_size, task.projection_size
        self.projector = mlp(
            backbone.n_features,
            hidden,
            n_out,
            bias_out=False,
            batch_norm_out=task.normalize_output,
        )
        self.predictor = mlp(n_out, hidden, n_out, bias_out=False)
        self.target_backbone = EMACopy(self.backbone)
        self.target_projector = EMACopy(self.projector)

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:  # noqa: ARG002
        # (n, projection_size) each
        p1, p2 = (self.predictor(self.projector(self.backbone(v))) for v in views)
        z1, z2 = (self.target_projector(self.target_backbone(v)) for v in views)
        return _byol_loss(p1, p2, z1, z2)

    def after_step(self, progress: float) -> None:
        momentum = rising_momentum(self.momentum, progress)
        self.target_backbone.update(self.backbone, momentum)
        self.target_projector.update(self.projector, momentum)


class BYOL(PretextTask):
    r"""Predict a slowly moving copy's projection of the other view of each image.

    Parameters
    ----------
    momentum : float, default=0.5
        τ of the moving average at the start, in [0, 1); it rises to 1. The paper's is
        0.996.
    hidden_size : int, default=512
        Width of the hidden layers of the projector and of the predictor. The paper's
        is 4096.
    projection_size : int, default=128
        Dimension of projections and predictions. The paper's is 256.
    normalize_output : bool, default=True
        End the projector with a batch normalisation without scale and shift. False is
        the paper's projector.
    augmentation : str or Augmentation, default="auto"
        Recipe of the views: "auto" is "medical_gray" for gray images and "simclr"
        for colour.

    Notes
    -----
    With p₁ and p₂ the predictions from two views by the trained network (backbone,
    projector, predictor), and z'₁ and z'₂ the projections of the views by its moving
    average (backbone, projector), through which no gradient goes, the loss is the mean
    over the images of

    .. math:: [2 - 2\cos(p_1, z'_2)] + [2 - 2\cos(p_2, z'_1)]

    After step k of K the average moves, θ' ← m·θ' + (1 - m)·θ, with

    .. math:: m = 1 - (1 - τ) · (\cos(π k / K) + 1) / 2

    and k counted from 1, so that the last update, with m = 1, changes nothing.

    The heads have the authors' layers: linear, BatchNorm, ReLU, linear without bias,
    and the projector by default a BatchNorm. Each view passes the networks by itself,
    so that BatchNorm sees one view at a time.

    Differences: the paper's τ and widths are for hundreds of thousands of steps. In
    some hundred steps from random weights, a copy that slow stays near its random
    start, whose projections teach nothing, and wide heads solve the task before the
    backbone has learnt. With τ = 0.9 it still depended on the seed whether anything was
    learnt. The fast copy, which by the rise of m is slow in the end, the narrow heads
    and ``normalize_output``, as SimSiam has it, which gives each direction of the
    projections the same weight, are **our choice** for about 1,000 steps. The paper
    trains with LARS; AdamW at 5e-4, by ``optimizer="auto"``, is **our choice**. Its two
    views differ in blur and in solarization; here both are drawn from one recipe,
    without solarization.

    There are no negatives: all images on one point would be a perfect answer. The
    column ``feature_std`` of the history tells, by falling towards 0.

    References
    ----------
    .. [1] J.-B. Grill, F. Strub, F. Altché, et al. "Bootstrap Your Own Latent: A New
       Approach to Self-Supervised Learning", NeurIPS 2020.
       :doi:`10.48550/arXiv.2006.07733`

    Examples
    --------
    >>> from skssl.pretext import BYOL
    >>> BYOL(momentum=0.996)
    BYOL(momentum=0.996)
    """

    name = "byol"
    default_augmentation = "simclr"
    default_lr = 5e-4
    card = MethodCard(
        title="BYOL",
        paper="Grill et al. 2020",
        doi="10.48550/arXiv.2006.07733",
        n_views=4,
        compares_batch=False,
        keeps="nothing",
        momentum_encoder=True,
        advice="Where images resemble each other, so that none should repel another. "
        "It gains within some hundred steps, with the fast copy of here.",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "projection_size": [Interval(Integral, 1, None, closed="left")],
        "normalize_output": ["boolean"],
        "augmentation": [str, Augmentation],
    }

    def __init__(
        self,
        *,
        momentum: float = 0.5,
        hidden_size: int = 512,
        projection_size: int = 128,
        normalize_output: bool = True,
        augmentation: str | Augmentation = "auto",
    ):
        self.momentum = momentum
        self.hidden_size = hidden_size
        self.projection_size = projection_size
        self.normalize_output = normalize_output
        self.augmentation = augmentation

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:  # noqa: ARG002
        """Return both networks and the predictor; see `PretextTask.build`."""
        return _BYOLModule(backbone, self)
