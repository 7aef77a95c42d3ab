"""Regions of a phantom in memory: any box, any stain, the same pixels as in the written slide."""

import numpy as np
from numpy.typing import NDArray

from training.phantom.block import BLOCK_PX, Block, block_at, coarse_step
from training.phantom.layout import may_hold_tissue
from training.phantom.looks import look_of
from training.phantom.pen import under_ink
from training.phantom.scanner import halo_px, scan
from training.phantom.section import is_moved, to_tissue
from training.phantom.spec import BRIGHT_FIELD, PhantomSpec, Section, Stain
from training.phantom.stains import light_of
from workers.geometry import Box, round_down, round_up

RGB = NDArray[np.uint8]


def render_region(spec: PhantomSpec, stain: Stain, box: Box) -> RGB:
    """The pixels of a level-0 box in one stain; uint8 (height, width, 3). Beyond the slide the tissue goes on.

    Blocks of 512 px on a fixed grid are rendered and the box is cut from them, so a pixel's value depends on the spec,
    the stain and its place alone.
    """
    return render_regions(spec, (stain,), box)[stain]


def render_regions(spec: PhantomSpec, stains: tuple[Stain, ...], box: Box) -> dict[Stain, RGB]:
    """The pixels of a level-0 box in several stains; the tissue is made once for stains that lie alike."""
    shape = (box.height, box.width, 3)
    pictures: dict[Stain, RGB] = {stain: np.empty(shape, dtype=np.uint8) for stain in stains}
    for y in range(round_down(box.y, BLOCK_PX), box.bottom, BLOCK_PX):
        for x in range(round_down(box.x, BLOCK_PX), box.right, BLOCK_PX):
            part = box.intersect(Box(x, y, BLOCK_PX, BLOCK_PX))
            for stain, pixels in render_block(spec, stains, x, y).items():
                pictures[stain][part.y - box.y : part.bottom - box.y, part.x - box.x : part.right - box.x] = (
                    glass_colour(spec, stain)
                    if pixels is None
                    else pixels[part.y - y : part.bottom - y, part.x - x : part.right - x]
                )
    return pictures


def render_block(spec: PhantomSpec, stains: tuple[Stain, ...], x_px: int, y_px: int) -> dict[Stain, RGB | None]:
    """One 512 px block in several stains; None where the block is bare glass."""
    return pictures_of(spec, matter_of(spec, stains, x_px, y_px), x_px, y_px)


def matter_of(spec: PhantomSpec, stains: tuple[Stain, ...], x_px: int, y_px: int) -> dict[Stain, Block | None]:
    """The block of matter behind each stain; stains that lie alike share one."""
    halo = _halo(spec)
    made: dict[Section, Block | None] = {}
    blocks: dict[Stain, Block | None] = {}
    for stain in stains:
        section = spec.section(stain)
        place = section if is_moved(section) else Section("he")
        if place not in made:
            made[place] = block_at(spec, place, x_px, y_px, halo) if may_show(spec, section, x_px, y_px) else None
        blocks[stain] = made[place]
    return blocks


def pictures_of(spec: PhantomSpec, blocks: dict[Stain, Block | None], x_px: int, y_px: int) -> dict[Stain, RGB | None]:
    """The blocks as the scanner gives them."""
    box = (x_px, y_px, BLOCK_PX, _halo(spec))
    pictures: dict[Stain, RGB | None] = {}
    for stain, block in blocks.items():
        pictures[stain] = None
        if block is not None:
            light = light_of(block, stain, look_of(spec, stain))
            if block.ink is not None and stain in BRIGHT_FIELD:
                light = under_ink(spec, light, block.ink)
            pictures[stain] = scan(spec, stain, light, block.tissue, box)
    return pictures


def _halo(spec: PhantomSpec) -> int:
    return round_up(halo_px(spec), coarse_step(spec.mpp))


def may_show(spec: PhantomSpec, section: Section, x_px: int, y_px: int) -> bool:
    """False only where the block is surely bare glass: no pixel is computed to know it."""
    centre = (x_px + BLOCK_PX / 2) * spec.mpp, (y_px + BLOCK_PX / 2) * spec.mpp
    x, y = to_tissue(spec, section, np.array([centre[0]]), np.array([centre[1]]))
    radius = 0.75 * BLOCK_PX * spec.mpp + 40.0 + 0.1 * section.warp_um
    return bool(may_hold_tissue(spec, x, y, radius)[0])


def glass_colour(spec: PhantomSpec, stain: Stain) -> NDArray[np.uint8]:
    """The colour of bare glass in a stain."""
    return look_of(spec, stain).glass.astype(np.uint8)
