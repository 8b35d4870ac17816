"""The expected calibration error of predicted probabilities.

C. Guo, G. Pleiss, Y. Sun, K. Weinberger, 2017.
"""

from typing import Any

import numpy as np
from sklearn.utils import check_array

from skssl._sklearn import check_sample_weight
from skssl.metrics._inputs import check_columns, check_scores, is_positive


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
    r"""Return the expected calibration error (ECE) of predicted probabilities.

    .. math:: \text{ECE} = \sum_b \frac{w_b}{\sum w} \, |\bar y_b - \bar p_b|

    Bins b group images of similar probability; :math:`\bar p_b` is the mean probability
    and :math:`\bar y_b` the fraction of positive (or correctly predicted) images.

    Parameters
    ----------
    y_true : array-like of shape (n,)
    y_prob : array-like of shape (n,) or (n, n_classes)
        The probability of ``pos_label``, or of each class. With a column per class, the
        largest probability is compared with the accuracy, as in Guo et al.; for two
        classes the two forms give different values.
    n_bins : int, default=10
        At least 1.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width in [0, 1], or with about equal numbers of images.
    pos_label : label, default=1
        The positive class, for probabilities of shape (n,).
    labels : array-like of shape (n_classes,), optional
        The classes of the columns, such as ``classes_``. Default: those of ``y_true``,
        sorted.
    sample_weight : array-like of shape (n,), optional
        Not negative.

    Returns
    -------
    float in [0, 1]

    Raises
    ------
    ValueError
        If lengths differ, a probability is not in [0, 1], or a parameter is out of
        range.

    Notes
    -----
    Bins are closed on the right; the first one is also closed on the left. With few
    images per bin the error is biased upwards by chance: compare values only for equal
    numbers of images and bins.

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
            "n_bins must be at least 1 and strategy must be 'uniform' or 'quantile', "
            f"got n_bins={n_bins} and strategy={strategy!r}."
        )
    y_prob = check_array(y_prob, ensure_2d=False, dtype=np.float64, input_name="y_prob")
    if y_prob.min() < 0 or y_prob.max() > 1:
        raise ValueError(
            f"y_prob must hold probabilities in [0, 1], got values from {y_prob.min()} "
            f"to {y_prob.max()}."
        )
    if y_prob.ndim == 2:
        correct, p = _top_class(np.asarray(y_true), y_prob, labels)
    else:
        (correct,) = is_positive(pos_label, y_true=y_true)
        p = check_scores(y_prob, len(correct), "y_prob")
    weight = check_sample_weight(sample_weight, p, ensure_non_negative=True)
    edges = np.linspace(0, 1, n_bins + 1)
    if strategy == "quantile":
        edges = np.quantile(p, edges)
    bins = np.searchsorted(edges[1:-1], p, side="left")
    n_correct = np.bincount(bins, weight * correct, minlength=n_bins)
    n_expected = np.bincount(bins, weight * p, minlength=n_bins)
    return float(np.abs(n_correct - n_expected).sum() / weight.sum())


def _top_class(
    y_true: np.ndarray, y_prob: np.ndarray, labels: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return whether the most likely class is correct, and its probability."""
    classes = check_columns(y_true, y_prob, labels, "y_prob")
    return classes[y_prob.argmax(axis=1)] == y_true, y_prob.max(axis=1)
