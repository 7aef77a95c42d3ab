"""Several published generators as one network: pictures of other stains, and the weighted mask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.errors import PackageInvalidError
from models.nets.normalisation import without_running_statistics
from models.nets.resnet_generator import ResnetGenerator
from models.nets.shapes import ResnetShape, Shape
from models.nets.unet_generator import UnetGenerator


@dataclass(frozen=True)
class MaskTerm:
    """One mask of the sum: which network, of which translator's answer (None: of the IHC), with which weight."""

    net: str
    source: str | None
    weight: float


class DeepliifGraph(nn.Module):
    """Outputs in order, each (N, 3, H, W) float32 in -1..1, for RGB tiles uint8 (N, H, W, 3).

    The mask is the sum of the weighted masks as floats, in the order of `terms`; what the segmenters take from the
    translators stays float as well.

    Parameters
    ----------
    nets
        Generators by name; translators run in this order.
    outputs
        Names of translators, and None for the mask.
    """

    def __init__(self, nets: Mapping[str, nn.Module], terms: Sequence[MaskTerm], outputs: Sequence[str | None]) -> None:
        super().__init__()
        self.nets = nn.ModuleDict(nets)
        self.terms = tuple(terms)
        self.outputs = tuple(outputs)

    def forward(self, tiles: Tensor) -> tuple[Tensor, ...]:
        """The outputs, in order."""
        # As DeepLIIF brings bytes to -1..1, operation by operation.
        image = (tiles.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        segmenters = {term.net for term in self.terms}
        stains: dict[str | None, Tensor] = {None: image}
        stains |= {name: net(image) for name, net in self.nets.items() if name not in segmenters}
        answers = {name: stain for name, stain in stains.items() if name is not None}
        return tuple(self._mask(stains) if name is None else answers[name] for name in self.outputs)

    def _mask(self, stains: Mapping[str | None, Tensor]) -> Tensor:
        weighted = [self.nets[term.net](stains[term.source]) * term.weight for term in self.terms]
        total: Tensor = weighted[0]
        for mask in weighted[1:]:
            total = total + mask
        return total


def build_generator(shape: Shape, state: Mapping[str, Tensor], name: str) -> nn.Module:
    """The generator of that shape with these weights, for use: each sample is normalised by itself.

    Raises
    ------
    PackageInvalidError
        Weights are missing, left over, or of another size.
    """
    with torch.device("meta"):
        net = ResnetGenerator(shape) if isinstance(shape, ResnetShape) else UnetGenerator(shape)
    try:
        net.load_state_dict(without_running_statistics(state), assign=True)
    except RuntimeError as error:
        raise PackageInvalidError(f"{name} is not the network its first weights say: {str(error)[:300]}") from error
    return net.eval().requires_grad_(False)
