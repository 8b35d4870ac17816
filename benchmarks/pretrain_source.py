"""Train a network on a labelled source domain, CIFAR-10, and write its weights.

They stand in for ImageNet's where these cannot be had: natural images, of which ten
classes were told apart. The zip has ``train/<class>/*.jpg`` and ``test/<class>/*.jpg``,
PNG as well; any other set of this layout serves, with its name as ``--source``. The
file holds the network and the normalisation of its images, and goes to ``weights=`` of
any estimator or ``--init`` of the papers::

    python benchmarks/pretrain_source.py --data cifar10.zip --backbone resnet50 \
        --out source/resnet50.pth
    python -m benchmarks.papers he2020 --data covid-ct --external luna \
        --budget small --init "source/{backbone}.pth"
"""

import argparse
import json
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
from _report import environment
from _studies import read_zip

from skssl import FineTuneClassifier, Phase
from skssl.augment import get_recipe
from skssl.recipes import get_budget


def make_classifier(
    backbone: str, size: int, *, epochs: int, lr: float, seed: int, device: str
) -> FineTuneClassifier:
    """Return the classifier of the source domain, from random weights."""
    return FineTuneClassifier(
        backbone=backbone,
        # Of the later images, which are larger than those of the source.
        stem="imagenet",
        image_size=size,
        phases=[
            Phase(
                "all",
                lr=lr,
                epochs=epochs,
                batch_size=128,
                weight_decay=0.05,
                schedule="cosine",
                warmup=0.05,
            )
        ],
        augmentation=get_recipe("self_trans_finetune", crop_scale=(0.35, 1.0)),
        random_state=seed,
        device=device,
        verbose=1,
    )


def main() -> None:
    """Train, score on the test images of the source, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10 as a zip")
    parser.add_argument(
        "--source", default="CIFAR-10", help="the name of what it holds"
    )
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument(
        "--size", type=int, help="pixels (default: those of the small budget)"
    )
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--lr",
        type=float,
        default=1e-3,
        help="of AdamW; VGG-16, which has no batch normalisation, learns at 1e-4",
    )
    parser.add_argument("--per-class", type=int, help="training images of each class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True, help="a .pth file")
    args = parser.parse_args()
    if args.out.suffix != ".pth" or args.out.is_dir():
        parser.error(f"--out must be a .pth file, got {str(args.out)!r}.")
    try:
        archive = zipfile.ZipFile(args.data)
    except (OSError, zipfile.BadZipFile) as error:
        parser.error(f"--data {args.data}: {error}")
    X, y = _read(parser, archive, "train/", args.per_class)
    X_test, y_test = _read(parser, archive, "test/", None)
    size = args.size or get_budget("small").size_px(224, args.backbone)
    clf = make_classifier(
        args.backbone,
        size,
        epochs=args.epochs,
        lr=args.lr,
        seed=args.seed,
        device=args.device,
    )
    start = time.perf_counter()
    clf.fit(X, y)
    seconds = time.perf_counter() - start
    accuracy = clf.score(X_test, y_test)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(clf.backbone_.cpu().state_dict(), args.out)
    told = {
        "environment": environment(),
        "source": args.source,
        "backbone": args.backbone,
        "image_size": size,
        "epochs": args.epochs,
        "lr": args.lr,
        "n_images": len(X),
        "seed": args.seed,
        "test_accuracy": round(float(accuracy), 4),
        "seconds": round(seconds, 1),
    }
    args.out.with_suffix(".json").write_text(json.dumps(told, indent=2) + "\n")
    print(f"{args.out}: {accuracy:.4f} of the test images right, {seconds:.0f} s")
    if accuracy <= 1.5 * np.bincount(y_test).max() / len(y_test):
        print("That is hardly more than one class for all: try a lower --lr.")


def _read(
    parser: argparse.ArgumentParser,
    archive: zipfile.ZipFile,
    part: str,
    per_class: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Read one part of the set, or say what it lacks."""
    try:
        return read_zip(archive, part, per_class)
    except ValueError as error:
        parser.error(f"--data {archive.filename}: {error}")


if __name__ == "__main__":
    main()
