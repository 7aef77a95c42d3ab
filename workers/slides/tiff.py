"""Slides of the TIFF family: metadata through tiffslide, pixels through our own tiles."""

import re
from collections.abc import Mapping
from pathlib import Path

from models.errors import SlideUnreadableError
from workers.geometry import Box
from workers.slides.byte_file import ByteFile
from workers.slides.codecs import COMPRESSIONS, require_rgb
from workers.slides.mpp import resolve_mpp
from workers.slides.pyramid import PyramidSlide, level_downsample
from workers.slides.scrub import technical_fields
from workers.slides.slide import Level, SlideInfo
from workers.slides.tiff_header import read_tiff_header
from workers.slides.tiff_layout import Layout, read_layout
from workers.slides.tiff_metadata import (
    TiffMetadata,
    number,
    read_metadata,
    scanned_bounds,
    stated_mpp,
    technical_words,
)
from workers.slides.tiff_tiles import TiffTiles
from workers.slides.tile_cache import TileCache
from workers.slides.tiled_level import TiledLevel, TileGrid

CACHE_BYTES = 64 << 20
_FORMATS = {"aperio": "aperio-svs", "hamamatsu": "ndpi", "leica": "leica-scn", "philips": "philips-tiff"}


def open_tiff(path: Path, mpp_override: float | None) -> PyramidSlide:
    """The slide of a TIFF file, opened after its header was checked.

    Raises
    ------
    SlideUnreadableError, SlideAbsurdError, SlideUnsupportedError, MppMissingError, MppOutOfRangeError
    """
    file = ByteFile(path)
    try:
        header = read_tiff_header(file)
        checked = {directory.offset: read_layout(file, header, directory) for directory in header.directories}
        require_rgb(checked[header.directories[0].offset])
        metadata = read_metadata(path, header.dialect.is_ndpi)
        layouts = _layouts_of(metadata, checked)
        info = describe(metadata, layouts, mpp_override)
        cache = TileCache(CACHE_BYTES)
        levels = [_level(file, layout, metadata.images[i], i, cache) for i, layout in enumerate(layouts)]
        for level in levels:
            level.decode_some()
    except BaseException:
        file.close()
        raise

    def release() -> None:
        cache.clear()
        file.close()

    return PyramidSlide(info, levels, release)


def _layouts_of(metadata: TiffMetadata, checked: Mapping[int, Layout]) -> list[Layout]:
    missing = [offset for offset in metadata.level_offsets if offset not in checked]
    if missing:
        raise SlideUnreadableError(f"The directory of a level, at byte {missing[0]}, is not among the file's.")
    layouts = [checked[offset] for offset in metadata.level_offsets]
    for layout in layouts:
        require_rgb(layout)
    return layouts


def _level(file: ByteFile, layout: Layout, image: Box, index: int, cache: TileCache) -> TiledLevel:
    if (layout.width_px, layout.height_px) != (image.width, image.height):
        raise SlideUnreadableError(
            f"Level {index} has {layout.width_px} x {layout.height_px} px, its description says "
            f"{image.width} x {image.height}."
        )
    grid = TileGrid(image, layout.segment_width_px, layout.segment_height_px)
    return TiledLevel(index, grid, TiffTiles(file, layout, index), cache)


def describe(metadata: TiffMetadata, layouts: list[Layout], mpp_override: float | None) -> SlideInfo:
    """What we say of a TIFF slide.

    Raises
    ------
    MppMissingError, MppOutOfRangeError
    """
    properties = metadata.properties
    vendor = str(properties.get("tiffslide.vendor", "")).lower() or "unknown"
    vendor = vendor if re.fullmatch(r"[a-z0-9 _-]{1,32}", vendor) else "unknown"
    power = number(properties.get("tiffslide.objective-power"))
    resolution = resolve_mpp(stated_mpp(metadata), mpp_override, power)
    full = metadata.sizes[0]
    levels = tuple(
        Level(i, *size, level_downsample(full, size), layout.segment_width_px, layout.segment_height_px)
        for i, (size, layout) in enumerate(zip(metadata.sizes, layouts, strict=True))
    )
    return SlideInfo(
        format="ome-tiff" if metadata.is_ome else _FORMATS.get(vendor, "generic-tiff"),
        vendor=vendor,
        reader="tiffslide",
        width_px=full[0],
        height_px=full[1],
        levels=levels,
        mpp=resolution.mpp,
        mpp_source=resolution.source,
        mpp_stated=resolution.stated,
        objective_power=power,
        bounds=scanned_bounds(properties, full),
        has_icc=layouts[0].has_icc,
        compression=COMPRESSIONS[layouts[0].compression],
        technical=technical_fields(technical_words(properties)),
        warnings=_sparse_warnings(layouts),
    )


def _sparse_warnings(layouts: list[Layout]) -> tuple[str, ...]:
    return tuple(
        f"Level {i}: {layout.missing} of {layout.counts.size} tiles hold no data and are read as white."
        for i, layout in enumerate(layouts)
        if layout.missing
    )
