"""Imports point one way, and private or optional things stay where they belong."""

import ast
from pathlib import Path

import pytest

import skssl

ROOT = Path(skssl.__file__).parent

# Each layer imports itself and those above it in this list, nothing else.
ORDER = [
    {"exceptions", "_labels", "_names", "_random", "_sklearn", "_version", "_warn"},
    {"_params", "_rows", "metrics"},
    {"augment", "data", "nn"},
    {"datasets"},
    {"pretext"},
    {"engine"},
    {"encoder"},
    {"_cache"},
    {"_results"},
    {"_estimator"},
    {"_pretrain"},
    {"_targeted"},
    {"_finetune"},
    {"model_selection"},
    {"_show_versions", "recipes", "testing"},
]
LAYERS = {name: number for number, names in enumerate(ORDER) for name in names}
OPTIONAL = {"SimpleITK", "matplotlib", "optuna", "pandas", "pydicom", "safetensors"}


def modules():
    return sorted(ROOT.rglob("*.py"))


def layer(path: Path) -> str:
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
    here = layer(path)
    if here == "__init__":
        return
    for name, _ in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if not name.startswith("skssl."):
            continue
        there = name.split(".")[1]
        if there not in LAYERS:  # a name that skssl/__init__.py offers
            assert LAYERS[here] > LAYERS["_finetune"], f"{path} imports {name}"
        elif here != there:
            assert LAYERS[there] < LAYERS[here], f"{path} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_who_may_import_what(path):
    here = layer(path)
    for name, at_top in imports(ast.parse(path.read_text(encoding="utf-8"))):
        package = name.split(".")[0]
        if package == "skorch":
            assert here == "engine", f"{path}: only the engine imports skorch"
        if package in OPTIONAL:
            assert not at_top, f"{path}: {package} is optional, import it where used"
        private = [p for p in name.split(".")[1:] if p.startswith("_")]
        if package == "sklearn" and private:
            assert here == "_sklearn", f"{path} imports {name}"


def test_every_file_has_its_layer():
    assert {layer(path) for path in modules()} - {"__init__"} <= set(LAYERS)
