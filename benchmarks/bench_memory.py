"""Peak host memory of one epoch on 10,000 phantom slices of 224 px.

    python benchmarks/bench_memory.py [--images 10000]

The bound is the size of the store (images × store size², in bytes) plus 1.5 GB. Memory
peaks in the first steps, so that ``--images 300`` measures the memory beyond the store
within a minute.
"""

import argparse
import time
from pathlib import Path

from _results import peak_ram_gb, save

from skssl import SelfSupervisedPretrainer
from skssl.datasets import make_scan_phantoms


def main() -> None:
    """Measure, print and save the memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--pretext", default="simclr")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    scans = make_scan_phantoms(
        args.images // 2, images_per_patient=2, image_size=args.size, random_state=0
    )
    before = peak_ram_gb()
    start = time.perf_counter()
    ssl = SelfSupervisedPretrainer(
        args.pretext, backbone=args.backbone, max_epochs=1, random_state=0
    ).fit(scans.data)
    store_gb = scans.data.nbytes / 1e9
    results = {
        "images": len(scans.data),
        "image_size": args.size,
        "batch_size": ssl.batch_size_,
        "store_gb": store_gb,
        "peak_before_fit_gb": before,
        "peak_gb": peak_ram_gb(),
        "beyond_store_gb": peak_ram_gb() - store_gb,
        "seconds": time.perf_counter() - start,
        "images_per_second": ssl.history_[0]["images_per_second"],
    }
    for name, value in results.items():
        print(f"{name:20} {value:.2f}")
    save(args.json, {"pretext": args.pretext, "backbone": args.backbone, **results})


if __name__ == "__main__":
    main()
