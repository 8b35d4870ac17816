"""The file of a paper's runs: what is in it is not run again."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from benchmarks._report import environment, write_whole
from benchmarks.papers.setup import Setup
from benchmarks.papers.tables import Outcome, Paper, Row

_DIGITS = 5
_PARTS = frozenset({"paper", "settings", "tests", "sources", "missing", "runs"})


class Results:
    """The finished runs of a paper in one JSON file, which processes may share.

    Parameters
    ----------
    path : Path
        Written as a whole after each run.
    content : dict
        What it holds: ``paper``, ``settings``, ``tests`` (the test images that scores
        belong to, by name), ``sources`` (of weights, by network), ``missing`` (why a
        row was not run, by key), ``failed`` (by what error, by key and seed) and
        ``runs``.
    """

    def __init__(self, path: Path, content: dict[str, Any]):
        self.path = path
        self.content = content

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read a file.

        Raises
        ------
        ValueError
            If it is not one of results.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not a file of results: {error}") from error
        absent = _PARTS.difference(content)
        if absent:
            lacking = ", ".join(sorted(absent))
            raise ValueError(f"{path} is not a file of results: it lacks {lacking}.")
        return cls(path, {"failed": {}, **content})

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
            empty = {name: {} for name in ("tests", "sources", "missing", "failed")}
            return cls(path, {**head, **empty, "runs": []})
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

    def check_inputs(self, row: Row, inputs: dict[str, str]) -> None:
        """Refuse to go on with a row of other images or weights.

        Raises
        ------
        ValueError
            If a finished run of the row had other inputs.
        """
        for run in self.of(row.key):
            before = run["inputs"]
            changed = [k for k, v in inputs.items() if before.get(k, v) != v]
            if changed:
                raise ValueError(
                    f"{self.path} holds {row.key!r} with seed {run['seed']} of other "
                    f"files ({', '.join(changed)}): give another --out."
                )

    def add(
        self,
        row: Row,
        seed: int,
        outcome: Outcome,
        *,
        seconds: float,
        setup: Setup,
    ) -> None:
        """Add a run; a kill while it is written leaves the file as it was."""
        run = {
            "key": row.key,
            "settings": dict(row.settings),
            "seed": seed,
            "figures": _rounded(outcome.figures),
            "seconds": round(seconds, 1),
            "date": datetime.now(UTC).date().isoformat(),
            "inputs": setup.inputs(row.settings["backbone"], row.needs),
            "environment": environment(setup.device),
        }
        if outcome.scores is not None:
            run["test"] = outcome.test_name
            run["scores"] = np.round(outcome.scores, _DIGITS).tolist()
        if outcome.picked is not None:
            run["picked"] = {
                **outcome.picked,
                "figures": _rounded(outcome.picked["figures"]),
                "scores": np.round(outcome.picked["scores"], _DIGITS).tolist(),
            }

        if outcome.confusion is not None:
            run["confusion"] = np.round(outcome.confusion, _DIGITS).tolist()

        def change(content: dict[str, Any]) -> None:
            if self.has(row.key, seed):  # another process was faster
                return
            if outcome.test is not None:
                self._add_test(outcome)
            content["missing"].pop(row.key, None)
            content["failed"].get(row.key, {}).pop(str(seed), None)
            content["runs"].append(run)

        self._change(change)

    def note_at_hand(
        self, sources: dict[str, dict[str, Any]], missing: dict[str, str | None]
    ) -> None:
        """Note, for the page, where networks start, and why rows cannot be run.

        A row of which None is said can be run by now.
        """

        def change(content: dict[str, Any]) -> None:
            content["sources"].update(sources)
            told = content["missing"] | missing
            content["missing"] = {key: why for key, why in told.items() if why}

        self._change(change)

    def note_failed(self, row: Row, seed: int, error: Exception) -> None:
        """Note how a run ended, for the page."""
        said = ": ".join(filter(None, (type(error).__name__, str(error))))
        self._change(
            lambda content: (
                content["failed"].setdefault(row.key, {}).update({str(seed): said})
            )
        )

    def why_missing(self, row: Row) -> str:
        """Return what keeps a row from being run, or its runs from being whole.

        Of an error the first sentence, which says what; the command said it all.
        """
        failed = self.content["failed"].get(row.key, {})
        reasons = [f"seed {seed} failed ({said})" for seed, said in failed.items()]
        if row.key in self.content["missing"]:
            reasons.insert(0, self.content["missing"][row.key])
        return "; ".join(" ".join(r.split(". ")[0].split()) for r in reasons)

    def _change(self, change: Any) -> None:
        """Change what the file holds by now, and write it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock")):
            if self.path.exists():
                self.content = self.read(self.path).content
            change(self.content)
            write_whole(self.path, _dump(self.content))

    def _add_test(self, outcome: Outcome) -> None:
        test = {
            name: None if column is None else np.asarray(column).tolist()
            for name, column in outcome.test.items()
        }
        known = self.content["tests"].setdefault(outcome.test_name, test)
        if known != test:
            raise ValueError(
                f"{self.path} holds runs on other test images: give another --out."
            )


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(float(value), _DIGITS) for name, value in figures.items()}


def _dump(content: dict[str, Any]) -> str:
    """Return JSON with a line for each run, so that changes can be read."""
    runs = ",\n  ".join(json.dumps(run) for run in content["runs"])
    rest = {name: value for name, value in content.items() if name != "runs"}
    lines = [f' "{name}": {json.dumps(value)}' for name, value in rest.items()]
    return "{\n" + ",\n".join([*lines, f' "runs": [\n  {runs}\n ]']) + "\n}\n"
