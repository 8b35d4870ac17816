"""
COVID-CT: what pretraining gains on 543 real slices
===================================================

The slices of COVID-CT (Yang et al. 2020) with the official split: train and val are
for everything that is chosen, test is scored once. The whole procedure, pretraining
included, runs inside each fold of a cross-validation that keeps patients apart::

    python examples/plot_20_covid_ct.py --data covid-ct

``--data`` is the published folder layout (``Images-processed``, ``Data-split``) or a
folder with ``metadata.csv``. On two CPU cores it takes some 15 minutes; ``--epochs``
and ``--folds`` make it shorter or longer.

What to expect: the two classes of this set come from different sources, so that an
untrained network and even raw pixels score well above chance, and at n = 203 the
intervals are wide. An honest comparison says so.
"""

import argparse
import tempfile
import time
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

parser = argparse.ArgumentParser(description="Pretrain on COVID-CT.")
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--pretext", default="simclr")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--folds", type=int, default=5)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("output"))
args = parser.parse_args()

# %%
# The official split
# ------------------

scans = load_covid_ct(args.data)
chosen_on = np.isin(scans.split, ["train", "val"])
X, y, groups = scans.data[chosen_on], scans.target[chosen_on], scans.groups[chosen_on]
X_test, y_test = scans.data[~chosen_on], scans.target[~chosen_on]
print(
    f"{len(X)} slices of {len(set(groups))} patients to choose on, {len(X_test)} test"
)

# %%
# One search for each row of the table
# ------------------------------------
# ``cache`` keeps what was pretrained and encoded, so that the grid over C costs one
# pretraining a fold; ``max_epochs=0`` is the untrained network.

rows = {"untrained": 0, args.pretext: args.epochs}
searches, results = {}, {}
with tempfile.TemporaryDirectory() as cache:
    for name, max_epochs in rows.items():
        start = time.perf_counter()
        pipe = Pipeline(
            [
                (
                    "ssl",
                    SelfSupervisedPretrainer(
                        args.pretext,
                        backbone="resnet18",
                        image_size=112,
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
        # The test split is used here, once a row, and nowhere else.
        scores = search.decision_function(X_test)
        results[name] = bootstrap_interval(
            y_test, scores, groups=scans.groups[~chosen_on], random_state=0
        )
        print(
            f"{name:10} CV AUC {search.best_score_:.3f} at C = "
            f"{search.best_params_['clf__C']}; test AUC {results[name]} (95 % by "
            f"patients); {time.perf_counter() - start:.0f} s"
        )

# %%
# ROC curves on the test split, and cross-validated AUC over C
# ------------------------------------------------------------

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
