"""Recipes as TOML: what every training loop needs to be told."""

import hashlib
import math
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Model = TypeVar("Model", bound=BaseModel)


class Section(BaseModel):
    """A frozen table of the TOML file that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LoopConfig(Section):
    """Adam from `rate` to `final_rate` over the epochs."""

    epochs: Count
    batch: Count
    rate: Positive = 1e-3
    final_rate: Positive = 3e-5
    decay: Literal["exponential", "step", "cosine"] = "exponential"
    step_epoch: Annotated[int, Field(ge=0)] = 0
    """With `step`: epochs at `rate`, all further ones run at `final_rate`."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-5
    """L2 on all weights, as Adam's own weight decay."""
    threads: Count = 2
    """Of torch. Sums are taken in another order with another number, so it belongs to the recipe."""

    @model_validator(mode="after")
    def _steps_within(self) -> Self:
        if self.decay == "step" and not 0 < self.step_epoch <= self.epochs:
            raise ValueError('decay = "step" needs step_epoch, from 1 to epochs')
        return self


class DeviceConfig(Section):
    """Where the loop runs; not part of the recipe, though a GPU's sums differ in the last digits."""

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    precision: Literal["auto", "32", "16-mixed", "bf16-mixed"] = "auto"
    """`auto` is 32 bit on a CPU and mixed 16 bit on a GPU."""


def rate_at(loop: LoopConfig, epochs_done: float) -> float:
    """The learning rate after so many epochs, fractions included; `final_rate` is reached in the last step's limit."""
    if loop.decay == "step":
        return loop.rate if epochs_done < loop.step_epoch else loop.final_rate
    part = min(1.0, epochs_done / loop.epochs)
    if loop.decay == "exponential":
        return math.exp(math.log(loop.rate) + part * math.log(loop.final_rate / loop.rate))
    fallen = 0.5 * (1 + math.cos(math.pi * part))
    return loop.final_rate + (loop.rate - loop.final_rate) * fallen


def load_toml(path: Path, model: type[Model]) -> Model:
    """The recipe in a TOML file.

    Raises
    ------
    pydantic.ValidationError
        A key is missing, unknown or out of range.
    """
    return model.model_validate(tomllib.loads(path.read_text("utf-8")))


def experiment_path(folder: Path, name: str) -> Path:
    """The file of an experiment that a task keeps in its folder of experiments.

    Raises
    ------
    FileNotFoundError
        There is none of that name.
    """
    path = folder / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
        raise FileNotFoundError(f"there is no experiment {name!r}: take one of {known}, or give --config FILE")
    return path


def digest_of(*parts: BaseModel | str) -> str:
    """SHA-256 over values (comments and the order of keys do not matter) and further digests."""
    digest = hashlib.sha256()
    for part in parts:
        text = part if isinstance(part, str) else part.model_dump_json()
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def code_digest(*folders: Path) -> str:
    """SHA-256 over names and bytes of the Python files below these folders, in order of name."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder.parent).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
