"""Seconds to list a set of CheXpert's size, including a check that each file exists.

    python benchmarks/bench_listing.py [--images 224316]

The files are empty and are created in a temporary folder. The baseline uses the
standard library only: it reads the table with ``csv.reader`` and calls
``os.path.isfile`` for each path.
"""

import argparse
import csv
import os
import tempfile
import time
from pathlib import Path

from _results import save

from skssl.datasets import load_chexpert

IMAGES_A_PATIENT = 3.44  # 224,316 images of 65,240 patients


def main() -> None:
    """Measure, print and save the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=224_316)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "CheXpert-v1.0-small"
        write_set(root, args.images)
        # "yardstick" is the name of the baseline in results files.
        seconds = {"loader": [], "yardstick": []}
        for _ in range(args.rounds):
            start = time.perf_counter()
            n_images = len(load_chexpert(root, finding="Pneumonia").data)
            middle = time.perf_counter()
            check_files(root)
            seconds["loader"].append(middle - start)
            seconds["yardstick"].append(time.perf_counter() - middle)
    best = {name: round(min(times), 2) for name, times in seconds.items()}
    results = {
        "images": n_images,
        **{f"{name}_seconds": value for name, value in best.items()},
        "ratio": round(best["loader"] / best["yardstick"], 2),
    }
    for name, value in results.items():
        print(f"{name:20} {value}")
    save(args.json, results)


def write_set(root: Path, n_images: int) -> None:
    """Write the training table and empty files in the published layout."""
    root.mkdir()
    with (root / "train.csv").open("w", encoding="utf-8") as table:
        table.write("Path,Sex,Age,Frontal/Lateral,AP/PA,Pneumonia\n")
        for i in range(n_images):
            patient = f"train/patient{int(i / IMAGES_A_PATIENT) + 1:05}"
            name = f"{patient}/study1/view{i}_frontal.jpg"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
            table.write(f"CheXpert-v1.0-small/{name},Male,68,Frontal,AP,{i % 2}\n")


def check_files(root: Path) -> None:
    """Read the table and check that each file exists."""
    with (root / "train.csv").open(newline="", encoding="utf-8") as table:
        paths = [f"{root.parent}/{row[0]}" for row in csv.reader(table)]
    if not all(os.path.isfile(path) for path in paths[1:]):  # noqa: PTH113
        raise FileNotFoundError(root)


if __name__ == "__main__":
    main()
