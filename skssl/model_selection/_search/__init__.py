"""Hyperparameter search with optuna, on folds that are drawn once."""

from skssl.model_selection._search.optuna_search import OptunaSearchCV

__all__ = ["OptunaSearchCV"]
