"""The device and the number format of a training."""

from contextlib import AbstractContextManager, nullcontext

import torch

from skssl.nn import Backbone
from skssl.nn.cost import depthwise_fraction

__all__ = [
    "autocast",
    "deterministic_kernels",
    "resolve_device",
    "resolve_precision",
]

_SMALLEST_CPU_BFLOAT16 = 32  # px; see resolve_precision
# Above this, bfloat16 is slower on CPUs; benchmarks/bench_precision.py measures it.
_MOST_DEPTHWISE = 0.25


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the torch device that ``device`` stands for on this machine.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes the current CUDA device if there is one, else the CPU.

    Raises
    ------
    ValueError
        If the device does not exist here, or is neither a CPU nor a CUDA device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is not a torch device: {error}") from error
    if resolved.type == "cpu":
        return resolved
    if resolved.type != "cuda":
        raise ValueError(f"device={str(device)!r}: only 'cpu' and 'cuda' can be used.")
    if not torch.cuda.is_available():
        raise ValueError(
            f"device={str(device)!r} was requested, but torch finds no CUDA device "
            "here: use device='auto' or 'cpu'."
        )
    index = torch.cuda.current_device() if resolved.index is None else resolved.index
    if index >= torch.cuda.device_count():
        raise ValueError(
            f"device={str(device)!r}: this machine has {torch.cuda.device_count()}."
        )
    return torch.device("cuda", index)


def resolve_precision(
    precision: str,
    device: torch.device,
    image_size: tuple[int, int],
    backbone: Backbone | None = None,
) -> str:
    """Return "bfloat16" or "float32".

    "auto" is bfloat16 (autocast) where the hardware multiplies it: on CUDA devices of
    compute capability 8 and above, and, for images of at least 32 px in height and
    width, on CPUs with AMX or AVX512-BF16. On such CPUs, networks with many
    depthwise convolutions, such as EfficientNets and MobileNets, are faster in float32
    and get it.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
    device : torch.device
    image_size : (height, width)
        Of the network's input, pixels.
    backbone : Backbone, optional
        The network; by default one without depthwise convolutions.

    Raises
    ------
    ValueError
        If bfloat16 is requested on a CPU for smaller images. torch's CPU kernels leave
        part of the weight gradient unwritten where a convolution of stride 2 gets maps
        one pixel wide (observed with torch 2.15). torchvision's networks have such maps
        for images of up to 16 px; 32 leaves a margin for others.
    """
    tiny = device.type == "cpu" and min(image_size) < _SMALLEST_CPU_BFLOAT16
    if precision == "bfloat16" and tiny:
        raise ValueError(
            "precision='bfloat16' can give wrong gradients on CPUs for images below "
            f"{_SMALLEST_CPU_BFLOAT16} px, here image_size={tuple(image_size)}: use "
            "'auto' or 'float32'."
        )
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(False) else "float32"
    # torch has no public test for these two yet; without them, float32 is safe.
    flags = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    fast = any(getattr(torch.cpu, flag, bool)() for flag in flags)
    if tiny or not fast:
        return "float32"
    if backbone is None:
        return "bfloat16"
    is_depthwise = depthwise_fraction(backbone, image_size) > _MOST_DEPTHWISE
    return "float32" if is_depthwise else "bfloat16"


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Return the autocast context for a resolved precision."""
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"
    )


def deterministic_kernels(device: torch.device) -> AbstractContextManager:
    """Return a context in which cuDNN takes only deterministic kernels.

    CPU kernels are deterministic for a fixed number of threads.
    """
    if device.type != "cuda":
        return nullcontext()
    cudnn = torch.backends.cudnn
    return cudnn.flags(
        enabled=cudnn.enabled,
        benchmark=False,
        deterministic=True,
        allow_tf32=cudnn.allow_tf32,
    )
