"""The parameter object, the named recipes and their errors."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from skssl._random import make_generator
from skssl.augment import RECIPES, Augmentation, get_recipe, resolve_augmentation
from skssl.augment import _settings as settings
from skssl.augment import augmentation as module

EVERYTHING = {
    "crop_scale": (0.3, 1.0),
    "crop_ratio": (0.75, 1.25),
    "p_horizontal_flip": 0.5,
    "p_vertical_flip": 0.5,
    "rotation_deg": 20.0,
    "brightness": 0.4,
    "contrast": 0.4,
    "saturation": 0.4,
    "hue": 0.1,
    "gamma": 0.5,
    "p_grayscale": 0.3,
    "p_blur": 0.7,
    "noise_std": 0.05,
}


def byte_images(n, channels, height, width):
    generator = make_generator(7)
    shape = (n, channels, height, width)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize(
    ("source", "size"),
    [((20, 20), (16, 16)), ((12, 30), (24, 10)), ((1, 64), (1, 64))],
)
def test_every_shape_gives_finite_views_in_range(channels, n, source, size):
    images = byte_images(n, channels, *source)
    views = Augmentation(**EVERYTHING)(images, make_generator(0), size=size)
    assert views.shape == (n, channels, *size)
    assert views.dtype == torch.float32
    assert views.isfinite().all()
    assert views.min() >= 0
    assert views.max() <= 1
    layout = torch.channels_last if channels > 1 else torch.contiguous_format
    assert views.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("name", sorted(RECIPES))
@pytest.mark.parametrize("channels", [1, 3])
def test_same_seed_same_bits_and_global_states_untouched(name, channels):
    images = byte_images(4, channels, 24, 24)
    augmentation = get_recipe(name)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (
        augmentation(images, make_generator(seed), size=(16, 16)) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (name == "identity")
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("channels", [1, 3])
def test_views_on_a_gpu_never_wait_for_it(channels):
    images = byte_images(4, channels, 24, 24).cuda()
    generator = make_generator(0, "cuda")
    augmentation = Augmentation(**EVERYTHING)
    augmentation(images, generator, size=(16, 16))  # loads the kernels
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        views = augmentation(images, generator, size=(16, 16))
    finally:
        torch.cuda.set_sync_debug_mode(mode)
    assert views.device == images.device
    assert views.isfinite().all()


@pytest.mark.parametrize("channels", [1, 3])
def test_identity_recipe_only_converts(channels):
    images = byte_images(3, channels, 10, 14)
    views = get_recipe("identity")(images, make_generator(0), size=(10, 14))
    assert torch.equal(views, images.float() / 255)
    assert get_recipe("identity").active() == set()


def test_input_is_not_changed():
    images = byte_images(3, 3, 12, 12).float() / 255
    original = images.clone()
    Augmentation(**EVERYTHING)(images, make_generator(0), size=(12, 12))
    assert torch.equal(images, original)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_color_is_not_computed_without_rgb(channels, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("a colour change was computed")

    for name in ("random_saturation", "random_hue", "random_grayscale"):
        monkeypatch.setattr(module, name, fail)
    augmentation = Augmentation(**EVERYTHING)
    generator = make_generator(0)
    augmentation(byte_images(2, channels, 8, 8), generator, size=(8, 8))
    with pytest.raises(AssertionError, match="colour"):
        augmentation(byte_images(2, 3, 8, 8), generator, size=(8, 8))


def test_jitter_is_all_or_none_per_image():
    # Brightness and saturation are visible apart: the first in the sum of a colour,
    # the second in the spread of its channels relative to it.
    color = torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1).expand(500, 3, 2, 2)
    augmentation = Augmentation(p_jitter=0.5, brightness=0.4, saturation=0.4)
    views = augmentation(color.contiguous(), make_generator(0), size=(2, 2))
    red, green, blue = views[:, :, 0, 0].unbind(1)
    brighter = (0.299 * red + 0.587 * green + 0.114 * blue - 0.4185).abs() > 1e-4
    purer = ((red - blue) / green - 0.5).abs() > 1e-4
    assert brighter.float().mean() == pytest.approx(0.5, abs=0.08)
    assert (brighter == purer).float().mean() > 0.98


def test_two_views_differ_and_images_differ_from_each_other():
    images = byte_images(1, 1, 24, 24).expand(6, 1, 24, 24)
    generator = make_generator(0)
    augmentation = get_recipe("medical_gray")
    views = torch.cat([augmentation(images, generator, size=(16, 16)) for _ in "ab"])
    distance = torch.cdist(views.flatten(1), views.flatten(1))
    assert (distance + torch.eye(12) > 0.1).all()


def test_is_a_scikit_learn_object():
    augmentation = get_recipe("moco_v2")
    copy = clone(augmentation).set_params(crop_scale=(0.5, 1.0))
    assert copy.get_params() == {**augmentation.get_params(), "crop_scale": (0.5, 1.0)}
    assert "crop_scale=(0.5, 1.0)" in repr(copy)
    assert augmentation.crop_scale == (0.2, 1.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crop_scale", (0.0, 1.0)),
        ("crop_scale", (0.9, 0.2)),
        ("crop_scale", 0.5),
        ("crop_scale", (0.5, 1.5)),
        ("crop_ratio", (-1.0, 1.0)),
        ("p_horizontal_flip", 1.1),
        ("p_vertical_flip", -0.1),
        ("rotation_deg", 181),
        ("p_jitter", "often"),
        ("brightness", -0.1),
        ("contrast", float("nan")),
        ("saturation", float("inf")),
        ("hue", 0.6),
        ("gamma", None),
        ("p_gamma", True),
        ("p_grayscale", 2),
        ("p_blur", -1),
        ("blur_sigma", (0.1, 0.01)),
        ("blur_sigma", (0.0, 2.0)),
        ("noise_std", -0.01),
        ("p_noise", 1.5),
        ("padding_mode", "wrap"),
    ],
)
def test_values_out_of_range_are_named_at_first_use(name, value):
    augmentation = Augmentation(**{name: value})
    with pytest.raises(ValueError, match=f"^{name} must be"):
        augmentation(torch.zeros(1, 1, 4, 4), make_generator(0), size=(4, 4))


def test_every_parameter_is_validated():
    validated = {*settings._NUMBERS, *settings._PAIRS, "padding_mode"}
    assert validated == set(Augmentation().get_params())


def test_active_names_what_can_change_an_image():
    everything = Augmentation(**EVERYTHING).active()
    assert everything == {
        "crop",
        "horizontal_flip",
        "vertical_flip",
        "rotation",
        "brightness",
        "contrast",
        "saturation",
        "hue",
        "gamma",
        "grayscale",
        "blur",
        "noise",
    }
    gray = Augmentation(**EVERYTHING).active(n_channels=1)
    assert everything - gray == {"saturation", "hue", "grayscale"}
    assert Augmentation(brightness=0.4, p_jitter=0.0).active() == set()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("simclr", {"crop_scale": (0.08, 1.0), "brightness": 0.8, "hue": 0.2}),
        ("moco_v1", {"p_jitter": 1.0, "hue": 0.4, "p_blur": 0.0}),
        ("moco_v2", {"p_jitter": 0.8, "hue": 0.1, "p_blur": 0.5}),
        ("self_trans", {"crop_scale": (0.2, 1.0), "contrast": 0.4, "hue": 0.1}),
        ("cross", {"brightness": 0.0, "p_blur": 0.5, "rotation_deg": 0.0}),
        ("contrastive_xray", {"rotation_deg": 15.0, "p_blur": 0.5}),
        ("medical_gray", {"saturation": 0.0, "hue": 0.0, "p_grayscale": 0.0}),
    ],
)
def test_recipes_hold_the_papers_values(name, expected):
    recipe = get_recipe(name)
    recipe.validate()
    params = recipe.get_params()
    assert {key: params[key] for key in expected} == expected
    assert params["blur_sigma"] == (0.1 / 224, 2 / 224)


def test_changes_do_not_reach_the_recipe_itself():
    assert get_recipe("simclr", p_blur=0.0).p_blur == 0.0
    assert get_recipe("simclr").p_blur == 0.5


def test_unknown_names_propose_the_nearest():
    with pytest.raises(ValueError, match=r"'moco_v3'.*Did you mean 'moco_v[12]'"):
        get_recipe("moco_v3")
    with pytest.raises(ValueError, match="Known: contrastive_xray, cross"):
        get_recipe("zzz")
    with pytest.raises(ValueError, match=r"'crop_scal'.*Did you mean 'crop_scale'"):
        get_recipe("simclr", crop_scal=(0.5, 1.0))


def test_resolve_follows_the_channel_count():
    gray = resolve_augmentation("auto", n_channels=1, default="simclr")
    rgb = resolve_augmentation("auto", n_channels=3, default="simclr")
    assert gray.get_params() == get_recipe("medical_gray").get_params()
    assert rgb.get_params() == get_recipe("simclr").get_params()
    assert resolve_augmentation("cross", n_channels=1).brightness == 0.0
    given = Augmentation(hue=0.1)
    assert resolve_augmentation(given, n_channels=3) is given
    with pytest.raises(TypeError, match="augmentation must be"):
        resolve_augmentation(None, n_channels=3)
    with pytest.raises(ValueError, match="hue must be"):
        resolve_augmentation(Augmentation(hue=3), n_channels=3)


@pytest.mark.parametrize("name", sorted(Augmentation(**EVERYTHING).active()))
def test_without_switches_one_off_and_leaves_the_rest(name):
    everything = Augmentation(**EVERYTHING)
    calmer = everything.without(name)
    assert everything.active() - calmer.active() == {name}


def test_without_an_unknown_name_proposes_the_nearest():
    with pytest.raises(ValueError, match="horizontal_flip"):
        Augmentation().without("horizontal_flop")
