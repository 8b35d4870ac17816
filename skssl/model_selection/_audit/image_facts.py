"""What an audit knows of each image: its file, its gray values and its looks."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from skssl.data import ImageSource
from skssl.data.formats import LUMA, finite_range
from skssl.data.sources import FileSource, SequenceSource
from skssl.data.threads import map_rows

_SIDE = 32  # px of a thumbnail, Zauner's
_MARGIN = 0.02  # share of the gray range, and of the sides, that is its margin


@dataclass(frozen=True)
class ImageFacts:
    """Facts of n images, of each decoded once.

    Attributes
    ----------
    names : list of str
        How to find each image: its path, or "X[3]".
    digests : ndarray of shape (n,), bytes
        Equal for images of equal pixels.
    thumbnails : ndarray of shape (n, 32, 32), float32
        Gray values, averaged over the pixels that each covers.
    flat : ndarray of shape (n,), bool
        Whether an image shows next to nothing, so that no thumbnail tells it apart.
    columns : dict of str to ndarray of shape (n,)
        What may tell the label without the picture; see `COLUMNS`.
    """

    names: list[str]
    digests: np.ndarray
    thumbnails: np.ndarray
    flat: np.ndarray
    columns: dict[str, np.ndarray]


#: Columns of each kind; "bytes", "suffix" and their like only where there are files.
COLUMNS = {
    "format": ("format", "suffix", "mode"),
    "file size": ("bytes", "bytes_per_pixel"),
    "image size": ("height", "width", "aspect"),
    "border": ("border_mean", "border_std", "border_dark"),
    "intensity": ("mean", "std", "minimum", "maximum", "dark", "bright"),
}


def read_facts(source: ImageSource, n_jobs: int | None) -> ImageFacts:
    """Decode each image of a source, in threads, and keep what an audit needs.

    Raises
    ------
    ValueError
        If an image cannot be read, or holds NaN or infinity; the message names it.
    """
    told = map_rows(lambda row: _facts_of(source, row), range(len(source)), n_jobs)
    digests, thumbnails, flat, columns = zip(*told, strict=True)
    paths = source.paths if isinstance(source, FileSource) else None
    return ImageFacts(
        names=[paths[i] if paths else f"X[{i}]" for i in range(len(source))],
        digests=np.array(digests),
        thumbnails=np.stack(thumbnails),
        flat=np.array(flat),
        columns={name: np.array([row[name] for row in columns]) for name in columns[0]},
    )


def _facts_of(
    source: ImageSource, row: int
) -> tuple[bytes, np.ndarray, bool, dict[str, Any]]:
    raw = source.read(row)
    try:
        low, high = finite_range(raw)
    except ValueError as error:
        raise ValueError(f"{source.describe(row)}: {error}.") from error
    pixels = _plain(raw, low, high)
    header = f"{pixels.shape} {pixels.dtype}".encode()
    digest = hashlib.blake2b(header + pixels.tobytes(), digest_size=16).digest()
    gray = _gray(pixels)  # (H, W), float32
    small = Image.fromarray(gray).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    thumbnail = np.asarray(small)
    # A step of the 256 that a screen shows; noise of less is no picture.
    # Masks of few values, and what is no uint8, have a scale of their own.
    plain = pixels.dtype == np.uint8 and high - low > 3
    step = 1.0 if plain else (high - low) / 255
    columns = _container(source, row, raw) | _look(gray)
    if "bytes" in columns:
        columns["bytes_per_pixel"] = columns["bytes"] / gray.size
    flat = low == high or bool(thumbnail.std() <= step)
    return digest, thumbnail, flat, columns


def _plain(raw: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the pixels in the form that all files of the same picture share.

    Gray that is stored as RGB becomes gray, and numbers take the smallest of uint8,
    int64 and float64 that holds them.
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
    """Return (H, W) float32: luma of RGB, the mean of other channels."""
    if pixels.ndim == 2:
        return pixels.astype(np.float32)
    if pixels.shape[2] == 3:
        return pixels.astype(np.float32) @ LUMA
    return pixels.mean(axis=2, dtype=np.float32)


def _container(source: ImageSource, row: int, raw: np.ndarray) -> dict[str, Any]:
    """Return what is known of an image's file, or of how it was handed over."""
    if isinstance(source, FileSource):
        path = Path(source.paths[row])
        try:
            with Image.open(path) as image:
                kind, mode = image.format, image.mode
        except UnidentifiedImageError:  # it was decoded, and not by pillow
            kind, mode = "DICOM", str(raw.dtype)
        n_bytes = path.stat().st_size
        return {
            "format": str(kind),
            "suffix": path.suffix.lower(),
            "mode": mode,
            "bytes": n_bytes,
        }
    image = source.images[row] if isinstance(source, SequenceSource) else None
    if isinstance(image, Image.Image):
        return {"format": str(image.format), "mode": image.mode}
    n_channels = 1 if raw.ndim == 2 else raw.shape[2]
    return {"format": "array", "mode": f"{raw.dtype} × {n_channels}"}


def _look(gray: np.ndarray) -> dict[str, Any]:
    """Return size, gray values and border of an image."""
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
