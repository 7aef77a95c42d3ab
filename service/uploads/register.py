"""Slides are made of what was handed in: an upload's bytes go to the store, a reference stays where it is."""

from typing import Any
from urllib.parse import unquote

import sqlalchemy as sa

from models.errors import IntegrityError, InternalError
from service.access import Caller, entry_of
from service.deployment import Deployment
from service.once import answer_once
from service.uploads.desk import remove_bytes, store_key
from service.uploads.errors import SlideSourceError
from service.uploads.headers import bare_filename
from service.uploads.references import read_reference
from service.wire import OrderIds, Problem, SlideSent, SlideTold, when
from workers.contract.errors import GoneError, SlideChangedError, StateConflictError, StoreError
from workers.ledger.audit import add_entries
from workers.ledger.idempotency import Answer
from workers.ledger.slides import (
    NewSlide,
    SlideRow,
    create_slide,
    delete_slide,
    find_same_slide,
    is_stored_elsewhere,
)
from workers.ledger.uploads import Upload, get_upload, use_upload

STORE_SCHEME = "store:"
RETRY_AFTER_S = "2"


def register_slide(deployment: Deployment, caller: Caller, sent: SlideSent, key: str | None) -> Answer:
    """202 and the new slide, or 200 and the one that has the same bytes; with `key` it is done once.

    Raises
    ------
    SlideSourceError, ReferenceNotAllowedError, SlideUnreadableError
        Nothing can be made of what was named.
    UnknownError, GoneError, StateConflictError
        The upload is not there, or not whole, or was used before.
    SlideChangedError
        The upload's bytes are not those that were stated.
    """
    if (sent.upload_id is None) == (sent.uri is None):
        raise SlideSourceError("Give either `upload_id` or `uri`.", "Upload the slide, or name where it lies.")
    if sent.uri is not None:
        uri = read_reference(sent.uri, deployment.settings.reference_roots)
        return _place(deployment, caller, sent, key, uri)
    return _register_upload(deployment, caller, sent, key)


def remove_slide(deployment: Deployment, caller: Caller, slide_id: str) -> None:
    """Delete a slide, and its bytes where no other has them. Raises as `delete_slide`."""
    with deployment.ledger.write() as connection:
        slide = delete_slide(connection, caller.tenant, slide_id)
        is_shared = is_stored_elsewhere(connection, slide)
        add_entries(connection, [entry_of(caller, "slide.delete", slide_id, 204)])
    if slide.uri.startswith(STORE_SCHEME) and not is_shared:
        deployment.store.remove(slide.uri.removeprefix(STORE_SCHEME))


def tell_slide(slide: SlideRow) -> SlideTold:
    """The slide as it is told: never where it lies, never a label or macro image."""
    if slide.state == "deleted":
        raise InternalError(f"The slide {slide.id} is deleted and was to be told.")
    info: dict[str, Any] = slide.info or {}
    return SlideTold(
        id=slide.id,
        state=slide.state,
        filename=slide.filename,
        size_bytes=slide.size_bytes,
        sha256=slide.sha256,
        mpp=slide.mpp or info.get("mpp"),
        mpp_source=info.get("mpp_source"),
        stain=slide.stain,
        format=info.get("format"),
        vendor=info.get("vendor"),
        width_px=info.get("width_px"),
        height_px=info.get("height_px"),
        levels=len(info["levels"]) if "levels" in info else None,
        problem=None if slide.problem is None else Problem.model_validate(slide.problem),
        ids=OrderIds(**slide.ids),
        created_at=when(slide.created_at),
    )


def _register_upload(deployment: Deployment, caller: Caller, sent: SlideSent, key: str | None) -> Answer:
    upload_id = str(sent.upload_id)
    with deployment.ledger.read() as connection:
        upload = get_upload(connection, caller.tenant, upload_id)
        is_known = _find_same(connection, caller, sent, upload) is not None
    is_stored = False
    if upload.state == "complete" and not is_known:
        _check_stated(sent, upload)
        is_stored = _store(deployment, caller, upload)
    try:
        answer = _place(deployment, caller, sent, key, f"{STORE_SCHEME}{store_key(upload_id)}", is_stored=is_stored)
    except GoneError:
        # It expired in this moment: nobody else can make a slide of it any more.
        remove_bytes(deployment, upload_id)
        raise
    # The store has the bytes, or another slide does.
    (deployment.settings.uploads_folder / upload_id).unlink(missing_ok=True)
    return answer


def _store(deployment: Deployment, caller: Caller, upload: Upload) -> bool:
    """True where the upload's bytes are in the store now; False where another request has made a slide of them."""
    path = deployment.settings.uploads_folder / upload.id
    if upload.length_bytes == 0:
        path.touch()
    try:
        deployment.store.put(path, store_key(upload.id))
    except StoreError:
        if path.exists():
            raise
        with deployment.ledger.read() as connection:
            if get_upload(connection, caller.tenant, upload.id).state == "complete":
                raise IntegrityError(f"The bytes of the upload {upload.id} are lost.", "Send them again.") from None
        return False
    return True


def _place(
    deployment: Deployment, caller: Caller, sent: SlideSent, key: str | None, uri: str, *, is_stored: bool = True
) -> Answer:
    """The rows of a slide whose bytes lie at `uri`, in one transaction; whoever waits for it is woken after."""
    rung: list[SlideRow] = []
    with deployment.ledger.write() as connection:

        def make() -> Answer:
            upload = None if sent.upload_id is None else use_upload(connection, caller.tenant, sent.upload_id)
            known = _find_same(connection, caller, sent, upload)
            if known is None and not is_stored:
                raise StateConflictError("The upload changed in this moment.", "Send the same again.")
            if upload is not None:
                _check_stated(sent, upload)
            slide = known or create_slide(connection, caller.tenant, _new_slide(sent, upload, uri))
            if known is None:
                rung.append(slide)
            return _answer(connection, caller, slide, 202 if known is None else 200)

        answer = answer_once(connection, caller, "slides", key, sent.model_dump(mode="json"), make)
    for slide in rung:
        deployment.doorbell.ring(f"slide:{slide.id}", "stat")
    return answer


def _answer(connection: sa.Connection, caller: Caller, slide: SlideRow, status: int) -> Answer:
    add_entries(connection, [entry_of(caller, "slide.create", slide.id, status)])
    headers = {"Location": f"/v1/slides/{slide.id}"} | ({"Retry-After": RETRY_AFTER_S} if status == 202 else {})
    return Answer(status, tell_slide(slide).model_dump(mode="json"), headers)


def _find_same(connection: sa.Connection, caller: Caller, sent: SlideSent, upload: Upload | None) -> SlideRow | None:
    """The slide that has the same bytes already; their digest as computed, or as the caller states it."""
    computed = None if upload is None else upload.sha256
    digest = computed or sent.sha256
    if digest is None or (sent.sha256 is not None and sent.sha256 != digest):
        return None
    return find_same_slide(connection, caller.tenant, digest, sent.mpp, sent.ids.model_dump(exclude_none=True))


def _check_stated(sent: SlideSent, upload: Upload) -> None:
    if None not in (sent.sha256, upload.sha256) and sent.sha256 != upload.sha256:
        raise SlideChangedError(
            f"The upload's SHA-256 is {upload.sha256}; announced was {sent.sha256}.", "Send the slide again."
        )


def _new_slide(sent: SlideSent, upload: Upload | None, uri: str) -> NewSlide:
    named = sent.filename or (_last_part(uri) if upload is None else upload.filename)
    return NewSlide(
        origin="reference" if upload is None else "upload",
        uri=uri,
        upload_id=None if upload is None else upload.id,
        filename=bare_filename(named),
        size_bytes=None if upload is None else upload.length_bytes,
        sha256=None if upload is None else upload.sha256,
        sha256_stated=sent.sha256,
        mpp=sent.mpp,
        stain=sent.stain,
        ids=sent.ids.model_dump(exclude_none=True),
    )


def _last_part(uri: str) -> str:
    last = uri.rsplit("/", 1)[-1]
    return unquote(last) if uri.startswith("file:") else last
