"""The slide behind a result: needed only where cells of a mask are found anew and how dark they are is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.measures_spec import IhcCellsMeasure
from workers.contract.errors import NotRescorableError
from workers.outputs.files import slide_sha256
from workers.rescore.source import Source, is_found_anew
from workers.slides import Slide, open_slide


@contextmanager
def opened(source: Source, path: Path | None) -> Iterator[Slide | None]:
    """The slide where the new scores are taken from it; None where they are not.

    Raises
    ------
    NotRescorableError
        They are, and it was not given, or is another one.
    """
    if not _is_needed(source):
        yield None
        return
    if path is None:
        raise NotRescorableError(
            "With another seg_threshold or green_threshold cells are found anew, and how dark they are is read from "
            "the slide.",
            "Give it with --slide, or run the slide again with this parameter.",
        )
    if slide_sha256(path) != source.result.slide.sha256:
        raise NotRescorableError(f"{path.name} is not the slide that was analysed.", "Give that one.")
    slide = open_slide(path, source.result.configuration.get("mpp"))
    try:
        yield slide
    finally:
        slide.close()


def _is_needed(source: Source) -> bool:
    return any(
        isinstance(measure, IhcCellsMeasure)
        and is_found_anew(source.result, stem, measure)
        and source.result.scores[stem]["dab_bands"] is not None
        for stem, measure in source.measures()
    )
