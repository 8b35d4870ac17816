"""Duplicates: equal pixels, similar thumbnails, neighbours in feature space.

C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.fft import dctn
from scipy.stats import rankdata

#: Maximum number of the 64 bits in which the hashes of copies differ. It is 8 or less
#: for copies recompressed at JPEG quality 20, scaled to a third or 20 % brighter.
MAX_BITS = 10
#: Minimum correlation of the thumbnails of copies, of gray values or of their ranks.
#: The correlation of values is robust to noise in flat areas, that of ranks to
#: windowing and saturation. Slices of different patients reach at most 0.992 and 0.968
#: in about 10,000 phantoms with noise, and 0.974 and 0.973 in 1,000 slices of LUNA16.
#: Images without noise, or with a common frame such as fundus photographs, may exceed
#: this.
MIN_CORRELATION = 0.995
MIN_RANK_CORRELATION = 0.985
#: Probability that neighbours are reported in a set without copies.
FALSE_ALARM = 0.05
#: Number of nearest patients from which the local density of images is estimated.
N_PATIENTS = 6

_ROUNDING = 1e-3  # error of distances computed from float32 products
_BLOCK = 512  # rows per block that is compared with all rows
_PAIRS = 8192  # pairs of thumbnails per block that is correlated

Select = Callable[[np.ndarray, np.ndarray], np.ndarray]
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, rows, similarity


def perceptual_hash(thumbnails: np.ndarray) -> np.ndarray:
    """Return the bits of Zauner's DCT hash.

    Parameters
    ----------
    thumbnails : ndarray of shape (n, 32, 32)
        Gray values.

    Returns
    -------
    ndarray of shape (n, 64), bool
        Which of the 8 × 8 lowest frequencies, without the constant terms, are above
        their median.

    Examples
    --------
    >>> ramp = np.add.outer(np.arange(32.0), np.zeros(32))
    >>> bits = perceptual_hash(np.stack([ramp, 3 * ramp + 7, -ramp]))
    >>> bool((bits[0] == bits[1]).all())
    True
    """
    low = dctn(thumbnails, axes=(1, 2), norm="ortho")[:, 1:9, 1:9]
    # Rounding must not set bits of frequencies that the image does not contain.
    scale = np.abs(thumbnails).max(axis=(1, 2))[:, None, None]
    low = np.where(np.abs(low) > 1e-5 * scale, low, 0).reshape(len(low), 64)
    return low > np.median(low, axis=1, keepdims=True)


def equal_sets(digests: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each digest that occurs more than once, by the first row."""
    _, code, counts = np.unique(digests, return_inverse=True, return_counts=True)
    by_code = np.argsort(code, kind="stable")
    sets = np.split(by_code, np.cumsum(counts)[:-1])
    return sorted((rows for rows in sets if len(rows) > 1), key=lambda r: int(r[0]))


def near_pairs(thumbnails: np.ndarray, select: Select) -> Pairs:
    """Return the pairs with similar hashes and correlated thumbnails.

    Parameters
    ----------
    thumbnails : ndarray of shape (n, 32, 32)
        Gray values; not constant.
    select : callable
        Called with arrays of rows a and b, a < b; returns which pairs are relevant.

    Returns
    -------
    a, b : ndarrays of shape (n_pairs,), int
    similarity : ndarray of shape (n_pairs,)
        The higher of the two correlations.
    """
    # The product of ±1 vectors is 64 minus two for each bit that differs.
    signs = np.where(perceptual_hash(thumbnails), 1, -1).astype(np.float32)
    found: list[Pairs] = []
    for start, products in _products(signs):
        a, b = np.nonzero(products >= 64 - 2 * MAX_BITS)
        a += start
        ordered = a < b
        a, b = a[ordered], b[ordered]
        relevant = select(a, b)
        a, b = a[relevant], b[relevant]
        for first in range(0, len(a), _PAIRS):
            block = slice(first, first + _PAIRS)
            values, ranks = _correlations(thumbnails, a[block], b[block])
            copies = (values >= MIN_CORRELATION) | (ranks >= MIN_RANK_CORRELATION)
            similarity = np.maximum(values, ranks)
            found.append((a[block][copies], b[block][copies], similarity[copies]))
    return _joined(found)


def nearest_pairs(
    features: np.ndarray, groups: np.ndarray, select: Select
) -> tuple[Pairs, float]:
    """Return pairs of different patients that are closer than expected by chance.

    Parameters
    ----------
    features : ndarray of shape (n, d)
    groups : ndarray of shape (n,), int
        The patient of each row, from 0.
    select : callable
        As for `near_pairs`.

    Returns
    -------
    pairs : tuple
        As `near_pairs` returns; the similarity is the cosine of the features after
        subtracting their mean.
    ratio : float
        The images of a pair are closer to each other than this fraction of the distance
        of either to its sixth nearest patient; in (0, 1).

    Raises
    ------
    ValueError
        If there are fewer than 7 patients, or most images have the same features.

    Notes
    -----
    Let r_m be the distance of an image to its m-th nearest other patient. If images are
    distributed uniformly within r_m, in k dimensions, (r_1 / r_m)^k is the minimum of
    m - 1 uniform random numbers, whatever the density (Facco et al. for m = 2). Its
    median gives k, and P(r_1 / r_m < t) is about (m - 1) t^k. The threshold t makes
    this 0.05 / n, so that one set without copies in twenty gives a false alarm. m is 6,
    so that an image that occurs under up to five patients is found.

    References
    ----------
    E. Facco, M. d'Errico, A. Rodriguez, A. Laio. "Estimating the intrinsic dimension
    of datasets by a minimal neighborhood information", 2017.
    :doi:`10.1038/s41598-017-11873-y`
    """
    exact = _centred(features)  # (n, d)
    h = exact.astype(np.float32)
    near = _nearest_patients(h, groups)  # (n, m), ascending
    farthest = near[:, -1]
    if np.median(farthest) < 1e-3:
        raise ValueError(
            "encoder gives images of different patients the same features, so that "
            "neighbours are not informative: it may have collapsed."
        )
    median = float(np.median(near[:, 0] / np.maximum(farthest, 1e-6)))
    median = min(max(median, 1e-6), 1 - 1e-6)
    dimension = np.log(1 - 0.5 ** (1 / (N_PATIENTS - 1))) / np.log(median)
    probability = FALSE_ALARM / (len(h) * (N_PATIENTS - 1))
    ratio = float(probability ** (1 / dimension))
    found: list[Pairs] = []
    for start, cosines in _products(h):
        stop = start + len(cosines)
        reach = ratio * np.minimum(farthest[start:stop, None], farthest)
        a, b = np.nonzero(_distance(cosines) < reach + _ROUNDING)
        cosine, limit = cosines[a, b], reach[a, b]
        a += start
        distance = np.linalg.norm(exact[a] - exact[b], axis=1) / np.sqrt(2)
        near_enough = distance < limit
        a, b, cosine = a[near_enough], b[near_enough], cosine[near_enough]
        distinct = (a < b) & (groups[a] != groups[b])
        a, b, cosine = a[distinct], b[distinct], cosine[distinct]
        relevant = select(a, b)
        found.append((a[relevant], b[relevant], cosine[relevant]))
    a, b, similarity = _joined(found)
    return (a, b, np.minimum(similarity, 1)), ratio


def _centred(features: np.ndarray) -> np.ndarray:
    """Return features minus their mean, scaled to length 1, as float64."""
    h = np.asarray(features, dtype=np.float64)
    h = h - h.mean(axis=0)
    length = np.linalg.norm(h, axis=1, keepdims=True)
    if length.max() <= 1e-9 * max(1.0, float(np.abs(features).max())):
        raise ValueError("encoder gives all images the same features.")
    return h / np.maximum(length, 1e-12 * length.max())


def _nearest_patients(h: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the distances (n, m) of each row to the m nearest other patients."""
    if groups.max() < N_PATIENTS:
        raise ValueError(
            f"encoder needs {N_PATIENTS + 1} patients or more to estimate the usual "
            f"distance between them, got {groups.max() + 1}."
        )
    by_patient = np.argsort(groups, kind="stable")
    first = np.searchsorted(groups[by_patient], np.arange(groups.max() + 1))
    near = np.empty((len(h), N_PATIENTS), dtype=np.float32)
    for start, cosines in _products(h):
        rows = np.arange(start, start + len(cosines))
        best = np.maximum.reduceat(cosines[:, by_patient], first, axis=1)
        best[rows - start, groups[rows]] = -2  # excludes the own patient
        best = -np.partition(-best, N_PATIENTS - 1, axis=1)[:, :N_PATIENTS]
        near[rows] = _distance(-np.sort(-best, axis=1))
    return near


def _distance(cosines: np.ndarray) -> np.ndarray:
    """Return the distance of vectors of length 1, divided by √2."""
    return np.sqrt(np.maximum(1 - cosines, 0))


def _products(rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first row of each block, and its products with all rows."""
    for start in range(0, len(rows), _BLOCK):
        yield start, rows[start : start + _BLOCK] @ rows.T


def _correlations(
    thumbnails: np.ndarray, a: np.ndarray, b: np.ndarray
) -> list[np.ndarray]:
    """Return, for each pair, the correlations of gray values and of their ranks."""
    rows, position = np.unique(np.r_[a, b], return_inverse=True)
    values = thumbnails[rows].reshape(len(rows), -1)
    position_a, position_b = position.reshape(2, -1)
    return [
        np.einsum("ij,ij->i", unit[position_a], unit[position_b])
        for unit in map(_standardised, (values, rankdata(values, axis=1)))
    ]


def _standardised(rows: np.ndarray) -> np.ndarray:
    """Return rows with mean 0 and length 1, whose products are correlations."""
    rows = rows.astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _joined(found: list[Pairs]) -> Pairs:
    """Concatenate pairs of several blocks; there may be none."""
    if not found:
        no_rows = np.zeros(0, dtype=np.intp)
        return no_rows, no_rows, np.zeros(0)
    a, b, similarity = (np.concatenate(each) for each in zip(*found, strict=True))
    return a, b, similarity
