"""Networks and their parts: backbones, heads, momentum copies, queues, losses."""

from skssl.nn.backbones import Backbone, build_backbone
from skssl.nn.crnet import CRNet
from skssl.nn.ema import EMACopy
from skssl.nn.heads import mlp
from skssl.nn.losses import info_nce, nt_xent
from skssl.nn.queue import FeatureQueue
from skssl.nn.schedules import constant, cosine, get_schedule

__all__ = [
    "Backbone",
    "CRNet",
    "EMACopy",
    "FeatureQueue",
    "build_backbone",
    "constant",
    "cosine",
    "get_schedule",
    "info_nce",
    "mlp",
    "nt_xent",
]
