"""Vision transformers: torchvision's at their own size, and any other size."""

from copy import deepcopy

import pytest
import torch
from torch.nn import functional
from torchvision import models
from torchvision.models.vision_transformer import interpolate_embeddings

from skssl._random import isolated_rng, make_generator
from skssl.nn.families import family_of
from skssl.nn.vit import VisionTransformer

TINY = {
    "image_size": 24,
    "patch_size": 6,
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 24,
    "mlp_dim": 48,
    "num_classes": 5,
}


def make(cls=VisionTransformer, **changes):
    """Make a tiny network whose head, zero at first in torchvision, gives something."""
    with isolated_rng(0):
        network = cls(**{**TINY, **changes})
        torch.nn.init.normal_(network.heads.head.weight)
        return network.eval()


def remove_head(network):
    return family_of(network).remove_head(network)


def draw(*shape):
    return torch.randn(*shape, generator=make_generator(1))


def test_same_weights_and_features_as_torchvision_at_the_native_size():
    ours, theirs = make(), make(models.VisionTransformer)
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value)  # drawn alike
    images = draw(3, 3, 24, 24)
    assert torch.equal(ours(images), theirs(images))
    assert ours(images).std(0).min() > 0.1
    remove_head(ours)
    remove_head(theirs)
    assert ours(images).shape == (3, 24)
    assert torch.equal(ours(images), theirs(images))


@pytest.mark.parametrize("pool", ["token", "mean"])
@pytest.mark.parametrize("size", [(20, 20), (12, 18), (5, 7), (48, 31)])
def test_images_of_any_size_pass_and_train_all_weights(pool, size):
    network = make(pool=pool)
    logits = network(draw(3, 3, *size))
    assert logits.shape == (3, 5)
    logits.square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad.abs().sum() > 0, name


@pytest.mark.parametrize("n_new", [1, 3, 7])
def test_positions_are_resized_as_torchvision_does(n_new):
    network = make()
    state = {"encoder.pos_embedding": network.encoder.pos_embedding.detach()}
    interpolate_embeddings(6 * n_new, 6, state)
    images = draw(2, 3, 6 * n_new, 6 * n_new)
    no_positions = deepcopy(network)
    torch.nn.init.zeros_(no_positions.encoder.pos_embedding)
    positions = network.embed(images) - no_positions.embed(images)
    expected = state["encoder.pos_embedding"].expand(2, -1, -1)
    torch.testing.assert_close(positions, expected, rtol=1e-4, atol=1e-6)


def test_positions_of_rectangles_are_resized_per_side():
    network = make(image_size=(12, 30))
    images = torch.zeros(1, 3, 42, 18)
    embedding = network.encoder.pos_embedding.detach()
    assert embedding.shape == (1, 1 + 2 * 5, 24)
    assert embedding[:, 1:].std() == pytest.approx(0.02, rel=0.2)
    grid = embedding[0, 1:].T.reshape(1, 24, 2, 5)
    expected = functional.interpolate(
        grid, size=(7, 3), mode="bicubic", align_corners=True
    )
    tokens = network.embed(images)[0, 1:] - network.conv_proj.bias
    torch.testing.assert_close(tokens, expected[0].flatten(1).T, rtol=1e-4, atol=1e-6)
    native = network.embed(torch.zeros(1, 3, 12, 30))[0, 1:] - network.conv_proj.bias
    torch.testing.assert_close(native, embedding[0, 1:])


def test_images_are_enlarged_to_whole_patches():
    network, images = make(), draw(2, 3, 20, 23)
    enlarged = functional.interpolate(
        images, size=(24, 24), mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(network(images), network(enlarged))
    assert network.grid_of(20, 25) == (4, 5)


def test_the_mean_leaves_the_class_token_out():
    network, images = make(pool="mean"), draw(2, 3, 24, 24)
    seen = []  # what hooks on the encoder get: all tokens, normalised
    network.encoder.register_forward_hook(lambda module, args, out: seen.append(out))
    logits = network(images)
    mean = sum(seen[0][:, 1 + i] for i in range(16)) / 16
    torch.testing.assert_close(logits, network.heads(mean))
    token = make(pool="token")(images)
    torch.testing.assert_close(token, network.heads(seen[0][:, 0]))


def test_encode_takes_some_tokens_in_any_order():
    network = make()
    tokens = network.embed(draw(2, 3, 24, 24))
    some = [0, 5, 3, 16]
    torch.testing.assert_close(
        network.encode(tokens[:, some]),
        network.encode(tokens[:, sorted(some)])[:, [0, 2, 1, 3]],
    )
    assert tokens.shape == (2, 17, 24)


def test_an_unknown_pool_is_named():
    with pytest.raises(ValueError, match="pool must be 'token' or 'mean', got 'max'"):
        make(pool="max")


def test_autocast_agrees():
    network, images = make(), draw(2, 3, 36, 36)
    with torch.inference_mode():
        expected = network(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = network(images)
    torch.testing.assert_close(low.float(), expected, rtol=0.1, atol=0.15)
