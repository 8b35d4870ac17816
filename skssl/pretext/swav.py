"""SwAV: each view predicts the cluster that other views of its image are assigned to.

Caron, Misra, Mairal, Goyal, Bojanowski & Joulin 2020.
"""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.nn import Backbone, FeatureQueue, mlp
from skssl.pretext._base import MethodCard, PretextModule, TrainingInfo, settled
from skssl.pretext._multicrop import (
    N_GLOBAL_VIEWS,
    MultiCropModule,
    MultiCropTask,
    cross_view_entropy,
    encode_views,
)


def _sinkhorn(
    scores: Tensor, counts: Tensor, *, epsilon: float, n_iterations: int
) -> Tensor:
    r"""Assign rows to prototypes, all of which get about the same number of rows.

    Sinkhorn and Knopp's scaling of :math:`\exp(scores / ε)`, in logarithms: to equal
    sums of the columns over the rows that count, then to sums of 1 of the rows, in
    turns.

    Parameters
    ----------
    scores : Tensor of shape (m, K), float32
    counts : Tensor of shape (m,), bool
        The others have no influence; what they get assigned means nothing.
    epsilon : float
        ε, above 0; the lower, the harder the assignment.
    n_iterations : int
        At least 1.

    Returns
    -------
    Tensor of shape (m, K), float32
        Rows of sum 1.
    """
    with torch.autocast(scores.device.type, enabled=False):
        logits = scores / epsilon
        weight = torch.zeros_like(scores[:, :1]).masked_fill(
            ~counts[:, None], -torch.inf
        )
        row = torch.zeros_like(weight)  # (m, 1)
        for _ in range(n_iterations):
            column = -(logits + row + weight).logsumexp(0)  # (K,)
            row = -(logits + column).logsumexp(1, keepdim=True)
        return (logits + row + column).exp()


class _SwAVModule(MultiCropModule):
    queues: Sequence[FeatureQueue]

    def __init__(self, backbone: Backbone, task: "SwAV"):
        super().__init__(backbone, task.freeze_prototypes)
        self.temperature = task.temperature
        self.epsilon = task.epsilon
        self.n_iterations = task.n_iterations
        self.projector = mlp(
            backbone.n_features,
            task.hidden_size,
            task.projection_size,
            batch_norm_out=task.normalize_output,
        )
        queue_size = settled(task.queue_size, "queue_size")
        self.queues = nn.ModuleList(  # type: ignore[assignment]
            FeatureQueue(task.projection_size, queue_size)
            for _ in range(N_GLOBAL_VIEWS if queue_size else 0)
        )
        directions = torch.randn(task.n_prototypes, task.projection_size)
        self.prototypes = nn.Parameter(functional.normalize(directions, dim=1))

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:
        z = self.projector(encode_views(self.backbone, views))  # (V n, d)
        prototypes = self.freeze_at_first(self.prototypes)
        with torch.autocast(z.device.type, enabled=False):
            z = functional.normalize(z.float(), dim=1)
            scores = (z @ prototypes.T).unflatten(0, (len(views), -1))  # (V, n, K)
        z = z.detach().unflatten(0, (len(views), -1))[:N_GLOBAL_VIEWS]  # (2, n, d)
        self._step = (z, index)
        codes = [self._codes(scores[g], g) for g in range(N_GLOBAL_VIEWS)]
        return cross_view_entropy(torch.stack(codes), scores, self.temperature)

    @torch.no_grad()
    def _codes(self, scores: Tensor, view: int) -> Tensor:
        """Assign one global view of the batch, together with its queue, if any."""
        n = len(scores)
        counts = torch.ones(n, dtype=torch.bool, device=scores.device)
        if self.queues:
            queue = self.queues[view]
            with torch.autocast(scores.device.type, enabled=False):
                queued = queue.features @ self.prototypes.T  # (Q, K)
            scores = torch.cat([scores, queued])  # (n + Q, K)
            counts = torch.cat([counts, queue.index >= 0])  # (n + Q,)
        codes = _sinkhorn(
            scores, counts, epsilon=self.epsilon, n_iterations=self.n_iterations
        )
        return codes[:n]

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        super().after_step(progress)
        self.prototypes.copy_(functional.normalize(self.prototypes, dim=1))
        z, index = self._step
        for queue, keys in zip(self.queues, z, strict=False):
            queue.push(keys, index)


class SwAV(MultiCropTask):
    r"""Predict the soft cluster of one view of an image from its other views.

    Parameters
    ----------
    n_prototypes : int, default=64
        Number K of clusters, above 1. The paper has 3,000 for 1,000 classes.
    temperature : float, default=0.1
        τ of the predictions, above 0.
    epsilon : float, default=0.03
        ε of the assignment, above 0: the lower, the nearer it is to one cluster an
        image. Lower it if the loss stays near log K.
    n_iterations : int, default=3
        Rounds of Sinkhorn and Knopp's algorithm, at least 1.
    queue_size : int, optional
        Number of past projections, of each global view, that are assigned together
        with the batch; 0 for none. Default: eight batches, but at most one projection
        an image.
    freeze_prototypes : float, default=0.05
        Share of the training, in [0, 1], in which the prototypes stay as they are.
    hidden_size : int, default=2048
        Width of the projector's hidden layer.
    projection_size : int, default=128
        Dimension of the projections z and of the prototypes c.
    normalize_output : bool, default=True
        Normalise the projections over the views of the batch, without scale and shift,
        before their scaling to unit norm. False is the paper's projector.
    n_local_views : int, default=4
        Number of small views of each image, which predict but are not assigned.
    local_size : int, optional
        Short side of the small views, pixels. Default: 3/7 of the image's short side,
        but at least 32 px, or the whole side if that is less.
    local_crop_scale : (float, float), default=(0.1, 0.3)
        Range of a small view's share of the image's area, in [1e-4, 1].
    augmentation : str or Augmentation, default="auto"
        Recipe of the views: "auto" is "medical_gray" for gray images and "simclr" for
        colour.

    Notes
    -----
    With z the unit-norm projections of V views, the first two of them global, c_k the
    unit-norm prototypes and q_g the codes of a global view, the loss is the mean over
    the images of

    .. math:: -\frac{1}{2 (V - 1)} \sum_{g = 1}^{2} \sum_{v ≠ g} \sum_{k = 1}^{K}
              q_{gk} \log \frac{\exp(z_v·c_k / τ)}{\sum_j \exp(z_v·c_j / τ)}

    The codes of a global view are exp(z·c / ε), scaled to equal sums over the images
    for each prototype, then to a sum of 1 over the prototypes for each image, in
    ``n_iterations`` turns. No gradient flows through them. So the images share the
    prototypes out, and cannot all be given to one.

    A batch below K could not fill the prototypes: each global view has a queue of its
    past projections, which are scored with the prototypes of now. Places not filled
    yet do not count. After each step the prototypes are scaled to unit norm.

    Differences, all **our choice**: K is for sets of a few hundred images. The
    projections of a network with random weights are nearly the same for all images;
    without ``normalize_output``, which subtracts what the batch has in common, the loss
    stayed near log K for 800 steps. The paper's ε is 0.05, with which the loss fell
    less, or not at all, in trials of 300 steps with a small network, on phantoms of
    32 px. The paper starts its queue, of 15 batches, after 15 epochs; here it counts
    from the first step on. It freezes the prototypes for one epoch, which is a few
    steps here. Its global views are 0.14 to 1 of the image, its six small ones 0.05 to
    0.14, which is 14 to 24 px of 64; here they are those of the recipe, and four of
    0.1 to 0.3. AdamW takes the place of LARS.

    References
    ----------
    .. [1] M. Caron, I. Misra, J. Mairal, P. Goyal, P. Bojanowski, A. Joulin.
       "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments",
       NeurIPS 2020. :doi:`10.48550/arXiv.2006.09882`

    Examples
    --------
    >>> from skssl.pretext import SwAV
    >>> SwAV(n_prototypes=100)
    SwAV(n_prototypes=100)
    """

    name = "swav"
    default_augmentation = "simclr"
    card = MethodCard(
        title="SwAV",
        paper="Caron et al. 2020",
        doi="10.48550/arXiv.2006.09882",
        n_views=6,
        compares_batch=True,
        keeps="queue",
        momentum_encoder=False,
        advice="Where images fall into groups that are about equally large. Each step "
        "costs about 1.7 of SimCLR's.",
        backbones="any size",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_prototypes": [Interval(Integral, 2, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iterations": [Interval(Integral, 1, None, closed="left")],
        "queue_size": [Interval(Integral, 0, None, closed="left"), None],
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "projection_size": [Interval(Integral, 1, None, closed="left")],
        "normalize_output": ["boolean"],
        **MultiCropTask.multicrop_constraint,
    }

    def __init__(
        self,
        *,
        n_prototypes: int = 64,
        temperature: float = 0.1,
        epsilon: float = 0.03,
        n_iterations: int = 3,
        queue_size: int | None = None,
        freeze_prototypes: float = 0.05,
        hidden_size: int = 2048,
        projection_size: int = 128,
        normalize_output: bool = True,
        n_local_views: int = 4,
        local_size: int | None = None,
        local_crop_scale: tuple[float, float] = (0.1, 0.3),
        augmentation: str | Augmentation = "auto",
    ):
        self.n_prototypes = n_prototypes
        self.temperature = temperature
        self.epsilon = epsilon
        self.n_iterations = n_iterations
        self.queue_size = queue_size
        self.freeze_prototypes = freeze_prototypes
        self.hidden_size = hidden_size
        self.projection_size = projection_size
        self.normalize_output = normalize_output
        self.n_local_views = n_local_views
        self.local_size = local_size
        self.local_crop_scale = local_crop_scale
        self.augmentation = augmentation

    def resolve(self, info: TrainingInfo) -> Self:
        """Return a copy with the queue size settled; see `PretextTask.resolve`."""
        task = super().resolve(info)
        if task.queue_size is None:
            task.queue_size = min(8 * info.batch_size, info.n_images)
        return task

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:
        """Return the backbone with prototypes and queues; see `PretextTask.build`."""
        self.check_backbone(backbone, info)
        return _SwAVModule(backbone, self)
