"""The budget of a training: its fraction of epochs, and its limit on image size."""

from dataclasses import dataclass
from numbers import Integral, Real

from sklearn.base import clone

from skssl._names import unknown_name
from skssl.engine import Phase, get_phases

__all__ = ["BUDGETS", "Budget", "get_budget"]

# Below this size the feature maps vanish before the end of the network.
_MIN_SIZE_PX = {"inception_v3": 75}


@dataclass(frozen=True)
class Budget:
    """A fraction of a training's epochs, and a limit on the size of its images.

    Learning rates, batch sizes and all other settings stay as published. Schedules are
    scaled with the epochs: a small budget goes through the whole published schedule in
    fewer steps, and a cosine schedule with five periods keeps five. Below 64 px, a
    randomly initialised ResNet has the stem "small".

    Parameters
    ----------
    name : str
        Shown by ``str(budget)``.
    epochs : float, default=1.0
        Factor on the epochs of each stage, above 0. At least one epoch is run.
    image_size : int, optional
        Maximum side of the square images, in pixels. Default: the published size.
        InceptionV3 gets at least the 75 px that it needs; other networks raise an error
        if the images are too small.
    pretext_size : int, optional
        Maximum side of the images of a pretraining on views; by default ``image_size``.

    Raises
    ------
    ValueError
        If ``epochs`` is not above 0, or a size is not an int above 0.

    Examples
    --------
    >>> from skssl.recipes import Budget
    >>> budget = Budget("mine", epochs=0.1, image_size=96)
    >>> print(budget)
    mine (10 % of the epochs, images of at most 96 px)
    >>> budget.n_epochs(30), budget.size_px(224)
    (3, 96)
    """

    name: str
    epochs: float = 1.0
    image_size: int | None = None
    pretext_size: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.epochs, Real) or not 0 < self.epochs < float("inf"):
            raise ValueError(
                f"epochs must be a finite number above 0, got {self.epochs!r}."
            )
        for name in ("image_size", "pretext_size"):
            size = getattr(self, name)
            if size is not None and (
                isinstance(size, bool) or not isinstance(size, Integral) or size < 1
            ):
                raise ValueError(f"{name} must be an int above 0, got {size!r}.")

    def n_epochs(self, published: int) -> int:
        """Return the number of epochs to run instead of the published number."""
        return max(1, round(self.epochs * published))

    def size_px(self, published: int, backbone: object = None) -> int:
        """Return the image size in pixels to use instead of the published one."""
        return _limited(published, self.image_size, backbone)

    def pretext_px(self, published: int, backbone: object = None) -> int:
        """Return the image size of a pretraining on views, in pixels."""
        limit = self.image_size if self.pretext_size is None else self.pretext_size
        return _limited(published, limit, backbone)

    def phases(self, name: str) -> list[Phase]:
        """Return the named phases of a training, with the epochs of this budget."""
        return [
            clone(phase).set_params(epochs=self.n_epochs(phase.epochs))
            for phase in get_phases(name)
        ]

    def __str__(self) -> str:
        epochs = "all epochs"
        if self.epochs != 1:
            epochs = f"{100 * self.epochs:.3g} % of the epochs"
        images = "images of the published size"
        if self.image_size is not None:
            images = f"images of at most {self.image_size} px"
        if self.pretext_size is not None:
            images += f", in the pretraining of at most {self.pretext_size} px"
        return f"{self.name} ({epochs}, {images})"


def _limited(published: int, limit: int | None, backbone: object) -> int:
    """Return a published size, or the limit where that is smaller."""
    if limit is None:
        return published
    min_size = _MIN_SIZE_PX.get(backbone, 1) if isinstance(backbone, str) else 1
    return min(published, max(limit, min_size))


#: Named budgets: the published training, two for CPU cores, and one for tests.
BUDGETS: dict[str, Budget] = {
    "full": Budget("full"),
    "medium": Budget("medium", epochs=0.1, pretext_size=128),
    "small": Budget("small", epochs=0.2, image_size=64),
    "tiny": Budget("tiny", epochs=0.01, image_size=32),
}


def get_budget(budget: str | Budget) -> Budget:
    """Return a budget by its name.

    Parameters
    ----------
    budget : {"full", "medium", "small", "tiny"} or Budget
        A `Budget` is returned unchanged.

    Returns
    -------
    Budget

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is neither a str nor a `Budget`.

    Examples
    --------
    >>> from skssl.recipes import get_budget
    >>> print(get_budget("small"))
    small (20 % of the epochs, images of at most 64 px)
    """
    if isinstance(budget, Budget):
        return budget
    if not isinstance(budget, str):
        raise TypeError(
            f"budget must be one of {list(BUDGETS)} or a Budget, got "
            f"{type(budget).__name__}."
        )
    if budget not in BUDGETS:
        raise unknown_name("budget", budget, BUDGETS)
    return BUDGETS[budget]
