"""Random views of the samples: other scales, stains, scanners and focus, made in batches of patches.

Everything is drawn from one generator, so that a step's batch follows from the seed and the step's number alone.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from training.nuclei.config import AugmentConfig, SamplingConfig
from training.nuclei.sources import Sample

HEMATOXYLIN_EOSIN = ((0.650, 0.704, 0.286), (0.072, 0.990, 0.105))
"""Optical-density vectors of Ruifrok and Johnston 2001 (PMID 11531144)."""
FLOOR = 1.0 / 255
PAINTED_EOSIN = 0.8
"""Optical density of the strongest painted eosin."""


@dataclass(frozen=True)
class Pool:
    """Samples as tensors, by kind: images float (3, H, W) in 0..1, instances float (1, H, W)."""

    images: dict[str, list[Tensor]]
    instances: dict[str, list[Tensor]]

    @staticmethod
    def of(samples: list[Sample]) -> "Pool":
        """The pool of these samples."""
        images: dict[str, list[Tensor]] = {}
        instances: dict[str, list[Tensor]] = {}
        for sample in samples:
            image = torch.tensor(sample.image).permute(2, 0, 1).float() / 255
            images.setdefault(sample.kind, []).append(image)
            instances.setdefault(sample.kind, []).append(torch.tensor(sample.instances).float()[None])
        return Pool(images, instances)


def draw_batch(
    pool: Pool, sampling: SamplingConfig, config: AugmentConfig, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Augmented patches (N, 3, P, P) in 0..1 and their instances (N, 1, P, P)."""
    shares = {kind: getattr(sampling, kind) for kind in ("he", "stained", "blank") if kind in pool.images}
    kinds, weights = list(shares), torch.tensor(list(shares.values()))
    picked = torch.multinomial(weights, sampling.batch, replacement=True, generator=generator)
    patches = [_cut(pool, kinds[int(i)], sampling.patch_px, config, generator) for i in picked]
    images = torch.stack([image for image, _ in patches])
    instances = torch.stack([labels for _, labels in patches])
    purple = torch.tensor([kinds[int(i)] == "stained" for i in picked])
    return recolour(images, instances, purple, config, generator), instances


def recolour(images: Tensor, instances: Tensor, purple: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """The images in other stains, under other light, through other lenses; `purple` marks those without eosin."""
    density = -torch.log(images.clamp_min(FLOOR))
    density = _without_veil(density, purple, generator)
    density = _restain(density, config, generator)
    density = density + _painted_eosin(density, instances, purple, config, generator)
    gain = 1 + config.gain * _uniform((len(images), 3, 1, 1), generator)
    contrast = torch.exp(config.contrast * (0.5 + _uniform((len(images), 1, 1, 1), generator)))
    images = (torch.exp(-density * contrast) * gain.clamp_max(1.05)).clamp(0, 1)
    images = _focus(images, config, generator)
    noise = config.noise * torch.rand((len(images), 1, 1, 1), generator=generator)
    return (images + noise * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def _cut(pool: Pool, kind: str, patch_px: int, config: AugmentConfig, generator: Generator) -> tuple[Tensor, Tensor]:
    """A patch around a random pixel of that kind: scaled, turned by any angle, mirrored; reflected beyond the edge."""
    areas = torch.tensor([float(image[0].numel()) for image in pool.images[kind]])
    index = int(torch.multinomial(areas, 1, generator=generator))
    image, labels = pool.images[kind][index], pool.instances[kind][index]
    grid = _random_grid(image.shape[-2], image.shape[-1], patch_px, config, generator)
    patch = F.grid_sample(image[None], grid, "bilinear", "reflection", align_corners=False)[0]
    numbers = F.grid_sample(labels[None], grid, "nearest", "reflection", align_corners=False)[0]
    return patch, numbers


def _random_grid(height: int, width: int, patch_px: int, config: AugmentConfig, generator: Generator) -> Tensor:
    draws = torch.rand(5, generator=generator)
    low, high = torch.tensor(config.scale_min).log(), torch.tensor(config.scale_max).log()
    scale = torch.exp(low + (high - low) * draws[0])
    angle = 2 * torch.pi * draws[1]
    mirror = 1.0 if draws[2] < 0.5 else -1.0
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    turn = torch.stack([torch.stack([cosine * mirror, -sine]), torch.stack([sine * mirror, cosine])])
    steps = torch.arange(patch_px) - (patch_px - 1) / 2
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    points = torch.stack([columns, rows], -1) @ turn.T
    centre = draws[3:5] * torch.tensor([width, height])
    normal = (points + centre) * 2 / torch.tensor([width, height]) - 1
    return normal[None].float()


def _without_veil(density: Tensor, purple: Tensor, generator: Generator) -> Tensor:
    """Purple-only images with some of the even veil over their background taken off, so that eosin has room."""
    veil = density.flatten(2).quantile(0.2, dim=2)[:, :, None, None]
    taken = torch.rand((len(density), 1, 1, 1), generator=generator) * purple[:, None, None, None]
    return (density - taken * veil).clamp_min(0)


def _restain(density: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Densities with the amounts of hematoxylin and eosin changed, and shown through slightly other dyes.

    The stain augmentation of Tellez et al., doi:10.1109/TMI.2018.2820199, with the dyes' own colours jittered too.
    """
    stains = _basis()
    count = len(density)
    jitter = config.vector_jitter * torch.randn((count, 3, 3), generator=generator)
    shown = F.normalize((stains + jitter).clamp_min(0.02), dim=-1)
    amounts = torch.einsum("nchw,cs->nshw", density, torch.linalg.inv(stains))
    alpha = torch.exp(config.stain_alpha * _uniform((count, 3, 1, 1), generator))
    beta = config.stain_beta * _uniform((count, 3, 1, 1), generator)
    return torch.einsum("nshw,nsc->nchw", amounts * alpha + beta, shown).clamp_min(0)


def _painted_eosin(
    density: Tensor, instances: Tensor, purple: Tensor, config: AugmentConfig, generator: Generator
) -> Tensor:
    """Optical density of eosin painted over purple-only tissue: smooth fields and fibres, thinner over nuclei."""
    count, _, height, width = density.shape
    field = torch.zeros(count, 1, height, width)
    for cell_y, cell_x in ((48, 48), (16, 16), (24, 5), (5, 24), (3, 3)):
        shape = (count, 1, -(-height // cell_y) + 1, -(-width // cell_x) + 1)
        coarse = torch.randn(shape, generator=generator)
        weight = torch.rand((count, 1, 1, 1), generator=generator)
        field = field + weight * F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    sharpness = 1 + 4 * torch.rand((count, 1, 1, 1), generator=generator)
    level = _uniform((count, 1, 1, 1), generator)
    amount = torch.sigmoid(sharpness * (field + level))
    chosen = (torch.rand(count, generator=generator) < config.eosin_share) & purple
    strength = PAINTED_EOSIN * torch.rand(count, generator=generator) * chosen
    within = 1 - 0.7 * torch.rand((count, 1, 1, 1), generator=generator) * (instances > 0)
    eosin = torch.tensor([[0.20, 0.95, 0.45]]) + 0.08 * torch.randn((count, 3), generator=generator)
    colour = F.normalize(eosin.clamp_min(0.02), dim=-1)
    return amount * within * strength[:, None, None, None] * colour[:, :, None, None]


def _focus(images: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """A third of the images blurred, a third sharpened as some scanners do, a third left."""
    count = len(images)
    sigma = 0.4 + config.blur_sigma_px * torch.rand(count, generator=generator)
    blurred = torch.cat([_blur(image[None], float(s)) for image, s in zip(images, sigma, strict=True)])
    choice = torch.randint(3, (count, 1, 1, 1), generator=generator)
    amount = config.sharpen * torch.rand((count, 1, 1, 1), generator=generator)
    sharp = (images + amount * (images - blurred)).clamp(0, 1)
    return torch.where(choice == 0, blurred, torch.where(choice == 1, sharp, images))


def _blur(image: Tensor, sigma_px: float) -> Tensor:
    radius = int(3 * sigma_px) + 1
    steps = torch.arange(-radius, radius + 1).float()
    kernel = torch.exp(-0.5 * (steps / sigma_px) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, -1)
    padded = F.pad(image, (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel[:, :, None], groups=3), kernel[:, :, :, None], groups=3)


def _basis() -> Tensor:
    """Unit vectors of hematoxylin, eosin and what is left, (3, 3)."""
    stains = torch.tensor(HEMATOXYLIN_EOSIN)
    rest = torch.linalg.cross(stains[0], stains[1])
    return F.normalize(torch.cat([stains, rest[None]]), dim=-1)


def _uniform(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Uniform in -1..1."""
    return 2 * torch.rand(shape, generator=generator) - 1
