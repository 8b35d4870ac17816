"""The systems of four papers as unfitted estimators with the published settings."""

from skssl.recipes._budget import BUDGETS, Budget, get_budget
from skssl.recipes._ewen2020 import targeted_flip
from skssl.recipes._gazda2021 import contrastive_extractor, contrastive_pretrainer
from skssl.recipes._he2020 import self_trans, self_trans_pretrainer
from skssl.recipes._li2021 import cross_transfer

__all__ = [
    "BUDGETS",
    "Budget",
    "contrastive_extractor",
    "contrastive_pretrainer",
    "cross_transfer",
    "get_budget",
    "self_trans",
    "self_trans_pretrainer",
    "targeted_flip",
]
