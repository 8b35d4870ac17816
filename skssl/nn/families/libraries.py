"""Modules of other libraries, given as objects: transformers, MONAI, torchxrayvision.

None of the libraries is imported: their networks are recognised by the names of their
modules.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skssl.nn.families._family import BackboneFamily
from skssl.nn.families._modules import XRAYVISION, average_map, is_defined_in
from skssl.nn.families._registry import register_family

__all__ = ["GivenModules", "HuggingFaceModels", "MonaiNetworks", "XRayVisionNetworks"]


class GivenModules(BackboneFamily):
    """A family whose networks are given as modules, and not made by name."""

    #: Where its classes are defined.
    package: ClassVar[str]

    def names(self) -> Iterable[str]:
        return ()

    def owns(self, network: nn.Module) -> bool:
        return is_defined_in(self.package, network)

    def make(
        self, name: str, image_size: tuple[int, int], in_channels: int
    ) -> nn.Module:
        """Not called, since there are no names."""
        raise NotImplementedError


class HuggingFaceModels(GivenModules):
    """Image encoders of transformers, with or without a classification head."""

    package = "transformers"

    def remove_head(self, network: Any) -> tuple[str, ...]:
        kind = type(network).__name__
        if kind.endswith("ForImageClassification") and hasattr(network, "classifier"):
            network.classifier = nn.Identity()
            return ("classifier.",)
        if "For" in kind:
            raise ValueError(
                f"backbone of class {kind} has a head that gives no features: give the "
                "encoder inside it, for example model.base_model."
            )
        return ()

    def pool(self, network: nn.Module, output: Any) -> Tensor:
        """Return the input of the head, the class token, or the pooled output.

        The class token comes before the pooler's output, since ViT's pooler has random
        weights where the checkpoint was a classifier.
        """
        logits = getattr(output, "logits", None)
        if logits is not None:
            return average_map(logits)  # with the head removed, its inputs
        last = getattr(output, "last_hidden_state", None)  # (n, L, d) or (n, d, h, w)
        has_class_token = hasattr(getattr(network, "embeddings", None), "cls_token")
        if has_class_token and last is not None:
            return last[:, 0]
        pooled = getattr(output, "pooler_output", None)
        if pooled is not None:
            return average_map(pooled)  # some are (n, d, 1, 1)
        if isinstance(last, Tensor) and last.ndim == 3:
            return last.mean(1)
        return average_map(output if last is None else last)


class MonaiNetworks(GivenModules):
    """Networks of MONAI for 2-D images whose head is known."""

    package = "monai.networks.nets"
    #: Heads: attributes, the last of which is a linear layer or a sequence that ends
    #: with one.
    _heads: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("class_layers", "out"),  # DenseNet
        ("fc",),  # ResNet
        ("_fc",),  # EfficientNet
        ("last_linear",),  # SENet
        ("classification_head",),  # ViT
    )

    def remove_head(self, network: nn.Module) -> tuple[str, ...]:
        for *path, last in self._heads:
            owner = (
                network.get_submodule(".".join(path)) if _has(network, path) else None
            )
            head = getattr(owner, last, None)
            if isinstance(head, nn.Identity):
                return ()
            if isinstance(head, (nn.Linear, nn.Sequential)):
                setattr(owner, last, nn.Identity())
                return (".".join((*path, last)) + ".",)
        kind = type(network).__name__
        if kind == "ViT" or getattr(network, "fc", nn.Identity()) is None:
            return ()  # made without a head
        raise ValueError(
            f"it is not known which layers of MONAI's {kind} are its head: give a "
            "module that returns its features (n, d) or maps (n, d, h, w)."
        )

    def pool(self, network: nn.Module, output: Any) -> Tensor:
        """Return features, of ViT the class token or the mean over the patches."""
        if isinstance(output, tuple) and output:
            output = output[0]  # of the features and the hidden states
        if isinstance(output, Tensor) and output.ndim == 3:
            has_class_token = hasattr(network, "cls_token")
            return output[:, 0] if has_class_token else output.mean(1)
        return average_map(output)


class XRayVisionNetworks(GivenModules):
    """Classifiers of torchxrayvision, which take gray images in [-1024, 1024]."""

    package = "torchxrayvision"

    def remove_head(self, network: Any) -> tuple[str, ...]:
        removed = []
        if hasattr(network, "classifier"):  # DenseNet
            network.classifier = nn.Identity()
            removed.append("classifier.")
        if hasattr(getattr(network, "model", None), "fc"):  # ResNet
            network.model.fc = nn.Identity()
            removed.append("model.fc.")
        if not removed:
            raise ValueError(
                f"torchxrayvision's {type(network).__name__} is not a classifier: give "
                "a module that returns its features (n, d) or maps (n, d, h, w)."
            )
        # Thresholds of the classes, by which the outputs are scaled.
        network.op_threshs = None
        network.apply_sigmoid = False
        return (*removed, "op_threshs")

    def own_normalization(self, network: nn.Module) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        mean, std = XRAYVISION
        return torch.tensor([mean]), torch.tensor([std])


def _has(network: nn.Module, path: list[str]) -> bool:
    """Return whether there is a module at a path of attributes."""
    for name in path:
        network = getattr(network, name, None)  # type: ignore[assignment]
        if not isinstance(network, nn.Module):
            return False
    return True


for _family in (HuggingFaceModels(), MonaiNetworks(), XRayVisionNetworks()):
    register_family(_family)
