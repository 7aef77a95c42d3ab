"""Results brought to a folder: every file whole and with the digest its manifest names, or not at all."""

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from threading import Lock

import httpx

from models.errors import IntegrityError, OutputConflictError
from service.client.calls import Calls, away, may_mend, told_pause_s
from service.client.errors import error_of_answer
from service.wire import ArtifactTold, ResultTold

AT_ONCE = 4
MANIFEST = "result.json"
MARK = ".histoserve-job"
"""Names the job a folder is for, from before the first file is in it."""

Report = Callable[[int, int], None]
"""Told of the bytes that are there, and of how many there are; called from one thread at a time."""


def download_result(calls: Calls, told: ResultTold, folder: Path, report: Report) -> tuple[Path, ...]:
    """The files of a result below `folder`, in the manifest's order; those that are there already are kept.

    Raises
    ------
    OutputConflictError
        The folder holds something else.
    IntegrityError
        A file is not the one that was written.
    """
    places = [_place(folder, artifact.path) for artifact in told.artifacts]
    _claim(folder, told.job_id)
    lock = Lock()
    done_bytes = dict.fromkeys(range(len(places)), 0)
    all_bytes = sum(artifact.size_bytes for artifact in told.artifacts)

    def fetch(index: int) -> None:
        def tell(done: int) -> None:
            with lock:
                done_bytes[index] = done
                report(sum(done_bytes.values()), all_bytes)

        _fetch(calls, told.artifacts[index], places[index], tell)

    # The manifest comes last: a folder that has one is whole.
    last = [index for index, artifact in enumerate(told.artifacts) if artifact.path == MANIFEST]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="download") as pool:
        waiting = [pool.submit(fetch, index) for index in range(len(places)) if index not in last]
        try:
            for future in waiting:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)
    for index in last:
        fetch(index)
    return tuple(places)


def _place(folder: Path, name: str) -> Path:
    """Where a file goes. Raises `IntegrityError` for a name that leads out of the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or path.parts[0] == MARK or "\\" in name:
        raise IntegrityError(f"The result names a file {name!r:.200}, which is no place inside a folder.")
    return folder.joinpath(*path.parts)


def _claim(folder: Path, job_id: str) -> None:
    mark = folder / MARK
    folder.mkdir(parents=True, exist_ok=True)
    try:
        owner = json.loads(mark.read_text()).get("job_id")
    except FileNotFoundError:
        owner = None if any(folder.iterdir()) else job_id
        if owner is not None:
            mark.write_text(json.dumps({"job_id": job_id}) + "\n")
    except (ValueError, AttributeError):
        owner = None
    if owner != job_id:
        raise OutputConflictError(
            f"{folder} holds {f'the result of {owner}' if owner else 'other files'}.", "Give another folder."
        )


def _fetch(calls: Calls, artifact: ArtifactTold, place: Path, tell: Callable[[int], None]) -> None:
    """Bring one file. What an earlier try left is gone on with; if that does not add up, once more from the start."""
    if place.is_file() and place.stat().st_size == artifact.size_bytes and _digest(place) == artifact.sha256:
        tell(artifact.size_bytes)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.part")
    resumed = part.exists() and part.stat().st_size > 0
    _bring(calls, artifact, part, tell)
    if _digest(part) != artifact.sha256 and resumed:
        part.unlink()
        _bring(calls, artifact, part, tell)
    if _digest(part) != artifact.sha256:
        part.unlink()
        raise IntegrityError(
            f"{artifact.path} is not the file that was written: its SHA-256 is not {artifact.sha256}.",
            "The store of the service was altered. Run the job again.",
        )
    part.replace(place)


def _bring(calls: Calls, artifact: ArtifactTold, part: Path, tell: Callable[[int], None]) -> None:
    """Fill `part` up to the file's size. Failures are counted anew whenever bytes have arrived."""
    failures = 0
    while (before := _size(part)) < artifact.size_bytes or not part.exists():
        failures += 1
        try:
            _read(calls, artifact, part, tell, failures)
        except httpx.TransportError as error:
            if _size(part) > before:
                failures = 1
            calls.rest(failures, None, away(calls.place, error))
        else:
            if _size(part) <= before < artifact.size_bytes:
                calls.rest(failures, None, _short(artifact))


def _read(calls: Calls, artifact: ArtifactTold, part: Path, tell: Callable[[int], None], failures: int) -> None:
    start = _size(part)
    headers = {"Range": f"bytes={start}-", "If-Range": f'"{artifact.sha256}"'} if start else {}
    with calls.http.stream("GET", artifact.url, headers=headers) as answer:
        if answer.status_code >= 400:
            answer.read()
            error = error_of_answer(answer)
            if not may_mend(answer):
                raise error
            calls.rest(failures, told_pause_s(answer), error)
            return
        goes_on = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        at = start if goes_on else 0
        with part.open("ab" if goes_on else "wb") as file:
            for data in answer.iter_bytes():
                at += len(data)
                if at > artifact.size_bytes:
                    raise _short(artifact)
                file.write(data)
                tell(at)
            file.flush()
            os.fsync(file.fileno())


def _short(artifact: ArtifactTold) -> IntegrityError:
    return IntegrityError(f"{artifact.path} has not the {artifact.size_bytes} bytes that were written.")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
