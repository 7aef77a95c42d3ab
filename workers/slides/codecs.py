"""Encoded tiles to RGB: one decoder per TIFF compression, chosen once per level.

All decoding is imagecodecs' (it lets go of the interpreter's lock); what a tile claims to decode to is checked against
the level before memory is given to it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from models.errors import SlideUnsupportedError
from workers.slides.jpeg_header import JpegHeader, parse_jpeg_header, stored_as_rgb
from workers.slides.slide import RGB
from workers.slides.tiff_layout import Layout

COMPRESSIONS = {
    1: "none",
    5: "lzw",
    7: "jpeg",
    8: "deflate",
    32946: "deflate",
    32773: "packbits",
    33003: "jpeg2000-ycbcr",
    33005: "jpeg2000",
    34712: "jpeg2000",
    50000: "zstd",
    50001: "webp",
}
_BYTES = {
    5: imagecodecs.lzw_decode,
    8: imagecodecs.zlib_decode,
    32946: imagecodecs.zlib_decode,
    32773: imagecodecs.packbits_decode,
    50000: imagecodecs.zstd_decode,
}
_RGB, _YCBCR = 2, 6
_END_OF_IMAGE = b"\xff\xd9"

Decode = Callable[[bytes, int, int], RGB]
"""Encoded bytes, height and width of the segment in px -> its pixels. Raises ValueError or RuntimeError."""


def require_rgb(layout: Layout) -> None:
    """Refuse what is not 8-bit RGB, or is compressed in a way we do not decode.

    Raises
    ------
    SlideUnsupportedError
    """
    if layout.samples != 3 or set(layout.bits) != {8} or layout.sample_format != 1:
        raise SlideUnsupportedError(
            f"The image has {layout.samples} channel(s) of {max(layout.bits)} bit; 3 channels of 8 bit (RGB) are read.",
            "Fluorescence, greyscale and 16-bit images are not brightfield slides; export brightfield as 8-bit RGB.",
        )
    if layout.compression not in COMPRESSIONS:
        raise SlideUnsupportedError(
            f"The image is compressed with TIFF scheme {layout.compression}, which is not read here.",
            "Convert it, for instance with `vips tiffsave in out.tif --tile --pyramid --compression jpeg`.",
        )
    lossy = COMPRESSIONS[layout.compression].startswith(("jpeg", "webp"))
    if layout.photometric not in (_RGB, _YCBCR) or (layout.photometric == _YCBCR and not lossy):
        raise SlideUnsupportedError(
            f"The image's photometric interpretation is {layout.photometric}; RGB is read.", "Export it as RGB."
        )
    if layout.planar and lossy:
        raise SlideUnsupportedError("The image stores its colours apart and lossily; only interleaved RGB is read.")


def make_decoder(layout: Layout, sample: bytes) -> Decode:
    """The decoder of a level's segments.

    Parameters
    ----------
    layout
        As checked by `require_rgb`.
    sample
        One encoded segment of the level: its markers say which colours it holds.
    """
    name = COMPRESSIONS[layout.compression]
    if name == "jpeg":
        return _make_jpeg(layout, sample)
    if name.startswith("jpeg2000"):
        return decode_jpeg2000_ycbcr if name.endswith("ycbcr") else decode_jpeg2000
    if name == "webp":
        return _decode_webp
    unpack = _BYTES.get(layout.compression)
    plane = layout.samples if not layout.planar else 1
    return Packed(unpack, plane, layout.predictor)


def _make_jpeg(layout: Layout, sample: bytes) -> Decode:
    first = parse_jpeg_header(layout.jpeg_prefix or sample)
    tables = parse_jpeg_header(layout.jpeg_tables) if layout.jpeg_tables else JpegHeader()
    as_rgb = stored_as_rgb(tables, first, layout.photometric == _RGB)
    return Jpeg("RGB" if as_rgb else "YCBCR", layout.jpeg_tables, layout.jpeg_prefix, exact=layout.tiled)


@dataclass(frozen=True)
class Jpeg:
    """Decodes JPEG segments of one level."""

    colours: str
    tables: bytes = b""
    prefix: bytes = b""
    exact: bool = True
    """Segments have the stated size (tiles); a last strip may be written in full height."""

    def __call__(self, data: bytes, height_px: int, width_px: int) -> RGB:
        """Pixels of a segment.

        A stream that is cut off before its end marker, or holds a hole of zeros, is refused: libjpeg would fill in grey
        and say nothing. Other damage inside of the entropy-coded data cannot be told from a picture.
        """
        if self.prefix:
            data = b"".join((self.prefix, data, _END_OF_IMAGE))
        elif data.rfind(_END_OF_IMAGE, max(0, len(data) - 64)) < 0:
            raise ValueError("the JPEG stream ends before its end marker")
        if bytes(longest_zero_run(height_px * width_px)) in data:
            raise ValueError("the JPEG stream holds a hole of zeros")
        stored_px = height_px if self.exact else parse_jpeg_header(data).height_px
        if not height_px <= stored_px <= height_px + (1 << 16):
            raise ValueError(f"the strip has {stored_px} rows, {height_px} are needed")
        if stored_px * width_px > 1 << 27:
            raise ValueError(f"the strip claims {stored_px} rows")
        out = _empty_off_grid(stored_px, width_px)
        tables = self.tables or None
        imagecodecs.jpeg8_decode(data, tables=tables, colorspace=self.colours, outcolorspace="RGB", out=out)
        return out if stored_px == height_px else out[:height_px].copy()


def longest_zero_run(area_px: int) -> int:
    """One more than the zero bytes in a row that a JPEG of this area can hold, header padding (64) included.

    The shortest code of a flat 8 x 8 block is two bits, and there are at most three blocks for 64 px.
    """
    return area_px * 3 // 64 * 2 // 8 + 65


def _empty_off_grid(height_px: int, width_px: int) -> RGB:
    """Memory that starts 16 bytes beside a multiple of 32.

    Memory aligned to 32 bytes is written past the processor's caches by libjpeg-turbo, and decoding of tiles falls
    from 380 to 290 MPix/s (measured); numpy's arrays are aligned so or not by chance.
    """
    length = height_px * width_px * 3
    flat = np.empty(length + 32, np.uint8)
    start = (16 - flat.ctypes.data) % 32
    return flat[start : start + length].reshape(height_px, width_px, 3)


def decode_jpeg2000(data: bytes, height_px: int, width_px: int) -> RGB:
    """Pixels of a JPEG 2000 segment; a codestream that claims another size is refused before it is decoded."""
    start = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    size = data[start + 8 : start + 24]
    if start < 0 or len(size) < 16:
        raise ValueError("it holds no JPEG 2000 codestream")
    right, bottom, left, top = (int.from_bytes(size[i : i + 4], "big") for i in range(0, 16, 4))
    if (right - left, bottom - top) != (width_px, height_px):
        raise ValueError(f"the codestream has {right - left} x {bottom - top} px, not {width_px} x {height_px}")
    pixels = imagecodecs.jpeg2k_decode(data)
    return _as_rgb(pixels, height_px, width_px)


def decode_jpeg2000_ycbcr(data: bytes, height_px: int, width_px: int) -> RGB:
    """Pixels of an Aperio 33003 segment: JPEG 2000 whose components are Y, Cb, Cr (JFIF's full range)."""
    stored = decode_jpeg2000(data, height_px, width_px).astype(np.float32)
    luma, blue, red = stored[..., 0], stored[..., 1] - 128, stored[..., 2] - 128
    rgb = np.stack((luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue), axis=-1)
    whole: RGB = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    return whole


def _decode_webp(data: bytes, height_px: int, width_px: int) -> RGB:
    out = np.empty((height_px, width_px, 3), np.uint8)
    imagecodecs.webp_decode(data, hasalpha=False, out=out)
    return out


def _as_rgb(pixels: NDArray[np.generic], height_px: int, width_px: int) -> RGB:
    if pixels.shape != (height_px, width_px, 3) or pixels.dtype != np.uint8:
        raise ValueError(f"it decodes to {pixels.shape} of {pixels.dtype}, not {(height_px, width_px, 3)} of uint8")
    return np.ascontiguousarray(pixels.astype(np.uint8, copy=False))


@dataclass(frozen=True)
class Packed:
    """Decodes lossless segments of interleaved pixels, or of one colour plane."""

    unpack: Callable[..., bytes | bytearray | None] | None
    channels: int
    predictor: int

    def __call__(self, data: bytes, height_px: int, width_px: int) -> NDArray[np.uint8]:
        """uint8 (height, width, channels)."""
        wanted_bytes = height_px * width_px * self.channels
        raw = self.unpack(data, out=wanted_bytes) if self.unpack else data
        if raw is None or len(raw) < wanted_bytes:
            raise ValueError(f"it unpacks to {0 if raw is None else len(raw)} of {wanted_bytes} bytes")
        pixels = np.frombuffer(raw, np.uint8, wanted_bytes).reshape(height_px, width_px, self.channels)
        if self.predictor == 1:
            return pixels
        if self.predictor == 2:
            summed: NDArray[np.uint8] = np.cumsum(pixels, axis=1, dtype=np.uint8)
            return summed
        raise SlideUnsupportedError(f"The image uses TIFF predictor {self.predictor}; 1 and 2 are read for bytes.")
