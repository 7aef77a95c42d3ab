"""The forecast: one document that says what a run will take, and how that is known."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from workers.capacity.counts import Counts, makespan
from workers.capacity.rates import STREAM, Rates

NOTICE = "Research use only. A forecast: other work on the machine makes it longer."


class Part(BaseModel):
    """A part of the forecast."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WorkPart(Part):
    """What there is to do: counted."""

    tissue_mm2: float
    """That is analysed."""
    computed_mm2: float
    """Of it, what the network computes: a cascade spares the rest."""
    tiles: int
    batches: int
    bands: int
    frame_width_px: int
    frame_height_px: int
    slide_bytes: int


class WorkersPart(Part):
    """The same job drained by several workers, each on cores of its own."""

    workers: int
    bands_s: float
    """From the first band to the last."""
    total_s: float
    speed_up: float


class BasisPart(Part):
    """What the forecast stands on."""

    source: Literal["calibration", "profile"]
    sampled_tiles: int
    seconds: float
    """That calibration took just now."""
    measured: str
    load_average: float
    """When it was measured; on a machine with other work, wall seconds vary as that does."""


class Forecast(Part):
    """`histoserve plan`: what a run will take."""

    schema_version: Literal["histoserve-plan/1"] = "histoserve-plan/1"
    package: str
    provider: str
    tile_px: int
    batch: int
    work: WorkPart
    stages_s: dict[str, float]
    """Wall seconds of one worker, stage after stage; `process` is from the command to the first of them."""
    total_s: float
    """Their sum: the command from its start to its end."""
    stages_cpu_s: dict[str, float]
    cpu_s: float
    """Processor seconds over all threads: what other work on the machine changes least."""
    memory_bytes: int
    """At the peak; it does not depend on the area of the tissue."""
    result_bytes: int
    workers: WorkersPart
    basis: BasisPart
    notice: str = NOTICE


class Before(Part):
    """What came before the first tile, as it was measured while planning: a run does the same."""

    wall_s: dict[str, float]
    cpu_s: float


def stage_seconds(before: Before, rates: Rates, counts: Counts) -> dict[str, float]:
    """Wall seconds of every stage of one worker, as busy as the machine was when the rates were measured."""
    after = cpu_seconds(before, rates, counts)
    return before.wall_s | {name: after[name] * rates.wall_per_cpu[name] for name in rates.cpu_s}


def cpu_seconds(before: Before, rates: Rates, counts: Counts) -> dict[str, float]:
    """Processor seconds before the first tile and of every stage behind it."""
    return {"before": before.cpu_s} | {name: line.at(counts) for name, line in rates.cpu_s.items()}


def with_workers(stages_s: dict[str, float], rates: Rates, counts: Counts, workers: int) -> WorkersPart:
    """The job with several workers: each prepares, takes band after band, and the last of them finishes alone.

    Of several, none is sure to have the band beside its own, whose tiles it could have shared.
    """
    bands = counts.band_batches if workers == 1 else counts.apart_batches
    line, wall = rates.cpu_s[STREAM], rates.wall_per_cpu[STREAM]
    # What is fixed is once for each worker: the first tiles are read before, the last ones kept after the network.
    bands_s = wall * (line.fixed + makespan([line.each * batches for batches in bands], workers))
    total_s = sum(stages_s.values())
    shared_s = total_s - stages_s[STREAM] + bands_s
    return WorkersPart(workers=workers, bands_s=bands_s, total_s=shared_s, speed_up=total_s / shared_s)
