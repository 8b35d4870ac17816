"""SelfSupervisedPretrainer: pretrain a backbone without labels, use it as features."""

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import torch
from torch import nn

from skssl._cache import CACHE_CONSTRAINT, remember
from skssl._estimator import IMAGE_PARAMETERS, ImageEstimator, read_training_images
from skssl._labels import check_groups, check_labels
from skssl._pretrain.pretrain import Pretrained, pretrain
from skssl._pretrain.probe import Probe
from skssl._random import RandomState
from skssl._sklearn import HasMethods, Interval, StrOptions, fit_context
from skssl.data import Color, Resize
from skssl.pretext import PretextTask, get_pretext


class SelfSupervisedPretrainer(ImageEstimator):
    """Pretrain a backbone on images without labels; transform images to features.

    Parameters
    ----------
    pretext : str or PretextTask, default="simclr"
        The self-supervised objective: a name from ``skssl.pretext.list_pretexts()`` or
        a task such as ``MoCo(queue_size=512)``. Its parameters can be searched as
        ``pretext__queue_size``; setting one on a name creates the task.
    backbone : str, Module or callable, default="resnet18"
        Name of a network of torchvision, "timm/NAME", "crnet", "vit_tiny", "vit_small";
        a module that maps (n, C, H, W) to (n, d) or (n, d, h, w), which is copied; or a
        callable that returns one. See `skssl.nn.build_backbone`.
    weights : str, Path, WeightsFile, FrozenEstimator or None, default=None
        Initial weights: None is random, "pretrained" those of torchvision or timm, a
        path a file, "own" those of a module, and ``FrozenEstimator(fitted)`` those of
        another pretrainer, to chain stages.
    stem : {"auto", "imagenet", "small", "cifar"}, default="auto"
        First layers of a ResNet: "imagenet" is 7 × 7 with stride 2 and max-pooling,
        "small" 3 × 3 with stride 1 and max-pooling, "cifar" 3 × 3 without pooling.
        "auto" is "small" for images below 64 px without ``weights``.
    image_size : int or (height, width), optional
        Size of the images that the backbone gets, pixels. Default: the size of the
        images if they all have the same, of at most 224 px; else 224.
    image_shape : (H, W), (H, W, C), "flat" or None, default=None
        How rows of a 2-D X fold into images: None folds perfect squares, "flat" takes
        rows as 1 × p images. For other X, it allows C to be above 4.
    value_range : (low, high), "auto", "image", "bits" or "window", default="auto"
        Values of non-uint8 images that become black and white: "auto" is the minimum
        and maximum of the training images; "image" those of each image; "bits" what its
        bits can hold; "window" (or "window:K", from 0) a window of its DICOM file.
    out_of_range : {"auto", "raise", "clip"}, default="auto"
        For values outside a given ``value_range``. "auto" clips integers, DICOM files
        and volumes, for which it is a window, and refuses other floats, which are then
        probably scaled differently than assumed.
    color : {"auto", "gray", "rgb"}, default="auto"
        Channels. "auto" keeps those of arrays; files become RGB if most of the training
        files are coloured, else gray. The other two convert.
    resize : {"squash", "crop", "pad"}, default="squash"
        How images of another aspect ratio are resized.
    fraction : float, default=1.0
        Fraction of the images to pretrain on, in (0, 1]; of the patients if ``groups``
        is given. With one ``random_state``, larger fractions contain smaller ones.
    max_epochs : int, optional
        Default: as many as make 1,000 steps, but 10 to 200. 0 leaves the network
        untrained, as the control that every pretraining should beat.
    batch_size : int, optional
        Images per step, at least 2. Default: the power of two up to n/16, but 16 to
        256; on a CPU at most as many as have 0.4 million pixels together, or 8.
    optimizer : {"auto", "sgd", "adam", "adamw", "rmsprop"} or callable, default="auto"
        "auto" is the pretext's ``default_optimizer``. See `skssl.Phase` for the others.
    lr : float, optional
        Peak learning rate. Default: the pretext's with ``optimizer="auto"``, else 0.03
        for SGD, 5e-4 for Adam, 1e-4 for RMSprop, 1e-3 for others.
    weight_decay : float, default=1e-4
        Not applied to biases and normalisation layers.
    layer_decay : float, default=1.0
        Factor between the learning rates of a block of the backbone and the next one,
        or the heads of the pretext; in (0, 1].
    trainable : {"all", "last:K", "norms"}, default="all"
        What is trained beside the heads of the pretext: the backbone, its last K blocks
        (`skssl.nn.blocks`), or its normalisation layers.
    schedule : {"cosine", "constant"} or callable, default="cosine"
        Factor on ``lr`` as a function of (progress, warmup), both fractions in [0, 1].
    warmup_epochs : int, optional
        Epochs of linear warm-up. Default: 5 % of the epochs, at most 10.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Number format of the training. "auto" is bfloat16 autocast where the hardware
        supports it: CUDA, and CPUs with AMX or AVX512-BF16 for images of at least
        32 px in height and width. Features are float32.
    transform_precision : {"float32", "bfloat16"}, default="float32"
        Of ``transform``. bfloat16 is faster where training in it is; it changed the
        features of three networks by 0.4 % of their norm.
    device : str or torch.device, default="auto"
        "auto" is a CUDA device if there is one, else the CPU.
    select : {"last", "rankme", "probe"} or callable, default="last"
        Which epoch's weights are kept: the last, or that with the highest effective
        rank of the features or score of ``probe``. A callable maps a row of
        ``history_`` to a number, and the highest wins; None skips the epoch.
    probe : Probe, estimator or None, default=None
        Evaluates frozen features by cross-validation every few epochs, if `fit` gets
        y. A bare estimator means ``Probe(estimator)``.
    callbacks : list of skorch callbacks, optional
        Called with the net, whose history has the keys of ``history_``, for example
        ``EarlyStopping(monitor="loss")``. Learning rates are set by ``schedule``.
    keep_module : bool, default=False
        Keep heads, copies and queue as ``pretext_module_``.
    cache : str, Path, DiskCache or None, default=None
        Directory in which trainings and features are stored, so that a search over
        later steps, or a run that was killed, computes neither twice. The bits are the
        same. It requires an int as ``random_state``. See `DiskCache`.
    n_jobs : int or None, default=-1
        Threads that decode images.
    random_state : int, RandomState, Generator or None, default=None
        None takes fresh entropy. numpy's and torch's global generators are not used.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    encoder_ : Encoder
        How images are read, and the pretrained network.
    backbone_ : Backbone
        The network of ``encoder_``, in eval mode; maps (n, C, H, W) float in [0, 1] to
        (n, n_features). ``backbone_.network.state_dict()`` has torchvision's layout.
    pretext_ : PretextTask
        The task with all open choices resolved.
    pretext_module_ : PretextModule
        With ``keep_module``.
    history_ : list of dict
        Per epoch: ``epoch``, ``loss``, ``lr``, ``images_per_second``, ``seconds``;
        monitors of the features of up to 128 training images: ``feature_std`` (mean
        standard deviation of unit-norm features × √d), ``rankme`` (effective rank),
        ``alignment`` (with one fixed view of each) and ``uniformity``; and, for epochs
        with a probe, ``probe_score`` and ``probe_std``, mean and standard deviation
        over its folds.
    n_iter_, max_epochs_, batch_size_, warmup_epochs_ : int
        Epochs run, and the settings used.
    selected_epoch_ : int
        The epoch whose weights were kept; with "last" the last complete one.
    initial_probe_score_ : float
        With ``probe``: the score before training.
    image_shape_, image_size_ : (H, W, C), (height, width)
        Of the training images, with None where sizes vary, and of the backbone's input.
    value_range_ : (low, high), str or None
        None if it was not given and all training images are uint8.
    sample_indices_ : ndarray of int
        Rows of X that pretraining used.
    lr_ : float
        Peak learning rate.
    device_, precision_, optimizer_ : str
        The ones used; ``optimizer_`` is the callable if one was given.
    n_features_in_ : int
        Only if X is 2-D.

    Notes
    -----
    The same ``random_state`` on the same machine, with the same number of threads,
    gives the same bits. Threads of one process train one after the other, since torch's
    global generators belong to the process: parallel searches need processes.

    Examples
    --------
    >>> from skssl import SelfSupervisedPretrainer
    >>> from skssl.datasets import make_scan_phantoms
    >>> scans = make_scan_phantoms(8, image_size=32, random_state=0)
    >>> ssl = SelfSupervisedPretrainer(max_epochs=1, random_state=0).fit(scans.data)
    >>> ssl.transform(scans.data[:3]).shape
    (3, 512)
    """

    _makers: ClassVar[dict[str, Callable]] = {"pretext": get_pretext}
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "pretext": [str, PretextTask],
        "backbone": [str, nn.Module, callable],
        **IMAGE_PARAMETERS,
        "fraction": [Interval(Real, 0, 1, closed="right")],
        "max_epochs": [Interval(Integral, 0, None, closed="left"), None],
        "batch_size": [Interval(Integral, 2, None, closed="left"), None],
        "optimizer": [str, callable],
        "lr": [Interval(Real, 0, None, closed="neither"), None],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "layer_decay": [Interval(Real, 0, 1, closed="right")],
        "trainable": [str],
        "transform_precision": [StrOptions({"float32", "bfloat16"})],
        "schedule": [str, callable],
        "warmup_epochs": [Interval(Integral, 0, None, closed="left"), None],
        "select": [StrOptions({"last", "rankme", "probe"}), callable],
        "probe": [HasMethods("fit"), Probe, None],
        "keep_module": ["boolean"],
        "cache": CACHE_CONSTRAINT,
    }

    def __init__(
        self,
        pretext: str | PretextTask = "simclr",
        *,
        backbone: str | nn.Module | Callable[[], nn.Module] = "resnet18",
        weights: Any = None,
        stem: str = "auto",
        image_size: int | Sequence[int] | None = None,
        image_shape: Sequence[int] | str | None = None,
        value_range: Sequence[float] | str = "auto",
        out_of_range: str = "auto",
        color: Color = "auto",
        resize: Resize = "squash",
        fraction: float = 1.0,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        optimizer: str | Callable[..., torch.optim.Optimizer] = "auto",
        lr: float | None = None,
        weight_decay: float = 1e-4,
        layer_decay: float = 1.0,
        trainable: str = "all",
        schedule: str | Callable[..., float] = "cosine",
        warmup_epochs: int | None = None,
        precision: str = "auto",
        transform_precision: str = "float32",
        device: str | torch.device = "auto",
        select: str | Callable[[dict[str, float]], float | None] = "last",
        probe: Any = None,
        callbacks: list | None = None,
        keep_module: bool = False,
        cache: Any = None,
        n_jobs: int | None = -1,
        random_state: RandomState = None,
        verbose: int = 0,
    ):
        self.pretext = pretext
        self.backbone = backbone
        self.weights = weights
        self.stem = stem
        self.image_size = image_size
        self.image_shape = image_shape
        self.value_range = value_range
        self.out_of_range = out_of_range
        self.color = color
        self.resize = resize
        self.fraction = fraction
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.layer_decay = layer_decay
        self.trainable = trainable
        self.schedule = schedule
        self.warmup_epochs = warmup_epochs
        self.precision = precision
        self.transform_precision = transform_precision
        self.device = device
        self.select = select
        self.probe = probe
        self.callbacks = callbacks
        self.keep_module = keep_module
        self.cache = cache
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)  # of the probe's estimator
    def fit(self, X: Any, y: Any = None, groups: Any = None) -> Self:
        """Pretrain the backbone.

        Parameters
        ----------
        X : paths, arrays, images or rows, n of them
            A sequence of str or Path; an array (n, H, W) or (n, H, W, C); a tensor
            (n, C, H, W); a sequence of arrays or PIL images of unequal size; or
            flattened rows (n, p).
        y : array-like of shape (n,), optional
            Labels, used by ``probe`` alone. -1 marks an unlabelled image (NaN if the
            probe is a regressor).
        groups : array-like of shape (n,), optional
            The patient of each image. ``fraction`` then draws whole patients, the
            folds of ``probe`` keep them together, and contrastive pretexts can use
            ``same_group``.

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
        y = None if self.probe is None else check_labels(y, len(source))

        def train() -> Pretrained:
            return pretrain(self, source, y, groups)

        return self._put(lambda: remember(self, source, y, groups, train), table)
