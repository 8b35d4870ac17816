"""Networks: backbones, heads, momentum copies, queues, losses and schedules."""

from typing import TYPE_CHECKING, Any

from skssl.nn._networks import in_eval_mode
from skssl.nn.backbones import Backbone
from skssl.nn.bank import MemoryBank
from skssl.nn.blocks import blocks
from skssl.nn.build import build_backbone
from skssl.nn.classifier import Classifier, ClassifierHead
from skssl.nn.crnet import CRNet
from skssl.nn.ema import EMACopy, rising_momentum
from skssl.nn.heads import mlp
from skssl.nn.losses import info_nce, mean_cosine, nt_xent
from skssl.nn.queue import FeatureQueue
from skssl.nn.schedules import constant, cosine, cosine_restarts, get_schedule
from skssl.nn.weights import WeightsFile

if TYPE_CHECKING:
    from skssl.nn.vit import VisionTransformer

__all__ = [
    "Backbone",
    "CRNet",
    "Classifier",
    "ClassifierHead",
    "EMACopy",
    "FeatureQueue",
    "MemoryBank",
    "VisionTransformer",
    "WeightsFile",
    "blocks",
    "build_backbone",
    "constant",
    "cosine",
    "cosine_restarts",
    "get_schedule",
    "in_eval_mode",
    "info_nce",
    "mean_cosine",
    "mlp",
    "nt_xent",
    "rising_momentum",
]


def __getattr__(name: str) -> Any:
    """Import the vision transformer where it is used: torchvision is slow to import."""
    if name == "VisionTransformer":
        from skssl.nn.vit import VisionTransformer

        return VisionTransformer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
