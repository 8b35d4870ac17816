"""The family of CRNet, which has one member."""

from torch import nn

from skssl.nn.crnet import CRNet
from skssl.nn.families._family import BackboneFamily
from skssl.nn.families._modules import remove_last_linear
from skssl.nn.families._registry import register_family

__all__ = ["CRNets"]


class CRNets(BackboneFamily):
    """CRNet, for the channels and the size of the images."""

    def names(self) -> tuple[str, ...]:
        return ("crnet",)

    def owns(self, network: nn.Module) -> bool:
        return isinstance(network, CRNet)

    def make(
        self,
        name: str,  # noqa: ARG002
        image_size: tuple[int, int],
        in_channels: int,
    ) -> nn.Module:
        return CRNet(in_channels=in_channels, image_size=image_size)

    def remove_head(self, network: nn.Module) -> tuple[str, ...]:
        return remove_last_linear(network)


register_family(CRNets())
