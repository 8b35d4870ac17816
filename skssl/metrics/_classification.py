"""Figures of a test for a disease, of decisions and of scores."""

from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_array

from skssl._sklearn import check_sample_weight
from skssl._warn import warn
from skssl.metrics._inputs import check_columns, check_scores, is_class, undefined


def sensitivity_score(
    y_true: Any,
    y_pred: Any,
    *,
    pos_label: Any = 1,
    sample_weight: Any = None,
    zero_division: float | str = "warn",
) -> float:
    """Return the share of a class that is recognised (recall, true positive rate).

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        Classes and predictions, of two or more classes.
    pos_label : label, default=1
        The class that is looked for, against all others.
    sample_weight : array-like of shape (n,), optional
    zero_division : float or "warn", default="warn"
        What is returned if the class does not occur. "warn" is 0 with an
        ``UndefinedMetricWarning``, as in scikit-learn.

    Returns
    -------
    float in [0, 1]

    Raises
    ------
    ValueError
        If lengths differ, or ``pos_label`` is none of several labels.

    Examples
    --------
    >>> y, told = ["covid", "covid", "other"], ["covid", "other", "other"]
    >>> sensitivity_score(y, told, pos_label="covid")
    0.5
    """
    truth, told = is_class(pos_label, y_true, y_pred)
    return _share(truth, told, "sensitivity", sample_weight, zero_division)


def specificity_score(
    y_true: Any,
    y_pred: Any,
    *,
    pos_label: Any = 1,
    sample_weight: Any = None,
    zero_division: float | str = "warn",
) -> float:
    """Return the share of the other classes that is not taken for the class.

    The true negative rate; parameters, returned value and errors are those of
    `sensitivity_score`.

    Examples
    --------
    >>> specificity_score([1, 0, 0, 0], [1, 1, 0, 0]).__round__(3)
    0.667
    """
    truth, told = is_class(pos_label, y_true, y_pred)
    return _share(~truth, ~told, "specificity", sample_weight, zero_division)


def harmonic_mean_score(
    y_true: Any,
    y_pred: Any,
    *,
    pos_label: Any = 1,
    sample_weight: Any = None,
    zero_division: float | str = "warn",
) -> float:
    """Return the harmonic mean (HM) of sensitivity and specificity.

    It is low if either is: 2 se sp / (se + sp), and 0 if both are. Parameters and
    errors are those of `sensitivity_score`.

    References
    ----------
    .. [1] G. Li, R. Togo, T. Ogawa, M. Haseyama. "COVID-19 Detection Based on
       Self-Supervised Transfer Learning Using Chest X-Ray Images", 2023.
       :doi:`10.1007/s11548-022-02813-x`

    Examples
    --------
    >>> harmonic_mean_score([1, 1, 0, 0], [1, 0, 0, 0]).__round__(3)
    0.667
    """
    options = {
        "pos_label": pos_label,
        "sample_weight": sample_weight,
        "zero_division": zero_division,
    }
    both = (
        sensitivity_score(y_true, y_pred, **options),
        specificity_score(y_true, y_pred, **options),
    )
    return 2 * both[0] * both[1] / sum(both) if sum(both) else 0.0


def sensitivity_at_specificity(
    y_true: Any,
    y_score: Any,
    *,
    specificity: float = 0.9,
    pos_label: Any = 1,
) -> float:
    """Return the highest sensitivity of the thresholds that are specific enough.

    Parameters
    ----------
    y_true : array-like of shape (n,)
    y_score : array-like of shape (n,)
        Higher for ``pos_label``.
    specificity : float, default=0.9
        Which a threshold must reach, in [0, 1]. There is no interpolation between
        thresholds.
    pos_label : label, default=1
        Against all others.

    Returns
    -------
    float in [0, 1]
        NaN, with an ``UndefinedMetricWarning``, if one of the two is missing.

    Raises
    ------
    ValueError
        If lengths differ, a score is not finite, or a parameter out of range.

    Examples
    --------
    >>> y, scores = [0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.6, 0.5, 0.7, 0.9]
    >>> sensitivity_at_specificity(y, scores, specificity=1.0).__round__(3)
    0.667
    >>> sensitivity_at_specificity(y, scores, specificity=0.6)
    1.0
    """
    if not 0 <= specificity <= 1:
        raise ValueError(f"specificity must be in [0, 1], got {specificity}.")
    (truth,) = is_class(pos_label, y_true)
    scores = check_scores(y_score, len(truth))
    if truth.all() or not truth.any():
        return undefined("with one class only there is no sensitivity at a specificity")
    return best_sensitivity(truth, scores, specificity)


def best_sensitivity(
    positive: np.ndarray, scores: np.ndarray, specificity: float
) -> float:
    """Return the sensitivity right above the rows of the rest that must lie below."""
    rest = np.sort(scores[~positive])
    if len(rest) == 0 or len(rest) == len(scores):
        return float("nan")
    n_below = int(np.ceil(specificity * len(rest) - 1e-9))  # of 0.9 * 10 = 9.000…2
    threshold = rest[n_below - 1] if n_below else -np.inf
    return float(np.mean(scores[positive] > threshold))


def expected_calibration_error(
    y_true: Any,
    y_prob: Any,
    *,
    n_bins: int = 10,
    strategy: str = "uniform",
    pos_label: Any = 1,
    labels: Any = None,
    sample_weight: Any = None,
) -> float:
    r"""Return how far probabilities are from frequencies, on average.

    .. math:: \text{ECE} = \sum_b \frac{w_b}{\sum w} \, |\bar y_b - \bar p_b|

    over bins b of images with like probabilities, where :math:`\bar p` is the mean
    probability and :math:`\bar y` the share that is right.

    Parameters
    ----------
    y_true : array-like of shape (n,)
    y_prob : array-like of shape (n,) or (n, n_classes)
        The probability of ``pos_label``; or of each class: then the largest one is
        looked at, and whether its class is right (Guo et al.). For two classes these
        are different figures.
    n_bins : int, default=10
        At least 1.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width in [0, 1], or of about equal numbers of images.
    pos_label : label, default=1
        For one probability a row.
    labels : array-like of shape (n_classes,), optional
        The classes of the columns, such as ``classes_``. Default: those of ``y_true``,
        sorted.
    sample_weight : array-like of shape (n,), optional

    Returns
    -------
    float in [0, 1]

    Raises
    ------
    ValueError
        If lengths differ, a probability is not in [0, 1], or a parameter out of range.

    Notes
    -----
    Bins are closed on the right, but the first one also on the left. With few images a
    bin is far from its mean by chance, so the figure is biased upwards: compare it on
    equal numbers of images and bins.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Weinberger. "On Calibration of Modern Neural
       Networks", 2017. :doi:`10.48550/arXiv.1706.04599`

    Examples
    --------
    >>> expected_calibration_error([0, 0, 1, 1], [0.2, 0.2, 0.6, 0.6]).__round__(3)
    0.3
    """
    if n_bins < 1 or strategy not in ("uniform", "quantile"):
        raise ValueError(
            "n_bins must be at least 1 and strategy 'uniform' or 'quantile', got "
            f"{n_bins} and {strategy!r}."
        )
    y_prob = check_array(y_prob, ensure_2d=False, dtype=np.float64, input_name="y_prob")
    if y_prob.min() < 0 or y_prob.max() > 1:
        raise ValueError("y_prob must hold probabilities, in [0, 1].")
    if y_prob.ndim == 2:
        right, p = _largest(np.asarray(y_true), y_prob, labels)
    else:
        (right,) = is_class(pos_label, y_true)
        p = check_scores(y_prob, len(right), "y_prob")
    weight = check_sample_weight(sample_weight, p, ensure_non_negative=True)
    edges = np.linspace(0, 1, n_bins + 1)
    if strategy == "quantile":
        edges = np.quantile(p, edges)
    bins = np.searchsorted(edges[1:-1], p, side="left")
    of_bin = [
        np.bincount(bins, weight * values, minlength=n_bins) for values in (right, p)
    ]
    return float(np.abs(of_bin[0] - of_bin[1]).sum() / weight.sum())


def _largest(
    y_true: np.ndarray, y_prob: np.ndarray, labels: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return whether the most likely class is right, and its probability."""
    classes = check_columns(y_true, y_prob, labels, "y_prob")
    return classes[y_prob.argmax(axis=1)] == y_true, y_prob.max(axis=1)


def _share(
    of: np.ndarray,
    told: np.ndarray,
    name: str,
    sample_weight: Any,
    zero_division: float | str,
) -> float:
    """Return the weighted share of the rows ``of`` that are ``told``."""
    weight = check_sample_weight(sample_weight, of, ensure_non_negative=True)
    total = weight[of].sum()
    if total > 0:
        return float(weight[of & told].sum() / total)
    if zero_division == "warn":
        warn(
            UndefinedMetricWarning(
                f"{name} is not defined, since there are no such rows: it is set to 0. "
                "Use zero_division to control this."
            )
        )
        return 0.0
    return float(zero_division)
