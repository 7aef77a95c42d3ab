"""A tenant's own keys and audit, and what the deployment is at; tenants begin with `histoserve keys` on the machine."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from service.access import Admin, entry_of
from service.deployment import Deployed
from service.problems import tells
from service.routes.health import tell_worker
from service.wire import (
    AuditCheck,
    AuditPage,
    AuditRowTold,
    KeyList,
    KeyRotated,
    KeySent,
    KeyShown,
    KeyTold,
    QueueTold,
    Sent,
    TenantList,
    TenantTold,
    WorkerList,
    when,
    when_or_none,
)
from workers.contract.doorbell import PRIORITIES
from workers.ledger.audit import AuditRow, add_entries, find_break, list_entries
from workers.ledger.jobs import count_queued, count_states
from workers.ledger.keys import ApiKey, create_key, list_keys, revoke_key, rotate_key
from workers.ledger.seats import list_seats
from workers.ledger.slides import count_slides

router = APIRouter(prefix="/v1/admin", tags=["admin"])

SEEN_WITHIN_S = 60.0
KeyId = Annotated[str, Path(max_length=64)]


class Rotation(Sent):
    """How a key is replaced."""

    grace_s: Annotated[
        float, Field(ge=0, le=30 * 86400.0, description="The old key is good for so long, while callers change over.")
    ] = 86400.0


@router.post("/keys", status_code=201, summary="Make a key", responses=tells(400))
def make_key(caller: Admin, deployed: Deployed, sent: KeySent) -> KeyShown:
    """A new key of the caller's tenant. Its secret is in this answer and nowhere else."""
    with deployed.ledger.write() as connection:
        key, secret = create_key(connection, caller.tenant, sent.name, sent.scopes, sent.expires_s)
        add_entries(connection, [entry_of(caller, "key.create", key.id, 201)])
    return KeyShown(key=_tell_key(key), secret=secret)


@router.get("/keys", summary="List keys", responses=tells())
def find_keys(caller: Admin, deployed: Deployed) -> KeyList:
    """The keys of the caller's tenant, revoked ones too, without their secrets."""
    with deployed.ledger.read() as connection:
        return KeyList(items=tuple(_tell_key(key) for key in list_keys(connection, caller.tenant)))


@router.post("/keys/{key_id}/rotate", status_code=201, summary="Replace a key", responses=tells(400, 404, 409))
def replace_key(caller: Admin, deployed: Deployed, key_id: KeyId, sent: Rotation) -> KeyRotated:
    """A new key that may do the same, for as long again; the old one ends after a grace, one day unless said."""
    with deployed.ledger.write() as connection:
        old, key, secret = rotate_key(connection, key_id, caller.tenant, sent.grace_s)
        add_entries(connection, [entry_of(caller, "key.rotate", old.id, 201, new=key.id)])
    return KeyRotated(key=_tell_key(key), secret=secret, old=_tell_key(old))


@router.delete("/keys/{key_id}", summary="Revoke a key", responses=tells(404))
def end_key(caller: Admin, deployed: Deployed, key_id: KeyId) -> KeyTold:
    """The key, which opens nothing from now on."""
    with deployed.ledger.write() as connection:
        key = revoke_key(connection, key_id, caller.tenant)
        add_entries(connection, [entry_of(caller, "key.revoke", key.id, 200)])
    return _tell_key(key)


@router.get("/tenants", summary="See the tenant", responses=tells())
def find_tenants(caller: Admin, deployed: Deployed) -> TenantList:
    """The tenant of the key, and how much it has here; a key sees no other."""
    with deployed.ledger.read() as connection:
        slides, slides_bytes = count_slides(connection, caller.tenant)
        jobs = count_states(connection, caller.tenant)
        keys = sum(key.revoked_at is None for key in list_keys(connection, caller.tenant))
    tenant = TenantTold(name=caller.tenant, keys=keys, slides=slides, slides_bytes=slides_bytes, jobs=jobs)
    return TenantList(items=(tenant,))


@router.get("/audit", summary="Read the audit", responses=tells())
def read_audit(
    caller: Admin,
    deployed: Deployed,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> AuditPage:
    """Who did what in the caller's tenant, in order."""
    with deployed.ledger.read() as connection:
        rows = list_entries(connection, after=after, limit=limit, tenant=caller.tenant)
    return AuditPage(items=tuple(_tell_row(row) for row in rows))


@router.get("/audit/check", summary="Check the audit", responses=tells())
def check_audit(caller: Admin, deployed: Deployed) -> AuditCheck:
    """Walk the whole chain: whether a row was altered, removed or slipped in."""
    with deployed.ledger.read() as connection:
        broken = find_break(connection)
    return AuditCheck(is_whole=broken is None, first_broken_seq=broken)


@router.get("/queue", summary="See the queue", responses=tells())
def see_queue(caller: Admin, deployed: Deployed) -> QueueTold:
    """How many of the tenant's jobs are in each state and wait at each priority, and how many rings Redis holds."""
    with deployed.ledger.read() as connection:
        states, waiting = count_states(connection, caller.tenant), count_queued(connection, caller.tenant)
    by_priority = {priority: waiting.get(priority, 0) for priority in PRIORITIES}
    return QueueTold(states=states, waiting=by_priority, redis=deployed.doorbell.count_waiting())


@router.get("/workers", summary="See the workers", responses=tells())
def see_workers(caller: Admin, deployed: Deployed) -> WorkerList:
    """The workers that were seen lately, and the runtime each really has."""
    with deployed.ledger.read() as connection:
        return WorkerList(items=tuple(tell_worker(seat) for seat in list_seats(connection, SEEN_WITHIN_S)))


def _tell_key(key: ApiKey) -> KeyTold:
    return KeyTold(
        id=key.id,
        tenant=key.tenant,
        name=key.name,
        scopes=key.scopes,
        created_at=when(key.created_at),
        expires_at=when_or_none(key.expires_at),
        revoked_at=when_or_none(key.revoked_at),
    )


def _tell_row(row: AuditRow) -> AuditRowTold:
    return AuditRowTold(
        seq=row.seq,
        at=when(row.at),
        tenant=row.tenant,
        key_id=row.key_id,
        action=row.action,
        subject=row.subject,
        outcome=row.outcome,
        detail=row.detail,
        digest=row.digest,
    )
