"""A tenant's own keys and audit, and what the deployment is at; tenants begin with `histoserve keys` on the machine."""

from typing import Annotated

from fastapi import APIRouter, Query

from service.access import Admin, entry_of
from service.deployment import Deployed
from service.problems import tells
from service.routes.health import tell_worker
from service.wire import (
    AuditCheck,
    AuditPage,
    AuditRowTold,
    KeyList,
    KeySent,
    KeyShown,
    KeyTold,
    QueueTold,
    WorkerList,
    when,
    when_or_none,
)
from workers.ledger.audit import AuditRow, add_entries, find_break, list_entries
from workers.ledger.jobs import count_states
from workers.ledger.keys import ApiKey, create_key, list_keys, revoke_key
from workers.ledger.seats import list_seats

router = APIRouter(prefix="/v1/admin", tags=["admin"])

SEEN_WITHIN_S = 60.0


@router.post("/keys", status_code=201, summary="Make a key", responses=tells())
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


@router.delete("/keys/{key_id}", summary="Revoke a key", responses=tells(404))
def end_key(caller: Admin, deployed: Deployed, key_id: str) -> KeyTold:
    """The key, which opens nothing from now on."""
    with deployed.ledger.write() as connection:
        key = revoke_key(connection, key_id, caller.tenant)
        add_entries(connection, [entry_of(caller, "key.revoke", key.id, 200)])
    return _tell_key(key)


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
    """How many of the tenant's jobs are in each state, and how many rings wait in Redis."""
    with deployed.ledger.read() as connection:
        states = count_states(connection, caller.tenant)
    return QueueTold(states=states, redis=deployed.doorbell.count_waiting())


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
