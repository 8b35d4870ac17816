"""Scans of patients, and a pretrainer that was fitted to others."""

import pytest

from skssl import SelfSupervisedPretrainer
from skssl.datasets import make_scan_phantoms
from skssl.testing import tiny_cnn


@pytest.fixture(scope="session")
def scans():
    """20 patients with 2 images each, of two classes."""
    return make_scan_phantoms(20, images_per_patient=2, image_size=32, random_state=0)


@pytest.fixture(scope="session")
def fitted_ssl():
    """A contrastive pretrainer after one epoch on images of other patients."""
    others = make_scan_phantoms(8, images_per_patient=2, image_size=32, random_state=1)
    ssl = SelfSupervisedPretrainer(backbone=tiny_cnn, max_epochs=1, random_state=0)
    return ssl.fit(others.data)


@pytest.fixture(
    params=[
        "vgg16",
        "resnet18",
        "resnet50",
        "densenet121",
        "densenet169",
        "efficientnet_b0",
        "efficientnet_b1",
        "crnet",
    ]
)
def he2020_backbone(request):
    """Each network of He, Yang et al. 2020."""
    return request.param
