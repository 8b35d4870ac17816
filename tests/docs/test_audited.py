"""The tables of an audit are generated from a results file."""

import json

import pytest


@pytest.fixture
def audited(extension):
    return extension("audited")


def test_audit_tables_show_the_results(audited, tmp_path, cells):
    def area(value):
        return {"area": value, "low": value - 0.05, "high": value + 0.05}

    def file(label, suffix, n):
        kind = {"suffix": suffix, "content": "PNG", "mode": "L"}
        return {"label": label, "files": n} | kind

    finding = {
        "check": "near copy",
        "rows": [1, 5],
        "files": ["a.png", "b.jpg"],
        "parts": ["test", "train"],
        "labels": ["ill", "well"],
        "similarity": 0.99612,
    }
    audit = {
        "study": "toy",
        "settings": {"max_epochs": 3},
        "n_images": 9,
        "n_patients": 4,
        "divided_patients": 0,
        "files": [file("ill", ".png", 3), file("well", ".jpg", 6)],
        "probes": [{"name": "format", "columns": ["mode"], "level": 0.975} | area(0.8)],
        "official_split": {"columns": ["mode"], "n_test": 4} | area(0.7),
        "findings": [finding],
    }
    (tmp_path / "audit_toy.json").write_text(json.dumps(audit))
    text = audited.audit_tables(tmp_path)
    assert (
        ".. rubric:: toy: 9 images of 4 patients, 0 of them in more than one split"
        in text
    )
    assert "Settings: ``max_epochs 3``." in text
    files, probes, duplicates = (
        cells(section.split("\n.. rubric::")[0])
        for section in text.split(".. list-table::")[1:]
    )
    assert files[0] == ["Suffix", "Content", "Mode", "ill", "well"]
    assert [row[3:] for row in files[1:]] == [["0", "6"], ["3", "0"]]
    assert probes[1] == ["format", "mode", "0.800 [0.750, 0.850]"]
    assert probes[2][0] == "file, official test split (4 images)"
    assert duplicates[1] == [
        *("near copy", "1 / 5", "a.png / b.jpg", "test / train", "ill / well"),
        "0.9961",
    ]


def test_without_an_audit_the_page_states_it(audited, tmp_path):
    assert audited.audit_tables(tmp_path) == audited.NOT_MEASURED
