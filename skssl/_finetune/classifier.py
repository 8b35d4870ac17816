"""FineTuneClassifier: fine-tune a pretrained network as a classifier."""

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy.special import log_softmax, logsumexp
from sklearn.base import ClassifierMixin
from sklearn.frozen import FrozenEstimator
from torch import nn

from skssl._estimator import IMAGE_PARAMETERS, ImageEstimator, read_training_images
from skssl._finetune.choices import auxiliary_task
from skssl._finetune.fine_tune import FineTuned, fine_tune
from skssl._finetune.labelled import read_labelled
from skssl._finetune.start import find_pretrainer, row_shape
from skssl._labels import check_groups
from skssl._pretrain import SelfSupervisedPretrainer
from skssl._random import RandomState
from skssl._sklearn import HasMethods, Interval, StrOptions, fit_context
from skssl._targeted import TargetedPretrainer
from skssl.augment import Augmentation, get_recipe
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
        Without ``pretrainer``: as in `SelfSupervisedPretrainer`.
    head : {"auto", "linear", "mlp"}, default="auto"
        What maps features to classes: one linear layer, or batch normalisation, a
        hidden layer with ReLU, dropout and a linear layer. "auto" continues with the
        head of a `TargetedPretrainer`, and is "linear" otherwise.
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
        features. Each training image is shown in one version, chosen at random, and
        both losses are added (Method 4 of He, Yang et al.). New images are not changed.
        Labels are then learned from all versions: do not use "flip" for labels that
        depend on the side.
    auxiliary_weight : float, default=1.0
        Factor on its loss, at least 0.
    class_weight : dict, "balanced" or None, default=None
        As in scikit-learn.
    label_smoothing : float, default=0.0
        Fraction of the target that is spread evenly over all classes, in [0, 1).
    validation_fraction : float or splitter, default=0.0
        Fraction of the labelled images, in [0, 0.5], that is held out and scored after
        each epoch: stratified, and whole patients if ``groups`` is given (then it
        becomes the nearest of 1/2, 1/3, 1/4 and so on). A scikit-learn splitter
        provides its first split of the labelled images.
    selection : {"last", "best", "average_last_k"}, default="last"
        Which weights are kept: the last; those of the epoch with the highest validation
        accuracy over all phases (of several, the lowest validation loss); or those of
        the last ``n_average`` epochs, as an ensemble whose probabilities are averaged.
        (Li et al. [3]_ average the metrics of their last 10 epochs instead; to do that,
        evaluate each of ``networks_``.)
    n_average : int, default=10
        Counted back from the last epoch, over all phases; at most as many as there are.
    image_size, image_shape, value_range, out_of_range, color, resize
        As in `SelfSupervisedPretrainer`. With a pretrainer, all but ``image_size`` are
        the pretrainer's, as is ``image_size`` if it is None.
    precision, device, callbacks, n_jobs, verbose
        As in `SelfSupervisedPretrainer`.
    random_state : int, RandomState, Generator or None, default=None
        As in `SelfSupervisedPretrainer`. A pretrainer with None gets a seed from it.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    encoder_ : Encoder
        How images are read, and the classifiers.
    pretrainer_ : pretrainer
        The fitted one.
    backbone_ : Backbone
        Of the classifier that is kept, or of the last one; in eval mode.
    head_ : ClassifierHead
    networks_ : ModuleList of Classifier
        One, or up to ``n_average``.
    phases_ : list of Phase
    n_trainable_ : list of int
        Number of weights that each phase trained.
    history_ : list of dict
        Per epoch: ``phase``, ``epoch``, ``loss`` (the minimised one, with weights,
        smoothing and the auxiliary loss), ``accuracy`` (of the training views), ``lr``,
        ``images_per_second``, ``seconds``; with a validation split ``val_loss`` (the
        plain cross-entropy) and ``val_accuracy``, whose time is part of ``seconds``.
    selected_epochs_ : list of int
        The epochs whose weights were kept; with "last" the last one of each phase.
    n_iter_ : int
        Epochs run.
    sample_indices_, validation_indices_ : ndarray of int
        Rows of X whose labels were learned, and those that were held out.
    image_shape_, image_size_, value_range_, device_, precision_, n_features_in_
        As in `SelfSupervisedPretrainer`.

    Notes
    -----
    Rows with y = -1 are unlabelled, as in ``sklearn.semi_supervised``: only the
    pretrainer sees them. It never sees a validation patient, and neither do the value
    range and the normalisation of the pixels, so with ``selection="last"`` held-out
    images do not influence the weights. With "best" they only choose the epoch. (The
    stratified split itself uses all labels; a splitter need not.)

    Each image has the weight ``sample_weight`` times its ``class_weight``, scaled to a
    mean of 1; "balanced" uses the training split alone. The mean over a batch is over
    the images, not the weights. Images of ``sample_weight`` 0 count as unlabelled.

    Ewen & Khan [1]_ fine-tune without augmentation and keep the most accurate epoch,
    according to their notebook on the test folder. Here no evaluated row chooses the
    epoch: their procedure is ``phases="ewen2020", augmentation="identity",
    selection="best", validation_fraction=0.2``.

    With several ``networks_``, `transform` returns the mean of their features.

    References
    ----------
    .. [1] N. Ewen, N. Khan. "Targeted Self Supervision for Classification on a Small
       COVID-19 CT Scan Dataset", 2020. :doi:`10.48550/arXiv.2011.10188`
    .. [2] X. He, X. Yang, et al. "Sample-Efficient Deep Learning for COVID-19
       Diagnosis Based on CT Scans", 2020. :doi:`10.1101/2020.04.13.20063941`
    .. [3] G. Li, R. Togo, T. Ogawa, M. Haseyama. "COVID-19 Detection Based on
       Self-Supervised Transfer Learning Using Chest X-Ray Images", 2023.
       :doi:`10.1007/s11548-022-02813-x`

    Examples
    --------
    >>> from skssl import FineTuneClassifier, Phase, SelfSupervisedPretrainer
    >>> from skssl.datasets import make_scan_phantoms
    >>> from skssl.testing import tiny_cnn
    >>> scans = make_scan_phantoms(6, image_size=32, random_state=0)
    >>> ssl = SelfSupervisedPretrainer(backbone=tiny_cnn, max_epochs=1)
    >>> clf = FineTuneClassifier(ssl, phases=[Phase(epochs=2)], random_state=0)
    >>> clf = clf.fit(scans.data, scans.target, groups=scans.groups)
    >>> clf.predict_proba(scans.data[:3]).shape
    (3, 2)
    """

    _makers: ClassVar[dict[str, Callable]] = {
        "augmentation": get_recipe,
        "auxiliary": auxiliary_task,
    }
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "pretrainer": [
            SelfSupervisedPretrainer,
            TargetedPretrainer,
            FrozenEstimator,
            None,
        ],
        "backbone": [str, nn.Module, callable, None],
        "head": [StrOptions({"auto", "linear", "mlp"})],
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "frozen": ["boolean"],
        "phases": [str, list, tuple],
        "augmentation": [str, Augmentation],
        "auxiliary": [str, WhichViewTask, None],
        "auxiliary_weight": [Interval(Real, 0, None, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "validation_fraction": [
            Interval(Real, 0, 0.5, closed="both"),
            HasMethods("split"),
        ],
        "selection": [StrOptions({"last", "best", "average_last_k"})],
        "n_average": [Interval(Integral, 1, None, closed="left")],
        **IMAGE_PARAMETERS,
    }

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
            The patient of each image, kept on one side of the validation split and
            passed to the pretrainer. A cross-validation passes them if they are in its
            ``params``, or by metadata routing after ``set_fit_request(groups=True)``; a
            search by routing.
        sample_weight : array-like of shape (n,), optional
            Weight of each image, at least 0.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an image, a parameter, ``y``, ``groups`` or ``sample_weight`` is not
            usable; the message names it.
        NonFiniteLossError
            If a loss becomes NaN or infinite.
        KeyboardInterrupt
            On Ctrl-C. The estimator keeps the weights so far, also those of an
            interrupted pretraining.
        """
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        pretrainer = find_pretrainer(self)
        source, table = read_training_images(self, X, row_shape(self, pretrainer))
        groups = check_groups(groups, len(source))
        labelled = read_labelled(y, sample_weight, len(source))

        def train() -> FineTuned:
            return fine_tune(
                self, pretrainer, X, source, labelled=labelled, groups=groups
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
        """Return the most likely class of each image.

        Parameters
        ----------
        X : paths, arrays, images or rows, n of them

        Returns
        -------
        ndarray of shape (n,)
        """
        return self.classes_[self._log_proba(X).argmax(axis=1)]

    def _log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of the mean probability, (n, n_classes) float64."""
        source = self._open(X)
        logits = self.encoder_.logits_of(source, n_jobs=self.n_jobs)
        # In float64, so that no probability depends on the image's place in the batch.
        log_p = log_softmax(logits.astype(np.float64), axis=2)
        return logsumexp(log_p, axis=1) - np.log(logits.shape[1])
