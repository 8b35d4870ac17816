"""Named settings of `Augmentation`, from the papers that used them."""

from typing import Any

from skssl._names import unknown_name
from skssl.augment.augmentation import Augmentation

__all__ = ["RECIPES", "get_recipe", "resolve_augmentation"]

_RATIO = (3 / 4, 4 / 3)

#: Parameters of `Augmentation` by recipe; the others keep their defaults, off.
#: **choice** marks what a paper leaves open.
RECIPES: dict[str, dict[str, Any]] = {
    "identity": {},
    # Chen et al. 2020, appendix A, colour strength 1.
    "simclr": {
        "crop_scale": (0.08, 1.0),
        "crop_ratio": _RATIO,
        "p_horizontal_flip": 0.5,
        "p_jitter": 0.8,
        "brightness": 0.8,
        "contrast": 0.8,
        "saturation": 0.8,
        "hue": 0.2,
        "p_grayscale": 0.2,
        "p_blur": 0.5,
    },
    # He et al. 2020 (MoCo), section 4.1; numbers as in the authors' published code.
    "moco_v1": {
        "crop_scale": (0.2, 1.0),
        "crop_ratio": _RATIO,
        "p_horizontal_flip": 0.5,
        "brightness": 0.4,
        "contrast": 0.4,
        "saturation": 0.4,
        "hue": 0.4,
        "p_grayscale": 0.2,
    },
    # Chen et al. 2020 (MoCo v2): v1 with blur and weaker, rarer jitter.
    "moco_v2": {
        "crop_scale": (0.2, 1.0),
        "crop_ratio": _RATIO,
        "p_horizontal_flip": 0.5,
        "p_jitter": 0.8,
        "brightness": 0.4,
        "contrast": 0.4,
        "saturation": 0.4,
        "hue": 0.1,
        "p_grayscale": 0.2,
        "p_blur": 0.5,
    },
    # He, Yang et al. 2020 (Self-Trans). Aspect ratio, all probabilities and the
    # width of the blur are MoCo v2's: choice.
    "self_trans": {
        "crop_scale": (0.2, 1.0),
        "crop_ratio": _RATIO,
        "p_horizontal_flip": 0.5,
        "p_jitter": 0.8,
        "brightness": 0.4,
        "contrast": 0.4,
        "saturation": 0.4,
        "hue": 0.1,
        "p_grayscale": 0.2,
        "p_blur": 0.5,
    },
    # He, Yang et al. 2020, for training with labels; the aspect ratio is MoCo v2's:
    # choice.
    "self_trans_finetune": {
        "crop_scale": (0.5, 1.0),
        "crop_ratio": _RATIO,
        "p_horizontal_flip": 0.5,
        "brightness": 0.2,
        "contrast": 0.2,
    },
    # Li et al. 2021 names crop, resize, flip and blur of gray images, no numbers:
    # MoCo v2's are the choice.
    "cross": {
        "crop_scale": (0.2, 1.0),
        "crop_ratio": _RATIO,
        "p_horizontal_flip": 0.5,
        "p_blur": 0.5,
    },
    # Gazda et al. 2021 names crop, flip, rotation, blur and jitter, no numbers: the
    # jitter is SimCLR's at half strength, the rest moderate: choice.
    "contrastive_xray": {
        "crop_scale": (0.2, 1.0),
        "crop_ratio": _RATIO,
        "p_horizontal_flip": 0.5,
        "rotation_deg": 15.0,
        "p_jitter": 0.8,
        "brightness": 0.4,
        "contrast": 0.4,
        "saturation": 0.4,
        "hue": 0.1,
        "p_blur": 0.5,
    },
    # skssl's own: no colour, larger crops, the variation of scanners.
    "medical_gray": {
        "crop_scale": (0.3, 1.0),
        "crop_ratio": _RATIO,
        "p_horizontal_flip": 0.5,
        "rotation_deg": 10.0,
        "p_jitter": 0.8,
        "brightness": 0.4,
        "contrast": 0.4,
        "p_gamma": 0.5,
        "gamma": 0.5,
        "p_blur": 0.5,
        "p_noise": 0.5,
        "noise_std": 0.03,
    },
}


def get_recipe(name: str, **changes: Any) -> Augmentation:
    """Return a named augmentation, with some of its parameters changed.

    Parameters
    ----------
    name : str
        A key of ``RECIPES``: identity, simclr, moco_v1, moco_v2, self_trans,
        self_trans_finetune, cross, contrastive_xray or medical_gray.
    **changes
        Parameters of `Augmentation`.

    Returns
    -------
    Augmentation
        A new object at each call.

    Raises
    ------
    ValueError
        If the recipe or a parameter is unknown; the nearest name is proposed.

    Notes
    -----
    In SimCLR and MoCo v2 the width of the blur is 0.1 to 2 px at 224 px, as in all
    recipes with a blur here. SimCLR's authors cut the kernel at a tenth of the image's
    side, skssl at four standard deviations, which has the same effect.

    For "self_trans", the paper gives the crop's scale and the strengths of the
    jitter; probabilities, aspect ratio and blur are MoCo v2's (**choice**), as is the
    aspect ratio of "self_trans_finetune". For "cross" and "contrastive_xray" the papers
    give no numbers: all are MoCo v2's, except SimCLR's jitter at half strength and 15
    degrees (**choice**).
    "medical_gray" is skssl's default for one channel.

    References
    ----------
    simclr: https://doi.org/10.48550/arXiv.2002.05709.
    moco_v1: https://doi.org/10.1109/CVPR42600.2020.00975.
    moco_v2: https://doi.org/10.48550/arXiv.2003.04297.
    self_trans: https://doi.org/10.1101/2020.04.13.20063941.
    contrastive_xray: https://doi.org/10.48550/arXiv.2103.03055.
    cross: Li, Togo, Ogawa and Haseyama, "Self-Supervised Transfer Learning for
    COVID-19 Detection from Chest X-Ray Images", 2021.

    Examples
    --------
    >>> from skssl.augment import get_recipe
    >>> get_recipe("cross", p_blur=0.0)
    Augmentation(crop_ratio=(0.75, 1.333...), crop_scale=(0.2, 1.0),
                 p_horizontal_flip=0.5)
    """
    if name not in RECIPES:
        raise unknown_name("augmentation", name, RECIPES)
    known = Augmentation().get_params()
    for parameter in changes:
        if parameter not in known:
            raise unknown_name("parameter of Augmentation", parameter, known)
    return Augmentation(**{**RECIPES[name], **changes})


def resolve_augmentation(
    augmentation: str | Augmentation, n_channels: int, *, default: str = "moco_v2"
) -> Augmentation:
    """Return the augmentation that a value of ``augmentation=`` stands for.

    Parameters
    ----------
    augmentation : str or Augmentation
        A recipe's name, an `Augmentation`, or "auto": the recipe "medical_gray" for
        one channel, ``default`` otherwise.
    n_channels : int
        Channels of the images.
    default : str, default="moco_v2"
        The recipe that a method's own paper used.

    Returns
    -------
    Augmentation
        The given object itself, or a new one.

    Raises
    ------
    TypeError
        If ``augmentation`` has another type.
    ValueError
        If the name is unknown, or a parameter out of its range.

    Examples
    --------
    >>> from skssl.augment import resolve_augmentation
    >>> resolve_augmentation("auto", n_channels=1).rotation_deg
    10.0
    """
    if isinstance(augmentation, str):
        if augmentation == "auto":
            augmentation = "medical_gray" if n_channels == 1 else default
        return get_recipe(augmentation)
    if not isinstance(augmentation, Augmentation):
        raise TypeError(
            'augmentation must be "auto", a recipe\'s name or an Augmentation, got '
            f"{type(augmentation).__name__}."
        )
    augmentation.validate()
    return augmentation
