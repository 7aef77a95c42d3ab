"""Slides made byte by byte: hand-made TIFF directories (also hostile ones), an NDPI, and DICOM whole-slide images."""

import io
import struct
from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image
from pydicom import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from tests.making import RGB, halve, write_pyramid

ASCII, SHORT, LONG, RATIONAL, SIGNED, FLOAT = 2, 3, 4, 5, 9, 11
Tags = dict[int, tuple[int, Sequence[float]]]
_CODES = {SHORT: "H", LONG: "I", RATIONAL: "I", SIGNED: "i", FLOAT: "f"}


def directory(tags: Tags, offset: int, following: int = 0, ndpi: bool = False) -> bytes:
    """A classic little-endian TIFF directory that stands at `offset`, its values behind it."""
    end = offset + 2 + 12 * len(tags) + (8 + 4 * len(tags) if ndpi else 4)
    entries, values = b"", b""
    for tag, (kind, numbers) in sorted(tags.items()):
        data = bytes(numbers) if kind == ASCII else struct.pack(f"<{len(numbers)}{_CODES[kind]}", *numbers)
        count = len(numbers) // 2 if kind == RATIONAL else len(numbers)
        if len(data) <= 4:
            field = data.ljust(4, b"\0")
        else:
            field = struct.pack("<I", end + len(values))
            values += data + b"\0" * (len(data) % 2)
        entries += struct.pack("<HHI", tag, kind, count) + field
    tail = struct.pack("<Q", following) + bytes(4 * len(tags)) if ndpi else struct.pack("<I", following)
    return struct.pack("<H", len(tags)) + entries + tail + values


def image_tags(width: int, height: int, **changes: tuple[int, Sequence[int]]) -> Tags:
    """The tags of an uncompressed RGB image of one 16 px tile at byte 8; `changes` by tag number as `t256`."""
    tags: Tags = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [8, 8, 8]),
        259: (SHORT, [1]),
        262: (SHORT, [2]),
        277: (SHORT, [3]),
        282: (RATIONAL, [20000, 1]),
        283: (RATIONAL, [20000, 1]),
        296: (SHORT, [3]),
        322: (LONG, [16]),
        323: (LONG, [16]),
        324: (LONG, [8]),
        325: (LONG, [768]),
    }
    return tags | {int(name[1:]): value for name, value in changes.items()}


def raw_tiff(tags: Tags, data: bytes = bytes(768), following: int | None = None) -> bytes:
    """A TIFF of one directory behind `data` (which starts at byte 8); `following` is the next directory's offset."""
    offset = 8 + len(data)
    return b"II*\0" + struct.pack("<I", offset) + data + directory(tags, offset, following or 0)


def write_ndpi(path: Path, pixels: RGB, mpp: float = 0.5, restart_blocks: int = 16) -> Path:
    """Write an NDPI-like slide: one JPEG with restart markers per level, and a table of where they are.

    The width must be a multiple of 16 * `restart_blocks`, the height of 16.
    """
    out, offset, heads = b"", 16, []
    for factor in (1, 2):
        jpeg, starts = restarting_jpeg(pixels if factor == 1 else halve(pixels, factor), restart_blocks)
        heads.append(((offset + len(out), len(jpeg), starts), factor))
        out += jpeg + b"\0" * (len(jpeg) % 2)
    first = offset + len(out)
    for i, (place, factor) in enumerate(heads):
        tags = _ndpi_tags((pixels.shape[1] // factor, pixels.shape[0] // factor), place, factor, mpp)
        at = offset + len(out)
        size = len(directory(tags, at, 0, ndpi=True))
        last = i == len(heads) - 1
        out += directory(tags, at, 0 if last else at + size, ndpi=True)
    path.write_bytes(b"II*\0" + struct.pack("<QI", first, 0) + out)
    return path


def _ndpi_tags(size: tuple[int, int], place: tuple[int, int, list[int]], factor: int, mpp: float) -> Tags:
    (width, height), (offset, length, starts) = size, place
    per_cm = round(1e4 / (mpp * factor))
    return {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [8, 8, 8]),
        259: (SHORT, [7]),
        262: (SHORT, [6]),
        273: (LONG, [offset]),
        277: (SHORT, [3]),
        278: (LONG, [height]),
        279: (LONG, [length]),
        282: (RATIONAL, [per_cm, 1]),
        283: (RATIONAL, [per_cm, 1]),
        296: (SHORT, [3]),
        271: (ASCII, b"Hamamatsu\0"),
        65420: (LONG, [1]),
        65421: (FLOAT, [20 / factor]),
        65422: (SIGNED, [0]),
        65423: (SIGNED, [0]),
        65424: (SIGNED, [0]),
        65426: (LONG, starts),
    }


def restarting_jpeg(pixels: RGB, restart_blocks: int) -> tuple[bytes, list[int]]:
    """A JPEG with restart markers and where each of its pieces starts."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90, subsampling="4:2:0", restart_marker_blocks=restart_blocks)
    data = stream.getvalue()
    scan = data.index(b"\xff\xda")
    starts = [scan + 2 + int.from_bytes(data[scan + 2 : scan + 4], "big")]
    at = starts[0]
    while (at := data.find(b"\xff", at)) >= 0:
        if 0xD0 <= data[at + 1] <= 0xD7:
            starts.append(at + 2)
        at += 2
    return data, starts


def write_dicom(
    path: Path,
    pixels: RGB,
    mpp: float | None = 0.5,
    *,
    jpeg: bool = True,
    columns_first: bool = False,
    **changes: object,
) -> Path:
    """Write one level as a tiled-full DICOM whole-slide image; `changes` set attributes, None removes them.

    `columns_first` stores the frames column by column, as some converters wrongly do.
    """
    height, width = pixels.shape[:2]
    tiles = _tiles(pixels, 128)
    if columns_first:
        columns = -(-width // 128)
        tiles = [tile for first in range(columns) for tile in tiles[first::columns]]
    frames = [_jpeg(tile) if jpeg else tile.tobytes() for tile in tiles]
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3", "1.2.4", "1.2.5"
    data.PatientName, data.PatientID, data.Modality = "Doe^John", "12345", "SM"
    data.Manufacturer, data.ManufacturerModelName = "ACME", "Scanner 3000"
    data.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    data.SamplesPerPixel, data.PlanarConfiguration, data.NumberOfFrames = 3, 0, len(tiles)
    data.PhotometricInterpretation = "YBR_FULL_422" if jpeg else "RGB"
    data.Rows = data.Columns = 128
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows = width, height
    data.TotalPixelMatrixFocalPlanes = data.NumberOfOpticalPaths = 1
    data.ImagedVolumeWidth, data.ImagedVolumeHeight, data.ImagedVolumeDepth = 1.0, 1.0, 0.001
    data.DimensionOrganizationType, data.FocusMethod, data.ExtendedDepthOfField = "TILED_FULL", "AUTO", "NO"
    data.SpecimenLabelInImage, data.BurnedInAnnotation, data.VolumetricProperties = "NO", "NO", "VOLUME"
    data.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    origin, path_item = Dataset(), Dataset()
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 0.0
    data.TotalPixelMatrixOriginSequence = DicomSequence([origin])
    path_item.OpticalPathIdentifier, path_item.ObjectiveLensPower = "0", 20
    data.OpticalPathSequence = DicomSequence([path_item])
    if mpp is not None:
        measures, shared = Dataset(), Dataset()
        measures.PixelSpacing, measures.SliceThickness = [mpp / 1000, mpp / 1000], 0.001
        shared.PixelMeasuresSequence = DicomSequence([measures])
        data.SharedFunctionalGroupsSequence = DicomSequence([shared])
    data.PixelData = encapsulate(frames) if jpeg else b"".join(frames)
    for name, value in changes.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def _tiles(pixels: RGB, tile_px: int) -> list[RGB]:
    rows, columns = (-(-side // tile_px) for side in pixels.shape[:2])
    margins = [(0, rows * tile_px - len(pixels)), (0, columns * tile_px - pixels.shape[1]), (0, 0)]
    padded = np.pad(pixels, margins, "edge")
    cut = padded.reshape(rows, tile_px, columns, tile_px, 3).swapaxes(1, 2).reshape(-1, tile_px, tile_px, 3)
    return [np.ascontiguousarray(tile) for tile in cut]


def _jpeg(tile: RGB) -> bytes:
    return imagecodecs.jpeg8_encode(tile, level=95, colorspace="RGB", outcolorspace="YCBCR", subsampling="444")


def write_sparse(path: Path, pixels: RGB) -> Path:
    """Write a one-level pyramid whose second tile holds no data."""
    write_pyramid(path, pixels, factors=(1,))
    with tifffile.TiffFile(path, mode="r+") as tif:
        page = tif.pages[0]
        offsets, counts = list(page.dataoffsets), list(page.databytecounts)
        offsets[1] = counts[1] = 0
        page.tags["TileOffsets"].overwrite(offsets)
        page.tags["TileByteCounts"].overwrite(counts)
    return path
