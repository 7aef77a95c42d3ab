"""The result of a run: everything it decided, did and found, in one document."""

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from models.parameters import FORCE, parameters_in_effect
from models.seen import find_unmeasured, find_unseen
from workers.engine.calibrate import Fitted
from workers.engine.checkpoint import BandRecord
from workers.engine.finish import Finished, seam_scores
from workers.engine.hotspot import unfilled_texts
from workers.engine.score import tissue_mm2
from workers.engine.work import Work, slide_files
from workers.plan import Plan
from workers.result import BoxPart, FramePart, PackagePart, PlanPart, Result, SlidePart, WarningPart


def tell(work: Work, fitted: Fitted, finished: Finished, records: Sequence[BandRecord], *, resumed: bool) -> Result:
    """The result; its seconds are filled in when the last of them is over."""
    plan, manifest = work.plan, work.package.manifest
    network = manifest.file("network")
    return Result(
        code_version=version("histoserve"),
        slide=_slide_part(work),
        package=PackagePart(
            reference=manifest.reference,
            manifest_sha256=work.package.manifest_sha256,
            network_sha256=network.sha256 if network else "",
            provider=work.predictor.provider,
        ),
        frame=FramePart(
            mpp=plan.frame.mpp,
            width_px=plan.frame.width_px,
            height_px=plan.frame.height_px,
            level0_per_px=plan.frame.scale,
        ),
        plan=_plan_part(plan, records),
        quality=work.quality.as_dict() | _seen(work, fitted),
        scores=finished.scores,
        regions=finished.regions,
        seam_scores=seam_scores(work.targets, records),
        files=finished.files,
        folders=finished.folders,
        configuration=_configuration(work, fitted),
        seconds={},
        resumed=resumed,
        warnings=_warnings(work, fitted),
    )


def _plan_part(plan: Plan, records: Sequence[BandRecord]) -> PlanPart:
    planned, done = plan.count_tiles(), sum(record.tiles for record in records)
    return PlanPart(
        tile_px=plan.grid.tile_px,
        halo_px=plan.grid.halo_px,
        shard_px=plan.grid.shard_px,
        bands=len(plan.bands),
        tiles_planned=planned,
        tiles_done=done,
        tiles_failed=planned - done,
        tissue_mm2=tissue_mm2(plan),
    )


def _slide_part(work: Work) -> SlidePart:
    info = work.slide.info
    return SlidePart(
        sha256=work.slide_sha256,
        size_bytes=sum(path.stat().st_size for path in slide_files(work.request.slide)),
        format=info.format,
        vendor=info.vendor,
        width_px=info.width_px,
        height_px=info.height_px,
        mpp=info.mpp,
        mpp_source=info.mpp_source,
        mpp_stated=info.mpp_stated,
        objective_power=info.objective_power,
        bounds=BoxPart(**asdict(info.bounds)),
        has_icc=info.has_icc,
    )


def _configuration(work: Work, fitted: Fitted) -> dict[str, Any]:
    asked = replace(work.request, slide=Path(work.request.slide.name), out=Path("."))
    request = {f.name: getattr(asked, f.name) for f in fields(asked) if f.name != "slide_sha256"}
    chosen = {
        "parameters": parameters_in_effect(work.package.manifest, work.parameters),
        "regions": None if work.request.regions is None else work.request.regions.model_dump(mode="json"),
        "provider": work.predictor.provider,
        "batch_shape": work.predictor.batch_shape,
        "stain_normalisation": fitted.stain.as_dict(),
    }
    return {key: str(value) if isinstance(value, Path) else value for key, value in request.items()} | chosen


def _seen(work: Work, fitted: Fitted) -> dict[str, Any]:
    """How the slide is stained beside what the model has seen; nothing where the package does not say."""
    seen, colours = work.package.manifest.seen, fitted.colours
    if seen is None or colours is None:
        return {}
    outside = [unseen.as_dict() for unseen in find_unseen(seen, colours)]
    return {"seen": {"colours": {name: round(value, 4) for name, value in colours.items()}, "outside": outside}}


def _unseen_texts(work: Work, fitted: Fitted) -> list[str]:
    seen, colours = work.package.manifest.seen, fitted.colours
    if seen is None or colours is None:
        return []
    texts = [unseen.text() for unseen in find_unseen(seen, colours)]
    if missing := find_unmeasured(seen, colours):
        texts.append(f"The tissue sample shows no two stains: {', '.join(missing)} could not be compared.")
    return texts


def _warnings(work: Work, fitted: Fitted) -> tuple[WarningPart, ...]:
    manifest, guess = work.package.manifest, work.quality.stain
    told = [WarningPart(slug=slug, text=text) for slug, text in work.quality.warnings]
    told += [WarningPart(slug="slide", text=text) for text in work.slide.info.warnings]
    told += [WarningPart(slug="stain-normalisation", text=text) for text in fitted.stain.warnings]
    told += [WarningPart(slug="stain-unseen", text=text) for text in _unseen_texts(work, fitted)]
    if manifest.stain not in ("any", guess.stain):
        forced = " The run was forced." if FORCE in work.parameters else ""
        text = f"The slide looks like {guess.stain}, the package is for {manifest.stain}.{forced}"
        told.append(WarningPart(slug="wrong-stain", text=text))
    told += [
        WarningPart(slug="hotspot-unfilled", text=text) for text in unfilled_texts(manifest, tissue_mm2(work.plan))
    ]
    return tuple(told)
