"""The tables of the ledger. Times are seconds since 1970 on the database's clock; documents are JSON."""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> sa.Column[str]:
    return sa.Column("id", sa.String(40), primary_key=True)


def _tenant() -> sa.Column[str]:
    return sa.Column("tenant", sa.String(64), nullable=False)


def _time(name: str, nullable: bool = True) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=nullable)


api_keys = sa.Table(
    "api_keys",
    metadata,
    _id(),
    _tenant(),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("secret_sha256", sa.String(64), nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    _time("created_at", nullable=False),
    _time("expires_at"),
    _time("revoked_at"),
    sa.Index(None, "tenant"),
)

uploads = sa.Table(
    "uploads",
    metadata,
    _id(),
    _tenant(),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("filename", sa.String(255)),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("length_bytes", sa.BigInteger),
    sa.Column("offset_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64)),
    _time("created_at", nullable=False),
    _time("expires_at", nullable=False),
    sa.Index(None, "state", "expires_at"),
)

slides = sa.Table(
    "slides",
    metadata,
    _id(),
    _tenant(),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("origin", sa.String(16), nullable=False),
    sa.Column("upload_id", sa.String(40)),
    sa.Column("uri", sa.String(2048), nullable=False),
    sa.Column("filename", sa.String(255)),
    sa.Column("size_bytes", sa.BigInteger),
    sa.Column("sha256", sa.String(64)),
    sa.Column("sha256_stated", sa.String(64)),
    sa.Column("mpp", sa.Double),
    sa.Column("stain", sa.String(32)),
    sa.Column("info", sa.JSON),
    sa.Column("problem", sa.JSON),
    sa.Column("ids", sa.JSON, nullable=False),
    sa.Column("accession", sa.String(128)),
    sa.Column("external_id", sa.String(128)),
    _time("created_at", nullable=False),
    _time("checked_at"),
    _time("deleted_at"),
    sa.Index(None, "tenant", "created_at"),
    sa.Index(None, "tenant", "sha256"),
    sa.Index(None, "state"),
)

packages = sa.Table(
    "packages",
    metadata,
    sa.Column("reference", sa.String(160), primary_key=True),
    sa.Column("manifest_sha256", sa.String(64), primary_key=True),
    _time("first_seen_at", nullable=False),
    _time("last_seen_at", nullable=False),
)

batches = sa.Table(
    "batches",
    metadata,
    _id(),
    _tenant(),
    sa.Column("name", sa.String(128)),
    sa.Column("items", sa.JSON, nullable=False),
    _time("created_at", nullable=False),
    sa.Index(None, "tenant", "created_at"),
)

jobs = sa.Table(
    "jobs",
    metadata,
    _id(),
    _tenant(),
    sa.Column("slide_id", sa.String(40), sa.ForeignKey("slides.id"), nullable=False),
    sa.Column("batch_id", sa.String(40), sa.ForeignKey("batches.id")),
    sa.Column("retry_of", sa.String(40)),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("priority", sa.String(16), nullable=False),
    sa.Column("package", sa.String(160), nullable=False),
    sa.Column("analysis", sa.String(64)),
    sa.Column("order", sa.JSON, nullable=False),
    sa.Column("ids", sa.JSON, nullable=False),
    sa.Column("accession", sa.String(128)),
    sa.Column("external_id", sa.String(128)),
    _time("due_at"),
    sa.Column("identity", sa.JSON),
    sa.Column("bands_planned", sa.Integer),
    sa.Column("bands_done", sa.Integer, nullable=False),
    sa.Column("tiles_planned", sa.Integer),
    sa.Column("tiles_done", sa.Integer, nullable=False),
    sa.Column("lost", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("event_seq", sa.Integer, nullable=False),
    sa.Column("problem", sa.JSON),
    sa.Column("result", sa.JSON),
    sa.Column("result_prefix", sa.String(255)),
    _time("created_at", nullable=False),
    _time("changed_at", nullable=False),
    _time("started_at"),
    _time("ended_at"),
    _time("deleted_at"),
    sa.Index(None, "tenant", "created_at"),
    sa.Index(None, "state", "priority", "created_at"),
    sa.Index(None, "slide_id"),
    sa.Index(None, "batch_id"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    _id(),
    sa.Column("job_id", sa.String(40), sa.ForeignKey("jobs.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("worker", sa.String(128), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("provider", sa.String(64)),
    sa.Column("stage", sa.String(32)),
    sa.Column("tiles", sa.Integer, nullable=False),
    sa.Column("seconds", sa.JSON, nullable=False),
    sa.Column("problem", sa.JSON),
    _time("started_at", nullable=False),
    _time("lease_until", nullable=False),
    _time("ended_at"),
    sa.UniqueConstraint("job_id", "number"),
    sa.Index(None, "outcome", "lease_until"),
)

bands = sa.Table(
    "bands",
    metadata,
    sa.Column("job_id", sa.String(40), sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("token", sa.Integer, nullable=False),
    sa.Column("attempt_id", sa.String(40)),
    sa.Column("tiles", sa.Integer, nullable=False),
    sa.Column("record", sa.JSON),
    _time("done_at"),
    sa.Index(None, "attempt_id"),
)

artifacts = sa.Table(
    "artifacts",
    metadata,
    sa.Column("job_id", sa.String(40), sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("path", sa.String(512), primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("media_type", sa.String(128), nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("job_id", sa.String(40), sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    _time("at", nullable=False),
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("operation", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("body_sha256", sa.String(64), nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("headers", sa.JSON),
    sa.Column("answer", sa.JSON),
    _time("expires_at", nullable=False),
    sa.Index(None, "expires_at"),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    _time("at", nullable=False),
    sa.Column("tenant", sa.String(64)),
    sa.Column("key_id", sa.String(40)),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(512), nullable=False),
    sa.Column("outcome", sa.Integer, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Index(None, "tenant", "seq"),
)

audit_head = sa.Table(
    "audit_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
)

worker_seats = sa.Table(
    "workers",
    metadata,
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("host", sa.String(128), nullable=False),
    sa.Column("slots", sa.Integer, nullable=False),
    sa.Column("provider", sa.String(64), nullable=False),
    sa.Column("code_version", sa.String(32), nullable=False),
    sa.Column("packages", sa.JSON, nullable=False),
    _time("started_at", nullable=False),
    _time("seen_at", nullable=False),
)
