"""The findings of a leakage audit: as text, as HTML, and as data frames."""

import html
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skssl.model_selection._audit.assignments import UNASSIGNED
from skssl.model_selection._audit.shortcuts import ShortcutProbe

_COLUMNS = ["check", "finding", "row", "name", "part", "patient", "label", "similarity"]
_MAX_LISTED = 10  # findings of a check, or rows of a finding, that the text lists


@dataclass(frozen=True)
class DividedPatient:
    """A patient with images in more than one split.

    Attributes
    ----------
    patient : label
    rows : tuple of int
        All rows of the patient.
    parts : tuple of str
        The split of each row.
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
    """Images that are equal, or nearly so.

    Attributes
    ----------
    rows : tuple of int
        Two or more rows, connected by pairs of images that match.
    names : tuple of str
        Paths, or "X[3]".
    similarity : float
        1 for exact copies, a correlation for near copies, a cosine for neighbours; the
        lowest of the pairs that connect the rows.
    parts : tuple of str or None
        The split of each row; None without ``splits``.
    patients : tuple or None
        The patient of each row; None without ``groups``.
    labels : tuple or None
        The class of each row, -1 for unlabelled; None without ``y``.
    """

    rows: tuple[int, ...]
    names: tuple[str, ...]
    similarity: float
    parts: tuple[str, ...] | None = None
    patients: tuple[Any, ...] | None = None
    labels: tuple[Any, ...] | None = None

    @property
    def crosses(self) -> bool:
        """Whether the images are in different splits."""
        return self.parts is not None and len({*self.parts} - {UNASSIGNED}) > 1

    @property
    def of_one_patient(self) -> bool | None:
        """Whether all images are of one patient; None if that is not known."""
        return None if self.patients is None else len(set(self.patients)) == 1

    @property
    def labels_differ(self) -> bool:
        """Whether the images have different labels; -1 does not count."""
        return self.labels is not None and len({*self.labels} - {-1}) > 1

    def __str__(self) -> str:
        images = []
        for i, (row, name) in enumerate(zip(self.rows, self.names, strict=True)):
            image = f"row {row}" if name == f"X[{row}]" else f"row {row} {name}"
            known = []
            if self.parts is not None:
                known.append(self.parts[i])
            if self.patients is not None:
                known.append(f"patient {self.patients[i]}")
            if self.labels is not None:
                known.append(f"label {self.labels[i]}")
            images.append(f"{image} ({', '.join(known)})" if known else image)
        shown = images[:_MAX_LISTED] + ["..."] * (len(images) > _MAX_LISTED)
        differ = "; LABELS DIFFER" if self.labels_differ else ""
        return f"{' = '.join(shown)}: similarity {self.similarity:.4f}{differ}"


@dataclass(frozen=True, eq=False)
class SplitAudit:
    """The findings of `audit_split`; prints as text, and as HTML in a notebook.

    Attributes
    ----------
    n_images : int
    n_patients : int or None
        None without ``groups``.
    parts : dict of str to int
        Number of images of each split. Empty without ``splits``, and for several
        (train, test) pairs that are not the folds of one cross-validation.
    patients : tuple of DividedPatient or None
        Patients with images in more than one split, with ``patient``, ``rows`` and
        ``parts``. None without ``groups`` or ``splits``.
    copies, near_copies : tuple of Match
        Images with equal or nearly equal pixels, with ``rows``, ``names``,
        ``similarity``, ``parts``, ``patients``, ``labels``, ``crosses`` (more than one
        split), ``of_one_patient`` and ``labels_differ``.
    neighbours : tuple of Match or None
        Images of different patients with nearly equal features; None without an
        encoder.
    neighbour_ratio : float or None
        Neighbours are closer than this fraction of the distance to the sixth nearest
        patient.
    probes : tuple of ShortcutProbe
        How well each kind of columns alone predicts the label, with ``name``,
        ``columns``, ``area`` (an `~skssl.metrics.Interval`), ``by_class``, ``of_file``,
        ``can_tell`` and ``tells``. Empty without y.
    flat : tuple of int
        Rows of images without content, such as blank ones; they are not compared.
    images : dict of str to ndarray of shape (n,)
        The columns that the probes use.
    confidence_level : float
        Joint level of the intervals of all probes, in (0, 1).
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
        """The probes of file metadata whose interval lies above 0.5."""
        return tuple(probe for probe in self.probes if probe.of_file and probe.tells)

    @property
    def hints(self) -> tuple[ShortcutProbe, ...]:
        """The probes of pixel values whose interval lies above 0.5.

        They may reflect the disease, or the source of the images.
        """
        return tuple(
            p for p in self.probes if p.tells and not p.of_file and p.name != "all"
        )

    @property
    def is_clean(self) -> bool:
        """Whether no check has a finding; hints do not count."""
        found = (self.patients, self.copies, self.near_copies, self.neighbours)
        return not any((*found, self.shortcuts))

    def to_frame(self, what: str = "findings") -> Any:
        """Return a pandas DataFrame (pandas must be installed).

        Parameters
        ----------
        what : {"findings", "probes", "images"}, default="findings"
            "findings" has a row for each image of each finding, with its split in the
            column "part"; "probes" a row for each probe; "images" a row for each image.

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
        return pd.DataFrame(list(_finding_rows(self)), columns=_COLUMNS)

    def __str__(self) -> str:
        lines = [_caption(self)]
        for title, findings in _sections(self):
            lines += [title, *(f"  {line}" for line in findings)]
        if self.probes:
            lines.append(f"  {_probe_caption(self)}")
        for name, area, verdict in map(_probe_cells, self.probes):
            lines.append(f"  {name:<12}{area}  {verdict}".rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        body = ""
        for title, findings in _sections(self):
            items = "".join(f"<li>{html.escape(line)}</li>" for line in findings)
            body += f"<p>{html.escape(title)}</p>" + (items and f"<ul>{items}</ul>")
        if self.probes:
            rows = "".join(
                "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>"
                for cells in map(_probe_cells, self.probes)
            )
            caption = html.escape(_probe_caption(self))
            body += f"<table><caption>{caption}</caption><tbody>{rows}</tbody></table>"
        return f"<div><p><b>{html.escape(_caption(self))}</b></p>{body}</div>"


def _finding_rows(audit: SplitAudit) -> Iterator[tuple[Any, ...]]:
    """Yield a row of the data frame for each image of each finding."""
    for number, divided in enumerate(audit.patients or ()):
        for row, part in zip(divided.rows, divided.parts, strict=True):
            name = None
            yield "patient", number, row, name, part, divided.patient, None, None
    for check, matches in (
        ("copy", audit.copies),
        ("near copy", audit.near_copies),
        ("neighbour", audit.neighbours or ()),
    ):
        for number, match in enumerate(matches):
            for i, (row, name) in enumerate(zip(match.rows, match.names, strict=True)):
                columns = (match.parts, match.patients, match.labels)
                cells = (None if column is None else column[i] for column in columns)
                yield check, number, row, name, *cells, match.similarity


def _caption(audit: SplitAudit) -> str:
    patients = "" if audit.n_patients is None else f" of {audit.n_patients} patients"
    splits = ", ".join(f"{name} {n}" for name, n in audit.parts.items())
    return f"Leakage audit of {audit.n_images} images{patients}" + (
        f" ({splits})" if splits else ""
    )


def _sections(audit: SplitAudit) -> list[tuple[str, list[str]]]:
    """Return the title of each check, and the lines of its findings."""
    checks: list[tuple[str, Any]] = [
        ("Patients in more than one split", audit.patients),
        ("Exact copies", audit.copies),
        ("Near copies", audit.near_copies),
        ("Neighbours in the encoder's feature space", audit.neighbours),
    ]
    sections = []
    for title, findings in checks:
        count = "not checked" if findings is None else str(len(findings) or "none")
        lines = [str(finding) for finding in (findings or ())[:_MAX_LISTED]]
        if findings and len(findings) > _MAX_LISTED:
            lines.append(f"and {len(findings) - _MAX_LISTED} more: see to_frame()")
        sections.append((f"{title}: {count}", lines))
    if audit.flat:
        sections.append((f"Images without content: rows {_listed(audit.flat)}", []))
    count = str(len(audit.shortcuts) or "none") if audit.probes else "not checked"
    if audit.probes and not any(probe.can_tell for probe in audit.probes):
        count = "too few patients to decide"
    sections.append((f"Label predicted by file metadata alone: {count}", []))
    return sections


def _probe_caption(audit: SplitAudit) -> str:
    level = 100 * audit.confidence_level
    return f"Cross-validated area under the ROC curve, joint {level:g} % intervals"


def _probe_cells(probe: ShortcutProbe) -> tuple[str, str, str]:
    """Return the name, the area and the verdict of a probe."""
    verdict = "shortcut" if probe.of_file else "source or disease"
    if probe.name == "all":
        verdict = "metadata and pixels"
    return probe.name, str(probe.area), verdict if probe.tells else ""


def _listed(rows: tuple[int, ...]) -> str:
    """Return row numbers as text, shortened if there are many."""
    shown = ", ".join(map(str, rows[:_MAX_LISTED]))
    return f"{shown}, ..." if len(rows) > _MAX_LISTED else shown
