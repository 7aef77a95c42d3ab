"""The result of a run: everything it decided, did and found, in one document."""

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from models.errors import TooFewCellsError
from models.parameters import CASCADE, parameters_in_effect
from models.seen import find_unmeasured, find_unseen
from workers.engine.calibrate import Fitted
from workers.engine.checkpoint import BandRecord
from workers.engine.finish import Finished, seam_scores
from workers.engine.hotspot import unfilled_texts
from workers.engine.score import computed_mm2, tissue_mm2
from workers.engine.virtual import tell_virtual, virtual_texts
from workers.engine.work import Work, slide_files
from workers.result import (
    BoxPart,
    ForcedPart,
    FramePart,
    PackagePart,
    PlanPart,
    ReasonPart,
    Result,
    SlidePart,
    WarningPart,
)

NOT_TOLD = frozenset({"slide_sha256", "forced_by"})
"""Of the request: what the result tells elsewhere."""
NOBODY = "unknown"


def tell(work: Work, fitted: Fitted, finished: Finished, records: Sequence[BandRecord], *, resumed: bool) -> Result:
    """The result; its seconds are filled in when the last of them is over."""
    plan, manifest = work.plan, work.package.manifest
    network = manifest.file("network")
    forced = _forced(work, finished.warnings)
    return Result(
        code_version=version("histoserve"),
        slide=_slide_part(work),
        package=PackagePart(
            reference=manifest.reference,
            manifest_sha256=work.package.manifest_sha256,
            network_sha256=network.sha256 if network else "",
            provider=work.predictor.provider,
            precision=manifest.precision,
        ),
        frame=FramePart(
            mpp=plan.frame.mpp,
            width_px=plan.frame.width_px,
            height_px=plan.frame.height_px,
            level0_per_px=plan.frame.scale,
        ),
        plan=_plan_part(work, records),
        quality=work.quality.as_dict() | _seen(work, fitted),
        scores=finished.scores,
        regions=finished.regions,
        seam_scores=seam_scores(work.targets, records),
        virtual=tell_virtual(manifest),
        files=finished.files,
        folders=finished.folders,
        configuration=_configuration(work, fitted),
        seconds={},
        resumed=resumed,
        forced=forced,
        warnings=(*_forced_warnings(forced), *_warnings(work, fitted), *finished.warnings),
    )


def _plan_part(work: Work, records: Sequence[BandRecord]) -> PlanPart:
    plan = work.plan
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
        computed_mm2=computed_mm2(plan) if CASCADE in work.parameters else None,
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
    request = {f.name: getattr(asked, f.name) for f in fields(asked) if f.name not in NOT_TOLD}
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


def _forced(work: Work, warnings: Sequence[WarningPart]) -> ForcedPart | None:
    """What was overruled: before the run, and what ends one that is not forced when its cells are counted."""
    reasons = [ReasonPart(slug=r.slug, text=r.text, value=r.value, limit=r.limit) for r in work.overridden]
    reasons += [ReasonPart(slug=w.slug, text=w.text) for w in warnings if w.slug == TooFewCellsError.slug]
    return ForcedPart(by=work.request.forced_by or NOBODY, reasons=tuple(reasons)) if reasons else None


def _forced_warnings(forced: ForcedPart | None) -> tuple[WarningPart, ...]:
    if forced is None:
        return ()
    slugs = ", ".join(reason.slug for reason in forced.reasons)
    return (WarningPart(slug="forced", text=f"The run was forced in spite of: {slugs}."),)


def _warnings(work: Work, fitted: Fitted) -> tuple[WarningPart, ...]:
    manifest, guess = work.package.manifest, work.quality.stain
    told = [WarningPart(slug=slug, text=text) for slug, text in work.quality.warnings]
    told += [WarningPart(slug="slide", text=text) for text in work.slide.info.warnings]
    told += [WarningPart(slug="stain-normalisation", text=text) for text in fitted.stain.warnings]
    told += [WarningPart(slug="stain-unseen", text=text) for text in _unseen_texts(work, fitted)]
    if manifest.stain not in ("any", guess.stain):
        text = f"The slide looks like {guess.stain}, the package is for {manifest.stain}."
        told.append(WarningPart(slug="wrong-stain", text=text))
    if CASCADE in work.parameters:
        text = (
            f"A cascade: of {tissue_mm2(work.plan):.4g} mm2 of tissue the network computed "
            f"{computed_mm2(work.plan):.4g} mm2, where dark discs are. It may have missed what the whole map shows."
        )
        told.append(WarningPart(slug="cascade", text=text))
    told += [WarningPart(slug="virtual-stain", text=text) for text in virtual_texts(manifest)]
    told += [
        WarningPart(slug="hotspot-unfilled", text=text) for text in unfilled_texts(manifest, tissue_mm2(work.plan))
    ]
    return tuple(told)
