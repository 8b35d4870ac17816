"""Cross: predictions agree across views, and with a moving average's projection.

Li, Togo, Ogawa & Haseyama 2021.
"""

from numbers import Integral, Real
from typing import ClassVar

from torch import Tensor

from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.nn import Backbone, EMACopy, mean_cosine, mlp
from skssl.pretext._base import MethodCard, PretextModule, PretextTask, TrainingInfo


def _cross_loss(p1: Tensor, p2: Tensor, target2: Tensor) -> Tensor:
    """Return the cross-view distance (eq. 1) plus the cross-model distance (eq. 2)."""
    return (2 - 2 * mean_cosine(p1, p2)) + (2 - 2 * mean_cosine(p2, target2))


class _CrossModule(PretextModule):
    def __init__(self, backbone: Backbone, task: "Cross"):
        super().__init__(backbone)
        self.momentum = task.momentum
        self.projector = mlp(
            backbone.n_features, task.hidden_size, task.projection_size
        )
        self.predictor = mlp(
            task.projection_size, task.predictor_size, task.projection_size
        )
        self.target_backbone = EMACopy(self.backbone)
        self.target_projector = EMACopy(self.projector)

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:  # noqa: ARG002
        p1, p2 = (
            self.predictor(self.projector(self.backbone(view))) for view in views
        )  # (n, d) each
        y2 = self.target_projector(self.target_backbone(views[1]))  # (n, d)
        return _cross_loss(p1, p2, y2)

    def after_step(self, progress: float) -> None:  # noqa: ARG002
        self.target_backbone.update(self.backbone, self.momentum)
        self.target_projector.update(self.projector, self.momentum)


class Cross(PretextTask):
    r"""Match the predictions of two views, and one with a moving average's projection.

    Parameters
    ----------
    momentum : float, default=0.9
        τ of the moving average, in [0, 1). The paper's is 0.996.
    hidden_size : int, default=512
        Width of the projector's hidden layer.
    projection_size : int, default=128
        Dimension of projections and predictions.
    predictor_size : int, default=4096
        Width of the predictor's hidden layer.
    augmentation : str or Augmentation, default="auto"
        Recipe of the views: "auto" is "medical_gray" for gray images and "cross" for
        colour. "cross" is the paper's recipe, also for gray images.

    Notes
    -----
    The trained network (backbone, projector, predictor) maps two views to predictions
    P₁ and P₂. Its moving average (backbone, projector) maps the second view to the
    projection Y'₂, without gradient. The loss is the mean over the images of

    .. math:: [2 - 2\cos(P_1, P_2)] + [2 - 2\cos(P_2, Y'_2)]

    Its gradient flows through P₁ and P₂. After each step θ₂ ← τ·θ₂ + (1 - τ)·θ₁.

    There are no negatives, and both sides of the first term receive gradients, so a
    predictor with the same output for all images minimises it. ``feature_std`` does not
    show that, since it is computed from the backbone's features; a probe does.

    The paper trains a ResNet-50 from ImageNet weights on 16,933 images. As published::

        SelfSupervisedPretrainer(
            Cross(momentum=0.996, augmentation="cross"), backbone="resnet50",
            weights="imagenet", image_size=112, batch_size=256, max_epochs=40,
            optimizer="sgd", lr=0.03, weight_decay=4e-4,
            schedule="constant", warmup_epochs=0,
        )

    The paper names no schedule, and cuts its crops from images of 224 px, which are
    stored at 128 px here. Weight decay does not apply to biases and normalisation
    layers.

    **Differences from the paper**

    - The paper prints an output of 256 for the predictor, which cannot be compared with
      a projection of 128, so the predictor's output has ``projection_size``:
      **choice**.
    - Each view passes the networks separately, which the paper leaves open: **choice**.
    - τ = 0.9, and AdamW at 5e-4 by ``optimizer="auto"``, are **our choice** for
      training from random weights. The paper's τ and SGD are for pretrained weights: in
      about 1,000 steps from random weights, so slow a copy stays near its random start,
      whose projections teach nothing. With our settings it improves.

    References
    ----------
    .. [1] G. Li, R. Togo, T. Ogawa, M. Haseyama. "COVID-19 Detection Based on
       Self-Supervised Transfer Learning Using Chest X-Ray Images", International
       Journal of Computer Assisted Radiology and Surgery 18, 2023, first written in
       2021. :doi:`10.1007/s11548-022-02813-x`
    .. [2] G. Li, R. Togo, T. Ogawa, M. Haseyama. "Self-Supervised Learning for
       Gastritis Detection with Gastric X-Ray Images", 2021.
       :doi:`10.48550/arXiv.2104.02864`

    Examples
    --------
    >>> from skssl.pretext import Cross
    >>> Cross(momentum=0.996)
    Cross(momentum=0.996)
    """

    name = "cross"
    default_augmentation = "cross"
    default_lr = 5e-4
    card = MethodCard(
        title="Cross",
        paper="Li et al. 2021",
        doi="10.1007/s11548-022-02813-x",
        n_views=3,
        compares_batch=False,
        keeps="nothing",
        momentum_encoder=True,
        advice="On chest X-rays, from ImageNet weights, as published. With a fast copy "
        "it also improves from random weights, within a few hundred steps.",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "projection_size": [Interval(Integral, 1, None, closed="left")],
        "predictor_size": [Interval(Integral, 1, None, closed="left")],
        "augmentation": [str, Augmentation],
    }

    def __init__(
        self,
        *,
        momentum: float = 0.9,
        hidden_size: int = 512,
        projection_size: int = 128,
        predictor_size: int = 4096,
        augmentation: str | Augmentation = "auto",
    ):
        self.momentum = momentum
        self.hidden_size = hidden_size
        self.projection_size = projection_size
        self.predictor_size = predictor_size
        self.augmentation = augmentation

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:  # noqa: ARG002
        """Return both networks and the predictor; see `PretextTask.build`."""
        return _CrossModule(backbone, self)
