"""FineTuneClassifier: fine-tune a pretrained network as a classifier."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from torch import nn

from skssl._estimator import ImageEstimator, read_training_images
from skssl._finetune.choices import MAKERS, PARAMETERS
from skssl._finetune.fine_tune import fine_tune
from skssl._finetune.labelled import labelled_accuracy, read_labelled
from skssl._finetune.start import find_pretrainer, row_shape
from skssl._labels import check_groups
from skssl._random import RandomState
from skssl._sklearn import fit_context
from skssl.augment import Augmentation
from skssl.data import Color, Resize
from skssl.engine import Phase
from skssl.pretext import WhichViewTask


class FineTuneClassifier(ClassifierMixin, ImageEstimator):
    """Classify images with a network that is fine-tuned, or trained from scratch.

    Parameters
    ----------
    pretrainer : pretrainer or FrozenEstimator, optional
        A `SelfSupervisedPretrainer` or `TargetedPretrainer`. A copy is fitted to the
        training images of `fit`, unlabelled ones included, before the labels are
        learned. ``FrozenEstimator(fitted)``, also of another `FineTuneClassifier`, is
        used as it is.
    backbone : str, Module or callable, optional
        Without ``pretrainer``: as in `SelfSupervisedPretrainer`. Default: "resnet18".
    weights, stem
        As ``backbone``.
    head : {"auto", "linear", "mlp"}, default="auto"
        One linear layer, or the "mlp" of `TargetedPretrainer`. "auto" continues with
        the head of a `TargetedPretrainer`, and is "linear" otherwise.
    hidden_size : int, default=1024
        Units of the hidden layer of a new "mlp".
    dropout : float, default=0.5
        Fraction of them that a step drops, in [0, 1). A pretrained head has its own.
    frozen : bool, default=False
        Train the head alone; the backbone keeps its weights and batch statistics.
    phases : str or list of Phase, default="auto"
        The phases of the training. By name: "frozen", "finetune" (the head, then all
        layers), "scratch", and "ewen2020" and "self_trans" of the two papers. "auto" is
        "frozen" with ``frozen``, else "scratch" for random weights and "finetune" for
        trained ones (``backbone_.is_trained``).
    augmentation : str or Augmentation, default="auto"
        Recipe of the training images. "auto" is "self_trans_finetune" (crops of at
        least half the area, left-right flips, brightness and contrast) without the
        augmentations that would undo the pretext of ``pretrainer`` or ``auxiliary``. No
        other recipe may undo ``auxiliary``. If the label depends on the side, switch
        the flips off: ``get_recipe("self_trans_finetune", p_horizontal_flip=0.0)``.
    auxiliary : {"flip", "rotation"} or task, optional
        A pretext that is learned at the same time, by its own linear head on the same
        features (Method 4 of He, Yang et al. [2]_). Each training image is shown in one
        version, chosen at random, so labels are learned from all versions: do not use
        "flip" for labels that depend on the side.
    auxiliary_weight : float, default=1.0
        Factor on its loss, which is added; at least 0.
    class_weight : dict, "balanced" or None, default=None
        As in scikit-learn.
    label_smoothing : float, default=0.0
        Fraction of the target that is spread evenly over all classes, in [0, 1).
    validation_fraction : float or splitter, default=0.0
        Fraction of the labelled images, in [0, 0.5], that is held out and scored after
        each epoch: stratified, and whole patients with ``groups`` (then the nearest of
        1/2, 1/3, 1/4 and so on). A scikit-learn splitter provides its first split.
    selection : {"last", "best", "average_last_k"}, default="last"
        Which weights are kept: the last; those of the epoch with the highest validation
        accuracy over all phases (of several, the lowest validation loss); or those of
        the last ``n_average`` epochs, as an ensemble whose probabilities are averaged.
    n_average : int, default=10
        Number of these epochs, counted over all phases.
    image_size, image_shape, value_range, out_of_range, color, resize
        As in `SelfSupervisedPretrainer`. With a pretrainer, all are the pretrainer's,
        except an ``image_size`` that is given.
    precision, device, callbacks, n_jobs, verbose
        As in `SelfSupervisedPretrainer`.
    random_state : int, RandomState, Generator or None, default=None
        As in `SelfSupervisedPretrainer`. A pretrainer with None gets a seed from it.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    encoder_ : Encoder
        How images are read, and the classifiers, whose features are averaged.
    pretrainer_ : fitted pretrainer
    networks_ : ModuleList of Classifier
        The classifiers of ``encoder_``, in eval mode: one, or up to ``n_average``.
    backbone_, head_ : Backbone, ClassifierHead
        Of the last classifier.
    phases_ : list of Phase
    history_ : list of dict
        Per epoch: ``phase``, ``epoch``, ``loss`` (the minimised one, with weights,
        smoothing and the auxiliary loss), ``accuracy`` (of the training views), ``lr``,
        ``images_per_second``, ``seconds``; with a validation split ``val_loss`` (the
        plain cross-entropy) and ``val_accuracy``, whose time is part of ``seconds``.
    selected_epochs_ : list of int
        The epochs whose weights were kept; with "last" the last one of each phase.
    n_iter_, n_trainable_ : int, list of int
        Epochs run, and the number of weights that each phase trained.
    sample_indices_, validation_indices_ : ndarray of int
        Rows of X whose labels were learned, and those that were held out.
    image_shape_, image_size_, value_range_, device_, precision_, n_features_in_
        As in `SelfSupervisedPretrainer`.

    Notes
    -----
    Rows with y = -1 are unlabelled, as in ``sklearn.semi_supervised``: only the
    pretrainer sees them. It never sees a validation patient, and neither do the value
    range and the normalisation of the pixels, so with ``selection="last"`` held-out
    images do not influence the weights. With "best" they only choose the epoch.

    Each image has the weight ``sample_weight`` times its ``class_weight``, scaled to a
    mean of 1; "balanced" uses the training split alone. Images of ``sample_weight`` 0
    count as unlabelled.

    The procedure of Ewen & Khan [1]_, without selection on evaluated rows, is
    ``phases="ewen2020", augmentation="identity", selection="best",
    validation_fraction=0.2``.

    References
    ----------
    .. [1] N. Ewen, N. Khan. "Targeted Self Supervision for Classification on a Small
       COVID-19 CT Scan Dataset", 2020. :doi:`10.48550/arXiv.2011.10188`
    .. [2] X. He, X. Yang, et al. "Sample-Efficient Deep Learning for COVID-19
       Diagnosis Based on CT Scans", 2020. :doi:`10.1101/2020.04.13.20063941`

    Examples
    --------
    >>> from skssl import FineTuneClassifier, Phase, SelfSupervisedPretrainer
    >>> from skssl.datasets import make_scan_phantoms
    >>> from skssl.testing import tiny_cnn
    >>> scans = make_scan_phantoms(6, image_size=32, random_state=0)
    >>> ssl = SelfSupervisedPretrainer(backbone=tiny_cnn, max_epochs=1)
    >>> clf = FineTuneClassifier(ssl, phases=[Phase(epochs=2)], random_state=0)
    >>> _ = clf.fit(scans.data, scans.target, groups=scans.groups)
    >>> clf.predict_proba(scans.data[:3]).shape
    (3, 2)
    """

    _makers: ClassVar[dict[str, Callable]] = MAKERS
    _parameter_constraints: ClassVar[dict[str, list]] = PARAMETERS

    def __init__(
        self,
        pretrainer: Any = None,
        *,
        backbone: str | nn.Module | Callable[[], nn.Module] | None = None,
        weights: Any = None,
        stem: str = "auto",
        head: str = "auto",
        hidden_size: int = 1024,
        dropout: float = 0.5,
        frozen: bool = False,
        phases: str | list[Phase] = "auto",
        augmentation: str | Augmentation = "auto",
        auxiliary: str | WhichViewTask | None = None,
        auxiliary_weight: float = 1.0,
        class_weight: dict | str | None = None,
        label_smoothing: float = 0.0,
        validation_fraction: Any = 0.0,
        selection: str = "last",
        n_average: int = 10,
        image_size: int | Sequence[int] | None = None,
        image_shape: Sequence[int] | str | None = None,
        value_range: Sequence[float] | str = "auto",
        out_of_range: str = "auto",
        color: Color = "auto",
        resize: Resize = "squash",
        precision: str = "auto",
        device: str | torch.device = "auto",
        callbacks: list | None = None,
        n_jobs: int | None = -1,
        random_state: RandomState = None,
        verbose: int = 0,
    ):
        self.pretrainer = pretrainer
        self.backbone = backbone
        self.weights = weights
        self.stem = stem
        self.head = head
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.frozen = frozen
        self.phases = phases
        self.augmentation = augmentation
        self.auxiliary = auxiliary
        self.auxiliary_weight = auxiliary_weight
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.validation_fraction = validation_fraction
        self.selection = selection
        self.n_average = n_average
        self.image_size = image_size
        self.image_shape = image_shape
        self.value_range = value_range
        self.out_of_range = out_of_range
        self.color = color
        self.resize = resize
        self.precision = precision
        self.device = device
        self.callbacks = callbacks
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None
    ) -> Self:
        """Pretrain if there is a pretrainer, and learn the labels.

        Parameters
        ----------
        X : paths, arrays, images or rows, n of them
            As in `SelfSupervisedPretrainer`.
        y : array-like of shape (n,)
            Classes, numbers or strings; -1 marks an image without a label.
        groups : array-like of shape (n,), optional
            The patient of each image. Cross-validation passes them if they are in its
            ``params``; searches, by metadata routing after ``set_fit_request``.
        sample_weight : array-like of shape (n,), optional
            Weight of each image, at least 0.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an image, a parameter or a label is not usable; the message names it.
        NonFiniteLossError
            If a loss becomes NaN or infinite.
        KeyboardInterrupt
            On Ctrl-C. The estimator keeps the weights so far.
        """
        pretrainer = find_pretrainer(self)
        source, table = read_training_images(self, X, row_shape(self, pretrainer))
        groups = check_groups(groups, len(source))
        labelled = read_labelled(self, y, sample_weight, len(source))
        train = partial(
            fine_tune, self, pretrainer, X, source, labelled=labelled, groups=groups
        )
        return self._put(train, table)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : paths, arrays, images or rows, n of them

        Returns
        -------
        ndarray of shape (n, n_classes), float32
            In the order of ``classes_``; rows sum to 1.
        """
        return np.exp(self._log_proba(X)).astype(np.float32)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the log-odds of two classes, or the log-probability of each.

        Parameters
        ----------
        X : paths, arrays, images or rows, n of them

        Returns
        -------
        ndarray of shape (n,) for two classes, else (n, n_classes), float64
            For two classes, positive where ``classes_[1]`` is more likely.
        """
        log_p = self._log_proba(X)
        return log_p[:, 1] - log_p[:, 0] if log_p.shape[1] == 2 else log_p

    def predict(self, X: Any) -> np.ndarray:
        """Return the most likely class of each image, (n,)."""
        log_p = self._log_proba(X)  # before classes_: it checks that this is fitted
        return self.classes_[log_p.argmax(axis=1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy on the images that have a label, that is, not -1."""
        return labelled_accuracy(self.predict(X), y, sample_weight)

    def _log_proba(self, X: Any) -> np.ndarray:
        source = self._open(X)
        return self.encoder_.log_probabilities_of(source, n_jobs=self.n_jobs)
