"""The results file of a paper: finished runs, which are not run again."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._results import (
    check_header,
    environment,
    read_results,
    update_results,
)
from benchmarks.papers.setup import Setup
from benchmarks.papers.tables import Outcome, Paper, Row

_DIGITS = 5
_FIELDS = frozenset({"paper", "settings", "tests", "sources", "missing", "runs"})


class Results:
    """The finished runs of a paper in one JSON file, which processes may share.

    Parameters
    ----------
    path : Path
        Replaced after each run.
    content : dict
        ``paper``, ``settings``, ``tests`` (labels and patients of the test images, by
        name), ``sources`` (of initial weights, by network), ``missing`` (why a row was
        not run, by key), ``failed`` (the error of a run, by key and seed) and ``runs``.
    """

    def __init__(self, path: Path, content: dict[str, Any]):
        self.path = path
        self.content = content

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read a file.

        Raises
        ------
        ResultsFileError
            If it is not a results file.
        """
        return cls(path, {"failed": {}, **read_results(path, required=_FIELDS)})

    @classmethod
    def start(cls, path: Path, paper: Paper, setup: Setup) -> "Results":
        """Resume a file, or start a new one.

        Raises
        ------
        ResultsFileError
            If the file is of another paper, budget or choice of initial weights.
        """
        header = {"paper": paper.name, "settings": setup.describe()}
        if not path.exists():
            empty = {name: {} for name in ("tests", "sources", "missing", "failed")}
            return cls(path, {**header, **empty, "runs": []})
        results = cls.read(path)
        check_header(path, results.content, header, option="--out")
        return results

    def has(self, key: str, seed: int) -> bool:
        """Return whether a run is finished."""
        return any(run["seed"] == seed for run in self.runs(key))

    def runs(self, key: str) -> list[dict[str, Any]]:
        """Return the finished runs of a row, by seed."""
        runs = [run for run in self.content["runs"] if run["key"] == key]
        return sorted(runs, key=lambda run: run["seed"])

    def test_images(self, runs: list[dict[str, Any]]) -> dict[str, Any]:
        """Return labels and patients of the scored images; empty without scores."""
        return self.content["tests"].get(runs[0].get("test"), {})

    def check_inputs(self, row: Row, inputs: dict[str, str]) -> None:
        """Refuse to resume a row with other images or weights.

        Raises
        ------
        ValueError
            If a finished run of the row had other inputs.
        """
        for run in self.runs(row.key):
            earlier = run["inputs"]
            changed = [k for k, v in inputs.items() if earlier.get(k, v) != v]
            if changed:
                raise ValueError(
                    f"{self.path} holds {row.key!r} with seed {run['seed']}, which was "
                    f"run with other files ({', '.join(changed)}): pass another file "
                    "as --out."
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
        """Add a run, in one atomic write."""
        run = {
            "key": row.key,
            "settings": dict(row.settings),
            "seed": seed,
            "figures": _rounded(outcome.metrics),
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
        if outcome.by_epoch is not None:
            run["by_epoch"] = np.round(outcome.by_epoch, _DIGITS).tolist()

        def change(content: dict[str, Any]) -> None:
            if self.has(row.key, seed):  # added by another process
                return
            if outcome.test is not None:
                self._add_test(outcome)
            content["missing"].pop(row.key, None)
            content["failed"].get(row.key, {}).pop(str(seed), None)
            content["runs"].append(run)

        self._change(change)

    def record_availability(
        self, sources: dict[str, dict[str, Any]], missing: dict[str, str | None]
    ) -> None:
        """Record the sources of initial weights, and why rows cannot be run.

        None as the reason means that the row can be run now.
        """

        def change(content: dict[str, Any]) -> None:
            content["sources"].update(sources)
            reasons = content["missing"] | missing
            content["missing"] = {key: why for key, why in reasons.items() if why}

        self._change(change)

    def record_failure(self, row: Row, seed: int, error: Exception) -> None:
        """Record the error of a run."""
        text = ": ".join(filter(None, (type(error).__name__, str(error))))

        def change(content: dict[str, Any]) -> None:
            content["failed"].setdefault(row.key, {})[str(seed)] = text

        self._change(change)

    def why_missing(self, row: Row) -> str:
        """Return why a row, or some of its runs, are missing; empty if none is.

        Only the first sentence of an error is returned. The command printed all of it.
        """
        failed = self.content["failed"].get(row.key, {})
        reasons = [f"seed {seed} failed ({text})" for seed, text in failed.items()]
        if row.key in self.content["missing"]:
            reasons.insert(0, self.content["missing"][row.key])
        return "; ".join(" ".join(r.split(". ")[0].split()) for r in reasons)

    def _change(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the current content of the file, which others may have changed."""

        def changed(content: dict[str, Any]) -> dict[str, Any]:
            self.content = {"failed": {}, **(content or self.content)}
            change(self.content)
            return self.content

        update_results(self.path, changed, _to_text)

    def _add_test(self, outcome: Outcome) -> None:
        test = {
            name: None if column is None else np.asarray(column).tolist()
            for name, column in outcome.test.items()
        }
        known = self.content["tests"].setdefault(outcome.test_name, test)
        if known != test:
            raise ValueError(
                f"{self.path} holds runs on other test images: pass another file as "
                "--out."
            )


def _rounded(metrics: dict[str, float]) -> dict[str, float]:
    return {name: round(float(value), _DIGITS) for name, value in metrics.items()}


def _to_text(content: dict[str, Any]) -> str:
    """Return JSON with one line per run, so that differences are readable."""
    runs = ",\n  ".join(json.dumps(run) for run in content["runs"])
    rest = {name: value for name, value in content.items() if name != "runs"}
    lines = [f' "{name}": {json.dumps(value)}' for name, value in rest.items()]
    return "{\n" + ",\n".join([*lines, f' "runs": [\n  {runs}\n ]']) + "\n}\n"
