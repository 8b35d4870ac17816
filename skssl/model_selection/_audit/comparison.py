"""Comparison of all images of a set: which pairs match, and which of these matter."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from skssl.model_selection._audit.assignments import Assignments
from skssl.model_selection._audit.duplicates import (
    Pairs,
    equal_sets,
    near_pairs,
    nearest_pairs,
)
from skssl.model_selection._audit.findings import DividedPatient, Match
from skssl.model_selection._audit.image_facts import ImageFacts


@dataclass(frozen=True)
class ImageComparison:
    """Images with their patients, splits and labels.

    Parameters
    ----------
    facts : ImageFacts
    patients, labels : ndarray of shape (n,) or None
    splits : Assignments or None
    """

    facts: ImageFacts
    patients: np.ndarray | None
    splits: Assignments | None
    labels: np.ndarray | None

    def divided_patients(self) -> tuple[DividedPatient, ...] | None:
        """Return the patients with images in more than one split."""
        if self.patients is None or self.splits is None:
            return None
        names, codes = np.unique(self.patients, return_inverse=True)
        divided = np.zeros(len(names), dtype=bool)
        for split in self.splits.codes:  # of each partition
            used = split >= 0
            pairs = np.unique(np.stack([codes[used], split[used]]), axis=1)
            divided |= np.bincount(pairs[0], minlength=len(names)) > 1
        patients = []
        for k in np.flatnonzero(divided):
            rows = np.flatnonzero(codes == k).tolist()
            split_names = self.splits.split_names(rows)
            patients.append(DividedPatient(names[k].item(), tuple(rows), split_names))
        return tuple(patients)

    def copies(self) -> tuple[Match, ...]:
        """Return the relevant sets of images with equal pixels.

        Relevant are different labels, splits or patients; any copy, if neither patients
        nor splits are known.
        """
        columns = self.facts.columns
        varied = np.flatnonzero(columns["minimum"] != columns["maximum"])
        patients = self.patients
        known = patients is not None or self.splits is not None
        matches = []
        for equal in equal_sets(self.facts.digests[varied]):
            rows = varied[equal]
            match = self._match(rows.tolist(), 1.0)
            if (
                match.labels_differ
                or match.crosses
                or (patients is not None and len(np.unique(patients[rows])) > 1)
                or not known
            ):
                matches.append(match)
        return _sorted(matches)

    def near_copies(self) -> tuple[Match, ...]:
        """Return the relevant sets of images with nearly equal thumbnails."""
        rows = np.flatnonzero(~self.facts.flat)
        digests = self.facts.digests

        def select(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            a, b = rows[a], rows[b]
            return (digests[a] != digests[b]) & self._is_relevant(a, b)

        a, b, similarity = near_pairs(self.facts.thumbnails[rows], select)
        return self._matches((rows[a], rows[b], similarity))

    def neighbours(
        self, features: np.ndarray | None, near: tuple[Match, ...]
    ) -> tuple[tuple[Match, ...] | None, float | None]:
        """Return the images with similar features, and the ratio of distances used.

        Parameters
        ----------
        features : ndarray of shape (n, d) or None
        near : tuple of Match
            Near copies; these, and exact copies, are not reported again.
        """
        if features is None:
            return None, None
        codes = np.arange(len(features))
        if self.patients is not None:
            _, codes = np.unique(self.patients, return_inverse=True)
        flat, digests = self.facts.flat, self.facts.digests

        def select(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            compared = ~flat[a] & ~flat[b] & (digests[a] != digests[b])
            return compared & self._is_relevant(a, b)

        (a, b, similarity), ratio = nearest_pairs(features, codes, select)
        near_set = np.arange(len(features))  # rows of one near copy share a number
        for number, match in enumerate(near):
            near_set[list(match.rows)] = len(features) + number
        new = near_set[a] != near_set[b]
        return self._matches((a[new], b[new], similarity[new])), ratio

    def _is_relevant(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return which pairs of rows differ in split or patient.

        If neither is known, all pairs are relevant.
        """
        relevant = np.zeros(len(a), dtype=bool)
        if self.splits is not None:
            relevant |= self.splits.differ(a, b)
        if self.patients is not None:
            relevant |= self.patients[a] != self.patients[b]
        elif self.splits is None:
            relevant[:] = True
        return relevant

    def _matches(self, pairs: Pairs) -> tuple[Match, ...]:
        """Return a match for each connected set of images."""
        a, b, similarity = pairs
        n = len(self.facts.digests)
        graph = coo_array((np.ones(len(a)), (a, b)), shape=(n, n))
        _, code = connected_components(graph, directed=False)
        lowest = np.full(n, np.inf)  # similarity within each set
        np.minimum.at(lowest, code[a], similarity)
        return _sorted(
            [
                self._match(rows.tolist(), float(lowest[code[rows[0]]]))
                for rows in equal_sets(code)
            ]
        )

    def _match(self, rows: list[int], similarity: float) -> Match:
        patients, labels = (
            None if values is None else tuple(values[rows].tolist())
            for values in (self.patients, self.labels)
        )
        return Match(
            rows=tuple(rows),
            names=tuple(self.facts.names[row] for row in rows),
            similarity=similarity,
            parts=None if self.splits is None else self.splits.split_names(rows),
            patients=patients,
            labels=labels,
        )


def _sorted(matches: list[Match]) -> tuple[Match, ...]:
    """Sort by severity: different labels, then splits, then patients."""
    return tuple(
        sorted(
            matches,
            key=lambda m: (
                not m.labels_differ,
                not m.crosses,
                bool(m.of_one_patient),
                -m.similarity,
                m.rows,
            ),
        )
    )
