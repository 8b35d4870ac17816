"""Tables of what trained weights give, and of what a pretraining on top adds."""

import json

import pytest
from scipy import stats


@pytest.fixture
def trained(extension):
    return extension("trained")


def fold_row(pretext, fold, auc, procedure="frozen", labels=1.0):
    return {
        "pretext": pretext,
        "seed": 0,
        "fold": fold,
        "procedure": procedure,
        "labels": labels,
        "auc": auc,
        "n_train": 200,
        "n_test": 100,
    }


def test_gains_in_the_same_folds_have_a_corrected_interval(trained, tmp_path, cells):
    plain, added = [0.80, 0.82, 0.78], [0.83, 0.83, 0.79]
    rows = []
    for fold in range(3):
        for pretext, aucs in (("none", plain), ("moco", added)):
            rows.append(fold_row(pretext, fold, aucs[fold]))
            rows.append(fold_row(pretext, fold, 0.6, "fine-tuned", 0.1))
    rows.append(fold_row("none", 3, 0.1))  # moco was not run in this fold
    test = {"procedure": "frozen", "start": "ImageNet", "seed": 0, "auc": 0.87}
    test |= {"auc_low": 0.8, "auc_high": 0.9, "accuracy": 0.8}
    paired = {"procedure": "frozen", "gain": 0.01, "low": -0.02, "high": 0.04}
    results = {
        "test": [test],
        "paired": [paired | {"n_seeds": 3}],
        "cross_validation": rows,
    }
    (tmp_path / "weights_toy.json").write_text(json.dumps(results))
    text = trained.weights_tables(tmp_path)
    test_table, paired_table, fold_table = text.split(".. list-table::")[1:]
    assert cells(test_table)[1][0] == "frozen, ImageNet"
    assert cells(paired_table)[1] == ["frozen", "+0.010 [-0.020, +0.040]", "3"]
    # Nadeau & Bengio by hand: gains of 0.03, 0.01, 0.01; variance 4e-4 / 3.
    half = stats.t.ppf(0.975, 2) * (4e-4 / 3 * (1 / 3 + 100 / 200)) ** 0.5
    mean = 0.05 / 3
    expected = f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"
    frozen = [row for row in cells(fold_table) if row[0].startswith("frozen")]
    assert [row[1] for row in frozen] == ["none", "MoCo"]
    assert frozen[0][2:] == ["0.800 ± 0.020", "", "3"]
    assert frozen[1][2:] == ["0.817 ± 0.023", expected, "3"]


def test_without_results_the_page_states_it(trained, tmp_path):
    assert trained.weights_tables(tmp_path) == trained.NOT_MEASURED
