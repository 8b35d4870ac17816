"""What initial weights are worth on COVID-CT, and what pretraining on top adds.

    python benchmarks/bench_weights.py --data covid-ct --weights FILE --external luna
    python benchmarks/bench_weights.py --data covid-ct --weights FILE --cross-validate

FILE holds the weights of EfficientNet-lite0 that ``imagenet_lite.py`` writes.

The first command scores the official test split: logistic regression on frozen
features, with C selected by patient-grouped cross-validation of train and val, and
fine-tuning with fixed settings. With ``--external``, both are also scored after
Self-Trans: MoCo on slices of LUNA16, then on train and val. The second command compares
the initial weights with those continued on the own images, by repeated patient-grouped
cross-validation of all slices. The pretraining runs inside each fold, on its training
rows only, and C is selected within them. ``--include-test`` shows what a pretraining
outside the folds would report. Runs that are in the results file are skipped.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from _auc import mean_auc
from _results import RowsFile
from _scoring import choose, make_probe
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils import Bunch

from skssl import FineTuneClassifier, Phase, SelfSupervisedPretrainer
from skssl.datasets import load_covid_ct, load_luna_slices
from skssl.metrics import bootstrap_interval, delong_interval
from skssl.model_selection import mask_labels
from skssl.nn import Backbone

LITE = "timm/tf_efficientnet_lite0"
SIZE_PX = 224
PRETEXT_PX = 128
PRETEXT_EPOCHS = 10
N_FOLDS = 3
FEW_LABELS = 0.1
N_DRAWS = 5  # of the few labels, for frozen features
PHASE = Phase(
    "all",
    optimizer="adam",
    lr=1e-4,
    epochs=15,
    batch_size=16,
    schedule="cosine",
    weight_decay=0.0,
)
# The pretext method that continues ImageNet weights on the training rows.
PRETEXTS = (None, "simclr", "moco")
# Pretrained on the slices of the test patients as well, without their labels.
LEAKY = "simclr, test slices included"
Row = dict[str, Any]


class Starts:
    """Initial weights by name: random, those of a file, and continued ones."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.weights = args.weights
        self.external = args.external
        self.cache = args.cache

    def backbone(self, start: str, rows: Bunch, seed: int) -> Backbone:
        """Return a network with the weights; "Self-Trans" is trained on LUNA first."""
        if start == "random":
            return self._train(LITE, None, rows, seed, max_epochs=0)
        if start == "ImageNet":
            return self._train(LITE, self.weights, rows, seed, max_epochs=0)
        luna = load_luna_slices(self.external)
        backbone = self.continued("moco", luna, seed)
        return self._train(backbone, None, rows, seed, pretext="moco")

    def continued(self, pretext: str, rows: Bunch, seed: int) -> Backbone:
        """Return the network of the file after a pretraining on rows."""
        return self._train(LITE, self.weights, rows, seed, pretext=pretext)

    def _train(
        self,
        backbone: str | Backbone,
        weights: Path | None,
        rows: Bunch,
        seed: int,
        **settings: Any,
    ) -> Backbone:
        ssl = SelfSupervisedPretrainer(
            backbone=backbone,
            weights=weights,
            image_size=PRETEXT_PX,
            cache=self.cache,
            random_state=seed,
        )
        ssl.set_params(**({"max_epochs": PRETEXT_EPOCHS} | settings))
        return ssl.fit(rows.data, groups=rows.groups).backbone_


def extract(backbone: Backbone, *sets: np.ndarray) -> list[np.ndarray]:
    """Return features at the size of the labels, whatever the pretraining had."""
    ssl = SelfSupervisedPretrainer(backbone=backbone, image_size=SIZE_PX, max_epochs=0)
    ssl.fit(sets[0])
    return [ssl.transform(images) for images in sets]


def fine_tune(backbone: Backbone, fit: Bunch, seed: int) -> FineTuneClassifier:
    """Return a network that is fine-tuned with fixed settings."""
    clf = FineTuneClassifier(
        backbone=backbone, image_size=SIZE_PX, phases=[PHASE], random_state=seed
    )
    return clf.fit(fit.data, fit.target, groups=fit.groups)


def describe(scores: np.ndarray, test: Bunch) -> Row:
    """Return AUC, its interval by patients, accuracy, and the scores of a test set."""
    interval = delong_interval(test.target, scores, groups=test.groups)
    return {
        "auc": round(interval.estimate, 4),
        "auc_low": round(interval.low, 4),
        "auc_high": round(interval.high, 4),
        "accuracy": round(accuracy_score(test.target, scores > 0), 4),
        "scores": [round(value, 3) for value in scores.tolist()],
    }


def test_frozen(backbone: Backbone, fit: Bunch, test: Bunch, seed: int) -> Row:  # noqa: ARG001
    """Score logistic regression on frozen features."""
    h, h_test = extract(backbone, fit.data, test.data)
    search = choose(make_probe(), h, fit.target, fit.groups, "roc_auc")
    scores = search.decision_function(h_test)
    return {"cv": round(float(search.best_score_), 4), **describe(scores, test)}


def test_fine_tuned(backbone: Backbone, fit: Bunch, test: Bunch, seed: int) -> Row:
    """Score fine-tuning."""
    clf = fine_tune(backbone, fit, seed)
    return describe(clf.decision_function(test.data), test)


PROCEDURES: dict[str, Callable[[Backbone, Bunch, Bunch, int], Row]] = {
    "frozen": test_frozen,
    "fine-tuned": test_fine_tuned,
}


def run_tests(args: argparse.Namespace, file: RowsFile) -> None:
    """Score the official test split once for each procedure and seed."""
    fit = load_covid_ct(args.data, subset=["train", "val"])
    test = load_covid_ct(args.data, subset="test")
    jobs = [("frozen", "random", seed) for seed in args.seeds]
    jobs += [("frozen", "ImageNet", 0)]  # nothing in it is random
    jobs += [("fine-tuned", "ImageNet", seed) for seed in args.seeds]
    if args.external is not None:
        jobs += [(name, "Self-Trans", s) for s in args.seeds for name in PROCEDURES]
    done = {(row["procedure"], row["start"], row["seed"]) for row in file.rows()}
    starts = Starts(args)
    for procedure, start, seed in jobs:
        if (procedure, start, seed) in done:
            continue
        began = time.perf_counter()
        row: Row = {"procedure": procedure, "start": start, "seed": seed}
        backbone = starts.backbone(start, fit, seed)
        row |= PROCEDURES[procedure](backbone, fit, test, seed)
        row["seconds"] = round(time.perf_counter() - began)
        file.add(row)
        print({k: v for k, v in row.items() if k != "scores"}, flush=True)
    add_gains(file, test)


def add_gains(file: RowsFile, test: Bunch) -> None:
    """Compare Self-Trans with plain ImageNet weights, paired by seeds and patients."""
    rows = file.rows()
    for procedure in PROCEDURES:
        scores = {
            start: {
                row["seed"]: row["scores"]
                for row in rows
                if (row["procedure"], row["start"]) == (procedure, start)
            }
            for start in ("Self-Trans", "ImageNet")
        }
        ours, plain = scores["Self-Trans"], scores["ImageNet"]
        # Nothing in frozen features of ImageNet weights is random: one seed is all.
        seeds = [seed for seed in ours if seed in plain or len(plain) == 1]
        if not seeds:
            continue
        theirs = [plain.get(seed, next(iter(plain.values()))) for seed in seeds]
        columns = np.array([*(ours[seed] for seed in seeds), *theirs]).T

        def gain(y: np.ndarray, values: np.ndarray, n: int = len(seeds)) -> float:
            return mean_auc(y, values[:, :n]) - mean_auc(y, values[:, n:])

        interval = bootstrap_interval(
            test.target, columns, metric=gain, groups=test.groups, random_state=0
        )
        row = {"procedure": procedure, "n_seeds": len(seeds)}
        row |= {
            "gain": round(interval.estimate, 4),
            "low": round(interval.low, 4),
            "high": round(interval.high, 4),
        }
        file.add(row, "paired")
        print(row, flush=True)


def score_fold(backbone: Backbone, fit: Bunch, test: Bunch, seed: int) -> Iterator[Row]:
    """Yield the AUC of frozen and fine-tuned networks, with all and with few labels."""
    h, h_test = extract(backbone, fit.data, test.data)

    def frozen(rows: np.ndarray) -> float:
        y, groups = fit.target[rows], fit.groups[rows]
        search = choose(make_probe(), h[rows], y, groups, "roc_auc")
        return float(roc_auc_score(test.target, search.decision_function(h_test)))

    yield {"procedure": "frozen", "labels": 1.0, "auc": frozen(np.arange(len(h)))}
    draws = [few_labels(fit, draw) for draw in range(N_DRAWS)]
    auc = float(np.mean([frozen(rows) for rows in draws]))
    yield {"procedure": "frozen", "labels": FEW_LABELS, "auc": auc}
    few = Bunch(**{name: fit[name][draws[0]] for name in fit})
    clf = fine_tune(backbone, few, seed)
    auc = float(roc_auc_score(test.target, clf.decision_function(test.data)))
    yield {"procedure": "fine-tuned", "labels": FEW_LABELS, "auc": auc}


def few_labels(fit: Bunch, draw: int) -> np.ndarray:
    """Return the rows of a tenth of the patients."""
    y = mask_labels(fit.target, FEW_LABELS, groups=fit.groups, random_state=draw)
    return np.flatnonzero(y != -1)


def run_folds(args: argparse.Namespace, file: RowsFile) -> None:
    """Cross-validate what a pretraining on the training rows of a fold adds."""
    scans = load_covid_ct(args.data)
    done = {
        (row["pretext"], row["seed"], row["fold"])
        for row in file.rows("cross_validation")
    }
    starts = Starts(args)
    for repeat in args.seeds:
        folds = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=repeat)
        splits = folds.split(scans.target, scans.target, scans.groups)
        for fold, rows in enumerate(splits):
            fit, test = (
                Bunch(**{k: scans[k][part] for k in ("data", "target", "groups")})
                for part in rows
            )
            for pretext in (LEAKY,) if args.include_test else PRETEXTS:
                if (pretext or "none", repeat, fold) in done:
                    continue
                began = time.perf_counter()
                if pretext is None:
                    backbone = starts.backbone("ImageNet", fit, repeat)
                elif pretext == LEAKY:
                    backbone = starts.continued("simclr", scans, repeat)
                else:
                    backbone = starts.continued(pretext, fit, repeat)
                sizes = {"n_train": len(fit.data), "n_test": len(test.data)}
                key = {"pretext": pretext or "none", "seed": repeat, "fold": fold}
                n_scores = 2 if pretext == LEAKY else None  # frozen ones alone
                scores = islice(score_fold(backbone, fit, test, repeat), n_scores)
                for score in list(scores):
                    score["auc"] = round(score["auc"], 4)
                    file.add({**key, **score, **sizes}, "cross_validation")
                    print({**key, **score}, flush=True)
                print(f"{time.perf_counter() - began:.0f} s", flush=True)


def main() -> None:
    """Run what is not in the results file yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--external", type=Path, help="slices of LUNA16")
    parser.add_argument("--cross-validate", action="store_true")
    parser.add_argument(
        "--include-test",
        action="store_true",
        help="cross-validate SimCLR that saw the images of the test patients",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--cache", type=Path, help="folder of finished pretrainings")
    default = Path(__file__).parent / "results" / "weights_covid-ct.json"
    parser.add_argument("--json", type=Path, default=default)
    args = parser.parse_args()
    file = RowsFile(
        args.json,
        key=("procedure", "start", "pretext", "labels", "seed", "fold"),
        sections=("test", "cross_validation", "paired"),
    )
    is_cross_validated = args.cross_validate or args.include_test
    (run_folds if is_cross_validated else run_tests)(args, file)


if __name__ == "__main__":
    main()
