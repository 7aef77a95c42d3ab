"""Phantoms as DeepLIIF's panels, with exact instances."""

import numpy as np
from numpy.typing import NDArray

from training.deepliif.config import PhantomConfig
from training.deepliif.masks import draw_mask, number_cells
from training.deepliif.panels import Panels
from training.deepliif.real import Cells
from training.phantom.block import BLOCK_PX, Block
from training.phantom.render import glass_colour, matter_of, pictures_of
from training.phantom.spec import PhantomSpec, Stain

CHANNELS: tuple[Stain, ...] = ("ki67", "hematoxylin", "dapi", "lap2", "marker")
PARTS = ("train", "val", "test")


def phantom_specs(config: PhantomConfig, mpp: float) -> dict[str, dict[str, PhantomSpec]]:
    """The phantoms of each part by name; no seed is in two parts."""
    parts: dict[str, dict[str, PhantomSpec]] = {}
    first = 0
    for part in PARTS:
        count = getattr(config, part)
        parts[part] = {f"phantom-{config.seed + i}": _spec(config, i, part, mpp) for i in range(first, first + count)}
        first += count
    return parts


def phantom_cells(spec: PhantomSpec, boundary_px: int) -> Cells:
    """The whole phantom: Ki-67 IHC, its modalities, and the mask drawn from the nuclei themselves."""
    shape = (spec.height_px, spec.width_px)
    pictures = {stain: np.empty((*shape, 3), np.uint8) for stain in CHANNELS}
    owners = np.zeros(shape, np.int64)
    is_positive: dict[int, bool] = {}
    for y in range(0, spec.height_px, BLOCK_PX):
        for x in range(0, spec.width_px, BLOCK_PX):
            blocks = matter_of(spec, CHANNELS, x, y)
            rows, columns = slice(y, min(y + BLOCK_PX, shape[0])), slice(x, min(x + BLOCK_PX, shape[1]))
            height, width = rows.stop - y, columns.stop - x
            for stain, pixels in pictures_of(spec, blocks, x, y).items():
                shown = glass_colour(spec, stain) if pixels is None else pixels[:height, :width]
                pictures[stain][rows, columns] = shown
            block = blocks[CHANNELS[0]]
            if block is not None:
                owners[rows, columns] = _owners(block, (x, y), (width, height))
                is_positive |= dict(zip((block.nuclei.id + 1).tolist(), block.nuclei.ki67.tolist(), strict=True))
    instances, names = number_cells(owners)
    positive = np.array([is_positive[name] for name in names.tolist()], np.bool_)
    ihc, hematoxylin, dapi, lap2, marker = (pictures[stain] for stain in CHANNELS)
    mask = draw_mask(instances, positive, boundary_px)
    return Cells(Panels(ihc, hematoxylin, dapi, lap2, marker, mask), instances, positive)


def _owners(block: Block, at_px: tuple[int, int], size_px: tuple[int, int]) -> NDArray[np.int64]:
    """One more than the id of the nucleus at each pixel of the block without its halo; 0 where there is none."""
    left, top = at_px[0] - block.canvas.x_px, at_px[1] - block.canvas.y_px
    cut = (slice(top, top + size_px[1]), slice(left, left + size_px[0]))
    owner = block.canvas.owner[cut]
    ids = np.concatenate([[-1], block.nuclei.id]) + 1
    return np.where((owner > 0) & (block.tissue[cut] > 0.5), ids[owner], 0)


def _spec(config: PhantomConfig, i: int, part: str, mpp: float) -> PhantomSpec:
    side = config.test_side_px if part == "test" else config.side_px
    return PhantomSpec(
        seed=config.seed + i,
        width_px=side,
        height_px=side,
        mpp=mpp,
        tissue=config.tissue[i % len(config.tissue)],
        tumour=config.tumour[i % len(config.tumour)],
        ki67=config.ki67[i % len(config.ki67)],
        pleomorphism=config.pleomorphism[i % len(config.pleomorphism)],
        blur_um=config.blur_um[i % len(config.blur_um)],
        lymphocytes=config.lymphocytes[i % len(config.lymphocytes)],
    )
