"""A worker's stay on a job that scores an earlier result anew: no bands, no slide, only the finish.

The job's plan has no band, so whoever claims its finish does all of it, under the same lease and token as any finish:
what a worker wrote that lost them lies where nobody looks.
"""

from importlib.metadata import version
from pathlib import Path

import sqlalchemy as sa

from models.errors import InternalError
from workers.contract.errors import GoneError, NotRescorableError
from workers.contract.orders import JobOrder
from workers.contract.rescoring import check_files
from workers.engine.stream import StoppedError
from workers.ledger.jobs import Artifact, JobRow, job_of_any_tenant, list_artifacts
from workers.outputs.files import write_whole
from workers.rescore.again import RescoreRequest, rescore
from workers.rescore.source import open_source
from workers.result import ANALYSED_NAME, RESULT_NAME
from workers.wake.job import Stay, agree, claim_next, publish_result, seconds_of
from workers.wake.place import patiently


def score_anew(stay: Stay, scratch: Path) -> None:
    """Score the result of another job with the parameters of this one, and publish it.

    Raises
    ------
    GoneError
        The other job was deleted.
    NotRescorableError, IntegrityError, ParametersInvalidError
        As `workers.rescore.again.rescore`.
    DeclinedError
        Another worker of other code is at it.
    """
    order = JobOrder.model_validate(stay.job.order)
    parent, artifacts = patiently(lambda: _parent(stay, str(order.rescore_of)))
    digest = next(item.sha256 for item in artifacts if item.path == RESULT_NAME)
    agree(stay, _identity(order, digest), [])
    claim = claim_next(stay)
    if claim is None:
        return
    with stay.watch.stage("fetch"):
        source = _fetch(stay, parent, artifacts, order, scratch / "source")

    def check() -> None:
        if stay.beat.stop.is_set():
            raise StoppedError("The worker was stopped.")

    out = scratch / "result"
    result = rescore(RescoreRequest(source, order.parameters, out, order.package), stay.beat.report, check)
    result = result.model_copy(update={"seconds": seconds_of(stay) | result.seconds})
    write_whole(out / RESULT_NAME, result.model_dump_json(indent=2).encode() + b"\n")
    publish_result(stay, out, claim, result)


def _identity(order: JobOrder, parent_sha256: str) -> dict[str, object]:
    return {
        "code_version": version("histoserve"),
        "package": order.package,
        "rescored": parent_sha256,
        "parameters": dict(order.parameters),
    }


def _parent(stay: Stay, job_id: str) -> tuple[JobRow, list[Artifact]]:
    with stay.place.ledger.read() as connection:
        return _find_parent(connection, stay.job, job_id)


def _find_parent(connection: sa.Connection, job: JobRow, parent_id: str) -> tuple[JobRow, list[Artifact]]:
    parent = job_of_any_tenant(connection, parent_id)
    if parent is None or parent.tenant != job.tenant or parent.state != "succeeded":
        raise InternalError(f"The job {parent_id} has no result for {job.id}.")
    if parent.deleted_at is not None:
        raise GoneError(f"The job {parent_id} was deleted, and its maps with it.", "Run the slide again.")
    return parent, list(list_artifacts(connection, parent_id))


def _fetch(stay: Stay, parent: JobRow, artifacts: list[Artifact], order: JobOrder, folder: Path) -> Path:
    """The folder of the parent's result, with what scores are made of; linked where the store is a local disk."""
    check_files(item.path for item in artifacts)
    _bring(stay, parent, [item for item in artifacts if item.path in (RESULT_NAME, ANALYSED_NAME)], folder)
    needed = open_source(folder, order.parameters, order.package).needed()
    missing = {name for name in needed if not any(_is_of(item, name) for item in artifacts)}
    if missing:
        raise NotRescorableError(f"The result holds no {', '.join(sorted(missing))}.", "Run the slide again.")
    _bring(stay, parent, [item for item in artifacts if any(_is_of(item, name) for name in needed)], folder)
    return folder


def _is_of(item: Artifact, name: str) -> bool:
    return item.path == name or item.path.startswith(f"{name}/")


def _bring(stay: Stay, parent: JobRow, artifacts: list[Artifact], folder: Path) -> None:
    for item in artifacts:
        if not (folder / item.path).exists():
            stay.place.store.fetch(f"{parent.result_prefix}/{item.path}", folder / item.path)
