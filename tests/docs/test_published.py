"""The tables of a paper are generated from a results file."""

import json

import numpy as np
import pytest

from benchmarks.papers.metrics import METRICS


@pytest.fixture
def published(extension):
    return extension("published")


def test_paper_tables_show_the_results(published, tmp_path, cells):
    y = np.tile([0, 1], 20)
    run = {
        "key": "backbone=densenet169 fraction=1.0",
        "settings": {"backbone": "densenet169", "fraction": 1.0},
        "seed": 0,
        "figures": dict.fromkeys(METRICS, 0.7),
        "picked": {"epoch": 3, "figures": dict.fromkeys(METRICS, 0.8)},
        "scores": np.random.default_rng(0).normal(y - 0.5).tolist(),
        "test": "test",
        "seconds": 90,
        "environment": {"device": "a CPU", "skssl": "1", "torch": "2"},
        "date": "2020-04-13",
    }
    content = {
        "paper": "ewen2020",
        "settings": {"budget": "small (20 %)", "init": "none"},
        "sources": {},
        "missing": {"backbone=densenet169 fraction=0.5": "no file"},
        "tests": {
            "test": {"y": y.tolist(), "groups": [f"p{i // 4}" for i in range(40)]}
        },
        "runs": [run],
    }
    run["picked"]["scores"] = (4.0 * y - 2).tolist()
    (tmp_path / "papers").mkdir()
    path = tmp_path / "papers" / "ewen2020_small.json"
    path.write_text(json.dumps(content))
    text = published.paper_tables(tmp_path, "ewen2020")
    assert "Budget: small (20 %)" in text
    assert "40 images of 10 patients (test)" in text
    assert "a CPU (skssl 1, torch 2)" in text
    results, picked = (
        cells(section.split("\n.. rubric::")[0])
        for section in text.split(".. list-table::")[1:]
    )
    measured = next(row for row in results if row[:2] == ["DenseNet-169", "100%"])
    assert measured[2:5] == ["0.862", "0.861", "0.870"]
    assert measured[5].startswith("0.700 [")
    assert measured[-2:] == ["1", "1.5"]
    assert sum("not run" in row for row in results) == 8
    assert sum("no file" in row for row in results) == 1
    assert picked[1][3:5] == ["0.700", "0.800"]


def test_a_paper_without_results_states_it(published, tmp_path):
    assert published.paper_tables(tmp_path, "he2020") == published.NOT_MEASURED
