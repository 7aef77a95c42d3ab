"""The ResNet generator with which DeepLIIF translates IHC into other stains."""

from torch import Tensor, nn

from models.nets.normalisation import Norm, norm_layer
from models.nets.shapes import Padding, ResnetShape, Upsample

DROPOUT = 0.5


class ResnetGenerator(nn.Module):
    """An image (N, 3, H, W) in -1..1 for an image of the same shape; sides must be multiples of 4.

    A 7x7 convolution, two 3x3 convolutions of stride 2, residual blocks at a quarter of the size, two enlargements by
    two and a 7x7 convolution under tanh. Names of parameters are those of the published weights, so that they load.

    Parameters
    ----------
    shape
        Depth, width and the options that move names of parameters; nine blocks at width 64 have 11,383,427 parameters.
    norm
        `tile` for use, `batch` for training (`models.nets.normalisation`).

    References
    ----------
    Ghahremani et al., doi:10.1038/s42256-022-00471-x; residual generators by Johnson et al.,
    doi:10.1007/978-3-319-46475-6_43; enlarging before convolving by Odena et al., doi:10.23915/distill.00003.
    """

    def __init__(self, shape: ResnetShape, norm: Norm = "tile") -> None:
        super().__init__()
        width = shape.width
        layers: list[nn.Module] = [_pad(shape.padding, 3), nn.Conv2d(3, width, 7, bias=False), norm_layer(norm, width)]
        layers.append(nn.ReLU())
        for channels in (width, 2 * width):
            down = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1, bias=False)
            layers += [down, norm_layer(norm, 2 * channels), nn.ReLU()]
        layers += [ResnetBlock(4 * width, shape, norm) for _ in range(shape.blocks)]
        for channels in (4 * width, 2 * width):
            layers += [*_enlarge(shape.upsample, channels), norm_layer(norm, channels // 2), nn.ReLU()]
        layers += [_pad(shape.padding, 3), nn.Conv2d(width, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        """The translated image, (N, 3, H, W) in -1..1."""
        translated: Tensor = self.model(image)
        return translated


class ResnetBlock(nn.Module):
    """x + F(x), F being convolution, norm, ReLU, convolution, norm; nothing follows the sum."""

    def __init__(self, channels: int, shape: ResnetShape, norm: Norm) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_block_convolution(channels, shape.padding), norm_layer(norm, channels), nn.ReLU()]
        if shape.dropout:
            layers.append(nn.Dropout(DROPOUT))
        layers += [*_block_convolution(channels, shape.padding), norm_layer(norm, channels)]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """Features of the same shape."""
        added: Tensor = features + self.conv_block(features)
        return added


def _pad(padding: Padding, width_px: int) -> nn.Module:
    return nn.ZeroPad2d(width_px) if padding == "zero" else nn.ReflectionPad2d(width_px)


def _block_convolution(channels: int, padding: Padding) -> list[nn.Module]:
    """Zeros are the convolution's own padding; a reflection is a layer before it, and moves the names by one."""
    if padding == "zero":
        return [nn.Conv2d(channels, channels, 3, padding=1, bias=False)]
    return [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=False)]


def _enlarge(upsample: Upsample, channels: int) -> list[nn.Module]:
    """By two, to half of the channels."""
    half = channels // 2
    if upsample == "convtranspose":
        return [nn.ConvTranspose2d(channels, half, 3, stride=2, padding=1, output_padding=1, bias=False)]
    # The published layer reflects whatever the padding of the network is, and has a bias although a norm follows.
    return [nn.Upsample(scale_factor=2, mode="nearest"), nn.ReflectionPad2d(1), nn.Conv2d(channels, half, 3)]
