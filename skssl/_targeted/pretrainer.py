"""TargetedPretrainer: pretrain every layer of a classifier, its head included.

Ewen & Khan 2020.
"""

from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from skssl._cache import CACHE_CONSTRAINT, remember
from skssl._estimator import IMAGE_PARAMETERS, ImageEstimator, read_training_images
from skssl._labels import check_groups, check_labels, labels_of
from skssl._random import RandomState
from skssl._sklearn import HasMethods, Interval, StrOptions, fit_context
from skssl._targeted.train import Targeted, train_targeted
from skssl.augment import Augmentation, get_recipe
from skssl.data import Color, Resize
from skssl.engine import Phase
from skssl.pretext import WhichViewTask, targeted_task


class TargetedPretrainer(ImageEstimator):
    """Pretrain backbone and head on a pretext with the classes of the later task.

    Parameters
    ----------
    task : {"auto", "flip", "rotation", "dihedral", "quadrants"} or task, default="auto"
        What the network recognises in each image: whether it is mirrored (2 classes),
        by which quarter turn it is rotated (4), both (8), or the order of its quadrants
        (2 to 24). "auto" chooses by the number of classes, in this order. A task is an
        object such as ``skssl.pretext.Flip()``.
    n_classes : int, optional
        Number of classes of the later task; ``task`` must have as many. Default: those
        of ``y`` in `fit` with "auto", else those of ``task``.
    backbone, weights, stem
        As in `SelfSupervisedPretrainer`.
    head : {"mlp", "linear"}, default="mlp"
        The head of the later classifier: batch normalisation, a hidden layer with
        ReLU, dropout and a linear layer, or a linear layer alone.
    hidden_size : int, default=1024
        Units of the hidden layer.
    dropout : float, default=0.5
        Fraction of the hidden units that a step drops, in [0, 1).
    phases : str or list of Phase, default="auto"
        The phases of the training. Each starts from the weights with the lowest loss of
        the previous phase. "ewen2020_pretext" has the paper's: the head by RMSprop at
        1e-4, then all layers by SGD at 1e-5 and at 1e-6, 30 epochs each. They are for
        trained weights. "auto" is the paper's for those, and "scratch" for random
        weights: 40 epochs by AdamW at 1e-3. An image counts once for each version in
        the batch size, but a batch has at least two images.
    augmentation : str or Augmentation, optional
        Recipe of the view whose versions are shown; it must not undo the task. Default:
        that of ``task`` if it is an object, else "identity", as in the paper.
    fraction : float, default=1.0
        Fraction of the images to pretrain on, in [0, 1]: the first ones of X, so that
        larger fractions contain smaller ones. If X is sorted by class or hospital,
        shuffle it first, with each patient as a block. 0 leaves the network untrained.
    validation_fraction : float or splitter, default=0.0
        Fraction of these images, in [0, 0.5], whose loss selects the weights: of whole
        patients if ``groups`` is given. 0 uses the training loss. A scikit-learn
        splitter provides its first split.
    image_size, image_shape, value_range, out_of_range, color, resize
        As in `SelfSupervisedPretrainer`.
    precision, device, callbacks, cache, n_jobs, random_state, verbose
        As in `SelfSupervisedPretrainer`.

    Attributes
    ----------
    encoder_ : Encoder
        How images are read, and the trained classifier.
    backbone_ : Backbone
        In eval mode.
    head_ : ClassifierHead
    networks_ : ModuleList
        The classifier of both.
    task_ : WhichViewTask
        With all open choices resolved.
    phases_ : list of Phase
    n_trainable_ : list of int
        Number of weights that each phase trained.
    history_ : list of dict
        Per epoch: ``phase``, ``epoch``, ``loss``, ``accuracy``, ``lr``,
        ``images_per_second``, ``seconds``, and with a validation split ``val_loss`` and
        ``val_accuracy``.
    selected_epochs_ : list of int
        For each phase, the epoch whose weights were kept.
    n_iter_ : int
        Epochs run.
    sample_indices_, validation_indices_ : ndarray of int
        Rows of X in the training split and in the validation split.
    image_shape_, image_size_, value_range_, device_, precision_, n_features_in_
        As in `SelfSupervisedPretrainer`.

    Notes
    -----
    All versions of an image are in one batch and on the same side of the split, so
    classes are balanced: 2n images for the flip. The versions are exact: a mirrored
    image differs from the image by the mirror alone.

    Differences from the paper:

    - It shuffles the 2n images.
    - It does not say which loss is the lowest, and the authors' notebook uses the test
      folder. Here it is the loss of the training images, or of the validation split.
    - Batch normalisation and dropout in the head come from the notebook, which adds an
      L2 penalty of 0.01 on the hidden layer that is omitted here.
    - Its RMSprop has a decay of 0.9, torch's of 0.99.

    References
    ----------
    .. [1] N. Ewen, N. Khan. "Targeted Self Supervision for Classification on a Small
       COVID-19 CT Scan Dataset", 2020. :doi:`10.48550/arXiv.2011.10188`

    Examples
    --------
    >>> from skssl import Phase, TargetedPretrainer
    >>> from skssl.datasets import make_scan_phantoms
    >>> from skssl.testing import tiny_cnn
    >>> scans = make_scan_phantoms(6, image_size=32, random_state=0)
    >>> targeted = TargetedPretrainer(
    ...     backbone=tiny_cnn, phases=[Phase(epochs=2)], random_state=0
    ... ).fit(scans.data, scans.target)
    >>> targeted.task_.n_versions, targeted.transform(scans.data).shape
    (2, (18, 1024))
    """

    _makers: ClassVar[dict[str, Callable]] = {
        "task": partial(targeted_task, n_classes=None),
        "augmentation": get_recipe,
    }
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "task": [str, WhichViewTask],
        "n_classes": [Interval(Integral, 2, None, closed="left"), None],
        "backbone": [str, nn.Module, callable],
        "head": [StrOptions({"linear", "mlp"})],
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "phases": [str, list, tuple],
        "augmentation": [str, Augmentation, None],
        "fraction": [Interval(Real, 0, 1, closed="both")],
        "validation_fraction": [
            Interval(Real, 0, 0.5, closed="both"),
            HasMethods("split"),
        ],
        "cache": CACHE_CONSTRAINT,
        **IMAGE_PARAMETERS,
    }

    def __init__(
        self,
        task: str | WhichViewTask = "auto",
        *,
        n_classes: int | None = None,
        backbone: str | nn.Module | Callable[[], nn.Module] = "resnet18",
        weights: Any = None,
        stem: str = "auto",
        head: str = "mlp",
        hidden_size: int = 1024,
        dropout: float = 0.5,
        phases: str | list[Phase] = "auto",
        augmentation: str | Augmentation | None = None,
        fraction: float = 1.0,
        validation_fraction: Any = 0.0,
        image_size: int | Sequence[int] | None = None,
        image_shape: Sequence[int] | str | None = None,
        value_range: Sequence[float] | str = "auto",
        out_of_range: str = "auto",
        color: Color = "auto",
        resize: Resize = "squash",
        precision: str = "auto",
        device: str | torch.device = "auto",
        callbacks: list | None = None,
        cache: Any = None,
        n_jobs: int | None = -1,
        random_state: RandomState = None,
        verbose: int = 0,
    ):
        self.task = task
        self.n_classes = n_classes
        self.backbone = backbone
        self.weights = weights
        self.stem = stem
        self.head = head
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.phases = phases
        self.augmentation = augmentation
        self.fraction = fraction
        self.validation_fraction = validation_fraction
        self.image_size = image_size
        self.image_shape = image_shape
        self.value_range = value_range
        self.out_of_range = out_of_range
        self.color = color
        self.resize = resize
        self.precision = precision
        self.device = device
        self.callbacks = callbacks
        self.cache = cache
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, groups: Any = None) -> Self:
        """Pretrain backbone and head.

        Parameters
        ----------
        X : paths, arrays, images or rows, n of them
            As in `SelfSupervisedPretrainer`.
        y : array-like of shape (n,), optional
            ``task="auto"`` uses the number of classes, without -1.
        groups : array-like of shape (n,), optional
            The patient of each image, kept on one side of the validation split.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an image, a parameter, ``y`` or ``groups`` is not usable; the message
            names it.
        NonFiniteLossError
            If the loss becomes NaN or infinite.
        KeyboardInterrupt
            On Ctrl-C. The estimator keeps the weights so far.
        """
        source, table = read_training_images(self, X, self.image_shape)
        groups = check_groups(groups, len(source))
        n_classes = self._count_classes(y, len(source))

        def train() -> Targeted:
            return train_targeted(self, source, n_classes, groups)

        return self._put(
            lambda: remember(self, source, n_classes, groups, train), table
        )

    def _count_classes(self, y: Any, n_images: int) -> int | None:
        """Return the classes of the later task, or None where they are not known."""
        if self.n_classes is not None or self.task != "auto":
            return self.n_classes
        labels = check_labels(y, n_images)
        return None if labels is None else len(np.unique(labels_of(labels)[1]))

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002
        """Return the accuracy at recognising the versions of images.

        Parameters
        ----------
        X : paths, arrays, images or rows, n of them
        y : ignored

        Returns
        -------
        float in [0, 1]
        """
        source = self._open(X)
        versions, classifier = self.task_.versions, self.networks_[-1]

        def is_right(images: torch.Tensor) -> torch.Tensor:
            shown = [classifier(version).argmax(1) for version in versions(images)]
            label = torch.arange(len(shown), device=images.device)
            return (torch.stack(shown, 1) == label).float()  # (b, n_versions)

        right = self.encoder_.apply(
            is_right, source, self.task_.n_versions, n_jobs=self.n_jobs
        )
        return float(right.mean())
