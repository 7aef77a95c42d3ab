"""A phantom written to disk: slides of one or several stains, their truth, and what they are."""

import hashlib
import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.phantom.block import BLOCK_PX, Block
from training.phantom.layout import hotspots_of
from training.phantom.nucleus import Nuclei
from training.phantom.placing import nuclei_in, within
from training.phantom.pyramid import EncodedBlock, PyramidSink, encode_block
from training.phantom.render import glass_colour, matter_of, may_show, pictures_of
from training.phantom.section import is_moved
from training.phantom.spec import PhantomSpec, Stain
from training.phantom.truth import Census, TruthFile

AHEAD = 6
"""Blocks in flight for each process: enough to keep it busy, few enough to bound memory."""
DIGEST_CHUNK = 1 << 22
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Work:
    """What every block of a run needs to know."""

    spec: PhantomSpec
    stains: tuple[Stain, ...]


@dataclass(frozen=True)
class Made:
    """One block: its tiles in each stain (None for glass), and the nuclei whose centres lie in it."""

    tiles: dict[Stain, EncodedBlock | None]
    nuclei: Nuclei | None


def write_phantom(
    spec: PhantomSpec,
    slides: dict[Stain, Path],
    truth: Path | None = None,
    processes: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the slides, and the truth as Parquet where a path is given; what was written, ready for JSON.

    Memory is bounded by the slide's width: the rows of one strip of each reduced level, and the blocks in flight.
    Files appear under their names when they are whole.

    Parameters
    ----------
    slides
        The file of each stain. Tissue that lies alike in several stains is made once.
    processes
        Blocks are rendered by so many processes; the bytes written do not depend on it.
    progress
        Called with (blocks done, blocks in all).
    """
    started = time.monotonic()
    files = [*slides.values(), *([truth] if truth else [])]
    census = Census()
    with ExitStack() as stack:
        for path in files:
            stack.callback(_partial(path).unlink, missing_ok=True)
        sinks = {s: PyramidSink(_partial(p), spec, s, glass_colour(spec, s)) for s, p in slides.items()}
        for sink in sinks.values():
            stack.callback(sink.abandon)
        table = TruthFile(_partial(truth) if truth else None, spec, tuple(slides))
        stack.callback(table.abandon)
        _store(Work(spec, tuple(slides)), processes, sinks, (table, census, progress))
        for sink in sinks.values():
            sink.close()
        table.close()
        for path in files:
            _partial(path).replace(path)
    return _summary(spec, files, census, time.monotonic() - started)


def grid_of(spec: PhantomSpec) -> tuple[int, int]:
    """(columns, rows) of blocks."""
    return -(-spec.width_px // BLOCK_PX), -(-spec.height_px // BLOCK_PX)


def _store(
    work: Work,
    processes: int,
    sinks: dict[Stain, PyramidSink],
    record: tuple[TruthFile, Census, Progress | None],
) -> None:
    table, census, progress = record
    columns, rows = grid_of(work.spec)
    for done, made in enumerate(_made_blocks(work, processes)):
        column, row = done % columns, done // columns
        for stain, sink in sinks.items():
            sink.add_block(column, row, made.tiles.get(stain))
        if made.nuclei is not None:
            census.add(made.nuclei)
            table.add(made.nuclei)
        if column == columns - 1:
            table.end_row()
            for sink in sinks.values():
                sink.end_row()
        if progress:
            progress(done + 1, columns * rows)


def _made_blocks(work: Work, processes: int) -> Iterator[Made]:
    """Every block, row by row; glass is not even asked for."""
    columns, rows = grid_of(work.spec)
    places = ((column * BLOCK_PX, row * BLOCK_PX) for row in range(rows) for column in range(columns))
    if processes <= 1:
        yield from (make_block(work, x, y) if _shows(work, x, y) else Made({}, None) for x, y in places)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        waiting: deque[Future[Made] | None] = deque()
        busy = 0
        for x, y in places:
            shows = _shows(work, x, y)
            waiting.append(pool.submit(make_block, work, x, y) if shows else None)
            busy += shows
            while waiting and (waiting[0] is None or busy >= AHEAD * processes):
                future = waiting.popleft()
                busy -= future is not None
                yield Made({}, None) if future is None else future.result()
        for future in waiting:
            yield Made({}, None) if future is None else future.result()


def _shows(work: Work, x: int, y: int) -> bool:
    return any(may_show(work.spec, work.spec.section(stain), x, y) for stain in work.stains)


def make_block(work: Work, x_px: int, y_px: int) -> Made:
    """One block, rendered and encoded; runs in a process of its own."""
    spec = work.spec
    blocks = matter_of(spec, work.stains, x_px, y_px)
    pictures = pictures_of(spec, blocks, x_px, y_px)
    tiles = {s: None if p is None else encode_block(p, s, spec.quality) for s, p in pictures.items()}
    if all(tile is None for tile in tiles.values()):
        return Made({}, None)
    return Made(tiles, _owned(spec, blocks, x_px, y_px))


def _owned(spec: PhantomSpec, blocks: dict[Stain, Block | None], x_px: int, y_px: int) -> Nuclei:
    """The nuclei whose centres lie in the block's place in the tissue, taken from a block that lies there."""
    right, bottom = min(x_px + BLOCK_PX, spec.width_px), min(y_px + BLOCK_PX, spec.height_px)
    box = (x_px * spec.mpp, y_px * spec.mpp, right * spec.mpp, bottom * spec.mpp)
    for stain, block in blocks.items():
        if block is not None and not is_moved(spec.section(stain)):
            return within(block.nuclei, *box)
    return nuclei_in(spec, *box)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _summary(spec: PhantomSpec, files: list[Path], census: Census, seconds: float) -> dict[str, Any]:
    return {
        "schema": "histoserve-phantom/1",
        "research_use_only": True,
        "spec": asdict(spec),
        "spec_sha256": spec.digest(),
        "hotspots": [asdict(spot) for spot in hotspots_of(spec)],
        "truth": asdict(census) | {"ki67_index": census.tumour_ki67 / census.tumour if census.tumour else None},
        "files": [{"name": p.name, "bytes": p.stat().st_size, "sha256": _sha256(p)} for p in files],
        "seconds": round(seconds, 2),
    }


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(DIGEST_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
