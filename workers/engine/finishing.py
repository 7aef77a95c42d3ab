"""What the finish works on: a run all of whose maps are there at level 0."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from models.manifest import Manifest
from workers.engine.keep import Target
from workers.engine.progress import Report
from workers.engine.stopwatch import Stopwatch
from workers.plan import Plan
from workers.regions import Shape
from workers.slides import Slide

SIDE_BY_SIDE = 2
"""Maps that are turned into files at the same time: each takes a picture's memory, and encoders leave Python."""


@dataclass(frozen=True, eq=False)
class Finishing:
    """What the finish works on."""

    slide: Slide
    plan: Plan
    manifest: Manifest
    shapes: Sequence[Shape]
    """The regions that findings are counted in."""
    targets: Sequence[Target]
    out: Path
    maps: Path
    pictures: tuple[Path, ...]
    """Files that earlier stages wrote to `out`."""
    report: Report
    watch: Stopwatch
    check: Callable[[], None]
    """Called between pieces of work; raises where the run was asked to stop."""
    dzi: bool | None = None
    """Whether images are left as Deep Zoom images too; None: the one of a package that makes a virtual slide."""
    mark: str = ""
    """Stands before the title of every picture: what nobody may overlook of this run."""
    is_forced: bool = False
    """True where a number is wanted in spite of a reason against it."""


def write_each(targets: Iterable[Target], write: Callable[[Target], Path]) -> list[Path]:
    """The files written of the targets, in their order, two at a time; the first failure is raised."""
    with ThreadPoolExecutor(SIDE_BY_SIDE, "finish") as pool:
        return list(pool.map(write, targets))
