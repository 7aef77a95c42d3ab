"""How the pixels of one TIFF directory are stored: segments (tiles or strips) that were checked against the file."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import SlideAbsurdError, SlideUnreadableError, SlideUnsupportedError
from workers.slides.byte_file import ByteFile
from workers.slides.jpeg_header import parse_jpeg_header
from workers.slides.tiff_header import Directory, TiffHeader, integers, raw_values

MAX_SIDE_PX = 1 << 20
MAX_AREA_PX = 1 << 37
MAX_SEGMENT_PX = 1 << 26
MAX_SEGMENTS = 1 << 22
MAX_TABLES_BYTES = 1 << 16
MAX_RESTART_PX = 65_500

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR = 273, 277, 278, 279, 284
PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 317, 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES, ICC_PROFILE = 338, 339, 347, 34675
NDPI_RESTARTS, NDPI_RESTARTS_HIGH = 65426, 65432


@dataclass(frozen=True)
class Layout:
    """The stored form of one image. Segments go row by row; with `planar`, all of R, then all of G, then all of B."""

    width_px: int
    height_px: int
    segment_width_px: int
    segment_height_px: int
    offsets: NDArray[np.int64] = field(repr=False)
    counts: NDArray[np.int64] = field(repr=False)
    compression: int
    photometric: int
    samples: int
    bits: tuple[int, ...]
    sample_format: int
    predictor: int
    planar: bool
    tiled: bool
    jpeg_tables: bytes = field(repr=False)
    has_icc: bool
    jpeg_prefix: bytes = field(default=b"", repr=False)
    """NDPI: the one JPEG header of all segments, its size patched to a segment's; b"" elsewhere."""

    @property
    def segments_per_plane(self) -> int:
        """How many segments make one plane."""
        return -(-self.width_px // self.segment_width_px) * -(-self.height_px // self.segment_height_px)

    @property
    def missing(self) -> int:
        """Segments that the file does not hold (sparse, blank tiles)."""
        return int((self.counts == 0).sum())


def read_layout(file: ByteFile, header: TiffHeader, directory: Directory) -> Layout:
    """The layout of a directory, every segment of which lies inside of the file.

    Raises
    ------
    SlideAbsurdError
        Sides, areas, tiles or counts no slide has.
    SlideUnreadableError
        Needed tags are missing or contradict each other; segments lie beyond the end of the file.
    """
    tags = _Tags(file, header, directory)
    layout = _claimed_layout(tags)
    _check_sizes(layout)
    _check_segments(layout, file.size_bytes)
    if header.dialect.is_ndpi and NDPI_RESTARTS in directory.entries:
        layout = _split_ndpi_strip(file, layout, tags.numbers(NDPI_RESTARTS), tags.numbers(NDPI_RESTARTS_HIGH))
    if layout.segment_width_px * layout.segment_height_px > MAX_SEGMENT_PX:
        raise SlideAbsurdError(
            f"A single tile or strip holds {layout.segment_width_px} x {layout.segment_height_px} px; "
            f"{MAX_SEGMENT_PX} px is the limit.",
            "Convert it to a tiled pyramid, for instance with `vips tiffsave in.tif out.tif --tile --pyramid`.",
        )
    return layout


@dataclass(frozen=True)
class _Tags:
    file: ByteFile
    header: TiffHeader
    directory: Directory

    def numbers(self, tag: int) -> NDArray[Any]:
        return integers(self.file, self.header.dialect, self.directory, tag, MAX_SEGMENTS * 8)

    def number(self, tag: int, default: int) -> int:
        found = self.numbers(tag)
        return int(found[0]) if found.size else default


def _claimed_layout(tags: _Tags) -> Layout:
    """The layout as the tags claim it, not yet checked."""
    width_px, height_px = tags.number(WIDTH, 0), tags.number(HEIGHT, 0)
    tiled = TILE_OFFSETS in tags.directory.entries or TILE_WIDTH in tags.directory.entries
    samples = tags.number(SAMPLES, 1)
    return Layout(
        width_px=width_px,
        height_px=height_px,
        segment_width_px=tags.number(TILE_WIDTH, 0) if tiled else width_px,
        segment_height_px=tags.number(TILE_HEIGHT, 0)
        if tiled
        else min(tags.number(ROWS_PER_STRIP, height_px), height_px),
        offsets=_positions(tags.numbers(TILE_OFFSETS if tiled else STRIP_OFFSETS)),
        counts=_positions(tags.numbers(TILE_COUNTS if tiled else STRIP_COUNTS)),
        compression=tags.number(COMPRESSION, 1),
        photometric=tags.number(PHOTOMETRIC, 1),
        samples=samples,
        bits=tuple(int(b) for b in tags.numbers(BITS)[:64]) or (1,),
        sample_format=tags.number(SAMPLE_FORMAT, 1),
        predictor=tags.number(PREDICTOR, 1),
        planar=tags.number(PLANAR, 1) == 2 and samples > 1,
        tiled=tiled,
        jpeg_tables=raw_values(tags.file, tags.directory, JPEG_TABLES, MAX_TABLES_BYTES),
        has_icc=ICC_PROFILE in tags.directory.entries,
    )


def _positions(values: NDArray[Any]) -> NDArray[np.int64]:
    """The values as int64; what does not fit becomes the largest, which no file is long enough for."""
    top = np.iinfo(np.int64).max
    return np.minimum(values.astype(np.uint64), np.uint64(top)).astype(np.int64)


def _check_sizes(layout: Layout) -> None:
    sides = (layout.width_px, layout.height_px, layout.segment_width_px, layout.segment_height_px)
    if min(sides) < 1:
        raise SlideUnreadableError(f"The TIFF's image or tile has no area: {sides[:2]} px in tiles of {sides[2:]} px.")
    if max(sides) > MAX_SIDE_PX or layout.width_px * layout.height_px > MAX_AREA_PX:
        raise SlideAbsurdError(
            f"The TIFF claims {layout.width_px} x {layout.height_px} px in tiles of {layout.segment_width_px} x "
            f"{layout.segment_height_px}; no side above {MAX_SIDE_PX} and no area above {MAX_AREA_PX} px is a slide's."
        )
    if layout.segments_per_plane > MAX_SEGMENTS:
        raise SlideAbsurdError(f"The TIFF claims {layout.segments_per_plane} tiles; {MAX_SEGMENTS} is the limit.")
    if not 1 <= layout.samples <= 64:
        raise SlideAbsurdError(f"The TIFF claims {layout.samples} samples per pixel.")


def _check_segments(layout: Layout, size_bytes: int) -> None:
    expected = layout.segments_per_plane * (layout.samples if layout.planar else 1)
    if layout.offsets.size != expected or layout.counts.size != expected:
        raise SlideUnreadableError(
            f"The TIFF needs {expected} tiles or strips, it lists {layout.offsets.size} places and "
            f"{layout.counts.size} lengths."
        )
    ends = np.minimum(layout.offsets, size_bytes + 1) + np.minimum(layout.counts, size_bytes + 1)
    beyond = np.flatnonzero((layout.counts > 0) & ((ends > size_bytes) | (layout.offsets < 8)))
    if beyond.size:
        first = int(beyond[0])
        raise SlideUnreadableError(
            f"The file is truncated or corrupt: {beyond.size} of {expected} tiles lie outside of it, the first is tile "
            f"{first} at byte {int(layout.offsets[first])} with {int(layout.counts[first])} bytes; "
            f"the file has {size_bytes}.",
            "Copy it again from the scanner and compare its size.",
        )
    if layout.missing == expected:
        raise SlideUnreadableError(f"None of the {expected} tiles of a level holds data.")


def _split_ndpi_strip(file: ByteFile, layout: Layout, lows: NDArray[Any], highs: NDArray[Any]) -> Layout:
    """The layout with an NDPI's one JPEG per level cut at its restart markers into tiles of one row of blocks."""
    starts = lows.astype(np.int64)
    if highs.size == starts.size:
        starts = starts + (highs.astype(np.int64) << 32)
    length, offset = int(layout.counts[0]), int(layout.offsets[0])
    rising = starts.size >= 2 and bool((np.diff(starts) > 0).all())
    if layout.counts.size != 1 or not rising or not 0 < starts[0] < MAX_TABLES_BYTES:
        raise SlideUnreadableError("The NDPI's table of restart markers is damaged.")
    if starts[-1] >= length:
        raise SlideUnreadableError("The NDPI is truncated: its restart markers lie behind its data.")
    prefix, width_px, height_px = _ndpi_prefix(file.read(offset, int(starts[0])))
    split = replace(
        layout,
        segment_width_px=width_px,
        segment_height_px=height_px,
        offsets=starts + offset,
        counts=np.diff(starts, append=length),
        tiled=True,
        jpeg_prefix=prefix,
    )
    if split.offsets.size != split.segments_per_plane:
        raise SlideUnreadableError(
            f"The NDPI needs {split.segments_per_plane} pieces between restart markers, it lists {split.offsets.size}."
        )
    return split


def _ndpi_prefix(header: bytes) -> tuple[bytes, int, int]:
    """The JPEG header of one piece, and the piece's width and height: one restart interval of blocks in a row."""
    try:
        jpeg = parse_jpeg_header(header)
    except ValueError as error:
        raise SlideUnreadableError(f"The NDPI's JPEG header is damaged: {error}.") from error
    if not (jpeg.restart_interval and jpeg.frame_offset and jpeg.scan_offset and jpeg.sampling):
        raise SlideUnreadableError("The NDPI's JPEG header lacks its frame, scan or restart interval.")
    width_px = jpeg.restart_interval * 8 * max(h for h, _ in jpeg.sampling)
    height_px = 8 * max(v for _, v in jpeg.sampling)
    if not width_px * height_px or width_px > MAX_RESTART_PX:
        raise SlideUnsupportedError(f"The NDPI restarts every {width_px} px; 1 to {MAX_RESTART_PX} px are read.")
    patched = height_px.to_bytes(2, "big") + width_px.to_bytes(2, "big")
    return header[: jpeg.frame_offset] + patched + header[jpeg.frame_offset + 4 : jpeg.scan_offset], width_px, height_px
