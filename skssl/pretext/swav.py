"""SwAV: each view predicts the cluster assignments of other views of its image.

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
    scores: Tensor, is_filled: Tensor, *, epsilon: float, n_iterations: int
) -> Tensor:
    r"""Assign rows to prototypes such that all prototypes get equally many rows.

    The algorithm of Sinkhorn and Knopp scales :math:`\exp(scores / ε)`, here in the
    logarithm, in turns: columns to equal sums over the filled rows, then rows to a sum
    of 1.

    Parameters
    ----------
    scores : Tensor of shape (m, K), float32
    is_filled : Tensor of shape (m,), bool
        The other rows have no influence, and their codes have no meaning.
    epsilon : float
        ε, above 0; the lower, the harder the assignment.
    n_iterations : int
        At least 1.

    Returns
    -------
    Tensor of shape (m, K), float32
        Codes q; each row has a sum of 1.
    """
    with torch.autocast(scores.device.type, enabled=False):
        logits = scores / epsilon  # (m, K)
        log_weight = torch.zeros_like(scores[:, :1]).masked_fill(
            ~is_filled[:, None], -torch.inf
        )  # (m, 1)
        row = torch.zeros_like(log_weight)  # (m, 1)
        for _ in range(n_iterations):
            column = -(logits + row + log_weight).logsumexp(0)  # (K,)
            row = -(logits + column).logsumexp(1, keepdim=True)  # (m, 1)
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
        prototypes = self.freeze_at_first(self.prototypes)  # (K, d)
        with torch.autocast(z.device.type, enabled=False):
            z = functional.normalize(z.float(), dim=1)
            scores = (z @ prototypes.T).unflatten(0, (len(views), -1))  # (V, n, K)
        z_global = z.detach().unflatten(0, (len(views), -1))[:N_GLOBAL_VIEWS]
        self._step = (z_global, index)  # (2, n, d), (n,)
        codes = [self._codes(scores[g], g) for g in range(N_GLOBAL_VIEWS)]
        return cross_view_entropy(torch.stack(codes), scores, self.temperature)

    @torch.no_grad()
    def _codes(self, scores: Tensor, view: int) -> Tensor:
        """Assign a global view, (n, K), together with its queue, if there is one."""
        n = len(scores)
        is_filled = torch.ones(n, dtype=torch.bool, device=scores.device)  # (n,)
        if self.queues:
            queue = self.queues[view]
            with torch.autocast(scores.device.type, enabled=False):
                queued = queue.features @ self.prototypes.T  # (Q, K)
            scores = torch.cat([scores, queued])  # (n + Q, K)
            is_filled = torch.cat([is_filled, queue.index >= 0])  # (n + Q,)
        codes = _sinkhorn(
            scores, is_filled, epsilon=self.epsilon, n_iterations=self.n_iterations
        )
        return codes[:n]  # (n, K)

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        super().after_step(progress)
        self.prototypes.copy_(functional.normalize(self.prototypes, dim=1))
        z_global, index = self._step
        for queue, z in zip(self.queues, z_global, strict=False):
            queue.push(z, index)


class SwAV(MultiCropTask):
    r"""Predict the soft cluster assignment of a view from other views of its image.

    Parameters
    ----------
    n_prototypes : int, default=64
        Number K of clusters, above 1. The paper uses 3,000 for 1,000 classes.
    temperature : float, default=0.1
        τ of the predictions, above 0.
    epsilon : float, default=0.03
        ε of the assignment, above 0: the lower, the closer it is to one cluster per
        image. Lower it if the loss stays near log K.
    n_iterations : int, default=3
        Rounds of Sinkhorn and Knopp's algorithm, at least 1.
    queue_size : int, optional
        Number of past projections of each global view that are assigned together with
        the batch; 0 for none. Default: eight batches, but at most one projection per
        image.
    freeze_prototypes : float, default=0.05
        Fraction of the training, in [0, 1], at whose start the prototypes are frozen.
    hidden_size : int, default=2048
        Width of the projector's hidden layer.
    projection_size : int, default=128
        Dimension of the projections z and of the prototypes c.
    normalize_output : bool, default=True
        End the projector with a batch normalisation over all views, without scale and
        shift, before the scaling to unit norm. False is the paper's projector.
    n_local_views : int, default=4
        Number of small views of each image, which predict but are not assigned to
        clusters.
    local_size : int, optional
        Short side of the small views, pixels. Default: 3/7 of the image's short side,
        but at least 32 px, or the whole side if that is less.
    local_crop_scale : (float, float), default=(0.1, 0.3)
        Range of the fraction of the image's area that a small view covers, in
        [1e-4, 1].
    augmentation : str or Augmentation, default="auto"
        Recipe of the views: "auto" is "medical_gray" for gray images and "simclr" for
        colour.

    Notes
    -----
    With z_v the unit-norm projections of V views, the first two of them global, c_k the
    unit-norm prototypes and q_g the codes of a global view, the loss is the mean over
    the images of

    .. math:: -\frac{1}{2 (V - 1)} \sum_{g = 1}^{2} \sum_{v ≠ g} \sum_{k = 1}^{K}
              q_{gk} \log \frac{\exp(z_v·c_k / τ)}{\sum_j \exp(z_v·c_j / τ)}

    The codes of a global view are exp(z·c / ε), scaled in ``n_iterations`` turns: to
    equal sums over the images for each prototype, then to a sum of 1 over the
    prototypes for each image. They pass no gradient. So images are distributed evenly
    over the prototypes, and cannot all be assigned to one.

    A batch smaller than K could not fill the prototypes. Each global view therefore has
    a queue of its past projections, which are scored with the current prototypes.
    Queue entries that are not filled yet do not count. After each step the prototypes
    are scaled to unit norm.

    **Differences from the paper**, all **our choice**

    - K is for sets of a few hundred images.
    - ``normalize_output`` subtracts what the images of a batch have in common. The
      projections of a network with random weights are nearly equal for all images:
      without it, the loss stayed near log K for 800 steps.
    - ε is 0.03, the paper's 0.05. With 0.05 the loss decreased less, or not at all, in
      runs of 300 steps with a small network, on phantoms of 32 px.
    - The queue counts from the first step on. The paper's, of 15 batches, starts after
      15 epochs.
    - The paper freezes the prototypes for one epoch, which is a few steps here.
    - Global views follow the recipe, and four small views cover 0.1 to 0.3 of the
      image. The paper's global views cover 0.14 to 1, its six small ones 0.05 to 0.14,
      which is 14 to 24 px of 64.
    - The optimizer is AdamW instead of LARS.

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
        advice="When images form groups of about equal size. Each step costs about 1.7 "
        "times as much as with SimCLR.",
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
        """Return a copy with the queue size set; see `PretextTask.resolve`."""
        task = super().resolve(info)
        if task.queue_size is None:
            task.queue_size = min(8 * info.batch_size, info.n_images)
        return task

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:
        """Return the backbone with prototypes and queues; see `PretextTask.build`."""
        self.check_backbone(backbone, info)
        return _SwAVModule(backbone, self)
