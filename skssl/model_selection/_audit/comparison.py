"""Images of a set in pairs: which of them are alike, and which of these matter."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from skssl.model_selection._audit.duplicates import (
    Pairs,
    equal_sets,
    near_pairs,
    neighbours,
)
from skssl.model_selection._audit.findings import DividedPatient, Match
from skssl.model_selection._audit.image_facts import ImageFacts
from skssl.model_selection._audit.parts import Parts


@dataclass(frozen=True)
class Comparison:
    """Images with what is known of each.

    Parameters
    ----------
    facts : ImageFacts
    patients, labels : ndarray of shape (n,) or None
    parts : Parts or None
    """

    facts: ImageFacts
    patients: np.ndarray | None
    parts: Parts | None
    labels: np.ndarray | None

    def divided_patients(self) -> tuple[DividedPatient, ...] | None:
        """Return the patients with images in two parts of a split."""
        if self.patients is None or self.parts is None:
            return None
        names, codes = np.unique(self.patients, return_inverse=True)
        divided = np.zeros(len(names), dtype=bool)
        for of_rows in self.parts.codes:
            used = of_rows >= 0
            pairs = np.unique(np.stack([codes[used], of_rows[used]]), axis=1)
            divided |= np.bincount(pairs[0], minlength=len(names)) > 1
        rows_of = [np.flatnonzero(codes == k).tolist() for k in np.flatnonzero(divided)]
        return tuple(
            DividedPatient(
                names[codes[rows[0]]].item(), tuple(rows), self.parts.of(rows)
            )
            for rows in rows_of
        )

    def copies(self) -> tuple[Match, ...]:
        """Return the sets of images with equal pixels that matter."""
        columns = self.facts.columns
        shown = np.flatnonzero(columns["minimum"] != columns["maximum"])
        matches = []
        for of_shown in equal_sets(self.facts.digests[shown]):
            rows = shown[of_shown]
            match = self._match(rows.tolist(), 1.0)
            patients = self.patients
            known = patients is not None or self.parts is not None
            if (
                match.labels_differ
                or match.crosses
                or (patients is not None and len(np.unique(patients[rows])) > 1)
                or not known
            ):
                matches.append(match)
        return _sorted(matches)

    def near_copies(self) -> tuple[Match, ...]:
        """Return the pairs of images with nearly equal looks that matter."""
        shown = np.flatnonzero(~self.facts.flat)
        digests = self.facts.digests

        def keep(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            a, b = shown[a], shown[b]
            return (digests[a] != digests[b]) & self._matters(a, b)

        a, b, similarity = near_pairs(self.facts.thumbnails[shown], keep)
        return self._matches((shown[a], shown[b], similarity))

    def neighbours(
        self, features: np.ndarray | None, near: tuple[Match, ...]
    ) -> tuple[tuple[Match, ...] | None, float | None]:
        """Return the pairs that an encoder takes for alike, and how near they are.

        Pairs that are copies, or among the near ones, are not said again.
        """
        if features is None:
            return None, None
        codes = np.arange(len(features))
        if self.patients is not None:
            _, codes = np.unique(self.patients, return_inverse=True)
        flat, digests = self.facts.flat, self.facts.digests

        def keep(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            compared = ~flat[a] & ~flat[b] & (digests[a] != digests[b])
            return compared & self._matters(a, b)

        (a, b, similarity), ratio = neighbours(features, codes, keep)
        near_set = np.arange(len(features))  # the near copies that each row is among
        for number, match in enumerate(near):
            near_set[list(match.rows)] = len(features) + number
        new = near_set[a] != near_set[b]
        return self._matches((a[new], b[new], similarity[new])), ratio

    def _matters(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return which pairs of rows are no two images of a patient in one part."""
        matters = np.zeros(len(a), dtype=bool)
        if self.parts is not None:
            matters |= self.parts.differ(a, b)
        if self.patients is not None:
            matters |= self.patients[a] != self.patients[b]
        elif self.parts is None:
            matters[:] = True
        return matters

    def _matches(self, pairs: Pairs) -> tuple[Match, ...]:
        """Return a match for each set of images that pairs connect."""
        a, b, similarity = pairs
        n = len(self.facts.digests)
        graph = coo_array((np.ones(len(a)), (a, b)), shape=(n, n))
        _, code = connected_components(graph, directed=False)
        least = np.full(n, np.inf)
        np.minimum.at(least, code[a], similarity)
        sets = equal_sets(code)
        return _sorted(
            [self._match(r.tolist(), float(least[code[r[0]]])) for r in sets]
        )

    def _match(self, rows: list[int], similarity: float) -> Match:
        of = [
            None if told is None else tuple(told[rows].tolist())
            for told in (self.patients, self.labels)
        ]
        return Match(
            rows=tuple(rows),
            names=tuple(self.facts.names[row] for row in rows),
            similarity=similarity,
            parts=None if self.parts is None else self.parts.of(rows),
            patients=of[0],
            labels=of[1],
        )


def _sorted(matches: list[Match]) -> tuple[Match, ...]:
    """Return the worst first: other labels, other parts, other patients."""
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
