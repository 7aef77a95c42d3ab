from itertools import pairwise

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InternalError
from training.phantom.pyramid import EncodedBlock, PyramidSink, encode_block, level_sizes, reduce
from training.phantom.spec import PhantomSpec
from training.phantom.tiff import JPEG, PageStyle, PyramidFile

GLASS = np.array([240, 241, 242], dtype=np.uint8)


@given(st.integers(1, 300_000), st.integers(1, 300_000))
def test_levels_are_quarters_down_to_a_screen(width, height):
    sizes = level_sizes(width, height)
    assert sizes[0] == (width, height)
    for (w0, h0), (w1, h1) in pairwise(sizes):
        assert (w1, h1) == (w0 // 4, h0 // 4) and min(w1, h1) >= 1
    assert max(sizes[-1]) <= 512 or min(sizes[-1]) < 4


def test_reduce_is_the_mean_of_sixteen():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    slow = [
        [np.floor(pixels[4 * r : 4 * r + 4, 4 * c : 4 * c + 4].mean(axis=(0, 1)) + 0.5) for c in range(3)]
        for r in range(2)
    ]
    assert np.array_equal(reduce(pixels, "he"), np.array(slow, dtype=np.uint8))


def test_reduced_classes_are_classes():
    pixels = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (16, 16, 3))
    assert set(np.unique(reduce(pixels, "mask"))) <= {0, 255}
    assert np.array_equal(reduce(pixels, "mask"), pixels[2::4, 2::4])


def written(path, stain, blocks, size):
    """A slide made of blocks {(column, row): pixels}; the rest is glass."""
    spec = PhantomSpec(width_px=size[0], height_px=size[1], tissue=0.0, quality=95)
    sink = PyramidSink(path, spec, stain, GLASS)
    for row in range(-(-size[1] // 512)):
        for column in range(-(-size[0] // 512)):
            pixels = blocks.get((column, row))
            sink.add_block(column, row, None if pixels is None else encode_block(pixels, stain, 95))
        sink.end_row()
    sink.close()


@pytest.mark.parametrize("size", [(1500, 900), (2048, 2048), (300, 5000), (5000, 700), (100, 100)])
def test_every_level_is_the_mean_of_the_one_below(tmp_path, size):
    rng = np.random.default_rng(1)
    blocks = {
        (c, r): np.kron(rng.integers(0, 255, (4, 4, 3)), np.ones((128, 128, 1))).astype(np.uint8)
        for c in range(-(-size[0] // 512))
        for r in range(-(-size[1] // 512))
        if (c + r) % 3
    }
    written(tmp_path / "s.tiff", "mask", blocks, size)
    whole = np.broadcast_to(GLASS, (-(-size[1] // 512) * 512, -(-size[0] // 512) * 512, 3)).copy()
    for (c, r), pixels in blocks.items():
        whole[r * 512 : r * 512 + 512, c * 512 : c * 512 + 512] = pixels
    with tifffile.TiffFile(tmp_path / "s.tiff") as file:
        pages = [page for page in file.pages if page.is_tiled]
        assert [(p.imagewidth, p.imagelength) for p in pages] == level_sizes(*size)
        for page in pages:
            expected = whole[: page.imagelength, : page.imagewidth]
            assert np.array_equal(page.asarray(), expected)
            whole = whole[2::4, 2::4]


def test_jpeg_tiles_keep_their_colours(tmp_path):
    picture = np.full((512, 512, 3), (180, 90, 160), dtype=np.uint8)
    written(tmp_path / "s.tiff", "he", {(1, 0): picture}, (1024, 512))
    with tifffile.TiffFile(tmp_path / "s.tiff") as file:
        pixels = file.pages[0].asarray().astype(int)
    assert abs(pixels[:, 520:] - (180, 90, 160)).max() <= 3
    assert abs(pixels[:, :500] - GLASS).max() <= 2


def test_glass_is_stored_once(tmp_path):
    written(tmp_path / "s.tiff", "he", {}, (512 * 40, 512 * 40))
    assert (tmp_path / "s.tiff").stat().st_size < 250_000
    with tifffile.TiffFile(tmp_path / "s.tiff") as file:
        assert len(set(file.pages[0].dataoffsets)) == 1


def test_a_pyramid_with_a_hole_is_no_file(tmp_path):
    file = PyramidFile(tmp_path / "s.tiff", [(600, 300)], PageStyle(JPEG, 0.25, "x"))
    file.write_tile(0, 0, 0, b"abc")
    with pytest.raises(InternalError, match="5 tiles"):
        file.close(b"t", (1, 1))
    with tifffile.TiffFile(tmp_path / "s.tiff") as broken:
        assert len(broken.pages) == 0


def test_a_block_is_four_tiles_and_its_quarter():
    block = encode_block(np.zeros((512, 512, 3), np.uint8), "he", 80)
    assert isinstance(block, EncodedBlock)
    assert len(block.tiles) == 4
    assert block.reduced.shape == (128, 128, 3)
