"""What a job asks of the engine: stored in the ledger, part of the run's identity."""

import hashlib
import json
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from workers.contract.regions import Regions, read_regions


def _read(value: object) -> object:
    return value if value is None or isinstance(value, Regions) else read_regions(value)


class JobOrder(BaseModel):
    """A package, how it is set, and where on the slide it looks."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    package: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}@\d+\.\d+\.\d+$")]
    """`name@version`: what `name` alone means is decided when the job is accepted."""
    parameters: dict[str, bool | int | float | None] = {}
    """As `models.parameters.read_parameters` gives them."""
    regions: Annotated[Regions | None, BeforeValidator(_read)] = None
    """Any GeoJSON that `read_regions` takes; kept in its one form."""
    mpp: Annotated[float | None, Field(gt=0, le=100)] = None
    provider: str | None = None
    rescore_of: Annotated[str | None, Field(max_length=40)] = None
    """The job whose result is scored anew with these parameters; None where the slide is run."""
    forced_by: Annotated[str | None, Field(max_length=300)] = None
    """Whose key wanted the parameter `force`; None where it is not set."""

    def canonical_json(self) -> str:
        """The order as one text: of equal orders the same."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """SHA-256 of `canonical_json`."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()
