"""Imports point one way, and private or optional things stay where they belong."""

import ast
from pathlib import Path

import pytest

import skssl

ROOT = Path(skssl.__file__).parent

# Each layer may import those of lower numbers, and itself.
LAYERS = {
    "exceptions": 0,
    "_random": 0,
    "_sklearn": 0,
    "_names": 0,
    "_version": 0,
    "_warn": 0,
    "_labels": 0,
    "_params": 0.5,
    "_rows": 0.5,
    "data": 1,
    "augment": 1,
    "nn": 1,
    "pretext": 2,
    "engine": 3,
    "encoder": 4,
    "_cache": 5,
    "_estimator": 6,
    "_pretrain": 7,
    "_targeted": 8,
    "_finetune": 9,
    "metrics": 1,
    "datasets": 1,
    "model_selection": 6,
    "recipes": 10,
    "testing": 10,
}
SIDE_BY_SIDE = {"data", "augment", "nn"}  # these do not import one another
OPTIONAL = {"matplotlib", "optuna", "pandas", "pydicom", "safetensors"}


def modules():
    return sorted(path for path in ROOT.rglob("*.py") if path.name != "py.typed")


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(tree: ast.AST):
    """Yield (dotted name, whether at module level) of every import."""
    top = set(ast.walk(tree)) - {
        inner
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "skssl":
                yield from ((f"skssl.{a.name}", node in top) for a in node.names)
            else:
                yield node.module, node in top


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    here = room(path)
    if here == "__init__":
        return
    for name, _ in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if not name.startswith("skssl."):
            continue
        there = name.split(".")[1]
        if there not in LAYERS:  # a name that skssl/__init__.py offers
            assert LAYERS[here] > LAYERS["_finetune"], f"{path} imports {name}"
            continue
        if here == there:
            continue
        assert LAYERS[there] < LAYERS[here] or here == "datasets", (
            f"{path} imports {name}"
        )
        assert not {here, there} <= SIDE_BY_SIDE, f"{path} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_who_may_import_what(path):
    here = room(path)
    for name, at_top in imports(ast.parse(path.read_text(encoding="utf-8"))):
        package = name.split(".")[0]
        if package == "skorch":
            assert here == "engine", f"{path}: only the engine imports skorch"
        if package in OPTIONAL:
            assert not at_top, f"{path}: {package} is optional, import it where used"
        private = [p for p in name.split(".")[1:] if p.startswith("_")]
        if package == "sklearn" and private:
            assert here == "_sklearn", f"{path} imports {name}"


def test_every_room_has_its_layer():
    assert {room(path) for path in modules()} - {"__init__"} <= set(LAYERS)


def test_datasets_import_basics_only():
    for path in (ROOT / "datasets").glob("*.py"):
        for name, _ in imports(ast.parse(path.read_text(encoding="utf-8"))):
            if name.startswith("skssl.") and not name.startswith("skssl.datasets"):
                assert LAYERS[name.split(".")[1]] == 0, f"{path} imports {name}"
