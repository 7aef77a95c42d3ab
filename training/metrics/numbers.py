"""A measured number as reports keep it."""

from pydantic import BaseModel, ConfigDict


class Row(BaseModel):
    """A frozen table of a report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(Row):
    """A measured number; its interval, where there is one, holds 95 %."""

    data: str
    name: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int
    """Independent rows behind it: slides, cases, folds or pairs."""
    synthetic: bool
