"""What nobody needs any more, and whether what is kept is what was written."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from workers.contract.errors import StoreError
from workers.contract.store import Store
from workers.ledger import Ledger
from workers.ledger.jobs import list_artifacts
from workers.ledger.schema import jobs, slides, uploads
from workers.ledger.states import JOB_TERMINAL


@dataclass(frozen=True)
class Damage:
    """A file that is not what the ledger says it is."""

    job_id: str
    path: str
    what: str


def find_litter(ledger: Ledger, store: Store) -> list[str]:
    """The prefixes of the store that no row needs: deleted things, bands of jobs that are over, unpublished results."""
    with ledger.read() as connection:
        kept_slides = set(connection.execute(sa.select(slides.c.uri).where(slides.c.state != "deleted")).scalars())
        # The bytes of an upload come before the slide's row does.
        coming = sa.select(uploads.c.id).where(uploads.c.state.in_(("receiving", "complete")))
        kept_slides |= {f"store:slides/{upload}" for upload in connection.execute(coming).scalars()}
        rows = connection.execute(sa.select(jobs.c.id, jobs.c.state, jobs.c.result_prefix, jobs.c.deleted_at)).all()
    known = {row.id: row for row in rows}
    litter = [key for key in store.names("slides") if f"store:{key}" not in kept_slides]
    for folder in store.names("jobs"):
        row = known.get(folder.rsplit("/", 1)[-1])
        if row is None or row.deleted_at is not None:
            litter.append(folder)
        elif row.state in JOB_TERMINAL:
            litter += [name for name in store.names(folder) if name != row.result_prefix]
    return litter


def find_damage(ledger: Ledger, store: Store) -> Iterator[Damage | None]:
    """For each file of each published result None where it is whole, what is wrong with it where it is not."""
    with ledger.read() as connection:
        query = sa.select(jobs.c.id, jobs.c.result_prefix).where(
            jobs.c.state == "succeeded", jobs.c.deleted_at.is_(None)
        )
        published = connection.execute(query).all()
    for job_id, prefix in published:
        with ledger.read() as connection:
            artifacts = list_artifacts(connection, job_id)
        for artifact in artifacts:
            what = _compare(store, f"{prefix}/{artifact.path}", artifact.sha256)
            yield None if what is None else Damage(job_id, artifact.path, what)


def _compare(store: Store, key: str, sha256: str) -> str | None:
    digest = hashlib.sha256()
    try:
        for piece in store.read(key):
            digest.update(piece)
    except StoreError:
        return "missing"
    return None if digest.hexdigest() == sha256 else "altered"
