"""The U-Net generator with which DeepLIIF draws masks of cells."""

import torch
from torch import Tensor, nn

from models.nets.normalisation import Norm, norm_layer
from models.nets.shapes import UnetShape

SLOPE, DROPOUT = 0.2, 0.5


class UnetGenerator(nn.Module):
    """An image (N, 3, H, W) in -1..1 for an image of the same shape; sides must be multiples of `shape.stride_px`.

    Each level halves its input with a 4x4 convolution, hands it to the level below, enlarges what comes back with a
    transposed one and puts its input in front of it. Names of parameters are those of the published weights.

    Parameters
    ----------
    shape
        Nine levels at width 64, U-Net 512, have 66,998,915 parameters.
    norm
        `tile` for use, `batch` for training (`models.nets.normalisation`).

    References
    ----------
    Ghahremani et al., doi:10.1038/s42256-022-00471-x; Isola et al., doi:10.1109/CVPR.2017.632.
    """

    def __init__(self, shape: UnetShape, norm: Norm = "tile") -> None:
        super().__init__()
        widths = [shape.width * min(2**level, 8) for level in range(shape.levels)]
        level: nn.Module | None = None
        for index in range(shape.levels - 1, 0, -1):
            # Levels that do not change the number of channels have the dropout, but for the innermost.
            dropout = shape.dropout and level is not None and widths[index] == widths[index - 1]
            level = UnetLevel(_inner_layers((widths[index - 1], widths[index]), level, norm, dropout))
        if level is None:
            raise ValueError("a U-Net has two levels or more")
        outer = [
            nn.Conv2d(3, widths[0], 4, stride=2, padding=1, bias=False),
            level,
            nn.ReLU(),
            nn.ConvTranspose2d(2 * widths[0], 3, 4, stride=2, padding=1),
            nn.Tanh(),
        ]
        self.model = UnetLevel(outer, skip=False)

    def forward(self, image: Tensor) -> Tensor:
        """The drawn image, (N, 3, H, W) in -1..1."""
        drawn: Tensor = self.model(image)
        return drawn


class UnetLevel(nn.Module):
    """What a level makes of its input, behind the input itself where `skip` is set."""

    def __init__(self, layers: list[nn.Module], skip: bool = True) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)
        self.skip = skip

    def forward(self, features: Tensor) -> Tensor:
        """Features of the same height and width."""
        made: Tensor = self.model(features)
        # The published skip holds leaky values, as its first layer works in place; a ReLU follows, so nothing differs.
        return torch.cat([features, made], 1) if self.skip else made


def _inner_layers(channels: tuple[int, int], below: nn.Module | None, norm: Norm, dropout: bool) -> list[nn.Module]:
    """The layers of a level from `channels[0]` to `channels[1]` and back; the innermost has no norm on its way down."""
    outside, inside = channels
    down = nn.Conv2d(outside, inside, 4, stride=2, padding=1, bias=False)
    back = inside if below is None else 2 * inside
    layers: list[nn.Module] = [nn.LeakyReLU(SLOPE), down]
    if below is not None:
        layers += [norm_layer(norm, inside), below]
    up = nn.ConvTranspose2d(back, outside, 4, stride=2, padding=1, bias=False)
    layers += [nn.ReLU(), up, norm_layer(norm, outside)]
    return [*layers, nn.Dropout(DROPOUT)] if dropout else layers
