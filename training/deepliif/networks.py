"""The networks that are trained: translators, segmenters and their discriminators, and the whole as one graph."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.nets.deepliif_graph import DeepliifGraph, MaskTerm
from models.nets.normalisation import norm_layer
from models.nets.resnet_generator import ResnetGenerator
from models.nets.shapes import ResnetShape, UnetShape
from models.nets.unet_generator import UnetGenerator
from training.deepliif.config import NetsConfig, SyntheticConfig, mask_weights

SPREAD, SLOPE = 0.02, 0.2
ALL_TO_ONE = "GS"
CHANNELS = 3


class PatchDiscriminator(nn.Module):
    """Logits (N, 1, h, w) for pairs of pictures (N, channels, H, W): is the patch real? Three strides see 70 x 70 px.

    References
    ----------
    Isola et al., doi:10.1109/CVPR.2017.632; Miyato et al., doi:10.48550/arXiv.1802.05957 (spectral norm).
    """

    def __init__(self, channels: int, width: int, layers: int = 3, spectral_norm: bool = False) -> None:
        super().__init__()
        widths = [width * min(2**k, 8) for k in range(layers + 1)]
        stages: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        for k in range(1, layers + 1):
            stride = 2 if k < layers else 1
            stages += [
                nn.Conv2d(widths[k - 1], widths[k], 4, stride=stride, padding=1, bias=False),
                norm_layer("tile", widths[k]),
                nn.LeakyReLU(SLOPE),
            ]
        self.model = nn.Sequential(*stages, nn.Conv2d(widths[-1], 1, 4, padding=1))
        draw_weights(self)
        if spectral_norm:
            for layer in self.model:
                if isinstance(layer, nn.Conv2d):
                    nn.utils.parametrizations.spectral_norm(layer)

    def forward(self, pair: Tensor) -> Tensor:
        """Logits of patches."""
        said: Tensor = self.model(pair)
        return said


class AllToOneGraph(nn.Module):
    """As `DeepliifGraph`, but one segmenter takes the IHC and all stains at once, channels behind channels."""

    def __init__(self, nets: Mapping[str, nn.Module], outputs: tuple[str | None, ...]) -> None:
        super().__init__()
        self.nets = nn.ModuleDict(nets)
        self.outputs = outputs

    def forward(self, tiles: Tensor) -> tuple[Tensor, ...]:
        """The outputs in order, each (N, 3, H, W) in -1..1, for uint8 (N, H, W, 3)."""
        image = (tiles.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        stains = {name: net(image) for name, net in self.nets.items() if name != ALL_TO_ONE}
        mask = self.nets[ALL_TO_ONE](torch.cat([image, *stains.values()], 1)) if None in self.outputs else image
        return tuple(mask if name is None else stains[name] for name in self.outputs)


def build_generators(config: NetsConfig) -> dict[str, nn.Module]:
    """Generators by name, with drawn weights: G1 to GM translate, GS0 to GSM (GS alone, many to one) segment.

    Each sample is normalised by itself. With the paper's batches of one that is its batch norm, and it is what the
    networks do when they are used.
    """
    nets: dict[str, nn.Module] = {name: ResnetGenerator(resnet_shape(config)) for name in translator_names(config)}
    for name in segmenter_names(config):
        nets[name] = net = UnetGenerator(unet_shape(config))
        if name == ALL_TO_ONE:
            net.model.model[0] = _wider(net.model.model[0], CHANNELS * (1 + len(config.modalities)))
    for module in nets.values():
        draw_weights(module)
    return nets


def build_discriminators(config: NetsConfig) -> dict[str, nn.Module]:
    """Discriminators by name, with drawn weights: D of the name of each generator's, DG1, DGS0, ..."""
    pairs = dict.fromkeys((*translator_names(config), *segmenter_names(config)), 2 * CHANNELS)
    if config.many_to_one:
        pairs[ALL_TO_ONE] = CHANNELS * (2 + len(config.modalities))
    return {
        f"D{name}": PatchDiscriminator(
            channels, config.discriminator_width, config.discriminator_layers, config.spectral_norm
        )
        for name, channels in pairs.items()
    }


def build_ihc_generator(config: SyntheticConfig, nets: NetsConfig) -> dict[str, nn.Module]:
    """`I`, which draws IHC from grey hematoxylin, DAPI and mask (seven channels), and its discriminator `DI`."""
    shape = ResnetShape(config.blocks, config.width, nets.padding, nets.upsample, nets.dropout)
    net = ResnetGenerator(shape)
    net.model[1] = _wider(net.model[1], 1 + 2 * CHANNELS)
    draw_weights(net)
    judge = PatchDiscriminator(1 + 3 * CHANNELS, nets.discriminator_width, nets.discriminator_layers)
    return {"I": net, "DI": judge}


def build_graph(config: NetsConfig, nets: Mapping[str, nn.Module]) -> nn.Module:
    """The generators as one network that takes bytes; outputs are the modalities in use and the mask."""
    outputs = (*translator_names(config), None)
    chosen = {name: nets[name] for name in (*translator_names(config), *segmenter_names(config))}
    if config.many_to_one:
        return AllToOneGraph(chosen, outputs).eval()
    return DeepliifGraph(chosen, mask_terms(config), outputs).eval()


def mask_terms(config: NetsConfig) -> tuple[MaskTerm, ...]:
    """The terms of the mask in the order in which DeepLIIF adds them: the modalities', then the IHC's."""
    sources: tuple[str | None, ...] = (None, *translator_names(config))
    terms = [MaskTerm(*t) for t in zip(segmenter_names(config), sources, mask_weights(config), strict=True)]
    return (*terms[1:], terms[0])


def translator_names(config: NetsConfig) -> tuple[str, ...]:
    """G1, G2, ... for the modalities in use."""
    return tuple(f"G{k + 1}" for k in range(len(config.modalities)))


def segmenter_names(config: NetsConfig) -> tuple[str, ...]:
    """GS0 for the IHC, GS1, ... for the modalities in use; GS alone where one net takes all."""
    return (ALL_TO_ONE,) if config.many_to_one else tuple(f"GS{k}" for k in range(1 + len(config.modalities)))


def resnet_shape(config: NetsConfig) -> ResnetShape:
    """Of the translators."""
    return ResnetShape(config.blocks, config.translator_width, config.padding, config.upsample, config.dropout)


def unet_shape(config: NetsConfig) -> UnetShape:
    """Of the segmenters."""
    return UnetShape(config.levels, config.segmenter_width, config.dropout)


def draw_weights(net: nn.Module) -> None:
    """Draw convolutions from N(0, 0.02), and the scale of norms, which the paper leaves open, from N(1, 0.02)."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, SPREAD)
        elif isinstance(getattr(module, "weight", None), nn.Parameter):
            nn.init.normal_(module.weight, 1.0, SPREAD)  # type: ignore[arg-type]
        else:
            continue
        bias = getattr(module, "bias", None)
        if isinstance(bias, nn.Parameter):
            nn.init.zeros_(bias)


def _wider(first: nn.Module, channels: int) -> nn.Conv2d:
    """A first convolution like the given one for more channels."""
    if not isinstance(first, nn.Conv2d):
        raise TypeError(f"{type(first).__name__} is no convolution")
    size, stride, padding = first.kernel_size[0], first.stride[0], first.padding[0]
    return nn.Conv2d(channels, first.out_channels, size, stride, int(padding), bias=first.bias is not None)
