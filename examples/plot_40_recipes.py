"""
Systems of four papers, side by side
====================================

`skssl.recipes` has the systems of four papers, ready to fit. Here each of them learns
the same simulated slices, from random weights and with a budget of a tenth of the
published epochs on small images, and is compared with the network that had no
pretraining, on the same test patients. For real images, leave ``weights`` and
``budget`` out.

It takes some two minutes on two CPU cores. With so little, differences are mostly
chance: the intervals say so.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skssl.datasets import make_scan_phantoms
from skssl.metrics import delong_interval, delong_test
from skssl.recipes import (
    Budget,
    contrastive_extractor,
    cross_transfer,
    self_trans,
    self_trans_pretrainer,
    targeted_flip,
)

scans = make_scan_phantoms(80, image_size=48, lesion_contrast=2.0, random_state=0)
train, test = (scans.split == part for part in ("train", "test"))
X, y, patients = scans.data[train], scans.target[train], scans.groups[train]
print(f"{train.sum()} slices to learn from, {test.sum()} test slices")

budget = Budget("example", epochs=0.1, image_size=48)
print(f"budget: {budget}")
settings = {"weights": None, "budget": budget, "random_state": 0}

# %%
# Self-Trans has a stage on images of other patients, which is fitted by itself, once.

others = make_scan_phantoms(60, image_size=48, random_state=1)
external = self_trans_pretrainer("resnet18", **settings).fit(others.data)

# %%
# All of them take images, labels and patients. The last one is a pipeline whose last
# step looks for C in folds that keep these patients together.

systems = {
    "from scratch": self_trans("resnet18", method="scratch", **settings),
    "targeted flip": targeted_flip("resnet18", **settings),
    "Self-Trans": self_trans("resnet18", external=external, **settings),
    "Cross": cross_transfer("resnet18", method="cross", **settings),
    "contrastive features": contrastive_extractor("resnet18", **settings),
}
scores = {}
for name, system in systems.items():
    system.fit(X, y, groups=patients)
    scores[name] = system.decision_function(scans.data[test])

# %%
# An interval by patients for each, and the paired difference to the first.

y_test, of_patient = scans.target[test], scans.groups[test]
areas = {s: delong_interval(y_test, scores[s], groups=of_patient) for s in systems}
for name, area in areas.items():
    line = f"{name:21} AUC {area}"
    if name != "from scratch":
        pair = scores[name], scores["from scratch"]
        line += f", above scratch by {delong_test(y_test, *pair, groups=of_patient)}"
    print(line)

figure, axis = plt.subplots(figsize=(7, 2.6), layout="constrained")
low, centre, high = np.array([(a.low, a.estimate, a.high) for a in areas.values()]).T
axis.errorbar(
    centre, list(areas), xerr=[centre - low, high - centre], fmt="o", capsize=3
)
axis.axvline(0.5, color="0.8", zorder=0)
axis.margins(y=0.15)
axis.set(xlim=(0.2, 1.0), xlabel="AUC of test patients, 95 %")
axis.invert_yaxis()
output = Path("output")
output.mkdir(exist_ok=True)
figure.savefig(output / "recipes.png", dpi=120)
print(f"figure in {output / 'recipes.png'}")
