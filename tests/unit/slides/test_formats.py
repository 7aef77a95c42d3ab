"""Every stored form we decode, against the pixels that were written and against openslide."""

import io
import threading

import imagecodecs
import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from models.errors import MppMissingError, SlideUnreadableError, SlideUnsupportedError
from tests import making, making_raw
from workers.geometry import Box
from workers.slides import open_slide
from workers.slides.codecs import decode_jpeg2000_ycbcr, longest_zero_run

MPP = 0.5


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return making.tissue(700, 520, seed=3)


def whole(slide, level: int = 0) -> np.ndarray:
    found = slide.info.levels[level]
    return slide.read(Box(0, 0, found.width_px, found.height_px), slide.info.mpp * found.downsample)


def seen_by_openslide(path, level: int = 0) -> np.ndarray:
    with openslide.OpenSlide(path) as slide:
        seen = np.asarray(slide.read_region((0, 0), level, slide.level_dimensions[level]))
    return np.where(seen[..., 3:] == 0, 255, seen[..., :3])


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd", "packbits", "webp", "jpeg2000"])
def test_lossless_tiles_come_back_as_written(tmp_path, pixels, compression):
    options = making.lossless_options(compression)
    if compression == "jpeg2000":
        options["compressionargs"] = {"level": 0}
    path = making.write_pyramid(tmp_path / "a.tif", pixels, options=options)
    slide = open_slide(path)
    assert np.array_equal(whole(slide), pixels)
    assert np.array_equal(whole(slide, 2), making.halve(pixels, 4))


@pytest.mark.parametrize("extra", [{"predictor": 2}, {"planarconfig": "separate"}, {"tile": None}, {"rowsperstrip": 7}])
def test_predictors_planes_and_strips(tmp_path, pixels, extra):
    data = np.moveaxis(pixels, -1, 0) if "planarconfig" in extra else pixels
    options = {"photometric": "rgb", "compression": "zlib", "resolution": (2e4, 2e4), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "a.tif", data, metadata=None, **(options | extra))
    slide = open_slide(tmp_path / "a.tif", MPP if "planarconfig" in extra else None)
    assert slide.info.mpp == MPP
    assert np.array_equal(whole(slide), pixels)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_jpeg_tiles_equal_openslides(tmp_path, pixels, level):
    path = making.write_pyramid(tmp_path / "a.tif", pixels)
    assert np.array_equal(whole(open_slide(path), level), seen_by_openslide(path, level))


def test_jpeg_tiles_with_shared_tables_equal_openslides(tmp_path, pixels):
    path = making.write_with_tables(tmp_path / "a.tif", pixels)
    assert np.array_equal(whole(open_slide(path)), seen_by_openslide(path))


def test_jpeg_tiles_that_hold_rgb_are_not_turned_into_rgb_again(tmp_path, pixels):
    path = making.write_with_tables(tmp_path / "a.tif", pixels, as_rgb=True)
    assert np.abs(whole(open_slide(path)).astype(int) - pixels).max() < 40


def test_aperio_jpeg2000_with_ycbcr_components():
    rgb = np.full((16, 16, 3), (200, 120, 160), np.uint8)
    ycbcr = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    encoded = imagecodecs.jpeg2k_encode(ycbcr, level=0, codecformat="J2K", mct=False)
    assert np.abs(decode_jpeg2000_ycbcr(encoded, 16, 16).astype(int) - rgb).max() <= 2


def test_an_svs_shows_its_levels_and_nothing_of_its_label(tmp_path, pixels):
    label = np.zeros((40, 60, 3), np.uint8)
    notes = "Patient = Jane Doe|User = bob|Date = 12/29/09|ScanScope ID = SS1234"
    path = making.write_svs(tmp_path / "a.svs", pixels, label=label, notes=notes)
    slide = open_slide(path)
    info = slide.info
    assert (info.format, info.vendor, info.objective_power, info.mpp) == ("aperio-svs", "aperio", 20, 0.499)
    assert [(level.width_px, level.height_px, level.downsample) for level in info.levels] == [
        (700, 520, 1),
        (175, 130, 4),
    ]
    assert info.technical == {"software": "Aperio Image Library v11.2.1"}
    for secret in ("Jane", "bob", "12/29", "SS1234"):
        assert secret not in repr(info)
    assert np.array_equal(whole(slide, 1), seen_by_openslide(path, 1))


def test_an_svs_without_mpp_is_refused_and_read_with_an_override(tmp_path, pixels):
    path = making.write_svs(tmp_path / "a.svs", pixels, mpp=None)
    with pytest.raises(MppMissingError, match=r"20x objective often means 0\.5"):
        open_slide(path)
    info = open_slide(path, 0.46).info
    assert (info.mpp, info.mpp_source, info.mpp_stated) == (0.46, "override", None)


def test_an_ome_tiff_keeps_its_own_scale_and_levels(tmp_path, pixels):
    slide = open_slide(making.write_ome(tmp_path / "a.ome.tif", pixels, mpp=0.2271))
    assert (slide.info.format, slide.info.mpp) == ("ome-tiff", 0.2271)
    assert [level.downsample for level in slide.info.levels] == [1, 2, 4]
    assert np.array_equal(whole(slide, 2), making.halve(pixels, 4))


def test_a_slide_with_bounds_lies_where_openslide_sees_it(tmp_path, pixels):
    path = making.write_scn(tmp_path / "a.scn", pixels, (400, 200), (2000, 1600))
    slide = open_slide(path)
    assert slide.info.bounds == Box(400, 200, 700, 520)
    assert (slide.info.width_px, slide.info.height_px, slide.info.format) == (2000, 1600, "leica-scn")
    for level in range(3):
        assert np.array_equal(whole(slide, level), seen_by_openslide(path, level))
    assert (slide.read(Box(0, 0, 2000, 200), MPP) == 255).all()


def test_an_ndpi_is_read_in_pieces(tmp_path):
    """Pieces are decoded alone: chroma at their seams is filtered without its neighbour, hence the tolerance."""
    pixels = making.tissue(1024, 256, seed=4)
    path = making_raw.write_ndpi(tmp_path / "any.name", pixels)
    slide = open_slide(path)
    assert (slide.info.format, slide.info.vendor, slide.info.objective_power) == ("ndpi", "hamamatsu", 20)
    jpeg, _ = making_raw.restarting_jpeg(pixels, 16)
    difference = np.abs(whole(slide).astype(int) - np.asarray(Image.open(io.BytesIO(jpeg))))
    assert difference.mean() < 0.5
    assert difference.max() < 30
    inner = np.arange(256) % 16
    assert not difference[(inner > 1) & (inner < 14)][:, 2:254].any()


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_plain_image_needs_the_callers_mpp(tmp_path, pixels, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(path, dpi=(96, 96))
    with pytest.raises(MppMissingError):
        open_slide(path)
    slide = open_slide(path, MPP)
    assert np.array_equal(whole(slide), np.asarray(Image.open(path)))
    assert (slide.read(Box(-5, -5, 5, 5), MPP) == 255).all()


def test_transparent_png_lies_on_white(tmp_path):
    image = np.zeros((4, 4, 4), np.uint8)
    image[:2, :, 3] = 255
    Image.fromarray(image).save(tmp_path / "a.png")
    seen = whole(open_slide(tmp_path / "a.png", MPP))
    assert seen[0, 0].tolist() == [0, 0, 0]
    assert seen[3, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize("mode", ["L", "I;16", "1", "CMYK"])
def test_plain_images_without_rgb_are_unsupported(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.new(mode, (8, 8)).save(tmp_path / f"a.{suffix}")
    with pytest.raises(SlideUnsupportedError, match=mode):
        open_slide(tmp_path / f"a.{suffix}", MPP)


@pytest.mark.parametrize(
    ("shape", "dtype", "options"),
    [
        ((64, 64), np.uint8, {"photometric": "minisblack"}),
        ((64, 64), np.uint16, {"photometric": "minisblack"}),
        ((64, 64, 3), np.uint16, {"photometric": "rgb"}),
        ((64, 64, 4), np.uint8, {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
        ((5, 64, 64), np.uint8, {"photometric": "minisblack"}),
        ((64, 64, 3), np.float32, {"photometric": "rgb"}),
    ],
)
def test_fluorescence_and_the_like_are_unsupported(tmp_path, shape, dtype, options):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, dtype), tile=(16, 16), **options)
    with pytest.raises(SlideUnsupportedError):
        open_slide(tmp_path / "a.tif", MPP)


def _replace_tile(path, number: int, change) -> None:
    """Overwrite the offset and length of a tile of the first page by what `change` makes of them."""
    with tifffile.TiffFile(path, mode="r+") as tif:
        page = tif.pages[0]
        offsets, counts = list(page.dataoffsets), list(page.databytecounts)
        offsets[number], counts[number] = change(offsets[number], counts[number])
        page.tags["TileOffsets"].overwrite(offsets)
        page.tags["TileByteCounts"].overwrite(counts)


def test_a_tile_the_file_does_not_hold_is_white_and_said(tmp_path, pixels):
    path = making.write_pyramid(tmp_path / "a.tif", pixels, options=making.lossless_options())
    _replace_tile(path, 1, lambda offset, count: (0, 0))
    slide = open_slide(path)
    assert slide.info.warnings == ("Level 0: 1 of 9 tiles hold no data and are read as white.",)
    seen = whole(slide)
    assert (seen[:256, 256:512] == 255).all()
    assert np.array_equal(seen[256:], pixels[256:])


@pytest.mark.parametrize("kind", ["jpeg", "zlib"])
def test_a_corrupt_tile_is_named_and_never_blank(tmp_path, pixels, kind):
    options = making.jpeg_options() if kind == "jpeg" else making.lossless_options(kind)
    path = making.write_pyramid(tmp_path / "a.tif", pixels, options=options)
    _replace_tile(path, 5, lambda offset, count: (offset, count // 2))
    slide = open_slide(path)
    assert slide.read(Box(0, 0, 256, 256), MPP).shape == (256, 256, 3)
    for _ in range(2):
        with pytest.raises(SlideUnreadableError, match=r"Tile 5 of level 0 \(column 2 of 3, row 1 of 3\)"):
            slide.read(Box(500, 200, 100, 100), MPP)


def test_a_hole_of_zeros_in_a_jpeg_tile_is_seen(tmp_path, pixels):
    """Copies that were interrupted have such holes; libjpeg decodes them to grey without a word."""
    path = making.write_pyramid(tmp_path / "a.tif", pixels)
    with tifffile.TiffFile(path) as tif:
        offset, count = tif.pages[0].dataoffsets[3], tif.pages[0].databytecounts[3]
    data = bytearray(path.read_bytes())
    middle = offset + count // 2
    data[middle : middle + 2048] = bytes(2048)
    path.write_bytes(data)
    with pytest.raises(SlideUnreadableError, match=r"Tile 3 .*hole of zeros"):
        open_slide(path).read(Box(0, 256, 256, 256), MPP)


@pytest.mark.parametrize("side_px", [256, 1024])
def test_flat_tiles_are_no_holes(tmp_path, side_px):
    """With Huffman tables made for them, flat tiles are nearly all zeros."""
    for colour in (255, 0, 128):
        stream = io.BytesIO()
        Image.new("RGB", (side_px, side_px), (colour,) * 3).save(stream, "JPEG", optimize=True, subsampling="4:4:4")
        assert bytes(longest_zero_run(side_px**2)) not in stream.getvalue()
    path = making.write_pyramid(tmp_path / "a.tif", np.full((side_px, side_px, 3), 255, np.uint8), tile_px=side_px)
    assert (whole(open_slide(path)) == 255).all()


def test_threads_read_what_one_thread_reads(tmp_path, pixels):
    slide = open_slide(making.write_pyramid(tmp_path / "a.tif", pixels))
    boxes = [Box(x, y, 97, 83) for x in range(-20, 700, 60) for y in range(-20, 520, 60)]
    expected = [slide.read(box, 0.8) for box in boxes]
    other = open_slide(tmp_path / "a.tif")
    seen: dict[int, np.ndarray] = {}

    def read(start: int) -> None:
        for i in range(start, len(boxes), 4):
            seen[i] = other.read(boxes[i], 0.8)

    threads = [threading.Thread(target=read, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(seen[i], expected[i]) for i in range(len(boxes)))
