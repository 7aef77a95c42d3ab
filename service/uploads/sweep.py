"""What nobody will ask for again is removed: expired uploads, and files that belong to no upload."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from anyio.to_thread import run_sync

from models.errors import HistoserveError
from service.deployment import Deployment
from service.uploads.desk import Desk, remove_bytes
from workers.ledger.audit import Entry, add_entries
from workers.ledger.uploads import drop_expired_uploads, upload_states

SWEEP_S = 300.0
AT_ONCE = 500


@asynccontextmanager
async def open_desk(deployment: Deployment) -> AsyncIterator[Desk]:
    """The desk of a service process; what has expired is swept at once and every few minutes."""
    sweeping = asyncio.create_task(_sweep_for_ever(deployment))
    try:
        yield Desk(deployment)
    finally:
        sweeping.cancel()
        await asyncio.wait([sweeping])


def drop_expired(deployment: Deployment) -> list[str]:
    """The uploads and files that were removed. Any number of processes may do it at once.

    A file whose upload has ended goes at once. One that no row tells of goes when it is older than any upload may be:
    a database that is behind its disk (a restored copy) loses nothing before somebody can see it.
    """
    with deployment.ledger.write() as connection:
        expired = drop_expired_uploads(connection)
        add_entries(connection, [Entry(None, None, "upload.expire", name, 0) for name in expired])
    for name in expired:
        remove_bytes(deployment, name)
    orphans = _orphans(deployment)
    for path in orphans:
        path.unlink(missing_ok=True)
    return [*expired, *(path.name for path in orphans)]


async def _sweep_for_ever(deployment: Deployment) -> None:
    while True:
        try:
            await run_sync(drop_expired, deployment)
        except (HistoserveError, OSError) as error:
            structlog.get_logger().warning("uploads were not swept", reason=str(error))
        await asyncio.sleep(SWEEP_S)


def _orphans(deployment: Deployment) -> list[Path]:
    found = [path for path in deployment.settings.uploads_folder.iterdir() if path.is_file()]
    states: dict[str, str] = {}
    for first in range(0, len(found), AT_ONCE):
        with deployment.ledger.read() as connection:
            states.update(upload_states(connection, [path.name for path in found[first : first + AT_ONCE]]))
    oldest = time.time() - deployment.settings.upload_expiry_s
    return [path for path in found if _is_over(path, states.get(path.name), oldest)]


def _is_over(path: Path, state: str | None, oldest: float) -> bool:
    if state is not None:
        return state in ("used", "dropped")
    try:
        return path.stat().st_mtime < oldest
    except FileNotFoundError:
        return False
