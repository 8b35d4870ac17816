"""`python -m benchmarks.papers`: arguments, and missing data or weights."""

import dataclasses
import json
import re
from urllib.error import URLError

import pytest
import torch

from benchmarks.papers import he2020
from benchmarks.papers.__main__ import main
from skssl.nn import build_backbone


def test_command_writes_results_page_and_plot(ct_folder, tmp_path, capsys):
    out = tmp_path / "he.json"
    command = ["he2020", "--data", str(ct_folder), "--budget", "tiny"]
    command += ["--init", "none", "--networks", "crnet", "--tables", "1"]
    command += ["--seeds", "0", "--out", str(out), "--device", "cpu"]
    main(command)
    (run,) = json.loads(out.read_text())["runs"]
    assert run["settings"] == {"backbone": "crnet", "method": "scratch"}
    assert "| CRNet | random init | 0.720 |" in out.with_suffix(".md").read_text()
    assert out.with_suffix(".png").stat().st_size > 10_000
    main([*command, "--page-only"])
    assert "no initial weights" in out.with_suffix(".md").read_text()
    assert "tiny (1 % of the epochs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--networks", "crnet", "resnet5"], "Did you mean 'resnet50'"),
        (["--tables", "9"], "--tables must be between 1 and 4"),
        (["--seeds", "-1"], "'-1' is not an integer of at least 0"),
        (["--init", ""], "--init must be imagenet, none, or"),
        (["--out", "results"], r"--out must be a \.json file, got 'results'"),
        (["--out", "ct/he.json"], "--out must not be in --data"),
        (["--device", "tpu"], "--device: device='tpu'"),
    ],
)
def test_invalid_arguments_are_refused(options, message, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.papers.__main__.run_rows", None)
    with pytest.raises(SystemExit):
        main(["he2020", "--data", "ct", *options])
    assert re.search(message, capsys.readouterr().err)


def test_missing_data_is_reported(tmp_path, capsys):
    main(["ewen2020", "--data", str(tmp_path / "no"), "--out", f"{tmp_path}/e.json"])
    assert "skipped, COVID-CT: root" in capsys.readouterr().out
    assert "COVID-CT: root" in (tmp_path / "e.md").read_text()


def test_missing_weights_are_reported(ct_folder, tmp_path):
    command = ["ewen2020", "--data", str(ct_folder), "--out", f"{tmp_path}/e.json"]
    main([*command, "--init", f"{tmp_path}/{{backbone}}.pth"])
    page = (tmp_path / "e.md").read_text()
    assert page.count("no file densenet169.pth") == 5


def test_failed_download_is_reported(ct_folder, tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    monkeypatch.setattr("skssl.nn.families.timm.TimmFamily.pretrained", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    command = ["ewen2020", "--data", str(ct_folder), "--out", f"{tmp_path}/e.json"]
    main(command)
    page = (tmp_path / "e.md").read_text()
    assert page.count("ImageNet weights could not be downloaded (URLError)") == 10
    lite = "weights of timm/tf_efficientnet_lite0 are not available (URLError)"
    assert page.count(lite) == 5


def test_initial_weights_from_a_state_dict(setup, tmp_path):
    source = build_backbone("crnet", in_channels=1, image_size=(24, 24))
    torch.save(source.state_dict(), tmp_path / "crnet.pth")
    given = dataclasses.replace(setup, init=f"{tmp_path}/{{backbone}}.pth")
    assert given.missing_weights("crnet") is None
    assert given.missing_weights("resnet50") == "no file resnet50.pth"
    settings = {"backbone": "crnet", "method": "transfer"}
    outcome = he2020.PAPER.run(given, settings, 0)
    assert outcome.scores.shape == (len(outcome.test["y"]),)
