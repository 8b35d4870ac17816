"""Which device and which number format a training runs in."""

from contextlib import AbstractContextManager, nullcontext

import torch

__all__ = [
    "autocast",
    "choose_memory_format",
    "deterministic_kernels",
    "resolve_device",
    "resolve_precision",
]


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the torch device that ``device`` means on this machine.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes the current CUDA device if there is one, else the CPU.

    Raises
    ------
    ValueError
        If the device does not exist here.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is no torch device: {error}") from error
    if resolved.type != "cuda":
        return resolved
    if not torch.cuda.is_available():
        raise ValueError(
            f"device={str(device)!r} was asked for, but torch finds no CUDA device "
            "here: use device='auto' or 'cpu'."
        )
    index = torch.cuda.current_device() if resolved.index is None else resolved.index
    if index >= torch.cuda.device_count():
        raise ValueError(
            f"device={str(device)!r}: this machine has {torch.cuda.device_count()}."
        )
    return torch.device("cuda", index)


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return "bfloat16" or "float32".

    "auto" is bfloat16 (autocast) where the hardware multiplies it: on CUDA devices of
    compute capability 8 and above, and on CPUs with AMX or AVX512-BF16.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(False) else "float32"
    # torch has no public test for these two yet; where it loses them, float32 is safe.
    flags = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    fast = any(getattr(torch.cpu, flag, bool)() for flag in flags)
    return "bfloat16" if fast and device.type == "cpu" else "float32"


def choose_memory_format(
    image_size: tuple[int, int], device: torch.device
) -> torch.memory_format:
    """Return the layout to train in: channels last, but for tiny images on a CPU.

    torch's bfloat16 convolution of stride 2 on channels-last maps of a single pixel
    leaves part of the weight gradient unwritten on CPUs (seen with torch 2.15), and
    networks reduce images of less than 32 px to such maps.
    """
    if device.type == "cpu" and max(image_size) < 32:
        return torch.contiguous_format
    return torch.channels_last


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
