"""New scores of a finished result: the measures of its package with other numbers, taken from its stored maps."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from models.errors import OutputConflictError
from models.measures_spec import CellsMeasure
from models.parameters import FORCE, parameters_in_effect
from workers.engine.checkpoint import claim_identity, hold_folder
from workers.engine.finish import describe_file, tell_scores
from workers.engine.progress import Event, Report
from workers.engine.score import Scored, Scoring, score_measure, score_regions
from workers.engine.stopwatch import Stopwatch
from workers.outputs.files import write_whole
from workers.rescore.narrow import narrow_cells
from workers.rescore.pixels import opened
from workers.rescore.source import Source, check_parts, open_source
from workers.result import RESULT_NAME, FilePart, RegionPart, RescoredPart, Result, WarningPart

STEPS = 3
OF_MEASURES = frozenset({"too-few-cells", "cells-too-large"})
"""Warnings that measures give: those of the earlier numbers do not hold for the new ones."""


@dataclass(frozen=True)
class RescoreRequest:
    """What the caller asked for."""

    source: Path
    """The folder of a finished result."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    out: Path | None = None
    """Where the new result goes; None keeps nothing but the scores."""
    package: str | None = None
    slide: Path | None = None
    """Only read where cells are found anew and how dark they are was told."""


def rescore(request: RescoreRequest, report: Report, check: Callable[[], None] = lambda: None) -> Result:
    """The result with new scores; in `request.out` lies what a run with these parameters finds, but for pictures.

    Parameters
    ----------
    check
        Called between pieces of work; raises where it should stop.

    Raises
    ------
    RefusedInputError
        There is no such result, it cannot be scored anew, a parameter is not its package's, or the output folder holds
        something else.
    IntegrityError
        What scores are taken from is not what was written.
    """
    watch = Stopwatch()
    with watch.stage("total"):
        report(Event("rescore", 0, STEPS))
        source = open_source(request.source, request.parameters, request.package, is_brief=request.out is None)
        with watch.stage("verify"):
            check_parts(source, source.needed())
        check()
        report(Event("rescore", 1, STEPS))
        with _folder(request.out, source) as out, opened(source, request.slide) as slide:
            scoring = Scoring(
                source.targets,
                source.maps,
                out,
                source.plan,
                slide,
                is_forced=FORCE in source.parameters,
                earlier=source.folder,
                is_brief=request.out is None,
            )
            scored, regions = _measure(source, scoring, watch)
            check()
            report(Event("rescore", 2, STEPS))
            files = () if request.out is None else _describe(out, scored, watch)
    result = _tell(source, scored, regions, files).model_copy(update={"seconds": watch.rounded()})
    if request.out is not None:
        write_whole(request.out / RESULT_NAME, result.model_dump_json(indent=2).encode() + b"\n")
    report(Event("rescore", STEPS, STEPS))
    return result


def _warnings(scored: tuple[Scored, ...]) -> Iterator[WarningPart]:
    return (WarningPart(slug=slug, text=text) for item in scored for slug, text in item.warnings)


@contextmanager
def _folder(out: Path | None, source: Source) -> Iterator[Path]:
    """Where the findings are written: `out`, held by this process and for this rescoring alone, or a passing folder."""
    if out is None:
        with TemporaryDirectory(prefix="rescore-") as passing:
            yield Path(passing)
        return
    if (out / RESULT_NAME).exists() and not (out / "run" / "identity.json").exists():
        raise OutputConflictError("The output folder holds a result already.", "Give another --out.")
    with hold_folder(out) as state:
        identity = {
            "rescored": source.result_sha256,
            "parameters": dict(source.parameters),
            "code_version": version("histoserve"),
        }
        try:
            claim_identity(state, identity)
        except OutputConflictError as error:
            raise OutputConflictError(error.detail, "Give another --out.") from error
        (out / RESULT_NAME).unlink(missing_ok=True)
        yield out


def _measure(source: Source, scoring: Scoring, watch: Stopwatch) -> tuple[tuple[Scored, ...], tuple[RegionPart, ...]]:
    with watch.stage("measure"):
        scored = tuple(
            narrow_cells(source, stem, measure, scoring.out)
            if stem in source.narrowed and isinstance(measure, CellsMeasure)
            else score_measure(measure, stem, scoring)
            for stem, measure in source.measures()
        )
        return scored, score_regions(scored, source.shapes, source.plan)


def _describe(out: Path, scored: tuple[Scored, ...], watch: Stopwatch) -> tuple[FilePart, ...]:
    with watch.stage("digest"):
        return tuple(describe_file(out, path) for item in scored for path in item.files)


def _tell(
    source: Source, scored: tuple[Scored, ...], regions: tuple[RegionPart, ...], files: tuple[FilePart, ...]
) -> Result:
    parent = source.result
    changes: dict[str, Any] = {
        "code_version": version("histoserve"),
        "scores": tell_scores(scored, source.plan),
        "regions": regions,
        "files": files,
        "folders": (),
        "configuration": parent.configuration
        | {"parameters": parameters_in_effect(source.manifest, source.parameters)},
        "seconds": {},
        "resumed": False,
        "warnings": (*(told for told in parent.warnings if told.slug not in OF_MEASURES), *_warnings(scored)),
        "rescored": RescoredPart(result_sha256=source.result_sha256, code_version=parent.code_version),
    }
    # Through the schema again: scores are checked as those of a run are.
    return Result.model_validate(parent.model_dump() | changes)
