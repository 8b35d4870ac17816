"""Properties of the training images: sizes, channels and range of values."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, Literal

import numpy as np

from skssl.data.files import ImageHeader
from skssl.data.formats import ValueRange
from skssl.data.sources import ImageSource
from skssl.data.threads import map_rows

Color = Literal["auto", "gray", "rgb"]

# Number of RGB files that are decoded to decide between colour and gray scans.
_N_COLOR_PROBES = 64
# A file is coloured if its channels differ by more than this on average, in 8-bit
# steps. Channels of gray images in RGB JPEG files differ by about one step.
_COLOR_THRESHOLD = 4.0


@dataclass(frozen=True)
class ImageSurvey:
    """Properties of a training set, from which the image format is derived.

    Attributes
    ----------
    size : (height, width) or None
        The common size in pixels, or None if sizes vary.
    n_channels : int
    value_range : (low, high), str or None
        The given range. By default, minimum and maximum of the non-uint8 images, or
        None if all images are uint8.
    """

    size: tuple[int, int] | None
    n_channels: int
    value_range: ValueRange


def survey_images(
    source: ImageSource,
    rows: Sequence[int] | np.ndarray,
    *,
    color: Color = "auto",
    value_range: Sequence[float] | str = "auto",
    n_jobs: int | None = -1,
) -> ImageSurvey:
    """Examine the training images before they are decoded into the store.

    Parameters
    ----------
    source : ImageSource
    rows : sequence of int
        The training images.
    color : {"auto", "gray", "rgb"}, default="auto"
        "auto" keeps the channels of arrays. Files are taken as RGB if more than half of
        them are coloured, estimated from up to 64 files stored as RGB, and otherwise
        as gray.
    value_range : (low, high), "auto", "image", "bits", "window" or "window:K"
        "auto" uses minimum and maximum of all non-uint8 images among ``rows``, without
        their padding. The other names stand for a range of each image.
    n_jobs : int or None
        Number of threads.

    Returns
    -------
    ImageSurvey

    Raises
    ------
    ValueError
        If a file cannot be read, arrays differ in their number of channels, or values
        are NaN or infinite. The message names the row.
    """
    if source.maps is None:
        return _survey(source, rows, color, value_range, n_jobs)
    found = source.maps.recall(
        source,
        np.asarray(rows),
        ["survey", color, value_range],
        lambda: list(astuple(_survey(source, rows, color, value_range, n_jobs))),
        n_jobs=n_jobs,
    )
    known: list[Any] = [tuple(v) if isinstance(v, list) else v for v in found]
    return ImageSurvey(*known)


def _survey(
    source: ImageSource,
    rows: Sequence[int] | np.ndarray,
    color: Color,
    value_range: Sequence[float] | str,
    n_jobs: int | None,
) -> ImageSurvey:
    headers = map_rows(source.header, rows, n_jobs)
    sizes = {(header.height, header.width) for header in headers}
    wide = [
        row for row, header in zip(rows, headers, strict=True) if not header.eight_bit
    ]
    bounds: ValueRange
    if not isinstance(value_range, str):
        bounds = (float(value_range[0]), float(value_range[1]))
    elif value_range != "auto":
        bounds = value_range
    elif not wide:
        bounds = None
    else:
        extremes = map_rows(lambda row: _value_range(source, row), wide, n_jobs)
        lows, highs = zip(*extremes, strict=True)
        bounds = (min(lows), max(highs))
    if color == "auto":
        n_channels = _n_channels(source, rows, headers, n_jobs)
    else:
        n_channels = 1 if color == "gray" else 3
    return ImageSurvey(
        size=sizes.pop() if len(sizes) == 1 else None,
        n_channels=n_channels,
        value_range=bounds,
    )


def _value_range(source: ImageSource, row: int) -> tuple[float, float]:
    raw = source.decode(row, keep=True)
    try:
        return raw.extremes()
    except ValueError as error:
        raise ValueError(f"{source.describe(row)}: {error}.") from error


def _n_channels(
    source: ImageSource,
    rows: Sequence[int] | np.ndarray,
    headers: Sequence[ImageHeader],
    n_jobs: int | None,
) -> int:
    """Return the number of channels of arrays, or of files by their colours."""
    counts = [header.n_channels for header in headers]
    if counts[0] is not None and None not in counts:
        other = next((i for i, count in enumerate(counts) if count != counts[0]), None)
        if other is not None:
            raise ValueError(
                f"{source.describe(rows[other])} has {counts[other]} channels, but "
                f"{source.describe(rows[0])} has {counts[0]}: pass color='gray' or "
                "color='rgb' to convert them."
            )
        return counts[0]
    unknown = [row for row, count in zip(rows, counts, strict=True) if count is None]
    n_probes = min(_N_COLOR_PROBES, len(unknown))
    probes = [unknown[i] for i in np.linspace(0, len(unknown) - 1, n_probes, dtype=int)]
    is_coloured = map_rows(lambda row: _is_coloured(source, row), probes, n_jobs)
    return 3 if np.mean(is_coloured) * len(unknown) > len(rows) / 2 else 1


def _is_coloured(source: ImageSource, row: int) -> bool:
    image = source.decode(row, min_side=64, keep=True).pixels
    if image.ndim == 2:
        return False
    planes = image.astype(np.int16)  # (H, W, 3)
    return bool(np.ptp(planes, axis=2).mean() > _COLOR_THRESHOLD)
