"""PIRL with rotation: a rotated view attracts the memory bank's feature of its image.

Misra & van der Maaten 2020; the rotations are those of Gidaris, Singh & Komodakis 2018.
"""

from typing import ClassVar, Self

import torch
from torch import Tensor

from skssl.augment import Augmentation
from skssl.nn import Backbone
from skssl.pretext._base import MethodCard, PretextModule, TrainingInfo
from skssl.pretext._pirl import PIRLModule, PIRLTask


def _rotate(images: Tensor, turns: Tensor) -> Tensor:
    """Rotate square images (n, C, side, side) by 0 to 3 quarter turns (n,) left."""
    turns = turns.view(-1, 1, 1, 1)
    images = torch.where(turns % 2 == 1, images.rot90(1, (2, 3)), images)
    return torch.where(turns >= 2, images.rot90(2, (2, 3)), images)


class _PIRLRotationModule(PIRLModule):
    def __init__(self, backbone: Backbone, task: "PIRLRotation", info: TrainingInfo):
        super().__init__(backbone, task, info)
        self.rotated_projector = self.make_projector(backbone.n_features, task)

    def project_transformed(self, transformed: Tensor) -> Tensor:
        return self.rotated_projector(self.backbone(transformed))  # (n, d)


class PIRLRotation(PIRLTask):
    r"""Make the features of a rotated image equal to those of the image.

    Parameters
    ----------
    temperature : float, default=0.2
        τ of the loss, above 0. The paper's is 0.07.
    transform_weight : float, default=0.5
        λ, the weight of the rotated view in the loss, in [0, 1].
    bank_momentum : float, default=0.5
        γ, the weight of the old feature in the memory bank's average, in [0, 1).
    projection_size : int, default=128
        Dimension of the projections and of the bank's features.
    normalize_output : bool, default=True
        End the projectors f and g with a batch normalisation without scale and shift.
        False is the paper's.
    same_group : {"negative", "ignore", "positive"}, default="negative"
        How other images of the same patient are treated. "negative": as any other
        image. "ignore": they are no negatives. "positive": they are no negatives, and
        one of them is the source of the rotated view. The last two need ``groups`` in
        ``fit``.
    augmentation : str or Augmentation, default="auto"
        Recipe of both views, before the rotation: "auto" is "medical_gray" for gray
        images and "moco_v2" for colour.

    Notes
    -----
    View v of an image I passes the backbone and a linear layer, which gives f. A second
    view is rotated by 0, 90, 180 or 270 degrees with equal probability (the set of
    [2]_, the identity included) and passes the same backbone and a linear layer of its
    own, which gives g. The bank holds a feature m of each training image. The loss is
    the mean over I of

    .. math:: λ\,L(m_I, g) + (1 - λ)\,L(m_I, f)

    .. math:: L(m_I, b) = -\log h(m_I, b) - \sum_{J} \log (1 - h(m_J, b))

    .. math:: h(a, b) = \frac{\exp(\cos(a, b) / τ)}
              {\exp(\cos(m_I, b) / τ) + \sum_J \exp(\cos(m_J, b) / τ)}

    where J runs over the negatives of I.

    After each step :math:`m_I ← u(γ\,m_I + (1 - γ)\,u(f))`, where u scales to unit
    norm.

    Features that are equal for all rotations do not represent the orientation of the
    image: if the labels depend on it, use another method.

    **Differences from the paper**

    - Positive and negatives have **one** common denominator, so that their h add up to
      1. The paper's definition, taken literally, would compare a negative's feature
      with the other negatives, and with itself: **our choice**.
    - The second scaling of m to unit norm is **our choice**; it does not change a
      cosine at that step.
    - **All** rows of the other images are negatives, since the sets are small. The
      paper draws 32,000 from the bank.
    - The paper does not define how the bank starts. Here rows are random directions
      until their image is seen, and serve as negatives as such. As its own positive, an
      unseen image has u(f), without gradient, and its first update stores u(f). Each
      image is seen once an epoch, so this affects the first epoch only. Random
      directions are easy negatives: the loss of that epoch is low, and rises in the
      second. With N training images that the network does not distinguish, it is nearly
      log N + 1.
    - ``normalize_output`` subtracts what the images of a batch have in common. The
      projections of a network with random weights are nearly equal for all images: with
      the paper's projector the loss on 1,000 X-rays stayed near log N + 1 for 550
      steps. It is **our choice**, as is τ = 0.2, which worked better on X-rays than the
      paper's.
    - Each of the two passes has its own BatchNorm statistics.
    - ``optimizer="auto"`` is AdamW for trainings of about 1,000 steps: **our choice**.
      The paper trains by SGD for 800 epochs.

    References
    ----------
    .. [1] I. Misra, L. van der Maaten. "Self-Supervised Learning of Pretext-Invariant
       Representations", CVPR 2020. :doi:`10.1109/CVPR42600.2020.00674`
    .. [2] S. Gidaris, P. Singh, N. Komodakis. "Unsupervised Representation Learning by
       Predicting Image Rotations", ICLR 2018. :doi:`10.48550/arXiv.1803.07728`

    Examples
    --------
    >>> from skssl.pretext import PIRLRotation
    >>> PIRLRotation(temperature=0.1)
    PIRLRotation(temperature=0.1)
    """

    name = "pirl_rotation"
    card = MethodCard(
        title="PIRL, rotation",
        paper="Misra & van der Maaten 2020",
        doi="10.1109/CVPR42600.2020.00674",
        n_views=2,
        compares_batch=False,
        keeps="memory bank",
        momentum_encoder=False,
        advice="When images have no upright orientation, as in microscopy, and batches "
        "must be small. It needs square images.",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {**PIRLTask.pirl_constraints}

    def __init__(
        self,
        *,
        temperature: float = 0.2,
        transform_weight: float = 0.5,
        bank_momentum: float = 0.5,
        projection_size: int = 128,
        normalize_output: bool = True,
        same_group: str = "negative",
        augmentation: str | Augmentation = "auto",
    ):
        self.temperature = temperature
        self.transform_weight = transform_weight
        self.bank_momentum = bank_momentum
        self.projection_size = projection_size
        self.normalize_output = normalize_output
        self.same_group = same_group
        self.augmentation = augmentation

    def resolve(self, info: TrainingInfo) -> Self:
        """Return a copy for square images; see `PretextTask.resolve`."""
        task = super().resolve(info)
        height, width = info.image_size
        if height != width:
            raise ValueError(
                f"{type(self).__name__} rotates images by 90 degrees, so image_size "
                f"must be square, got {height} x {width}; give one number, such as "
                f"image_size={max(height, width)}."
            )
        return task

    def views(
        self,
        images: Tensor,
        generator: torch.Generator,
        *,
        size: tuple[int, int],
        partners: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Make a view of each image, and a rotated one of it or of its partner.

        Parameters
        ----------
        images : Tensor of shape (n, C, H, W), uint8
        generator : torch.Generator
        size : (side, side)
        partners : Tensor of shape (n, C, H, W), uint8, optional
            Source of the rotated view, instead of ``images``.

        Returns
        -------
        tuple of 2 Tensors of shape (n, C, side, side), float32 in [0, 1]
        """
        view, second = super().views(images, generator, size=size, partners=partners)
        turns = torch.randint(
            0, 4, (len(second),), generator=generator, device=second.device
        )
        return view, _rotate(second, turns)

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:
        """Return the backbone with projectors and bank; see `PretextTask.build`."""
        return _PIRLRotationModule(backbone, self, info)
