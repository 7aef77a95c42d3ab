"""The band ledger of a run on one machine: what the run is, and which bands are done, with digests.

`run/identity.json` says what is computed; a folder that holds another identity is refused. `run/bands.jsonl` gets one
line per finished band, appended and fsynced after the band's shards are: a line that is there is true, a torn last line
is a band that is not done.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from models.errors import OutputConflictError
from workers.engine.seams import SeamSums
from workers.outputs.files import sync_folder, write_whole
from workers.outputs.maps import ShardRecord
from workers.result import STATE_FOLDER


@dataclass(frozen=True)
class BandRecord:
    """A finished band: the shards it wrote and how many tiles it took."""

    index: int
    tiles: int
    shards: tuple[ShardRecord, ...]
    seams: dict[str, SeamSums] = field(default_factory=dict)
    """Per stored map; summed over the bands they make the seam score."""


@contextmanager
def hold_folder(out: Path) -> Iterator[Path]:
    """The state folder of `out`, held by this process alone.

    Raises
    ------
    OutputConflictError
        Another process is working in the folder.
    """
    state = out / STATE_FOLDER
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputConflictError(
                "Another run is working in this output folder.", "Wait for it, or give another --out."
            ) from error
        yield state


def claim_identity(state: Path, identity: dict[str, Any]) -> bool:
    """True where an earlier run with the same identity left its work here, False where the folder is new.

    Raises
    ------
    OutputConflictError
        The folder holds work of another slide, package or configuration.
    """
    path = state / "identity.json"
    if not path.exists():
        write_whole(path, json.dumps(identity, indent=2, sort_keys=True).encode())
        return False
    known = json.loads(path.read_bytes())
    different = sorted(k for k in known.keys() | identity.keys() if known.get(k) != identity.get(k))
    if different:
        raise OutputConflictError(
            f"The output folder holds another run; different: {', '.join(different)}.",
            "Give another --out, or --overwrite to throw the earlier work away.",
        )
    return True


def read_bands(state: Path) -> dict[int, BandRecord]:
    """The finished bands by index."""
    path = state / "bands.jsonl"
    if not path.exists():
        return {}
    lines = path.read_bytes().split(b"\n")
    # What stands behind the last newline is the torn line of a killed run: that band is not done.
    return {record.index: record for record in (parse_record(json.loads(line)) for line in lines[:-1] if line)}


def append_band(state: Path, record: BandRecord) -> None:
    """Commit a band; when this returns, the line is on the disk."""
    path = state / "bands.jsonl"
    with path.open("ab+") as ledger:
        _drop_torn_line(ledger.fileno())
        ledger.write(json.dumps(asdict(record), separators=(",", ":")).encode() + b"\n")
        ledger.flush()
        os.fsync(ledger.fileno())
    sync_folder(state)


def parse_record(value: Mapping[str, Any]) -> BandRecord:
    """A record out of its JSON form; what else is in it is left alone."""
    shards = tuple(ShardRecord(**shard) for shard in value["shards"])
    seams = {name: SeamSums(**sums) for name, sums in value["seams"].items()}
    return BandRecord(index=value["index"], tiles=value["tiles"], shards=shards, seams=seams)


def _drop_torn_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        os.ftruncate(descriptor, os.pread(descriptor, size, 0).rfind(b"\n") + 1)
