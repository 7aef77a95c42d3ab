"""What happens after the last band: pyramids, measures, OME-TIFF, pictures; every file with its digest."""

import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.engine.checkpoint import BandRecord
from workers.engine.finishing import Finishing, write_each
from workers.engine.keep import Target
from workers.engine.pictures import write_result_pictures
from workers.engine.progress import Event
from workers.engine.score import Scored, Scoring, score, score_regions, tissue_mm2
from workers.engine.seams import SeamSums
from workers.engine.virtual import makes_virtual_slide
from workers.outputs.dzi import DZI_TILES, dzi_folder, remove_dzi, write_dzi
from workers.outputs.files import file_sha256, files_below, folder_sha256
from workers.outputs.ome_tiff import write_ome_tiff
from workers.outputs.place import place_of
from workers.outputs.pyramid import build_pyramid
from workers.plan import Plan
from workers.result import FilePart, FolderPart, RegionPart, WarningPart

MEDIA_TYPES = {
    ".dzi": "application/xml",
    ".geojson": "application/geo+json",
    ".parquet": "application/vnd.apache.parquet",
    ".tif": "image/tiff",
    ".zarr": "application/vnd+zarr",
}


@dataclass(frozen=True)
class Finished:
    """What the finish made."""

    scores: dict[str, Any]
    regions: tuple[RegionPart, ...]
    files: tuple[FilePart, ...]
    folders: tuple[FolderPart, ...]
    warnings: tuple[WarningPart, ...] = ()


def finish(work: Finishing) -> Finished:
    """Make everything a result holds besides level 0 of its maps."""
    steps = len(work.targets) + 3
    work.report(Event("finish", 0, steps))
    with work.watch.stage("pyramid"):
        write_each(work.targets, lambda target: _write_pyramid(work, target))
    work.check()
    work.report(Event("finish", steps - 3, steps))
    with work.watch.stage("measure"):
        scored = score(work.manifest, Scoring(work.targets, work.maps, work.out, work.plan, work.slide, work.is_forced))
        regions = score_regions(scored, work.shapes, work.plan)
    work.check()
    work.report(Event("finish", steps - 2, steps))
    tiffs, dzis = _write_tiffs(work), _write_dzis(work)
    with work.watch.stage("pictures"):
        pictures = write_result_pictures(work, scored)
    work.report(Event("finish", steps - 1, steps))
    with work.watch.stage("digest"):
        paths = [*(path for item in scored for path in item.files), *tiffs, *dzis, *pictures, *work.pictures]
        files = tuple(describe_file(work.out, path) for path in paths)
        held = [*(work.maps / target.spec.folder_name for target in work.targets), *map(dzi_folder, dzis)]
        folders = tuple(describe_folder(work.out, folder) for folder in held)
    work.report(Event("finish", steps, steps))
    warnings = tuple(WarningPart(slug=slug, text=text) for item in scored for slug, text in item.warnings)
    return Finished(tell_scores(scored, work.plan), regions, files, folders, warnings)


def tell_scores(scored: Sequence[Scored], plan: Plan) -> dict[str, Any]:
    """The scores of each measure by its name, with densities over the analysed tissue."""
    return {item.name: _with_density(item, plan) for item in scored}


def seam_scores(targets: Sequence[Target], records: Sequence[BandRecord]) -> dict[str, float | None]:
    """The seam score of each map that has one."""
    scores: dict[str, float | None] = {}
    for target in targets:
        if target.spec.kind != "classes":
            sums = (record.seams.get(target.spec.name, SeamSums()) for record in records)
            scores[target.spec.name] = sum(sums, SeamSums()).score
    return scores


def describe_file(out: Path, path: Path) -> FilePart:
    """A file of the result with its digest."""
    return FilePart(
        path=path.relative_to(out).as_posix(),
        sha256=file_sha256(path),
        size_bytes=path.stat().st_size,
        media_type=_media_type(path),
    )


def describe_folder(out: Path, folder: Path) -> FolderPart:
    """A folder of the result with one digest over the sorted `path sha256` lines of its files."""
    paths = files_below(folder)
    return FolderPart(
        path=folder.relative_to(out).as_posix(),
        sha256=folder_sha256(folder),
        files=len(paths),
        size_bytes=sum(path.stat().st_size for path in paths),
        media_type=_media_type(folder),
    )


def _write_pyramid(work: Finishing, target: Target) -> Path:
    build_pyramid(work.maps, target.spec, work.check)
    return work.maps / target.spec.folder_name


def _write_tiffs(work: Finishing) -> list[Path]:
    def write(target: Target) -> Path:
        work.check()
        path = work.out / f"{target.spec.name}.ome.tif"
        write_ome_tiff(work.maps, target.spec, work.plan.frame, path)
        return path

    with work.watch.stage("ome-tiff"):
        return write_each([target for target in work.targets if target.spec.kind != "probabilities"], write)


def _write_dzis(work: Finishing) -> list[Path]:
    """Of each image for which it is wanted; what an earlier run left of the others is removed."""
    paths = []
    for target in work.targets:
        spec, path = target.spec, work.out / f"{target.spec.name}.dzi"
        wanted = work.dzi if work.dzi is not None else makes_virtual_slide(work.manifest) and spec.virtual is not None
        if spec.kind != "image" or not wanted:
            remove_dzi(path)
            continue
        with work.watch.stage("dzi"):
            write_dzi(work.maps, spec, place_of(work.plan.frame, spec.stride_px), path, work.check)
        paths.append(path)
    return paths


def _with_density(item: Scored, plan: Plan) -> dict[str, Any]:
    area = tissue_mm2(plan)
    if "count" not in item.scores or not area:
        return item.scores
    return item.scores | {"per_mm2": item.scores["count"] / area}


def _media_type(path: Path) -> str:
    if path.name.endswith(DZI_TILES):
        return "image/jpeg"
    return MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
