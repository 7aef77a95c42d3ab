"""Bands through the pipeline: from a tile's raw outputs to shards on the disk, one band after the other."""

from collections.abc import Callable, Iterable

from models.predictor import Maps
from workers.engine.calibrate import Fitted
from workers.engine.checkpoint import BandRecord
from workers.engine.keep import Keeper
from workers.engine.progress import Event
from workers.engine.stream import Piece, Stream, run_stream
from workers.engine.work import Work
from workers.plan import Band

Commit = Callable[[BandRecord], None]
"""Takes a band whose shards are on the disk."""


def run_bands(work: Work, fitted: Fitted, bands: Iterable[Band], commit: Commit, kept: int = 0) -> None:
    """Run bands, handing each to `commit` when its shards are on the disk.

    Parameters
    ----------
    bands
        May be lazy: the next one is asked for shortly before the readers need it.
    kept
        Tiles that were done before, for the progress that is told.
    """
    total = work.plan.count_tiles()
    keeper = Keeper(work.plan, work.targets, work.maps, commit)

    def keep(pieces: list[Piece], maps: Maps) -> None:
        nonlocal kept
        keeper(pieces, maps)
        kept += len(pieces)
        work.report(Event("tiles", kept, total))

    stream = Stream(
        work.slide,
        work.plan,
        work.predictor,
        fitted.stain.apply,
        fitted.statistics,
        work.request.readers,
        work.watch,
        work.stop,
    )
    with work.watch.stage("stream"):
        run_stream(stream, bands, keep)
