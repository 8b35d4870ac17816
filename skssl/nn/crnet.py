"""CRNet, the small convolutional network of He, Yang et al. (2020)."""

import torch
from torch import nn

__all__ = ["CRNet"]

_SMALLEST_PX = 23


class CRNet(nn.Module):
    """Three 7x7 convolutions, each followed by pooling, and one linear layer.

    Parameters
    ----------
    n_classes : int, default=2
        Outputs of the linear layer.
    in_channels : int, default=1
        Channels of the images.
    image_size : (int, int), default=(224, 224)
        Height and width of the images in pixels, each at least 23. They determine the
        width of the linear layer.

    Attributes
    ----------
    features : nn.Sequential
        From images to flattened maps, shape (n, 128 * h * w).
    fc : nn.Linear
        The classification head.

    Raises
    ------
    ValueError
        If the height or width is below 23 pixels.

    Notes
    -----
    The paper does not say where batch normalisation is applied. Only with one after
    the first convolution does the network have the 546,882 parameters of its Table II.
    Weights are drawn with Kaiming's normal initialisation; biases start at zero.

    References
    ----------
    .. [1] X. He, X. Yang et al. "Sample-Efficient Deep Learning for COVID-19 Diagnosis
       Based on CT Scans." medRxiv, 2020. :doi:`10.1101/2020.04.13.20063941`.

    Examples
    --------
    >>> import torch
    >>> from skssl.nn import CRNet
    >>> network = CRNet()
    >>> sum(parameter.numel() for parameter in network.parameters())
    546882
    >>> network(torch.zeros(2, 1, 224, 224)).shape
    torch.Size([2, 2])
    """

    def __init__(
        self,
        n_classes: int = 2,
        in_channels: int = 1,
        image_size: tuple[int, int] = (224, 224),
    ) -> None:
        super().__init__()
        if min(image_size) < _SMALLEST_PX:
            raise ValueError(
                f"image_size of CRNet must be at least {_SMALLEST_PX} pixels in both "
                f"directions, got {tuple(image_size)}."
            )
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 32, kernel_size=7, padding=3),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(32, 64, kernel_size=7, padding=3),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 128, kernel_size=7, padding=3),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.AvgPool2d(kernel_size=2, stride=2),
            nn.Flatten(),
        )
        height, width = (_pooled_px(px) for px in image_size)
        self.fc = nn.Linear(128 * height * width, n_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (n, in_channels, H, W) to logits (n, n_classes)."""
        return self.fc(self.features(images))


def _pooled_px(px: int) -> int:
    """Return a side of the map after three 3/2 max-pools and a 2/2 mean-pool."""
    for _ in range(3):
        px = (px - 3) // 2 + 1
    return px // 2
