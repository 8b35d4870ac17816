"""Lines of code along paths through skssl, as tables of ``architecture.rst``.

``python docs/_ext/hops.py`` brings the line numbers of that page up to date.
"""

from pathlib import Path

from list_tables import list_table

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "develop" / "architecture.rst"

#: What happens, file, and the beginning of the line where it does.
PRETRAIN = [
    ("X is wrapped, nothing is decoded", "_pretrain/pretrainer.py", "source, table ="),
    ("a table is checked, others are listed", "_estimator.py", "def read_training_im"),
    ("the training is recalled or run", "_pretrain/pretrainer.py", "return self._put("),
    ("", "_cache/remember.py", "result: Any = train()"),
    ("rows are chosen", "_pretrain/pretrain.py", "rows = draw_rows("),
    ("size, channels, value range", "_pretrain/pretrain.py", "reader = learn_reader("),
    ("task, backbone and module", "_pretrain/pretrain.py", "net = _make_net("),
    ("images are decoded", "_pretrain/pretrain.py", "store = reader.store("),
    ("the epochs", "_pretrain/pretrain.py", "net.partial_fit(store)"),
    ("views, loss, gradient", "engine/loop.py", "def train_step("),
    ("the backbone is kept", "_pretrain/pretrain.py", "encoder=Encoder("),
    ("the result is put on the estimator", "_estimator.py", "def _replace("),
]
TRANSFORM = [
    ("X is wrapped", "_estimator.py", "source = self._open(X)"),
    ("with or without a cache", "_estimator.py", "return encode("),
    ("", "_cache/remember.py", "return encoder.features_of("),
    ("batches of uint8", "encoder.py", "for batch in self.reader.bat"),
    ("the networks", "encoder.py", "result = apply_independently("),
]
FINE_TUNE = [
    ("X is wrapped", "_finetune/classifier.py", "source, table ="),
    ("patients are checked", "_finetune/classifier.py", "groups = check_groups("),
    (
        "y becomes numbers, -1 no label",
        "_finetune/classifier.py",
        "labelled = read_lab",
    ),
    ("labelled rows are split by patient", "_finetune/fine_tune.py", "train, held ="),
    ("rows of held-out patients go", "_finetune/fine_tune.py", "rows = rows_apart("),
    ("the pretrainer gets the rest", "_finetune/fine_tune.py", "interrupt = fit_pret"),
    ("labels go to the loss", "_finetune/fine_tune.py", "module = _make_module("),
    ("the phases", "_finetune/fine_tune.py", "return train_classifier("),
]
PATHS = {
    "following_fit": PRETRAIN,
    "following_transform": TRANSFORM,
    "following_labels": FINE_TUNE,
}


def line_of(file: str, start: str) -> int:
    """Return the number of the one line of a file that begins with a text.

    Raises
    ------
    ValueError
        If there is none, or more than one.
    """
    lines = (ROOT / "skssl" / file).read_text(encoding="utf-8").splitlines()
    found = [i for i, line in enumerate(lines, 1) if line.strip().startswith(start)]
    if len(found) != 1:
        raise ValueError(f"{file}: {len(found)} lines begin with {start!r}: {found}")
    return found[0]


def path_table(name: str) -> str:
    """Return the table of a path."""
    rows = [
        (what, f"``skssl/{file}:{line_of(file, start)}``", f"``{start}…``")
        for what, file, start in PATHS[name]
    ]
    return list_table(("What happens", "Where", "Line"), rows)


def with_tables(page: str) -> str:
    """Return the text of a page with its tables brought up to date."""
    for name in PATHS:
        start, end = f".. {name}\n", f".. end of {name}\n"
        before, rest = page.split(start)
        page = f"{before}{start}\n{path_table(name)}\n{end}{rest.split(end)[1]}"
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
