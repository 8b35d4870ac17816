"""Run the tables of a paper, and write figures, a page and a picture.

    python -m benchmarks.papers ewen2020 --data covid-ct --budget small

A run that is in the results file is not repeated, so that a killed command goes on
where it was. Rows whose data or weights are not at hand say so on the page.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.papers import ewen2020, gazda2021, he2020, li2021
from benchmarks.papers.page import markdown
from benchmarks.papers.picture import draw
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
    about = "; ".join(
        f"{paper.name}: {paper.data}"
        + (f", --external {paper.external}" if paper.external else "")
        for paper in PAPERS.values()
    )
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.papers",
        description=__doc__.splitlines()[0],
        epilog=f"What --data is to hold: {about}.",
    )
    parser.add_argument("paper", choices=PAPERS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--external", type=Path, help="images of the first stage")
    parser.add_argument("--budget", choices=BUDGETS, default="full")
    parser.add_argument(
        "--init",
        default="imagenet",
        help="where transfer starts: imagenet, none, or a state dict, in whose path "
        "{backbone} stands for the network (default: imagenet)",
    )
    parser.add_argument("--seeds", type=_seed, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--tables", type=int, nargs="+", default=[], help="by number, from 1"
    )
    parser.add_argument("--networks", nargs="+", default=[])
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--out", type=Path, help="results file; page and picture lie beside it"
    )
    parser.add_argument(
        "--page-only", action="store_true", help="write the page of what there is"
    )
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run what is asked for, and write the page."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    paper = PAPERS[args.paper]
    path = args.out or RESULTS / f"{paper.name}_{args.budget}{_suffix(args.init)}.json"
    _check(args, parser, paper, path)
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
    """Run what is asked for, and write the page also after Ctrl-C."""
    rows = choose_rows(paper, args.tables, args.networks)
    if not rows:
        parser.error("no row has these --tables and --networks.")
    try:
        seeds = list(dict.fromkeys(args.seeds))
        return [] if args.page_only else run_rows(paper, setup, results, rows, seeds)
    finally:
        write_page(paper, results)


def _seed(text: str) -> int:
    """Read a seed, as scikit-learn takes it."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on.")
    return int(text)


def _check(
    args: argparse.Namespace, parser: argparse.ArgumentParser, paper: Paper, path: Path
) -> None:
    """Refuse arguments that would fail in each run, or write among the images."""
    rows = [row for table in paper.tables for row in table.rows]
    networks = dict.fromkeys(row.settings["backbone"] for row in rows)
    for network in args.networks:
        if network not in networks:
            parser.error(str(unknown_name("--networks", network, list(networks))))
    if not set(args.tables) <= set(range(1, len(paper.tables) + 1)):
        parser.error(f"--tables must be from 1 to {len(paper.tables)}.")
    if not args.init:
        parser.error("--init must be imagenet, none or the path of a state dict.")
    if path.suffix != ".json" or path.is_dir():
        parser.error(f"--out must be a .json file, got {str(path)!r}.")
    for name in ("data", "external"):
        folder = getattr(args, name)
        if folder is not None and path.resolve().is_relative_to(folder.resolve()):
            parser.error(f"--out must not lie in --{name}, whose files are compared.")
    try:
        resolve_device(args.device)
    except ValueError as error:
        parser.error(f"--device: {error}")


def _suffix(init: str) -> str:
    """Return what the start adds to the name of a results file."""
    if init == "imagenet":
        return ""
    path = Path(init)
    named = path.parent.name if "{backbone}" in path.stem else path.stem
    return f"_{named or 'weights'}"


def write_page(paper: Paper, results: Results) -> None:
    """Write page and picture beside the results file."""
    page, picture = (results.path.with_suffix(end) for end in (".md", ".png"))
    page.parent.mkdir(parents=True, exist_ok=True)
    drawn = draw(paper, results, picture)
    text = markdown(paper, results, picture.name if drawn else None)
    page.write_text(text, encoding="utf-8")
    print(f"written to {page}" + (f" and {picture.name}" if drawn else ""))


if __name__ == "__main__":
    main()
