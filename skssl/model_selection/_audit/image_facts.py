"""Properties of each image that an audit uses: file, gray values and thumbnail."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from skssl.data import ImageSource
from skssl.data.files import file_kind
from skssl.data.formats import LUMA, finite_range
from skssl.data.sources import FileSource, SequenceSource
from skssl.data.threads import map_rows

_SIDE_PX = 32  # of a thumbnail, as in Zauner
_MARGIN = 0.02  # fraction of the gray range, and of the sides, that counts as margin


@dataclass(frozen=True)
class ImageFacts:
    """Properties of n images, each decoded once.

    Attributes
    ----------
    names : list of str
        The path of each image, or "X[3]".
    digests : ndarray of shape (n,), bytes
        Equal for images with equal pixels.
    thumbnails : ndarray of shape (n, 32, 32), float32
        Gray values, averaged over the area of each pixel of the thumbnail.
    flat : ndarray of shape (n,), bool
        Whether an image has almost no contrast, so that its thumbnail is useless.
    columns : dict of str to ndarray of shape (n,)
        Metadata and gray-value statistics that may predict the label; see `COLUMNS`.
    """

    names: list[str]
    digests: np.ndarray
    thumbnails: np.ndarray
    flat: np.ndarray
    columns: dict[str, np.ndarray]


#: The columns of each kind; "suffix", "bytes" and "bytes_per_pixel" only for files.
COLUMNS = {
    "format": ("format", "suffix", "mode"),
    "file size": ("bytes", "bytes_per_pixel"),
    "image size": ("height", "width", "aspect"),
    "border": ("border_mean", "border_std", "border_dark"),
    "intensity": ("mean", "std", "minimum", "maximum", "dark", "bright"),
}


def read_facts(source: ImageSource, n_jobs: int | None) -> ImageFacts:
    """Decode each image of a source, in threads, and return its properties.

    Raises
    ------
    ValueError
        If an image cannot be read, or has NaN or infinity; the message names the image.
    """
    facts = map_rows(lambda row: _image_facts(source, row), range(len(source)), n_jobs)
    digests, thumbnails, flat, columns = zip(*facts, strict=True)
    items = source.items if isinstance(source, FileSource) else None
    return ImageFacts(
        names=[
            f"X[{i}]" if items is None else str(items[i]) for i in range(len(source))
        ],
        digests=np.array(digests),
        thumbnails=np.stack(thumbnails),
        flat=np.array(flat),
        columns={name: np.array([row[name] for row in columns]) for name in columns[0]},
    )


def _image_facts(
    source: ImageSource, row: int
) -> tuple[bytes, np.ndarray, bool, dict[str, Any]]:
    """Return digest, thumbnail (32, 32), flatness and columns of one image."""
    raw = source.read(row)
    try:
        low, high = finite_range(raw)
    except ValueError as error:
        raise ValueError(f"{source.describe(row)}: {error}.") from error
    pixels = _normal_form(raw, low, high)
    header = f"{pixels.shape} {pixels.dtype}".encode()
    digest = hashlib.blake2b(header + pixels.tobytes(), digest_size=16).digest()
    gray = _gray(pixels)  # (H, W), float32
    small = Image.fromarray(gray).resize(
        (_SIDE_PX, _SIDE_PX), Image.Resampling.BILINEAR
    )
    thumbnail = np.asarray(small)
    # Contrast of less than one of 256 gray levels counts as flat. The levels span the
    # range of the image for masks with few values, and for other dtypes than uint8.
    is_gray_scale = pixels.dtype == np.uint8 and high - low > 3
    step = 1.0 if is_gray_scale else (high - low) / 255
    columns = _file_columns(source, row, raw) | _pixel_columns(gray)
    if "bytes" in columns:
        columns["bytes_per_pixel"] = columns["bytes"] / gray.size
    flat = low == high or bool(thumbnail.std() <= step)
    return digest, thumbnail, flat, columns


def _normal_form(raw: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the pixels in a form that does not depend on how the image is stored.

    Gray images stored as RGB become (H, W), and the dtype is the smallest of uint8,
    int64 and float64 that holds all values.
    """
    if raw.ndim == 3 and raw.shape[2] > 1 and (raw == raw[:, :, :1]).all():
        raw = raw[:, :, :1]
    if raw.ndim == 3 and raw.shape[2] == 1:
        raw = raw[:, :, 0]
    if raw.dtype == bool:
        return raw.astype(np.uint8) * np.uint8(255)
    if raw.dtype.kind == "f" and not np.array_equal(raw, np.rint(raw)):
        return raw.astype(np.float64)
    return raw.astype(np.uint8 if low >= 0 and high <= 255 else np.int64)


def _gray(pixels: np.ndarray) -> np.ndarray:
    """Return (H, W) float32: the luma of RGB, else the mean over channels."""
    if pixels.ndim == 2:
        return pixels.astype(np.float32)
    if pixels.shape[2] == 3:
        return pixels.astype(np.float32) @ LUMA
    return pixels.mean(axis=2, dtype=np.float32)


def _file_columns(source: ImageSource, row: int, raw: np.ndarray) -> dict[str, Any]:
    """Return the columns of an image's file, or of its object in memory."""
    if isinstance(source, FileSource):
        path = Path(source.path(row))
        kind, mode = file_kind(source.items[row])
        n_bytes = path.stat().st_size
        return {
            "format": kind,
            "suffix": path.suffix.lower(),
            "mode": mode or str(raw.dtype),
            "bytes": n_bytes,
        }
    image = source.images[row] if isinstance(source, SequenceSource) else None
    if isinstance(image, Image.Image):
        return {"format": str(image.format), "mode": image.mode}
    n_channels = 1 if raw.ndim == 2 else raw.shape[2]
    return {"format": "array", "mode": f"{raw.dtype} × {n_channels}"}


def _pixel_columns(gray: np.ndarray) -> dict[str, Any]:
    """Return the columns of size, gray values and border of an image (H, W)."""
    height, width = gray.shape
    low, high = float(gray.min()), float(gray.max())
    dark = gray <= low + _MARGIN * (high - low)
    inner = np.zeros(gray.shape, dtype=bool)
    top, left = (max(1, round(_MARGIN * side)) for side in gray.shape)
    inner[top : height - top, left : width - left] = True
    border = gray[~inner]
    return {
        "height": height,
        "width": width,
        "aspect": width / height,
        "mean": float(gray.mean(dtype=np.float64)),
        "std": float(gray.std(dtype=np.float64)),
        "minimum": low,
        "maximum": high,
        "dark": float(dark.mean()),
        "bright": float((gray >= high - _MARGIN * (high - low)).mean()),
        "border_mean": float(border.mean(dtype=np.float64)),
        "border_std": float(border.std(dtype=np.float64)),
        "border_dark": float(dark[~inner].mean()),
    }
