"""What methods with labels from transformations share."""

import numpy as np
import pytest
import torch

from skssl.pretext._labelled import which_view_loss


def test_loss_equals_the_formula():
    logits = np.random.default_rng(0).normal(size=(6, 3))  # three views of two images
    losses = []
    for view in range(3):
        for image in range(2):
            row = logits[2 * view + image]
            losses.append(-np.log(np.exp(row[view]) / np.exp(row).sum()))
    loss = which_view_loss(torch.tensor(logits), 3)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-6)
