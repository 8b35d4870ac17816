"""Images per second of fine-tuning, against the bare model step.

    python benchmarks/bench_finetune.py --data covid-ct

Without ``--data`` it takes phantoms. Both take turns, round by round, in one process;
the ratio is of the times of an epoch of the same round.

On Linux set both ``MALLOC_MMAP_THRESHOLD_=33554432`` and
``MALLOC_TRIM_THRESHOLD_=2000000000`` for steady figures. Else glibc gives memory back
after a step or keeps it, as its blocks happen to lie, and asking for it anew makes
either side slower by up to a fifth. The file says what was set.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
from _report import save
from bench_pretrain import image_paths
from torch.nn import functional

from skssl import FineTuneClassifier, Phase
from skssl._random import isolated_rng
from skssl.engine import autocast, resolve_device, resolve_precision
from skssl.engine.optimizers import make_optimizer
from skssl.nn import Classifier, ClassifierHead, build_backbone


class BareStep:
    """Forward, loss, backward and optimizer step on a batch that is there already."""

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
        """Return the seconds that the steps take."""
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
    """Measure and print."""
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
        bare(2)  # kernels are chosen in the first steps
        measured = []
        for _ in range(args.rounds):
            clf = FineTuneClassifier(
                backbone=args.backbone,
                image_size=args.size,
                phases=[Phase(epochs=2, batch_size=args.batch)],
                random_state=0,
            ).fit(paths, y)
            # The first epoch of a process also warms up.
            epoch = clf.history_[-1]["seconds"]
            steps = bare(-(-len(paths) // args.batch)) * len(paths)
            steps /= -(-len(paths) // args.batch) * args.batch
            measured.append({"epoch": epoch, "bare steps": steps})
            print(f"epoch {epoch:.2f} s, bare steps {steps:.2f} s", flush=True)
    ratio = statistics.median(row["epoch"] / row["bare steps"] for row in measured)
    print(f"fine-tuning / bare step: {ratio:.3f}")
    settings = {k: v for k, v in vars(args).items() if k not in ("json", "data")}
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        settings[name] = os.environ.get(name)
    save(args.json, {"settings": settings, "rounds": measured, "ratio": ratio})


if __name__ == "__main__":
    main()
