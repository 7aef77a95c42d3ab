"""What kind of file it is, from its first bytes; a suffix proves nothing."""

from pathlib import Path
from typing import Literal

from models.errors import SlideUnreadableError, SlideUnsupportedError
from workers.slides.byte_file import ByteFile
from workers.slides.tiff_header import is_tiff

Kind = Literal["tiff", "dicom", "dicom-folder", "png", "jpeg", "openslide"]
_SNIFFED_BYTES = 4096
_ZEISS = b"ZISRAWFILE"
_OLYMPUS_ETS = b"SIS\0"
_KNOWN_ELSEWHERE = (
    (_ZEISS, "a Zeiss CZI", "`bioformats2raw` and `raw2ometiff`, or ZEN's export"),
    (_OLYMPUS_ETS, "an Olympus ETS (part of a VSI)", "`bioformats2raw` and `raw2ometiff`, run on the .vsi"),
    (b"\xda\xce\xbe\x0a", "a Nikon ND2", "`bioformats2raw` and `raw2ometiff`"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5", "the program that wrote it"),
    (b"SQLite format 3\0", "an SQLite", "the program that wrote it"),
    (b"PK\x03\x04", "a ZIP", "unpack it and hand in the slide inside"),
    (b"\x1f\x8b", "a gzip", "unpack it and hand in the slide inside"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000", "`vips tiffsave in out.tif --tile --pyramid`"),
    (b"BM", "a Windows bitmap", "`vips tiffsave in out.tif --tile --pyramid`"),
    (b"GIF8", "a GIF", "`vips tiffsave in out.tif --tile --pyramid`"),
    (b"RIFF", "a WebP", "`vips tiffsave in out.tif --tile --pyramid`"),
    (b"%PDF", "a PDF", "hand in the slide itself"),
)


def sniff(path: Path) -> Kind:
    """The kind of the file or folder, by content.

    Raises
    ------
    SlideUnreadableError
        It is missing, empty, or nothing we know.
    SlideUnsupportedError
        It is a format we know by name and cannot read; the remedy names a converter.
    """
    if path.is_dir():
        return _sniff_folder(path)
    with ByteFile(path) as file:
        start = file.read(0, min(file.size_bytes, _SNIFFED_BYTES))
    if not start:
        raise SlideUnreadableError("The file is empty.", "Copy it again from the scanner.")
    if is_tiff(start):
        return "tiff"
    if start[128:132] == b"DICM":
        return "dicom"
    if start[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if start[:3] == b"\xff\xd8\xff":
        return "openslide" if _has_mirax_folder(path) else "jpeg"
    for magic, name, converter in _KNOWN_ELSEWHERE:
        if start.startswith(magic):
            raise SlideUnsupportedError(
                f"The file is {name} file, which is not read here.", f"Convert it: {converter}."
            )
    return _sniff_text(path, start)


def _sniff_folder(path: Path) -> Kind:
    for member in sorted(path.iterdir()):
        if member.is_file():
            with ByteFile(member) as file:
                if file.size_bytes > 132 and file.read(128, 4) == b"DICM":
                    return "dicom-folder"
    raise SlideUnreadableError(
        "The folder holds no DICOM file.", "Hand in the slide's file, or the folder of one DICOM series."
    )


def _has_mirax_folder(path: Path) -> bool:
    """A 3DHISTECH slide is a JPEG thumbnail beside a folder of the same name with an index."""
    return (path.with_suffix("") / "Slidedat.ini").is_file()


def _sniff_text(path: Path, start: bytes) -> Kind:
    if start[:4096].lstrip().startswith(b"[Virtual Microscope Specimen]") or b"[Uncompressed Virtual" in start:
        return "openslide"
    shown = start[:4].hex(" ")
    raise SlideUnreadableError(
        f"The file is no slide: it starts with the bytes {shown}.",
        "TIFF (SVS, NDPI, SCN, OME-TIFF, generic pyramids), DICOM WSI, PNG and JPEG are read; MRXS and VMS need the "
        "extra `histoserve[openslide]`; convert CZI, VSI and others with `bioformats2raw` and `raw2ometiff`.",
    )
