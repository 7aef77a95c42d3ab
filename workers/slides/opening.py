"""From a path to a slide: the reader is chosen by what the file holds."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from workers.slides.pyramid import PyramidSlide
from workers.slides.slide import Slide
from workers.slides.sniff import Kind, sniff

Reader = Callable[[Path, float | None], PyramidSlide]


def open_slide(path: Path, mpp_override: float | None = None) -> Slide:
    """The slide at `path`, open for reading by many threads.

    For a file from a stranger call `probe_slide` first: it opens the file in a limited child.

    Parameters
    ----------
    path
        A file, or a folder that holds one DICOM series.
    mpp_override
        Micrometres per level-0 pixel; authoritative where given, whatever the file says.

    Raises
    ------
    SlideUnreadableError
        Truncated, corrupt, unknown.
    SlideAbsurdError
        The header claims what cannot be.
    SlideUnsupportedError
        Sound, but not RGB brightfield, or of a format without a reader here.
    MppMissingError, MppOutOfRangeError
        The resolution is missing or implausible, and was not overridden.
    """
    path = Path(path)
    return reader_of(sniff(path))(path, mpp_override)


def reader_of(kind: Kind) -> Reader:
    """The function that opens slides of this kind; its libraries are loaded here, and only here."""
    if kind == "tiff":
        from workers.slides.tiff import open_tiff

        return partial(_with_openslide_where_needed, open_tiff)
    if kind in ("png", "jpeg"):
        from workers.slides.raster import open_raster

        return open_raster
    if kind == "openslide":
        from workers.slides.openslide_reader import open_with_openslide

        return open_with_openslide
    from workers.slides.dicom import open_dicom

    return open_dicom


def _with_openslide_where_needed(open_tiff: Reader, path: Path, mpp_override: float | None) -> PyramidSlide:
    from workers.slides.tiff_metadata import NeedsOpenslideError

    try:
        return open_tiff(path, mpp_override)
    except NeedsOpenslideError:
        return reader_of("openslide")(path, mpp_override)
