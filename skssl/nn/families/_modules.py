"""What families do with modules, outputs and state dicts."""

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn

__all__ = [
    "XRAYVISION",
    "State",
    "average_map",
    "is_defined_in",
    "remove_last_linear",
    "with_current_version",
]

State = dict[str, Tensor]
#: Mean and standard deviation of images in [0, 1], for torchxrayvision's [-1024, 1024].
XRAYVISION = (0.5, 1 / 2048)
# Networks keep their head under one of these names.
_HEADS = ("fc", "classifier", "head", "heads")


def is_defined_in(package: str, network: nn.Module) -> bool:
    """Return whether a network's class, or one that it is made of, is of a package.

    The package is not imported.
    """
    modules = (f"{kind.__module__}." for kind in type(network).__mro__)
    return any(module.startswith(f"{package}.") for module in modules)


def average_map(output: Any) -> Tensor:
    """Average maps (n, d, h, w) to features (n, d); return features unchanged.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if not isinstance(output, Tensor) or output.ndim not in (2, 4):
        got = getattr(output, "shape", type(output).__name__)
        raise ValueError(
            f"it must give features (n, d) or maps (n, d, h, w), got {got}"
        )
    return output.mean((2, 3)) if output.ndim == 4 else output


def remove_last_linear(network: nn.Module) -> tuple[str, ...]:
    """Replace the last linear layer, and a dropout right before it, by identities.

    It is looked for in the children ``fc``, ``classifier``, ``head`` and ``heads``: the
    child itself, or the end of a sequence.

    Returns
    -------
    tuple of str
        Prefixes of the state-dict keys of what was removed.
    """
    removed = []
    for name in _HEADS:
        head = getattr(network, name, None)
        if isinstance(head, nn.Linear):
            setattr(network, name, nn.Identity())
            removed.append(f"{name}.")
        elif isinstance(head, nn.Sequential) and isinstance(head[-1], nn.Linear):
            last = list(head._modules)[-1]
            head[-1] = nn.Identity()
            if len(head) > 1 and isinstance(head[-2], nn.Dropout):
                head[-2] = nn.Identity()
            removed.append(f"{name}.{last}.")
    return tuple(removed)


def with_current_version(network: nn.Module, state: State) -> State:
    """Return a state dict whose metadata give a network's own version.

    A network that changed its layout reads the version of a file there. The modules
    inside have none, so that batch normalisation accepts files without batch counts.
    """
    versioned: Any = OrderedDict(state)
    versioned._metadata = {"": {"version": network._version}}
    return versioned
