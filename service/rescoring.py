"""Jobs that score an earlier result anew: what is asked for is checked whole before anything is written."""

import sqlalchemy as sa

from models.registry import resolve
from service.deployment import Deployment
from service.wire import RescoreSent
from workers.contract.errors import NotRescorableError
from workers.contract.orders import JobOrder
from workers.contract.rescoring import check_files, check_package, choose_parameters
from workers.ledger.jobs import JobRow, NewJob, create_job


def place_rescoring(connection: sa.Connection, deployment: Deployment, parent: JobRow, sent: RescoreSent) -> JobRow:
    """A new job that scores the result of `parent`, which has succeeded, with other parameters.

    Raises
    ------
    NotRescorableError
        The result holds no maps, is of an older version, or its package is not installed as it was.
    ParametersInvalidError
        A name is no threshold of the package, or a value is not what its schema allows.
    QueueFullError
        As `create_job`.
    """
    before, result = JobOrder.model_validate(parent.order), parent.result or {}
    if before.rescore_of is not None:
        raise NotRescorableError(
            f"The job {parent.id} was itself made by scoring {before.rescore_of} anew: it holds no maps.",
            f"Score {before.rescore_of} anew.",
        )
    check_files(part["path"] for part in result.get("files", ()))
    package = resolve(parent.package)
    check_package(parent.package, package.manifest_sha256, result.get("package", {}).get("manifest_sha256", ""))
    parameters = choose_parameters(package.manifest, before.parameters, sent.parameters)
    order = before.model_copy(update={"parameters": parameters, "rescore_of": parent.id})
    new = NewJob(
        slide_id=parent.slide_id,
        package=parent.package,
        order=order.model_dump(mode="json"),
        analysis=parent.analysis,
        priority=sent.priority,
        ids=parent.ids,
    )
    return create_job(connection, parent.tenant, new, deployment.settings.max_queued_jobs)
