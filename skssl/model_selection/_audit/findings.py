"""What a leakage audit found, for people and for programs."""

import html
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skssl.model_selection._audit.parts import NO_PART
from skssl.model_selection._audit.shortcuts import ShortcutProbe

_COLUMNS = ["check", "finding", "row", "name", "part", "patient", "label", "similarity"]
_SHOWN = 10  # findings of a check that the text lists


@dataclass(frozen=True)
class DividedPatient:
    """A patient with images in two parts or more.

    Attributes
    ----------
    patient : label
    rows : tuple of int
        All of the patient's.
    parts : tuple of str
        The part of each row.
    """

    patient: Any
    rows: tuple[int, ...]
    parts: tuple[str, ...]

    def __str__(self) -> str:
        counts = ", ".join(
            f"{self.parts.count(part)} in {part}" for part in sorted(set(self.parts))
        )
        return f"{self.patient}: {counts} (rows {_listed(self.rows)})"


@dataclass(frozen=True)
class Match:
    """Images that show the same, or nearly so.

    Attributes
    ----------
    rows : tuple of int
        As many as are alike, the first with the second, the second with the third.
    names : tuple of str
        Paths, or "X[3]".
    similarity : float
        1 for exact copies, a correlation for near ones, a cosine for neighbours; of
        several rows the least.
    parts, patients, labels : tuple or None
        Of each row; None where not given. For a label -1 see y.
    """

    rows: tuple[int, ...]
    names: tuple[str, ...]
    similarity: float
    parts: tuple[str, ...] | None = None
    patients: tuple[Any, ...] | None = None
    labels: tuple[Any, ...] | None = None

    @property
    def crosses(self) -> bool:
        """Whether the images lie in different parts."""
        return self.parts is not None and len({*self.parts} - {NO_PART}) > 1

    @property
    def of_one_patient(self) -> bool | None:
        """Whether all are of one patient; None if that is not known."""
        return None if self.patients is None else len(set(self.patients)) == 1

    @property
    def labels_differ(self) -> bool:
        """Whether two of the images have different labels."""
        return self.labels is not None and len({*self.labels} - {-1}) > 1

    def __str__(self) -> str:
        told = [self.parts, self.patients, self.labels]
        images = []
        for i, (row, name) in enumerate(zip(self.rows, self.names, strict=True)):
            where = f"row {row}" if name == f"X[{row}]" else f"row {row} {name}"
            about = ", ".join(str(each[i]) for each in told if each is not None)
            images.append(f"{where} ({about})" if about else where)
        listed = images[:_SHOWN] + ["..."] * (len(images) > _SHOWN)
        differ = "; LABELS DIFFER" if self.labels_differ else ""
        return f"{' = '.join(listed)}: {self.similarity:.4f}{differ}"


@dataclass(frozen=True, eq=False)
class SplitAudit:
    """What `audit_split` found; prints as text, and as HTML in a notebook.

    Attributes
    ----------
    n_images : int
    n_patients : int or None
        None without ``groups``.
    parts : dict of str to int
        Images of each part; empty without ``splits``, or for several that are no folds
        of one cross-validation.
    patients : tuple of DividedPatient or None
        With ``patient``, ``rows`` and ``parts``. None if there was nothing to check.
    copies, near_copies : tuple of Match
        With ``rows``, ``names``, ``similarity``, ``parts``, ``patients``, ``labels``,
        and whether it ``crosses`` parts, is ``of_one_patient``, and ``labels_differ``.
    neighbours : tuple of Match or None
        None without an encoder.
    neighbour_ratio : float or None
        They are nearer than this share of the distance to the sixth nearest patient.
    probes : tuple of ShortcutProbe
        With ``name``, ``columns``, ``area`` (an `~skssl.metrics.Interval`),
        ``by_class``, ``of_file``, ``can_tell`` and ``tells``. Empty without y.
    flat : tuple of int
        Rows of images that show next to nothing, and are compared with no other.
    images : dict of str to ndarray of shape (n,)
        What the probes read of each image.
    confidence_level : float
        Of the intervals of all probes together.
    """

    n_images: int
    n_patients: int | None
    parts: dict[str, int]
    patients: tuple[DividedPatient, ...] | None
    copies: tuple[Match, ...]
    near_copies: tuple[Match, ...]
    neighbours: tuple[Match, ...] | None
    neighbour_ratio: float | None
    probes: tuple[ShortcutProbe, ...]
    flat: tuple[int, ...]
    images: dict[str, np.ndarray] = field(repr=False, compare=False)
    confidence_level: float = 0.95

    @property
    def shortcuts(self) -> tuple[ShortcutProbe, ...]:
        """The probes of files whose interval lies above 0.5."""
        return tuple(probe for probe in self.probes if probe.of_file and probe.tells)

    @property
    def hints(self) -> tuple[ShortcutProbe, ...]:
        """Such probes of gray values: of the source, or of the disease."""
        return tuple(
            p for p in self.probes if p.tells and not p.of_file and p.name != "all"
        )

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found; hints do not count."""
        found = (self.patients, self.copies, self.near_copies, self.neighbours)
        return not any((*found, self.shortcuts))

    def to_frame(self, what: str = "findings") -> Any:
        """Return a pandas DataFrame (pandas must be installed).

        Parameters
        ----------
        what : {"findings", "probes", "images"}, default="findings"
            A row for each image of each finding; for each probe; for each image.

        Raises
        ------
        ValueError
            If ``what`` is none of these.
        """
        import pandas as pd

        if what == "images":
            return pd.DataFrame(self.images)
        if what == "probes":
            columns = ("name", "area", "low", "high", "of_file", "tells", "columns")
            rows = [
                (
                    *(p.name, p.area.estimate, p.area.low, p.area.high),
                    *(p.of_file, p.tells, p.columns),
                )
                for p in self.probes
            ]
            return pd.DataFrame(rows, columns=list(columns))
        if what != "findings":
            raise ValueError(
                f"what must be 'findings', 'probes' or 'images', got {what!r}."
            )
        return pd.DataFrame(list(self._rows()), columns=_COLUMNS)

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield a row for each image of each finding."""
        for number, divided in enumerate(self.patients or ()):
            for row, part in zip(divided.rows, divided.parts, strict=True):
                name = None
                yield "patient", number, row, name, part, divided.patient, None, None
        for check, matches in (
            ("copy", self.copies),
            ("near copy", self.near_copies),
            ("neighbour", self.neighbours or ()),
        ):
            for number, match in enumerate(matches):
                for i, (row, name) in enumerate(
                    zip(match.rows, match.names, strict=True)
                ):
                    told = (match.parts, match.patients, match.labels)
                    about = (None if each is None else each[i] for each in told)
                    yield check, number, row, name, *about, match.similarity

    def _sections(self) -> list[tuple[str, list[str]]]:
        """Return each check with what it found."""
        checks: list[tuple[str, Any]] = [
            ("Patients in two parts", self.patients),
            ("Exact copies", self.copies),
            ("Near copies", self.near_copies),
            ("Neighbours by the encoder", self.neighbours),
        ]
        sections = []
        for title, found in checks:
            said = "not looked at" if found is None else str(len(found) or "none")
            lines = [str(each) for each in (found or ())[:_SHOWN]]
            if found and len(found) > _SHOWN:
                lines.append(f"and {len(found) - _SHOWN} more: see to_frame()")
            sections.append((f"{title}: {said}", lines))
        if self.flat:
            sections.append((f"Images that show nothing: {_listed(self.flat)}", []))
        found = str(len(self.shortcuts) or "none") if self.probes else "not looked at"
        if self.probes and not any(probe.can_tell for probe in self.probes):
            found = "too few patients to tell"
        sections.append((f"Shortcuts to the label: {found}", []))
        return sections

    def _probe_lines(self) -> list[tuple[str, str, str]]:
        lines = []
        for probe in self.probes:
            kind = "shortcut" if probe.of_file else "source or disease"
            kind = "file and picture" if probe.name == "all" else kind
            said = kind if probe.tells else ""
            lines.append((probe.name, str(probe.area), said))
        return lines

    def _caption(self) -> str:
        of = "" if self.n_patients is None else f" of {self.n_patients} patients"
        parts = ", ".join(f"{name} {n}" for name, n in self.parts.items())
        return f"Leakage audit of {self.n_images} images{of}" + (
            f" ({parts})" if parts else ""
        )

    def _probe_header(self) -> str:
        level = 100 * self.confidence_level
        return f"Area under the ROC curve out of fold, {level:g} % for all together"

    def __str__(self) -> str:
        lines = [self._caption()]
        for title, found in self._sections():
            lines += [title, *(f"  {line}" for line in found)]
        if self.probes:
            lines.append(f"  {self._probe_header()}")
        for name, area, said in self._probe_lines():
            lines.append(f"  {name:<12}{area}  {said}".rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        body = ""
        for title, found in self._sections():
            items = "".join(f"<li>{html.escape(line)}</li>" for line in found)
            body += f"<p>{html.escape(title)}</p>" + (items and f"<ul>{items}</ul>")
        if self.probes:
            rows = "".join(
                "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in line) + "</tr>"
                for line in self._probe_lines()
            )
            caption = html.escape(self._probe_header())
            body += f"<table><caption>{caption}</caption><tbody>{rows}</tbody></table>"
        return f"<div><p><b>{html.escape(self._caption())}</b></p>{body}</div>"


def _listed(rows: tuple[int, ...]) -> str:
    """Return the numbers of some rows, not more than a reader looks at."""
    shown = ", ".join(map(str, rows[:_SHOWN]))
    return f"{shown}, ..." if len(rows) > _SHOWN else shown
