"""NNCLR: a view attracts the nearest neighbour of the other view, as SimCLR's.

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
    """Return the nearest row of the support set, or z itself where there is none.

    ``z`` (n, d) has any norm, ``support`` (K, d) and the result (n, d) unit norm;
    ``excluded`` (n, K) is True where a row must not serve. The second result (n,) is
    the number of the row.
    """
    with torch.autocast(z.device.type, enabled=False):
        z = functional.normalize(z.float(), dim=1)  # (n, d)
        cosines = (z @ support.T).masked_fill(excluded, -torch.inf)  # (n, K)
        row = cosines.argmax(1)  # (n,)
        has_none = excluded.all(1, keepdim=True)
        return torch.where(has_none, z, support[row]), row


def _nnclr(
    neighbors: Tensor, p: Tensor, temperature: float, masked: Tensor | None
) -> Tensor:
    """Tell for each neighbour which of the predictions (n, d) is of its image.

    ``masked`` (n, n) is True for predictions that are no negatives.
    """
    with torch.autocast(p.device.type, enabled=False):
        p = functional.normalize(p.float(), dim=1)  # (n, d)
        logits = neighbors @ p.T / temperature  # (n, n)
        positives = logits.diagonal()  # (n,)
        if masked is not None:
            own = torch.eye(len(p), dtype=torch.bool, device=p.device)
            logits = logits.masked_fill(masked & ~own, -torch.inf)
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
        h = self.backbone(torch.cat(views))  # (2n, n_features)
        z = self.projector(h)  # (2n, projection_size)
        p1, p2 = self.predictor(z).chunk(2)  # (n, projection_size) each
        z1, z2 = z.detach().chunk(2)
        self._step = (z1, index)
        excluded = (self.queue.index < 0).expand(len(index), -1)  # (n, K)
        if self.exclude_same_image:
            excluded = excluded | (self.queue.index == index[:, None])
        losses = []
        for z, p in ((z1, p2), (z2, p1)):
            neighbors, row = _nearest(z, self.queue.features, excluded)  # (n, d), (n,)
            masked = self._masked(index, self.queue.index[row])
            losses.append(_nnclr(neighbors, p, self.temperature, masked))
        return (losses[0] + losses[1]) / 2

    def _masked(self, index: Tensor, neighbor: Tensor) -> Tensor | None:
        """Tell which images of the batch are no negatives of each, (n, n) or None.

        ``neighbor`` (n,) is the image that each one's neighbour is of; where there was
        no neighbour, it is -1 or the image itself.
        """
        masked = self.is_same_group(index, torch.cat([index, neighbor]))  # (n, 2n)
        if masked is not None:
            of_image, of_neighbor = masked.chunk(2, dim=1)
            masked = of_image | of_neighbor.T
        if self.exclude_same_image:
            # A neighbour must not be told to be unlike its own image.
            own = neighbor[:, None] == index  # (n, n)
            masked = own if masked is None else masked | own
        return masked

    def after_step(self, progress: float) -> None:  # noqa: ARG002
        self.queue.push(*self._step)


class NNCLR(ContrastiveTask):
    r"""Contrast each view with the nearest neighbour of the other, a similar image.

    Parameters
    ----------
    temperature : float, default=0.1
        τ of the loss, above 0.
    queue_size : int, optional
        Number K of past projections that neighbours come from. Default: one for each
        image, but at most 24 batches; 98,304 in the paper.
    exclude_same_image : bool, default=True
        Take neighbours from other images only. False is the published method; see the
        notes.
    hidden_size : int, default=2048
        Width of the projector's two hidden layers.
    projection_size : int, default=256
        Dimension d of projections z and predictions p.
    predictor_hidden_size : int, default=4096
        Width of the predictor's hidden layer.
    same_group : {"negative", "ignore", "positive"}, default="negative"
        What another image of the same patient is: a negative as any other; left out
        of the negatives; or left out, and the source of the second view. The last two
        need ``groups`` in ``fit``, and leave out the images of the neighbour's patient,
        too, so that they want three patients or more. With each of them it may be the
        neighbour.
    augmentation : str or Augmentation, default="auto"
        Recipe of the views: "auto" is "medical_gray" for gray images and "moco_v2"
        for colour.

    Notes
    -----
    With z and p the unit-norm projections and predictions, 1 and 2 the views, and
    NN(z) the nearest row to z of a queue Q of past projections, the loss is the mean
    over the n images of the batch of

    .. math:: -\frac12 \log \frac{\exp(NN(z^1_i)·p^2_i / τ)}
              {\sum_k \exp(NN(z^1_i)·p^2_k / τ)}
              -\frac12 \log \frac{\exp(NN(z^2_i)·p^1_i / τ)}
              {\sum_k \exp(NN(z^2_i)·p^1_k / τ)}

    where k runs over the batch. NN(z) gets no gradient. After each step the
    projections z¹ of the first views enter the queue, first in, first out. It is the
    symmetric loss of the paper's Algorithm 1.

    Differences: ``exclude_same_image`` is **our choice**, and so are "auto" views,
    which are MoCo's where the paper has those of SimCLR. In a queue that holds the
    whole of a small set the nearest row is mostly an earlier view of the image itself,
    which teaches little more than SimCLR does. Where the image of a neighbour is in
    the batch, it is then left out of the sum over k. The paper's queue goes back 24
    batches of 4,096; so does this one, at most. It begins empty, where the authors
    begin with random vectors: an image for which it holds no neighbour yet takes its
    own z, as in SimCLR. With ``same_group="positive"`` the neighbour of a second view
    may be an earlier view of the very image that it was made of. The batch
    normalisation at the end of the projector is without scale and shift. Both views
    pass the network as one batch. AdamW takes the place of LARS.

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
        advice="Where several images show the same finding, and augmentation alone "
        "does not make one of the other. It gains within a few hundred steps.",
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
        """Return a copy with the queue size settled; see `PretextTask.resolve`."""
        task = super().resolve(info)
        if self.exclude_same_image and info.n_images < 3:
            raise ValueError(
                f"NNCLR needs 3 images at least, got {info.n_images}: of 2, the "
                "neighbour of each is the only negative of the other."
            )
        if task.queue_size is None:
            task.queue_size = min(24 * info.batch_size, info.n_images)
        return task

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:
        """Return the backbone with two heads and a queue; see `PretextTask.build`."""
        return _NNCLRModule(backbone, self, info)
