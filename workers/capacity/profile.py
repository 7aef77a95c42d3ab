"""What was measured on a machine, kept for later plans: one small JSON file."""

import json
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import RefusedInputError
from workers.capacity.rates import Rates
from workers.outputs.files import write_whole

NEAR = 4.0
"""Rates hold for slides whose frame is up to so many times larger or smaller than the one they were measured on."""


class Entry(BaseModel):
    """Rates, and what they hold for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: dict[str, str]
    """Package, manifest, provider, tile, batch, threads, readers, parameters, processor: all of it must be the same."""
    measured: str
    load_average: float
    rates: Rates


class Profile(BaseModel):
    """All that was measured on a machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    entries: tuple[Entry, ...] = ()

    def find(self, key: dict[str, str], frame_px: int) -> Entry | None:
        """The entry of this key whose slide was nearest in size, where one is near enough."""
        fitting = [entry for entry in self.entries if entry.key == key]
        nearest = min(fitting, key=lambda entry: _times(entry.rates.frame_px, frame_px), default=None)
        return nearest if nearest and _times(nearest.rates.frame_px, frame_px) <= NEAR else None

    def with_entry(self, entry: Entry) -> "Profile":
        """The profile with an entry, in place of one of that key for slides of that size."""
        found = self.find(entry.key, entry.rates.frame_px)
        kept = tuple(old for old in self.entries if old is not found)
        return self.model_copy(update={"entries": (*kept, entry)})


def profile_path(given: Path | None) -> Path:
    """Where the profile is: as given, or in the user's cache."""
    if given is not None:
        return given
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "histoserve" / "capacity.json"


def read_profile(path: Path) -> Profile:
    """The profile of a file; an empty one where there is none.

    Raises
    ------
    RefusedInputError
        The file holds something else.
    """
    try:
        return Profile.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return Profile()
    except (ValidationError, ValueError) as error:
        raise RefusedInputError(
            f"{path.name} is no profile of this version.", "Remove it, or give another with --profile; then --measure."
        ) from error


def write_profile(path: Path, profile: Profile) -> None:
    """Write the profile, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, profile.model_dump_json(indent=1).encode() + b"\n")


def _times(one: int, other: int) -> float:
    return max(one, other) / max(1, min(one, other))
