"""check_images: every image that cannot be read or looks wrong, before a training."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_array
from tqdm.auto import tqdm

from skssl.data.files import ImageHeader, is_turned
from skssl.data.inputs import fold_rows, is_table, make_source
from skssl.data.sources import SEE_CHECK_IMAGES, ArraySource, FileSource, ImageSource
from skssl.data.threads import map_rows

__all__ = ["ImageProblem", "ImageReport", "check_images"]

_N_SHOWN = 20
_OUTLIER = 2.0  # an image that widens the range of the others by this factor is named


class ImageProblem(NamedTuple):
    """What is wrong, or unusual, about an image.

    Attributes
    ----------
    row : int
        In X.
    name : str
        The file, or "X[row]".
    kind : str
        "unreadable", or what looks suspicious: "constant", "value range", "turned",
        "bit depth", "channels" or "size".
    message : str
    """

    row: int
    name: str
    kind: str
    message: str


@dataclass(frozen=True)
class ImageReport:
    """The result of `check_images`, which prints as a table.

    Attributes
    ----------
    n_images : int
    problems : list of ImageProblem
        In the order of the rows; an image may have several.
    readable : ndarray of int
        The rows that can be read.
    fine : ndarray of int
        The rows that can be read, and about which nothing is unusual.
    """

    n_images: int
    problems: list[ImageProblem]
    readable: np.ndarray
    fine: np.ndarray

    def to_frame(self) -> Any:
        """Return the problems as a pandas DataFrame."""
        import pandas

        return pandas.DataFrame(self.problems, columns=list(ImageProblem._fields))

    def __str__(self) -> str:
        n_bad = self.n_images - len(self.readable)
        n_odd = len(self.readable) - len(self.fine)
        lines = [f"{self.n_images} images: {n_bad} unreadable, {n_odd} suspicious"]
        shown = self.problems[:_N_SHOWN]
        if shown:
            width = max(len(problem.kind) for problem in shown)
            lines += [
                f"{p.row:>7}  {p.kind:<{width}}  {p.name}: {p.message}" for p in shown
            ]
        if len(self.problems) > len(shown):
            lines.append(f"... and {len(self.problems) - len(shown)} more in .problems")
        return "\n".join(lines)


class _Facts(NamedTuple):
    """What was found about an image that can be read."""

    header: ImageHeader
    low: float
    high: float
    turned: bool


def check_images(
    X: Any,
    *,
    image_shape: Sequence[int] | None = None,
    n_jobs: int | None = -1,
    verbose: int = 1,
) -> ImageReport:
    """Decode all images once, and report what cannot be read or looks wrong.

    Parameters
    ----------
    X : paths, arrays, PIL images or a tensor
        As in ``fit`` of the estimators.
    image_shape : (H, W, C), optional
        Needed for more than 4 channels.
    n_jobs : int or None, default=-1
        Number of threads.
    verbose : int, default=1
        0 shows no progress bar.

    Returns
    -------
    ImageReport
        ``print(report)`` shows a table; ``X[report.readable]`` can be read.

    Raises
    ------
    TypeError, ValueError
        If X as a whole is not usable.

    Notes
    -----
    An image is called suspicious if

    - all its values are equal,
    - its values are more than 8 bits wide, and it makes the range of the values of the
      set at least twice as wide as that of the other images, of which the outermost
      5 % are left out: the default ``value_range="auto"`` would darken all others,
    - its EXIF orientation turns or mirrors it,
    - most images have another bit depth, number of channels or size.

    Examples
    --------
    >>> import numpy as np
    >>> from skssl.data import check_images
    >>> X = np.random.default_rng(0).integers(0, 4000, (5, 8, 8), dtype=np.uint16)
    >>> X[1] = 7
    >>> X[3, 0, 0] = 65535
    >>> print(check_images(X, verbose=0))
    5 images: 0 unreadable, 2 suspicious
          1  constant     X[1]: all values are 7
          3  value range  X[3]: its values span ... those of most others ...
    """
    source = _open(X, image_shape)
    with tqdm(total=len(source), desc="check_images", disable=not verbose) as bar:

        def examine(row: int) -> _Facts | str:
            try:
                return _examine(source, row)
            except (ValueError, OSError) as error:
                return str(error)
            finally:
                bar.update()

        found = map_rows(examine, range(len(source)), n_jobs)
    facts = {row: item for row, item in enumerate(found) if isinstance(item, _Facts)}
    problems = [
        _problem(source, row, "unreadable", _without_name(source, row, item))
        for row, item in enumerate(found)
        if isinstance(item, str)
    ]
    for row, kind, message in (
        *_constant(facts),
        *_wide_range(facts),
        *_turned(facts),
        *_unlike_most(facts),
    ):
        problems.append(_problem(source, row, kind, message))
    problems.sort(key=lambda problem: problem.row)
    readable = np.array(sorted(facts), dtype=np.intp)
    odd = [problem.row for problem in problems]
    return ImageReport(
        len(source), problems, readable, np.setdiff1d(readable, odd).astype(np.intp)
    )


def _open(X: Any, image_shape: Sequence[int] | None) -> ImageSource:
    """Wrap images, or rows of a table, as ``fit`` does."""
    if not is_table(X):
        return make_source(X, image_shape)
    return ArraySource(fold_rows(check_array(X), image_shape))


def _examine(source: ImageSource, row: int) -> _Facts:
    header = source.header(row)
    low, high = source.decode(row).extremes()
    turned = isinstance(source, FileSource) and source.call_on_file(row, is_turned)
    return _Facts(header, low, high, turned)


def _problem(source: ImageSource, row: int, kind: str, message: str) -> ImageProblem:
    name = str(source.items[row]) if isinstance(source, FileSource) else f"X[{row}]"
    return ImageProblem(row, name, kind, message)


def _without_name(source: ImageSource, row: int, message: str) -> str:
    """Return an error message without the name of the image, which stands beside it."""
    message = message.removesuffix(SEE_CHECK_IMAGES)
    for prefix in (f"X[{row}]: ", f"X[{row}] "):
        message = message.removeprefix(prefix)
    if isinstance(source, FileSource):
        message = message.removeprefix(f"{source.path(row)!r} ")
    return message


Finding = tuple[int, str, str]  # row, kind, message


def _constant(facts: dict[int, _Facts]) -> Iterator[Finding]:
    for row, found in facts.items():
        if found.low == found.high:
            yield row, "constant", f"all values are {found.low:.10g}"


def _wide_range(facts: dict[int, _Facts]) -> Iterator[Finding]:
    """Yield images of many bits that widen the range of most others."""
    wide = {row: f for row, f in facts.items() if not f.header.eight_bit}
    if len(wide) < 3:
        return
    # Without a few at each end, which would hide one another.
    n_few = max(1, len(wide) // 20)
    low = np.sort([found.low for found in wide.values()])[n_few]
    high = np.sort([found.high for found in wide.values()])[-1 - n_few]
    for row, found in wide.items():
        span = max(found.high, high) - min(found.low, low)
        if span >= _OUTLIER * (high - low) > 0:
            message = (
                f"its values span {found.low:.10g} to {found.high:.10g}, those of most "
                f"others {low:.10g} to {high:.10g}"
            )
            yield row, "value range", message


def _turned(facts: dict[int, _Facts]) -> Iterator[Finding]:
    for row, found in facts.items():
        if found.turned:
            yield row, "turned", "its EXIF orientation turns or mirrors it"


def _unlike_most(facts: dict[int, _Facts]) -> Iterator[Finding]:
    """Yield images that differ from more than half of the set."""
    values: dict[str, dict[int, Hashable]] = {
        "bit depth": {r: _depth(f.header) for r, f in facts.items()},
        "channels": {r: _channels(f.header) for r, f in facts.items()},
        "size": {r: f"{f.header.height} × {f.header.width}" for r, f in facts.items()},
    }
    for kind, by_row in values.items():
        if not by_row:
            continue
        (usual, n), *_ = Counter(by_row.values()).most_common(1)
        if n > len(by_row) / 2:
            for row, value in by_row.items():
                if value != usual:
                    yield row, kind, f"{value}, where most have {usual}"


def _depth(header: ImageHeader) -> str:
    return "8 bits" if header.eight_bit else "more than 8 bits"


def _channels(header: ImageHeader) -> str:
    return {None: "stored in colour", 1: "gray"}.get(
        header.n_channels, f"{header.n_channels} channels"
    )
