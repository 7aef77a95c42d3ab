"""A lone DICOM file without ImageType and tile positions, which wsidicom refuses: read, and its tiles' order proven.

The standard requires a header to say where its tiles lie. Some converters leave that out; and not all of them write row
by row. Rather than guess, the order is taken from the pixels: in the true order tiles continue each other at their
seams. Where that does not tell clearly, the file is refused.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from models.errors import SlideUnreadableError
from workers.geometry import Box
from workers.slides.byte_file import ByteFile
from workers.slides.dicom_frames import FramePlaces, find_frames
from workers.slides.dicom_tiles import DicomImage, DicomTiles
from workers.slides.parsing import parsing
from workers.slides.slide import RGB
from workers.slides.tiled_level import TileGrid

SEAMS = 24
CLEARLY = 0.5
"""The true order's seams must differ at most this much of the other's."""
_REMEDY = "Export the slide again with DimensionOrganizationType and ImageType (DICOM PS3.3 C.8.12)."
TileNumber = Callable[[int, int], int]


def open_plain(path: Path, header: Dataset) -> tuple[DicomImage, str, Callable[[], None]]:
    """The one level of the file, a warning that says how its tiles were placed, and what closes it.

    Raises
    ------
    SlideUnreadableError
        Frames are missing or truncated, or do not tell where they lie.
    """
    file = ByteFile(path)
    try:
        places = find_frames(file, header, _pixel_data_offset(path))
        grid = _grid(header)
        if len(places.offsets) != grid.columns * grid.rows:
            raise SlideUnreadableError(
                f"The DICOM grid has {grid.columns} x {grid.rows} tiles, the file {len(places.offsets)} frames."
            )
        by_row = _image(file, header, grid, places, lambda column, row: row * grid.columns + column)
        by_column = _image(file, header, grid, places, lambda column, row: column * grid.rows + row)
        image, warning = _choose(grid, by_row, by_column)
    except BaseException:
        file.close()
        raise
    return image, warning, file.close


def volume_mpp(header: Dataset) -> tuple[float, float] | None:
    """Micrometres per px from the imaged volume (mm), the only scale a header without pixel measures has."""
    width_mm, height_mm = header.get("ImagedVolumeWidth"), header.get("ImagedVolumeHeight")
    if not width_mm or not height_mm:
        return None
    width_um, height_um = float(width_mm) * 1000, float(height_mm) * 1000
    return width_um / int(header.TotalPixelMatrixColumns), height_um / int(header.TotalPixelMatrixRows)


def _pixel_data_offset(path: Path) -> int:
    with parsing("DICOM header", InvalidDicomError), path.open("rb") as stream:
        dcmread(stream, stop_before_pixels=True, defer_size=1 << 16)
        return stream.tell()


def _grid(header: Dataset) -> TileGrid:
    size = Box(0, 0, int(header.TotalPixelMatrixColumns), int(header.TotalPixelMatrixRows))
    return TileGrid(size, int(header.Columns), int(header.Rows))


def _image(file: ByteFile, header: Dataset, grid: TileGrid, places: FramePlaces, number: TileNumber) -> DicomImage:
    def frame(column: int, row: int) -> bytes:
        found = number(column, row)
        return file.read(places.offsets[found], places.lengths[found])

    return DicomImage(
        width_px=grid.image.width,
        height_px=grid.image.height,
        tile_width_px=grid.tile_width_px,
        tile_height_px=grid.tile_height_px,
        transfer_syntax=str(header.file_meta.TransferSyntaxUID),
        photometric=str(header.PhotometricInterpretation),
        frame=frame,
    )


def _choose(grid: TileGrid, by_row: DicomImage, by_column: DicomImage) -> tuple[DicomImage, str]:
    """The order whose tiles continue each other, with the evidence; they are one where there is one row or column."""
    if grid.rows == 1 or grid.columns == 1:
        return by_row, "The file does not say where its tiles lie; there is one row or column of them."
    rows, columns = (seam_difference(DicomTiles(image, grid, 0), grid) for image in (by_row, by_column))
    evidence = f"the tiles' edges differ by {rows:.1f} grey levels row by row, {columns:.1f} column by column"
    if rows <= CLEARLY * columns:
        return by_row, f"The file does not say where its tiles lie; read row by row: {evidence}."
    if columns <= CLEARLY * rows:
        return by_column, f"The file does not say where its tiles lie; read column by column: {evidence}."
    raise SlideUnreadableError(
        f"The file does not say where its tiles lie, and their pixels do not tell: {evidence}.", _REMEDY
    )


def seam_difference(tiles: Callable[[int], RGB | None], grid: TileGrid) -> float:
    """Mean absolute difference (grey levels) across a sample of the seams between neighbouring tiles."""
    differences = [np.abs(here.astype(np.int16) - there.astype(np.int16)).mean() for here, there in _seams(tiles, grid)]
    return float(np.mean(differences)) if differences else 0.0


def _seams(tiles: Callable[[int], RGB | None], grid: TileGrid) -> Iterator[tuple[RGB, RGB]]:
    """The px on both sides of sampled seams, cut to what lies inside of the image."""
    inner = [(column, row) for row in range(grid.rows - 1) for column in range(grid.columns - 1)]
    for column, row in inner[:: max(1, len(inner) // SEAMS)]:
        number = row * grid.columns + column
        here, right, below = tiles(number), tiles(number + 1), tiles(number + grid.columns)
        if here is None or right is None or below is None:
            continue
        yield here[:, -1], right[:, 0]
        yield here[-1], below[0]
