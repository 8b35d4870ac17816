"""Self-supervised objectives, one file each; adding a file here registers it."""

import importlib
import pkgutil

from skssl.pretext._base import (
    MethodCard,
    PretextModule,
    PretextTask,
    get_pretext,
    list_pretexts,
)

for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")

from skssl.pretext.moco import MoCo  # noqa: E402
from skssl.pretext.simclr import SimCLR  # noqa: E402

__all__ = [
    "MethodCard",
    "MoCo",
    "PretextModule",
    "PretextTask",
    "SimCLR",
    "get_pretext",
    "list_pretexts",
]
