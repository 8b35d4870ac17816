"""PIRL: loss, memory bank and settings, for any transformation of the images.

Misra & van der Maaten 2020.
"""

from abc import abstractmethod
from numbers import Integral, Real
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.nn import Backbone, mlp
from skssl.nn.bank import MemoryBank
from skssl.pretext._base import TrainingInfo
from skssl.pretext._contrastive import ContrastiveModule, ContrastiveTask

__all__ = ["PIRLModule", "PIRLTask", "noise_contrastive"]


def noise_contrastive(
    m: Tensor, b: Tensor, bank: Tensor, masked: Tensor, temperature: float
) -> Tensor:
    r"""L_NCE of the paper: distinguish an image's feature from those of others.

    With h(a) the softmax over the positive and all negatives of b,

    .. math:: -\log h(m) - \sum_j \log (1 - h(m_j))

    Parameters
    ----------
    m : Tensor of shape (n, d)
        The positive of each image, without gradient.
    b : Tensor of shape (n, d)
        Projections of the images.
    bank : Tensor of shape (N, d)
        The negatives.
    masked : Tensor of shape (n, N), bool
        True excludes a negative.
    temperature : float
        Above 0.

    Returns
    -------
    Tensor, scalar float32
        The mean over the images.
    """
    with torch.autocast(b.device.type, enabled=False):
        m, b, bank = (functional.normalize(a.float(), dim=1) for a in (m, b, bank))
        positive = (m * b).sum(1, keepdim=True)  # (n, 1)
        negative = (b @ bank.T).masked_fill(masked, -torch.inf)  # (n, N)
        logits = torch.cat([positive, negative], dim=1) / temperature  # (n, 1 + N)
        log_h = functional.log_softmax(logits, dim=1)  # (n, 1 + N)
        # 1 - h loses all digits if h is nearly 1, which is possible for the largest
        # negative only: its log(1 - h) is computed from the sum over the others. The
        # positive is one of them, so that the sum is never empty.
        largest, column = logits[:, 1:].max(dim=1, keepdim=True)  # (n, 1) each
        others = logits.scatter(1, 1 + column, -torch.inf).logsumexp(1)  # (n,)
        log_rest = functional.logsigmoid(others - largest[:, 0])  # (n,)
        h = log_h[:, 1:].exp().scatter(1, column, 0.0)  # (n, N), at most 1/2
        log_rest = log_rest + torch.log1p(-h).sum(1)  # (n,), the sum of log(1 - h)
        return -(log_h[:, 0] + log_rest).mean()


class PIRLModule(ContrastiveModule):
    """A backbone with the projector of untransformed views and a memory bank.

    Parameters
    ----------
    backbone : Backbone
    task : PIRLTask
        A resolved task.
    info : TrainingInfo
    """

    def __init__(self, backbone: Backbone, task: "PIRLTask", info: TrainingInfo):
        super().__init__(backbone, task, info)
        self.temperature = task.temperature
        self.transform_weight = task.transform_weight
        self.bank_momentum = task.bank_momentum
        self.projector = self.make_projector(backbone.n_features, task)
        self.bank = MemoryBank(info.n_images, task.projection_size)

    @staticmethod
    def make_projector(n_in: int, task: "PIRLTask") -> nn.Sequential:
        """Return a linear layer, followed by BatchNorm with ``normalize_output``."""
        return mlp(
            n_in,
            1,
            task.projection_size,
            n_layers=1,
            batch_norm_out=task.normalize_output,
        )

    @abstractmethod
    def project_transformed(self, transformed: Tensor) -> Tensor:
        """Return g of the transformed images, (n, projection_size)."""

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:
        view, transformed = views
        f = self.projector(self.backbone(view))  # (n, d)
        g = self.project_transformed(transformed)  # (n, d)
        self._step = (f.detach(), index)
        m = self.bank.recall(index, f)  # (n, d)
        bank = self.bank.features  # (N, d)
        masked = self._masked(index)  # (n, N)
        loss_f = noise_contrastive(m, f, bank, masked, self.temperature)
        loss_g = noise_contrastive(m, g, bank, masked, self.temperature)
        return self.transform_weight * loss_g + (1 - self.transform_weight) * loss_f

    def _masked(self, index: Tensor) -> Tensor:
        """Return which images are no negatives of each, (n, N) bool."""
        image = torch.arange(len(self.bank.features), device=index.device)  # (N,)
        masked = index[:, None] == image  # (n, N), the image itself
        same_group = self.is_same_group(index, image)  # (n, N) or None
        return masked if same_group is None else masked | same_group

    def after_step(self, progress: float) -> None:  # noqa: ARG002
        f, index = self._step
        self.bank.update(f, index, self.bank_momentum)


class PIRLTask(ContrastiveTask):
    """The hyperparameters of both PIRL methods; see `PIRLRotation`."""

    temperature: float
    transform_weight: float
    bank_momentum: float
    projection_size: int
    normalize_output: bool

    pirl_constraints: ClassVar[dict[str, list]] = {
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "transform_weight": [Interval(Real, 0, 1, closed="both")],
        "bank_momentum": [Interval(Real, 0, 1, closed="left")],
        "projection_size": [Interval(Integral, 1, None, closed="left")],
        "normalize_output": ["boolean"],
        **ContrastiveTask.group_constraint,
        "augmentation": [str, Augmentation],
    }
