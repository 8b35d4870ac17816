"""What a fitted classifier says of new images."""

from typing import Any

import numpy as np
import torch
from scipy.special import log_softmax, logsumexp
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from skssl._base import PhasedTrainingMixin


class PredictionsMixin(ClassifierMixin, PhasedTrainingMixin):
    """Classify images by the mean probability of ``networks_``."""

    classes_: np.ndarray

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : paths, arrays, images or rows, n of them

        Returns
        -------
        ndarray of shape (n, n_classes), float32
            In the order of ``classes_``; rows sum to 1.
        """
        return np.exp(self._log_proba(X)).astype(np.float32)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the logarithm of the odds of two classes, or of each probability.

        Parameters
        ----------
        X : paths, arrays, images or rows, n of them

        Returns
        -------
        ndarray of shape (n,) for two classes, else (n, n_classes), float64
            For two, above 0 where ``classes_[1]`` is the more likely.
        """
        log_p = self._log_proba(X)
        return log_p[:, 1] - log_p[:, 0] if log_p.shape[1] == 2 else log_p

    def predict(self, X: Any) -> np.ndarray:
        """Return the most likely class of each image.

        Parameters
        ----------
        X : paths, arrays, images or rows, n of them

        Returns
        -------
        ndarray of shape (n,)
        """
        likeliest = self._log_proba(X).argmax(axis=1)
        return self.classes_[likeliest]

    def _log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of the mean probability, (n, n_classes) float64."""
        check_is_fitted(self)

        def all_logits(images: torch.Tensor) -> torch.Tensor:
            logits = [network(images) for network in self.networks_]
            return torch.cat(logits, dim=1)  # (b, n_networks * n_classes)

        source = self._image_source(X, reset=False)
        shape = (len(source), len(self.networks_), len(self.classes_))
        logits = self._apply(source, all_logits, shape[1] * shape[2])
        # In float64, so that no probability depends on the image's place in the batch.
        log_p = log_softmax(logits.reshape(shape).astype(np.float64), axis=2)
        return logsumexp(log_p, axis=1) - np.log(shape[1])
