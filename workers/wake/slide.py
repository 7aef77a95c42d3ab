"""Validation: the bytes are those that were announced, and a limited child can open them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.errors import HistoserveError
from workers.contract.errors import SlideChangedError
from workers.engine.work import slide_files
from workers.ledger.slides import SlideRow, slide_of_any_tenant
from workers.ledger.states import SlideState, move_slide
from workers.outputs.files import slide_sha256
from workers.quality import assess
from workers.slides import SlideInfo, open_slide, probe_slide
from workers.wake.place import Place, local_slide, patiently


def validate_slide(place: Place, slide_id: str) -> SlideRow | None:
    """The slide, validated now or before; None where there is none.

    A slide that cannot be read truthfully is refused, with the reason and the remedy. Two workers at once do the same
    work, and the first one's word stands.
    """
    slide = _read(place, slide_id)
    if slide is None or slide.state != "validating":
        return slide
    try:
        values = _examine(slide, local_slide(place, slide))
    except HistoserveError as error:
        if error.blame == "system_error":
            raise
        problem = error.as_problem()
        patiently(lambda: _settle(place, slide_id, "refused", {"problem": problem}))
    else:
        patiently(lambda: _settle(place, slide_id, "ready", values))
    return _read(place, slide_id)


def _examine(slide: SlideRow, path: Path) -> dict[str, Any]:
    digest = slide_sha256(path)
    for announced in (slide.sha256_stated, slide.sha256):
        if announced is not None and announced != digest:
            raise SlideChangedError(
                f"The slide's SHA-256 is {digest}; announced was {announced}.", "Send the slide again."
            )
    info = probe_slide(path, slide.mpp)
    found = asdict(info) | {"stain_guess": _guess_stain(path, info, slide.mpp)}
    return {"sha256": digest, "size_bytes": sum(p.stat().st_size for p in slide_files(path)), "info": found}


def _guess_stain(path: Path, info: SlideInfo, mpp: float | None) -> dict[str, Any]:
    slide = open_slide(path, mpp)
    try:
        return asdict(assess(slide).stain)
    finally:
        slide.close()


def _read(place: Place, slide_id: str) -> SlideRow | None:
    def read() -> SlideRow | None:
        with place.ledger.read() as connection:
            return slide_of_any_tenant(connection, slide_id)

    return patiently(read)


def _settle(place: Place, slide_id: str, state: SlideState, values: dict[str, Any]) -> None:
    with place.ledger.write() as connection:
        move_slide(connection, slide_id, state, **values)
