"""NNCLR: a view attracts the nearest neighbour of the image's other view.

Dwibedi, Aytar, Tompson, Sermanet & Zisserman 2021.
"""

from numbers import Integral, Real
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional

from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.nn import Backbone, FeatureQueue, mlp
from skssl.pretext._base import MethodCard, PretextModule, TrainingInfo, settled
from skssl.pretext._contrastive import ContrastiveModule, ContrastiveTask


def _nearest(z: Tensor, support: Tensor, excluded: Tensor) -> tuple[Tensor, Tensor]:
    """Return NN(z, Q): the nearest row of the support set, or z if all are excluded.

    Parameters
    ----------
    z : Tensor of shape (n, d)
        Projections, of any norm.
    support : Tensor of shape (K, d)
        Rows of unit norm.
    excluded : Tensor of shape (n, K), bool
        Rows that must not be a neighbour.

    Returns
    -------
    neighbors : Tensor of shape (n, d)
        Of unit norm.
    row : Tensor of shape (n,), int64
        Position of each neighbour in the support set.
    """
    with torch.autocast(z.device.type, enabled=False):
        z = functional.normalize(z.float(), dim=1)  # (n, d)
        cosines = (z @ support.T).masked_fill(excluded, -torch.inf)  # (n, K)
        row = cosines.argmax(1)  # (n,)
        has_none = excluded.all(1, keepdim=True)  # (n, 1)
        return torch.where(has_none, z, support[row]), row


def _nnclr_loss(
    neighbors: Tensor, p: Tensor, temperature: float, mask: Tensor | None
) -> Tensor:
    """Contrast each neighbour with the predictions of the batch, (n, d) each.

    ``mask`` (n, n) is True for predictions that are no negatives; its diagonal does
    not matter.
    """
    with torch.autocast(p.device.type, enabled=False):
        p = functional.normalize(p.float(), dim=1)  # (n, d)
        logits = neighbors @ p.T / temperature  # (n, n)
        positives = logits.diagonal()  # (n,)
        if mask is not None:
            own = torch.eye(len(p), dtype=torch.bool, device=p.device)
            logits = logits.masked_fill(mask & ~own, -torch.inf)
        return (logits.logsumexp(1) - positives).mean()


class _NNCLRModule(ContrastiveModule):
    def __init__(self, backbone: Backbone, task: "NNCLR", info: TrainingInfo):
        super().__init__(backbone, task, info)
        self.temperature = task.temperature
        self.exclude_same_image = task.exclude_same_image
        size = task.projection_size
        self.projector = mlp(
            backbone.n_features,
            task.hidden_size,
            size,
            n_layers=3,
            bias_out=False,
            batch_norm_out=True,
        )
        self.predictor = mlp(size, task.predictor_hidden_size, size)
        queue_size = settled(task.queue_size, "queue_size")
        self.queue = FeatureQueue(size, queue_size)

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:
        z = self.projector(self.backbone(torch.cat(views)))  # (2n, d)
        p1, p2 = self.predictor(z).chunk(2)  # (n, d) each
        z1, z2 = z.detach().chunk(2)  # (n, d) each
        self._step = (z1, index)
        excluded = self._excluded(index)  # (n, K)
        loss12 = self._loss(z1, p2, index, excluded)
        loss21 = self._loss(z2, p1, index, excluded)
        return (loss12 + loss21) / 2

    def _loss(self, z: Tensor, p: Tensor, index: Tensor, excluded: Tensor) -> Tensor:
        """Contrast the neighbours of one view with the predictions of the other."""
        neighbors, row = _nearest(z, self.queue.features, excluded)  # (n, d), (n,)
        mask = self._negative_mask(index, self.queue.index[row])  # (n, n) or None
        return _nnclr_loss(neighbors, p, self.temperature, mask)

    def _excluded(self, index: Tensor) -> Tensor:
        """Return which rows of the queue are no neighbours of each image, (n, K)."""
        excluded = (self.queue.index < 0).expand(len(index), -1)  # not filled yet
        if self.exclude_same_image:
            excluded = excluded | (self.queue.index == index[:, None])
        return excluded

    def _negative_mask(self, index: Tensor, neighbor: Tensor) -> Tensor | None:
        """Return which images are no negatives of each, (n, n) bool; None: all are.

        ``neighbor`` (n,) is the image that each neighbour comes from. If there was no
        neighbour, it is -1 or the image itself.
        """
        same_group = self.is_same_group(index, torch.cat([index, neighbor]))  # (n, 2n)
        mask = None
        if same_group is not None:
            image_group, neighbor_group = same_group.chunk(2, dim=1)  # (n, n) each
            mask = image_group | neighbor_group.T
        if self.exclude_same_image:
            # The image that a neighbour comes from is not a negative of it.
            own = neighbor[:, None] == index  # (n, n)
            mask = own if mask is None else mask | own
        return mask

    def after_step(self, progress: float) -> None:  # noqa: ARG002
        self.queue.push(*self._step)


class NNCLR(ContrastiveTask):
    r"""Contrast each view with the nearest neighbour of the other view.

    Parameters
    ----------
    temperature : float, default=0.1
        τ of the loss, above 0.
    queue_size : int, optional
        Number K of past projections among which neighbours are searched. Default: one
        per image, but at most 24 batches. The paper's is 98,304.
    exclude_same_image : bool, default=True
        Search neighbours among other images only. False is the published method; see
        the notes.
    hidden_size : int, default=2048
        Width of the projector's two hidden layers.
    projection_size : int, default=256
        Dimension d of projections z and predictions p.
    predictor_hidden_size : int, default=4096
        Width of the predictor's hidden layer.
    same_group : {"negative", "ignore", "positive"}, default="negative"
        How other images of the same patient are treated. "negative": as any other
        image. "ignore": they are no negatives. "positive": they are no negatives, and
        one of them is the source of the second view. The last two need ``groups`` in
        ``fit``. They also exclude the images of the neighbour's patient from the
        negatives, so that at least three patients are needed. With every setting an
        image of the same patient may be the neighbour.
    augmentation : str or Augmentation, default="auto"
        Recipe of the views: "auto" is "medical_gray" for gray images and "moco_v2"
        for colour.

    Notes
    -----
    With z and p the unit-norm projections and predictions, 1 and 2 the views, and
    NN(z) the row of a queue Q of past projections that is nearest to z, the loss is the
    mean over the n images of the batch of

    .. math:: -\frac12 \log \frac{\exp(NN(z^1_i)·p^2_i / τ)}
              {\sum_k \exp(NN(z^1_i)·p^2_k / τ)}
              -\frac12 \log \frac{\exp(NN(z^2_i)·p^1_i / τ)}
              {\sum_k \exp(NN(z^2_i)·p^1_k / τ)}

    where k runs over the batch. NN(z) receives no gradient. After each step the
    projections z¹ of the first views enter the queue, first in, first out. This is the
    symmetric loss of the paper's Algorithm 1.

    **Differences from the paper**

    - ``exclude_same_image`` is **our choice**. If the queue holds the whole of a small
      set, the nearest row is mostly an earlier view of the image itself, which teaches
      little more than SimCLR does. If the neighbour's image is in the batch, it is also
      excluded from the sum over k.
    - "auto" views are MoCo's, the paper's are SimCLR's: **our choice**.
    - The queue covers at most 24 batches, as the paper's, whose batches have 4,096
      images. It starts empty, the authors' with random vectors: an image without a
      neighbour yet uses its own z, as in SimCLR.
    - With ``same_group="positive"`` the neighbour of a second view may be an earlier
      view of the image from which the second view was made.
    - The batch normalisation at the end of the projector has no scale and shift.
    - Both views pass the network as one batch.
    - The optimizer is AdamW instead of LARS.

    References
    ----------
    .. [1] D. Dwibedi, Y. Aytar, J. Tompson, P. Sermanet, A. Zisserman. "With a Little
       Help from My Friends: Nearest-Neighbor Contrastive Learning of Visual
       Representations", ICCV 2021. :doi:`10.1109/ICCV48922.2021.00945`

    Examples
    --------
    >>> from skssl.pretext import NNCLR
    >>> NNCLR(queue_size=256)
    NNCLR(queue_size=256)
    """

    name = "nnclr"
    card = MethodCard(
        title="NNCLR",
        paper="Dwibedi et al. 2021",
        doi="10.1109/ICCV48922.2021.00945",
        n_views=2,
        compares_batch=True,
        keeps="queue",
        momentum_encoder=False,
        advice="When several images show the same finding, and augmentation does not "
        "turn one into the other. It improves within a few hundred steps.",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "queue_size": [Interval(Integral, 1, None, closed="left"), None],
        "exclude_same_image": ["boolean"],
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "projection_size": [Interval(Integral, 1, None, closed="left")],
        "predictor_hidden_size": [Interval(Integral, 1, None, closed="left")],
        **ContrastiveTask.group_constraint,
        "augmentation": [str, Augmentation],
    }

    def __init__(
        self,
        *,
        temperature: float = 0.1,
        queue_size: int | None = None,
        exclude_same_image: bool = True,
        hidden_size: int = 2048,
        projection_size: int = 256,
        predictor_hidden_size: int = 4096,
        same_group: str = "negative",
        augmentation: str | Augmentation = "auto",
    ):
        self.temperature = temperature
        self.queue_size = queue_size
        self.exclude_same_image = exclude_same_image
        self.hidden_size = hidden_size
        self.projection_size = projection_size
        self.predictor_hidden_size = predictor_hidden_size
        self.same_group = same_group
        self.augmentation = augmentation

    def resolve(self, info: TrainingInfo) -> Self:
        """Return a copy with the queue size set; see `PretextTask.resolve`."""
        task = super().resolve(info)
        if self.exclude_same_image and info.n_images < 3:
            raise ValueError(
                f"NNCLR needs 3 images at least, got {info.n_images}: with 2, the "
                "neighbour of each is its only negative."
            )
        if task.queue_size is None:
            task.queue_size = min(24 * info.batch_size, info.n_images)
        return task

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:
        """Return the backbone with two heads and a queue; see `PretextTask.build`."""
        return _NNCLRModule(backbone, self, info)
