"""Real nuclei turned IHC: stain is moved in optical-density space, nucleus by nucleus, from hematoxylin to DAB.

Light that passes two stains is weakened by both, so optical densities add (Beer and Lambert). A purple picture is
unmixed into nuclear stain and the rest; each nucleus is given an amount of counterstain, and where it is positive of
DAB, drawn from what real IHC shows, with its own texture; then both are mixed again in the colours of real IHC.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.colour import optical_density
from models.dab import BLUE, BROWN, dab_classes
from models.stain import MIN_PIXELS, TISSUE_DENSITY, find_stains
from training.deepliif.masks import Flags, Instances, Picture

Floats = NDArray[np.float64]
NUCLEUS_PX = (60, 4000)
"""Areas of connected blue or brown that are taken for nuclei of a reference."""
WHITE_PERCENT = 95.0
SAME_STAIN_RAD = np.deg2rad(6.0)
RIM_PX = 2
"""Stain this far outside of an outline still belongs to the nucleus: outlines of annotators are not exact."""
FEWEST = 10
LEAST_TEXTURE = 0.35


@dataclass(frozen=True, eq=False)
class Reference:
    """How a real IHC picture is stained."""

    name: str
    hematoxylin: Floats
    dab: Floats
    """Unit vectors of optical density, (3,)."""
    white: Floats
    blue: Floats
    brown: Floats
    """Mean amounts of counterstain in its blue nuclei, and of DAB in its brown ones, one number each."""


@dataclass(frozen=True, eq=False)
class IhcLook:
    """Colours and strengths that one picture is given."""

    hematoxylin: Floats
    dab: Floats
    white: Floats
    blue: tuple[float, float]
    brown: tuple[float, float]
    """Mean and spread of the logarithm of a nucleus' amount."""
    ground: float
    """How much of the stain between nuclei stays, as counterstain."""
    haze: float
    """DAB everywhere in the tissue."""


@dataclass(frozen=True, eq=False)
class Amounts:
    """Stain of every pixel, float64 (H, W): counterstain with and without what DAB hides, and DAB."""

    blue: Floats
    shown: Floats
    brown: Floats


def read_reference(name: str, rgb: Picture) -> Reference:
    """Stain vectors and the spread of intensities of a real IHC picture.

    Raises
    ------
    ValueError
        It does not show two stains.

    References
    ----------
    Macenko et al. 2009, doi:10.1109/ISBI.2009.5193250 (the vectors).
    """
    density = optical_density(rgb).astype(np.float64)
    tissue = density[(density > TISSUE_DENSITY).any(axis=2)]
    stains = find_stains(tissue) if len(tissue) >= MIN_PIXELS else f"it has {len(tissue)} pixels of tissue"
    if isinstance(stains, str):
        raise ValueError(f"{name} cannot be a reference of IHC: {stains}")
    white = np.percentile(rgb.reshape(-1, 3), WHITE_PERCENT, axis=0)
    glass = optical_density(white.round().astype(np.uint8)).astype(np.float64)
    amounts = np.maximum(density - glass, 0) @ np.linalg.pinv(stains)
    classes = dab_classes(rgb)
    blue, brown = (_of_nuclei(classes == k, amounts[..., i]) for k, i in ((BLUE, 0), (BROWN, 1)))
    return Reference(name, stains[0], stains[1], white, blue, brown)


def draw_look(references: Sequence[Reference], generator: np.random.Generator) -> IhcLook:
    """Colours between those of the references, and strengths as their nuclei have them, a little moved.

    Raises
    ------
    ValueError
        No reference has enough nuclei of each kind.
    """
    part = generator.dirichlet(np.ones(len(references)))
    vectors = [
        _unit(sum(p * getattr(r, which) for p, r in zip(part, references, strict=True)), generator)
        for which in ("hematoxylin", "dab")
    ]
    white = np.array(sum(p * r.white for p, r in zip(part, references, strict=True)))
    white = np.clip(white + generator.normal(0, 5), 200, 253) + generator.normal(0, 1.5, 3)
    blue, brown = (_spread([getattr(r, which) for r in references], generator) for which in ("blue", "brown"))
    ground, haze = generator.uniform(0.15, 0.6), generator.uniform(0.0, 0.05)
    return IhcLook(vectors[0], vectors[1], white, blue, brown, ground, haze)


def move_stain(
    rgb: Picture, instances: Instances, positive: Flags, look: IhcLook, generator: np.random.Generator
) -> Amounts:
    """Counterstain and DAB of a purple picture whose nuclei are known, as an IHC of it would hold them.

    A nucleus is about as dark among its neighbours as it was. Chromatin keeps its texture, in DAB with less contrast.
    A weakly positive nucleus keeps more of its counterstain than a strong one.
    """
    nuclear, rest = _unmix(rgb, instances)
    count = len(positive)
    numbers = np.arange(1, count + 1)
    own = np.maximum(ndimage.median(nuclear, instances, numbers), 1e-3) if count else np.zeros(0)
    rank = _standard(np.log(own)) if count > 1 else np.zeros(count)
    blue = _drawn(look.blue, 0.7 * rank + 0.5 * generator.normal(size=count))
    brown = _drawn(look.brown, 0.3 * rank + 0.95 * generator.normal(size=count)) * positive
    usual = float(np.median(own)) if count else max(float(np.percentile(nuclear, 99)), 0.2)
    owner = _expand(instances)
    # Where unmixing leaves nothing inside of an outline, a nucleus is pale there and has no hole.
    texture = np.clip(nuclear / _per_cell(owner, own, usual), np.where(instances > 0, LEAST_TEXTURE, 0), 2.2) ** 0.8
    between = look.ground * np.exp(look.blue[0]) * np.clip(nuclear / usual, 0, 1) ** 1.2 + 0.25 * look.ground * rest
    counterstain = np.where(owner > 0, texture * _per_cell(owner, blue, 0.0), between)
    covered = ndimage.gaussian_filter((owner > 0).astype(np.float64), 0.7)
    dab = ndimage.gaussian_filter(_per_cell(owner, brown, 0.0), 0.7) * np.minimum(texture, 1.6) ** 0.7 * (owner > 0)
    grain = np.clip(1 + 0.2 * ndimage.gaussian_filter(generator.normal(size=dab.shape), 0.8), 0.4, 1.6)
    dab = dab * grain + look.haze * (1 - covered) * (0.4 + rest)
    hidden = 1 - 0.75 * np.clip(_per_cell(owner, brown, 0.0) / np.exp(look.brown[0]), 0, 1)
    return Amounts(counterstain, counterstain * hidden, dab)


def mix(amounts: Amounts, look: IhcLook, generator: np.random.Generator) -> Picture:
    """The IHC picture of these amounts, uint8 (H, W, 3), with a sensor's noise."""
    density = amounts.shown[..., None] * look.hematoxylin + amounts.brown[..., None] * look.dab
    light = look.white * np.exp(-density) + generator.normal(0, 1.2, density.shape)
    return np.clip(light, 0, 255).round().astype(np.uint8)


def _of_nuclei(found: Flags, amounts: Floats) -> Floats:
    """Mean amounts of connected pieces as large as nuclei."""
    pieces, count = ndimage.label(found)
    areas = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    chosen = np.flatnonzero((areas >= NUCLEUS_PX[0]) & (areas <= NUCLEUS_PX[1])) + 1
    means = np.asarray(ndimage.mean(amounts, pieces, chosen), np.float64) if len(chosen) else np.zeros(0)
    return means[means > 0.05]


def _unit(vector: object, generator: np.random.Generator) -> Floats:
    moved = np.maximum(np.asarray(vector, np.float64) + generator.normal(0, 0.02, 3), 0.02)
    return np.asarray(moved / np.linalg.norm(moved))


def _spread(values: Sequence[Floats], generator: np.random.Generator) -> tuple[float, float]:
    """Mean and spread of the logarithms over all references' nuclei, the mean moved a little."""
    logs = np.log(np.concatenate(values)) if values else np.zeros(0)
    if len(logs) < FEWEST:
        raise ValueError(f"the references of IHC show {len(logs)} nuclei of a kind: {FEWEST} are needed")
    return float(logs.mean() + generator.normal(0, 0.15)), float(logs.std())


def _drawn(spread: tuple[float, float], z: Floats) -> Floats:
    return np.asarray(np.exp(spread[0] + spread[1] * np.clip(z, -2, 2)))


def _standard(values: Floats) -> Floats:
    return np.asarray((values - values.mean()) / max(float(values.std()), 0.05))


def _per_cell(owner: Instances, values: Floats, elsewhere: float) -> Floats:
    return np.asarray(np.concatenate([[elsewhere], values])[owner])


def _expand(instances: Instances) -> Instances:
    """Each nucleus with its rim; between two, the nearer one has the pixel."""
    far, (rows, columns) = ndimage.distance_transform_edt(instances == 0, return_indices=True)
    owner: Instances = np.where(far <= RIM_PX, instances[rows, columns], 0).astype(np.int32)
    return owner


def _unmix(rgb: Picture, instances: Instances) -> tuple[Floats, Floats]:
    """Amounts of nuclear stain and of the rest, by the directions that the nuclei and their surroundings have."""
    white = np.percentile(rgb.reshape(-1, 3), 99, axis=0).round().astype(np.uint8)
    density = np.maximum(optical_density(rgb).astype(np.float64) - optical_density(white), 0)
    inside, total = instances > 0, density.sum(axis=2)
    if not inside.any():
        return density.mean(axis=2), density.mean(axis=2)
    nuclear = _direction(density[inside & (total >= np.median(total[inside]))])
    outside = ~inside & (total >= np.percentile(total, 60))
    other = _direction(density[outside]) if outside.any() else nuclear
    if np.arccos(np.clip(nuclear @ other, -1, 1)) < SAME_STAIN_RAD:
        return density @ nuclear, np.where(inside, 0.0, density @ nuclear)
    amounts = np.maximum(density @ np.linalg.pinv(np.stack([nuclear, other])), 0)
    return amounts[..., 0], amounts[..., 1]


def _direction(density: Floats) -> Floats:
    mean = density.mean(axis=0)
    if not mean.any():
        return np.full(3, 1 / np.sqrt(3))
    return np.asarray(mean / np.linalg.norm(mean))
