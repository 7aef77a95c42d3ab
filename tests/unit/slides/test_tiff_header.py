import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import RefusedInputError, SlideAbsurdError, SlideUnreadableError
from tests.making_raw import LONG, SHORT, directory, image_tags, raw_tiff, write_ndpi
from workers.slides.byte_file import ByteFile
from workers.slides.tiff_header import integers, is_tiff, read_tiff_header, text
from workers.slides.tiff_layout import read_layout

KEEP_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)


def walk(folder: Path, data: bytes):
    """The header and every layout of a file of these bytes."""
    path = folder / "walked.tif"
    path.write_bytes(data)
    with ByteFile(path) as file:
        header = read_tiff_header(file)
        return header, [read_layout(file, header, found) for found in header.directories]


def test_a_plain_image_is_walked(tmp_path):
    header, (layout,) = walk(tmp_path, raw_tiff(image_tags(16, 16)))
    assert (layout.width_px, layout.height_px, layout.segment_width_px, layout.tiled) == (16, 16, 16, True)
    assert layout.offsets.tolist() == [8]
    assert not header.dialect.is_ndpi


def test_a_bigtiff_is_walked(tmp_path):
    entries = [(256, 3, 5), (257, 3, 3), (258, 3, 8), (277, 3, 1), (273, 16, 8), (279, 16, 15)]
    table = b"".join(struct.pack("<HHQQ", tag, kind, 1, value) for tag, kind, value in sorted(entries))
    start = b"II+\0" + struct.pack("<HHQ", 8, 0, 32) + bytes(16)
    _, (layout,) = walk(tmp_path, start + struct.pack("<Q", len(entries)) + table + struct.pack("<Q", 0))
    assert (layout.width_px, layout.height_px, layout.tiled) == (5, 3, False)


def test_big_endian_numbers_are_read(tmp_path):
    entries = [(256, 3, 5 << 16), (257, 4, 3), (273, 4, 8), (277, 3, 1 << 16), (279, 4, 15)]
    table = b"".join(struct.pack(">HHII", tag, kind, 1, value) for tag, kind, value in entries)
    data = b"MM\0*" + struct.pack(">I", 24) + bytes(16) + struct.pack(">H", len(entries)) + table + bytes(4)
    _, (layout,) = walk(tmp_path, data)
    assert (layout.width_px, layout.height_px, layout.counts.tolist()) == (5, 3, [15])


def test_an_ndpi_is_cut_at_its_restart_markers(tmp_path):
    path = write_ndpi(tmp_path / "a.ndpi", np.full((64, 512, 3), 200, np.uint8))
    with ByteFile(path) as file:
        header = read_tiff_header(file)
        layout = read_layout(file, header, header.directories[0])
    assert header.dialect.is_ndpi
    assert (layout.segment_width_px, layout.segment_height_px, layout.offsets.size) == (256, 16, 8)


def test_offsets_above_4_gib_of_an_ndpi_are_not_cut_off(tmp_path):
    """The high halves of offsets stand behind the directory; this one points beyond the end, and is seen to."""
    data = bytearray(write_ndpi(tmp_path / "a.ndpi", np.full((64, 512, 3), 200, np.uint8)).read_bytes())
    first = int.from_bytes(data[4:12], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    tags = [int.from_bytes(data[first + 2 + 12 * i : first + 4 + 12 * i], "little") for i in range(count)]
    high = first + 2 + 12 * count + 8 + 4 * tags.index(273)
    data[high : high + 4] = (3).to_bytes(4, "little")
    with pytest.raises(SlideUnreadableError, match="truncated or corrupt"):
        walk(tmp_path, bytes(data))


@pytest.mark.parametrize("steps", [1, 2])
def test_looping_directories_are_absurd(tmp_path, steps):
    tags = image_tags(16, 16)
    size = len(directory(tags, 776))
    second = directory(tags, 776 + size, following=776)
    data = raw_tiff(tags, following=776 if steps == 1 else 776 + size) + second
    with pytest.raises(SlideAbsurdError, match="loop"):
        walk(tmp_path, data)


def test_reduced_images_may_be_listed_and_chained(tmp_path):
    """Writers list all SubIFDs and chain them too: the second is met twice without a loop."""
    plain = image_tags(16, 16)
    main = image_tags(16, 16, t330=(LONG, [0, 0]))
    first = 776 + len(directory(main, 776))
    second = first + len(directory(plain, first))
    main[330] = (LONG, [first, second])
    data = raw_tiff(main) + directory(plain, first, following=second) + directory(plain, second)
    header, layouts = walk(tmp_path, data)
    assert len(layouts) == 3
    assert [found.is_sub for found in header.directories] == [False, True, True]


def test_endless_directories_are_absurd(tmp_path):
    tags = {256: (SHORT, [1])}
    size = len(directory(tags, 0))
    chain = b"".join(directory(tags, 8 + i * size, following=8 + (i + 1) * size) for i in range(1100))
    with pytest.raises(SlideAbsurdError, match="more than 1024"):
        walk(tmp_path, b"II*\0" + struct.pack("<I", 8) + chain)


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        ({"t256": (LONG, [2**31])}, "slide-absurd"),
        ({"t257": (LONG, [2**32 - 1])}, "slide-absurd"),
        ({"t256": (LONG, [2**20]), "t257": (LONG, [2**20])}, "slide-absurd"),
        ({"t322": (LONG, [2**31]), "t323": (LONG, [2**31])}, "slide-absurd"),
        (
            {"t256": (LONG, [60000]), "t257": (LONG, [60000]), "t322": (LONG, [60000]), "t323": (LONG, [60000])},
            "absurd",
        ),
        ({"t322": (LONG, [1]), "t323": (LONG, [1]), "t256": (LONG, [9999]), "t257": (LONG, [9999])}, "slide-absurd"),
        ({"t277": (SHORT, [60000])}, "slide-absurd"),
        ({"t256": (LONG, [0])}, "slide-unreadable"),
        ({"t322": (LONG, [0])}, "slide-unreadable"),
        ({"t324": (LONG, [8, 8])}, "slide-unreadable"),
        ({"t324": (LONG, [10**6])}, "slide-unreadable"),
        ({"t324": (LONG, [0])}, "slide-unreadable"),
        ({"t325": (LONG, [2**32 - 1])}, "slide-unreadable"),
        ({"t325": (LONG, [0])}, "slide-unreadable"),
        ({"t256": (5, [16, 1])}, "slide-unreadable"),
    ],
)
def test_claims_no_slide_makes_are_refused_with_their_number(tmp_path, changes, slug):
    with pytest.raises(RefusedInputError) as caught:
        walk(tmp_path, raw_tiff(image_tags(16, 16, **changes)))
    assert slug in caught.value.slug
    assert any(character.isdigit() for character in caught.value.detail)


def test_a_count_larger_than_the_file_is_refused_before_memory_is_taken(tmp_path):
    data = bytearray(raw_tiff(image_tags(16, 16)))
    at = data.index(struct.pack("<HH", 324, 4))
    data[at + 4 : at + 8] = struct.pack("<I", 2**32 - 1)
    with pytest.raises(SlideAbsurdError, match="claims 17179869180 bytes"):
        walk(tmp_path, bytes(data))


def test_a_directory_of_too_many_entries_is_absurd(tmp_path):
    with pytest.raises(SlideAbsurdError, match="65535 entries"):
        walk(tmp_path, b"II*\0" + struct.pack("<IH", 8, 65535) + bytes(100))


@KEEP_FOLDER
@given(
    data=st.binary(max_size=300),
    start=st.sampled_from([b"", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0"]),
)
def test_any_bytes_are_walked_or_refused(tmp_path, data, start):
    try:
        walk(tmp_path, start + data)
    except RefusedInputError as refusal:
        assert refusal.detail


@KEEP_FOLDER
@given(st.lists(st.tuples(st.integers(8, 10**6), st.integers(0, 255)), min_size=1, max_size=12), st.integers(0, 10**6))
def test_any_damage_to_a_good_header_is_walked_or_refused(tmp_path, damage, cut):
    data = bytearray(raw_tiff(image_tags(16, 16, t330=(LONG, [8, 8])), following=0))
    for place, value in damage:
        data[place % len(data)] = value
    length = len(data) if cut % 2 else cut % len(data)
    try:
        walk(tmp_path, bytes(data[:length]))
    except RefusedInputError as refusal:
        assert refusal.detail


def test_text_and_numbers_of_tags(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(raw_tiff(image_tags(16, 16) | {270: (2, b"hello world\0")}))
    with ByteFile(path) as file:
        header = read_tiff_header(file)
        found = header.directories[0]
        assert text(file, found, 270) == "hello world"
        assert text(file, found, 305) == ""
        assert integers(file, header.dialect, found, 258).tolist() == [8, 8, 8]


def test_what_starts_like_a_tiff():
    assert is_tiff(b"II*\0....")
    assert is_tiff(b"MM\0+....")
    assert not is_tiff(b"IJrE")
