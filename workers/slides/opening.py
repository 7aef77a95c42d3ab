"""From a path to a slide: the reader is chosen by what the file holds."""

from pathlib import Path

from workers.slides.pyramid import PyramidSlide
from workers.slides.slide import Slide
from workers.slides.sniff import sniff


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
    return _open(Path(path), mpp_override)


def _open(path: Path, mpp_override: float | None) -> PyramidSlide:
    kind = sniff(path)
    if kind == "tiff":
        return _open_tiff(path, mpp_override)
    if kind in ("png", "jpeg"):
        from workers.slides.raster import open_raster

        return open_raster(path, kind, mpp_override)
    if kind == "openslide":
        from workers.slides.openslide_reader import open_with_openslide

        return open_with_openslide(path, mpp_override)
    from workers.slides.dicom import open_dicom

    return open_dicom(path, mpp_override)


def _open_tiff(path: Path, mpp_override: float | None) -> PyramidSlide:
    from workers.slides.tiff import open_tiff
    from workers.slides.tiff_metadata import NeedsOpenslideError

    try:
        return open_tiff(path, mpp_override)
    except NeedsOpenslideError:
        from workers.slides.openslide_reader import open_with_openslide

        return open_with_openslide(path, mpp_override)
