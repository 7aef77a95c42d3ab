"""CNN1 and CNN2 of Tellez et al.: convolutions and max-pooling in turn, then two dense layers."""

import torch
from torch import Tensor, nn

FILTERS = (64, 128, 256, 512, 1024)
UNITS = 2048
PATCH_PX = 100
"""Side of the patches, cropped out of 128 px as for the other networks of the paper (section V)."""


class PooledNet(nn.Module):
    """Logits (N, 2) of "no" and "yes" for images (N, 3, H, H) in 0..1.

    The paper lists five pairs of a 3x3 convolution and a max-pooling, two dense layers, ReLU after all but the last
    layer, and dropout of 0.5 between the last two. It is silent on borders and pooling. Here a convolution keeps the
    size (zeros around) and a pooling of 2x2 halves it and drops an odd last row: 100, 50, 25, 12, 6, 3 px. That makes
    25,151,106 parameters for patches of 100 px.

    Parameters
    ----------
    width
        Part of the paper's filters and units that the network has.
    size_px
        Side of the images; at least 32.
    norm
        Batch normalisation after each convolution: not in the paper, but a narrow network on few patches needs it.

    References
    ----------
    Tellez et al., doi:10.1109/TMI.2018.2820199, section V.A; initial weights by He et al., doi:10.1109/ICCV.2015.123.
    """

    def __init__(
        self, width: float = 1.0, size_px: int = PATCH_PX, dropout: float = 0.5, *, norm: bool = False
    ) -> None:
        super().__init__()
        side = size_px >> len(FILTERS)
        if side < 1 or not width > 0:
            raise ValueError(
                f"patches of {size_px} px at a width of {width} leave nothing: give 32 px and a width above 0"
            )
        layers: list[nn.Module] = []
        before = 3
        for full in FILTERS:
            filters = _at(full, width)
            layers.append(nn.Conv2d(before, filters, 3, padding=1))
            layers += [nn.BatchNorm2d(filters)] if norm else []
            layers += [nn.ReLU(inplace=True), nn.MaxPool2d(2)]
            before = filters
        units = _at(UNITS, width)
        self.features = nn.Sequential(*layers)
        self.dense = nn.Linear(before * side * side, units)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(units, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear" if module is self.head else "relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Logits of "no" and "yes"."""
        hidden = torch.relu(self.dense(self.features(2 * images - 1).flatten(1)))
        logits: Tensor = self.head(self.dropout(hidden))
        return logits


def _at(full: int, width: float) -> int:
    """Filters or units at a width: the nearest whole number, at least one."""
    return max(1, round(full * width))
