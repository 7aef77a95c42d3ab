"""The whole chain of random changes, by the letters of the paper."""

from typing import Annotated, Self

from pydantic import Field, model_validator
from torch import Generator, Tensor

from training.augment.colour import enhance_at_random
from training.augment.geometry import Shapes, reshape
from training.augment.hed import hed_jitter
from training.augment.optics import add_noise, blur_at_random, halve_resolution
from training.loop.config import Positive, Section, Share

LETTERS = "RCSEHBGL"
Spread = Annotated[float, Field(ge=0)]


class AugmentConfig(Section):
    """Which changes, by letter, and how far; the paper's numbers are the defaults.

    R quarter turns and mirrors, C stain, S scale, E elastic, H brightness, contrast and colour, B blur, G noise: the
    letters of the paper's Table III. L, some patches at half the resolution, is ours. The crop always moves about the
    middle.
    """

    letters: str = "RCSEHBG"
    stain_sigma: Spread = 0.05
    scale_min: Positive = 0.75
    scale_max: Positive = 1.25
    elastic_alpha: Spread = 100.0
    elastic_sigma_px: Positive = 10.0
    shift_px: Annotated[int, Field(ge=0)] = 14
    strong_min: Positive = 0.75
    strong_max: Positive = 1.5
    """Of colour and of contrast."""
    brightness_min: Positive = 0.75
    brightness_max: Positive = 1.25
    blur_sigma_px: Spread = 2.0
    noise_sd: Spread = 0.1
    halved: Share = 0.25
    """Part of the patches that L makes coarse."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = set(self.letters) - set(LETTERS)
        if unknown or len(set(self.letters)) != len(self.letters):
            raise ValueError(f"letters are some of {LETTERS}, each once, not {self.letters!r}")
        if self.scale_min > self.scale_max or self.strong_min > self.strong_max:
            raise ValueError("the least factor of a range is above its greatest")
        return self

    def shapes(self) -> Shapes:
        """The changes of shape that the letters ask for."""
        scaled, bent = "S" in self.letters, "E" in self.letters
        return Shapes(
            turn="R" in self.letters,
            scale_min=self.scale_min if scaled else 1.0,
            scale_max=self.scale_max if scaled else 1.0,
            elastic_alpha=self.elastic_alpha if bent else 0.0,
            elastic_sigma_px=self.elastic_sigma_px,
            shift_px=self.shift_px,
        )


def augment(images: Tensor, size_px: int, config: AugmentConfig, generator: Generator) -> Tensor:
    """Crops (N, 3, size_px, size_px) of images (N, 3, H, W) in 0..1, changed as the letters of `config` say.

    Shape first, then stain, light, focus, resolution, noise: the order of tissue, dye, lamp, lens and sensor. The paper
    names no order.

    References
    ----------
    Tellez et al., doi:10.1109/TMI.2018.2820199, sections IV.B and V.B.
    """
    letters = config.letters
    images = reshape(images, size_px, config.shapes(), generator).clamp_(0, 1)
    if "C" in letters:
        images = hed_jitter(images, config.stain_sigma, generator)
    if "H" in letters:
        strong, bright = (config.strong_min, config.strong_max), (config.brightness_min, config.brightness_max)
        images = enhance_at_random(images, strong, bright, generator)
    if "B" in letters:
        images = blur_at_random(images, config.blur_sigma_px, generator)
    if "L" in letters:
        images = halve_resolution(images, config.halved, generator)
    return add_noise(images, config.noise_sd, generator) if "G" in letters else images


def middle(images: Tensor, size_px: int) -> Tensor:
    """The middles (N, 3, size_px, size_px) of images (N, 3, H, W): what a network is shown when nothing is random."""
    top, left = ((side - size_px) // 2 for side in images.shape[-2:])
    return images[..., top : top + size_px, left : left + size_px]
