"""The mitosis network of Tellez et al.: convolutions alone, so that it scores whole slides as it scores patches."""

import torch
from torch import Tensor, nn

FILTERS = (32, 32, 64, 64, 128, 128, 256, 256)
"""Of the 3x3 convolutions at gamma 1 (Table II)."""
STRIDES = (1, 2, 1, 2, 1, 1, 1, 1)
LAST_FILTERS, LAST_SIDE = 512, 14
STRIDE_PX = 4
"""Input px from one output to the next."""
RECEPTIVE_PX = 97
"""Side of what one output sees."""
PATCH_PX = 100
"""Side of the paper's patches; the last 3 px of it are not seen."""
INSET_PX = 48
"""A dense map of a W px wide image is (W - 2 * INSET_PX) / STRIDE_PX wide, for W a multiple of the stride."""


class MitosisNet(nn.Module):
    """Logits (N, 2, h, w) of "none" and "mitosis" for images (N, 3, H, W) in 0..1.

    Table II of the paper: eight valid 3x3 convolutions, two of them of stride 2, a valid 14x14 convolution, dropout and
    a 1x1 convolution; LeakyReLU in between. A 100 px patch gives one output, and so does one of 97, 98 or 99 px: the
    paper says 100, the table's strides leave the last 3 px of a patch unseen. Output i of a dense map sees input px
    [4i, 4i + 97) and stands for an object at 4i + 50, the middle of the 100 px patch it was trained on: as the engine
    places a map of stride 4 and inset 48, whose px i covers [4i + 48, 4i + 52), nothing is shifted.

    The table's filter numbers times gamma are cut down to whole ones. That gives 26,863,906, 17,098,903 and 9,624,376
    parameters for gamma 1, 0.8 and 0.6; the paper says 26.9, 17.1 and 9.5 M. Rounded to the nearest it would be
    17,224,798 and 9,691,104, rounded up more: cutting down is nearest, and 9.5 M is reached by no rule.

    Parameters
    ----------
    gamma
        Width, from 0 to 1: filters of every layer but the last are in proportion to it.
    dropout
        Before the last layer. The paper names no rate for this network; 0.5 is what its CNN1 and CNN2 have.
    norm
        Batch normalisation after all convolutions but the last: not in Table II; with few patches a network learns
        faster with it (training/LOG.md). Export folds it into the convolutions.

    References
    ----------
    Tellez et al., doi:10.1109/TMI.2018.2820199; Springenberg et al., Striving for simplicity: the all convolutional
    net, arXiv:1412.6806; initial weights by He et al., doi:10.1109/ICCV.2015.123.
    """

    def __init__(self, gamma: float = 1.0, dropout: float = 0.5, norm: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        sides = (*(3 for _ in FILTERS), LAST_SIDE)
        for full, side, stride in zip((*FILTERS, LAST_FILTERS), sides, (*STRIDES, 1), strict=True):
            filters = filters_at(full, gamma)
            layers.append(nn.Conv2d(before, filters, side, stride))
            layers += [nn.BatchNorm2d(filters)] if norm else []
            layers.append(nn.LeakyReLU(inplace=True))
            before = filters
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv2d(before, 2, 1)
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, 0.01)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Logits of "none" and "mitosis"."""
        logits: Tensor = self.head(self.dropout(self.features(2 * images - 1)))
        return logits


class MitosisBytes(nn.Module):
    """The network as it is packaged: uint8 (N, H, W, 3) in, the logit of "mitosis" float32 (N, 1, h, w) out.

    The sigmoid of the difference of two logits is their softmax.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, tiles: Tensor) -> Tensor:
        """The logit of "mitosis" against "none"."""
        logits: Tensor = self.net(tiles.permute(0, 3, 1, 2).float() / 255)
        return logits[:, 1:2] - logits[:, 0:1]


def filters_at(filters: int, gamma: float) -> int:
    """Filters of a layer at a width: cut down, at least one. The small addend keeps 0.6 * 5 from being 2."""
    return max(1, int(filters * gamma + 1e-9))


def mitosis_probability(logits: Tensor) -> Tensor:
    """Probabilities (N, h, w) of "mitosis"."""
    return torch.sigmoid(logits[:, 1] - logits[:, 0])
