"""DICOM whole-slide images, one file or the folder of a series: metadata through wsidicom, pixels through our tiles."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from wsidicom import WsiDicom
from wsidicom.config import Settings
from wsidicom.geometry import Point

from models.errors import SlideAbsurdError, SlideUnreadableError, SlideUnsupportedError
from workers.geometry import Box
from workers.slides.byte_file import ByteFile
from workers.slides.dicom_plain import open_plain, volume_mpp
from workers.slides.dicom_tiles import FRAME_FAILURES, DicomImage, DicomTiles
from workers.slides.mpp import resolve_mpp
from workers.slides.parsing import parsing
from workers.slides.pyramid import PyramidSlide, level_downsample
from workers.slides.scrub import technical_fields
from workers.slides.slide import Level, SlideInfo
from workers.slides.tiff_layout import MAX_AREA_PX, MAX_SEGMENT_PX, MAX_SIDE_PX
from workers.slides.tile_cache import TileCache
from workers.slides.tiled_level import TiledLevel, TileGrid

CACHE_BYTES = 64 << 20
ENCODED_CACHE_BYTES = 4 << 20
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"


@dataclass(frozen=True)
class DicomSeries:
    """The levels of one slide, finest first, and what their headers say."""

    images: tuple[DicomImage, ...]
    header: Dataset
    stated_mpp: tuple[float, float] | None
    close: Callable[[], None]
    reader: str
    warnings: tuple[str, ...] = ()


def open_dicom(path: Path, mpp_override: float | None) -> PyramidSlide:
    """The slide of a DICOM file, or of the folder that holds its series.

    Raises
    ------
    SlideUnreadableError, SlideAbsurdError, SlideUnsupportedError, MppMissingError, MppOutOfRangeError
    """
    files = sorted(member for member in path.iterdir() if member.is_file()) if path.is_dir() else [path]
    headers = {file: header for file in files if (header := _read_header(file)) is not None}
    if not headers:
        raise SlideUnsupportedError(
            "The DICOM file holds no whole-slide image.", "Hand in a VL Whole Slide Microscopy instance or series."
        )
    series = _open_series(headers)
    try:
        info = _describe(series, mpp_override)
        cache = TileCache(CACHE_BYTES)
        levels = [_level(i, image, cache) for i, image in enumerate(series.images)]
        for level in levels:
            level.decode_some()
    except BaseException:
        series.close()
        raise

    def release() -> None:
        cache.clear()
        series.close()

    return PyramidSlide(info, levels, release)


def _level(index: int, image: DicomImage, cache: TileCache) -> TiledLevel:
    grid = TileGrid(Box(0, 0, image.width_px, image.height_px), image.tile_width_px, image.tile_height_px)
    return TiledLevel(index, grid, DicomTiles(image, grid, index), cache)


def _read_header(path: Path) -> Dataset | None:
    """The header of a whole-slide image, checked for sane sizes; None where the file is something else."""
    with ByteFile(path) as file:
        if file.size_bytes < 132 or file.read(128, 4) != b"DICM":
            return None
    with parsing("DICOM header", InvalidDicomError):
        header = dcmread(path, stop_before_pixels=True, defer_size=1 << 16)
        if str(header.file_meta.get("MediaStorageSOPClassUID", "")) != WHOLE_SLIDE:
            return None
        _check_sizes(header)
    return header


def _check_sizes(header: Dataset) -> None:
    width_px, height_px = int(header.TotalPixelMatrixColumns), int(header.TotalPixelMatrixRows)
    tile_px = int(header.Rows) * int(header.Columns)
    if min(width_px, height_px, tile_px) < 1:
        raise SlideUnreadableError(f"The DICOM image has no area: {width_px} x {height_px} px.")
    if max(width_px, height_px) > MAX_SIDE_PX or width_px * height_px > MAX_AREA_PX or tile_px > MAX_SEGMENT_PX:
        raise SlideAbsurdError(
            f"The DICOM header claims {width_px} x {height_px} px in tiles of {header.Columns} x {header.Rows}; "
            f"no side above {MAX_SIDE_PX} px is a slide's."
        )
    if int(header.SamplesPerPixel) != 3 or int(header.BitsStored) != 8:
        raise SlideUnsupportedError(
            f"The DICOM image has {header.SamplesPerPixel} channel(s) of {header.BitsStored} bit; 3 of 8 bit are read.",
            "Fluorescence and greyscale images are not brightfield slides.",
        )


def _open_series(headers: Mapping[Path, Dataset]) -> DicomSeries:
    volumes = {path: header for path, header in headers.items() if _flavour(header) in ("VOLUME", "")}
    if not volumes:
        raise SlideUnsupportedError(
            "The DICOM instance is a label, overview or thumbnail image, which are never served.",
            "Hand in the VOLUME instances of the slide.",
        )
    if all("ImageType" in header for header in volumes.values()):
        return _open_with_wsidicom(volumes)
    if len(volumes) > 1:
        raise SlideUnreadableError(
            f"{len(volumes)} DICOM files do not say what kind of image they hold (ImageType).", "Hand in one of them."
        )
    path, header = next(iter(volumes.items()))
    image, warning, close = open_plain(path, header)
    return DicomSeries((image,), header, volume_mpp(header), close, "pydicom", (warning,))


def _flavour(header: Dataset) -> str:
    kinds = header.get("ImageType", [])
    return str(kinds[2]) if len(kinds) > 2 else ""


def _open_with_wsidicom(headers: Mapping[Path, Dataset]) -> DicomSeries:
    settings = Settings(encoded_frame_cache_size=ENCODED_CACHE_BYTES, decoded_frame_cache_size=ENCODED_CACHE_BYTES)
    with parsing("DICOM series", *FRAME_FAILURES):
        wsi = WsiDicom.open(list(headers), settings=settings)
        try:
            levels = list(wsi.levels)
            base = levels[0].default_instance.image_data
            spacing = base.pixel_spacing
            images = tuple(_image_of(level.default_instance.image_data) for level in levels)
        except BaseException:
            wsi.close()
            raise
    stated = (spacing.width * 1000, spacing.height * 1000) if spacing else None
    first = max(headers.values(), key=lambda header: int(header.TotalPixelMatrixColumns))
    return DicomSeries(images, first, stated, wsi.close, "wsidicom")


def _image_of(data: Any) -> DicomImage:  # noqa: ANN401  wsidicom is not typed for us
    plane, path = data.default_z, data.default_path

    def frame(column: int, row: int) -> bytes | None:
        point = Point(column, row)
        return None if data.is_sparse(point, plane, path) else bytes(data.get_encoded_tile(point, plane, path))

    return DicomImage(
        width_px=data.image_size.width,
        height_px=data.image_size.height,
        tile_width_px=data.tile_size.width,
        tile_height_px=data.tile_size.height,
        transfer_syntax=str(data.transfer_syntax),
        photometric=data.photometric_interpretation,
        frame=frame,
    )


def _describe(series: DicomSeries, mpp_override: float | None) -> SlideInfo:
    header, first = series.header, series.images[0]
    full = (first.width_px, first.height_px)
    paths = header.get("OpticalPathSequence") or [Dataset()]
    power = paths[0].get("ObjectiveLensPower")
    resolution = resolve_mpp(series.stated_mpp, mpp_override, float(power) if power else None)
    return SlideInfo(
        format="dicom-wsi",
        vendor=technical_fields({"manufacturer": header.get("Manufacturer")}).get("manufacturer", "unknown").lower(),
        reader=series.reader,
        width_px=full[0],
        height_px=full[1],
        levels=tuple(
            Level(
                i,
                image.width_px,
                image.height_px,
                level_downsample(full, (image.width_px, image.height_px)),
                image.tile_width_px,
                image.tile_height_px,
            )
            for i, image in enumerate(series.images)
        ),
        mpp=resolution.mpp,
        mpp_source=resolution.source,
        mpp_stated=resolution.stated,
        objective_power=float(power) if power else None,
        bounds=Box(0, 0, *full),
        has_icc="ICCProfile" in paths[0],
        compression=UID(first.transfer_syntax).name,
        warnings=series.warnings,
        technical=technical_fields(
            {
                "manufacturer": header.get("Manufacturer"),
                "scanner": header.get("ManufacturerModelName"),
                "software": header.get("SoftwareVersions"),
            }
        ),
    )
