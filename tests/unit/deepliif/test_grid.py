import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.unit.deepliif import slow
from workers.deepliif.grid import (
    GridOptions,
    TileCount,
    axis_starts,
    count_tiles,
    extend,
    is_empty,
    resize,
    run_compat,
    to_bytes,
    to_network,
)


def grey(values):
    return np.repeat(np.array(values, np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("length", "count", "distinct"),
    [(960, 3, 2), (1408, 4, 3), (4096, 10, 9), (512, 1, 1), (100, 1, 1), (513, 2, 2), (961, 3, 3), (1024, 3, 3)],
)
def test_starts_along_an_axis(length, count, distinct):
    starts = axis_starts(length, 512)
    assert (len(starts), len(set(starts))) == (count, distinct)
    assert starts[-1] == max(0, length - 512)


def test_the_published_case_of_100_tiles_for_81():
    assert count_tiles(4096, 4096, 512) == TileCount(100, 81)
    assert axis_starts(960, 512) == (0, 448, 448)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3000), st.integers(16, 600))
def test_the_counts_are_the_formulas(length, tile):
    starts, border = axis_starts(length, tile), tile // 16
    if length <= tile:
        assert starts == (0,)
    else:
        core = tile - 2 * border
        assert len(starts) == -(-length // core)
        assert len(set(starts)) == -(-(length - 2 * border) // core)


def test_an_image_smaller_than_a_tile_is_mirrored():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)[..., None].repeat(3, 2)
    assert extend(image, 8)[:, :, 0].tolist() == [[0, 1, 2, 2, 1, 0, 0, 1], [3, 4, 5, 5, 4, 3, 3, 4]] * 1 + [
        [3, 4, 5, 5, 4, 3, 3, 4],
        [0, 1, 2, 2, 1, 0, 0, 1],
    ] + [[0, 1, 2, 2, 1, 0, 0, 1], [3, 4, 5, 5, 4, 3, 3, 4], [3, 4, 5, 5, 4, 3, 3, 4], [0, 1, 2, 2, 1, 0, 0, 1]]
    assert extend(image, 2) is image


@pytest.mark.parametrize(
    ("tile", "expected"),
    [
        ([[0, 255, 0, 255]], True),  # black and white do not count
        ([[100, 106]], False),  # variance exactly 9
        ([[100, 105]], True),  # 6.25
        ([[100, 106, 0, 255, 255]], False),
        ([[1, 254]], False),
        ([[77]], True),
    ],
)
def test_a_tile_that_hardly_varies_is_empty(tile, expected):
    assert is_empty(grey(tile)) is expected


def test_luma_is_that_of_pillow():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    pixels = (pixels // 32 + 100).astype(np.uint8)
    luma = np.asarray(Image.fromarray(pixels).convert("L")).astype(np.float64)
    for scale in (0.9, 1.0, 1.1, 1.3):
        stretched = np.clip((pixels - 100.0) * scale + 100, 1, 254).astype(np.uint8)
        luma = np.asarray(Image.fromarray(stretched).convert("L")).astype(np.float64)
        assert is_empty(stretched) == (luma.var() < 9)


def test_numbers_in_and_out():
    given_ = to_network(grey([[0, 51, 255]]))
    assert given_.dtype == np.float32 and given_.shape == (1, 3, 1, 3)
    assert given_[0, 0, 0].tolist() == pytest.approx([-1, -0.6, 1])
    # 0.5 scales to 191.25, and 0.999 to 254.87: cut off, not rounded.
    out = np.full((1, 3, 1, 1), 1, np.float32) * np.float32([[0.5], [0.999], [-1]])[None, :, :, None]
    assert to_bytes(out)[0, 0].tolist() == [191, 254, 0]


def test_resizing_is_bicubic_and_keeps_what_has_its_size():
    picture = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert resize(picture, 8) is picture
    expected = Image.fromarray(picture).resize((16, 16), Image.Resampling.BICUBIC)
    assert (resize(picture, 16) == np.asarray(expected)).all()


def toy(tensor):
    """Answers that depend on the whole tile and on the place in it, as batch statistics do."""
    ramp = np.linspace(-0.3, 0.3, tensor.shape[3], dtype=np.float32)
    mean = tensor.mean(dtype=np.float64).astype(np.float32)
    return {"seg": tensor * np.float32(0.4) + mean * np.float32(0.3) + ramp, "dapi": -tensor}


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from([(16, 16), (20, 20), (33, 33), (16, 24), (24, 16)]),
    st.integers(0, 2**32 - 1),
)
def test_pixels_are_those_of_every_run_pasted_in_turn(width, height, sides, seed):
    tile, scale = sides
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rgb[:, : width // 2] = 255  # so that some tiles are empty
    flat = {"seg": (0, 0, 0), "dapi": (10, 20, 30)}
    calls = []

    def infer(tensor):
        calls.append(tensor)
        return toy(tensor)

    found = run_compat(rgb, infer, GridOptions(tuple(flat.items()), tile, scale))
    for name, colour in flat.items():

        def literal(part, name=name, colour=colour):
            if is_empty(part):
                return np.broadcast_to(np.uint8(colour), part.shape)
            small = np.asarray(Image.fromarray(np.ascontiguousarray(part)).resize((scale, scale), 3))
            values = (small.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
            out = toy(np.moveaxis(values, 2, 0)[None])[name][0]
            picture = np.moveaxis(((out + 1) / 2 * 255).astype(np.uint8), 0, 2)
            return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((tile, tile), 3))

        expected, runs = slow.stitched(rgb, tile, literal)
        assert (found[name] == expected).all()
    tiles = count_tiles(width, height, tile)
    assert tiles.count == runs and len(calls) <= tiles.distinct


def test_every_pixel_of_a_small_grid_by_hand():
    # Tiles of 16 with a border of 1 on 20 pixels: tiles at 0 and 4 (the second start, 14, is moved back); the first
    # keeps 0..14, the second 5..19 and writes last. The answer is how many the call is.
    rgb = np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    calls = []

    def infer(tensor):
        calls.append(tensor)
        return {"seg": np.full_like(tensor, -1 + 2 * (10 * len(calls) + 0.5) / 255)}

    seg = run_compat(rgb, infer, GridOptions((("seg", (0, 0, 0)),), 16, 16))["seg"]
    assert seg[:, :, 0].tolist() == [[10] * 5 + [20] * 15] * 16
    assert calls[1][0, 0, 0, 0] == np.float32(rgb[0, 4, 0] / 255 * 2 - 1)


def test_wrong_pictures_and_answers_are_refused():
    options = GridOptions((("seg", (0, 0, 0)),), 16, 16)
    rgb = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="no RGB picture"):
        run_compat(rgb[..., :2], toy, options)
    with pytest.raises(ValueError, match="output seg of a tile has shape None"):
        run_compat(rgb, lambda tensor: {"dapi": tensor}, options)
    with pytest.raises(ValueError, match="must be"):
        run_compat(rgb, lambda tensor: {"seg": tensor[:, :, :8]}, options)
    with pytest.raises(ValueError, match="1 px or more"):
        GridOptions((("seg", (0, 0, 0)),), 0)
    with pytest.raises(ValueError, match="each output once"):
        GridOptions(())
