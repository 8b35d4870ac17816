"""What trainings return, and the fitted attributes that it becomes."""

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from skssl.data import ImageReader
from skssl.encoder import Encoder
from skssl.engine import Phase, TrainedClassifiers

__all__ = ["PhasedResult", "attributes_of"]


@dataclass
class PhasedResult:
    """What a training in phases returns; fields are the attributes of an estimator."""

    encoder: Encoder
    history: list[dict[str, float]]
    n_iter: int
    n_trainable: list[int]
    selected_epochs: list[int]
    phases: list[Phase]
    sample_indices: np.ndarray
    validation_indices: np.ndarray
    precision: str

    @classmethod
    def from_training(
        cls, trained: TrainedClassifiers, reader: ImageReader, **others: Any
    ) -> Self:
        """Return the result of a training, finished or interrupted."""
        return cls(
            encoder=Encoder(reader, trained.networks),
            history=trained.history,
            n_iter=len(trained.history),
            n_trainable=trained.n_trainable,
            selected_epochs=trained.selected_epochs,
            **others,
        )


def attributes_of(result: Any) -> dict[str, Any]:
    """Return the fitted attributes that a result and its encoder stand for.

    Parameters
    ----------
    result : dataclass
        With a field ``encoder``. Fields that are None become no attribute.
    """
    encoder: Encoder = result.encoder
    values = {field.name: getattr(result, field.name) for field in fields(result)}
    values |= {
        "backbone": encoder.backbone,
        "image_shape": encoder.reader.image_shape,
        "image_size": encoder.reader.image_size,
    }
    if encoder.head is not None:
        values |= {"head": encoder.head, "networks": encoder.networks}
    attributes = {f"{name}_": v for name, v in values.items() if v is not None}
    # None here says that all training images were uint8.
    return {**attributes, "value_range_": encoder.reader.image_format.value_range}
