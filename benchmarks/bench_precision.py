"""Training steps in bfloat16 and float32, and which of them "auto" takes.

    python benchmarks/bench_precision.py --json benchmarks/results/bench_precision.json

For each network and image size: the time of a float32 step divided by that of a
bfloat16 step, the median over rounds in which the two alternate in one process. A ratio
below 1 says that bfloat16 is slower.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from _results import environment, save

from skssl._random import isolated_rng
from skssl.engine import autocast, resolve_device, resolve_precision
from skssl.nn import build_backbone
from skssl.nn.cost import depthwise_fraction

NETWORKS = (
    "resnet18",
    "densenet121",
    "timm/tf_efficientnet_lite0",
    "efficientnet_b0",
    "mobilenet_v3_small",
    "convnext_tiny",
    "vit_tiny",
)


def time_step(
    backbone: torch.nn.Module, images: torch.Tensor, precision: str, n_steps: int
) -> float:
    """Return the seconds of one training step."""
    device = images.device
    start = time.perf_counter()
    for _ in range(n_steps):
        backbone.zero_grad()
        with autocast(precision, device):
            loss = backbone(images).float().square().mean()
        loss.backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start) / n_steps


def measure(name: str, px: int, args: argparse.Namespace) -> dict[str, object]:
    """Return the ratio of a network at one image size, and the choice of "auto"."""
    device = resolve_device(args.device)
    with isolated_rng(0):
        backbone = build_backbone(name, in_channels=1, image_size=(px, px))
        images = torch.rand(args.batch, 1, px, px)
    backbone = backbone.train().to(device).to(memory_format=torch.channels_last)
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    ratios = []
    for i in range(args.rounds + 1):
        full, half = (
            time_step(backbone, images, precision, args.steps)
            for precision in ("float32", "bfloat16")
        )
        if i:  # the first round warms up
            ratios.append(full / half)
    return {
        "network": name,
        "px": px,
        "ratio": round(statistics.median(ratios), 3),
        "depthwise": round(depthwise_fraction(backbone, (px, px)), 3),
        "auto": resolve_precision("auto", device, (px, px), backbone),
    }


def main() -> None:
    """Measure all networks and sizes, and print or save a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[112, 224])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for name in args.networks:
        for px in args.sizes:
            row = measure(name, px, args)
            loss = max(
                1 / row["ratio"] if row["auto"] == "bfloat16" else row["ratio"], 1
            )
            row["auto_slower_by"] = round(loss - 1, 3)
            rows.append(row)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if args.json:
        save(args.json, {"environment": environment(), "rows": rows})


if __name__ == "__main__":
    main()
