"""Slides: what was handed in, what it is, and whether it can be worked on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from workers.contract.errors import GoneError, StateConflictError, UnknownError
from workers.ledger.database import now
from workers.ledger.ids import new_id
from workers.ledger.pages import Page, fetch_page
from workers.ledger.schema import jobs, slides
from workers.ledger.states import JOB_OPEN, SlideState, move_slide


@dataclass(frozen=True)
class SlideRow:
    """A slide. `uri` is where its bytes are, for workers only; `info` is what the probing child found."""

    id: str
    tenant: str
    state: SlideState
    origin: str
    upload_id: str | None
    uri: str
    filename: str | None
    size_bytes: int | None
    sha256: str | None
    sha256_stated: str | None
    mpp: float | None
    stain: str | None
    info: dict[str, Any] | None
    problem: dict[str, Any] | None
    ids: dict[str, str]
    accession: str | None
    external_id: str | None
    created_at: float
    checked_at: float | None
    deleted_at: float | None


@dataclass(frozen=True)
class NewSlide:
    """What a caller says of a slide it hands in."""

    origin: str
    uri: str
    upload_id: str | None = None
    filename: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    """As computed by us, where it was."""
    sha256_stated: str | None = None
    mpp: float | None = None
    stain: str | None = None
    ids: Mapping[str, str] | None = None


def create_slide(connection: sa.Connection, tenant: str, new: NewSlide) -> SlideRow:
    """A new slide, to be validated."""
    ids = dict(new.ids or {})
    values = {
        "id": new_id("sld"),
        "tenant": tenant,
        "state": "validating",
        "origin": new.origin,
        "upload_id": new.upload_id,
        "uri": new.uri,
        "filename": new.filename,
        "size_bytes": new.size_bytes,
        "sha256": new.sha256,
        "sha256_stated": new.sha256_stated,
        "mpp": new.mpp,
        "stain": new.stain,
        "ids": ids,
        "accession": ids.get("accession"),
        "external_id": ids.get("external_id"),
        "created_at": now(),
    }
    return _slide(connection.execute(sa.insert(slides).values(values).returning(slides)).one())


def find_same_slide(
    connection: sa.Connection, tenant: str, sha256: str, mpp: float | None, ids: Mapping[str, str]
) -> SlideRow | None:
    """The tenant's newest slide of the same bytes that was not refused or deleted, handed in in the same words.

    The same bytes under another resolution or for another order are another slide: what is told of it would not fit.
    """
    same_mpp = slides.c.mpp.is_(None) if mpp is None else slides.c.mpp == mpp
    query = (
        sa.select(slides)
        .where(
            slides.c.tenant == tenant, slides.c.sha256 == sha256, same_mpp, slides.c.state.in_(("validating", "ready"))
        )
        .order_by(slides.c.created_at.desc())
    )
    return next((_slide(row) for row in connection.execute(query) if row.ids == dict(ids)), None)


def get_slide(connection: sa.Connection, tenant: str, slide_id: str) -> SlideRow:
    """The slide. Raises `UnknownError` where the tenant has none of that name, `GoneError` where it was deleted."""
    row = connection.execute(sa.select(slides).where(slides.c.id == slide_id, slides.c.tenant == tenant)).one_or_none()
    if row is None:
        raise UnknownError(f"There is no slide {slide_id}.")
    if row.state == "deleted":
        raise GoneError(f"The slide {slide_id} was deleted.")
    return _slide(row)


def slide_of_any_tenant(connection: sa.Connection, slide_id: str) -> SlideRow | None:
    """The slide, for a worker."""
    row = connection.execute(sa.select(slides).where(slides.c.id == slide_id)).one_or_none()
    return None if row is None else _slide(row)


def list_slides(
    connection: sa.Connection,
    tenant: str,
    *,
    accession: str | None = None,
    external_id: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[SlideRow]:
    """A page of the tenant's slides, newest first, deleted ones left out."""
    query = sa.select(slides).where(slides.c.tenant == tenant, slides.c.state != "deleted")
    for column, value in ((slides.c.accession, accession), (slides.c.external_id, external_id)):
        if value is not None:
            query = query.where(column == value)
    return fetch_page(connection, query, slides, _slide, cursor=cursor, limit=limit)


def delete_slide(connection: sa.Connection, tenant: str, slide_id: str) -> SlideRow:
    """The slide as it was. Raises as `get_slide`, and `StateConflictError` while a job works on it."""
    slide = get_slide(connection, tenant, slide_id)
    # The row is changed before it is looked who uses it: a job that comes in meanwhile waits, and finds it deleted.
    move_slide(connection, slide_id, "deleted")
    busy = sa.select(sa.func.count()).where(jobs.c.slide_id == slide_id, jobs.c.state.in_(JOB_OPEN))
    if count := connection.execute(busy).scalar_one():
        raise StateConflictError(f"{count} jobs work on the slide {slide_id}.", "Cancel them or wait for them first.")
    return slide


def slides_to_validate(connection: sa.Connection, older_than_s: float) -> list[str]:
    """The names of slides that have been waiting for validation for some time."""
    query = sa.select(slides.c.id).where(slides.c.state == "validating", slides.c.created_at < now() - older_than_s)
    return list(connection.execute(query).scalars())


def is_stored_elsewhere(connection: sa.Connection, slide: SlideRow) -> bool:
    """True where another slide that was not deleted has its bytes at the same place."""
    query = sa.select(sa.func.count()).where(
        slides.c.uri == slide.uri, slides.c.id != slide.id, slides.c.state != "deleted"
    )
    return bool(connection.execute(query).scalar_one())


def count_slides(connection: sa.Connection, tenant: str) -> tuple[int, int]:
    """(how many slides the tenant has, their bytes)."""
    query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(slides.c.size_bytes), 0))
    row = connection.execute(query.where(slides.c.tenant == tenant, slides.c.state != "deleted")).one()
    return int(row[0]), int(row[1])


def _slide(row: sa.Row[Any]) -> SlideRow:
    return SlideRow(**row._mapping)
