"""A map as a pyramidal, tiled OME-TIFF that opens in QuPath, tiffslide and openslide alike.

OME readers look for the coarser levels in the SubIFDs of the first page, openslide in the chain of pages that follow
it. Here both lead to the same pages: nothing is stored twice. The picture is RGB, which every reader shows in the
right colours (classes in theirs, lossless; images as JPEG); the numbers are in the OME-Zarr.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape, quoteattr

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from workers.geometry import Box, Frame
from workers.outputs.colours import paint
from workers.outputs.files import replace_whole
from workers.outputs.maps import MapSpec, present_shards, read_box
from workers.outputs.marks import MARK, mark_metadata, mark_text
from workers.outputs.place import Place, place_of
from workers.result import NOTICE

TILE_PX = 512
JPEG_QUALITY = 90
DEFLATE_LEVEL = 1
UM_PER_CM = 10_000
OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def write_ome_tiff(folder: Path, spec: MapSpec, frame: Frame, path: Path) -> None:
    """Write the map (with its pyramid) as an OME-TIFF; the file appears when it is whole.

    Memory is a few tiles; tiles where nothing was written cost next to nothing. Same map, same bytes.

    Raises
    ------
    ValueError
        The map holds probabilities of several classes, which no single picture shows.
    """
    place = place_of(frame, spec.stride_px)
    with replace_whole(path) as file:
        with tifffile.TiffWriter(file, bigtiff=True, byteorder="<") as tiff:
            for level in range(spec.levels):
                _write_level(tiff, folder, spec, level, place)
        _chain_pages(file)


def _write_level(tiff: tifffile.TiffWriter, folder: Path, spec: MapSpec, level: int, place: Place) -> None:
    width, height = spec.level_size(level)
    per_cm = UM_PER_CM / (place.mpp * 2**level)
    tiff.write(
        _tiles(folder, spec, level),
        shape=(height, width, 3),
        dtype=np.uint8,
        tile=(TILE_PX, TILE_PX),
        photometric="ycbcr" if spec.kind == "image" else "rgb",
        subsampling=(1, 1) if spec.kind == "image" else None,
        compression="jpeg" if spec.kind == "image" else "adobe_deflate",
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
        subifds=None if level else spec.levels - 1,
        subfiletype=1 if level else 0,
        description=None if level else _ome_xml(spec, place).encode(),
        metadata=None,
        software="histoserve",
    )


def _tiles(folder: Path, spec: MapSpec, level: int) -> Iterator[bytes]:
    """The encoded tiles of a level, row by row; the blank one is encoded once."""
    width, height = spec.level_size(level)
    shards = frozenset(present_shards(folder, spec, level))
    blank = _encode(np.full(spec.shape(TILE_PX, TILE_PX), spec.fill, dtype=np.uint8), spec)
    for y in range(0, height, TILE_PX):
        for x in range(0, width, TILE_PX):
            box = Box(x, y, TILE_PX, TILE_PX).intersect(Box(0, 0, width, height))
            if shards.isdisjoint(spec.shards_of(box)):
                yield blank
                continue
            values = read_box(folder, spec, box, level)
            yield _encode(values, spec) if (values != spec.fill).any() else blank


def _encode(values: NDArray[np.uint8], spec: MapSpec) -> bytes:
    """A tile; what it reaches behind the edge repeats the last pixels, which JPEG keeps out of the picture."""
    rest = [(0, TILE_PX - side) for side in values.shape[-2:]]
    rgb = paint(np.pad(values, [(0, 0)] * (values.ndim - 2) + rest, mode="edge"), spec)
    if spec.kind == "image":
        return bytes(
            imagecodecs.jpeg8_encode(
                rgb, level=JPEG_QUALITY, colorspace="RGB", outcolorspace="YCBCR", subsampling="444"
            )
        )
    return bytes(imagecodecs.deflate_encode(rgb.tobytes(), level=DEFLATE_LEVEL))


def _chain_pages(file: IO[bytes]) -> None:
    """Let the first page lead to the coarser levels as following pages too."""
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        first = tiff.pages.first
        offsets = [first.offset, *(first.subifds or ())]
    for offset, following in zip(offsets, [*offsets[1:], 0], strict=True):
        file.seek(offset)
        (tags,) = struct.unpack("<Q", file.read(8))
        file.seek(offset + 8 + 20 * tags)
        file.write(struct.pack("<Q", following))


def _ome_xml(spec: MapSpec, place: Place) -> str:
    width, height = spec.level_size(0)
    told = place.metadata() | mark_metadata(spec.virtual)
    notes = {"kind": spec.kind, **{name: json.dumps(value) for name, value in told.items()}}
    name, description = spec.name, NOTICE
    if spec.virtual is not None:
        name, description = f"{spec.name} ({MARK})", f"{mark_text(spec.virtual)} {NOTICE}"
    pairs = "".join(f"<M K={quoteattr(name)}>{escape(value)}</M>" for name, value in notes.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="{OME}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="{OME} {OME}/ome.xsd" Creator="histoserve">'
        f'<Image ID="Image:0" Name={quoteattr(name)}><Description>{escape(description)}</Description>'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="{width}" SizeY="{height}" SizeC="3" '
        f'SizeZ="1" SizeT="1" Interleaved="true" BigEndian="false" PhysicalSizeX="{place.mpp!r}" '
        f'PhysicalSizeXUnit="µm" PhysicalSizeY="{place.mpp!r}" PhysicalSizeYUnit="µm">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData IFD="0" PlaneCount="1"/></Pixels>'
        '<AnnotationRef ID="Annotation:0"/></Image><StructuredAnnotations>'
        f'<MapAnnotation ID="Annotation:0" Namespace="histoserve"><Value>{pairs}</Value></MapAnnotation>'
        "</StructuredAnnotations></OME>"
    )
