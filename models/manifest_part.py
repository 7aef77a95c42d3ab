"""What every part of a manifest is made of: frozen, closed tables, and the names and numbers they hold."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Colour = tuple[
    Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=255)]
]
Triple = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0)]
PositiveTriple = tuple[Positive, Positive, Positive]


class Part(BaseModel):
    """A frozen piece of the manifest that refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
