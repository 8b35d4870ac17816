"""DINO: a student predicts how its moving average assigns other views to prototypes.

Caron, Touvron, Misra, Jégou, Mairal, Bojanowski & Joulin 2021.
"""

from numbers import Integral, Real
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.nn import Backbone, EMACopy, mlp, rising_momentum
from skssl.pretext._base import MethodCard, PretextModule, TrainingInfo
from skssl.pretext._multicrop import (
    N_GLOBAL_VIEWS,
    MultiCropModule,
    MultiCropTask,
    cross_view_entropy,
    encode_views,
)


def _teacher_probabilities(
    teacher: Tensor, center: Tensor, temperature: Tensor
) -> Tensor:
    """Centre and sharpen the teacher's outputs, (m, K): softmax((g_t - c) / τ_t)."""
    return ((teacher - center) / temperature).softmax(1)


class _DINOHead(nn.Module):
    def __init__(self, n_in: int, task: "DINO"):
        super().__init__()
        self.mlp = mlp(
            n_in,
            task.hidden_size,
            task.projection_size,
            n_layers=3,
            batch_norm=task.batch_norm,
            batch_norm_out=task.batch_norm,
            activation=nn.GELU,
        )
        self.prototypes = nn.Linear(task.projection_size, task.n_prototypes, bias=False)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, h: Tensor, prototypes: Tensor | None = None) -> Tensor:
        """Return cosines (m, K) of the projections of h (m, d) and the prototypes."""
        prototypes = self.prototypes.weight if prototypes is None else prototypes
        z = self.mlp(h)  # (m, projection_size)
        with torch.autocast(h.device.type, enabled=False):
            z = functional.normalize(z.float(), dim=1)
            return z @ functional.normalize(prototypes, dim=1).T  # (m, K)


class _DINOModule(MultiCropModule):
    center: Tensor

    def __init__(self, backbone: Backbone, task: "DINO"):
        super().__init__(backbone, task.freeze_prototypes)
        self.temperature = task.temperature
        self.start_temperature = task.teacher_temperature
        self.end_temperature = (
            task.teacher_temperature
            if task.final_teacher_temperature is None
            else task.final_teacher_temperature
        )
        self.warmup_teacher = task.warmup_teacher
        self.momentum = task.momentum
        self.center_momentum = task.center_momentum
        self.head = _DINOHead(backbone.n_features, task)
        self.target_backbone = EMACopy(self.backbone)
        self.target_head = EMACopy(self.head)
        self.register_buffer("center", torch.zeros(task.n_prototypes))

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:  # noqa: ARG002
        prototypes = self.freeze_at_first(self.head.prototypes.weight)
        h = encode_views(self.backbone, views)  # (V n, d)
        student = self.head(h, prototypes)  # (V n, K)
        h_target = encode_views(self.target_backbone, views[:N_GLOBAL_VIEWS])  # (2n, d)
        teacher = self.target_head(h_target)  # (2n, K)
        self._step = teacher
        targets = _teacher_probabilities(
            teacher, self.center, self.teacher_temperature()
        )  # (2n, K)
        return cross_view_entropy(
            targets.unflatten(0, (N_GLOBAL_VIEWS, -1)),  # (2, n, K)
            student.unflatten(0, (len(views), -1)),  # (V, n, K)
            self.temperature,
        )

    def teacher_temperature(self) -> Tensor:
        """Return the present τ_t, a scalar on the device."""
        fraction = torch.ones_like(self.progress)  # of the warm-up
        if self.warmup_teacher > 0:
            fraction = (self.progress / self.warmup_teacher).clamp(max=1)
        return self.start_temperature + fraction * (
            self.end_temperature - self.start_temperature
        )

    def after_step(self, progress: float) -> None:
        super().after_step(progress)
        momentum = rising_momentum(self.momentum, progress)
        self.target_backbone.update(self.backbone, momentum)
        self.target_head.update(self.head, momentum)
        teacher = self._step
        self.center.lerp_(teacher.mean(0), 1 - self.center_momentum)


class DINO(MultiCropTask):
    r"""Train a student to assign views to prototypes as its moving average does.

    Parameters
    ----------
    n_prototypes : int, default=1024
        Number K of outputs, above 1. The paper uses 65,536 for 1.3 million images.
    temperature : float, default=0.1
        τ_s of the student, above 0.
    teacher_temperature : float, default=0.03
        τ_t of the teacher at the start, above 0. Lower it to 0.02 if the loss stays
        near log K.
    final_teacher_temperature : float, optional
        τ_t after its warm-up, above 0; None keeps ``teacher_temperature``.
    warmup_teacher : float, default=0.3
        Fraction of the training, in [0, 1], during which τ_t changes linearly to its
        final value.
    momentum : float, default=0.99
        m of the teacher's moving average at the start, in [0, 1]; it rises to 1 along
        half a cosine. The paper's 0.996 is for long trainings.
    center_momentum : float, default=0.9
        μ, the weight of the old centre at each step, in [0, 1].
    freeze_prototypes : float, default=0.05
        Fraction of the training, in [0, 1], at whose start the last layer is frozen.
    batch_norm : bool, default=True
        Use batch normalisation in the head, after its hidden layers and, without scale
        and shift, before the scaling to unit norm; over all views of the batch in the
        student, over the global ones in the teacher. False is the paper's head.
    hidden_size : int, default=2048
        Width of the head's two hidden layers.
    projection_size : int, default=256
        Width of the head before its last layer.
    n_local_views : int, default=4
        Number of small views of each image, which only the student receives.
    local_size : int, optional
        Short side of the small views, pixels. Default: 3/7 of the image's short side,
        but at least 32 px, or the whole side if that is less.
    local_crop_scale : (float, float), default=(0.1, 0.3)
        Range of the fraction of the image's area that a small view covers, in
        [1e-4, 1].
    augmentation : str or Augmentation, default="auto"
        Recipe of the views: "auto" is "medical_gray" for gray images and "moco_v2"
        for colour.

    Notes
    -----
    Backbone and head form g_s, the student; their moving average is g_t, the teacher.
    The head has three linear layers with GELU, a scaling to unit norm, and a linear
    layer whose K rows, the prototypes, are scaled to unit norm at each use. This is
    weight normalisation with its gain fixed at 1. With the global views x₁ and x₂ and
    all V views x, the loss is the mean over the images of

    .. math:: -\frac{1}{2 (V - 1)} \sum_{g = 1}^{2} \sum_{v ≠ g}
              softmax((g_t(x_g) - c) / τ_t) · \log softmax(g_s(x_v) / τ_s)

    After each step θ_t ← m·θ_t + (1 - m)·θ_s, and c ← μ·c + (1 - μ)·mean g_t over both
    global views of the batch. The centre prevents one prototype from receiving
    all images; the low τ_t prevents uniform outputs of the teacher.

    **Differences from the paper**, all **our choice**

    - K, m, the constant τ_t and ``batch_norm`` are for about 1,000 steps. The paper
      increases τ_t from 0.04 to 0.07 in 30 epochs (``teacher_temperature=0.04,
      final_teacher_temperature=0.07``), without normalisation. In runs of 300 steps
      with a small network, on phantoms of 32 px, a constant 0.04 without it left the
      teacher's outputs near uniform, at a loss of log K. ``batch_norm`` subtracts what
      all images have in common.
    - The paper freezes the last layer for one epoch, which is a few steps here.
    - Small views cover at least 0.1 of the area. The paper's cover 0.05 to 0.4: 0.05 of
      a 64 px image is 14 px wide, and the large views of "medical_gray" start at 0.3.
    - There are four small views instead of eight to ten.
    - Both large views follow one recipe. The paper's differ in blur and solarisation.
    - The learning rate does not scale with the batch size.
    - Weight decay is constant, 1e-4 by default. The paper's increases from 0.04 to 0.4.
    - Gradients are not clipped.
    - The student is kept, not the teacher.

    References
    ----------
    .. [1] M. Caron, H. Touvron, I. Misra, H. Jégou, J. Mairal, P. Bojanowski,
       A. Joulin. "Emerging Properties in Self-Supervised Vision Transformers",
       ICCV 2021. :doi:`10.1109/ICCV48922.2021.00951`

    Examples
    --------
    >>> from skssl.pretext import DINO
    >>> DINO(n_local_views=2)
    DINO(n_local_views=2)
    """

    name = "dino"
    default_lr = 5e-4
    card = MethodCard(
        title="DINO",
        paper="Caron et al. 2021",
        doi="10.1109/ICCV48922.2021.00951",
        n_views=8,
        compares_batch=False,
        keeps="nothing",
        momentum_encoder=True,
        advice="When a part of an image should be recognised from the whole, and for "
        "vision transformers, in long trainings: 800 steps from random weights were "
        "not enough, and each costs two to three times as much as with SimCLR.",
        backbones="any size",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_prototypes": [Interval(Integral, 2, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "teacher_temperature": [Interval(Real, 0, None, closed="neither")],
        "final_teacher_temperature": [Interval(Real, 0, None, closed="neither"), None],
        "warmup_teacher": [Interval(Real, 0, 1, closed="both")],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "center_momentum": [Interval(Real, 0, 1, closed="both")],
        "batch_norm": ["boolean"],
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "projection_size": [Interval(Integral, 1, None, closed="left")],
        **MultiCropTask.multicrop_constraint,
    }

    def __init__(
        self,
        *,
        n_prototypes: int = 1024,
        temperature: float = 0.1,
        teacher_temperature: float = 0.03,
        final_teacher_temperature: float | None = None,
        warmup_teacher: float = 0.3,
        momentum: float = 0.99,
        center_momentum: float = 0.9,
        freeze_prototypes: float = 0.05,
        batch_norm: bool = True,
        hidden_size: int = 2048,
        projection_size: int = 256,
        n_local_views: int = 4,
        local_size: int | None = None,
        local_crop_scale: tuple[float, float] = (0.1, 0.3),
        augmentation: str | Augmentation = "auto",
    ):
        self.n_prototypes = n_prototypes
        self.temperature = temperature
        self.teacher_temperature = teacher_temperature
        self.final_teacher_temperature = final_teacher_temperature
        self.warmup_teacher = warmup_teacher
        self.momentum = momentum
        self.center_momentum = center_momentum
        self.freeze_prototypes = freeze_prototypes
        self.batch_norm = batch_norm
        self.hidden_size = hidden_size
        self.projection_size = projection_size
        self.n_local_views = n_local_views
        self.local_size = local_size
        self.local_crop_scale = local_crop_scale
        self.augmentation = augmentation

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:
        """Return student and teacher with their heads; see `PretextTask.build`."""
        self.check_backbone(backbone, info)
        return _DINOModule(backbone, self)
