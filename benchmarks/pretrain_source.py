"""Train a network on a labelled source domain such as CIFAR-10, and save its weights.

The weights replace those of ImageNet where these are not available. The zip file holds
``train/<class>/*.jpg`` and ``test/<class>/*.jpg``, or PNG files. Other sets in this
layout can be used, with their name as ``--source``. The saved file holds the network
and the normalisation of its images. Pass it as ``weights=`` to any estimator, or as
``--init`` to the benchmarks of the papers::

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
from _datasets import read_zip
from _results import environment

from skssl import FineTuneClassifier, Phase
from skssl.augment import get_recipe
from skssl.recipes import get_budget


def make_classifier(
    backbone: str, size: int, *, epochs: int, lr: float, seed: int, device: str
) -> FineTuneClassifier:
    """Return the classifier of the source domain, with random initial weights."""
    return FineTuneClassifier(
        backbone=backbone,
        # The stem for the target images, which are larger than those of the source.
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


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="zip file of CIFAR-10")
    parser.add_argument(
        "--source", default="CIFAR-10", help="name of the source domain"
    )
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument(
        "--size",
        type=int,
        help="image size, pixels (default: that of the small budget)",
    )
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--lr",
        type=float,
        default=1e-3,
        help="learning rate of AdamW (VGG-16, without batch normalisation, needs 1e-4)",
    )
    parser.add_argument("--per-class", type=int, help="training images per class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True, help="path of the .pth file")
    return parser


def main() -> None:
    """Train, score on the test images of the source, and save the weights."""
    parser = make_parser()
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
    report = {
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
    args.out.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    print(f"{args.out}: test accuracy {accuracy:.4f}, {seconds:.0f} s")
    if accuracy <= 1.5 * np.bincount(y_test).max() / len(y_test):
        print("This is close to the largest class alone: try a lower --lr.")


def _read(
    parser: argparse.ArgumentParser,
    archive: zipfile.ZipFile,
    split: str,
    per_class: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Read one split of the set, or exit with the reason."""
    try:
        return read_zip(archive, split, per_class)
    except ValueError as error:
        parser.error(f"--data {archive.filename}: {error}")


if __name__ == "__main__":
    main()
