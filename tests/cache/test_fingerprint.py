"""Equal things have one name, in any process; others have another."""

import abc
import ast
import copy
import enum
import importlib
import math
import shutil
import subprocess
import sys
import threading
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import skssl
from skssl import Phase
from skssl._cache.fingerprint import (
    TRAINING_LAYERS,
    code_version,
    fingerprint,
    hardware,
)
from skssl.augment import get_recipe
from skssl.pretext import MoCo
from skssl.testing import tiny_cnn


class Base(abc.ABC):  # noqa: B024
    limit = 3

    @property
    def twice(self):
        return 2 * self.limit

    @staticmethod
    def one():
        return 1

    @classmethod
    def two(cls):
        return 2

    @cached_property
    def three(self):
        return 3


class Slotted:
    __slots__ = ("x",)


@dataclass(frozen=True)
class Settings:
    rate: float = 0.1


Pair = namedtuple("Pair", "first second")


class Color(enum.Enum):
    RED = 1
    BLUE = 2


def network(width=3):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(2, width), torch.nn.BatchNorm1d(width))


def above(limit):
    return lambda x: x > limit


MAKERS = [
    lambda: None,
    lambda: True,
    lambda: 1,
    lambda: 1.0,
    lambda: "1",
    lambda: b"1",
    lambda: float("nan"),
    lambda: [1, 2],
    lambda: (1, 2),
    lambda: [[1], 2],
    lambda: {1, 2},
    lambda: {"a": 1, "b": 2},
    lambda: {"a": 2, "b": 1},
    lambda: np.arange(4),
    lambda: np.arange(4).reshape(2, 2),
    lambda: np.arange(4, dtype=np.int32),
    lambda: np.arange(4)[::-1],
    lambda: np.array(["a", None], dtype=object),
    lambda: torch.arange(4),
    lambda: torch.arange(4).bfloat16(),
    lambda: torch.zeros(0),
    network,
    lambda: network().eval(),
    lambda: network(4),
    MoCo,
    lambda: MoCo(temperature=0.3),
    lambda: get_recipe("simclr"),
    lambda: get_recipe("simclr", p_horizontal_flip=0.0),
    lambda: Phase(epochs=3),
    lambda: Phase(epochs=4),
    LogisticRegression,
    lambda: LogisticRegression(C=2.0),
    Settings,
    lambda: Settings(0.2),
    lambda: above(1),
    lambda: above(2),
    lambda: above(1).__code__,
    lambda: partial(above, 1),
    lambda: partial(above, limit=1),
    lambda: network().forward,
    lambda: torch.optim.SGD,
    lambda: Base,
    lambda: Slotted,
    lambda: tiny_cnn,
    lambda: max,
    lambda: math.cos,
    lambda: [1].append,
    lambda: lambda x, cos=math.cos: cos(x),
    lambda: Pair,
    lambda: Pair(1, 2),
    lambda: Color.RED,
    lambda: Color.BLUE,
    lambda: np.array(["2020-01-01"], dtype="datetime64[D]"),
    lambda: pd.Series([1, 2]),
    lambda: pd.DataFrame({"a": [1], "b": [2]}),
    lambda: torch.eye(2).to_sparse(),
    lambda: fingerprint,
]


def test_equal_values_have_one_name_and_others_have_others():
    names = [fingerprint(make()) for make in MAKERS]
    assert names == [fingerprint(make()) for make in MAKERS]
    assert names == [fingerprint(copy.deepcopy(make())) for make in MAKERS]
    assert len(set(names)) == len(names)


def test_order_of_memory_and_of_dictionaries_does_not_count():
    values = np.arange(6.0).reshape(2, 3)
    assert fingerprint(values) == fingerprint(np.asfortranarray(values))
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint(np.int64(1), np.float64(0.5)) == fingerprint(1, 0.5)


def test_the_order_of_layers_counts():
    layers = {"a": torch.nn.ReLU(), "b": torch.nn.BatchNorm1d(3)}
    first = torch.nn.Sequential(OrderedDict(layers))
    second = torch.nn.Sequential(OrderedDict(reversed(layers.items())))
    assert fingerprint(first) != fingerprint(second)
    assert fingerprint(OrderedDict(layers)) != fingerprint(
        OrderedDict(reversed(layers.items()))
    )


def test_what_a_function_of_the_user_names_counts(tmp_path, monkeypatch):
    """A backbone that is being developed changes in the class, not in the function."""

    def load(line, factor=2):
        (tmp_path / "own_part.py").write_text(f"def part(x):\n    return {line}\n")
        (tmp_path / "own_net.py").write_text(
            "import torch\nimport own_part\n"
            f"FACTOR = {factor}\n"
            "class Net(torch.nn.Module):\n"
            "    def forward(self, x):\n"
            "        return FACTOR * own_part.part(x)\n"
            "def make():\n"
            "    return [Net() for _ in range(1)][0]\n"
        )
        for name in ("own_net", "own_part"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        return importlib.import_module("own_net").make

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names = [fingerprint(load(*how)) for how in (("x",), ("-x",), ("x", 3), ("x",))]
    assert len(set(names)) == 3
    assert names[0] == names[3]


def test_one_weight_changes_the_name_of_a_network():
    net = network()
    name = fingerprint(net)
    with torch.no_grad():
        net[0].weight[0, 0] += 1e-6
    assert fingerprint(net) != name


def test_the_code_of_a_users_class_counts():
    def make(step):
        class Net(torch.nn.Module):
            def forward(self, x):
                return x + step

        return Net

    class Twin(make(1)):
        pass

    assert fingerprint(make(1)()) == fingerprint(make(1)())
    assert fingerprint(make(1)()) != fingerprint(make(2)())
    twin = fingerprint(Twin)
    Twin.__bases__ = (make(2),)
    assert fingerprint(Twin) != twin


def test_what_holds_itself_has_a_name():
    settings = Base.__new__(type("Own", (Base,), {}))
    settings.me = settings
    assert fingerprint(settings) == fingerprint(settings)


def test_what_has_no_content_is_refused():
    with pytest.raises(TypeError, match="has no content that can be hashed"):
        fingerprint(threading.Lock())


SETTINGS = {"width": 3}
LAYERS = [1, 2]
RULE = Settings()
LOCK = threading.Lock()


def uses_globals():
    return SETTINGS["width"], [layer for layer in LAYERS], RULE.rate  # noqa: C416


def uses_it_indirectly():
    return uses_globals()


def uses_a_lock():
    with LOCK:
        return 1


def reads_a_file():
    with open("weights.txt") as file:  # noqa: PTH123
        return file


@pytest.mark.parametrize("function", [uses_globals, uses_it_indirectly])
@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setitem(SETTINGS, "width", 4),
        lambda patch: patch.setitem(SETTINGS, "depth", [{"a": 1}]),
        lambda patch: patch.setattr(sys.modules[__name__], "LAYERS", [1, 3]),
        lambda patch: patch.setattr(sys.modules[__name__], "RULE", Settings(0.2)),
    ],
)
def test_the_content_of_globals_counts(function, change):
    before = fingerprint(function)
    with pytest.MonkeyPatch.context() as patch:
        change(patch)
        assert fingerprint(function) != before
    assert fingerprint(function) == before


def test_the_globals_of_a_users_module_count(tmp_path, monkeypatch):
    (tmp_path / "own_config.py").write_text("CFG = {'w': 1}\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("own_config")

    def enclosed():
        return module.CFG["w"]

    def by_default(own=module):
        return own.CFG["w"]

    def imported():
        import own_config

        return own_config.CFG["w"]

    before = [fingerprint(f) for f in (enclosed, by_default, imported)]
    monkeypatch.setitem(module.CFG, "w", 2)
    after = [fingerprint(f) for f in (enclosed, by_default, imported)]
    assert not set(before) & set(after)
    monkeypatch.delitem(sys.modules, "own_config")


def test_what_a_key_cannot_hold_is_refused():
    with pytest.raises(TypeError, match=r"uses_a_lock uses 'LOCK': .* no content that"):
        fingerprint(uses_a_lock)
    with pytest.raises(TypeError, match="reads_a_file calls 'open'"):
        fingerprint(reads_a_file)
    with pytest.raises(TypeError, match="calls 'load'"):
        fingerprint(lambda: torch.load("weights.pth"))


def top_level_imports(path):
    """Yield the top-level files and folders of skssl that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("skssl."):
            yield node.module.split(".")[1]


def test_the_key_of_a_training_holds_the_code_that_it_runs():
    root = Path(skssl.__file__).parent
    reached, new = set(), {"_pretrain", "_targeted"}
    while new:
        reached |= new
        files = [
            path
            for room in new
            for path in [root / f"{room}.py", *(root / room).rglob("*.py")]
            if path.exists()
        ]
        new = {room for path in files for room in top_level_imports(path)} - reached
    assert reached == TRAINING_LAYERS


def test_code_that_no_training_runs_does_not_count(tmp_path):
    root = tmp_path / "skssl"
    shutil.copytree(Path(skssl.__file__).parent, root)

    def version_after(place):
        path = root / place
        path.write_text(path.read_text() + "# another line\n")
        code_version.cache_clear()
        return code_version(TRAINING_LAYERS, root)

    first = code_version(TRAINING_LAYERS, root)
    assert version_after("metrics/_delong.py") == first
    assert version_after("nn/losses.py") != first


def test_names_are_the_same_in_another_process():
    script = (
        "import numpy as np, torch\n"
        "from skssl._cache.fingerprint import code_version, fingerprint\n"
        "from skssl.pretext import MoCo\n"
        "print(fingerprint({'a', 'b', 'c'}, MoCo(), np.arange(3), max), "
        "code_version())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    assert printed == [
        fingerprint({"a", "b", "c"}, MoCo(), np.arange(3), max),
        code_version(),
    ]


def test_the_number_of_threads_is_part_of_the_hardware():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = hardware(torch.device("cpu"))
        torch.set_num_threads(2)
        assert hardware(torch.device("cpu")) != one
    finally:
        torch.set_num_threads(before)
