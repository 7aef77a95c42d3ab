"""The decoded tiles of one DICOM level."""

from collections.abc import Callable
from dataclasses import dataclass

from wsidicom.errors import (
    WsiDicomError,
    WsiDicomFileError,
    WsiDicomNotFoundError,
    WsiDicomNotSupportedError,
    WsiDicomOutOfBoundsError,
)

from models.errors import SlideUnreadableError, SlideUnsupportedError
from workers.slides.codecs import Decode, Jpeg, Packed, decode_jpeg2000
from workers.slides.jpeg_header import JpegHeader, parse_jpeg_header, stored_as_rgb
from workers.slides.slide import RGB
from workers.slides.tiff_tiles import DECODE_FAILURES
from workers.slides.tiled_level import TileGrid

FRAME_FAILURES = (
    *DECODE_FAILURES,
    EOFError,
    LookupError,
    OSError,
    WsiDicomError,
    WsiDicomFileError,
    WsiDicomNotFoundError,
    WsiDicomNotSupportedError,
    WsiDicomOutOfBoundsError,
)
"""What wsidicom and the decoders raise on damaged frames."""
_JPEG = {"1.2.840.10008.1.2.4.50"}
_JPEG_2000 = {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"}
_UNCOMPRESSED = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}


@dataclass(frozen=True)
class DicomImage:
    """One level as DICOM stores it."""

    width_px: int
    height_px: int
    tile_width_px: int
    tile_height_px: int
    transfer_syntax: str
    photometric: str
    frame: Callable[[int, int], bytes | None]
    """Encoded tile of a column and row; None where the file holds none."""


class DicomTiles:
    """Decodes tile `number` of a level; None where the file holds no such tile."""

    def __init__(self, image: DicomImage, grid: TileGrid, level: int) -> None:
        self._image = image
        self._grid = grid
        self._level = level

    def __call__(self, number: int) -> RGB | None:
        """The pixels of a tile.

        Raises
        ------
        SlideUnreadableError
            It cannot be read or decoded.
        SlideUnsupportedError
            It is compressed in a way we do not decode.
        """
        row, column = divmod(number, self._grid.columns)
        try:
            data = self._image.frame(column, row)
            if data is None:
                return None
            return self._decoder(data)(data, self._image.tile_height_px, self._image.tile_width_px)
        except FRAME_FAILURES as error:
            raise SlideUnreadableError(
                f"Tile {number} of level {self._level} (column {column}, row {row}) cannot be decoded: {error}.",
                "The file is corrupt there: export it again.",
            ) from error

    def _decoder(self, data: bytes) -> Decode:
        syntax = self._image.transfer_syntax
        if syntax in _JPEG:
            as_rgb = stored_as_rgb(JpegHeader(), parse_jpeg_header(data), self._image.photometric == "RGB")
            return Jpeg("RGB" if as_rgb else "YCBCR")
        if syntax in _JPEG_2000:
            return decode_jpeg2000
        if syntax in _UNCOMPRESSED and self._image.photometric == "RGB":
            return Packed(None, 3, 1)
        raise SlideUnsupportedError(
            f"The DICOM transfer syntax {syntax} with {self._image.photometric} pixels is not read here.",
            "Export it as JPEG baseline or JPEG 2000.",
        )
