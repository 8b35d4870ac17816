"""The commands that the pages print have the arguments that the scripts take."""

import argparse
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def commands():
    """Return what follows ``python`` in each printed command of ours."""
    found = set()
    for page in (ROOT / "docs").glob("*/*.rst"):
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        found |= set(re.findall(r"^ +python (.*benchmarks.*)$", text, re.MULTILINE))
    return sorted(" ".join(command.split()) for command in found)


class ParsedError(Exception):
    """The arguments were read, and nothing is to be run."""


@pytest.mark.parametrize("command", commands())
def test_a_printed_command_is_read(command, monkeypatch):
    def parse(parser, *given):
        _, unknown = parser.parse_known_args(*given)
        assert not unknown
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    script, *arguments = shlex.split(command.removeprefix("-m "))
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    monkeypatch.delitem(sys.modules, f"{script}.__main__", raising=False)
    of_module = command.startswith("-m ")
    run = runpy.run_module if of_module else runpy.run_path
    with pytest.raises(ParsedError):
        run(script if of_module else str(ROOT / script), run_name="__main__")


def test_commands_are_found():
    assert any("benchmarks.papers li2021" in command for command in commands())
