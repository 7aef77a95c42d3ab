"""A finished result against the Ki-67 section beside it: registered, read region by region, correlated."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from models.dab import BLUE_DENSITY, BROWN_DENSITY
from models.errors import NotScorableError, RefusedInputError, WrongStainError
from models.measures_spec import AreasMeasure
from models.parameters import measure_stems
from workers.engine.fractions import AreasSource
from workers.engine.progress import Event, Report
from workers.measures.lattice import Roles
from workers.outputs.files import slide_sha256, write_whole
from workers.paired.plot import draw_correlations
from workers.paired.report import (
    MIN_PAIRS,
    PAIRED_NAME,
    ROIS_NAME,
    Paired,
    correlations_of,
    roi_part,
    write_outlines,
    write_table,
)
from workers.paired.rois import MIN_TISSUE, Densities, Roi, RoiPair, choose_rois, compare_roi, fitting_rois
from workers.paired.sheet import write_pairs
from workers.quality import assess
from workers.quality.scorable import STAIN_CONFIDENCE
from workers.registration.errors import RegistrationFailedError
from workers.registration.pictures import write_pictures
from workers.registration.slides import SlideRegistration, read_whole, register_slides
from workers.rescore.source import Source, check_parts, open_source
from workers.slides import Slide, open_slide

Size = tuple[float, float]


@dataclass(frozen=True)
class PairedRequest:
    """What is compared, and how."""

    result: Path
    he: Path
    ihc: Path
    out: Path
    rois: int = 32
    roi_um: Size | None = None
    """None is the paper's size, halved until there are enough regions."""
    seed: int = 0
    densities: Densities = (BROWN_DENSITY, BLUE_DENSITY)
    ihc_mpp: float | None = None
    package: str | None = None


def compare_sections(request: PairedRequest, report: Report) -> Paired:
    """How well the class map of a result and the colours of the neighbouring Ki-67 section agree over regions.

    Raises
    ------
    RefusedInputError
        The result, its package or a slide is not what it should be.
    RegistrationFailedError
        The sections cannot be laid onto each other, or the map between them is not trusted.
    NotScorableError
        Fewer than three regions are seen in both sections, or the second slide is no IHC.
    """
    source = open_source(request.result, {}, request.package)
    stem, areas, roles = _areas_of(source)
    check_parts(source, [f"{source.maps.name}/{areas.spec.folder_name}"])
    _check_slide(request.he, source)
    with _opened(request, source) as (he, ihc):
        _check_stain(ihc)
        # Of another pair, or of other regions: it must not stand beside the new pictures.
        (request.out / PAIRED_NAME).unlink(missing_ok=True)
        report(Event("register", 0, 1))
        laid = _registered(he, ihc, request.out)
        report(Event("register", 1, 1))
        chosen, size_um = _chosen(areas, roles, request)
        kept = _measured(areas, roles, chosen, laid, request, report)
        write_pairs(request.out / "pairs.png", areas, kept, laid, request.densities)
    rois = tuple(roi_part(number, pair, areas.place) for number, pair in enumerate(kept, start=1))
    paired = Paired(
        code_version=version("histoserve"),
        result_sha256=source.result_sha256,
        he_sha256=source.result.slide.sha256,
        ihc_sha256=slide_sha256(request.ihc),
        package=source.result.package.reference,
        measure=stem,
        registration=laid.registration.quality.as_dict(),
        roi_um=size_um,
        seed=request.seed,
        brown_density=request.densities[0],
        blue_density=request.densities[1],
        rois=rois,
        left_out=len(chosen) - len(kept),
        correlations=correlations_of(rois, request.seed),
    )
    _write(request.out, paired, areas)
    return paired


def _check_slide(he: Path, source: Source) -> None:
    digest, told = slide_sha256(he), source.result.slide.sha256
    if digest != told:
        raise RefusedInputError(
            f"{he.name} has the SHA-256 {digest[:12]}…; the result is of {told[:12]}….",
            "Give the slide that the result was made from.",
        )


def _measured(
    areas: AreasSource,
    roles: Roles,
    chosen: Sequence[Roi],
    laid: SlideRegistration,
    request: PairedRequest,
    report: Report,
) -> list[RoiPair]:
    """The regions that are seen in both sections, one after the other."""
    kept = []
    for done, roi in enumerate(chosen):
        report(Event("regions", done, len(chosen)))
        pair = compare_roi(areas, roles, roi, laid, request.densities)
        if pair.common >= MIN_TISSUE:
            kept.append(pair)
    report(Event("regions", len(chosen), len(chosen)))
    if len(kept) < MIN_PAIRS:
        raise NotScorableError(
            f"{len(kept)} of {len(chosen)} regions are seen in both sections; at least {MIN_PAIRS} are needed.",
            "Give smaller regions with --roi-um, or slides with more tissue in common.",
        )
    return kept


def _areas_of(source: Source) -> tuple[str, AreasSource, Roles]:
    """The first measure of the result that has a positive and a negative class."""
    manifest = source.manifest
    for stem, measure in zip(measure_stems(manifest), manifest.measures, strict=True):
        target = next((target for target in source.targets if target.spec.name == measure.output), None)
        if isinstance(measure, AreasMeasure) and target is not None:
            areas = AreasSource(measure, target, source.maps, source.plan.frame)
            if areas.roles is not None:
                return stem, areas, areas.roles
    raise RefusedInputError(
        f"{manifest.reference} has no positive and negative area.",
        "Give a result of ki67-he, or of another such package.",
    )


@contextmanager
def _opened(request: PairedRequest, source: Source) -> Iterator[tuple[Slide, Slide]]:
    he = open_slide(request.he, source.result.slide.mpp)
    try:
        ihc = open_slide(request.ihc, request.ihc_mpp)
        try:
            yield he, ihc
        finally:
            ihc.close()
    finally:
        he.close()


def _check_stain(ihc: Slide) -> None:
    guess = assess(ihc).stain
    if guess.stain == "he" and guess.confidence >= STAIN_CONFIDENCE:
        raise WrongStainError(
            f"The second slide looks like H&E (confidence {guess.confidence:.2f}), not like DAB over hematoxylin.",
            "Give the Ki-67 section.",
        )


def _registered(he: Slide, ihc: Slide, out: Path) -> SlideRegistration:
    """The IHC laid onto the H&E; the pictures to judge it by are written even where it is not trusted."""
    laid = register_slides(he, ihc)
    found = laid.registration
    write_pictures(out, read_whole(he, found.mpp), read_whole(ihc, found.mpp), found)
    if not found.quality.trusted:
        raise RegistrationFailedError(
            f"The sections do not lie on each other: {'; '.join(found.quality.reasons)}.",
            "Look at overlay.png; only sections of the same tissue can be compared.",
        )
    return laid


def _chosen(areas: AreasSource, roles: Roles, request: PairedRequest) -> tuple[tuple[Roi, ...], Size]:
    if request.roi_um is None:
        return fitting_rois(areas, roles, request.rois, request.seed)
    return choose_rois(areas, roles, request.rois, request.roi_um, request.seed), request.roi_um


def _write(out: Path, paired: Paired, areas: AreasSource) -> None:
    """All files; `paired.json` last."""
    write_table(out / ROIS_NAME, paired.rois)
    write_outlines(out / "rois.geojson", paired.rois, areas.place)
    draw_correlations(out / "correlation.png", paired)
    write_whole(out / PAIRED_NAME, paired.model_dump_json(indent=2).encode() + b"\n")
