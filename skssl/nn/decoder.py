"""A convolutional decoder from feature maps to images."""

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ImageDecoder"]

_NARROWEST = 16


class ImageDecoder(nn.Module):
    """Enlarge a feature map to an image by upsampling and convolutions.

    The layers are, in this order:

    - a 1x1 convolution to ``width`` channels;
    - until the map is as large as the image, blocks of bilinear upsampling by 2, a 3x3
      convolution, batch normalisation and ReLU. Each block halves the number of
      channels, down to the smaller of 16 and ``width``;
    - a bilinear resize, if the sides differ from those of the image;
    - a 1x1 convolution to the channels of the image.

    Parameters
    ----------
    n_in : int
        Channels of the map.
    n_out : int
        Channels of the image.
    map_size, image_size : (height, width)
        Size of the map and of the image, pixels.
    width : int, default=128
        Channels after the first convolution, at least 1.

    Examples
    --------
    >>> import torch
    >>> from skssl.nn.decoder import ImageDecoder
    >>> decoder = ImageDecoder(512, 1, map_size=(3, 3), image_size=(20, 20))
    >>> decoder(torch.rand(2, 512, 3, 3)).shape
    torch.Size([2, 1, 20, 20])
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        map_size: tuple[int, int],
        image_size: tuple[int, int],
        width: int = 128,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        layers: list[nn.Module] = [nn.Conv2d(n_in, width, kernel_size=1)]
        height_px, width_px = map_size
        while height_px < image_size[0] or width_px < image_size[1]:
            narrower = min(width, max(_NARROWEST, width // 2))
            layers += [
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
                nn.Conv2d(width, narrower, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(narrower),
                nn.ReLU(inplace=True),
            ]
            height_px, width_px, width = 2 * height_px, 2 * width_px, narrower
        self.enlarge = nn.Sequential(*layers)
        self.to_image = nn.Conv2d(width, n_out, kernel_size=1)

    def forward(self, feature_map: Tensor) -> Tensor:
        """Map (n, n_in, h, w) to images (n, n_out, height, width), unbounded floats."""
        enlarged = self.enlarge(feature_map)
        if enlarged.shape[2:] != self.image_size:
            enlarged = functional.interpolate(
                enlarged, self.image_size, mode="bilinear"
            )
        return self.to_image(enlarged)
