"""What a TIFF slide's metadata say, as tiffslide reads them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tiffslide import TiffSlide

from models.errors import SlideUnsupportedError
from workers.geometry import Box
from workers.slides.parsing import parsing

_PLANAR = "SYX"
_OME_SIZE = re.compile(r'PhysicalSize([XY])="([0-9.eE+-]+)"')
_OME_UNIT = re.compile(r'PhysicalSize([XY])Unit="([^"]{1,8})"')
_OPENSLIDE = "Install the extra `histoserve[openslide]`, or convert the slide with `vips tiffsave --tile --pyramid`."
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
        properties = _properties(slide)
        if properties.get("tiffslide.vendor") == "ventana" or slide.ts_tifffile.is_bif:
            raise NeedsOpenslideError("Ventana BIF slides are put together by openslide only.", _OPENSLIDE)
        series = slide.ts_tifffile.series[properties["tiffslide.series-index"]]
        _refuse_planes(properties, series)
        pages = [level.pages[0] for level in series.levels]
        sizes = tuple(
            (int(properties[f"tiffslide.level[{i}].width"]), int(properties[f"tiffslide.level[{i}].height"]))
            for i in range(len(pages))
        )
        places = _places(properties, len(sizes))
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


def _refuse_planes(properties: Mapping[str, Any], series: Any) -> None:  # noqa: ANN401  tifffile's own class
    if properties["tiffslide.series-axes"] not in ("YXS", _PLANAR):
        raise SlideUnsupportedError(
            f"The image's axes are {str(properties['tiffslide.series-axes'])[:8]}; one RGB plane is read.",
            "Greyscale, fluorescence, time and z-stacks are not read; export one RGB plane.",
        )
    if any(len(level.pages) != 1 for level in series.levels):
        raise SlideUnsupportedError(
            f"Each level holds {len(series.levels[0].pages)} separate images; one RGB image is read.",
            "Channels stored apart are fluorescence; export brightfield as RGB.",
        )


def _properties(slide: TiffSlide) -> dict[str, Any]:
    """tiffslide's properties; of planes of colour apart, which it does not know, the sizes only (mpp: the caller's)."""
    series = slide.ts_tifffile.series[0]
    if series.axes != _PLANAR:
        return dict(slide.properties)
    sizes: dict[str, Any] = {"tiffslide.series-index": 0, "tiffslide.series-axes": _PLANAR}
    for i, level in enumerate(series.levels):
        page = level.pages[0]
        sizes |= {f"tiffslide.level[{i}].width": page.imagewidth, f"tiffslide.level[{i}].height": page.imagelength}
    return sizes


def _places(properties: Mapping[str, Any], levels: int) -> list[tuple[int, int]]:
    """Left and top of the scanned image in each level; (0, 0) but in Leica's collections."""
    composition = properties.get("tiffslide.series-composition")
    if composition is None:
        return [(0, 0)] * levels
    areas = composition["located_series"]
    if len(areas) != 1:
        raise NeedsOpenslideError(
            f"The slide holds {len(areas)} scanned areas; openslide puts them together.", _OPENSLIDE
        )
    (offsets,) = areas.values()
    return [(int(x), int(y)) for y, x, *_ in offsets]


def stated_mpp(metadata: TiffMetadata) -> tuple[float, float] | None:
    """Micrometres per px (x, y): OME's physical size where the file is OME-TIFF, else what tiffslide found."""
    if metadata.is_ome:
        sizes = dict(_OME_SIZE.findall(metadata.description))
        units = dict(_OME_UNIT.findall(metadata.description))
        scales = {axis: _UNIT_UM.get(units.get(axis, "µm"), 0.0) for axis in "XY"}
        physical = _pair(*((number(sizes.get(axis)) or 0.0) * scales[axis] for axis in "XY"))
        if physical:
            return physical
    return _pair(*(number(metadata.properties.get(f"tiffslide.mpp-{axis}")) for axis in "xy"))


def _pair(x: float | None, y: float | None) -> tuple[float, float] | None:
    return (x, y) if x and y else None


def number(value: object) -> float | None:
    """A finite positive number, None for anything else."""
    try:
        parsed = float(str(value))
    except ValueError:
        return None
    return parsed if np.isfinite(parsed) and parsed > 0 else None


def scanned_bounds(properties: Mapping[str, Any], full: tuple[int, int]) -> Box:
    """The scanned part in level-0 px; the whole slide where the file names none."""
    whole = Box(0, 0, *full)
    names = ("bounds-x", "bounds-y", "bounds-width", "bounds-height")
    values = [properties.get(f"tiffslide.{name}") for name in names]
    if any(value is None for value in values):
        return whole
    bounds = whole.intersect(Box(*(int(value) for value in values if value is not None)))
    return whole if bounds.is_empty else bounds


def technical_words(properties: Mapping[str, Any]) -> dict[str, object]:
    """Candidates for the technical fields, not yet scrubbed."""
    software = re.match(r"Aperio Image Library v[0-9.]{1,16}", str(properties.get("aperio.Header", "")))
    return {
        "scanner": properties.get("hamamatsu.Model") or properties.get("leica.device-model"),
        "software": software.group() if software else properties.get("leica.device-version"),
        "illumination": properties.get("leica.illumination-source"),
        "aperture": properties.get("leica.aperture"),
    }
