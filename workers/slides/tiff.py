"""Slides of the TIFF family: metadata through tiffslide, pixels through our own tiles."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tiffslide import TiffSlide

from models.errors import SlideUnreadableError, SlideUnsupportedError
from workers.geometry import Box
from workers.slides.byte_file import ByteFile
from workers.slides.codecs import COMPRESSIONS, require_rgb
from workers.slides.mpp import resolve_mpp
from workers.slides.parsing import parsing
from workers.slides.pyramid import PyramidSlide, level_downsample
from workers.slides.scrub import technical_fields
from workers.slides.slide import Level, SlideInfo
from workers.slides.tiff_header import TiffHeader, read_tiff_header
from workers.slides.tiff_layout import Layout, read_layout
from workers.slides.tiff_tiles import TiffTiles
from workers.slides.tile_cache import TileCache
from workers.slides.tiled_level import TiledLevel, TileGrid

CACHE_BYTES = 64 << 20
_FORMATS = {"aperio": "aperio-svs", "hamamatsu": "ndpi", "leica": "leica-scn", "ventana": "ventana-bif"}
_OME_SIZE = re.compile(r'PhysicalSize([XY])="([0-9.eE+-]+)"')
_OME_UNIT = re.compile(r'PhysicalSize([XY])Unit="([^"]{1,8})"')
_UNIT_UM = {"nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}


class NeedsOpenslideError(SlideUnsupportedError):
    """A TIFF dialect whose tiles do not lie on one grid: only openslide puts them together."""


@dataclass(frozen=True)
class TiffMetadata:
    """What tiffslide says of a file."""

    properties: Mapping[str, Any]
    description: str
    is_ome: bool
    level_offsets: tuple[int, ...]
    """Where the directory of each level lies in the file: the way from tiffslide's levels to our layouts."""
    images: tuple[Box, ...]
    """The scanned image of each level in px of the level."""
    sizes: tuple[tuple[int, int], ...]
    """Width and height of each level."""


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
        metadata = read_metadata(path, header.dialect.is_ndpi)
        layouts = _layouts_of(metadata, checked)
        info = describe(metadata, layouts, mpp_override)
        cache = TileCache(CACHE_BYTES)
        levels = [_level(file, layout, metadata.images[i], i, cache) for i, layout in enumerate(layouts)]
        for level in levels:
            _decode_some(level)
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


def _decode_some(level: TiledLevel) -> None:
    """Decode the first, middle and last tile: a file that cannot be decoded is refused when it is opened."""
    last = level.grid.columns * level.grid.rows - 1
    for number in sorted({0, last // 2, last}):
        level.tile(number)


def read_metadata(path: Path, is_ndpi: bool) -> TiffMetadata:
    """What tiffslide says of the file at `path`, without any pixels.

    Raises
    ------
    SlideUnreadableError
        tiffslide cannot parse it.
    NeedsOpenslideError
        Its tiles do not lie on one grid.
    """
    with parsing("TIFF's metadata"), TiffSlide(path, tifffile_options={"is_ndpi": is_ndpi}) as slide:
        properties = slide.properties
        if properties.get("tiffslide.vendor") == "ventana" or slide.ts_tifffile.is_bif:
            raise NeedsOpenslideError("Ventana BIF slides are put together by openslide only.", _OPENSLIDE)
        series = slide.ts_tifffile.series[properties["tiffslide.series-index"]]
        if properties["tiffslide.series-axes"] not in ("YXS", "SYX", "CYX"):
            raise SlideUnsupportedError(
                f"The image's axes are {str(properties['tiffslide.series-axes'])[:8]}; one RGB plane is read.",
                "Greyscale, fluorescence, time and z-stacks are not read; export one RGB plane.",
            )
        if any(len(level.pages) != 1 for level in series.levels):
            raise SlideUnsupportedError(
                f"Each level holds {len(series.levels[0].pages)} separate images; one RGB image is read.",
                "Channels stored apart are fluorescence; export brightfield as RGB.",
            )
        pages = [level.pages[0] for level in series.levels]
        sizes = tuple((int(w), int(h)) for w, h in slide.level_dimensions)
        places = _places(properties, series.index if hasattr(series, "index") else 0, len(sizes))
        return TiffMetadata(
            properties={key: value for key, value in properties.items() if value is not None},
            description=slide.ts_tifffile.pages[0].description or "",
            is_ome=bool(slide.ts_tifffile.is_ome),
            level_offsets=tuple(int(page.offset) for page in pages),
            images=tuple(
                Box(x, y, int(page.imagewidth), int(page.imagelength))
                for (x, y), page in zip(places, pages, strict=True)
            ),
            sizes=sizes,
        )


_OPENSLIDE = "Install the extra `histoserve[openslide]`, or convert the slide with `vips tiffsave --tile --pyramid`."


def _places(properties: Mapping[str, Any], series: int, levels: int) -> list[tuple[int, int]]:
    """Left and top of the scanned image in each level; (0, 0) but in Leica's collections."""
    composition = properties.get("tiffslide.series-composition")
    if composition is None:
        return [(0, 0)] * levels
    if len(composition.located_series) != 1:
        raise NeedsOpenslideError(
            f"The slide holds {len(composition.located_series)} scanned areas; openslide puts them together.", _OPENSLIDE
        )
    (offsets,) = composition.located_series.values()
    return [(int(x), int(y)) for y, x, *_ in offsets]


def describe(metadata: TiffMetadata, layouts: list[Layout], mpp_override: float | None) -> SlideInfo:
    """What we say of a TIFF slide.

    Raises
    ------
    MppMissingError, MppOutOfRangeError
    """
    properties = metadata.properties
    vendor = str(properties.get("tiffslide.vendor", "")).lower() or "unknown"
    vendor = vendor if re.fullmatch(r"[a-z0-9 _-]{1,32}", vendor) else "unknown"
    power = _number(properties.get("tiffslide.objective-power"))
    resolution = resolve_mpp(_stated_mpp(metadata), mpp_override, power)
    full = metadata.sizes[0]
    levels = tuple(
        Level(i, *size, level_downsample(full, size), layout.segment_width_px, layout.segment_height_px)
        for i, (size, layout) in enumerate(zip(metadata.sizes, layouts, strict=True))
    )
    return SlideInfo(
        format=_FORMATS.get(vendor, "philips-tiff" if "philips" in vendor else "generic-tiff")
        if not metadata.is_ome
        else "ome-tiff",
        vendor=vendor,
        reader="tiffslide",
        width_px=full[0],
        height_px=full[1],
        levels=levels,
        mpp=resolution.mpp,
        mpp_source=resolution.source,
        mpp_stated=resolution.stated,
        objective_power=power,
        bounds=_bounds(properties, full),
        has_icc=layouts[0].has_icc,
        compression=COMPRESSIONS[layouts[0].compression],
        technical=technical_fields(_technical(properties)),
        warnings=_sparse_warnings(layouts),
    )


def _stated_mpp(metadata: TiffMetadata) -> tuple[float, float] | None:
    """Micrometres per px (x, y): OME's physical size where the file is OME-TIFF, else what tiffslide found."""
    if metadata.is_ome:
        sizes = dict(_OME_SIZE.findall(metadata.description))
        units = dict(_OME_UNIT.findall(metadata.description))
        found = [_number(sizes.get(axis)) for axis in "XY"]
        scales = [_UNIT_UM.get(units.get(axis, "µm")) for axis in "XY"]
        if all(found) and all(scales):
            return (found[0] * scales[0], found[1] * scales[1])  # type: ignore[operator]
    stated = [_number(metadata.properties.get(f"tiffslide.mpp-{axis}")) for axis in "xy"]
    return (stated[0], stated[1]) if stated[0] is not None and stated[1] is not None else None


def _number(value: object) -> float | None:
    """A finite positive number, None for anything else."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if np.isfinite(number) and number > 0 else None


def _bounds(properties: Mapping[str, Any], full: tuple[int, int]) -> Box:
    whole = Box(0, 0, *full)
    names = ("bounds-x", "bounds-y", "bounds-width", "bounds-height")
    values = [properties.get(f"tiffslide.{name}") for name in names]
    if any(value is None for value in values):
        return whole
    bounds = whole.intersect(Box(*(int(value) for value in values if value is not None)))
    return whole if bounds.is_empty else bounds


def _technical(properties: Mapping[str, Any]) -> dict[str, object]:
    software = re.match(r"Aperio Image Library v[0-9.]{1,16}", str(properties.get("aperio.Header", "")))
    return {
        "scanner": properties.get("hamamatsu.Model") or properties.get("leica.device-model"),
        "software": software.group() if software else properties.get("leica.device-version"),
        "illumination": properties.get("leica.illumination-source"),
        "aperture": properties.get("leica.aperture"),
    }


def _sparse_warnings(layouts: list[Layout]) -> tuple[str, ...]:
    return tuple(
        f"Level {i}: {layout.missing} of {layout.counts.size} tiles hold no data and are read as white."
        for i, layout in enumerate(layouts)
        if layout.missing
    )
