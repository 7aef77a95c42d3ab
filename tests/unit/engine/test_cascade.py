"""Which cells a cascade leaves: discs by hand, blocks and regions that do not show, against a slow reference."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.array_slide import ArraySlide
from workers.engine import cascade
from workers.engine.cascade import Look, Rule, cells_with_candidates
from workers.engine.progress import say_nothing
from workers.engine.stream import StoppedError
from workers.geometry import Frame
from workers.measures.candidates import DarkDiscs, smooth_intensity
from workers.plan import Grid

CELL_PX = 8
RULE = Rule(diameter_um=6.0, threshold=0.6)


def look(pixels: np.ndarray, frame_mpp: float = 1.0) -> Look:
    """A slide of 1 um/px; the frame may be finer than it."""
    slide = ArraySlide(pixels, 1.0)
    width, height = (round(side / frame_mpp) for side in (slide.info.width_px, slide.info.height_px))
    frame = Frame(frame_mpp, width, height, 1.0, slide.info.bounds)
    grid = Grid(tile_px=16, halo_px=0, align_px=1, cell_px=round(CELL_PX / frame_mpp), shard_px=64)
    return Look(slide, frame, grid, 2, say_nothing, threading.Event())


def glass(width: int, height: int, *spots: tuple[int, int]) -> np.ndarray:
    """White, with dark spots of 3 x 3 px around each (x, y): after smoothing their middle is the one minimum."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    for x, y in spots:
        pixels[y - 1 : y + 2, x - 1 : x + 2] = 0
    return pixels


def cells_of(width: int, height: int) -> np.ndarray:
    return np.ones((-(-height // CELL_PX), -(-width // CELL_PX)), dtype=bool)


def left(pixels: np.ndarray, analysed=None, tissue=None, frame_mpp: float = 1.0) -> list[list[int]]:
    every = cells_of(pixels.shape[1], pixels.shape[0])
    analysed = every if analysed is None else analysed
    found = cells_with_candidates(look(pixels, frame_mpp), (RULE,), analysed, every if tissue is None else tissue)
    return np.argwhere(found).tolist()


def test_a_disc_touches_the_cells_within_its_radius():
    # The middle of px (12, 12) is 12.5: 3.5 from cell 2, which begins at 16, and 4.5 from cell 0, which ends at 8.
    assert left(glass(32, 32, (12, 12))) == [[1, 1]]
    # 13.5 is 2.5 from 16 to the right; down it is 3.5.
    assert left(glass(32, 32, (13, 12))) == [[1, 1], [1, 2]]
    # 2.5 in both directions is 3.54 to the corner of the cell across: more than the radius of 3.
    assert left(glass(32, 32, (13, 13))) == [[1, 1], [1, 2], [2, 1]]
    # 1.5 in both: 2.12.
    assert left(glass(32, 32, (14, 14))) == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_a_finer_frame_has_the_same_cells():
    assert left(glass(32, 32, (13, 12)), frame_mpp=0.25) == [[1, 1], [1, 2]]


def test_a_disc_across_the_slide_s_edge_is_cut():
    assert left(glass(32, 32, (1, 1), (30, 30))) == [[0, 0], [3, 3]]


def test_what_is_pale_leaves_nothing():
    assert left(np.full((32, 32, 3), 180, np.uint8)) == []


def test_a_candidate_on_glass_counts_for_nothing_and_one_beside_the_region_reaches_into_it():
    pixels = glass(32, 8, (13, 4))
    tissue = np.array([[True, True, True, True]])
    region = np.array([[False, False, True, True]])
    assert left(pixels, region, tissue) == [[0, 2]]
    assert left(pixels, region, region) == []


def slow(pixels: np.ndarray, analysed: np.ndarray, tissue: np.ndarray) -> list[list[int]]:
    """Each px of the whole image asked for itself, each disc against each cell."""
    height, width = pixels.shape[:2]
    smooth = smooth_intensity(np.pad(pixels, ((9, 9), (9, 9), (0, 0)), constant_values=255), 1.0)
    hits = set()
    for y in range(height):
        for x in range(width):
            value, around = smooth[y + 9, x + 9], smooth[y + 8 : y + 11, x + 8 : x + 11]
            if value != around.min() or value > 0.6 * 765 * 4096**2 or not tissue[y // CELL_PX, x // CELL_PX]:
                continue
            for row, column in np.argwhere(analysed).tolist():
                down = max(row * CELL_PX - (y + 0.5), 0, y + 0.5 - (row + 1) * CELL_PX)
                right = max(column * CELL_PX - (x + 0.5), 0, x + 0.5 - (column + 1) * CELL_PX)
                if down**2 + right**2 <= 3.0**2:
                    hits.add((row, column))
    return sorted(map(list, hits))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(5, 40))
def test_blocks_and_regions_give_what_the_whole_image_gives(seed: int, block_px: int):
    rng = np.random.default_rng(seed)
    pixels = np.full((20, 28, 3), 250, np.uint8)
    for x, y in rng.integers(0, 20, (4, 2)):
        pixels[y : y + 3, x : x + 3] = rng.integers(0, 160)
    tissue = rng.random((3, 4)) < 0.7
    analysed = tissue & (rng.random((3, 4)) < 0.7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cascade, "BLOCK_PX", block_px)
        assert left(pixels, analysed, tissue) == slow(pixels, analysed, tissue)


def test_a_stop_is_heard():
    asked = look(glass(32, 32, (12, 12)))
    asked.stop.set()
    with pytest.raises(StoppedError):
        cells_with_candidates(asked, (RULE,), cells_of(32, 32), cells_of(32, 32))


def test_the_margin_is_what_the_kernel_and_a_minimum_need():
    assert DarkDiscs(diameter_px=6, threshold=0.6, smooth_px=1.0).margin_px == 4
