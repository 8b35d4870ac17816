"""SimSiam: predict the other view's projection, which receives no gradient.

Chen & He 2021.
"""

from numbers import Integral
from typing import ClassVar

from torch import Tensor

from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.nn import Backbone, mean_cosine, mlp
from skssl.pretext._base import MethodCard, PretextModule, PretextTask, TrainingInfo


def _simsiam_loss(p1: Tensor, p2: Tensor, z1: Tensor, z2: Tensor) -> Tensor:
    """Return the symmetric negative cosine similarity; projections get no gradient."""
    return -(mean_cosine(p1, z2.detach()) + mean_cosine(p2, z1.detach())) / 2


class _SimSiamModule(PretextModule):
    def __init__(self, backbone: Backbone, task: "SimSiam"):
        super().__init__(backbone)
        self.projector = mlp(
            backbone.n_features,
            task.hidden_size,
            task.projection_size,
            n_layers=3,
            bias_out=False,
            batch_norm_out=True,
        )
        self.predictor = mlp(
            task.projection_size, task.predictor_size, task.projection_size
        )

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:  # noqa: ARG002
        z1, z2 = (self.projector(self.backbone(view)) for view in views)  # (n, d) each
        p1, p2 = self.predictor(z1), self.predictor(z2)  # (n, d) each
        return _simsiam_loss(p1, p2, z1, z2)


class SimSiam(PretextTask):
    r"""Predict the network's own projection of the other view of each image.

    Parameters
    ----------
    hidden_size : int, default=512
        Width of the projector's two hidden layers. The paper's is 2048.
    projection_size : int, default=128
        Dimension of projections and predictions. The paper's is 2048.
    predictor_size : int, default=512
        Width of the predictor's hidden layer. The paper's is the same, but there it is
        a bottleneck.
    augmentation : str or Augmentation, default="auto"
        Recipe of the views: "auto" is "medical_gray" for gray images and "moco_v2"
        for colour.

    Notes
    -----
    With z₁ and z₂ the projections of two views, p₁ and p₂ their predictions, and sg
    the stop-gradient, the loss is the mean over the images of

    .. math:: -\frac{\cos(p_1, \mathrm{sg}(z_2)) + \cos(p_2, \mathrm{sg}(z_1))}{2}

    between -1, if every prediction is exact, and 1.

    The heads have the paper's layers. The projector has three linear layers, each with
    BatchNorm, the last without scale and shift as in the authors' code. The predictor
    has two, with BatchNorm between them. Each view passes the network separately, so
    that BatchNorm normalises over one view at a time.

    There are no negatives: mapping all images to one point would minimise the loss; the
    stop-gradient and the predictor prevent it. The column ``feature_std`` of the
    history shows a collapse, by falling towards 0; it is the paper's measure, computed
    from the features.

    **Differences from the paper**

    - The paper trains by SGD, with 0.05 per 256 images of the batch, for about 250,000
      to 4 million steps. From random weights and in about 1,000 steps, neither that nor
      its widths (``hidden_size=2048, projection_size=2048``) learned anything on
      phantoms. Narrow heads, whose predictor is no bottleneck, and AdamW at 5e-4, by
      ``optimizer="auto"``, did: **our choice**.
    - The learning rate of the predictor follows the schedule, as all others. The paper
      keeps it constant.

    References
    ----------
    .. [1] X. Chen, K. He. "Exploring Simple Siamese Representation Learning", CVPR
       2021. :doi:`10.1109/CVPR46437.2021.01549`

    Examples
    --------
    >>> from skssl.pretext import SimSiam
    >>> SimSiam(predictor_size=128)
    SimSiam(predictor_size=128)
    """

    name = "simsiam"
    default_augmentation = "moco_v2"
    default_lr = 5e-4
    card = MethodCard(
        title="SimSiam",
        paper="Chen & He 2021",
        doi="10.1109/CVPR46437.2021.01549",
        n_views=2,
        compares_batch=False,
        keeps="nothing",
        momentum_encoder=False,
        advice="When batches are small: one network, no copy, no comparison within the "
        "batch. It improves within a few hundred steps, with the narrow heads used "
        "here.",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "projection_size": [Interval(Integral, 1, None, closed="left")],
        "predictor_size": [Interval(Integral, 1, None, closed="left")],
        "augmentation": [str, Augmentation],
    }

    def __init__(
        self,
        *,
        hidden_size: int = 512,
        projection_size: int = 128,
        predictor_size: int = 512,
        augmentation: str | Augmentation = "auto",
    ):
        self.hidden_size = hidden_size
        self.projection_size = projection_size
        self.predictor_size = predictor_size
        self.augmentation = augmentation

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:  # noqa: ARG002
        """Return the backbone with its two heads; see `PretextTask.build`."""
        return _SimSiamModule(backbone, self)
