"""
Pretrain on scans without labels, then learn from 40 of them
============================================================

The images are simulated thorax slices of 240 patients, with several slices per patient.
Only 40 slices of 40 patients are labelled. The network is pretrained on all slices of
the training patients without labels. Logistic regression on its features is then fitted
to the 40 labelled slices. The control is the same network before training. Neither sees
the test patients.
"""

# %%
# The images
# ----------
# Diseased patients have patchy lesions in the lungs. The scanners differ in window,
# noise and position, so that brightness alone predicts little.

import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import SelfSupervisedPretrainer
from skssl.datasets import make_scan_phantoms
from skssl.metrics import bootstrap_interval

start = time.perf_counter()
scans = make_scan_phantoms(240, image_size=64, random_state=0)
train = np.flatnonzero(scans.split == "train")
test = np.flatnonzero(scans.split == "test")

# %%
# The labels: one random slice of each of 20 healthy and 20 diseased training patients.
# (The first slices are the highest ones, and would not be representative.)

shuffled = np.random.default_rng(0).permutation(train)
_, first = np.unique(scans.groups[shuffled], return_index=True)
first = shuffled[first]
labelled = np.concatenate([first[scans.target[first] == k][:20] for k in (0, 1)])
print(f"{len(train)} slices for pretraining, {len(labelled)} of them labelled")

# %%
# Pretraining and probing
# -----------------------
# The classifier is fitted on the features of the labelled slices. ``max_epochs=0``
# leaves the network untrained.


def score(max_epochs):
    """Return the fitted pretrainer, scores of the test slices, and their AUC."""
    ssl = SelfSupervisedPretrainer(
        "simclr", backbone="resnet18", max_epochs=max_epochs, random_state=0
    )
    ssl.fit(scans.data[train])
    probe = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced")
    )
    probe.fit(ssl.transform(scans.data[labelled]), scans.target[labelled])
    scores = probe.decision_function(ssl.transform(scans.data[test]))
    interval = bootstrap_interval(
        scans.target[test], scores, groups=scans.groups[test], random_state=0
    )
    return ssl, scores, interval


_, untrained_scores, untrained = score(max_epochs=0)
ssl, pretrained_scores, pretrained = score(max_epochs=20)
print(f"test AUC, untrained features:  {untrained} (95 % by patients)")
print(f"test AUC, pretrained features: {pretrained}")

# %%
# Plot
# ----
# Labelled slices, the loss, and the scores of the test slices by class.

figure, axes = plt.subplots(2, 4, figsize=(10, 5), layout="constrained")
for axis, row in zip(axes[0], labelled[[0, 1, -2, -1]], strict=True):
    axis.imshow(scans.data[row], cmap="gray")
    axis.set_title(scans.target_names[scans.target[row]])
    axis.axis("off")
grid = axes[1, 0].get_gridspec()
for axis in axes[1]:
    axis.remove()
loss_axis = figure.add_subplot(grid[1, :2])
loss_axis.plot(
    [row["epoch"] for row in ssl.history_], [row["loss"] for row in ssl.history_]
)
loss_axis.locator_params(axis="x", integer=True)
loss_axis.set(xlabel="epoch", ylabel="NT-Xent loss", title="Pretraining")
for column, name, scores, interval in (
    (2, "untrained", untrained_scores, untrained),
    (3, "pretrained", pretrained_scores, pretrained),
):
    axis = figure.add_subplot(grid[1, column])
    groups = [scores[scans.target[test] == k] for k in (0, 1)]
    axis.boxplot(groups, tick_labels=scans.target_names)
    axis.set(title=f"{name}: AUC {interval.estimate:.2f}", ylabel="score")
output = Path("output")
output.mkdir(exist_ok=True)
figure.savefig(output / "quickstart.png", dpi=120)
print(f"{time.perf_counter() - start:.0f} s; plot saved as {output / 'quickstart.png'}")
