"""The pipeline: readers in threads, batches, the network, and one keeper that stitches and commits, side by side.

Three stages joined by bounded queues:

* reader threads decode tiles ahead of the network (`_read_ahead` bounds how far), and tell those that are empty;
* the calling thread makes batches of one fixed shape and runs the network;
* one keeper thread turns raw outputs into stored values, writes each kept box once, and commits whole bands.

A failure in any stage stops the others and is the one that is raised: the first wins.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from models.errors import HistoserveError
from models.predictor import Batch, Maps, Predictor, Statistics
from workers.deepliif.grid import extend
from workers.engine.empty import is_answered
from workers.engine.lips import Lip, Lips
from workers.engine.stopwatch import Stopwatch
from workers.geometry import Box
from workers.plan import Band, Plan, Tile
from workers.slides.slide import RGB, Slide

KEEPER_BATCHES = 3
"""Batches of raw outputs that may wait for the keeper."""


class StoppedError(HistoserveError):
    """The run was asked to stop; finished bands are kept."""

    slug = "stopped"
    title = "The run was stopped"
    blame = "user_error"


@dataclass(frozen=True)
class Piece:
    """A tile of the stream, and what it completes."""

    band: Band
    shard: tuple[int, int]
    tile: Tile
    ends_shard: bool
    ends_band: bool
    is_empty: bool = False
    """The network did not see it: its answer is flat."""
    is_repeat: bool = False
    """The network saw it for an earlier shard, and what this one keeps of it is held: it is not even read."""
    lips: tuple[Lip, ...] = ()
    """What later shards keep of it: to be held for them."""

    @property
    def is_run(self) -> bool:
        """True where the network sees it: it has a row in a batch."""
        return not self.is_empty and not self.is_repeat


@dataclass(frozen=True, eq=False)
class Stream:
    """What the pipeline runs on: one slide, one plan, one network."""

    slide: Slide
    plan: Plan
    predictor: Predictor
    prepare: Callable[[RGB], RGB]
    """Applied to each tile in the reader threads: the slide's stain normalisation, or nothing."""
    statistics: Statistics | None
    readers: int
    stopwatch: Stopwatch
    stop: threading.Event


Taken = tuple[Piece, RGB | None]
"""A piece and its pixels as the network sees them; None where it is empty or repeated."""
Keep = Callable[[list[Piece], Maps], None]
"""Takes the pieces of one batch and the raw outputs, one row per piece that is run; called in order from one thread."""


def run_stream(stream: Stream, bands: Iterable[Band], keep: Keep) -> None:
    """Run every tile of `bands` through the network and hand it to `keep`, in order.

    Raises
    ------
    StoppedError
        `stream.stop` was set.
    HistoserveError
        Whatever went wrong first in any of the stages.
    """
    with ThreadPoolExecutor(stream.readers, "reader") as readers, ThreadPoolExecutor(1, "keeper") as keeper:
        try:
            _run(stream, bands, keep, readers, keeper)
        except BaseException:
            stream.stop.set()
            readers.shutdown(cancel_futures=True)
            keeper.shutdown(cancel_futures=True)
            raise


def _run(
    stream: Stream, bands: Iterable[Band], keep: Keep, readers: ThreadPoolExecutor, keeper: ThreadPoolExecutor
) -> None:
    waiting: deque[Future[None]] = deque()
    for pieces, batch in _batches(
        stream, _read_ahead(stream, pieces_of(stream.plan, bands, Lips(stream.plan)), readers)
    ):
        maps = {}
        if any(piece.is_run for piece in pieces):
            with stream.stopwatch.stage("infer"):
                maps = stream.predictor.predict(batch, stream.statistics)
        waiting.append(keeper.submit(_keep, stream, keep, pieces, maps))
        # Waiting for the oldest one bounds the memory and brings the keeper's failure here.
        while len(waiting) > KEEPER_BATCHES or (waiting and waiting[0].done()):
            with stream.stopwatch.stage("wait for keeper"):
                waiting.popleft().result()
    for future in waiting:
        future.result()


def _keep(stream: Stream, keep: Keep, pieces: list[Piece], maps: Maps) -> None:
    with stream.stopwatch.stage("keep"):
        keep(pieces, maps)


def pieces_of(plan: Plan, bands: Iterable[Band], lips: Lips) -> Iterator[Piece]:
    """The pieces of bands in order, those that need not be computed again marked; none is known to be empty yet."""
    for band in bands:
        tiles = list(plan.band_tiles(band))
        following = chain((shard for shard, _ in tiles[1:]), (None,))
        for (shard, tile), after in zip(tiles, following, strict=True):
            is_repeat, held = lips.mark(band, shard, tile)
            yield Piece(band, shard, tile, after != shard, after is None, is_repeat=is_repeat, lips=held)


def _read_ahead(stream: Stream, pieces: Iterable[Piece], readers: ThreadPoolExecutor) -> Iterator[Taken]:
    """Each piece with its pixels, in order; tiles of about two batches are read ahead."""
    window = 2 * stream.predictor.batch_shape[0] + stream.readers
    pending: deque[tuple[Piece, Future[RGB | None] | None]] = deque()
    for piece in pieces:
        pending.append((piece, None if piece.is_repeat else readers.submit(_read, stream, piece.tile)))
        if len(pending) >= window:
            yield _take(stream, pending)
    while pending:
        yield _take(stream, pending)


def _take(stream: Stream, pending: deque[tuple[Piece, Future[RGB | None] | None]]) -> Taken:
    piece, future = pending.popleft()
    if future is None:
        return piece, None
    with stream.stopwatch.stage("wait for reader"):
        return piece, future.result()


def _read(stream: Stream, tile: Tile) -> RGB | None:
    """The pixels that the network sees; None where the tile is empty and answered without it."""
    if stream.stop.is_set():
        raise StoppedError("The run was stopped.", "Start it again with the same arguments to go on.")
    with stream.stopwatch.stage("read"):
        pixels = _pixels(stream, tile.read)
    with stream.stopwatch.stage("prepare"):
        return None if is_answered(pixels, stream.predictor.manifest) else stream.prepare(pixels)


def _pixels(stream: Stream, box: Box) -> RGB:
    """White outside of the slide; mirrored where tiles are clamped, which reach out of a frame smaller than a tile."""
    plan = stream.plan
    if not plan.grid.is_clamped:
        return stream.slide.read(box, plan.frame.mpp)
    return extend(stream.slide.read(box.intersect(plan.frame.box), plan.frame.mpp), plan.grid.read_px)


def _batches(stream: Stream, tiles: Iterable[Taken]) -> Iterator[tuple[list[Piece], Batch]]:
    """Batches of the network's one shape. None spans two bands, so a band's bytes do not depend on its neighbours.

    Empty and repeated tiles take no place in a batch; they are among its pieces, in order.
    """
    size = stream.predictor.batch_shape[0]
    pieces: list[Piece] = []
    batch, filled = _white_batch(stream), 0
    for piece, pixels in tiles:
        if pixels is not None:
            batch[filled] = pixels
            filled += 1
        pieces.append(replace(piece, is_empty=pixels is None and not piece.is_repeat))
        if filled == size or piece.ends_band:
            yield pieces, batch
            pieces, batch, filled = [], _white_batch(stream), 0


def _white_batch(stream: Stream) -> NDArray[np.uint8]:
    # White, as the glass outside of the slide: a short batch is filled up with it and its answers are dropped.
    return np.full(stream.predictor.batch_shape, 255, dtype=np.uint8)
