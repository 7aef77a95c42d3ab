"""The shapes of the published generators, without torch: what weights are told by, and how far a pixel sees."""

from dataclasses import dataclass
from typing import Literal

Padding = Literal["zero", "reflect"]
Upsample = Literal["convtranspose", "resize_conv"]

RESNET_STRIDE_PX = 4
UNET_LEVELS = (5, 6, 7, 8, 9)
"""Of U-Net 32, 64, 128, 256 and 512."""


@dataclass(frozen=True)
class ResnetShape:
    """A ResNet generator: two strided convolutions, `blocks` residual blocks, two enlargements."""

    blocks: int = 9
    width: int = 64
    """Channels after the first convolution (`ngf`)."""
    padding: Padding = "zero"
    upsample: Upsample = "convtranspose"
    dropout: bool = True
    """Whether each block holds a dropout layer: it does nothing when the network is used, but shifts key names."""

    @property
    def stride_px(self) -> int:
        """What the sides of its input must be multiples of."""
        return RESNET_STRIDE_PX

    @property
    def radius_px(self) -> int:
        """How far from a pixel of the output lies the furthest pixel of the input that it depends on."""
        return max(self._reach(pixel) for pixel in range(self.stride_px))

    def _reach(self, pixel: int) -> int:
        low, high = pixel - 3, pixel + 3
        for _ in range(2):
            if self.upsample == "convtranspose":
                low, high = -(-(low - 1) // 2), (high + 1) // 2
            else:
                low, high = (low - 1) // 2, (high + 1) // 2
        low, high = low - 2 * self.blocks, high + 2 * self.blocks
        for _ in range(2):
            low, high = 2 * low - 1, 2 * high + 1
        return max(pixel - (low - 3), high + 3 - pixel)


@dataclass(frozen=True)
class UnetShape:
    """A U-Net generator that halves its input `levels` times: U-Net 512 has 9."""

    levels: int = 9
    width: int = 64
    """Channels after the first convolution (`ngf`)."""
    dropout: bool = True

    @property
    def stride_px(self) -> int:
        """What the sides of its input must be multiples of."""
        return int(2**self.levels)

    @property
    def radius_px(self) -> int:
        """How far from a pixel of the output lies the furthest pixel of the input that it depends on."""
        return max(self._reach(pixel) for pixel in range(self.stride_px))

    def _reach(self, pixel: int) -> int:
        low = high = pixel
        for _ in range(self.levels):
            low, high = -(-(low - 2) // 2), (high + 1) // 2
        for _ in range(self.levels):
            low, high = 2 * low - 1, 2 * high + 2
        return max(pixel - low, high - pixel)


Shape = ResnetShape | UnetShape
