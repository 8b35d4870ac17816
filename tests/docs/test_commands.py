"""The scripts accept the arguments of the commands that the pages show."""

import argparse
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def commands():
    """Return the arguments of ``python`` in each benchmark command of the pages."""
    found = set()
    for page in (ROOT / "docs").glob("*/*.rst"):
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        found |= set(re.findall(r"^ +python (.*benchmarks.*)$", text, re.MULTILINE))
    return sorted(" ".join(command.split()) for command in found)


class ParsedError(Exception):
    """The arguments were parsed; stop before anything runs."""


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_pages_is_accepted(command, monkeypatch):
    def parse(parser, *given):
        _, unknown = parser.parse_known_args(*given)
        assert not unknown
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    script, *arguments = shlex.split(command.removeprefix("-m "))
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    monkeypatch.delitem(sys.modules, f"{script}.__main__", raising=False)
    is_module = command.startswith("-m ")
    run = runpy.run_module if is_module else runpy.run_path
    with pytest.raises(ParsedError):
        run(script if is_module else str(ROOT / script), run_name="__main__")


def test_commands_are_found():
    assert any("benchmarks.papers li2021" in command for command in commands())
