"""`histoserve status`, `watch`, `download`, `cancel`, `retry`: jobs that were handed in."""

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from models.errors import HistoserveError
from service.client.client import Client, problem_of
from service.commands.following import follow_jobs
from service.commands.options import Jobs, Json, Option, Url
from service.commands.placing import ends_all, worst_code
from service.commands.showing import bar, print_jobs, print_json, print_problem, progressing, span
from service.wire import JobTold
from workers.result_scores import flat_scores

Done = list[tuple[str, JobTold | None, HistoserveError | None]]


def status(
    jobs: Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Job ids; the newest if none.")] = None,
    state: Annotated[
        str | None, Option("--state", help="Only queued, running, succeeded, failed or cancelled.")
    ] = None,
    limit: Annotated[int, Option("--limit", min=1, help="How many of the newest.")] = 20,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Show how jobs are: the newest in a table, or one in detail.

    Examples:

        histoserve status

        histoserve status --state failed --limit 100

        histoserve status job_abcdefgh --json
    """
    with Client(url) as client:
        if jobs:
            found = [client.job(job_id) for job_id in jobs]
        else:
            found = list(islice(client.jobs(**({"status": state} if state else {})), limit))
    if as_json:
        print_json({"jobs": [job.model_dump(mode="json") for job in found]})
    elif len(jobs or []) == 1:
        _print_detail(found[0])
    else:
        print_jobs(found)


def watch(jobs: Jobs, url: Url = None, as_json: Json = False) -> None:
    """Watch jobs until they are over; Ctrl-C ends the watching, the jobs go on.

    Exits as the worst of them: 0 done, 3 not scorable, 2 refused input, 1 anything else.

    Examples:

        histoserve watch job_abcdefgh

        histoserve watch $(histoserve submit slides/ --model nuclei --json | python3 -c
        'import json,sys; print(*(j["job_id"] for j in json.load(sys.stdin)["jobs"]))')
    """
    with Client(url) as client, progressing() as show:
        try:
            done = follow_jobs(client, jobs, show.job)
        except KeyboardInterrupt:
            typer.echo(f"Not watching any more; the jobs go on: histoserve watch {' '.join(jobs)}", err=True)
            raise typer.Exit(1) from None
    _tell([(job.id, job, problem_of(job)) for job in done.values()], as_json=as_json)


def download(
    jobs: Jobs,
    out: Annotated[Path, Option("--out", help="Each result goes to a folder OUT/JOB.")],
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Bring results here, each file with the SHA-256 that its manifest names.

    A download that broke off goes on with the same command. A folder that holds anything else is left alone.

    Example:

        histoserve download job_abcdefgh job_ijklmnop --out results
    """
    folders: dict[str, Path] = {}

    def bring(client: Client, job_id: str) -> None:
        client.download(job_id, out / job_id, lambda done, total: show.transfer(job_id, "downloading", done, total))
        folders[job_id] = out / job_id

    with Client(url) as client, progressing() as show:
        done = _each(jobs, lambda job_id: bring(client, job_id))
    documents = [{**_describe(*item), "folder": str(folders[item[0]]) if item[0] in folders else None} for item in done]
    code = worst_code([error for _, _, error in done])
    if as_json:
        print_json({"jobs": documents, "exit_code": code})
    for job_id, _, error in done:
        print_problem(job_id, error)
        if job_id in folders and not as_json:
            typer.echo(f"{job_id}: {folders[job_id]}")
    if code:
        raise typer.Exit(code)


def cancel(jobs: Jobs, url: Url = None, as_json: Json = False) -> None:
    """Cancel jobs that are not over.

    Example:

        histoserve cancel job_abcdefgh
    """
    with Client(url) as client:
        done = _each(jobs, client.cancel)
    _tell(done, as_json=as_json)


def retry(jobs: Jobs, url: Url = None, as_json: Json = False) -> None:
    """Do jobs again that failed or were cancelled; each becomes a new job.

    Example:

        histoserve retry job_abcdefgh
    """
    with Client(url) as client:
        done = _each(jobs, client.retry)
    _tell(done, as_json=as_json)


def _each(job_ids: Sequence[str], act: Callable[[str], JobTold | None]) -> Done:
    """What came of an act on each job; what one is refused does not end the rest."""
    done: Done = []
    for job_id in job_ids:
        try:
            done.append((job_id, act(job_id), None))
        except HistoserveError as error:
            if ends_all(error):
                raise
            done.append((job_id, None, error))
    return done


def _tell(done: Done, *, as_json: bool) -> None:
    code = worst_code([error for _, _, error in done])
    if as_json:
        print_json({"jobs": [_describe(*item) for item in done], "exit_code": code})
    else:
        print_jobs([job for _, job, _ in done if job is not None])
    for job_id, _, error in done:
        print_problem(job_id, error)
    if code:
        raise typer.Exit(code)


def _describe(job_id: str, job: JobTold | None, error: HistoserveError | None) -> dict[str, Any]:
    document = {"job_id": job_id} if job is None else {"job_id": job.id, **job.model_dump(mode="json")}
    return document | {"problem": None if error is None else error.as_problem()}


def _print_detail(job: JobTold) -> None:
    progress = job.progress
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{job.id}[/]  {job.state}  {job.model}  slide {job.slide_id}")
    if progress.fraction is not None:
        console.print(f"{bar(progress.fraction)} {progress.fraction:.0%}  {span(progress.eta_s)}".rstrip())
        console.print(f"tiles {progress.tiles_done} of {progress.tiles_planned}, {progress.workers} at it")
    if job.queue_position is not None:
        console.print(f"place {job.queue_position} in the queue")
    for name, value in job.ids.model_dump(exclude_none=True).items():
        console.print(f"{name} {value}", markup=False)
    for name, value in flat_scores(job.scores or {}):
        console.print(f"{name} {value}", markup=False)
    for attempt in job.attempts:
        why = f": {attempt.problem.title}" if attempt.problem else ""
        console.print(f"attempt {attempt.number} {attempt.outcome}{why}", markup=False)
    print_problem(job.id, problem_of(job))
    console.print(job.notice)
