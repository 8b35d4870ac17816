"""
Fine-tuning: pretrained features and end-to-end training
========================================================

A pretrainer can be used in two ways. Its ``transform`` computes features for logistic
regression or any other estimator in a pipeline. `FineTuneClassifier` continues to train
the whole network. In both cases, the pretraining runs inside each fold, on the training
images of the fold.

The images are simulated phantoms. The example takes about three minutes on two CPU
cores.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier

from skssl import (
    FineTuneClassifier,
    Phase,
    SelfSupervisedPretrainer,
    TargetedFlipPretrainer,
)
from skssl.datasets import make_scan_phantoms

scans = make_scan_phantoms(45, image_size=48, lesion_contrast=2.0, random_state=0)
folds = StratifiedGroupKFold(3, shuffle=True, random_state=0)

# %%
# As features
# -----------
# The pretrainer is a step of the pipeline. ``ssl__…`` sets its parameters, and
# ``ssl__pretext__…`` those of the pretext.

ssl = SelfSupervisedPretrainer("simclr", image_size=32, max_epochs=10, random_state=0)
pipe = Pipeline(
    [
        ("ssl", ssl),
        ("scale", StandardScaler()),
        ("clf", LogisticRegression(class_weight="balanced", max_iter=1000)),
    ]
)
pipe.set_params(ssl__pretext__temperature=0.5, clf__C=0.1)

# %%
# End to end
# ----------
# `FineTuneClassifier` takes the same pretrainer. It can be the last step of a pipeline,
# or be searched directly. ``pretrainer__…`` sets parameters of the pretrainer.

finetuned = FineTuneClassifier(
    ssl,
    phases=[
        Phase("head", epochs=5),
        Phase("all", lr=3e-4, epochs=10, schedule="cosine"),
    ],
    random_state=0,
)
finetuned.set_params(pretrainer__pretext__temperature=0.5)

# %%
# The targeted pretrainer of Ewen & Khan learns to detect horizontal flips. The
# classifier then continues with the same head. Training starts from random weights,
# not from ImageNet weights as in the paper, and needs higher learning rates.

targeted = FineTuneClassifier(
    TargetedFlipPretrainer(
        image_size=32, phases=[Phase(epochs=8, schedule="cosine")], random_state=0
    ),
    phases=finetuned.phases,
    random_state=0,
)

# %%
# A custom head
# -------------
# Features are float32, as skorch expects, so that any module can be the head.


class Head(torch.nn.Module):
    """A small network that classifies features."""

    def __init__(self, n_features: int = 512):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(n_features, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2)
        )

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Return logits of features (n, n_features)."""
        return self.layers(h)


custom_head = Pipeline(
    [
        ("ssl", ssl),
        ("scale", StandardScaler()),
        (
            "clf",
            NeuralNetClassifier(
                Head,
                criterion=torch.nn.CrossEntropyLoss,
                optimizer=torch.optim.AdamW,
                lr=1e-3,
                max_epochs=20,
                train_split=None,
                verbose=0,
            ),
        ),
    ]
)

# %%
# Comparison by patient-grouped cross-validation
# ----------------------------------------------

torch.manual_seed(0)  # the head of skorch uses torch's global generator
models = {
    "logistic regression on features": (pipe, {"clf__C": [0.1]}),
    "custom head on features": (custom_head, {}),
    "fine-tuned": (finetuned, {"frozen": [False]}),
    "flip-targeted, fine-tuned": (targeted, {"pretrainer__fraction": [0.0, 1.0]}),
}
results = {}
for name, (estimator, grid) in models.items():
    search = GridSearchCV(
        estimator, grid, scoring="roc_auc", cv=folds, refit=False, error_score="raise"
    ).fit(scans.data, scans.target, groups=scans.groups)
    table = search.cv_results_
    for params, mean, std in zip(
        table["params"], table["mean_test_score"], table["std_test_score"], strict=True
    ):
        fraction = params.get("pretrainer__fraction")
        label = name if fraction is None else f"{name}, {fraction:.0%} of the images"
        results[label] = (mean, std)
        print(f"{label:45} AUC {mean:.3f} ± {std:.3f} over {folds.n_splits} folds")

figure, axis = plt.subplots(figsize=(8, 3), layout="constrained")
means, stds = np.array(list(results.values())).T
axis.barh(list(results), means, xerr=stds, color="tab:blue", alpha=0.7)
axis.set(xlim=(0.4, 1.0), xlabel="AUC of held-out patients, 3 folds")
axis.invert_yaxis()
output = Path("output")
output.mkdir(exist_ok=True)
figure.savefig(output / "fine_tuning.png", dpi=120)
print(f"figure in {output / 'fine_tuning.png'}")
