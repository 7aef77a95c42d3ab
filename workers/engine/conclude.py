"""After the last band: nothing is missing, everything is measured, and the result is told."""

from collections.abc import Mapping
from pathlib import Path

from models.errors import InternalError
from models.parameters import FORCE
from workers.engine.analysed import write_analysed
from workers.engine.calibrate import Fitted
from workers.engine.checkpoint import BandRecord
from workers.engine.finish import finish
from workers.engine.finishing import Finishing
from workers.engine.tell import tell
from workers.engine.work import Work
from workers.quality import write_pictures
from workers.result import Result

QUALITY_FOLDER = "quality"


def conclude(work: Work, fitted: Fitted, done: Mapping[int, BandRecord], *, resumed: bool) -> Result:
    """The result of a run all of whose bands are in `work.maps`; its seconds are still to be filled in.

    Raises
    ------
    InternalError
        A tile or a band is missing: the result would have a hole.
    """
    total, tiles = work.plan.count_tiles(), sum(record.tiles for record in done.values())
    if tiles != total or set(done) != {band.index for band in work.plan.bands}:
        raise InternalError(f"{tiles} of {total} tiles were done: the result would have a hole.")
    with work.watch.stage("pictures"):
        pictures = write_pictures(work.request.out / QUALITY_FOLDER, work.slide, work.quality)
    analysed = write_analysed(work.request.out, work.plan)
    finished = finish(_finishing(work, (*pictures, analysed)))
    return tell(work, fitted, finished, [done[i] for i in sorted(done)], resumed=resumed)


def _finishing(work: Work, pictures: tuple[Path, ...]) -> Finishing:
    return Finishing(
        slide=work.slide,
        plan=work.plan,
        manifest=work.package.manifest,
        shapes=work.shapes,
        targets=work.targets,
        out=work.request.out,
        maps=work.maps,
        pictures=pictures,
        report=work.report,
        watch=work.watch,
        check=work.check,
        dzi=work.request.dzi,
        mark=_mark(work),
        is_forced=FORCE in work.parameters,
    )


def _mark(work: Work) -> str:
    slugs = ", ".join(reason.slug for reason in work.overridden)
    return f"FORCED in spite of {slugs}: " if slugs else ""
