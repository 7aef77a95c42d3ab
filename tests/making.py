"""Small synthetic slides for tests: any array as a tiled pyramid TIFF, an SVS, an OME-TIFF, a Leica SCN or DICOM.

tiffslide and openslide read the TIFFs (openslide only the first level of OME pyramids).
"""

from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

RGB = NDArray[np.uint8]
FACTORS = (1, 2, 4)


def tissue(width: int, height: int, seed: int = 0) -> RGB:
    """A pink and purple texture with detail at every scale: uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    field = np.zeros((height, width), np.float32)
    for cells in (3, 8, 24, 64):
        rows, columns = (max(2, cells * side // max(width, height)) for side in (height, width))
        coarse = rng.standard_normal((rows + 1, columns + 1)).astype(np.float32)
        y = np.linspace(0, rows, height, dtype=np.float32)
        x = np.linspace(0, columns, width, dtype=np.float32)
        field += _bilinear(coarse, y, x)
    purple = (1 / (1 + np.exp(-2 * field)))[..., None]
    colour = purple * np.array([120, 70, 150], np.float32) + (1 - purple) * np.array([235, 190, 215], np.float32)
    noisy = colour + rng.normal(0, 6, (height, width, 1)).astype(np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _bilinear(coarse: NDArray[np.float32], y: NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[np.float32]:
    top, left = np.minimum(y.astype(int), coarse.shape[0] - 2), np.minimum(x.astype(int), coarse.shape[1] - 2)
    down, right = (y - top)[:, None], x - left
    rows = coarse[top] * (1 - down) + coarse[top + 1] * down
    return rows[:, left] * (1 - right) + rows[:, left + 1] * right


def halve(pixels: RGB, factor: int) -> RGB:
    """`pixels` with each `factor` x `factor` block averaged; ragged edges are cut off."""
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    blocks = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def jpeg_options(quality: int = 90) -> dict[str, object]:
    """tifffile options for JPEG 4:2:0 tiles. `photometric` names the input's colours; the file's become YCbCr."""
    return {"compression": "jpeg", "compressionargs": {"level": quality}, "photometric": "rgb", "subsampling": (2, 2)}


def lossless_options(compression: str | None = "zlib") -> dict[str, object]:
    """tifffile options for tiles whose pixels come back as they were."""
    return {"compression": compression, "photometric": "rgb"}


def write_pyramid(
    path: Path,
    pixels: RGB,
    mpp: float | None = 0.5,
    *,
    factors: Sequence[int] = FACTORS,
    tile_px: int = 256,
    options: dict[str, object] | None = None,
) -> Path:
    """Write a generic tiled pyramid with its mpp in the resolution tags (none where mpp is None)."""
    options = options or jpeg_options()
    with tifffile.TiffWriter(path) as tif:
        for factor in factors:
            _write_level(tif, pixels, factor, {**_scale(mpp, factor), "tile": (tile_px, tile_px), **options})
    return path


def _scale(mpp: float | None, factor: int) -> dict[str, object]:
    return {} if mpp is None else {"resolution": (1e4 / (mpp * factor),) * 2, "resolutionunit": "CENTIMETER"}


def _write_level(tif: tifffile.TiffWriter, pixels: RGB, factor: int, options: dict[str, object]) -> None:
    level = pixels if factor == 1 else halve(pixels, factor)
    tif.write(level, subfiletype=0 if factor == 1 else 1, metadata=None, software=False, **options)


def write_svs(
    path: Path,
    pixels: RGB,
    mpp: float | None = 0.499,
    *,
    options: dict[str, object] | None = None,
    label: RGB | None = None,
    notes: str = "",
) -> Path:
    """Write an Aperio-like slide: level 0, thumbnail, a level of factor 4, label, macro; `notes` go into its text."""
    height, width = pixels.shape[:2]
    head = f"Aperio Image Library v11.2.1 \r\n{width}x{height} [0,0 {width}x{height}] (256x256) JPEG/RGB Q=80"
    text = head + "|AppMag = 20" + (f"|MPP = {mpp:.4f}" if mpp else "") + (f"|{notes}" if notes else "")
    options = options or jpeg_options()
    small = halve(pixels, 4)
    plain = {"metadata": None, "software": False}
    with tifffile.TiffWriter(path) as tif:
        tif.write(pixels, tile=(256, 256), description=text, **plain, **options)
        tif.write(small, description=f"{head} -> thumbnail", rowsperstrip=16, photometric="rgb", **plain)
        tif.write(small, tile=(256, 256), description=head + " -> 1/4", **plain, **options)
        if label is not None:
            tif.write(label, description="Aperio\r\nlabel 1x1", subfiletype=1, photometric="rgb", **plain)
            tif.write(label, description="Aperio\r\nmacro 1x1", subfiletype=9, photometric="rgb", **plain)
    return path


def write_ome(path: Path, pixels: RGB, mpp: float = 0.25, factors: Sequence[int] = FACTORS, tile_px: int = 256) -> Path:
    """Write an OME-TIFF with its coarser levels as SubIFDs."""
    metadata = {
        "axes": "YXS",
        "PhysicalSizeX": mpp,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": mpp,
        "PhysicalSizeYUnit": "µm",
    }
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(pixels, tile=(tile_px, tile_px), subifds=len(factors) - 1, metadata=metadata, **lossless_options())
        for factor in factors[1:]:
            tif.write(halve(pixels, factor), tile=(tile_px, tile_px), subfiletype=1, **lossless_options())
    return path


def write_scn(
    path: Path,
    pixels: RGB,
    origin: tuple[int, int],
    slide_px: tuple[int, int],
    *,
    mpp: float = 0.5,
    options: dict[str, object] | None = None,
) -> Path:
    """Write a Leica SCN: `pixels` lie at `origin` (x, y) of a slide of `slide_px`, so that its bounds have an offset.

    For whole pixels at every level, let origin and sizes be multiples of 4.
    """
    nm = round(mpp * 1000)
    height, width = pixels.shape[:2]
    levels = [halve(pixels, factor) for factor in FACTORS]
    dimensions = "".join(
        f'<dimension sizeX="{level.shape[1]}" sizeY="{level.shape[0]}" r="{i}" ifd="{i}"/>'
        for i, level in enumerate(levels)
    )
    macro = halve(pixels, 4)
    shown = f'sizeX="{macro.shape[1]}" sizeY="{macro.shape[0]}"'
    xml = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f'<collection name="c" uuid="1" sizeX="{slide_px[0] * nm}" sizeY="{slide_px[1] * nm}"><barcode></barcode>'
        '<image name="image_0" uuid="2"><creationDate>2020-01-01T00:00:00Z</creationDate>'
        '<device model="Leica SCN400" version="1.4.0"/>'
        f'<pixels sizeX="{width}" sizeY="{height}">{dimensions}</pixels>'
        f'<view sizeX="{width * nm}" sizeY="{height * nm}" offsetX="{origin[0] * nm}" offsetY="{origin[1] * nm}"/>'
        "<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings><illuminationSettings>"
        "<numericalAperture>0.4</numericalAperture><illuminationSource>brightfield</illuminationSource>"
        '</illuminationSettings></scanSettings></image><image name="image_1" uuid="3">'
        f'<pixels {shown}><dimension {shown} r="0" ifd="{len(levels)}"/></pixels>'
        f'<view sizeX="{slide_px[0] * nm}" sizeY="{slide_px[1] * nm}" offsetX="0" offsetY="0"/>'
        "<scanSettings><objectiveSettings><objective>0.6</objective></objectiveSettings><illuminationSettings>"
        "<illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings></image>"
        "</collection></scn>"
    )
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for i, level in enumerate([*levels, macro]):
            text = {"description": xml} if i == 0 else {}
            tif.write(level, tile=(256, 256), metadata=None, software=False, **text, **(options or jpeg_options()))
    return path


def split_jpeg(encoded: bytes) -> tuple[bytes, bytes]:
    """(tables, stream without them) of a JPEG: what libvips and Aperio write as JPEGTables and abbreviated tiles."""
    tables, rest = [b"\xff\xd8"], [b"\xff\xd8"]
    at = 2
    while True:
        marker, length = encoded[at + 1], int.from_bytes(encoded[at + 2 : at + 4], "big")
        if marker == 0xDA:
            return b"".join([*tables, b"\xff\xd9"]), b"".join([*rest, encoded[at:]])
        part = encoded[at : at + 2 + length]
        if marker in (0xDB, 0xC4):
            tables.append(part)
        elif marker != 0xE0:
            rest.append(part)
        at += 2 + length


def write_with_tables(path: Path, pixels: RGB, mpp: float = 0.5, tile_px: int = 256, as_rgb: bool = False) -> Path:
    """Write one level of JPEG tiles with shared JPEGTables; `as_rgb` stores R, G, B components as Aperio does."""
    colours = {"outcolorspace": "RGB"} if as_rgb else {"outcolorspace": "YCBCR", "subsampling": "420"}
    rows, columns = (-(-side // tile_px) for side in pixels.shape[:2])
    padded = np.pad(
        pixels, [(0, rows * tile_px - len(pixels)), (0, columns * tile_px - pixels.shape[1]), (0, 0)], "edge"
    )
    tiles = padded.reshape(rows, tile_px, columns, tile_px, 3).swapaxes(1, 2).reshape(-1, tile_px, tile_px, 3)
    pieces = [split_jpeg(imagecodecs.jpeg8_encode(t, level=85, colorspace="RGB", **colours)) for t in tiles]
    with tifffile.TiffWriter(path) as tif:
        tif.write(
            (stream for _, stream in pieces),
            shape=pixels.shape,
            dtype=np.uint8,
            tile=(tile_px, tile_px),
            compression="jpeg",
            photometric="rgb" if as_rgb else "ycbcr",
            subsampling=None if as_rgb else (2, 2),
            jpegtables=pieces[0][0],
            resolution=(1e4 / mpp, 1e4 / mpp),
            resolutionunit="CENTIMETER",
            metadata=None,
        )
    return path
