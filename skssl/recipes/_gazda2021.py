"""Contrastive features of chest X-rays: Gazda et al. 2021."""

from collections.abc import Callable, Sequence
from numbers import Number, Real
from os import PathLike
from typing import Any

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, check_cv
from sklearn.pipeline import Pipeline
from torch import nn

from skssl._pretrain import SelfSupervisedPretrainer
from skssl._random import RandomState
from skssl.pretext import SimCLR
from skssl.recipes._budget import Budget, get_budget
from skssl.recipes._features_pipeline import FeaturesPipeline, PatientFolds
from skssl.recipes._start import as_stage, published_weights

__all__ = ["contrastive_extractor", "contrastive_pretrainer"]


def contrastive_pretrainer(
    backbone: str | nn.Module | Callable[[], nn.Module] = "wide_resnet50_2",
    *,
    weights: Any = None,
    fraction: float = 1.0,
    budget: str | Budget = "full",
    random_state: RandomState = None,
) -> SelfSupervisedPretrainer:
    """Return the contrastive pretraining of Gazda et al. 2021.

    Parameters
    ----------
    backbone : str, Module or callable, default="wide_resnet50_2"
    weights : optional
        As in `SelfSupervisedPretrainer`; the paper starts from random weights.
    fraction : float, default=1.0
        Fraction of the images to pretrain on, in (0, 1]; of the patients if ``fit``
        gets ``groups``. The paper uses 0.01, 0.1 and 1.
    budget : {"full", "medium", "small", "tiny"} or Budget, default="full"
        Fraction of the epochs, and limit on the image size.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    SelfSupervisedPretrainer
        Not fitted.

    Notes
    -----
    As published: SimCLR with τ = 0.5, a projector with layers of 2048 units (with bias)
    and 128 units (without); Adam at 5e-4, batches of 128, 100 epochs; the augmentation
    "contrastive_xray".

    **Choices** where the paper gives no value: 224 px, a constant learning rate without
    warm-up, no weight decay.

    References
    ----------
    .. [1] M. Gazda, J. Plavka, J. Gazda, P. Drotár. "Self-Supervised Deep Convolutional
       Neural Network for Chest X-Ray Classification", IEEE Access 2021.
       :doi:`10.1109/ACCESS.2021.3125324`

    Examples
    --------
    >>> from skssl.recipes import contrastive_pretrainer
    >>> contrastive_pretrainer(fraction=0.1).pretext.temperature
    0.5
    """
    budget = get_budget(budget)
    return SelfSupervisedPretrainer(
        SimCLR(
            temperature=0.5,
            hidden_size=2048,
            projection_size=128,
            normalize_output=False,
            augmentation="contrastive_xray",
        ),
        backbone=backbone,
        weights=published_weights(weights, backbone),
        image_size=budget.pretext_px(224, backbone),
        fraction=fraction,
        max_epochs=budget.n_epochs(100),
        batch_size=128,
        optimizer="adam",
        lr=5e-4,
        weight_decay=0.0,
        schedule="constant",
        warmup_epochs=0,
        random_state=random_state,
    )


def contrastive_extractor(
    backbone: str | nn.Module | Callable[[], nn.Module] = "wide_resnet50_2",
    *,
    external: Any = None,
    weights: Any = None,
    fraction: float = 1.0,
    Cs: Sequence[float] = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0),
    cv: Any = None,
    budget: str | Budget = "full",
    random_state: RandomState = None,
) -> Pipeline:
    """Return the classifier of Gazda et al. 2021: fixed features, logistic regression.

    Parameters
    ----------
    backbone : str, Module or callable, default="wide_resnet50_2"
        Ignored if ``external`` is a fitted pretrainer.
    external : fitted pretrainer, FrozenEstimator, str or Path, optional
        The pretraining that gives the features, on other images; the paper uses
        CheXpert. Either ``contrastive_pretrainer(...)`` fitted to them, or a file of
        its weights; in a file, a ResNet must have torchvision's stem, as it has for
        images of 64 px or more. Default: pretrain on the images of ``fit``.
    weights, fraction
        Of the pretraining in ``fit``, as in `contrastive_pretrainer`.
    Cs : sequence of float, default=(0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
        Inverse regularisation strengths; the one with the highest AUC is selected.
    cv : int, splitter or None, default=None
        Folds for that selection. None is five folds that keep patients together and
        need ``fit(X, y, groups=patients)``. Use ``StratifiedKFold(5)`` for a set
        without patients.
    budget : {"full", "medium", "small", "tiny"} or Budget, default="full"
        Fraction of the epochs, and limit on the image size.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    Pipeline
        Not fitted; its steps are ``ssl``, the features, and ``clf``, a `GridSearchCV`
        over C. ``groups`` in ``fit`` go to both; labels, patients and folds are
        validated before the pretraining.

    Raises
    ------
    TypeError
        If ``external`` is neither a fitted pretrainer nor a path.
    ValueError
        If ``external`` is given together with settings of a pretraining, or if ``Cs``
        or ``cv`` is invalid.

    Notes
    -----
    As published: logistic regression with class weights inverse to the class
    frequencies, C selected by AUC; for more than two classes, by the mean AUC of each
    class against the rest.

    All values of C use the features of one pretraining. Without ``external``, this
    pretraining sees the images of all inner folds, without their labels.

    With metadata routing enabled, request the patients for the pretraining by
    ``pipe.named_steps["ssl"].set_fit_request(groups=True)``, and call
    ``fit(X, y, groups=patients)``.

    **Choices**: the paper names both stratified folds and a validation set; here C is
    selected in five folds of the training images.

    Differences: up to 5,000 iterations of the solver, since scikit-learn's default of
    100 does not converge on 2,048 features.

    References
    ----------
    .. [1] M. Gazda, J. Plavka, J. Gazda, P. Drotár. "Self-Supervised Deep Convolutional
       Neural Network for Chest X-Ray Classification", IEEE Access 2021.
       :doi:`10.1109/ACCESS.2021.3125324`

    Examples
    --------
    >>> from skssl.recipes import contrastive_extractor
    >>> pipe = contrastive_extractor(budget="small", random_state=0)
    >>> pipe.named_steps["clf"].param_grid
    {'C': [0.01, 0.05, 0.1, 0.2, 0.5, 1.0]}
    """
    if external is not None and (weights is not None or fraction != 1):
        raise ValueError(
            "weights and fraction configure a pretraining, but external is already "
            "pretrained: set them in contrastive_pretrainer(...) instead."
        )
    _check_cs(Cs)
    check_cv(cv)
    ssl: Any
    if external is None or isinstance(external, (str, PathLike)):
        ssl = contrastive_pretrainer(
            backbone,
            weights=weights if external is None else external,
            fraction=fraction,
            budget=budget,
            random_state=random_state,
        )
        if external is not None:
            ssl.set_params(max_epochs=0)
    else:
        ssl = as_stage(external, "contrastive_pretrainer")
    search = GridSearchCV(
        LogisticRegression(class_weight="balanced", max_iter=5000),
        {"C": list(Cs)},
        scoring="roc_auc_ovr",  # the ordinary AUC for two classes
        cv=PatientFolds(5) if cv is None else cv,
        error_score="raise",
    )
    return FeaturesPipeline([("ssl", ssl), ("clf", search)])


def _check_cs(Cs: Any) -> None:
    """Raise ValueError if Cs is not a sequence of numbers above 0."""
    values = [] if isinstance(Cs, (Number, str)) or Cs is None else list(Cs)
    if not values or not all(isinstance(C, Real) and float(C) > 0 for C in values):
        raise ValueError(f"Cs must be a sequence of numbers above 0, got {Cs!r}.")
