"""What every benchmark notes beside its figures: versions, device, date."""

import json
import platform
import resource
from datetime import UTC, datetime
from pathlib import Path

import sklearn
import torch
import torchvision

import skssl


def environment(device: str = "auto") -> dict[str, str | int]:
    """Return versions, the device's name and the date."""
    cuda = torch.cuda.is_available() and device != "cpu"
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name() if cuda else _cpu_name(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "skssl": skssl.__version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "scikit-learn": sklearn.__version__,
    }


def peak_ram_gb() -> float:
    """Return the peak resident memory of this process so far, 10⁹ bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def save(path: Path | None, results: dict) -> None:
    """Write results with the environment as JSON, if a path is given."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"environment": environment(), **results}, indent=2)
    write_whole(path, text + "\n")
    print(f"written to {path}")


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a kill leaves the old one or the new one."""
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()
