"""The tables of measurements are generated from result files."""

import json

import pytest


@pytest.fixture
def measured(extension):
    return extension("measured")


def gain_row(seed, features, test, **more):
    interval = {"test_low": test - 0.05, "test_high": test + 0.05}
    return {"seed": seed, "features": features, "cv": 0.5, "test": test} | (
        interval | more
    )


def test_gains_are_differences_within_a_seed(measured, tmp_path, cells):
    training = {"loss": [3.0, 2.0], "batch_size": 64}
    rows = [
        gain_row(0, "untrained", 0.70, pretraining_seconds=1.0),
        gain_row(0, "simclr", 0.80, pretraining_seconds=40.0, **training),
        gain_row(1, "untrained", 0.74, pretraining_seconds=1.0),
        gain_row(1, "simclr", 0.80, pretraining_seconds=60.0, **training),
    ]
    study = {"environment": {"device": "cpu"}, "study": "toy", "rows": rows}
    (tmp_path / "gain_toy.json").write_text(json.dumps(study))
    text = measured.gain_tables(tmp_path)
    assert ".. rubric:: toy" in text
    assert "Environment: ``device cpu``." in text
    assert cells(text)[2] == [
        "simclr",
        "2 × 64",
        "0.500 ± 0.000",
        "0.800 [0.750, 0.850]; 0.800 [0.750, 0.850]",
        "0.800 ± 0.000",
        "+0.080 ± 0.028",  # of 0.10 and 0.06
        "50",
    ]


def comparison_row(seed, features, test, gain=None, **more):
    metrics = {"test": test} if gain is None else {"test": test, "gain": gain}
    for name, value in list(metrics.items()):
        metrics |= {f"{name}_low": value - 0.05, f"{name}_high": value + 0.05}
    return {"seed": seed, "features": features} | metrics | more


def test_methods_are_compared_with_the_gain_of_each_seed(measured, tmp_path, cells):
    def trained(rank, speed, memory):
        return {"rankme": rank, "images_per_second": speed, "peak_ram_gb": memory}

    rows = [
        comparison_row(0, "raw pixels (PCA)", 0.60),
        comparison_row(0, "untrained", 0.70, rankme=8.0, peak_ram_gb=1.0),
        comparison_row(0, "byol", 0.80, 0.10, **trained(20.0, 100.0, 1.5)),
        comparison_row(1, "raw pixels (PCA)", 0.74),
        comparison_row(1, "untrained", 0.70, rankme=9.0, peak_ram_gb=1.0),
        comparison_row(1, "byol", 0.80, 0.06, **trained(21.0, 300.0, 1.7)),
        comparison_row(2, "mae", 0.75, -0.02),
    ]
    study = {"study": "toy", "settings": {"max_epochs": 20}, "rows": rows}
    (tmp_path / "methods_toy.json").write_text(json.dumps(study))
    text = measured.comparison_tables(tmp_path)
    assert ".. rubric:: toy" in text
    assert "Settings: ``max_epochs 20``." in text
    by_name = {row[0]: row for row in cells(text)[1:]}
    assert list(by_name) == ["raw pixels (PCA)", "untrained", "byol", "mae"]
    assert by_name["byol"] == [
        "byol",
        "0.800 [0.750, 0.850]; 0.800 [0.750, 0.850]",
        "0.800 ± 0.000",
        "+0.100 [+0.050, +0.150]; +0.060 [+0.010, +0.110]",
        "+0.080 ± 0.028",
        "2 of 2",
        "20.5",
        "200",
        "1.60",
    ]
    assert by_name["raw pixels (PCA)"][2:] == ["0.670 ± 0.099"] + [""] * 6
    assert by_name["untrained"][3:] == ["", "", "", "8.5", "", "1.00"]
    gain = ["-0.020 [-0.070, +0.030]", "-0.020", "0 of 1"]
    assert by_name["mae"][3:] == [*gain, "", "", ""]


def test_speeds_are_read_from_their_files(measured, tmp_path, cells):
    settings = {"pretext": "moco", "backbone": "resnet18", "size": 112, "batch": 64}
    benchmark = {
        "environment": {"threads": 2},
        "settings": settings,
        "medians": {"skssl": 150.0},
        "ratios": {"skssl / bare step, auto": 0.9512},
    }
    (tmp_path / "bench_pretrain_moco.json").write_text(json.dumps(benchmark))
    text = measured.speed_tables(tmp_path)
    assert ".. rubric:: moco, resnet18, 112 px, batch 64" in text
    assert cells(text)[1:] == [["skssl", "150"], ["skssl / bare step, auto", "0.9512"]]


def test_without_measurements_the_page_states_it(measured, tmp_path):
    assert measured.gain_tables(tmp_path) == "Not measured yet.\n"
    assert measured.comparison_tables(tmp_path) == "Not measured yet.\n"
    assert measured.speed_tables(tmp_path / "absent") == "Not measured yet.\n"


def test_transfers_have_one_table_per_network(measured, tmp_path, cells):
    def row(network, run, seed, accuracy, **more):
        metrics = dict.fromkeys(("balanced_accuracy", "auc", "f1"), accuracy + 0.1)
        key = {"network": network, "run": run, "seed": seed, "accuracy": accuracy}
        return key | {"accuracy_half_width": 0.06} | metrics | more

    rows = [
        row("crnet", "random init", 0, 0.7),
        row("crnet", "random init", 1, 0.8),
        row("crnet", "flip 100%", 0, 0.6, flip_accuracy=0.95),
        row("resnet18", "random init", 0, 0.5),
    ]
    (tmp_path / "transfer_toy.json").write_text(json.dumps({"rows": rows}))
    text = measured.transfer_tables(tmp_path)
    assert text.count(".. rubric::") == 2
    table = cells(text.split(".. rubric:: resnet18")[0])
    assert table[1] == [
        *("random init", "0.700 ± 0.060; 0.800 ± 0.060", "0.750 ± 0.071"),
        *("0.850 ± 0.071",) * 3,
        "",
    ]
    assert table[2][0] == "flip 100%"
    assert table[2][-1] == "0.950"


def test_without_transfers_the_page_states_it(measured, tmp_path):
    assert measured.transfer_tables(tmp_path) == measured.NOT_MEASURED


def test_procedures_are_ranked_and_test_results_show_each_seed(
    measured, tmp_path, cells
):
    folds = {"sd": 0.04, "seconds": 600.0}
    area = {"auc_low": 0.7, "auc_high": 0.9, "accuracy": 0.75}
    results = {
        "cross_validation": [
            {"procedure": "short", "auc": 0.76, **folds},
            {"procedure": "long", "auc": 0.79, **folds},
        ],
        "test": [
            {"procedure": "long", "seed": 0, "auc": 0.8, **area},
            {"procedure": "mean of: long; short", "seed": 0, "auc": 0.82, **area},
            {"procedure": "long", "seed": 1, "auc": 0.78, **area},
        ],
    }
    (tmp_path / "scratch_toy.json").write_text(json.dumps(results))
    chosen, tested = measured.scratch_tables(tmp_path).split(".. rubric:: Test split")
    assert cells(chosen) == [
        ["Procedure", "Cross-validated AUC", "Minutes"],
        ["long", "0.790 ± 0.040", "10"],
        ["short", "0.760 ± 0.040", "10"],
    ]
    assert cells(tested) == [
        ["Procedure", "Test AUC [95 %], each seed", "Test AUC", "Accuracy"],
        [
            *("long", "0.800 [0.700, 0.900]; 0.780 [0.700, 0.900]", "0.790 ± 0.014"),
            "0.750 ± 0.000",
        ],
        ["mean of: long; short", "0.820 [0.700, 0.900]", "0.820", "0.750"],
    ]
    (tmp_path / "scratch_toy.json").write_text(json.dumps(results | {"test": []}))
    assert "Test split" not in measured.scratch_tables(tmp_path)
    (tmp_path / "scratch_toy.json").unlink()
    assert measured.scratch_tables(tmp_path) == measured.NOT_MEASURED


def test_a_search_is_compared_with_its_pretrainings(measured, tmp_path, cells):
    rows = [
        {
            "way": "cache",
            "run": 1,
            "pretrainings": 15,
            "encoded": 8145,
            "pretraining_seconds": 200.0,
            "seconds": 210.0,
        },
        {
            "way": "cache",
            "run": 2,
            "pretrainings": 0,
            "encoded": 0,
            "pretraining_seconds": 0.0,
            "seconds": 9.0,
        },
    ]
    (tmp_path / "bench_search.json").write_text(json.dumps({"rows": rows}))
    assert cells(measured.search_tables(tmp_path))[1:] == [
        ["cache, run 1", "15", "8145", "210", "1.050"],
        ["cache, run 2", "0", "0", "9", ""],
    ]
    (tmp_path / "bench_search.json").unlink()
    assert measured.search_tables(tmp_path) == measured.NOT_MEASURED
