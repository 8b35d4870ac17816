"""Audit of COVID-CT, and the score of its file metadata alone.

The audit lists patients, copies and neighbours that occur in more than one official
split. Random forests predict the label from file metadata, without the pixels. They are
scored by patient-grouped cross-validation and on the official test split. Neighbours
are found in features of SimCLR, which is pretrained on the same slices.

    python benchmarks/bench_audit.py --data covid-ct
"""

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
from _results import save
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, f1_score
from sklearn.utils import Bunch

from skssl import SelfSupervisedPretrainer
from skssl.datasets import load_covid_ct
from skssl.metrics import Interval, delong_interval
from skssl.model_selection import SplitAudit, audit_split

FILE_COLUMNS = (
    "format",
    "suffix",
    "mode",
    "bytes",
    "bytes_per_pixel",
    "height",
    "width",
)


def rounded(interval: Interval) -> dict[str, float]:
    """Return estimate and bounds, rounded."""
    values = {"area": interval.estimate, "low": interval.low, "high": interval.high}
    return {name: round(value, 4) for name, value in values.items()}


def score_official_split(audit: SplitAudit, scans: Bunch) -> dict:
    """Fit a forest to the file metadata of train and val, and score it on test."""
    columns = [audit.images[name] for name in FILE_COLUMNS]
    table = np.hstack(
        [
            (c[:, None] == np.unique(c)) if c.dtype.kind == "U" else c[:, None]
            for c in columns
        ]
    ).astype(float)
    test = scans.split == "test"
    forest = RandomForestClassifier(
        500, min_samples_leaf=5, class_weight="balanced", random_state=0
    ).fit(table[~test], scans.target[~test])
    scores = forest.predict_proba(table[test])[:, 1]
    y = scans.target[test]
    auc = delong_interval(y, scores, groups=scans.groups[test])
    return {
        "columns": FILE_COLUMNS,
        "n_test": int(test.sum()),
        **rounded(auc),
        "accuracy": round(accuracy_score(y, scores >= 0.5), 4),
        "f1": round(f1_score(y, scores >= 0.5), 4),
    }


def count_files(audit: SplitAudit, scans: Bunch) -> list[dict]:
    """Return the number of files per class, suffix, content and mode."""
    keys = zip(
        scans.target.tolist(),
        *(audit.images[name].tolist() for name in ("suffix", "format", "mode")),
        strict=True,
    )
    return [
        {
            "label": scans.target_names[label],
            "suffix": suffix,
            "content": content,
            "mode": mode,
            "files": n,
        }
        for (label, suffix, content, mode), n in sorted(Counter(keys).items())
    ]


def findings(audit: SplitAudit, scans: Bunch) -> list[dict]:
    """Return copies, near copies and neighbours, with the names of their files."""
    return [
        {
            "check": check,
            "rows": match.rows,
            "files": [Path(name).name for name in match.names],
            "parts": match.parts,
            "patients": match.patients,
            "labels": [scans.target_names[label] for label in match.labels],
            "similarity": round(match.similarity, 4),
        }
        for check, matches in (
            ("exact copy", audit.copies),
            ("near copy", audit.near_copies),
            ("neighbour", audit.neighbours or ()),
        )
        for match in matches
    ]


def main() -> None:
    """Audit, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    scans = load_covid_ct(args.data)
    start = time.perf_counter()
    audit_split(scans.data, scans.target, groups=scans.groups, splits=scans.split)
    seconds = time.perf_counter() - start
    encoder = SelfSupervisedPretrainer(
        "simclr",
        backbone="resnet18",
        image_size=args.size,
        max_epochs=args.epochs,
        random_state=0,
    ).fit(scans.data)
    audit = audit_split(
        scans.data,
        scans.target,
        groups=scans.groups,
        splits=scans.split,
        encoder=encoder,
    )
    print(audit)
    results = {
        "study": "COVID-CT, all three parts of the official split",
        "settings": {
            "encoder": "simclr, resnet18",
            "image_size": args.size,
            "max_epochs": args.epochs,
        },
        "n_images": audit.n_images,
        "n_patients": audit.n_patients,
        "parts": audit.parts,
        "divided_patients": len(audit.patients or ()),
        "neighbour_ratio": round(audit.neighbour_ratio, 4),
        "findings": findings(audit, scans),
        "files": count_files(audit, scans),
        "probes": [
            {
                "name": probe.name,
                "columns": probe.columns,
                **rounded(probe.area),
                "level": round(probe.area.confidence_level, 4),
            }
            for probe in audit.probes
        ],
        "official_split": score_official_split(audit, scans),
        "seconds_without_encoder": round(seconds, 1),
    }
    print(results["official_split"])
    save(args.json, results)


if __name__ == "__main__":
    main()
