"""What a job asks of the engine: stored in the ledger, part of the run's identity."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class JobOrder(BaseModel):
    """A package, how it is set, and where on the slide it looks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    package: str
    """`name@version`: what `name` alone means is decided when the job is accepted."""
    parameters: dict[str, Any] = {}
    regions: dict[str, Any] | None = None
    mpp: float | None = None
    provider: str | None = None
