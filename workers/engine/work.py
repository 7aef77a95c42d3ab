"""What a run was asked for, and all it has decided before its first tile."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from models.errors import Reason
from models.parameters import Parameters
from models.predictor import Predictor
from models.registry import Package
from workers.contract.regions import Regions
from workers.engine.keep import Target
from workers.engine.progress import Report
from workers.engine.stopwatch import Stopwatch
from workers.engine.stream import StoppedError
from workers.outputs.files import files_below
from workers.plan import Plan
from workers.quality import QualityReport
from workers.regions import Shape
from workers.slides import Slide

MAPS_FOLDER = "maps"


@dataclass(frozen=True)
class RunRequest:
    """What the caller asked for; None where the default is wanted."""

    slide: Path
    package: str
    out: Path
    mpp: float | None = None
    provider: str = "auto"
    tile_px: int | None = None
    batch: int | None = None
    readers: int = 2
    threads: int | None = None
    overwrite: bool = False
    parameters: Mapping[str, object] = field(default_factory=dict)
    """The package's numbers that are set otherwise; what is not its own is refused."""
    dzi: bool | None = None
    """Whether images are left as Deep Zoom images too; None: the one of a package that makes a virtual slide."""
    regions: Regions | None = None
    """Where on the slide to look; None is all of it."""
    outputs: tuple[str, ...] | None = None
    """Outputs whose maps are kept beside those that are measured; None is all of them."""
    slide_sha256: str | None = None
    """The slide's digest, where somebody has just computed it."""
    forced_by: str | None = None
    """Who answers for a run that is forced; told in the result, no part of what is computed."""


@dataclass(frozen=True, eq=False)
class Work:
    """Everything a run has decided before its first tile."""

    request: RunRequest
    slide: Slide
    slide_sha256: str
    package: Package
    """With its numbers as they are in effect."""
    parameters: Parameters
    """What was set of them, in canonical form."""
    predictor: Predictor
    plan: Plan
    shapes: tuple[Shape, ...]
    """The regions; none where all of the slide is looked at."""
    targets: tuple[Target, ...]
    quality: QualityReport
    overridden: tuple[Reason, ...]
    """What spoke against the run and was overridden by force."""
    report: Report
    watch: Stopwatch
    stop: threading.Event

    @property
    def maps(self) -> Path:
        """Where the maps are."""
        return self.request.out / MAPS_FOLDER

    def check(self) -> None:
        """Raise where the run was asked to stop."""
        if self.stop.is_set():
            raise StoppedError("The run was stopped.", "Start it again with the same arguments to go on.")


def run_identity(work: Work) -> dict[str, Any]:
    """Everything that can change a byte of the result."""
    return {
        "code_version": version("histoserve"),
        "slide_sha256": work.slide_sha256,
        "slide_mpp": work.slide.info.mpp,
        "package": work.package.manifest.reference,
        "manifest_sha256": work.package.manifest_sha256,
        "provider": work.predictor.provider,
        "frame_mpp": work.plan.frame.mpp,
        "tile_px": work.plan.grid.tile_px,
        "batch": work.predictor.batch_shape[0],
        "parameters": dict(work.parameters),
        "outputs": None if work.request.outputs is None else sorted({t.output.name for t in work.targets}),
        "regions": None if work.request.regions is None else work.request.regions.digest,
    }


def slide_files(path: Path) -> list[Path]:
    """The files of a slide: itself, or all in its folder."""
    return files_below(path) if path.is_dir() else [path]
