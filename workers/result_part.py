"""What every piece of a result is made of: frozen, closed tables."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A frozen piece of the result that refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
