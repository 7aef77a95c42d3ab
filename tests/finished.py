"""A job that succeeded, as workers leave it: rows in the ledger, files in the store."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.integration.ledger.made import made_job, start
from tests.serving import Served
from workers.ledger.jobs import Artifact
from workers.ledger.leases import Published, agree_plan, claim_band, commit_band, publish

RESULT: dict[str, Any] = {
    "notice": "Research use only. Not for diagnosis.",
    "scores": {"cells": {"class": "=nucleus", "count": 3, "shift": -1.5}},
    "regions": [],
}
TYPES = {".csv": "text/csv", ".json": "application/json", ".png": "image/png"}


def finished_job(service: Served, files: Mapping[str, bytes], result: Mapping[str, Any] = RESULT, **fields: Any) -> str:
    """The name of the job."""
    attempt = start(service.ledger, made_job(service.ledger, **fields).id)
    prefix = f"jobs/{attempt.job_id}/results-1-1"
    found = [_stored(service, attempt.job_id, prefix, path, data) for path, data in files.items()]
    with service.ledger.write() as connection:
        agree_plan(connection, attempt, {}, [1], 60.0)
        band = claim_band(connection, attempt)
        assert band is not None
        commit_band(connection, attempt, band, {})
        finish = claim_band(connection, attempt)
        assert finish is not None
        publish(connection, attempt, finish, Published(prefix, dict(result), found))
    return attempt.job_id


def _stored(service: Served, job_id: str, prefix: str, path: str, data: bytes) -> Artifact:
    with TemporaryDirectory() as folder:
        source = Path(folder) / "file"
        source.write_bytes(data)
        service.app.state.deployment.store.put(source, f"{prefix}/{path}")
    kind = TYPES.get(Path(path).suffix, "application/octet-stream")
    return Artifact(job_id, path, hashlib.sha256(data).hexdigest(), len(data), kind)
