"""The network as the engine runs it: bytes of H&E in, the virtual Ki-67 image and its map of brown and blue out."""

import torch
from torch import Tensor, nn

from models.colour import HED_VECTORS
from models.dab import BLUE_DENSITY, BROWN_DENSITY
from training.virtual_ihc.networks import Generator

CLASSES = ("rest", "negative", "positive")
"""In the order of `models.dab`: neither, blue, brown."""


class VirtualStain(nn.Module):
    """(image, logits) of tiles uint8 (N, H, W, 3): float32 (N, 3, H, W) in -1..1, and (N, 3, H, W) over `CLASSES`.

    The largest logit is the class that `models.dab.dab_classes` gives the image, so that the engine measures the
    positive and the negative area of the virtual slide as of any class map. Logits are continuous in the colour:
    rest 0, negative as far as hematoxylin is above its density, positive as far as DAB is above its own, on top of the
    negative one where that is above 0.

    References
    ----------
    Liu et al., doi:10.3389/fmolb.2020.00183 (the filter); Ruifrok and Johnston 2001, PMID 11531144 (the unmixing).
    """

    unmix: Tensor

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        self.register_buffer("unmix", torch.linalg.inv(torch.from_numpy(HED_VECTORS.copy())), persistent=False)

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """The image and the logits."""
        image: Tensor = self.generator(tiles.permute(0, 3, 1, 2).float() / 127.5 - 1)
        return image, self.logits(image)

    def logits(self, image: Tensor) -> Tensor:
        """Logits (N, 3, H, W) over rest, negative and positive of an image (N, 3, H, W) in -1..1."""
        density = -torch.log(((image + 1) * 127.5 + 1) / 256)
        amounts = torch.einsum("nchw,cs->nshw", density, self.unmix)
        blue, brown = amounts[:, 0] - BLUE_DENSITY, amounts[:, 2] - BROWN_DENSITY
        return torch.stack([torch.zeros_like(blue), blue, blue.clamp(min=0) + brown], dim=1)
