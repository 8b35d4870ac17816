"""Time per epoch of fine-tuning, compared with the bare training step.

    python benchmarks/bench_finetune.py --data covid-ct

Without ``--data`` the images are phantoms. The contenders alternate round by round in
one process. The ratio is the median over rounds of the ratio of their times.

On Linux, set both ``MALLOC_MMAP_THRESHOLD_=33554432`` and
``MALLOC_TRIM_THRESHOLD_=2000000000`` for stable timings. With its default settings,
glibc may return memory to the system after each step, depending on the memory layout.
Allocating it again makes either contender slower by up to a fifth. The results file
records both variables.
"""

import argparse
import math
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
from _results import save
from bench_pretrain import image_paths
from torch.nn import functional

from skssl import FineTuneClassifier, Phase
from skssl._random import isolated_rng
from skssl.engine import autocast, resolve_device, resolve_precision
from skssl.engine.optimizers import make_optimizer
from skssl.nn import Classifier, ClassifierHead, build_backbone


class BareStep:
    """Forward, loss, backward and optimizer step on a batch in memory."""

    def __init__(self, backbone: str, size: int, batch: int):
        self.device = resolve_device("auto")
        self.precision = resolve_precision("auto", self.device, (size, size))
        with isolated_rng(0):
            network = build_backbone(backbone, in_channels=1, image_size=(size, size))
            head = ClassifierHead(network.n_features, 2)
        module = Classifier(network, head).train().to(self.device)
        self.module = module.to(memory_format=torch.channels_last)
        images = torch.rand(batch, 1, size, size, device=self.device)
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.target = torch.arange(batch, device=self.device) % 2
        self.optimizer = make_optimizer(
            "adamw", self.module, lr=1e-4, weight_decay=1e-4
        )

    def __call__(self, n_steps: int) -> float:
        """Return the seconds of ``n_steps`` steps."""
        self._wait()
        start = time.perf_counter()
        for _ in range(n_steps):
            self.optimizer.zero_grad(set_to_none=True)
            with autocast(self.precision, self.device):
                logits = self.module(self.images)
            functional.cross_entropy(logits.float(), self.target).backward()
            self.optimizer.step()
        self._wait()
        return time.perf_counter() - start

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def main() -> None:
    """Measure, print and save the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder of class folders")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--n-images", type=int, default=543)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = image_paths(args, Path(folder))
        y = [i % 2 for i in range(len(paths))]
        bare = BareStep(args.backbone, args.size, args.batch)
        bare(2)  # warm-up: kernels are chosen in the first steps
        measured = []
        for _ in range(args.rounds):
            clf = FineTuneClassifier(
                backbone=args.backbone,
                image_size=args.size,
                phases=[Phase(epochs=2, batch_size=args.batch)],
                random_state=0,
            ).fit(paths, y)
            # The first epoch of a process includes the warm-up.
            epoch = clf.history_[-1]["seconds"]
            n_steps = math.ceil(len(paths) / args.batch)
            # Scaled to the images of an epoch, whose last batch is smaller.
            seconds = bare(n_steps) * len(paths) / (n_steps * args.batch)
            measured.append({"epoch": epoch, "bare steps": seconds})
            print(f"epoch {epoch:.2f} s, bare steps {seconds:.2f} s", flush=True)
    ratio = statistics.median(row["epoch"] / row["bare steps"] for row in measured)
    print(f"fine-tuning / bare step: {ratio:.3f}")
    settings = {k: v for k, v in vars(args).items() if k not in ("json", "data")}
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        settings[name] = os.environ.get(name)
    save(args.json, {"settings": settings, "rounds": measured, "ratio": ratio})


if __name__ == "__main__":
    main()
