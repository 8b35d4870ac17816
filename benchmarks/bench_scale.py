"""A set of CheXpert's size, from its table to features: time and memory of each stage.

    python benchmarks/bench_scale.py --folder /data/scratch [--images 224316]

The images are small JPEG files in the layout of CheXpert, which the benchmark writes
into the folder and leaves there for further runs. Decoding is compared with what pillow
alone does in the same number of threads. Each fit runs in a process of its own. Memory
is anonymous memory: pages of mapped files can be dropped at any time.
"""

import argparse
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _results import save
from PIL import Image

from skssl import SelfSupervisedPretrainer
from skssl.data import ImageReader, make_source
from skssl.datasets import load_chexpert, make_scan_phantoms
from skssl.testing import tiny_cnn

IMAGES_A_PATIENT = 3.44  # 224,316 images of 65,240 patients
SIDE_PX = 96
NETWORK_PX = 64
N_SAMPLE = 5000  # images of the comparison with pillow


def write_set(root: Path, n_images: int) -> None:
    """Write the table and small JPEG files of different content."""
    phantoms = make_scan_phantoms(
        64, images_per_patient=1, image_size=SIDE_PX, random_state=0
    )
    files = []
    for pixels in phantoms.data:
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, "JPEG", quality=85)
        files.append(data.getvalue())
    root.mkdir(parents=True, exist_ok=True)
    lines = ["Path,Sex,Age,Frontal/Lateral,AP/PA,Pneumonia"]
    for i in range(n_images):
        patient = root / "train" / f"patient{int(i / IMAGES_A_PATIENT) + 1:05}"
        study = patient / "study1"
        study.mkdir(parents=True, exist_ok=True)
        # A comment makes the content of each file different.
        comment = b"\xff\xfe\x00\x0a" + f"{i:08}".encode()
        data = files[i % len(files)]
        path = study / f"view{i}_frontal.jpg"
        path.write_bytes(data[:2] + comment + data[2:])
        name = path.relative_to(root).as_posix()
        lines.append(f"CheXpert-v1.0-small/{name},Male,68,Frontal,AP,{i % 2}")
    (root / "train.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


class Memory:
    """The peak of the anonymous memory of this process, sampled in a thread."""

    def __init__(self) -> None:
        self.peak_gb = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.1):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("RssAnon"):
                    self.peak_gb = max(self.peak_gb, int(line.split()[1]) / 1e6)


def fit(root: Path, cache: Path, n_jobs: int, seed: int) -> dict[str, Any]:
    """Pretrain a tiny network for one epoch, and time the stages before it."""
    results: dict[str, Any] = {}
    with Memory() as memory:
        start = time.perf_counter()
        scans = load_chexpert(root)
        results["listing_seconds"] = time.perf_counter() - start
        source, rows = make_source(scans.data), np.arange(len(scans.data))
        start = time.perf_counter()
        ImageReader.learn(source, rows, image_size=NETWORK_PX, n_jobs=n_jobs)
        results["survey_seconds"] = time.perf_counter() - start
        ssl = SelfSupervisedPretrainer(
            backbone=tiny_cnn,
            image_size=NETWORK_PX,
            max_epochs=1,
            batch_size=256,
            cache=cache,
            n_jobs=n_jobs,
            random_state=seed,  # another training on the same decoded images
        )
        start = time.perf_counter()
        ssl.fit(scans.data, groups=scans.groups)
        results["fit_seconds"] = time.perf_counter() - start
        results["epoch_seconds"] = ssl.history_[0]["seconds"]
        results["start_seconds"] = results["fit_seconds"] - results["epoch_seconds"]
    results["peak_gb"] = memory.peak_gb
    return {name: round(value, 2) for name, value in results.items()}


def measure_rates(root: Path, n_jobs: int, rounds: int) -> dict[str, float]:
    """Return images a second of decoding, of the network, and of both together."""
    paths = load_chexpert(root).data[:N_SAMPLE]
    source, rows = make_source(paths), np.arange(len(paths))
    reader = ImageReader.learn(source, rows, image_size=NETWORK_PX, n_jobs=n_jobs)
    ssl = SelfSupervisedPretrainer(
        backbone=tiny_cnn,
        image_size=NETWORK_PX,
        max_epochs=0,
        n_jobs=n_jobs,
        random_state=0,
    ).fit(paths[:64])

    def pillow(path: str) -> np.ndarray:
        with Image.open(path) as image:
            side = reader.store_size[0]
            image.draft("L", (2 * side, 2 * side))
            image.load()
            box = Image.Resampling.BILINEAR
            return np.asarray(image.resize(reader.store_size[::-1], box))

    def alone() -> None:
        with ThreadPoolExecutor(n_jobs) as threads:
            for _ in threads.map(pillow, paths, chunksize=64):
                pass

    decoded = torch.cat(list(reader.batches(source, 256, n_jobs=n_jobs)))
    actions: dict[str, Callable[[], Any]] = {
        "pillow": alone,
        "store": lambda: reader.store(source, rows, n_jobs=n_jobs),
        "decode": lambda: list(reader.batches(source, 16, n_jobs=n_jobs)),
        "network": lambda: ssl.transform(decoded),
        "transform": lambda: ssl.transform(paths),
    }
    best = dict.fromkeys(actions, 0.0)
    for _ in range(rounds):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            rate = len(paths) / (time.perf_counter() - start)
            best[name] = max(best[name], rate)
    return {name: round(rate, 1) for name, rate in best.items()}


def main() -> None:
    """Write the set if needed, measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--images", type=int, default=224_316)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--fit", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    root = args.folder / f"{args.images}" / "CheXpert-v1.0-small"
    if args.fit is not None:  # the process of one fit
        cache = args.folder / f"cache{args.images}"
        results = fit(root, cache, args.jobs, seed=args.fit.stem == "next_fit")
        args.fit.write_text(json.dumps(results))
        return
    if not (root / "train.csv").is_file():
        write_set(root, args.images)
    results: dict[str, Any] = {"images": args.images, "threads": args.jobs}
    for name in ("first_fit", "next_fit"):
        out = args.folder / f"{name}.json"
        subprocess.run([sys.executable, *sys.argv, "--fit", str(out)], check=True)
        results[name] = json.loads(out.read_text())
    rates = measure_rates(root, args.jobs, args.rounds)
    results["images_per_second"] = rates
    results["store_over_pillow"] = round(rates["store"] / rates["pillow"], 2)
    slower = min(rates["decode"], rates["network"])
    results["transform_over_slower"] = round(rates["transform"] / slower, 2)
    for name, value in results.items():
        print(f"{name:22} {value}")
    save(args.json, results)


if __name__ == "__main__":
    main()
