"""SimCLR: two views of an image attract, and repel all other images of the batch.

Chen, Kornblith, Norouzi & Hinton 2020.
"""

from numbers import Integral, Real
from typing import ClassVar

import torch
from torch import Tensor

from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.nn import Backbone, mlp, nt_xent
from skssl.pretext._base import MethodCard, PretextModule, TrainingInfo
from skssl.pretext._contrastive import ContrastiveModule, ContrastiveTask


class _SimCLRModule(ContrastiveModule):
    def __init__(self, backbone: Backbone, task: "SimCLR", info: TrainingInfo):
        super().__init__(backbone, task, info)
        self.temperature = task.temperature
        # As Gazda et al.: linear with bias, BN, ReLU, linear without bias.
        self.projector = mlp(
            backbone.n_features,
            task.hidden_size,
            task.projection_size,
            bias_out=False,
            batch_norm_out=task.normalize_output,
        )

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:
        h = self.backbone(torch.cat(views))  # (2n, n_features)
        z1, z2 = self.projector(h).chunk(2)  # (n, d) each
        mask = self.is_same_group(index, index)  # (n, n) or None
        return nt_xent(z1, z2, self.temperature, negative_mask=mask)


class SimCLR(ContrastiveTask):
    r"""Contrast the two views of each image with the other images of the batch.

    Parameters
    ----------
    temperature : float, default=0.2
        τ of NT-Xent, above 0.
    hidden_size : int, default=2048
        Width of the projector's hidden layer.
    projection_size : int, default=128
        Dimension d of the projections z.
    normalize_output : bool, default=False
        End the projector with a batch normalisation, as in the authors' code of [1]_,
        here without its scale. False is the head that the papers describe.
    same_group : {"negative", "ignore", "positive"}, default="negative"
        How other images of the same patient are treated. "negative": as any other
        image. "ignore": they are no negatives. "positive": they are no negatives, and
        one of them is the source of the second view. The last two need ``groups`` in
        ``fit``.
    augmentation : str or Augmentation, default="auto"
        Recipe of the views: "auto" is "medical_gray" for gray images and "simclr"
        for colour.

    Notes
    -----
    With z the projections of the 2n views of n images, and j the other view of the same
    image as view i, the loss is the mean over i of

    .. math:: -\log \frac{\exp(\cos(z_i, z_j) / τ)}
              {\sum_{k ≠ i} \exp(\cos(z_i, z_k) / τ)}

    Both views pass the network as one batch, so that BatchNorm normalises over both.

    **Differences from the papers**

    - τ is 0.2, Gazda et al. use 0.5: **our choice**, which separates slices of one body
      region better at the small batches that small sets allow.
    - The optimizer is AdamW, as for all methods that do not say otherwise: **our
      choice**. [1]_ uses LARS, for batches of thousands, Gazda et al. Adam at 5e-4.
    - ``normalize_output`` is optional. With it the loss decreases from the first steps
      on, since it subtracts what all images have in common. Whether it improves the
      features depended on the set in our measurements: try both.

    References
    ----------
    .. [1] T. Chen, S. Kornblith, M. Norouzi, G. Hinton. "A Simple Framework for
       Contrastive Learning of Visual Representations", ICML 2020.
       :doi:`10.48550/arXiv.2002.05709`
    .. [2] M. Gazda, J. Plavka, J. Gazda, P. Drotár. "Self-Supervised Deep
       Convolutional Neural Network for Chest X-Ray Classification", IEEE Access
       2021. :doi:`10.1109/ACCESS.2021.3125324`

    Examples
    --------
    >>> from skssl.pretext import SimCLR
    >>> SimCLR(temperature=0.5)
    SimCLR(temperature=0.5)
    """

    name = "simclr"
    default_augmentation = "simclr"
    card = MethodCard(
        title="SimCLR",
        paper="Chen et al. 2020",
        doi="10.48550/arXiv.2002.05709",
        n_views=2,
        compares_batch=True,
        keeps="nothing",
        momentum_encoder=False,
        advice="The first to try: it improves within a few hundred steps, and batches "
        "of 32 to 64 are enough.",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "projection_size": [Interval(Integral, 1, None, closed="left")],
        "normalize_output": ["boolean"],
        **ContrastiveTask.group_constraint,
        "augmentation": [str, Augmentation],
    }

    def __init__(
        self,
        *,
        temperature: float = 0.2,
        hidden_size: int = 2048,
        projection_size: int = 128,
        normalize_output: bool = False,
        same_group: str = "negative",
        augmentation: str | Augmentation = "auto",
    ):
        self.temperature = temperature
        self.hidden_size = hidden_size
        self.projection_size = projection_size
        self.normalize_output = normalize_output
        self.same_group = same_group
        self.augmentation = augmentation

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:
        """Return the backbone with a projector; see `PretextTask.build`."""
        return _SimCLRModule(backbone, self, info)
