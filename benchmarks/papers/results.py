"""The file of a paper's runs: what is in it is not run again."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._report import environment
from benchmarks.papers.setup import Setup
from benchmarks.papers.tables import Outcome, Paper, Row

_DIGITS = 5
_TOLD = ("source", "n_images", "image_size", "epochs", "test_accuracy")


class Results:
    """The finished runs of a paper in one JSON file.

    Parameters
    ----------
    path : Path
        Written as a whole after each run.
    content : dict
        What it holds.
    """

    def __init__(self, path: Path, content: dict[str, Any]):
        self.path = path
        self.content = content

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read a file."""
        return cls(path, json.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def start(cls, path: Path, paper: Paper, setup: Setup) -> "Results":
        """Go on with a file, or begin one.

        Raises
        ------
        ValueError
            If the file is of another paper, budget or start.
        """
        head = {"paper": paper.name, "settings": setup.describe()}
        if not path.exists():
            return cls(path, {**head, "tests": {}, "runs": []})
        results = cls.read(path)
        for name, value in head.items():
            if results.content[name] != value:
                raise ValueError(
                    f"{path} holds runs of {name} {results.content[name]}, not of "
                    f"{value}: give another --out."
                )
        return results

    def has(self, key: str, seed: int) -> bool:
        """Tell whether a run is finished."""
        return any(run["seed"] == seed for run in self.of(key))

    def of(self, key: str) -> list[dict[str, Any]]:
        """Return the finished runs of a key, by seed."""
        runs = [run for run in self.content["runs"] if run["key"] == key]
        return sorted(runs, key=lambda run: run["seed"])

    def test_of(self, runs: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the test images that runs were scored on; empty without scores."""
        return self.content["tests"].get(runs[0].get("test"), {})

    def add(
        self,
        row: Row,
        seed: int,
        outcome: Outcome,
        seconds: float,
        source: dict[str, Any] | None = None,
    ) -> None:
        """Add a run; a kill while it is written leaves the file as it was.

        What others have added to the file meanwhile stays in it. ``source`` is what is
        known of the weights that the run started from.
        """
        if self.path.exists():
            self.content = self.read(self.path).content
        run = {
            "key": row.key,
            "settings": dict(row.settings),
            "seed": seed,
            "figures": _rounded(outcome.figures),
            "seconds": round(seconds, 1),
            "date": datetime.now(UTC).date().isoformat(),
        }
        if outcome.picked is not None:
            run["picked"] = _rounded(outcome.picked)
        if outcome.scores is not None:
            run["test"] = outcome.test_name
            run["scores"] = np.round(outcome.scores, _DIGITS).tolist()
            self._add_test(outcome)
        if source is not None:
            told = {name: source[name] for name in _TOLD}
            self.content.setdefault("sources", {})[row.settings["backbone"]] = told
        self.content["runs"].append(run)
        self.content["environment"] = environment()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(_dump(self.content), encoding="utf-8")
        part.replace(self.path)

    def _add_test(self, outcome: Outcome) -> None:
        test = {
            name: None if column is None else np.asarray(column).tolist()
            for name, column in outcome.test.items()
        }
        known = self.content["tests"].setdefault(outcome.test_name, test)
        if known != test:
            raise ValueError(
                f"{self.path} holds runs on other test images: is --data another set? "
                "Give another --out."
            )


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(float(value), _DIGITS) for name, value in figures.items()}


def _dump(content: dict[str, Any]) -> str:
    """Return JSON with a line for each run, so that changes can be read."""
    runs = ",\n  ".join(json.dumps(run) for run in content["runs"])
    rest = {name: value for name, value in content.items() if name != "runs"}
    lines = [f' "{name}": {json.dumps(value)}' for name, value in rest.items()]
    return "{\n" + ",\n".join([*lines, f' "runs": [\n  {runs}\n ]']) + "\n}\n"
