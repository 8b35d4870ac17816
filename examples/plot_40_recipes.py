"""
Comparison of the systems of four papers
========================================

`skssl.recipes` provides the systems of four papers as estimators. Here each of them is
trained on the same simulated slices, from random weights. The budget is a tenth of the
published epochs, on small images. Each system is compared with a network without
pretraining, on the same test patients. For real images, omit ``weights`` and
``budget``.

The example takes about two minutes on two CPU cores. With so little training, most
differences are due to chance, as the intervals show.
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
train, test = (scans.split == split for split in ("train", "test"))
X, y, patients = scans.data[train], scans.target[train], scans.groups[train]
print(f"{train.sum()} training slices, {test.sum()} test slices")

budget = Budget("example", epochs=0.1, image_size=48)
print(f"budget: {budget}")
settings = {"weights": None, "budget": budget, "random_state": 0}

# %%
# The first stage of Self-Trans is trained once, on images of other patients.

others = make_scan_phantoms(60, image_size=48, random_state=1)
external = self_trans_pretrainer("resnet18", **settings).fit(others.data)

# %%
# All systems take images, labels and patients. The last one is a pipeline whose last
# step chooses C by patient-grouped cross-validation.

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
# The AUC of each system with an interval by patients, and the paired difference to the
# network without pretraining.

y_test, test_patients = scans.target[test], scans.groups[test]
aucs = {s: delong_interval(y_test, scores[s], groups=test_patients) for s in systems}
for name, auc in aucs.items():
    line = f"{name:21} AUC {auc}"
    if name != "from scratch":
        pair = scores[name], scores["from scratch"]
        comparison = delong_test(y_test, *pair, groups=test_patients)
        line += f", difference to scratch {comparison}"
    print(line)

figure, axis = plt.subplots(figsize=(7, 2.6), layout="constrained")
low, centre, high = np.array([(a.low, a.estimate, a.high) for a in aucs.values()]).T
axis.errorbar(
    centre, list(aucs), xerr=[centre - low, high - centre], fmt="o", capsize=3
)
axis.axvline(0.5, color="0.8", zorder=0)
axis.margins(y=0.15)
axis.set(xlim=(0.2, 1.0), xlabel="AUC of test patients, 95 %")
axis.invert_yaxis()
output = Path("output")
output.mkdir(exist_ok=True)
figure.savefig(output / "recipes.png", dpi=120)
print(f"figure in {output / 'recipes.png'}")
