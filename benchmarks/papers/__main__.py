"""Run the tables of a paper, and write its results, a page and a plot.

    python -m benchmarks.papers ewen2020 --data covid-ct --budget small

Runs that are in the results file are skipped, so that a stopped command resumes. The
page says which rows lack data or weights.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.papers import ewen2020, gazda2021, he2020, li2021
from benchmarks.papers.page import markdown
from benchmarks.papers.plot import plot
from benchmarks.papers.results import Results
from benchmarks.papers.running import choose_rows, run_rows
from benchmarks.papers.setup import Setup
from benchmarks.papers.tables import Paper
from skssl._names import unknown_name
from skssl.engine import resolve_device
from skssl.recipes import BUDGETS, get_budget

PAPERS: dict[str, Paper] = {
    module.PAPER.name: module.PAPER for module in (ewen2020, he2020, li2021, gazda2021)
}
RESULTS = Path(__file__).parents[1] / "results" / "papers"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    data = "; ".join(
        f"{paper.name}: {paper.data}"
        + (f", --external {paper.external}" if paper.external else "")
        for paper in PAPERS.values()
    )
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.papers",
        description=__doc__.splitlines()[0],
        epilog=f"Content of --data: {data}.",
    )
    parser.add_argument("paper", choices=PAPERS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--external", type=Path, help="images for the first stage")
    parser.add_argument("--budget", choices=BUDGETS, default="full")
    parser.add_argument(
        "--init",
        default="imagenet",
        help="initial weights for transfer: imagenet, none, or the path of a state "
        "dict, in which {backbone} is replaced by the network (default: imagenet)",
    )
    parser.add_argument("--seeds", type=_seed, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--tables", type=int, nargs="+", default=[], help="numbers, from 1"
    )
    parser.add_argument("--networks", nargs="+", default=[])
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--out", type=Path, help="results file; the page and the plot are next to it"
    )
    parser.add_argument(
        "--page-only",
        action="store_true",
        help="write the page, run nothing",
    )
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run the requested rows, and write the page."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    paper = PAPERS[args.paper]
    path = args.out or RESULTS / f"{paper.name}_{args.budget}{_suffix(args.init)}.json"
    _check_arguments(args, parser, paper, path)
    setup = Setup(
        data=args.data,
        external=args.external,
        init=args.init,
        budget=get_budget(args.budget),
        cache=path.parent / "cache",
        device=args.device,
        verbose=int(sys.stderr.isatty()),
    )
    print(f"{paper.title}. Budget: {setup.budget}", flush=True)
    try:
        results = Results.start(path, paper, setup)
        failed = _run(args, parser, paper, setup, results)
    except ValueError as error:
        parser.error(str(error))
    if failed:
        raise SystemExit(f"{len(failed)} runs failed: {'; '.join(failed)}")


def _run(
    args: argparse.Namespace,
    parser: argparse.ArgumentParser,
    paper: Paper,
    setup: Setup,
    results: Results,
) -> list[str]:
    """Run the requested rows, and write the page, also after Ctrl-C."""
    rows = choose_rows(paper, args.tables, args.networks)
    if not rows:
        parser.error("no row matches --tables and --networks.")
    try:
        seeds = list(dict.fromkeys(args.seeds))
        return [] if args.page_only else run_rows(paper, setup, results, rows, seeds)
    finally:
        write_page(paper, results)


def _seed(text: str) -> int:
    """Parse a seed, an integer of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 0.")
    return int(text)


def _check_arguments(
    args: argparse.Namespace, parser: argparse.ArgumentParser, paper: Paper, path: Path
) -> None:
    """Refuse arguments with which every run would fail, or the images would change."""
    rows = [row for table in paper.tables for row in table.rows]
    networks = dict.fromkeys(row.settings["backbone"] for row in rows)
    for network in args.networks:
        if network not in networks:
            parser.error(str(unknown_name("--networks", network, list(networks))))
    if not set(args.tables) <= set(range(1, len(paper.tables) + 1)):
        parser.error(f"--tables must be between 1 and {len(paper.tables)}.")
    if not args.init:
        parser.error("--init must be imagenet, none, or the path of a state dict.")
    if path.suffix != ".json" or path.is_dir():
        parser.error(f"--out must be a .json file, got {str(path)!r}.")
    for name in ("data", "external"):
        folder = getattr(args, name)
        if folder is not None and path.resolve().is_relative_to(folder.resolve()):
            parser.error(f"--out must not be in --{name}, whose files are compared.")
    try:
        resolve_device(args.device)
    except ValueError as error:
        parser.error(f"--device: {error}")


def _suffix(init: str) -> str:
    """Return the suffix of a results file's name for its initial weights."""
    if init == "imagenet":
        return ""
    path = Path(init)
    name = path.parent.name if "{backbone}" in path.stem else path.stem
    return f"_{name or 'weights'}"


def write_page(paper: Paper, results: Results) -> None:
    """Write the page and the plot next to the results file."""
    page, image = (results.path.with_suffix(suffix) for suffix in (".md", ".png"))
    page.parent.mkdir(parents=True, exist_ok=True)
    plotted = plot(paper, results, image)
    text = markdown(paper, results, image.name if plotted else None)
    page.write_text(text, encoding="utf-8")
    print(f"written to {page}" + (f" and {image.name}" if plotted else ""))


if __name__ == "__main__":
    main()
