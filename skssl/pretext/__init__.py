"""Self-supervised objectives, one file each; adding a file here registers it."""

from skssl.pretext._base import (
    MethodCard,
    PretextModule,
    PretextTask,
    TrainingInfo,
)
from skssl.pretext._contrastive import ContrastiveModule, ContrastiveTask
from skssl.pretext._labelled import WhichViewTask, which_view, which_view_loss
from skssl.pretext._registry import get_pretext, import_methods, list_pretexts
from skssl.pretext._targeted import (
    TARGETED_TASKS,
    Dihedral,
    Quadrants,
    targeted_task,
)
from skssl.pretext.barlow_twins import BarlowTwins
from skssl.pretext.byol import BYOL
from skssl.pretext.context_restoration import ContextRestoration
from skssl.pretext.cross import Cross
from skssl.pretext.dino import DINO
from skssl.pretext.flip import Flip
from skssl.pretext.jigsaw import Jigsaw
from skssl.pretext.mae import MAE
from skssl.pretext.moco import MoCo
from skssl.pretext.nnclr import NNCLR
from skssl.pretext.pirl_jigsaw import PIRLJigsaw
from skssl.pretext.pirl_rotation import PIRLRotation
from skssl.pretext.rotation import Rotation
from skssl.pretext.simclr import SimCLR
from skssl.pretext.simsiam import SimSiam
from skssl.pretext.swav import SwAV
from skssl.pretext.vicreg import VICReg

import_methods(__name__, __path__)

__all__ = [
    "BYOL",
    "DINO",
    "MAE",
    "NNCLR",
    "TARGETED_TASKS",
    "BarlowTwins",
    "ContextRestoration",
    "ContrastiveModule",
    "ContrastiveTask",
    "Cross",
    "Dihedral",
    "Flip",
    "Jigsaw",
    "MethodCard",
    "MoCo",
    "PIRLJigsaw",
    "PIRLRotation",
    "PretextModule",
    "PretextTask",
    "Quadrants",
    "Rotation",
    "SimCLR",
    "SimSiam",
    "SwAV",
    "TrainingInfo",
    "VICReg",
    "WhichViewTask",
    "get_pretext",
    "list_pretexts",
    "targeted_task",
    "which_view",
    "which_view_loss",
]
