"""The nuclei network: a narrow U-Net with a receptive field that is finite, small and known."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

STRIDE_PX = 8
"""Pooling of the deepest level: tiles must start at multiples of it."""


class NucleiNet(nn.Module):
    """A U-Net over four resolutions (1, 1/2, 1/4, 1/8) whose skips are added rather than concatenated.

    Input: float32 (N, 3, H, W), absorbance-like `1 - rgb / 255`, so that glass is 0 and equals the zero padding;
    H and W are multiples of `STRIDE_PX`. Output: logits (N, classes, H, W).

    Nearest-neighbour upsampling of 1x1 projections keeps every step local: the receptive field is what
    `receptive_radius` counts, nothing leaks through interpolation.

    References
    ----------
    Ronneberger et al., U-Net, doi:10.1007/978-3-319-24574-4_28.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 48, 64), depths: Sequence[int] = (1, 2, 2, 2)) -> None:
        super().__init__()
        starts = (3, *widths[:-1])
        self.encoder = nn.ModuleList(
            _stage(start, width, depth) for start, width, depth in zip(starts, widths, depths, strict=True)
        )
        self.project = nn.ModuleList(nn.Conv2d(deep, shallow, 1) for shallow, deep in pairwise(widths))
        self.decoder = nn.ModuleList(_stage(width, width, 1) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 3, H, W) of background, nucleus interior and boundary."""
        skips: list[Tensor] = []
        for level, stage in enumerate(self.encoder):
            x = stage(nn.functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for level in reversed(range(len(self.decoder))):
            up = nn.functional.interpolate(self.project[level](x), scale_factor=2.0, mode="nearest")
            x = self.decoder[level](up + skips[level])
        logits: Tensor = self.head(x)
        return logits


class ByteInput(nn.Module):
    """The network as it is packaged: bytes in, logits out, so that the engine hands tiles over as they were decoded.

    Input: uint8 (N, H, W, 3). Output: float32 logits (N, 3, H, W).
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, tiles: Tensor) -> Tensor:
        """Logits of background, nucleus interior and boundary."""
        logits: Tensor = self.net(1 - tiles.permute(0, 3, 1, 2).float() / 255)
        return logits


def receptive_radius(depths: Sequence[int]) -> int:
    """How many pixels away from an output pixel, at most, an input pixel can still change it.

    Follows the deepest path, of which the skips see a part: from an output pixel down through the decoder, then up
    through the encoder to the input, for every place an output pixel can have on the stride grid.
    """
    deepest = len(depths) - 1
    radius = 0
    for place in range(2**deepest):
        low = high = place
        for _ in range(deepest):
            low, high = (low - 1) // 2, (high + 1) // 2
        low, high = low - depths[deepest], high + depths[deepest]
        for depth in reversed(depths[:deepest]):
            low, high = 2 * low - depth, 2 * high + 1 + depth
        radius = max(radius, place - low, high - place)
    return radius


def _stage(start: int, width: int, depth: int) -> nn.Sequential:
    """`depth` times convolution 3x3, batch norm, ReLU."""
    layers: list[nn.Module] = []
    for index in range(depth):
        layers += [nn.Conv2d(start if index == 0 else width, width, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
