"""Health, keys, audit, queue and workers."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from service.wire.words import Priority, Sent, Told


class Live(Told):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Reason(Told):
    """Something that is not as it should be; what `fails` must be mended before work is done."""

    part: Literal["ledger", "store", "redis", "workers", "disk", "models"]
    severity: Literal["fails", "degrades"]
    slug: str
    detail: str


class WorkerTold(Told):
    """A worker, with the runtime it really has."""

    name: str
    host: str
    slots: int
    provider: str
    code_version: str
    packages: dict[str, str]
    started_at: datetime
    seen_at: datetime


class Ready(Told):
    """Whether work can be taken and done."""

    status: Literal["ok", "degraded", "failing"]
    reasons: tuple[Reason, ...]
    slots: Annotated[dict[str, int], Field(description="Slots of the workers seen lately, by the runtime they have.")]


class KeySent(Sent):
    """A key to be made."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    scopes: Annotated[tuple[Literal["read", "write", "admin"], ...], Field(min_length=1, max_length=3)]
    expires_s: Annotated[float | None, Field(strict=True, gt=0, le=10 * 366 * 86400.0)] = None


class KeyTold(Told):
    """A key without its secret."""

    id: str
    tenant: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class KeyShown(Told):
    """A new key, shown this once."""

    key: KeyTold
    secret: Annotated[str, Field(description="Send it as `Authorization: Bearer …`. It cannot be shown again.")]


class KeyRotated(Told):
    """A new key in place of another, shown this once."""

    key: KeyTold
    secret: Annotated[str, Field(description="Send it as `Authorization: Bearer …`. It cannot be shown again.")]
    old: Annotated[KeyTold, Field(description="It opens nothing any more from its `expires_at` on.")]


class KeyList(Told):
    """The keys of a tenant."""

    items: tuple[KeyTold, ...]


class AuditRowTold(Told):
    """Something somebody did."""

    seq: int
    at: datetime
    tenant: str | None
    key_id: str | None
    action: str
    subject: str
    outcome: int
    detail: dict[str, Any]
    digest: str


class AuditPage(Told):
    """Rows in order; ask for what follows with `after` of the last one's `seq`."""

    items: tuple[AuditRowTold, ...]


class AuditCheck(Told):
    """Whether the chain of the audit is whole."""

    is_whole: bool
    first_broken_seq: int | None


class QueueTold(Told):
    """What waits and what runs."""

    states: Annotated[dict[str, int], Field(description="The tenant's jobs by state.")]
    waiting: Annotated[dict[Priority, int], Field(description="The tenant's queued jobs by priority.")]
    redis: Annotated[
        int | None, Field(description="Rings of all tenants that nobody answered; null where Redis is away.")
    ]


class TenantTold(Told):
    """A tenant, and how much it has here."""

    name: str
    keys: Annotated[int, Field(description="Keys that were not revoked.")]
    slides: int
    slides_bytes: int
    jobs: Annotated[dict[str, int], Field(description="Jobs by state.")]


class TenantList(Told):
    """The tenants that the key may see: its own."""

    items: tuple[TenantTold, ...]


class WorkerList(Told):
    """The workers that were seen lately."""

    items: tuple[WorkerTold, ...]
