"""Formats tiffslide lacks (MIRAX, Ventana BIF, Hamamatsu VMS, ...) through openslide, where it is installed."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import SlideAbsurdError, SlideUnreadableError, SlideUnsupportedError
from workers.geometry import Box
from workers.slides.mpp import resolve_mpp
from workers.slides.parsing import parsing
from workers.slides.pyramid import PyramidSlide, level_downsample
from workers.slides.scrub import technical_fields
from workers.slides.slide import RGB, Level, SlideInfo
from workers.slides.tiff_layout import MAX_AREA_PX, MAX_SIDE_PX
from workers.slides.tiled_level import WHITE


class OpenslideLevel:
    """One level, read through openslide; what openslide leaves transparent is white."""

    def __init__(self, slide: Any, level: Level) -> None:  # noqa: ANN401  openslide has no types
        self._slide = slide
        self._level = level

    def read(self, box: Box) -> RGB:
        """The pixels of `box` in px of the level.

        openslide addresses boxes in level-0 px: at levels with a fractional downsample the place is rounded to one.
        """
        x, y = (round(v * self._level.downsample) for v in (box.x, box.y))
        try:
            seen = np.asarray(self._slide.read_region((x, y), self._level.index, (box.width, box.height)))
        except (OSError, RuntimeError, ValueError) as error:
            raise SlideUnreadableError(
                f"openslide cannot read {box.width} x {box.height} px at {box.x}, {box.y} of level {self._level.index}",
                "The file is corrupt there: copy it again from the scanner, companions included.",
            ) from error
        return _on_white(seen)


def _on_white(seen: np.ndarray[Any, np.dtype[np.uint8]]) -> RGB:
    alpha = seen[..., 3:]
    if (alpha == WHITE).all():
        return np.ascontiguousarray(seen[..., :3])
    mixed = seen[..., :3].astype(np.uint16) * alpha + np.uint16(WHITE) * (WHITE - alpha)
    return ((mixed + WHITE // 2) // WHITE).astype(np.uint8)


def open_with_openslide(path: Path, mpp_override: float | None) -> PyramidSlide:
    """The slide as openslide sees it.

    Raises
    ------
    SlideUnsupportedError
        openslide is not installed.
    SlideUnreadableError, SlideAbsurdError, MppMissingError, MppOutOfRangeError
    """
    if find_spec("openslide") is None:
        raise SlideUnsupportedError(
            "The slide is of a format that only openslide reads, which is not installed.",
            "Install the extra `histoserve[openslide]`, or convert the slide to a tiled pyramid TIFF.",
        )
    import openslide

    with parsing("slide (through openslide)"):
        slide = openslide.OpenSlide(path)
    try:
        info = _describe(slide, mpp_override)
    except BaseException:
        slide.close()
        raise
    return PyramidSlide(info, [OpenslideLevel(slide, level) for level in info.levels], slide.close)


def _describe(slide: Any, mpp_override: float | None) -> SlideInfo:  # noqa: ANN401
    properties: Mapping[str, str] = slide.properties
    width_px, height_px = slide.dimensions
    if max(width_px, height_px) > MAX_SIDE_PX or width_px * height_px > MAX_AREA_PX:
        raise SlideAbsurdError(f"The slide claims {width_px} x {height_px} px.")
    stated = _float(properties, "mpp-x"), _float(properties, "mpp-y")
    power = _float(properties, "objective-power")
    resolution = resolve_mpp(
        (stated[0], stated[1]) if stated[0] is not None and stated[1] is not None else None, mpp_override, power
    )
    vendor = properties.get("openslide.vendor", "unknown")
    vendor = vendor if re.fullmatch(r"[a-z0-9-]{1,32}", vendor) else "unknown"
    levels = tuple(
        Level(i, size[0], size[1], level_downsample(slide.dimensions, size), *_tile(properties, i))
        for i, size in enumerate(slide.level_dimensions)
    )
    return SlideInfo(
        format=f"openslide:{vendor}",
        vendor=vendor,
        reader="openslide",
        width_px=width_px,
        height_px=height_px,
        levels=levels,
        mpp=resolution.mpp,
        mpp_source=resolution.source,
        mpp_stated=resolution.stated,
        objective_power=power,
        bounds=_bounds(properties, width_px, height_px),
        has_icc="openslide.icc-size" in properties,
        compression="unknown",
        technical=technical_fields(
            {"scanner": properties.get("ventana.ScannerModel") or properties.get("mirax.GENERAL.SLIDE_TYPE")}
        ),
    )


def _float(properties: Mapping[str, str], name: str) -> float | None:
    try:
        return float(properties[f"openslide.{name}"])
    except (KeyError, ValueError):
        return None


def _tile(properties: Mapping[str, str], level: int) -> tuple[int, int]:
    sides = [_float(properties, f"level[{level}].tile-{side}") or 0 for side in ("width", "height")]
    return int(sides[0]), int(sides[1])


def _bounds(properties: Mapping[str, str], width_px: int, height_px: int) -> Box:
    whole = Box(0, 0, width_px, height_px)
    values = [_float(properties, f"bounds-{name}") for name in ("x", "y", "width", "height")]
    if any(value is None for value in values):
        return whole
    bounds = whole.intersect(Box(*(int(value) for value in values if value is not None)))
    return whole if bounds.is_empty else bounds
