"""Plain PNG and JPEG regions, at a resolution the caller states."""

from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from models.errors import SlideAbsurdError, SlideUnreadableError, SlideUnsupportedError
from workers.geometry import Box
from workers.slides.byte_file import ByteFile
from workers.slides.jpeg_header import parse_jpeg_header
from workers.slides.mpp import resolve_mpp
from workers.slides.parsing import parsing
from workers.slides.pyramid import PyramidSlide
from workers.slides.slide import RGB, Level, SlideInfo
from workers.slides.tiled_level import WHITE

MAX_RASTER_PX = 1 << 26
_HEADER_BYTES = 4 << 20
_COLOUR = {"RGB", "RGBA", "P", "PA"}


class ArrayLevel:
    """A level that is one array in memory."""

    def __init__(self, pixels: RGB) -> None:
        self._pixels = pixels

    def read(self, box: Box) -> RGB:
        """The pixels of `box`, white outside of the image; always a fresh array."""
        out = np.full((box.height, box.width, 3), WHITE, np.uint8)
        part = box.intersect(Box(0, 0, self._pixels.shape[1], self._pixels.shape[0]))
        inside = self._pixels[part.y : part.bottom, part.x : part.right]
        out[part.y - box.y : part.bottom - box.y, part.x - box.x : part.right - box.x] = inside
        return out


def open_raster(path: Path, mpp_override: float | None) -> PyramidSlide:
    """The one-level slide of a PNG or JPEG file.

    What such files say of their density is meant for printers and never taken for a resolution.

    Raises
    ------
    MppMissingError, MppOutOfRangeError
        The caller states no resolution, or an implausible one.
    SlideAbsurdError
        More than 2 ** 26 px: it belongs into a tiled pyramid.
    SlideUnreadableError, SlideUnsupportedError
        Truncated or corrupt; not in colour.
    """
    kind, (width_px, height_px) = _size(path)
    if width_px * height_px > MAX_RASTER_PX:
        raise SlideAbsurdError(
            f"The image claims {width_px} x {height_px} px; {MAX_RASTER_PX} px is the limit for {kind.upper()}.",
            "Convert it to a tiled pyramid: `vips tiffsave in out.tif --tile --pyramid`.",
        )
    resolution = resolve_mpp(None, mpp_override)
    pixels, has_icc = _decode(path, kind)
    if pixels.shape != (height_px, width_px, 3):
        raise SlideUnreadableError(f"The image decodes to {pixels.shape[1]} x {pixels.shape[0]} px, not as it claims.")
    info = SlideInfo(
        format=kind,
        vendor="unknown",
        reader="pillow",
        width_px=width_px,
        height_px=height_px,
        levels=(Level(0, width_px, height_px, 1.0),),
        mpp=resolution.mpp,
        mpp_source=resolution.source,
        mpp_stated=None,
        objective_power=None,
        bounds=Box(0, 0, width_px, height_px),
        has_icc=has_icc,
        compression="deflate" if kind == "png" else "jpeg",
    )
    return PyramidSlide(info, [ArrayLevel(pixels)], lambda: None)


def _size(path: Path) -> tuple[Literal["png", "jpeg"], tuple[int, int]]:
    """Kind, and width and height as the header claims them, read without any library."""
    with ByteFile(path) as file:
        start = file.read(0, min(file.size_bytes, _HEADER_BYTES))
    is_png = start[:4] == b"\x89PNG"
    if is_png:
        if start[12:16] != b"IHDR" or len(start) < 24:
            raise SlideUnreadableError("The PNG is truncated inside of its header.")
        size = int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")
    else:
        try:
            jpeg = parse_jpeg_header(start)
        except ValueError as error:
            raise SlideUnreadableError(f"The JPEG's header is damaged: {error}.") from error
        size = jpeg.width_px, jpeg.height_px
    if min(size) < 1:
        raise SlideUnreadableError(f"The image has no area: {size[0]} x {size[1]} px.")
    return ("png" if is_png else "jpeg"), size


def _decode(path: Path, kind: Literal["png", "jpeg"]) -> tuple[RGB, bool]:
    with parsing(f"{kind.upper()} image"), Image.open(path, formats=[kind.upper()]) as image:
        if image.mode not in _COLOUR:
            raise SlideUnsupportedError(
                f"The image's mode is {image.mode}; 8-bit RGB is read.", "Export it as 8-bit RGB."
            )
        if image.mode != "RGB":
            canvas = Image.new("RGBA", image.size, (WHITE, WHITE, WHITE, WHITE))
            flat = Image.alpha_composite(canvas, image.convert("RGBA")).convert("RGB")
            return np.asarray(flat), "icc_profile" in image.info
        return np.array(image), "icc_profile" in image.info
