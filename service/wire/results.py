"""Results."""

from typing import Annotated, Any

from pydantic import Field

from service.wire.words import OrderIds, Told
from workers.result import NOTICE


class ArtifactTold(Told):
    """A file of a result."""

    path: str
    sha256: str
    size_bytes: int
    media_type: str
    url: str


class ResultTold(Told):
    """The manifest of a result: the engine's `result.json`, and where each file is."""

    job_id: str
    slide_id: str
    ids: OrderIds
    result: Annotated[dict[str, Any], Field(description="`result.json`, as `histoserve run` writes it.")]
    artifacts: tuple[ArtifactTold, ...]
    notice: str = NOTICE


class ScoresTold(Told):
    """The scores of a result."""

    job_id: str
    ids: OrderIds
    scores: Annotated[dict[str, Any], Field(description="By measure, as in `result.json`.")]
    regions: Annotated[tuple[dict[str, Any], ...], Field(description="The scores of each region of interest.")]
    notice: str = NOTICE
