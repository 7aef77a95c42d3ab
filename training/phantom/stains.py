"""Matter into light: the same block as H&E, Ki-67, PHH3 and the channels of DeepLIIF."""

import numpy as np
from numpy.typing import NDArray

from training.phantom.block import Block
from training.phantom.looks import Look
from training.phantom.spec import Stain

Map = NDArray[np.float32]
Light = NDArray[np.float32]
RIM_UM = 0.75
"""Width of the mask's boundary class."""


def light_of(block: Block, stain: Stain, look: Look) -> Light:
    """The light of a block in one stain before the scanner sees it; float32 (3, height, width), 0 to 255.

    References
    ----------
    Ruifrok and Johnston 2001 (PMID 11531144): optical densities of stains add (Beer and Lambert).
    """
    if stain == "he":
        return _through(look, *_he(block))
    if stain in ("ki67", "phh3"):
        return _through(look, *_ihc(block, block.nuclei.brown if stain == "ki67" else block.nuclei.phh3))
    if stain == "hematoxylin":
        blue, _ = _ihc(block, np.zeros(len(block.nuclei)))
        return _through(look, blue, np.zeros_like(blue))
    if stain == "mask":
        return _mask(block)
    return _glow(block, stain, look)


def _through(look: Look, blue: Map, second: Map) -> Light:
    """White light after two stains."""
    light = np.empty((3, *blue.shape), dtype=np.float32)
    for channel in range(3):
        density = blue * look.hematoxylin[channel] + second * look.second[channel]
        np.exp(-density, out=light[channel])
        light[channel] *= look.glass[channel]
    return light


def _he(block: Block) -> tuple[Map, Map]:
    """Amounts of hematoxylin and eosin."""
    canvas = block.canvas
    free = 1.0 - 0.7 * canvas.cover
    clear = np.clip(1.0 + np.minimum(canvas.aura, 0.0), 0.0, 1.0)
    pink = np.maximum(canvas.aura, 0.0)
    cytoplasm = block.cytoplasm * free * clear
    collagen = block.collagen * free
    membrane = block.membrane * free
    blue = canvas.chromatin * block.tissue + 0.15 * cytoplasm + 0.05 * collagen + 0.10 * membrane
    red = 0.33 * cytoplasm + 1.0 * collagen + 0.34 * membrane + 0.8 * pink * free * block.tissue + 0.95 * block.blood
    return blue.astype(np.float32), red.astype(np.float32)


def _ihc(block: Block, brown: NDArray[np.float64]) -> tuple[Map, Map]:
    """Amounts of counterstain and DAB."""
    canvas = block.canvas
    strength = _per_owner(block, brown)
    grain = np.clip(1.0 + 0.22 * block.fine + 0.12 * block.medium, 0.3, 1.7)
    free = 1.0 - canvas.cover
    dab = strength * canvas.cover * grain * np.clip(0.55 + 0.45 * canvas.chromatin, 0.5, 1.3)
    hidden = np.clip(1.0 - 0.55 * strength, 0.35, 1.0)
    net = np.clip(1.0 - 2.4 * np.abs(block.medium), 0.0, 1.0)
    background = (
        (0.06 * block.cytoplasm + 0.07 * block.collagen) * (grain + 1.1 * net)
        + 0.08 * block.membrane
        + 0.1 * block.blood
    )
    blue = _calm(block) * block.tissue * hidden + background * free
    dab = dab + (0.012 * block.cytoplasm + 0.01 * block.collagen) * (1.0 + net) * free
    return blue, dab


def _calm(block: Block) -> Map:
    """Nuclear stain with less of the chromatin's contrast than H&E shows."""
    return 0.5 * block.canvas.chromatin + 0.37 * _per_owner(block, block.nuclei.dark) * block.canvas.cover


def _per_owner(block: Block, values: NDArray[np.float64]) -> Map:
    """A number of each nucleus at all its pixels; 0 elsewhere."""
    table = np.concatenate([[0.0], values]).astype(np.float32)
    return table[block.canvas.owner]


def _glow(block: Block, stain: Stain, look: Look) -> Light:
    """Fluorescence on black: DAPI, the nuclear envelope (Lap2), the marker."""
    canvas = block.canvas
    if stain == "dapi":
        grey = 165.0 * _calm(block) * (1.0 + 0.1 * block.fine)
    elif stain == "lap2":
        rim = np.clip(1.0 - np.abs(canvas.inside - 0.35) / 0.8, 0.0, 1.0)
        grey = 190.0 * rim * np.clip(0.85 + 0.15 * block.medium, 0.3, 1.3) + 26.0 * canvas.cover
    else:
        grey = 120.0 * _per_owner(block, block.nuclei.brown) * canvas.cover * np.clip(1 + 0.2 * block.fine, 0.3, 1.7)
    grey = np.clip(grey * block.tissue, 0.0, 245.0)
    return np.clip(grey[None] + look.glass[:, None, None], 0.0, 255.0)


def _mask(block: Block) -> Light:
    """Classes as DeepLIIF colours them: R positive, B negative, G the boundary, black elsewhere."""
    canvas = block.canvas
    positive = np.concatenate([[False], block.nuclei.ki67])[canvas.owner]
    nucleus = (canvas.owner > 0) & (block.tissue > 0.5)
    edge = nucleus & ((canvas.inside < max(RIM_UM, canvas.mpp)) | _touching(canvas.owner))
    interior = nucleus & ~edge
    classes = np.stack([interior & positive, edge, interior & ~positive])
    light: Light = classes.astype(np.float32) * np.float32(255)
    return light


def _touching(owner: NDArray[np.int32]) -> NDArray[np.bool_]:
    """True where a neighbour to the right or below belongs to another nucleus."""
    touching = np.zeros(owner.shape, dtype=bool)
    touching[:, :-1] |= owner[:, :-1] != owner[:, 1:]
    touching[:-1] |= owner[:-1] != owner[1:]
    return touching
