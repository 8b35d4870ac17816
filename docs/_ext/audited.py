"""Tables of an audit, from ``audit_*.json`` of ``benchmarks/bench_audit.py``."""

import json
from pathlib import Path
from typing import Any

from list_tables import list_table
from measured import NOT_MEASURED, circumstances


def audit_tables(results: Path) -> str:
    """Return the tables of each audit."""
    texts = []
    for path in sorted(results.glob("audit_*.json")):
        audit = json.loads(path.read_text(encoding="utf-8"))
        sections = (
            (f"{audit['study']}: {_counts(audit)}", f"{circumstances(audit)}\n"),
            ("Number of files by type", _files_table(audit["files"])),
            (
                "How well file metadata and gray values predict the class",
                _probe_table(audit),
            ),
            ("Duplicate images", _finding_table(audit["findings"])),
        )
        texts += [f".. rubric:: {title}\n\n{text}" for title, text in sections]
    return "\n".join(texts) or NOT_MEASURED


def _counts(audit: dict[str, Any]) -> str:
    return (
        f"{audit['n_images']} images of {audit['n_patients']} patients, "
        f"{audit['divided_patients']} of them in more than one split"
    )


def _files_table(files: list[dict[str, Any]]) -> str:
    """Return the number of files of each type, by class."""
    labels = list(dict.fromkeys(row["label"] for row in files))
    kinds = sorted({(row["suffix"], row["content"], row["mode"]) for row in files})
    counts = {
        (row["label"], row["suffix"], row["content"], row["mode"]): row["files"]
        for row in files
    }
    return list_table(
        ("Suffix", "Content", "Mode", *labels),
        (
            (*kind, *(counts.get((label, *kind), 0) for label in labels))
            for kind in kinds
        ),
    )


def _probe_table(audit: dict[str, Any]) -> str:
    rows = [
        (probe["name"], ", ".join(probe["columns"]), _interval(probe))
        for probe in audit["probes"]
    ]
    official = audit["official_split"]
    name = f"file, official test split ({official['n_test']} images)"
    rows.append((name, ", ".join(official["columns"]), _interval(official)))
    level = audit["probes"][0]["level"]
    header = f"AUC [{100 * level:.1f} % interval; last row: 95 %]"
    return list_table(("Probe", "Columns", header), rows)


def _finding_table(findings: list[dict[str, Any]]) -> str:
    if not findings:
        return "None.\n"
    return list_table(
        ("Check", "Rows", "Files", "Splits", "Classes", "Similarity"),
        (
            (
                found["check"],
                *(
                    " / ".join(map(str, found[name]))
                    for name in ("rows", "files", "parts", "labels")
                ),
                f"{found['similarity']:.4f}",
            )
            for found in findings
        ),
    )


def _interval(auc: dict[str, Any]) -> str:
    return f"{auc['area']:.3f} [{auc['low']:.3f}, {auc['high']:.3f}]"
