"""BYOL: predict a moving-average network's projection of the other view.

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
    """Return the symmetric squared distance of unit vectors (eq. 2, both ways)."""
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
        p1, p2 = (
            self.predictor(self.projector(self.backbone(view))) for view in views
        )  # (n, d) each
        z1, z2 = (
            self.target_projector(self.target_backbone(view)) for view in views
        )  # (n, d) each
        return _byol_loss(p1, p2, z1, z2)

    def after_step(self, progress: float) -> None:
        momentum = rising_momentum(self.momentum, progress)
        self.target_backbone.update(self.backbone, momentum)
        self.target_projector.update(self.projector, momentum)


class BYOL(PretextTask):
    r"""Predict a moving-average network's projection of each image's other view.

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
    The trained network (backbone, projector, predictor) maps two views to predictions
    p₁ and p₂. Its moving average (backbone, projector) maps them to projections z'₁ and
    z'₂, without gradient. The loss is the mean over the images of

    .. math:: [2 - 2\cos(p_1, z'_2)] + [2 - 2\cos(p_2, z'_1)]

    After step k of K, θ' ← m·θ' + (1 - m)·θ, with

    .. math:: m = 1 - (1 - τ) · (\cos(π k / K) + 1) / 2

    and k counted from 1: the last update, with m = 1, changes nothing.

    The heads have the authors' layers: linear, BatchNorm, ReLU, linear without bias,
    and by default a BatchNorm at the end of the projector. Each view passes the
    networks separately, so that BatchNorm normalises over one view at a time.

    There are no negatives: mapping all images to one point would minimise the loss. The
    column ``feature_std`` of the history shows this, by falling towards 0.

    **Differences from the paper**

    - τ and widths: the paper's are for hundreds of thousands of steps. In a few hundred
      steps from random weights, so slow a copy stays near its random start, whose
      projections teach nothing, and wide heads solve the task before the backbone has
      learned. With τ = 0.9 it still depended on the seed whether anything was learned.
      The fast copy, which the rise of m slows down at the end, and the narrow heads are
      **our choice** for about 1,000 steps.
    - ``normalize_output``, as in SimSiam, gives each direction of the projections the
      same weight: **our choice**.
    - The optimizer is AdamW at 5e-4, by ``optimizer="auto"``, instead of LARS: **our
      choice**.
    - Both views follow one recipe, without solarisation. The paper's differ in blur and
      solarisation.

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
        advice="When images resemble each other, so that none should repel another. "
        "It improves within a few hundred steps, with the fast copy used here.",
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
