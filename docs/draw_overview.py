"""Draw the overview in the README from a short pretraining on simulated scans.

``python docs/draw_overview.py`` takes a few minutes on two cores. The training is
stored in ``output``, so that a second run only draws.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from skssl import SelfSupervisedPretrainer
from skssl.datasets import make_scan_phantoms

COLORS = ("#0072b2", "#d55e00")  # differ for colour-blind readers
N_LABELS = (10, 20, 40, 80, 160)
N_DRAWS = 30
DPI = 150
STYLE = {
    "font.size": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
}


def main() -> None:
    """Pretrain, score and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    here = Path(__file__).parent
    parser.add_argument("--out", type=Path, default=here / "_static" / "overview.png")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--patients", type=int, default=240)
    arguments = parser.parse_args()

    scans = make_scan_phantoms(
        arguments.patients, image_size=64, lesion_contrast=2.0, random_state=0
    )
    features = {
        "pretrained": encode(scans, arguments.epochs),
        "untrained": encode(scans, 0),
        "raw pixels": scans.data.reshape(len(scans.data), -1) / 255,
    }
    curves = {name: label_curve(h, scans) for name, h in features.items()}
    with mpl.rc_context(STYLE):
        figure = draw(scans, features["pretrained"], curves)
    save(figure, arguments.out)
    for name, scores in curves.items():
        print(name, dict(zip(N_LABELS, scores.mean(axis=1).round(3), strict=True)))
    print(f"saved {arguments.out}")


def encode(scans: Bunch, max_epochs: int) -> np.ndarray:
    """Pretrain on the training patients; return the features of all images."""
    ssl = SelfSupervisedPretrainer(
        "simclr",
        backbone="resnet18",
        max_epochs=max_epochs,
        cache="output/overview",
        random_state=0,
    )
    return ssl.fit(scans.data[scans.split == "train"]).transform(scans.data)


def label_curve(features: np.ndarray, scans: Bunch) -> np.ndarray:
    """Return the test AUC for each number of labels and each draw of labels."""
    rng = np.random.default_rng(0)
    test = scans.split == "test"
    by_class = [
        np.flatnonzero((scans.split == "train") & (scans.target == k)) for k in (0, 1)
    ]
    scores = np.empty((len(N_LABELS), N_DRAWS))
    for draw_index in range(N_DRAWS):
        order = [rng.permutation(rows) for rows in by_class]
        for i, n_labels in enumerate(N_LABELS):
            rows = np.concatenate([one[: n_labels // 2] for one in order])
            probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
            probe.fit(features[rows], scans.target[rows])
            decision = probe.decision_function(features[test])
            scores[i, draw_index] = roc_auc_score(scans.target[test], decision)
    return scores


def draw(scans: Bunch, features: np.ndarray, curves: dict[str, np.ndarray]) -> Figure:
    """Draw images, features and scores, from left to right."""
    figure = plt.figure(figsize=(8, 2.75))
    draw_scans(figure, scans)
    draw_embedding(figure.add_axes((0.345, 0.14, 0.29, 0.72)), features, scans)
    draw_curves(figure.add_axes((0.71, 0.17, 0.275, 0.69)), curves)
    titles = ("Several slices per patient", "Features learned without labels")
    titles = (*titles, "AUC with few labels")
    for x, title in zip((0.012, 0.345, 0.66), titles, strict=True):
        figure.text(x, 0.93, title, fontsize=9, fontweight="bold", color="#222222")
    return figure


def draw_scans(figure: Figure, scans: Bunch) -> None:
    """Show three slices of two healthy and of two diseased patients, a row each."""
    patients, n_slices = np.unique(scans.groups, return_counts=True)
    enough = patients[n_slices >= 3]
    target = np.array([scans.target[scans.groups == g][0] for g in enough])
    shown = [*enough[target == 0][:2], *enough[target == 1][:2]]
    height = 0.205
    width = height * figure.get_figheight() / figure.get_figwidth()  # square
    for i, patient in enumerate(shown):
        bottom = 0.86 - (i + 1) * height
        for j, row in enumerate(np.flatnonzero(scans.groups == patient)[:3]):
            box = (0.012 + 1.04 * width * j, bottom, width, 0.96 * height)
            axes = figure.add_axes(box)
            axes.imshow(scans.data[row], cmap="gray", vmin=0, vmax=255, aspect="auto")
            axes.set_axis_off()
        k = scans.target[scans.groups == patient][0]
        name = f"patient {i + 1}\n{scans.target_names[k]}"
        figure.text(0.24, bottom + height / 2, name, color=COLORS[k], va="center")


def draw_embedding(axes: Axes, features: np.ndarray, scans: Bunch) -> None:
    """Show the features of the test images in two dimensions."""
    test = scans.split == "test"
    scaled = StandardScaler().fit_transform(features[test])
    points = TSNE(perplexity=25, random_state=0).fit_transform(scaled)
    for k, name in enumerate(scans.target_names):
        x, y = points[scans.target[test] == k].T
        axes.scatter(x, y, s=12, color=COLORS[k], alpha=0.8, linewidths=0, label=name)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(f"t-SNE of {test.sum()} slices of test patients", labelpad=6)
    axes.legend(loc="upper left", frameon=False, handletextpad=0.1, borderpad=0)


def draw_curves(axes: Axes, curves: dict[str, np.ndarray]) -> None:
    """Show mean and standard deviation of the AUC by the number of labels."""
    styles = {
        "pretrained": ("#111111", "-", (14, 0.865)),
        "untrained": ("#777777", "-", (44, 0.665)),
        "raw pixels": ("#777777", ":", (10, 0.535)),
    }
    for name, scores in curves.items():
        color, line, place = styles[name]
        mean, std = scores.mean(axis=1), scores.std(axis=1)
        if name != "raw pixels":  # it would hide that of the untrained network
            axes.fill_between(
                N_LABELS, mean - std, mean + std, color=color, alpha=0.12, linewidth=0
            )
        axes.plot(N_LABELS, mean, line, marker="o", color=color, ms=3, lw=1.4)
        axes.annotate(name, place, color=color, fontsize=8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(N_LABELS, [str(n) for n in N_LABELS])
    axes.set(xlabel="labelled slices", ylabel="test AUC", ylim=(0.5, 0.95))


def save(figure: Figure, path: Path) -> None:
    """Save as a small PNG of 1200 px width."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI, facecolor="white")
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main()
