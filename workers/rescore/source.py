"""What new scores are made of: a finished result with its digests checked, and the plan it was made with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.errors import IntegrityError
from models.manifest import Manifest
from models.measures_spec import CellsMeasure, IhcCellsMeasure, Measure
from models.parameters import Parameters, apply_parameters, measure_stems
from models.registry import resolve
from workers.contract.errors import NotRescorableError
from workers.contract.regions import read_regions
from workers.contract.rescoring import check_files, check_package, choose_parameters
from workers.engine.analysed import read_plan
from workers.engine.keep import Target, choose_targets
from workers.engine.work import MAPS_FOLDER
from workers.geometry import Box, Frame
from workers.outputs.files import file_sha256
from workers.plan import Plan, choose_grid
from workers.regions import Shape, region_shapes
from workers.result import ANALYSED_NAME, RESULT_NAME, FilePart, FolderPart, Result
from workers.review.read import read_result, result_folder
from workers.review.verify import check_part


@dataclass(frozen=True, eq=False)
class Source:
    """A finished result and how it was planned."""

    folder: Path
    result: Result
    result_sha256: str
    manifest: Manifest
    """With the numbers of the new scores."""
    parameters: Parameters
    """What is set of them, in canonical form."""
    plan: Plan
    targets: tuple[Target, ...]
    shapes: tuple[Shape, ...]

    narrowed: frozenset[str]
    """The measures of cells whose earlier table holds all that count now: no map is looked at for them."""

    @property
    def maps(self) -> Path:
        """Where the maps are."""
        return self.folder / MAPS_FOLDER

    def measures(self) -> tuple[tuple[str, Measure], ...]:
        """(name in scores and files, measure) of each."""
        return tuple(zip(measure_stems(self.manifest), self.manifest.measures, strict=True))

    def needed(self) -> tuple[str, ...]:
        """The paths of the files and maps that the new scores are taken from."""
        outputs, tables = set(), []
        for stem, measure in self.measures():
            is_judged = isinstance(measure, IhcCellsMeasure) and not is_found_anew(self.result, stem, measure)
            if is_judged or stem in self.narrowed:
                tables.append(f"{stem}.parquet")
            else:
                outputs |= {measure.output, getattr(measure, "marker", None)}
        specs = (target.spec for target in self.targets if target.output.name in outputs)
        return (ANALYSED_NAME, *tables, *(f"{MAPS_FOLDER}/{spec.folder_name}" for spec in specs))


def open_source(
    path: Path, settings: Mapping[str, object], package: str | None = None, *, is_brief: bool = False
) -> Source:
    """The result in a folder, and the numbers it is to be scored with; nothing but its `result.json` is read yet.

    Parameters
    ----------
    settings
        What is set anew; the rest stays as the result has it.
    package
        The package it was made with, by name or folder; None takes the installed one of the result's reference.
    is_brief
        Only scores are wanted, no files of findings.

    Raises
    ------
    ResultUnreadableError
        There is no finished result.
    NotRescorableError
        It holds no maps, is older than this command, or its package is not at hand.
    ParametersInvalidError
        A name is no number of a measure, or a value is not what its schema allows.
    """
    folder = result_folder(path)
    result = read_result(folder)
    _check_kind(result)
    own = _manifest(result, package)
    before = result.configuration.get("parameters") or {}
    parameters = choose_parameters(own, before, settings)
    manifest = apply_parameters(own, parameters)
    plan = _plan(folder, result, manifest)
    return Source(
        folder=folder,
        result=result,
        result_sha256=file_sha256(folder / RESULT_NAME),
        manifest=manifest,
        parameters=parameters,
        plan=plan,
        targets=choose_targets(manifest, plan.frame, plan.grid),
        shapes=_shapes(result),
        narrowed=_narrowed(apply_parameters(own, before), manifest) if is_brief else frozenset(),
    )


def is_found_anew(result: Result, stem: str, measure: IhcCellsMeasure) -> bool:
    """True where the cells of a mask are others than those in the result's table: other pixels belong to them."""
    told = result.scores[stem]["ihc_thresholds"]
    return (told["seg"], told["green"]) != (measure.seg_threshold, measure.green_threshold)


def is_narrower(new: CellsMeasure, old: CellsMeasure) -> bool:
    """True where only the smallest area was raised: what counts now counted before.

    With another largest area, sprawling components are given up by their bounding box, which no table tells.
    """
    same = (new.max_area_um2, new.grow_px) == (old.max_area_um2, old.grow_px)
    return same and new.min_area_um2 >= old.min_area_um2


def _narrowed(before: Manifest, after: Manifest) -> frozenset[str]:
    pairs = zip(measure_stems(after), before.measures, after.measures, strict=True)
    return frozenset(
        stem
        for stem, old, new in pairs
        if isinstance(old, CellsMeasure) and isinstance(new, CellsMeasure) and is_narrower(new, old)
    )


def check_parts(source: Source, names: Iterable[str]) -> None:
    """Compare the digests of some of the result's files and folders with what it says of them.

    Raises
    ------
    NotRescorableError
        The result names no such file or folder.
    IntegrityError
        One is missing or was altered.
    """
    parts: list[FilePart | FolderPart] = [*source.result.files, *source.result.folders]
    by_name = {part.path: part for part in parts}
    for name in names:
        if name not in by_name:
            raise NotRescorableError(f"The result holds no {name}.", "Run the slide again.")
        check = check_part(source.folder, by_name[name])
        if check.status == "failed":
            raise IntegrityError(check.detail, check.remedy)


def _check_kind(result: Result) -> None:
    if result.rescored is not None:
        raise NotRescorableError(
            "This result was itself made by `rescore`: it holds no maps.",
            f"Rescore the result it was made from (SHA-256 of its result.json: {result.rescored.result_sha256[:12]}…).",
        )
    check_files(part.path for part in result.files)


def _manifest(result: Result, package: str | None) -> Manifest:
    found = resolve(package or result.package.reference)
    check_package(found.manifest.reference, found.manifest_sha256, result.package.manifest_sha256)
    return found.manifest


def _plan(folder: Path, result: Result, manifest: Manifest) -> Plan:
    """The plan of the run, as far as scores need it: where was analysed, and on which grid."""
    told = result.frame
    frame = Frame(
        mpp=told.mpp,
        width_px=told.width_px,
        height_px=told.height_px,
        level0_mpp=result.slide.mpp,
        bounds=Box(**result.slide.bounds.model_dump()),
    )
    grid = choose_grid(manifest.grid, manifest.outputs, result.plan.tile_px)
    if grid.shard_px != result.plan.shard_px:
        raise NotRescorableError(
            f"The maps lie in files of {result.plan.shard_px} px; this version has {grid.shard_px} px.",
            "Run the slide again with this version.",
        )
    return read_plan(folder, frame, grid)


def _shapes(result: Result) -> tuple[Shape, ...]:
    regions = result.configuration.get("regions")
    return region_shapes(None if regions is None else read_regions(regions), result.slide)
