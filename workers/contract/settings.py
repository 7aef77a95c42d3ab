"""The settings of one deployment, read from `HISTOSERVE_*` in the environment; built once and passed down."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0)]


def default_home() -> Path:
    """Where a service keeps its things unless told: `~/.histoserve`."""
    return Path.home() / ".histoserve"


class Settings(BaseSettings):
    """Where things are and how long to wait; every field is `HISTOSERVE_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="HISTOSERVE_", frozen=True, extra="ignore")

    home: Annotated[Path, Field(description="Folder for database, store, uploads and key file.")] = Field(
        default_factory=default_home
    )
    database_url: Annotated[str | None, Field(description="SQLAlchemy URL; SQLite in `home` where none is given.")] = (
        None
    )
    redis_url: Annotated[str, Field(description="Redis or Valkey, the doorbell.")] = "redis://127.0.0.1:6379/0"
    queue_prefix: Annotated[str, Field(description="What the names of the queues begin with.")] = "histoserve"
    store_url: Annotated[
        str | None,
        Field(description="fsspec URL of the store (`s3://bucket/prefix`); `home`/store where none is given."),
    ] = None
    store_options: Annotated[
        dict[str, object], Field(description="JSON: options of the store's fsspec file system (endpoint_url, …).")
    ] = {}
    scratch: Annotated[Path | None, Field(description="A worker's own folder; `home`/scratch where none is given.")] = (
        None
    )
    reference_roots: Annotated[
        tuple[str, ...],
        Field(description="JSON list of `file:` and `s3:` prefixes that slides may be registered from."),
    ] = ()

    host: Annotated[str, Field(description="Address the service listens on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port the service listens on.")] = 8000

    max_upload_bytes: Annotated[int, Field(gt=0, description="Largest slide that is taken.")] = 64 << 30
    reserve_bytes: Annotated[int, Field(ge=0, description="Free space an upload must leave on the disk.")] = 1 << 30
    upload_expiry_s: Annotated[Seconds, Field(description="An unfinished upload is dropped after this long.")] = 86400.0
    max_queued_jobs: Annotated[int, Field(gt=0, description="Queued jobs per tenant; more are refused with 429.")] = (
        10000
    )

    provider: Annotated[str, Field(description="Runtime provider of this worker; a wrong one stops it.")] = "auto"
    readers: Annotated[int, Field(ge=1, le=64, description="Reader threads of one worker.")] = 2
    threads: Annotated[int | None, Field(description="Threads of one worker's runtime.")] = None

    lease_s: Annotated[Seconds, Field(description="How long a silent worker keeps its bands.")] = 30.0
    heartbeat_s: Annotated[Seconds, Field(description="How often a worker renews its lease.")] = 5.0
    reconcile_s: Annotated[Seconds, Field(description="How often lost work is looked for.")] = 5.0
    job_timeout_s: Annotated[Seconds, Field(description="Longest time one worker stays on one job.")] = 86400.0
    max_lost: Annotated[
        int, Field(ge=1, description="Attempts lost in a row, without a band done, that end a job.")
    ] = 5
    max_failures: Annotated[
        int, Field(ge=1, description="Attempts that may fail by our own fault before a job does.")
    ] = 3
    log_format: Annotated[Literal["text", "json"], Field(description="How log lines look.")] = "text"

    @property
    def database(self) -> str:
        """The SQLAlchemy URL."""
        return self.database_url or f"sqlite:///{self.home / 'ledger.sqlite'}"

    @property
    def store(self) -> str:
        """The fsspec URL of the store."""
        return self.store_url or (self.home / "store").absolute().as_uri()

    @property
    def uploads_folder(self) -> Path:
        """Where unfinished uploads lie: on the service's own disk, fsynced piece by piece."""
        return self.home / "uploads"

    @property
    def scratch_folder(self) -> Path:
        """Where a worker puts what it has not handed in yet."""
        return self.scratch or self.home / "scratch"

    @property
    def key_file(self) -> Path:
        """Where `up` leaves its API key (0600) for the command line to pick up."""
        return self.home / "key"
