"""What the training images are like: sizes, channels and the range of their values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from skssl.data.decode import ImageHeader
from skssl.data.formats import finite_range
from skssl.data.sources import ImageSource
from skssl.data.threads import map_rows

Color = Literal["auto", "gray", "rgb"]

# How many RGB files are decoded to see whether they hold colour or gray scans.
_N_COLOR_PROBES = 64
# Mean difference of the channels, in 8-bit steps, above which a file is coloured:
# JPEG stores gray as RGB with errors of about one step.
_COLOR_THRESHOLD = 4.0


@dataclass(frozen=True)
class ImageSurvey:
    """Facts of a training set that the image format is derived from.

    Attributes
    ----------
    size : (height, width) or None
        The common size in pixels; None where sizes vary.
    n_channels : int
    value_range : (low, high) or None
        The given one; else the least and greatest value of the non-uint8 images, or
        None if all are uint8.
    """

    size: tuple[int, int] | None
    n_channels: int
    value_range: tuple[float, float] | None


def survey_images(
    source: ImageSource,
    rows: Sequence[int] | np.ndarray,
    *,
    color: Color = "auto",
    value_range: Sequence[float] | str = "auto",
    n_jobs: int | None = -1,
) -> ImageSurvey:
    """Look at the training images before they are decoded into the store.

    Parameters
    ----------
    source : ImageSource
    rows : sequence of int
        The images to look at.
    color : {"auto", "gray", "rgb"}, default="auto"
        "auto" keeps the channels of arrays; a set of files is RGB if more than half
        of them are coloured (judged on up to 64 of those stored as RGB), else gray.
    value_range : (low, high) or "auto"
        "auto" takes the extremes of all non-uint8 images among ``rows``.
    n_jobs : int or None
        Threads.

    Returns
    -------
    ImageSurvey

    Raises
    ------
    ValueError
        For unreadable files, arrays of mixed channel counts, NaN and infinity; the
        message names the row.
    """
    headers = map_rows(source.header, rows, n_jobs)
    sizes = {(header.height, header.width) for header in headers}
    wide = [
        row for row, header in zip(rows, headers, strict=True) if not header.eight_bit
    ]
    if not isinstance(value_range, str):
        found = (float(value_range[0]), float(value_range[1]))
    elif not wide:
        found = None
    else:
        extremes = map_rows(lambda row: _extremes(source, row), wide, n_jobs)
        lows, highs = zip(*extremes, strict=True)
        found = (min(lows), max(highs))
    if color == "auto":
        n_channels = _n_channels(source, rows, headers, n_jobs)
    else:
        n_channels = 1 if color == "gray" else 3
    return ImageSurvey(
        size=sizes.pop() if len(sizes) == 1 else None,
        n_channels=n_channels,
        value_range=found,
    )


def _extremes(source: ImageSource, row: int) -> tuple[float, float]:
    try:
        return finite_range(source.read(row))
    except ValueError as error:
        raise ValueError(f"{source.describe(row)}: {error}.") from error


def _n_channels(
    source: ImageSource,
    rows: Sequence[int] | np.ndarray,
    headers: Sequence[ImageHeader],
    n_jobs: int | None,
) -> int:
    """Return the channel count of a set: what its arrays have, or its files show."""
    counts = [header.n_channels for header in headers]
    if counts[0] is not None and None not in counts:
        other = next((i for i, count in enumerate(counts) if count != counts[0]), None)
        if other is not None:
            raise ValueError(
                f"{source.describe(rows[other])} has {counts[other]} channels, but "
                f"{source.describe(rows[0])} has {counts[0]}: pass color='gray' or "
                "color='rgb' to make them alike."
            )
        return counts[0]
    unsure = [row for row, count in zip(rows, counts, strict=True) if count is None]
    n_probes = min(_N_COLOR_PROBES, len(unsure))
    probes = [unsure[i] for i in np.linspace(0, len(unsure) - 1, n_probes, dtype=int)]
    coloured = np.mean(map_rows(lambda row: _is_coloured(source, row), probes, n_jobs))
    return 3 if coloured * len(unsure) > len(rows) / 2 else 1


def _is_coloured(source: ImageSource, row: int) -> bool:
    image = source.read(row, min_side=64)
    if image.ndim == 2:
        return False
    planes = image.astype(np.int16)  # (H, W, 3)
    return bool(np.ptp(planes, axis=2).mean() > _COLOR_THRESHOLD)
