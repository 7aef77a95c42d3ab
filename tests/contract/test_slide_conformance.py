"""The promises of `Slide`, kept by every reader: one class, run on a slide of each kind."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from models.errors import MppMissingError, MppOutOfRangeError, SlideUnreadableError
from tests import making, making_raw
from workers.geometry import Box
from workers.slides import Slide, frame_mpp, frame_size, open_slide
from workers.slides.openslide_reader import open_with_openslide

EXAMPLES = settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
MADE = ("pyramid", "svs", "ome", "scn", "tables", "ndpi", "sparse", "dicom", "dicom-folder", "png", "openslide")
REAL = {
    "real-svs": ("slides/CMU-1-Small-Region.svs", None),
    "real-jpeg2000": ("slides/tcga-cr-7395-01a-01-ts1.svs", 0.5),
    "real-pyramid": ("slides/rationai-CMU-1-small.tiff", None),
    "real-dicom": ("slides/small_dicom.dcm", 0.5),
    "real-ome-he": ("ki67_ihc_openslide/OS-1-detail.ome.tif", None),
    "real-ome-ihc": ("ki67_ihc_openslide/OS-2-ndpi.ome.tif", None),
    "real-png": ("single_images/skimage_ihc.png", 0.5),
    "real-jpeg": ("single_images/stardist_histo.jpg", 0.5),
}


def make(kind: str, folder) -> Slide:
    pixels, path = making.tissue(512, 400, seed=2), folder / "slide"
    if kind == "dicom-folder":
        path.mkdir()
        making_raw.write_dicom(path / "a", pixels)
        making_raw.write_dicom(path / "b", making.halve(pixels, 2), 1.0)
        return open_slide(path)
    if kind == "png":
        Image.fromarray(pixels).save(path, "PNG")
        return open_slide(path, 0.5)
    scanned = ((240, 80), (1000, 800))
    if kind == "openslide":
        return open_with_openslide(making.write_scn(path, pixels, *scanned), 0.5)
    writers = {
        "pyramid": making.write_pyramid,
        "svs": making.write_svs,
        "ome": making.write_ome,
        "scn": lambda path, pixels: making.write_scn(path, pixels, *scanned),
        "tables": making.write_with_tables,
        "ndpi": making_raw.write_ndpi,
        "sparse": making_raw.write_sparse,
        "dicom": making_raw.write_dicom,
    }
    return open_slide(writers[kind](path, pixels))


@pytest.fixture(scope="class", params=[*MADE, *REAL])
def slide(request, tmp_path_factory) -> Iterator[Slide]:
    if request.param in REAL:
        name, mpp = REAL[request.param]
        opened = open_slide(request.getfixturevalue("data_dir") / name, mpp)
    else:
        opened = make(request.param, tmp_path_factory.mktemp("slide"))
    yield opened
    opened.close()


class TestSlide:
    def test_its_description_is_sane(self, slide: Slide):
        info = slide.info
        assert 0.05 <= info.mpp <= 20
        assert info.width_px > 0 < info.height_px
        assert Box(0, 0, info.width_px, info.height_px).contains(info.bounds)
        assert not info.bounds.is_empty
        downsamples = [level.downsample for level in info.levels]
        assert downsamples[0] == 1
        assert downsamples == sorted(downsamples)
        assert [level.index for level in info.levels] == list(range(len(info.levels)))
        assert (info.levels[0].width_px, info.levels[0].height_px) == (info.width_px, info.height_px)
        assert (info.mpp_source == "override") == (info.mpp_stated != info.mpp)

    def test_it_gives_rgb_bytes_of_the_asked_size(self, slide: Slide):
        for mpp in (slide.info.mpp, slide.info.mpp * 1.7, slide.info.mpp * 0.8):
            seen = slide.read(Box(3, 5, 31, 17), mpp)
            assert seen.shape == (17, 31, 3)
            assert seen.dtype == np.uint8
            assert seen.flags.c_contiguous
            assert seen.flags.writeable

    def test_what_it_gives_is_the_callers_own(self, slide: Slide):
        box = Box(slide.info.bounds.x, slide.info.bounds.y, 20, 20)
        first = slide.read(box, slide.info.mpp)
        kept = first.copy()
        first[:] = 1
        assert np.array_equal(slide.read(box, slide.info.mpp), kept)

    @EXAMPLES
    @given(
        factor=st.sampled_from([0.6, 1.0, 1.3, 2.0, 2.6, 4.0, 5.5]),
        corner=st.tuples(st.integers(0, 30), st.integers(0, 30)),
        size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
        place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    )
    def test_a_pixel_does_not_depend_on_the_box_it_is_read_with(self, slide: Slide, factor, corner, size, place):
        mpp = slide.info.mpp * factor
        width, height = frame_size(slide.info, mpp)
        left, top = int(place[0] * width) - 20, int(place[1] * height) - 20
        large = slide.read(Box(left, top, 60, 60), mpp)
        (x, y), (w, h) = corner, size
        small = slide.read(Box(left + x, top + y, w, h), mpp)
        assert np.array_equal(small, large[y : y + h, x : x + w])

    def test_outside_it_is_white(self, slide: Slide):
        for mpp in (slide.info.mpp, slide.info.mpp * 1.5, slide.info.mpp * 8):
            width, height = frame_size(slide.info, mpp)
            for box in (Box(-50, 0, 30, 9), Box(0, -50, 9, 30), Box(width + 20, 0, 9, 9), Box(0, height + 20, 9, 9)):
                assert (slide.read(box, mpp) == 255).all()

    def test_at_a_levels_own_mpp_its_pixels_come_unresampled(self, slide: Slide):
        for level in slide.info.levels:
            mpp = slide.info.mpp * level.downsample
            box = Box(int(slide.info.bounds.x / level.downsample), int(slide.info.bounds.y / level.downsample), 64, 48)
            assert np.array_equal(slide.read(box, mpp), slide.read(box, mpp * (1 + 1e-9)))
            assert frame_mpp(slide.info, mpp * 1.01) == pytest.approx(mpp)

    def test_coarser_frames_show_the_same_picture(self, slide: Slide):
        """Reading at twice the mpp is the picture at half the size: their block means agree."""
        bounds, mpp = slide.info.bounds, slide.info.mpp
        side = min(bounds.width, bounds.height, 256) // 16 * 16
        x, y = bounds.x // 16 * 16, bounds.y // 16 * 16
        fine = slide.read(Box(x, y, side, side), mpp)
        for factor in (2, 2.5 if side % 20 == 0 else 4):
            coarse = slide.read(
                Box(int(x / factor), int(y / factor), int(side / factor), int(side / factor)), mpp * factor
            )
            assert abs(fine.mean() - coarse.mean()) < 4

    def test_nonsense_is_refused(self, slide: Slide):
        with pytest.raises(ValueError, match="nothing to read"):
            slide.read(Box(0, 0, 0, 5), slide.info.mpp)
        with pytest.raises(ValueError, match="nothing to read"):
            slide.read(Box(0, 0, 5, 5), 0.0)
        with pytest.raises(Exception, match="One read of"):
            slide.read(Box(0, 0, 10**6, 10**6), slide.info.mpp)


@pytest.mark.parametrize("kind", MADE)
def test_closed_means_closed(kind, tmp_path):
    slide = make(kind, tmp_path)
    slide.close()
    slide.close()
    with pytest.raises(SlideUnreadableError, match="closed"):
        slide.read(Box(0, 0, 5, 5), slide.info.mpp)


def test_the_tcga_slide_states_no_mpp_and_the_dicom_an_impossible_one(data_dir):
    with pytest.raises(MppMissingError, match="--mpp"):
        open_slide(data_dir / REAL["real-jpeg2000"][0])
    with pytest.raises(MppOutOfRangeError, match="--mpp"):
        open_slide(data_dir / REAL["real-dicom"][0])


def test_descriptions_of_real_slides_hold_no_dates_names_or_serials(data_dir):
    for file, mpp in REAL.values():
        shown = repr(dataclasses.asdict(open_slide(data_dir / file, mpp).info))
        for secret in ("CPAPERIOCS", "b414003d", "12/29/09", "1004486", "TCGA-XK", "2021", str(data_dir)):
            assert secret not in shown
