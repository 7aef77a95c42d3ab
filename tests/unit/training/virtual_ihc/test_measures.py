"""The index by colours, hashes, seams and the grid of tiles, on cases worked by hand."""

import math

import numpy as np
import pytest
import torch

from models.colour import from_hed
from models.dab import BLUE, BROWN, REST, dab_classes
from training.virtual_ihc.config import DataConfig, NetConfig
from training.virtual_ihc.graph import CLASSES, VirtualStain
from training.virtual_ihc.index import brown_share, dab_at
from training.virtual_ihc.networks import Generator
from training.virtual_ihc.quality import hash_likeness, psnr_db, scales_of
from training.virtual_ihc.slide_map import IN_PHASE_PX, seam_score
from training.virtual_ihc.tiles import tile_corners
from workers.geometry import Box
from workers.quality.tissue import TissueMask
from workers.slides.slide import Level, SlideInfo

COLOURS = from_hed(np.array([[0.05, 0, 0], [0.9, 0, 0], [0.2, 0, 0.8]], np.float32))
GLASS, BLUE_NUCLEUS, BROWN_NUCLEUS = COLOURS


def slide(width_px: int, height_px: int, mpp: float = 0.25) -> SlideInfo:
    level = Level(0, width_px, height_px, 1.0)
    box = Box(0, 0, width_px, height_px)
    return SlideInfo(
        "png", "", "pillow", width_px, height_px, (level,), mpp, "metadata", mpp, None, box, False, "deflate"
    )


def mask(width: int, height: int, mpp: float) -> TissueMask:
    return TissueMask(np.ones((height, width), bool), np.zeros((height, width), bool), mpp, 0.25)


def test_tiles_of_288_px_in_steps_of_144_at_half_a_micrometre():
    corners = tile_corners(slide(2304, 1152), mask(144, 72, 4.0), DataConfig())
    assert corners.tolist() == [[x, y] for y in range(0, 289, 144) for x in range(0, 865, 144)]


def test_tiles_without_tissue_are_left_out():
    tissue = mask(144, 72, 4.0)
    tissue.mask[:, 72:] = False
    corners = tile_corners(slide(2304, 1152), tissue, DataConfig(tissue=0.5))
    assert sorted(set(corners[:, 0].tolist())) == [0, 144, 288, 432]
    assert not len(tile_corners(slide(500, 500), mask(32, 32, 4.0), DataConfig())), "smaller than a tile"


def test_the_index_is_brown_over_brown_and_blue():
    picture = np.array([[GLASS] * 5, [BLUE_NUCLEUS] * 3 + [BROWN_NUCLEUS] * 2], np.uint8)
    assert [list(row).count(kind) for row in dab_classes(picture) for kind in (REST,)] == [5, 0]
    assert brown_share(picture) == pytest.approx(2 / 5)
    assert brown_share(picture[:1]) == 0


def test_brown_is_read_at_the_nucleus():
    picture = np.tile(BLUE_NUCLEUS, (40, 40, 1)).astype(np.uint8)
    picture[10:20, 30:40] = BROWN_NUCLEUS
    at = dab_at(picture, 0.5, np.array([17.5, 7.5]), np.array([7.5, 17.5]))
    assert at[0] == pytest.approx(0.8, abs=0.02)
    assert at[1] < 0.05


def test_the_graphs_classes_are_those_of_the_filter():
    graph = VirtualStain(Generator(NetConfig(widths=(1, 1, 1, 1), blocks=1)))
    pixels = np.random.default_rng(4).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    found = graph.logits(image).argmax(1).numpy().astype(np.uint8)
    assert np.array_equal(found, dab_classes(pixels))
    assert (CLASSES[REST], CLASSES[BLUE], CLASSES[BROWN]) == ("rest", "negative", "positive")
    ends = graph.logits(torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 3, 1, 1))
    assert torch.isfinite(ends).all()


def test_a_hash_has_a_bit_for_each_channel():
    one = torch.tensor([[0.0, 1.0, 2.0, 3.0]])
    assert float(hash_likeness(one, 10 * one + 5)) == 1
    assert float(hash_likeness(one, one.flip(1))) == 0
    assert float(hash_likeness(one, torch.tensor([[0.0, 3.0, 1.0, 2.0]]))) == pytest.approx(0.5)


def test_psnr_by_hand():
    one, other = np.zeros((12, 12, 3), np.uint8), np.full((12, 12, 3), 51, np.uint8)
    assert psnr_db(one, other) == pytest.approx(-20 * math.log10(0.2))
    assert psnr_db(one, one) == 100


def test_scales_that_fit():
    assert [scales_of(side) for side in (288, 176, 175, 99, 98, 44, 43, 11)] == [5, 5, 4, 4, 3, 3, 2, 2]
    with pytest.raises(ValueError, match="smaller than the window"):
        scales_of(10)


def test_a_seam_is_found_and_a_checkerboard_is_none():
    noise = np.random.default_rng(5).integers(100, 120, (256, 256, 3), dtype=np.uint8)
    assert seam_score(noise, 64) == pytest.approx(1, abs=0.03)
    darker = noise.copy()
    darker[:, 64:128] -= 30
    assert seam_score(darker, 64) > 1.3
    board = noise.copy()
    board[::2, ::2] += 60
    board[:, ::8] += 20
    assert abs(seam_score(board, 64) - 1) > 0.05
    assert seam_score(board, 64, IN_PHASE_PX) == pytest.approx(1, abs=0.02)
    assert seam_score(noise, 256) == 1
