"""Views per second of skssl's batched recipes, of torchvision and of kornia.

Run ``python benchmarks/bench_augment.py --channels 1``. The contenders alternate batch
by batch in one process, so that a busy machine slows all of them equally. Each applies
the same augmentations to the same stored images. They are not identical: torchvision
and kornia clamp, round and order some steps differently.
"""

import argparse
import importlib.util
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _results import save
from torchvision.transforms import v2

from skssl._random import isolated_rng, make_generator
from skssl.augment import Augmentation, get_recipe

Contender = Callable[[], object]


def blur_arguments(recipe: Augmentation, size: int) -> dict[str, Any]:
    """Return kernel size and sigma range in pixels, for torchvision and kornia."""
    low, high = (fraction * size for fraction in recipe.blur_sigma)
    return {"kernel_size": 2 * math.ceil(4 * high) + 1, "sigma": (low, high)}


def uniform(low: float, high: float) -> float:
    """Draw from the global generator, which the transforms of torchvision use."""
    return torch.empty(()).uniform_(low, high).item()


def torchvision_steps(recipe: Augmentation, size: int, channels: int) -> list[Any]:
    """Return the recipe as transforms of torchvision, before conversion to tensors."""
    jitter = {"brightness": recipe.brightness, "contrast": recipe.contrast}
    if channels == 3:
        jitter |= {"saturation": recipe.saturation, "hue": recipe.hue}
    power = 1 + recipe.gamma
    gamma = v2.Lambda(
        lambda image: v2.functional.adjust_gamma(
            image, math.exp(uniform(-math.log(power), math.log(power)))
        )
    )
    blur = v2.GaussianBlur(**blur_arguments(recipe, size))
    steps = {
        "rotation": v2.RandomRotation(
            recipe.rotation_deg, interpolation=v2.InterpolationMode.BILINEAR
        ),
        "crop": v2.RandomResizedCrop(
            size, scale=recipe.crop_scale, ratio=recipe.crop_ratio
        ),
        "horizontal_flip": v2.RandomHorizontalFlip(recipe.p_horizontal_flip),
        "vertical_flip": v2.RandomVerticalFlip(recipe.p_vertical_flip),
        "brightness": v2.RandomApply([v2.ColorJitter(**jitter)], recipe.p_jitter),
        "gamma": v2.RandomApply([gamma], recipe.p_gamma),
        "grayscale": v2.RandomGrayscale(recipe.p_grayscale),
        "blur": v2.RandomApply([blur], recipe.p_blur),
    }
    active = recipe.active(channels) | {"crop"}  # crop also resizes
    return [step for name, step in steps.items() if name in active]


def torchvision_noise(recipe: Augmentation) -> v2.RandomApply:
    """Return the noise step, which torchvision supports for float tensors only."""
    noise = v2.Lambda(
        lambda image: v2.functional.gaussian_noise(
            image, sigma=uniform(0, recipe.noise_std)
        )
    )
    return v2.RandomApply([noise], recipe.p_noise)


def kornia_batch(recipe: Augmentation, size: int, channels: int) -> torch.nn.Module:
    """Return the recipe as batched transforms of kornia, with parameters per image."""
    from kornia import augmentation as kornia

    def factors(strength: float) -> tuple[float, float]:
        return max(0.0, 1 - strength), 1 + strength

    jitter = [
        kornia.RandomBrightness(factors(recipe.brightness), p=recipe.p_jitter),
        kornia.RandomContrast(factors(recipe.contrast), p=recipe.p_jitter),
    ]
    if channels == 3:
        strengths = recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue
        jitter = [kornia.ColorJitter(*strengths, p=recipe.p_jitter)]
    powers = (1 / (1 + recipe.gamma), 1 + recipe.gamma)
    steps = {
        "rotation": [kornia.RandomRotation(recipe.rotation_deg, p=1.0)],
        "crop": [
            kornia.RandomResizedCrop(
                (size, size), scale=recipe.crop_scale, ratio=recipe.crop_ratio
            )
        ],
        "horizontal_flip": [kornia.RandomHorizontalFlip(p=recipe.p_horizontal_flip)],
        "vertical_flip": [kornia.RandomVerticalFlip(p=recipe.p_vertical_flip)],
        "brightness": jitter,
        "gamma": [kornia.RandomGamma(powers, p=recipe.p_gamma)],
        "grayscale": [kornia.RandomGrayscale(p=recipe.p_grayscale)],
        "blur": [
            kornia.RandomGaussianBlur(**blur_arguments(recipe, size), p=recipe.p_blur)
        ],
        "noise": [kornia.RandomGaussianNoise(std=recipe.noise_std, p=recipe.p_noise)],
    }
    active = recipe.active(channels) | {"crop"}  # crop also resizes
    return torch.nn.Sequential(
        *(step for name, group in steps.items() if name in active for step in group)
    )


def contenders(recipe: Augmentation, args: argparse.Namespace) -> dict[str, Contender]:
    """Return functions that make views of the same stored batch, by name."""
    generator = make_generator(args.seed)
    shape = (args.batch, args.channels, args.store_size, args.store_size)
    stored = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    on_device = stored.to(args.device)
    views_generator = make_generator(args.seed, args.device)
    steps = torchvision_steps(recipe, args.size, args.channels)
    noise = [torchvision_noise(recipe)] if "noise" in recipe.active() else []
    to_float = v2.ToDtype(torch.float32, scale=True)
    on_pil = v2.Compose([*steps, v2.ToImage(), to_float, *noise])
    on_tensor = v2.Compose([to_float, *steps, *noise])
    pil_images = [v2.functional.to_pil_image(image) for image in stored]
    functions: dict[str, Contender] = {
        "skssl": lambda: recipe(
            on_device, views_generator, size=(args.size, args.size)
        ),
        "torchvision, PIL": lambda: torch.stack([on_pil(im) for im in pil_images]),
        "torchvision, tensors": lambda: torch.stack([on_tensor(im) for im in stored]),
    }
    if importlib.util.find_spec("kornia"):
        batched = kornia_batch(recipe, args.size, args.channels)
        functions["kornia"] = lambda: batched(on_device.float() / 255)
    return functions


def measure(
    functions: dict[str, Contender], args: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Return views per second, median and best, and the speed-up of skssl."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(args.rounds + 1):
        for name, make_views in functions.items():
            start = time.perf_counter()
            make_views()
            if args.device.startswith("cuda"):
                torch.cuda.synchronize()
            if round_ > 0:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return {
        name: {
            "views_per_s": args.batch / medians[name],
            "best_views_per_s": args.batch / min(times),
            "skssl_is_times_faster": medians[name] / medians["skssl"],
        }
        for name, times in seconds.items()
    }


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=112, help="side of a view, pixels")
    parser.add_argument("--store-size", type=int, help="default: 8/7 of --size")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--channels", type=int, default=1, choices=(1, 3))
    parser.add_argument("--recipe", help="default: medical_gray, for RGB moco_v2")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    args = parser.parse_args()
    args.store_size = args.store_size or round(args.size * 8 / 7)
    args.recipe = args.recipe or ("medical_gray" if args.channels == 1 else "moco_v2")
    return args


def main() -> None:
    """Measure, print and save the speeds."""
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    with isolated_rng(args.seed, args.device):
        results = measure(contenders(get_recipe(args.recipe), args), args)
    print(
        f"{args.recipe}, {args.channels} channel(s), {args.store_size} to {args.size} "
        f"px, batch {args.batch}, {args.threads} thread(s), {args.device}"
    )
    for name, result in results.items():
        print(
            f"{name:22}{result['views_per_s']:9.0f} views/s (median), "
            f"{result['best_views_per_s']:.0f} (best), skssl is "
            f"{result['skssl_is_times_faster']:.1f} times as fast"
        )
    if "kornia" not in results:
        print(f"{'kornia':22}not installed")
    settings = {key: value for key, value in vars(args).items() if key != "json"}
    save(args.json, {"settings": settings, "results": results})


if __name__ == "__main__":
    main()
