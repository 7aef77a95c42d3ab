"""The paper's generator and its patch discriminator."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from models.nets.frozen_norm import FrozenInstanceNorm2d
from training.virtual_ihc.config import STRIDE_PX, NetConfig, Upsample, Widths

SLOPE = 0.2
"""Of the leaky ReLU; the paper names none, and this is the usual one against a discriminator."""
JUDGE_KERNEL_PX = 4


class Generator(nn.Module):
    """An image (N, 3, H, W) in -1..1 in another stain, of the same shape; sides must be multiples of 8.

    A 7x7 convolution; three 3x3 convolutions of stride 2, 288 px to 36; residual blocks; three transposed 3x3
    convolutions of stride 2; a 7x7 convolution under tanh. Instance norm and leaky ReLU follow all but the last. With
    `use_skip`, what the encoder had at a size is laid beside what the decoder has at it, before its next convolution.

    The paper names neither widths nor padding: widths double as they usually do, the 7x7 convolutions reflect and the
    others pad by zeros. Instance norms have no weight and bias of their own, as is usual.

    References
    ----------
    Liu et al., The generation of virtual immunohistochemical staining images based on an improved Cycle-GAN, 2020;
    instance norm by Ulyanov et al., doi:10.48550/arXiv.1607.08022; residual generators by Johnson et al.,
    doi:10.1007/978-3-319-46475-6_43.
    """

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        first, *_, last = widths = config.widths
        self.use_skip = config.use_skip
        doubled = 2 if config.use_skip else 1
        self.head = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(3, first, 7, bias=False), *_after(first))
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False), *_after(b)) for a, b in pairs
        )
        self.blocks = nn.Sequential(*(ResidualBlock(last) for _ in range(config.blocks)))
        self.up = nn.ModuleList(
            nn.Sequential(*_enlarged(b if level == 0 else doubled * b, a, config.upsample), *_after(a))
            for level, (a, b) in enumerate(reversed(pairs))
        )
        self.tail = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(doubled * first, 3, 7), nn.Tanh())
        _start(self)

    def forward(self, image: Tensor) -> Tensor:
        """The image in the other stain, (N, 3, H, W) in -1..1."""
        features: Tensor = self.head(image)
        kept: list[Tensor] = []
        for layer in self.down:
            kept.append(features)
            features = layer(features)
        features = self.blocks(features)
        for layer in self.up:
            features = layer(features)
            if self.use_skip:
                features = torch.cat([features, kept.pop()], dim=1)
        made: Tensor = self.tail(features)
        return made


class ResidualBlock(nn.Module):
    """x + F(x), F being convolution, norm, leaky ReLU, convolution, norm; nothing follows the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            *_after(channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            FrozenInstanceNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features of the same shape."""
        added: Tensor = features + self.inner(features)
        return added


class PatchDiscriminator(nn.Module):
    """Logits (N, 1, h, w) of an image (N, 3, H, W) in -1..1: is this patch of 70 px real?

    Five 4x4 convolutions, the first three of stride 2; instance norm and leaky ReLU between them, no norm after the
    first. The paper says no more than that it is one of Cycle-GAN.

    References
    ----------
    Zhu et al., doi:10.1109/ICCV.2017.244; patches of 70 px by Isola et al., doi:10.1109/CVPR.2017.632.
    """

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], JUDGE_KERNEL_PX, 2, 1), nn.LeakyReLU(SLOPE)]
        for (a, b), stride in zip(pairwise(widths), (2, 2, 1), strict=True):
            layers += [nn.Conv2d(a, b, JUDGE_KERNEL_PX, stride, 1, bias=False), *_after(b)]
        layers.append(nn.Conv2d(widths[3], 1, JUDGE_KERNEL_PX, 1, 1))
        self.layers = nn.Sequential(*layers)
        _start(self)

    def forward(self, image: Tensor) -> Tensor:
        """A logit for each patch."""
        found: Tensor = self.layers(image)
        return found


def receptive_radius_px(config: NetConfig) -> int:
    """How far from a pixel of the generator's output lies the furthest pixel of its input that it depends on.

    Through the residual blocks, that is; the skips see less. Statistics of instance norm are held still.
    """
    return max(_reach_px(pixel, config) for pixel in range(STRIDE_PX))


def halo_px(config: NetConfig) -> int:
    """The receptive radius on the stride grid."""
    return -(-receptive_radius_px(config) // STRIDE_PX) * STRIDE_PX


def _reach_px(pixel: int, config: NetConfig) -> int:
    low, high = pixel - 3, pixel + 3
    for _ in range(3):
        if config.upsample == "transposed":
            # Output 2i - 1 + k of a transposed convolution (3 wide, padding 1) takes input i, k in 0..2.
            low, high = -(-(low - 1) // 2), (high + 1) // 2
        else:
            low, high = (low - 1) // 2, (high + 1) // 2
    low, high = low - 2 * config.blocks, high + 2 * config.blocks
    for _ in range(3):
        low, high = 2 * low - 1, 2 * high + 1
    return max(pixel - (low - 3), high + 3 - pixel)


def _after(channels: int) -> list[nn.Module]:
    return [FrozenInstanceNorm2d(channels), nn.LeakyReLU(SLOPE)]


def _enlarged(channels: int, made: int, upsample: Upsample) -> list[nn.Module]:
    """By two in each direction. Enlarging before convolving is of Odena et al. 2016, doi:10.23915/distill.00003."""
    if upsample == "transposed":
        return [nn.ConvTranspose2d(channels, made, 3, stride=2, padding=1, output_padding=1, bias=False)]
    return [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(channels, made, 3, padding=1, bias=False)]


def _start(net: nn.Module) -> None:
    """Weights by Xavier (Glorot and Bengio 2010), biases zero."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
