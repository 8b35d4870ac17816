"""Images per second of a pretraining, compared with the bare step and with lightly.

    python benchmarks/bench_pretrain.py --data covid-ct
    python benchmarks/bench_pretrain.py --pretext moco --size 112 --batch 64

Without ``--data`` the images are phantoms. The contenders alternate round by round in
one process, so that a busy machine slows all of them equally. Ratios are medians over
the rounds.
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from _results import environment, peak_ram_gb, save
from PIL import Image

from skssl import SelfSupervisedPretrainer
from skssl._random import isolated_rng, make_generator
from skssl.datasets import load_image_folder, make_scan_phantoms
from skssl.engine import autocast, resolve_device, resolve_precision
from skssl.engine.optimizers import make_optimizer
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo, get_pretext


def image_paths(args: argparse.Namespace, folder: Path) -> list[str]:
    """Return the files of a folder of class folders, or phantoms written as PNG."""
    if args.data:
        root = args.data / "images" if (args.data / "images").is_dir() else args.data
        return list(load_image_folder(root).data)[: args.n_images]
    scans = make_scan_phantoms(args.n_images // 3, image_size=256, random_state=0)
    paths = []
    for i, scan in enumerate(scans.data[: args.n_images]):
        path = folder / "phantoms" / f"{i:05}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(scan).save(path)
        paths.append(str(path))
    return paths


class BareStep:
    """Forward, loss, backward and optimizer step on views in memory."""

    def __init__(self, args: argparse.Namespace, precision: str):
        self.device = resolve_device("auto")
        self.batch = args.batch
        size = (args.size, args.size)
        info = TrainingInfo(args.n_images, 1, size, args.batch)
        task = get_pretext(args.pretext).resolve(info)
        self.precision = resolve_precision(precision, self.device, size)
        with isolated_rng(0):
            backbone = build_backbone(args.backbone, in_channels=1, image_size=size)
            module = task.build(backbone, info).train()
        images = torch.randint(0, 256, (args.batch, 1, *size), dtype=torch.uint8)
        self.views = task.views(
            images.to(self.device), make_generator(0, self.device), size=size
        )
        self.module = module.to(self.device).to(memory_format=torch.channels_last)
        self.index = torch.arange(args.batch, device=self.device)
        self.optimizer = make_optimizer(
            task.default_optimizer, self.module, lr=1e-4, weight_decay=1e-4
        )

    def __call__(self, n_steps: int) -> float:
        """Return images per second over ``n_steps`` steps."""
        _wait(self.device)
        start = time.perf_counter()
        for _ in range(n_steps):
            self.optimizer.zero_grad(set_to_none=True)
            with autocast(self.precision, self.device):
                loss = self.module(self.views, self.index)
            loss.backward()
            self.optimizer.step()
            self.module.after_step(0.5)
        _wait(self.device)
        return self.batch * n_steps / (time.perf_counter() - start)


def skssl_epochs(args: argparse.Namespace, paths: list[str]) -> tuple[float, float]:
    """Return images per second of the epochs, and the other seconds of ``fit``."""
    ssl = SelfSupervisedPretrainer(
        args.pretext,
        backbone=args.backbone,
        image_size=args.size,
        batch_size=args.batch,
        max_epochs=args.epochs,
        random_state=0,
    )
    start = time.perf_counter()
    ssl.fit(paths)
    total = time.perf_counter() - start
    seconds = [epoch["seconds"] for epoch in ssl.history_]
    speed = statistics.median(len(paths) / second for second in seconds)
    return speed, total - sum(seconds)


def lightly_epochs(args: argparse.Namespace, paths: list[str]) -> float:
    """Return images per second of SimCLR in lightly, as in its documentation."""
    from lightly.data import LightlyDataset
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead
    from lightly.transforms import SimCLRTransform
    from torchvision.models import resnet18

    with tempfile.TemporaryDirectory() as folder:
        for i, path in enumerate(paths):
            link = Path(folder) / f"{i:05}{Path(path).suffix}"
            link.symlink_to(Path(path).resolve())
        dataset = LightlyDataset(folder, transform=SimCLRTransform(args.size))
        loader = torch.utils.data.DataLoader(
            dataset, args.batch, shuffle=True, drop_last=True, num_workers=2
        )
        backbone = resnet18()
        backbone.fc = torch.nn.Identity()
        model = torch.nn.Sequential(backbone, SimCLRProjectionHead(512, 2048, 128))
        criterion = NTXentLoss(temperature=0.2)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        start = time.perf_counter()
        for batch in loader:
            z1, z2 = (model(view) for view in batch[0])
            loss = criterion(z1, z2)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return len(loader) * args.batch / (time.perf_counter() - start)


def rounds(args: argparse.Namespace, paths: list[str]) -> Iterator[dict[str, float]]:
    """Yield the speeds of all contenders, round by round."""
    steps: dict[str, Callable[[int], float]] = {
        f"bare step, {precision}": BareStep(args, precision)
        for precision in ("float32", "auto")
    }
    for step in steps.values():
        step(2)  # warm-up: kernels are chosen in the first steps
    n_steps = max(2, len(paths) // args.batch)
    with_lightly = args.pretext == "simclr" and importlib.util.find_spec("lightly")
    for _ in range(args.rounds):
        speeds = {name: step(n_steps) for name, step in steps.items()}
        speeds["skssl"], speeds["seconds outside epochs"] = skssl_epochs(args, paths)
        speeds["peak RAM, GB"] = peak_ram_gb()
        if with_lightly and args.backbone == "resnet18":
            speeds["lightly"] = lightly_epochs(args, paths)
        yield speeds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Measure, print and save the speeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder of class folders")
    parser.add_argument("--pretext", default="simclr")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--n-images", type=int, default=746)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = image_paths(args, Path(folder))
        args.n_images = len(paths)
        measured = []
        for speeds in rounds(args, paths):
            measured.append(speeds)
            print("  ".join(f"{k} {v:.1f}" for k, v in speeds.items()), flush=True)
    medians = {
        name: statistics.median(row[name] for row in measured) for name in measured[0]
    }
    ratio = statistics.median(r["skssl"] / r["bare step, auto"] for r in measured)
    print(f"\n{args.pretext}, {args.backbone}, {args.size} px, batch {args.batch}, ")
    print(f"{len(paths)} images, {environment()['device']}; medians:")
    for name, value in medians.items():
        print(f"  {name:24} {value:8.1f}")
    print(f"  skssl / bare step, auto  {ratio:8.3f}")
    ratios = {"skssl / bare step, auto": ratio}
    if "lightly" in medians:
        ratios["skssl / lightly"] = float(
            np.median([r["skssl"] / r["lightly"] for r in measured])
        )
        print(f"  skssl / lightly          {ratios['skssl / lightly']:8.2f}")
    elif args.pretext == "simclr":
        print("  lightly: not installed")
    settings = {k: v for k, v in vars(args).items() if k not in ("json", "data")}
    save(args.json, {"settings": settings, "medians": medians, "ratios": ratios})


if __name__ == "__main__":
    main()
