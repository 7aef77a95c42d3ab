"""The first opening of a stranger's file: in a child with limited memory and time, so that only the child can die."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from models.errors import HistoserveError, InternalError, SlideAbsurdError, SlideUnreadableError
from workers.geometry import Box
from workers.slides.opening import reader_of
from workers.slides.slide import Level, SlideInfo
from workers.slides.sniff import sniff


@dataclass(frozen=True)
class ProbeLimits:
    """What the child may use."""

    memory_bytes: int = 1 << 30
    """Address space beyond what the libraries have mapped when they are loaded."""
    cpu_s: int = 20
    wall_s: float = 240.0
    """Longer than `cpu_s`: on a busy machine a sound slide waits for its turn."""


Probe = Callable[[], SlideInfo]
"""Waits for what the child finds; raises as `probe_slide`."""


def probe_slide(path: Path, mpp_override: float | None = None, limits: ProbeLimits | None = None) -> SlideInfo:
    """What is known of the slide at `path`, found by a limited child process.

    Raises
    ------
    SlideUnreadableError, SlideAbsurdError, SlideUnsupportedError, MppMissingError, MppOutOfRangeError
        As `open_slide` raised them in the child. A child that ran into its memory or time limit, or crashed, is a
        `SlideAbsurdError` or `SlideUnreadableError` too.
    """
    with started_probe(path, mpp_override, limits) as probe:
        return probe()


@contextmanager
def started_probe(path: Path, mpp_override: float | None = None, limits: ProbeLimits | None = None) -> Iterator[Probe]:
    """A probe that has begun, for who has something else to do meanwhile; the child ends with the block.

    `limits.wall_s` counts from when it is waited for.
    """
    limits = limits or ProbeLimits()
    request = {"path": str(path), "mpp_override": mpp_override, "limits": asdict(limits)}
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-P", "-c", "from workers.slides.probe import main; main()"]
    with (
        _as_input(json.dumps(request).encode()) as asked,
        subprocess.Popen(
            arguments, stdin=asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        ) as child,
    ):
        try:
            yield lambda: _wait_for(child, limits)
        finally:
            child.kill()


def _as_input(request: bytes) -> IO[bytes]:
    """The request to read from: a few kB, which a pipe holds before anybody reads."""
    reading, writing = os.pipe()
    os.write(writing, request)
    os.close(writing)
    return os.fdopen(reading, "rb")


def _wait_for(child: "subprocess.Popen[bytes]", limits: ProbeLimits) -> SlideInfo:
    try:
        found, complaint = child.communicate(timeout=limits.wall_s)
    except subprocess.TimeoutExpired as error:
        raise SlideAbsurdError(f"Opening the slide took more than {limits.wall_s:g} s.", _REMEDY) from error
    return _read_answer(found, complaint, child.returncode)


_REMEDY = "The file is damaged or was made to exhaust the reader; copy it again from the scanner."


def _read_answer(found: bytes, complaint: bytes, code: int) -> SlideInfo:
    try:
        answer = json.loads(found)
    except ValueError:
        answer = {}
    if "info" in answer:
        return _info_of(answer["info"])
    if "error" in answer:
        raise _error_of(answer["error"])
    if code < 0:
        raise SlideUnreadableError(f"The reader was stopped by signal {-code} on this file.", _REMEDY)
    last = complaint.decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
    raise InternalError(f"The probing child ended with {code}: {last[0][:200]}")


def _info_of(fields: dict[str, Any]) -> SlideInfo:
    levels = tuple(Level(**level) for level in fields["levels"])
    made = {"levels": levels, "bounds": Box(**fields["bounds"]), "warnings": tuple(fields["warnings"])}
    return SlideInfo(**(fields | made))


def _error_of(fields: dict[str, str]) -> HistoserveError:
    kinds = {kind.slug: kind for kind in _all_kinds(HistoserveError)}
    return kinds.get(fields["slug"], InternalError)(fields["detail"], fields["remedy"])


def _all_kinds(kind: type[HistoserveError]) -> Iterator[type[HistoserveError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _all_kinds(narrower)


def _limit_this_process(limits: ProbeLimits) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory_bytes = pages * resource.getpagesize() + limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    used_s = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s + int(used_s) + 1,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    """The child's whole work: the libraries, which we trust; then the limits; then the file."""
    limits, path = ProbeLimits(**request["limits"]), Path(request["path"])
    try:
        read = reader_of(sniff(path))
        _limit_this_process(limits)
        slide = read(path, request["mpp_override"])
        info = slide.info
        slide.close()
    except HistoserveError as error:
        return {"error": {"slug": error.slug, "detail": error.detail, "remedy": error.remedy}}
    except MemoryError:
        detail = f"Opening the slide needs more than {limits.memory_bytes} bytes of memory."
        return {"error": {"slug": SlideAbsurdError.slug, "detail": detail, "remedy": _REMEDY}}
    return {"info": asdict(info)}


def main() -> None:
    """Answer the request on standard input with one JSON document on standard output."""
    json.dump(_answer(json.load(sys.stdin)), sys.stdout)
