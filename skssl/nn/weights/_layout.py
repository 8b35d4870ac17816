"""Find a network's tensors among those of a file, whatever they are called there."""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from torch import Size, Tensor, nn

from skssl.nn.families import family_of

__all__ = ["by_order", "find_network", "with_prefix"]

State = dict[str, Tensor]

# Copies beside the network that is meant: of MoCo, BYOL, DINO and the like.
_COPIES = ("encoder_k", "momentum", "target", "student", "ema")
_COUNTER = "num_batches_tracked"
_SMALLEST_SHARE = 0.05  # of a file's keys that a prefix must cover to be tried
_DEEPEST = 4


class _Reading(NamedTuple):
    """One way to read a file: a prefix, and what it gives in the network's layout."""

    prefix: str
    state: State
    n_found: int


def find_network(tensors: State, network: nn.Module, source: str) -> tuple[str, State]:
    """Find the tensors of a network in a file, by their names.

    Prefixes such as ``module.encoder_q.`` are found by comparing keys. The network's
    family converts published layouts. Of several networks in a file, copies that move
    slowly, and DINO's student, are left.

    Parameters
    ----------
    tensors : dict of str to Tensor
        All tensors of the file.
    network : nn.Module
        Without its head.
    source : str
        Name of the file, for errors.

    Returns
    -------
    prefix : str
    state : dict of str to Tensor
        In the network's layout; it may still have other keys.

    Raises
    ------
    ValueError
        If several networks of the file fit.
    """
    own = {key for key in network.state_dict() if not key.endswith(_COUNTER)}
    readings = [
        _read_as(prefix, tensors, network, own) for prefix in _prefixes(tensors)
    ]
    most = max(reading.n_found for reading in readings)
    best = [reading for reading in readings if reading.n_found == most]
    if len(best) > 1 and most:
        originals = [r for r in best if not any(word in r.prefix for word in _COPIES)]
        best = originals or best
        # Of nested prefixes, such as "" and "vit.", the shortest that finds as much.
        best = [r for r in best if not any(_is_inside(r, other) for other in best)]
    if len(best) > 1 and most:
        found = ", ".join(repr(reading.prefix) for reading in best[:4])
        raise ValueError(
            f"weights from {source} hold several networks that fit the backbone: "
            f"choose one with skssl.nn.WeightsFile(path, prefix=...), of {found}."
        )
    return best[0].prefix, best[0].state


def with_prefix(tensors: State, prefix: str, source: str) -> State:
    """Return the tensors whose keys start with a prefix, without it.

    Raises
    ------
    ValueError
        If there are none.
    """
    chosen = _strip(tensors, prefix)
    if not chosen:
        raise ValueError(
            f"weights from {source} have no key that starts with {prefix!r}; the first "
            f"keys are {', '.join(list(tensors)[:3])}."
        )
    return chosen


def by_order(
    tensors: State,
    shapes: Mapping[str, Size],
    head_prefixes: tuple[str, ...],
    source: str,
) -> State:
    """Give tensors the names that a network has in the same places.

    Parameters
    ----------
    tensors : dict of str to Tensor
    shapes : dict of str to Size
        Of the network's state dict with its head, in order.
    head_prefixes : tuple of str
        The file may lack the keys that start with one of these.
    source : str

    Raises
    ------
    ValueError
        If the number of tensors or a shape differs.
    """
    headless = {k: v for k, v in shapes.items() if not k.startswith(head_prefixes)}
    with_counters = (dict(shapes), headless)  # old files do not count batches
    without = [
        {k: v for k, v in each.items() if not k.endswith(_COUNTER)}
        for each in with_counters
    ]
    wanted = [*with_counters, *without]
    fitting = [each for each in wanted if len(each) == len(tensors)]
    if not fitting:
        counts = " or ".join(str(n) for n in sorted({len(each) for each in wanted}))
        raise ValueError(
            f"weights from {source} hold {len(tensors)} tensors, but the backbone has "
            f"{counts}: by_order=True needs the same network."
        )
    for (key, value), (name, shape) in zip(
        tensors.items(), fitting[0].items(), strict=True
    ):
        if value.shape != shape:
            raise ValueError(
                f"weights from {source}: {key!r} of shape {tuple(value.shape)} is in "
                f"the place of {name!r} of shape {tuple(shape)}: by_order=True needs "
                "the same network."
            )
    return dict(zip(fitting[0], tensors.values(), strict=True))


def _prefixes(tensors: State) -> Iterable[str]:
    """Return the prefixes, ending with a dot, that many of the keys have; "" first."""
    counts: Counter[str] = Counter()
    for key in tensors:
        parts = key.split(".")
        for depth in range(1, min(len(parts), _DEEPEST + 1)):
            counts[".".join(parts[:depth]) + "."] += 1
    fewest = _SMALLEST_SHARE * len(tensors)
    return ["", *(prefix for prefix, count in counts.items() if count >= fewest)]


def _read_as(
    prefix: str, tensors: State, network: nn.Module, own: set[str]
) -> _Reading:
    state = _strip(tensors, prefix)
    # A conversion may expect another layout.
    with suppress(AttributeError, KeyError, RuntimeError, ValueError):
        state = family_of(network).adapt_state(network, state)
    return _Reading(prefix, state, len(own & state.keys()))


def _is_inside(reading: _Reading, other: _Reading) -> bool:
    return reading is not other and reading.prefix.startswith(other.prefix)


def _strip(tensors: State, prefix: str) -> State:
    return {
        key.removeprefix(prefix): value
        for key, value in tensors.items()
        if key.startswith(prefix)
    }
