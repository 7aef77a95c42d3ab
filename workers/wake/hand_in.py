"""Handing in: shards of a band and files of a result go to the store under a fencing token, then into the ledger."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workers.contract.store import Store
from workers.engine.checkpoint import BandRecord, parse_record
from workers.ledger.jobs import Artifact
from workers.ledger.leases import Attempt, Claim
from workers.outputs.files import file_sha256
from workers.result import RESULT_NAME, Result

Records = dict[int, tuple[str, BandRecord]]
"""By band: the prefix its shards are stored under, and what was done."""


def bands_prefix(job_id: str) -> str:
    """Where the shards of a job's bands are until it is over."""
    return f"jobs/{job_id}/bands"


def store_band(store: Store, attempt: Attempt, claim: Claim, maps: Path, record: BandRecord) -> dict[str, Any]:
    """What the ledger keeps of a band whose shards are in the store now.

    Attempt and token are in the key: a worker that lost its lease writes where nobody looks.
    """
    prefix = f"{bands_prefix(attempt.job_id)}/{attempt.number}-{claim.number}-{claim.token}"
    for shard in record.shards:
        store.put(maps / shard.path, f"{prefix}/{shard.path}")
    return asdict(record) | {"prefix": prefix}


def read_record(value: Mapping[str, Any]) -> tuple[str, BandRecord]:
    """(prefix, record) of what `store_band` gave."""
    return value["prefix"], parse_record(value)


def fetch_shards(store: Store, maps: Path, records: Records) -> list[int]:
    """Bring all shards to `maps`; the bands whose shards are not those that were handed in."""
    broken = []
    for number, (prefix, record) in sorted(records.items()):
        for shard in record.shards:
            path = maps / shard.path
            if path.is_file() and file_sha256(path) == shard.sha256:
                continue
            path.unlink(missing_ok=True)
            if not store.exists(f"{prefix}/{shard.path}"):
                broken.append(number)
                break
            store.fetch(f"{prefix}/{shard.path}", path)
            if file_sha256(path) != shard.sha256:
                broken.append(number)
                break
    return broken


def store_result(store: Store, attempt: Attempt, claim: Claim, out: Path, result: Result) -> tuple[str, list[Artifact]]:
    """(prefix, files) of a result that is in the store now, `result.json` last."""
    prefix = f"jobs/{attempt.job_id}/results-{attempt.number}-{claim.token}"
    found = list(_artifacts(attempt.job_id, out, result))
    for artifact in found:
        store.put(out / artifact.path, f"{prefix}/{artifact.path}")
    return prefix, found


def _artifacts(job_id: str, out: Path, result: Result) -> Iterator[Artifact]:
    for part in result.files:
        yield Artifact(job_id, part.path, part.sha256, part.size_bytes, part.media_type)
    for folder in result.folders:
        for path in sorted(p for p in (out / folder.path).rglob("*") if p.is_file()):
            yield _describe(job_id, out, path, _member_type(path))
    yield _describe(job_id, out, out / RESULT_NAME, "application/json")


def _describe(job_id: str, out: Path, path: Path, media_type: str) -> Artifact:
    return Artifact(job_id, path.relative_to(out).as_posix(), file_sha256(path), path.stat().st_size, media_type)


def _member_type(path: Path) -> str:
    return {".json": "application/json", ".jpg": "image/jpeg"}.get(path.suffix, "application/octet-stream")
