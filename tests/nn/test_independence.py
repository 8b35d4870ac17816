"""The output of an image has the same bits whatever images it comes with."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from skssl.nn import Classifier, ClassifierHead, build_backbone
from skssl.nn.independence import apply_independently
from skssl.testing import tiny_cnn, tiny_vit

# In a process of its own: MKL reads the variable once. With "AVX2" its products of 16
# rows differ from row to row on every Intel CPU, as they do with AMX by default.
REPEATED = """
import torch
from torch import nn
from skssl.nn import Classifier, ClassifierHead, build_backbone
from skssl.nn.independence import apply_independently
from skssl.testing import tiny_cnn, tiny_vit

n_wrong = 0
for seed in range(60):  # thirty for each number of threads
    torch.manual_seed(seed)
    torch.set_num_threads(1 + seed % 2)
    backbones = [
        build_backbone(network, in_channels=1, image_size=(24, 24))
        for network in (tiny_cnn, tiny_vit, "crnet")
    ]
    heads = [ClassifierHead(b.n_features, 16, kind="mlp") for b in backbones]
    networks = [Classifier(*parts).eval() for parts in zip(backbones, heads)]
    images = torch.rand(16, 1, 24, 24)
    cases = [(network, images) for network in networks]
    cases += [(nn.Linear(d, 16), torch.randn(16, d)) for d in (24, 500, 512)]
    for network, inputs in cases:
        order = torch.randperm(16)
        with torch.inference_mode():
            first = apply_independently(network, inputs)
            second = apply_independently(network, inputs[order])
        n_wrong += not torch.equal(first[order], second)
print("wrong:", n_wrong)
"""


@pytest.mark.parametrize("instructions", ["", "AVX2"])
def test_bits_do_not_depend_on_the_place_in_thirty_repeats(instructions):
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    if instructions:
        environment["MKL_ENABLE_INSTRUCTIONS"] = instructions
    done = subprocess.run(
        [sys.executable, "-c", REPEATED],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "wrong: 0", done.stderr


@pytest.mark.parametrize("make", [tiny_cnn, tiny_vit])
def test_the_output_is_that_of_the_network(make):
    torch.manual_seed(0)
    backbone = build_backbone(make, in_channels=1, image_size=(24, 24))
    classifier = Classifier(backbone, ClassifierHead(backbone.n_features, 3)).eval()
    images = torch.rand(5, 1, 24, 24)
    with torch.inference_mode():
        torch.testing.assert_close(
            apply_independently(classifier, images), classifier(images)
        )
        torch.testing.assert_close(
            apply_independently(classifier, images, classifier.penultimate),
            classifier.penultimate(images),
        )


def test_linear_layers_may_be_called_in_other_ways():
    class Called(nn.Linear):
        def forward(self, x):
            batch = nn.functional.linear(x, self.weight, bias=self.bias)
            row = nn.functional.linear(x[0], self.weight)
            return batch + row + nn.functional.linear(input=x, weight=self.weight)

    network, x = Called(3, 2), torch.rand(4, 3)
    torch.testing.assert_close(apply_independently(network, x), network(x))


def test_a_network_that_owns_other_weights_gets_one_image_at_a_time():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4))
            self.batches = []

        def forward(self, x):
            self.batches.append(len(x))
            return x * self.scale

    network = Scaled()
    apply_independently(network, torch.rand(3, 4))
    assert network.batches == [1, 1, 1]
