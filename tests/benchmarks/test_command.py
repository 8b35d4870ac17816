"""`python -m benchmarks.papers`: arguments, and what is not there."""

import dataclasses
import json
import re
from urllib.error import URLError

import pytest
import torch

from benchmarks.papers import he2020
from benchmarks.papers.__main__ import main
from skssl.nn import build_backbone


def test_from_the_command_line(ct_folder, tmp_path, capsys):
    """A row of the table on phantoms, and its page and picture."""
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
    assert "no weights to start from" in out.with_suffix(".md").read_text()
    assert "tiny (1 % of the epochs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--networks", "crnet", "resnet5"], "Did you mean 'resnet50'"),
        (["--tables", "4"], "--tables must be from 1 to 3"),
        (["--seeds", "-1"], "'-1' is no whole number from 0 on"),
        (["--init", ""], "--init must be imagenet, none or"),
        (["--out", "results"], r"--out must be a \.json file, got 'results'"),
        (["--out", "ct/he.json"], "--out must not lie in --data"),
        (["--device", "tpu"], "--device: device='tpu'"),
    ],
)
def test_arguments_that_would_fail_later(options, said, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.papers.__main__.run_rows", None)
    with pytest.raises(SystemExit):
        main(["he2020", "--data", "ct", *options])
    assert re.search(said, capsys.readouterr().err)


def test_data_that_is_not_there(tmp_path, capsys):
    main(["ewen2020", "--data", str(tmp_path / "no"), "--out", f"{tmp_path}/e.json"])
    assert "left out, COVID-CT: root" in capsys.readouterr().out
    assert "COVID-CT: root" in (tmp_path / "e.md").read_text()


def test_weights_that_are_not_there(ct_folder, tmp_path):
    command = ["ewen2020", "--data", str(ct_folder), "--out", f"{tmp_path}/e.json"]
    main([*command, "--init", f"{tmp_path}/{{backbone}}.pth"])
    page = (tmp_path / "e.md").read_text()
    assert page.count("no file densenet169.pth") == 5


def test_imagenet_that_cannot_be_downloaded(ct_folder, tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    command = ["ewen2020", "--data", str(ct_folder), "--out", f"{tmp_path}/e.json"]
    main(command)
    page = (tmp_path / "e.md").read_text()
    assert page.count("ImageNet weights could not be downloaded (URLError)") == 10


def test_weights_of_a_source(setup, tmp_path):
    """A state dict stands in for ImageNet's."""
    source = build_backbone("crnet", in_channels=1, image_size=(24, 24))
    torch.save(source.state_dict(), tmp_path / "crnet.pth")
    given = dataclasses.replace(setup, init=f"{tmp_path}/{{backbone}}.pth")
    assert given.missing_weights("crnet") is None
    assert given.missing_weights("resnet50") == "no file resnet50.pth"
    settings = {"backbone": "crnet", "method": "transfer"}
    outcome = he2020.PAPER.run(given, settings, 0)
    assert outcome.scores.shape == (len(outcome.test["y"]),)
