"""Resolution, scrubbing, sniffing, JPEG headers and levels: the small parts without pixels."""

import dataclasses

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import (
    MppMissingError,
    MppOutOfRangeError,
    RefusedInputError,
    SlideUnreadableError,
    SlideUnsupportedError,
)
from tests.making import split_jpeg
from workers.geometry import Box
from workers.slides.jpeg_header import JpegHeader, parse_jpeg_header, stored_as_rgb
from workers.slides.mpp import resolve_mpp
from workers.slides.pyramid import best_level, level_downsample
from workers.slides.scrub import technical_fields
from workers.slides.slide import Level, SlideInfo, frame_size
from workers.slides.sniff import sniff


def test_the_files_own_mpp_is_taken():
    found = resolve_mpp((0.4990, 0.5010), None)
    assert (found.mpp, found.source, found.stated) == (0.5, "metadata", 0.5)


def test_an_override_wins_and_what_the_file_says_is_kept():
    found = resolve_mpp((0.25, 0.25), 0.5)
    assert (found.mpp, found.source, found.stated) == (0.5, "override", 0.25)


def test_an_override_heals_an_implausible_file():
    assert resolve_mpp((352.8, 352.8), 0.5).mpp == 0.5
    assert resolve_mpp((4.6, 5.7), 0.5).mpp == 0.5
    assert resolve_mpp(None, 0.5).stated is None


@pytest.mark.parametrize("stated", [None, (0.0, 0.0), (float("nan"), 0.5), (-1.0, -1.0), (float("inf"), 1.0)])
def test_a_missing_mpp_is_refused_with_the_option_to_give(stated):
    with pytest.raises(MppMissingError, match="--mpp"):
        resolve_mpp(stated, None)


def test_an_objective_is_no_resolution_but_a_hint():
    with pytest.raises(MppMissingError, match=r"40x objective often means 0\.25"):
        resolve_mpp(None, None, objective_power=40)


@pytest.mark.parametrize("stated", [(0.049, 0.049), (20.1, 20.1), (352.8, 352.8), (0.50, 0.506), (4.635, 5.686)])
def test_an_implausible_mpp_is_refused_with_its_number(stated):
    with pytest.raises(MppOutOfRangeError, match=f"{stated[0]:.4g} x {stated[1]:.4g}.*--mpp"):
        resolve_mpp(stated, None)


@pytest.mark.parametrize("override", [0.0, -1.0, 1e9, float("nan"), float("inf")])
def test_an_implausible_override_is_refused(override):
    with pytest.raises(MppOutOfRangeError):
        resolve_mpp((0.5, 0.5), override)


def test_only_listed_fields_leave_and_only_plain_ones():
    found = technical_fields(
        {
            "scanner": "NanoZoomer 2.0-HT",
            "software": "Aperio Image Library v11.2.1",
            "manufacturer": "Doe, John *1950",
            "aperture": 0.75,
            "patient": "John",
            "illumination": "x" * 65,
        }
    )
    assert technical_fields({"scanner": "scanned 2020-01-31"}) == {}
    assert found == {"scanner": "NanoZoomer 2.0-HT", "software": "Aperio Image Library v11.2.1", "aperture": "0.75"}


@given(st.text(max_size=90))
def test_whatever_leaves_is_short_and_plain(value):
    for kept in technical_fields({"scanner": value}).values():
        assert kept.isascii()
        assert len(kept) <= 64
        assert not set(kept) & set("<>|=;:,\n\r\t\"'@^")


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"II*\0", "tiff"),
        (b"MM\0+", "tiff"),
        (b"\0" * 128 + b"DICM", "dicom"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"[Virtual Microscope Specimen]", "openslide"),
    ],
)
def test_the_kind_is_seen_in_the_content_whatever_the_suffix(tmp_path, start, kind):
    for name in ("a.svs", "a.png", "a", "a.dcm"):
        (tmp_path / name).write_bytes(start + bytes(200))
        assert sniff(tmp_path / name) == kind


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"ZISRAWFILE", "Zeiss CZI.*bioformats2raw"),
        (b"SIS\0", "Olympus.*vsi"),
        (b"PK\x03\x04", "ZIP.*unpack"),
        (b"\0\0\0\x0cjP  \r\n", "JPEG 2000"),
    ],
)
def test_a_format_we_lack_is_named_with_a_converter(tmp_path, start, words):
    (tmp_path / "a").write_bytes(start + bytes(99))
    with pytest.raises(SlideUnsupportedError, match=words):
        sniff(tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"x", b"IJrE" * 9, b"\0" * 500])
def test_what_is_no_slide_is_refused(tmp_path, content):
    (tmp_path / "a.svs").write_bytes(content)
    with pytest.raises(SlideUnreadableError):
        sniff(tmp_path / "a.svs")


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.svs", tmp_path):
        with pytest.raises(SlideUnreadableError) as caught:
            sniff(path)
        assert str(tmp_path) not in str(caught.value)


@pytest.fixture(scope="module")
def encoded() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    return imagecodecs.jpeg8_encode(pixels, colorspace="RGB", outcolorspace="YCBCR", subsampling="420")


def test_a_jpegs_header_is_read(encoded):
    header = parse_jpeg_header(encoded)
    assert (header.width_px, header.height_px, header.precision_bits, header.jfif) == (40, 24, 8, True)
    assert header.sampling == ((2, 2), (1, 1), (1, 1))
    assert encoded[header.frame_offset : header.frame_offset + 4] == bytes([0, 24, 0, 40])


def test_tables_alone_have_no_frame(encoded):
    tables, rest = split_jpeg(encoded)
    assert parse_jpeg_header(tables).width_px == 0
    assert parse_jpeg_header(rest).width_px == 40


@given(st.binary(max_size=60), st.integers(0, 700))
def test_any_jpeg_bytes_are_parsed_or_refused(encoded, noise, place):
    for data in (b"\xff\xd8" + noise, encoded[:place], encoded[:place] + noise):
        try:
            parse_jpeg_header(data)
        except ValueError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("tables", "first", "tag_says_rgb", "expected"),
    [
        (JpegHeader(), JpegHeader(jfif=True), True, False),
        (JpegHeader(), JpegHeader(), True, True),
        (JpegHeader(), JpegHeader(), False, False),
        (JpegHeader(), JpegHeader(adobe_transform=0), False, True),
        (JpegHeader(adobe_transform=1), JpegHeader(), True, False),
        (JpegHeader(), JpegHeader(component_ids=(82, 71, 66)), False, True),
    ],
)
def test_which_colours_a_jpeg_holds(tables, first, tag_says_rgb, expected):
    assert stored_as_rgb(tables, first, tag_says_rgb) is expected


@pytest.mark.parametrize(
    ("full", "level", "expected"),
    [
        ((4443, 3567), (2221, 1783), 2.0),
        ((718, 514), (179, 128), 4.0),
        ((46000, 32914), (2875, 2057), 16.0),
        ((1000, 1000), (1000, 1000), 1.0),
        ((1000, 1000), (400, 400), 2.5),
    ],
)
def test_the_factor_scanners_meant(full, level, expected):
    assert level_downsample(full, level) == expected


def _info(*downsamples: float) -> SlideInfo:
    levels = tuple(Level(i, int(1000 / d), int(1000 / d), d) for i, d in enumerate(downsamples))
    fields = {field.name: "" for field in dataclasses.fields(SlideInfo)}
    return SlideInfo(**(fields | {"levels": levels, "mpp": 0.25, "bounds": Box(0, 0, 1, 1), "technical": {}}))


@pytest.mark.parametrize(
    ("mpp", "level"),
    [(0.1, 0), (0.25, 0), (0.5, 0), (0.999, 0), (1.0, 1), (1.0 - 1e-8, 1), (3.9, 1), (4.0, 2), (99, 2)],
)
def test_the_best_level_is_the_coarsest_that_is_fine_enough(mpp, level):
    assert best_level(_info(1, 4, 16), mpp).index == level


@given(st.floats(0.05, 20), st.integers(1, 300_000), st.sampled_from([1, 2, 3, 4, 16, 64]))
def test_a_frame_at_a_whole_factor_has_whole_sides(mpp, width, factor):
    info = dataclasses.replace(_info(1), mpp=mpp, width_px=width, height_px=7)
    assert frame_size(info, mpp * factor) == (-(-width // factor), -(-7 // factor))


def test_refusals_are_the_callers_fault():
    assert RefusedInputError.blame == "user_error"
