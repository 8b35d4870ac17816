"""Seeds and generators that leave numpy's and torch's global states alone."""

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

RandomState = int | np.random.RandomState | np.random.Generator | None

_GLOBAL_GENERATORS = threading.RLock()

__all__ = ["RandomState", "isolated_rng", "make_generator", "spawn_seeds"]


def _new_lock() -> None:
    """Replace the lock in a forked child, where no thread is left to release it."""
    global _GLOBAL_GENERATORS  # noqa: PLW0603
    _GLOBAL_GENERATORS = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


def spawn_seeds(random_state: RandomState, n_seeds: int) -> list[int]:
    """Derive independent seeds from scikit-learn's ``random_state``.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None
        None takes fresh entropy from the operating system. This differs from
        scikit-learn, where None reads (and advances) numpy's global state.
    n_seeds : int
        How many seeds to make.

    Returns
    -------
    list of int
        Seeds in [0, 2**63).

    Raises
    ------
    ValueError
        If ``random_state`` is of another type.

    Examples
    --------
    >>> spawn_seeds(0, 2) == spawn_seeds(0, 2)
    True
    """
    if isinstance(random_state, np.random.RandomState):
        entropy = random_state.randint(0, 2**31, size=4).tolist()
    elif isinstance(random_state, np.random.Generator):
        entropy = random_state.integers(0, 2**31, size=4).tolist()
    elif random_state is None:
        entropy = _fresh_entropy()
    elif isinstance(random_state, (int, np.integer)) and random_state >= 0:
        entropy = int(random_state)
    else:
        raise ValueError(
            "random_state must be a non-negative int, a numpy RandomState or "
            f"Generator, or None, got {random_state!r}."
        )
    words = np.random.SeedSequence(entropy).generate_state(n_seeds, np.uint64)
    return [int(word >> np.uint64(1)) for word in words]


def _fresh_entropy() -> int:
    """Return entropy of the operating system; tests replace this by fixed numbers."""
    return secrets.randbits(128)


def make_generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a torch generator on ``device``, seeded with ``seed``."""
    return torch.Generator(device=device).manual_seed(seed)


@contextmanager
def isolated_rng(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed the global generators inside the block and restore them after it.

    Weight initialisation and dropout can only draw from torch's, an estimator without
    a ``random_state`` from numpy's; this is the one place that touches them. A process
    has one of each, so of several threads one at a time is inside.
    """
    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    with _GLOBAL_GENERATORS, torch.random.fork_rng(devices=devices):
        numpy_state = np.random.get_state()  # noqa: NPY002
        try:
            np.random.seed(seed % 2**32)  # noqa: NPY002
            torch.random.default_generator.manual_seed(seed)
            for cuda_device in devices:
                with torch.cuda.device(cuda_device):
                    torch.cuda.manual_seed(seed)
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
