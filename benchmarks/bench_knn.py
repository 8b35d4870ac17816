"""CIFAR-10 with a ResNet-18 and k nearest neighbours, as is common in the literature.

The network has a 3 x 3 stem. It is pretrained on the 50,000 training images with a
batch size of 512. The 10,000 test images are then classified by their 200 nearest
training features (cosine similarity s, weights exp(s / 0.1), Wu et al. 2018,
:doi:`10.1109/CVPR.2018.00393`). The features are those of the last epoch. A GPU needs
minutes, a CPU days. For a trial run, reduce ``--n-images`` and ``--epochs``.

    python benchmarks/bench_knn.py --data cifar10-jpeg.zip --epochs 200
"""

import argparse
import time
import zipfile
from pathlib import Path

import numpy as np
from _datasets import read_zip
from _results import save
from sklearn.neighbors import KNeighborsClassifier

from skssl import SelfSupervisedPretrainer
from skssl.pretext import MoCo, SimCLR

TASKS = {
    "simclr": SimCLR(temperature=0.5, hidden_size=512, augmentation="simclr"),
    "moco": MoCo(
        temperature=0.1,
        queue_size=4096,
        momentum=0.99,
        batch_norm=False,
        hidden_size=512,
        in_batch_negatives=False,
        exclude_same_image=False,
        augmentation="moco_v2",
    ),
}


def knn_accuracy(
    h: np.ndarray, y: np.ndarray, h_test: np.ndarray, y_test: np.ndarray
) -> float:
    """Return the accuracy of weighted nearest neighbours on the test images."""
    knn = KNeighborsClassifier(
        n_neighbors=min(200, len(y)),
        weights=lambda distance: np.exp((1 - distance) / 0.1),
        metric="cosine",
        n_jobs=-1,
    )
    return float(knn.fit(h, y).score(h_test, y_test))


def run(name: str, args: argparse.Namespace, X: tuple, y: tuple) -> dict:
    """Pretrain with one method and return its row."""
    ssl = SelfSupervisedPretrainer(
        TASKS[name],
        stem="cifar",
        batch_size=args.batch,
        max_epochs=args.epochs,
        optimizer="sgd",
        lr=0.06 * args.batch / 128,
        weight_decay=5e-4,
        random_state=args.seed,
        verbose=1,
    )
    start = time.perf_counter()
    ssl.fit(X[0])
    seconds = time.perf_counter() - start
    accuracy = knn_accuracy(ssl.transform(X[0]), y[0], ssl.transform(X[1]), y[1])
    row = {
        "method": name,
        "seed": args.seed,
        "knn_accuracy": round(accuracy, 4),
        "minutes": round(seconds / 60, 2),
        "device": ssl.device_,
        "precision": ssl.precision_,
        "loss": round(ssl.history_[-1]["loss"], 4),
    }
    print(row, flush=True)
    return row


def main() -> None:
    """Run the requested methods and save their rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--n-images", type=int, help="images per class and split")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    archive = zipfile.ZipFile(args.data)
    splits = [read_zip(archive, name, args.n_images) for name in ("train/", "test/")]
    X, y = zip(*splits, strict=True)
    rows = [run(name, args, X, y) for name in args.methods]
    settings = {"epochs": args.epochs, "batch_size": args.batch, "k": 200, "T": 0.1}
    save(args.json, {"settings": settings, "rows": rows})


if __name__ == "__main__":
    main()
