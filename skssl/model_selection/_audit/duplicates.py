"""The same picture twice: equal pixels, equal looks, neighbours of an encoder.

C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.fft import dctn
from scipy.stats import rankdata

#: Bits of 64 in which hashes of copies differ at most. Copies recompressed at JPEG
#: quality 20, scaled to a third or made a fifth brighter stay at 8 or below.
MAX_BITS = 10
#: Least correlation of copies' thumbnails, of their gray values or of their ranks.
#: That of values survives noise in flat areas, that of ranks survives windowing and
#: saturation. Slices of different patients reach 0.992 and 0.968 at most in some
#: 10,000 phantoms with noise, and 0.974 and 0.973 in 1,000 slices of LUNA16. Pictures
#: that share a frame, as those of the eye's fundus, or have no noise may reach more.
MIN_CORRELATION = 0.995
MIN_RANK_CORRELATION = 0.985
#: Chance that an encoder's neighbours are reported in a set without copies.
FALSE_ALARM = 0.05
#: The nearest patients of an image that tell how dense images lie around it.
N_PATIENTS = 6

_ROUNDING = 1e-3  # of distances that are told by products of float32
_BLOCK = 512  # rows that are compared with all at a time
_PAIRS = 8192  # thumbnails that are correlated at a time

Keep = Callable[[np.ndarray, np.ndarray], np.ndarray]
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
        Which of the 8 × 8 lowest frequencies, the constant ones left out, are above
        their median.

    Examples
    --------
    >>> ramp = np.add.outer(np.arange(32.0), np.zeros(32))
    >>> bits = perceptual_hash(np.stack([ramp, 3 * ramp + 7, -ramp]))
    >>> bool((bits[0] == bits[1]).all())
    True
    """
    low = dctn(thumbnails, axes=(1, 2), norm="ortho")[:, 1:9, 1:9]
    # Where the picture has no such frequency at all, rounding must not set bits.
    size = np.abs(thumbnails).max(axis=(1, 2))[:, None, None]
    low = np.where(np.abs(low) > 1e-5 * size, low, 0).reshape(len(low), 64)
    return low > np.median(low, axis=1, keepdims=True)


def equal_sets(digests: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each digest that several images share, in their order."""
    _, code, counts = np.unique(digests, return_inverse=True, return_counts=True)
    by_code = np.argsort(code, kind="stable")
    sets = np.split(by_code, np.cumsum(counts)[:-1])
    return sorted((rows for rows in sets if len(rows) > 1), key=lambda r: int(r[0]))


def near_pairs(thumbnails: np.ndarray, keep: Keep) -> Pairs:
    """Return the pairs whose hashes and thumbnails agree.

    Parameters
    ----------
    thumbnails : ndarray of shape (n, 32, 32)
        Gray values that vary.
    keep : callable
        Called with the rows a and b of pairs, a < b; returns which are of interest.

    Returns
    -------
    a, b : ndarrays of shape (n_pairs,), int
    similarity : ndarray of shape (n_pairs,)
        The greater of the two correlations.
    """
    # Products of ±1 count bits: 64 less two for each that differs.
    signs = np.where(perceptual_hash(thumbnails), 1, -1).astype(np.float32)
    found: list[Pairs] = []
    for start, products in _products(signs):
        a, b = np.nonzero(products >= 64 - 2 * MAX_BITS)
        a += start
        wanted = a < b
        a, b = a[wanted], b[wanted]
        wanted = keep(a, b)
        a, b = a[wanted], b[wanted]
        for first in range(0, len(a), _PAIRS):
            some = a[first : first + _PAIRS], b[first : first + _PAIRS]
            values, ranks = _correlations(thumbnails, *some)
            copies = (values >= MIN_CORRELATION) | (ranks >= MIN_RANK_CORRELATION)
            greater = np.maximum(values, ranks)
            found.append((some[0][copies], some[1][copies], greater[copies]))
    return _joined(found)


def neighbours(
    features: np.ndarray, groups: np.ndarray, keep: Keep
) -> tuple[Pairs, float]:
    """Return the pairs of different patients that lie nearer than chance has it.

    Parameters
    ----------
    features : ndarray of shape (n, d)
    groups : ndarray of shape (n,), int
        The patient of each row, from 0.
    keep : callable
        As for `near_pairs`.

    Returns
    -------
    pairs : tuple
        As `near_pairs` returns; the similarity is the cosine of the features, their
        mean subtracted.
    ratio : float
        The share of the distance to the sixth nearest patient within which both
        images of a pair have the other.

    Raises
    ------
    ValueError
        If there are fewer than 7 patients, or most images have the same features.

    Notes
    -----
    Of an image let r_m be the distance to the m-th nearest other patient. Where images
    lie as by chance, in k dimensions and evenly within r_m, (r_1 / r_m)^k is the least
    of m - 1 uniform numbers, however dense they lie there (Facco et al. for m = 2). So
    its median tells k, and P(r_1 / r_m < t) is about (m - 1) t^k. With t such that
    this is 0.05 / n, a set without copies has a false alarm in one of twenty. m is 6,
    so that a picture under up to five patients is found.

    References
    ----------
    E. Facco, M. d'Errico, A. Rodriguez, A. Laio. "Estimating the intrinsic dimension
    of datasets by a minimal neighborhood information", 2017.
    :doi:`10.1038/s41598-017-11873-y`
    """
    exact = _centred(features)
    h = exact.astype(np.float32)
    near = _nearest_patients(h, groups)  # (n, m), ascending
    farthest = near[:, -1]
    if np.median(farthest) < 1e-3:
        raise ValueError(
            "encoder gives most images the features of other patients' images, so that "
            "neighbours tell nothing: it may have collapsed."
        )
    share = float(np.median(near[:, 0] / np.maximum(farthest, 1e-6)))
    share = min(max(share, 1e-6), 1 - 1e-6)
    dimension = np.log(1 - 0.5 ** (1 / (N_PATIENTS - 1))) / np.log(share)
    chance = FALSE_ALARM / (len(h) * (N_PATIENTS - 1))
    ratio = float(chance ** (1 / dimension))
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
        wanted = (a < b) & (groups[a] != groups[b])
        a, b, cosine = a[wanted], b[wanted], cosine[wanted]
        wanted = keep(a, b)
        found.append((a[wanted], b[wanted], cosine[wanted]))
    a, b, similarity = _joined(found)
    return (a, b, np.minimum(similarity, 1)), ratio


def _centred(features: np.ndarray) -> np.ndarray:
    """Return features less their mean, of length 1, as float64."""
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
            f"encoder needs {N_PATIENTS + 1} patients to learn what distance is usual, "
            f"got {groups.max() + 1}."
        )
    by_patient = np.argsort(groups, kind="stable")
    first = np.searchsorted(groups[by_patient], np.arange(groups.max() + 1))
    near = np.empty((len(h), N_PATIENTS), dtype=np.float32)
    for start, cosines in _products(h):
        rows = np.arange(start, start + len(cosines))
        best = np.maximum.reduceat(cosines[:, by_patient], first, axis=1)
        best[rows - start, groups[rows]] = -2  # beyond all others
        best = -np.partition(-best, N_PATIENTS - 1, axis=1)[:, :N_PATIENTS]
        near[rows] = _distance(-np.sort(-best, axis=1))
    return near


def _distance(cosines: np.ndarray) -> np.ndarray:
    """Return the distance of vectors of length 1, in units of √2."""
    return np.sqrt(np.maximum(1 - cosines, 0))


def _products(rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the products of a block of rows with all rows, and where it starts."""
    for start in range(0, len(rows), _BLOCK):
        yield start, rows[start : start + _BLOCK] @ rows.T


def _correlations(
    thumbnails: np.ndarray, a: np.ndarray, b: np.ndarray
) -> list[np.ndarray]:
    """Return for pairs the correlation of gray values, and that of their ranks."""
    rows, place = np.unique(np.r_[a, b], return_inverse=True)
    values = thumbnails[rows].reshape(len(rows), -1)
    of_a, of_b = place.reshape(2, -1)
    return [
        np.einsum("ij,ij->i", unit[of_a], unit[of_b])
        for unit in map(_standardised, (values, rankdata(values, axis=1)))
    ]


def _standardised(rows: np.ndarray) -> np.ndarray:
    """Return rows of mean 0 and length 1, so that products are correlations."""
    rows = rows.astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _joined(found: list[Pairs]) -> Pairs:
    """Join pairs; without any, return none."""
    if not found:
        nothing = np.zeros(0, dtype=np.intp)
        return nothing, nothing, np.zeros(0)
    a, b, similarity = (np.concatenate(each) for each in zip(*found, strict=True))
    return a, b, similarity
