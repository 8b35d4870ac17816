"""MoCo: a query attracts its key and repels a queue of past keys.

He, Fan, Wu, Xie & Girshick 2020; MLP head and views of Chen et al. 2020 (v2).
"""

from numbers import Integral, Real
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional

from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.nn import Backbone, EMACopy, FeatureQueue, info_nce, mlp
from skssl.pretext._base import MethodCard, PretextModule, TrainingInfo, settled
from skssl.pretext._contrastive import ContrastiveModule, ContrastiveTask


class _MoCoModule(ContrastiveModule):
    def __init__(self, backbone: Backbone, task: "MoCo", info: TrainingInfo):
        super().__init__(backbone, task, info)
        self.temperature = task.temperature
        self.momentum = task.momentum
        self.in_batch_negatives = task.in_batch_negatives
        self.exclude_same_image = task.exclude_same_image
        self.projector = mlp(
            backbone.n_features,
            task.hidden_size or 1,
            task.projection_size,
            n_layers=1 if task.hidden_size is None else 2,
            batch_norm=task.batch_norm,
            batch_norm_out=task.batch_norm,
        )
        self.target_backbone = EMACopy(self.backbone)
        self.target_projector = EMACopy(self.projector)
        queue_size = settled(task.queue_size, "queue_size")
        self.queue = FeatureQueue(task.projection_size, queue_size)

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:
        view_q, view_k = views
        q = self.projector(self.backbone(view_q))  # (n, d)
        k = self.target_projector(self.target_backbone(view_k))  # (n, d)
        self._step = (k, index)
        negatives, key_image = self._negatives(k, index)  # (m, d), (m,)
        mask = self._negative_mask(index, key_image)  # (n, m)
        return info_nce(q, k, negatives, self.temperature, negative_mask=mask)

    def _negatives(self, k: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys that queries are contrasted with, and the image of each."""
        keys, key_image = self.queue.features, self.queue.index  # (K, d), (K,)
        if self.in_batch_negatives:
            batch = functional.normalize(k.float(), dim=1)  # (n, d)
            keys = torch.cat([batch, keys])  # (n + K, d)
            key_image = torch.cat([index, key_image])  # (n + K,)
        return keys, key_image

    def _negative_mask(self, index: Tensor, key_image: Tensor) -> Tensor:
        """Return which keys are no negatives of each query, (n, m) bool."""
        shape = (len(index), len(key_image))
        mask = torch.zeros(shape, dtype=torch.bool, device=index.device)
        if self.in_batch_negatives:
            mask.fill_diagonal_(True)  # the batch comes first: its diagonal is k₊
        if self.exclude_same_image:
            mask |= key_image == index[:, None]
        same_group = self.is_same_group(index, key_image)  # (n, m) or None
        return mask if same_group is None else mask | same_group

    def after_step(self, progress: float) -> None:  # noqa: ARG002
        self.target_backbone.update(self.backbone, self.momentum)
        self.target_projector.update(self.projector, self.momentum)
        self.queue.push(*self._step)


class MoCo(ContrastiveTask):
    r"""Contrast each image with a queue of keys from a slowly moving network.

    Parameters
    ----------
    temperature : float, default=0.2
        τ of the loss, above 0.
    queue_size : int, optional
        Number K of keys. Default: four batches, but at most one key per image. He, Yang
        et al. use 512 for 425 images. A longer queue needs a slower key network, that
        is, a higher ``momentum`` (see the notes).
    momentum : float, default=0.95
        m of the moving average, in [0, 1). The papers' is 0.999.
    in_batch_negatives : bool, default=True
        Use the keys of the batch's other images as negatives, too. False is the
        published method; see the notes.
    exclude_same_image : bool, default=True
        Exclude keys of the query's own image from its negatives. False is the published
        method, which uses other views of the image as negatives. It matters only with
        ``same_group="negative"``: the other settings exclude the whole patient.
    batch_norm : bool, default=True
        Use batch normalisation in the projector, after its hidden layer and, without
        scale and shift, at its end, as in version 3 [4]_, whose predictor and other
        changes are not included. False is the projector of versions 1 and 2.
    hidden_size : int or None, default=2048
        Width of the projector's hidden layer. None is a linear projector. Version 1 has
        it with ``batch_norm=False``, ``temperature=0.07`` and
        ``augmentation="moco_v1"``.
    projection_size : int, default=128
        Dimension of queries and keys.
    same_group : {"negative", "ignore", "positive"}, default="negative"
        How other images of the same patient are treated. "negative": as any other
        image. "ignore": they are no negatives. "positive": they are no negatives, and
        one of them is the source of the second view. The last two need ``groups`` in
        ``fit``.
    augmentation : str or Augmentation, default="auto"
        Recipe of the views: "auto" is "medical_gray" for gray images and "moco_v2"
        for colour.

    Notes
    -----
    The query network maps one view to q, the key network maps the other to k₊, both of
    unit norm. With k the negatives, the loss is the mean over the images of

    .. math:: -\log \frac{\exp(q·k_+ / τ)}
              {\exp(q·k_+ / τ) + \sum_k \exp(q·k / τ)}

    After each step θ_k ← m·θ_k + (1 - m)·θ_q, and the keys enter the queue, first in,
    first out. The queue starts with random unit vectors, as in the paper.

    **Differences from the paper**

    - ``in_batch_negatives``: the authors shuffle images between devices, so that
      BatchNorm's statistics do not reveal which key belongs to the query's batch, and
      so which is its own. A single device cannot. Instead the keys of the other images,
      which share these statistics and the newest weights with the positive, are
      negatives and must be distinguished by their content (**our choice**).
    - ``exclude_same_image``: if the set is smaller than the queue, the queue contains
      keys of the query's own image, which are excluded (**our choice**).
    - The queue has four batches, and at most one key per image (**our choice**).
    - Self-Trans does not give τ; version 2's 0.2 is used (**choice**). Its equation 1
      omits τ for the negatives, its Algorithm 1 does not.
    - Versions 1 and 2 train for millions of steps. In about 1,000 steps from random
      weights, a key network with their m stays near its random start. With version
      2's projector and SGD at 0.02, which need m = 0.99 or more, the loss hardly
      decreased on two of four sets of phantoms. Hence m = 0.95, batch normalisation in
      the projector and AdamW at 5e-4, by ``optimizer="auto"`` (**our choice**).
    - If queued keys differ from new ones only by their age, the network learns to
      detect the age, and the loss rises at the end, towards the logarithm of the number
      of keys. This happened with AdamW and ``batch_norm=False``.

    Version 2 as published, on one device::

        SelfSupervisedPretrainer(
            MoCo(
                momentum=0.999, batch_norm=False, queue_size=65536,
                in_batch_negatives=False, exclude_same_image=False,
                augmentation="moco_v2",
            ),
            backbone="resnet50", image_size=224, batch_size=256, max_epochs=200,
            optimizer="sgd", lr=0.03, weight_decay=1e-4, warmup_epochs=0,
        )

    except that weight decay here does not apply to biases and normalisation layers.

    References
    ----------
    .. [1] K. He, H. Fan, Y. Wu, S. Xie, R. Girshick. "Momentum Contrast for
       Unsupervised Visual Representation Learning", CVPR 2020.
       :doi:`10.1109/CVPR42600.2020.00975`
    .. [2] X. Chen, H. Fan, R. Girshick, K. He. "Improved Baselines with Momentum
       Contrastive Learning", 2020. :doi:`10.48550/arXiv.2003.04297`
    .. [3] X. He, X. Yang, et al. "Sample-Efficient Deep Learning for COVID-19
       Diagnosis Based on CT Scans", 2020. :doi:`10.1101/2020.04.13.20063941`
    .. [4] X. Chen, S. Xie, K. He. "An Empirical Study of Training Self-Supervised
       Vision Transformers", ICCV 2021. :doi:`10.1109/ICCV48922.2021.00950`

    Examples
    --------
    >>> from skssl.pretext import MoCo
    >>> MoCo(queue_size=512)
    MoCo(queue_size=512)
    """

    name = "moco"
    default_lr = 5e-4
    card = MethodCard(
        title="MoCo",
        paper="He et al. 2020; Chen et al. 2020",
        doi="10.1109/CVPR42600.2020.00975",
        n_views=2,
        compares_batch=True,
        keeps="queue",
        momentum_encoder=True,
        advice="When only small batches fit in memory: the queue adds negatives. A "
        "step costs a little less than with SimCLR, and as many steps are needed.",
    )

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "queue_size": [Interval(Integral, 1, None, closed="left"), None],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "in_batch_negatives": ["boolean"],
        "exclude_same_image": ["boolean"],
        "batch_norm": ["boolean"],
        "hidden_size": [Interval(Integral, 1, None, closed="left"), None],
        "projection_size": [Interval(Integral, 1, None, closed="left")],
        **ContrastiveTask.group_constraint,
        "augmentation": [str, Augmentation],
    }

    def __init__(
        self,
        *,
        temperature: float = 0.2,
        queue_size: int | None = None,
        momentum: float = 0.95,
        in_batch_negatives: bool = True,
        exclude_same_image: bool = True,
        batch_norm: bool = True,
        hidden_size: int | None = 2048,
        projection_size: int = 128,
        same_group: str = "negative",
        augmentation: str | Augmentation = "auto",
    ):
        self.temperature = temperature
        self.queue_size = queue_size
        self.momentum = momentum
        self.in_batch_negatives = in_batch_negatives
        self.exclude_same_image = exclude_same_image
        self.batch_norm = batch_norm
        self.hidden_size = hidden_size
        self.projection_size = projection_size
        self.same_group = same_group
        self.augmentation = augmentation

    def resolve(self, info: TrainingInfo) -> Self:
        """Return a copy with the queue size set; see `PretextTask.resolve`."""
        task = super().resolve(info)
        if task.queue_size is None:
            task.queue_size = min(4 * info.batch_size, info.n_images)
        return task

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:
        """Return query and key networks with a queue; see `PretextTask.build`."""
        return _MoCoModule(backbone, self, info)
