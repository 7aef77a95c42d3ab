"""Whether a result is still what was written: every digest it names, and nothing beside it.

A result without the package and the slide can be proven whole, not right: what was not at hand is told as unknown.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from models.errors import HistoserveError, PackageUnknownError
from models.registry import Package, resolve
from workers.outputs.files import file_sha256, files_below, folder_sha256, slide_sha256
from workers.result import RESULT_NAME, STATE_FOLDER, FilePart, FolderPart, Result
from workers.review.read import parse_result, result_folder

Subject = Literal["schema", "tiles", "file", "folder", "undeclared", "package", "slide"]
Status = Literal["passed", "failed", "unknown"]

OURS = frozenset(
    {RESULT_NAME, ".histoserve-job", *(f"{STATE_FOLDER}/{name}" for name in ("lock", "identity.json", "bands.jsonl"))}
)
"""What may lie beside the files of a result: itself, the mark of `histoserve download`, and the run's own state."""
AGAIN = "Do not use it: run the slide again, or download the result again."


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    subject: Subject
    name: str
    """A path in the folder, a package's reference, or the slide's file name."""
    status: Status = "passed"
    """`unknown`: it could not be looked at here."""
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Review:
    """What came of looking at a result."""

    checks: tuple[Check, ...]
    result_sha256: str
    """Of `result.json` itself: who keeps it elsewhere can tell a result that was changed with its digests."""
    size_bytes: int = 0
    """Of all files that are named."""

    @property
    def passed(self) -> bool:
        """True where nothing is wrong."""
        return not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        """What is wrong."""
        return tuple(check for check in self.checks if check.status == "failed")

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {"passed": self.passed} | asdict(self)


def verify_result(path: Path, slide: Path | None = None, package: str | None = None) -> Review:
    """What is right and what is wrong with the result in a folder; nothing is raised for a bad result, it is told.

    Parameters
    ----------
    path
        The folder, or its `result.json`.
    slide
        The slide's file or folder, to compare its digest; None leaves it unknown.
    package
        The package to compare with, by name or folder; None takes the installed one of the result's reference.

    Raises
    ------
    ResultUnreadableError
        There is no finished result.
    RefusedInputError
        The package that was named is not there.
    """
    folder = result_folder(path)
    digest = file_sha256(folder / RESULT_NAME)
    try:
        result = parse_result(folder)
    except (ValueError, OSError) as error:
        text = f"{RESULT_NAME} is no result of a schema known here: {error}."
        return Review((Check("schema", RESULT_NAME, "failed", text, AGAIN),), digest)
    declared: list[FilePart | FolderPart] = [*result.files, *result.folders]
    checks = [
        Check("schema", RESULT_NAME),
        _check_tiles(result),
        *(check_part(folder, part) for part in declared),
        *_undeclared(folder, result),
        _check_package(result, package),
        _check_slide(result, slide),
    ]
    return Review(tuple(checks), digest, sum(part.size_bytes for part in declared))


def _check_tiles(result: Result) -> Check:
    plan = result.plan
    if plan.tiles_failed == 0 and plan.tiles_done == plan.tiles_planned:
        return Check("tiles", RESULT_NAME)
    text = f"Of {plan.tiles_planned} tiles {plan.tiles_done} were done and {plan.tiles_failed} failed: it has a hole."
    return Check("tiles", RESULT_NAME, "failed", text, "No finished run says so; the file was changed. " + AGAIN)


def check_part(folder: Path, part: FilePart | FolderPart) -> Check:
    """Whether a file or folder in the folder of a result is what its `result.json` says."""
    subject: Subject = "file" if isinstance(part, FilePart) else "folder"
    path = folder / part.path
    if not _is_inside(part.path):
        text = f"{part.path!r:.200} is no place inside of the folder; it was not read."
        return Check(subject, part.path, "failed", text, "No run writes this; the file was changed. " + AGAIN)
    try:
        wrong = _file_wrong(path, part) if isinstance(part, FilePart) else _folder_wrong(folder, part)
    except OSError as error:
        wrong = f"{part.path} cannot be read: {error.strerror}."
    return Check(subject, part.path, "failed", wrong, AGAIN) if wrong else Check(subject, part.path)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _file_wrong(path: Path, part: FilePart) -> str:
    if not path.is_file():
        return f"{part.path} is missing."
    if (size := path.stat().st_size) != part.size_bytes:
        return f"{part.path} has {size} bytes, not the {part.size_bytes} that were written."
    if (digest := file_sha256(path)) != part.sha256:
        return f"{part.path} was altered: its SHA-256 is {digest[:12]}…, not {part.sha256[:12]}…."
    return ""


def _folder_wrong(folder: Path, part: FolderPart) -> str:
    path = folder / part.path
    if not path.is_dir():
        return f"{part.path} is missing."
    files = files_below(path)
    size = sum(file.stat().st_size for file in files)
    known = [(len(files), part.files, "files"), (size, part.size_bytes, "bytes")]
    wrong = [f"{found} {unit}, not {stated}" for found, stated, unit in known if found != stated]
    if wrong or folder_sha256(path) != part.sha256:
        altered = _altered_shards(folder, path)
        which = f" Not as written: {', '.join(altered)}." if altered else ""
        return f"{part.path} was altered: {', '.join(wrong) or 'the digest over its files is another'}.{which}"
    return ""


def _altered_shards(folder: Path, path: Path) -> list[str]:
    """The level-0 shards that are not what the run's own ledger says, where there is one; at most five."""
    ledger = folder / STATE_FOLDER / "bands.jsonl"
    if not ledger.is_file():
        return []
    altered = []
    for line in ledger.read_text(errors="replace").splitlines():
        try:
            shards = json.loads(line)["shards"]
            wanted = {path.parent / shard["path"]: shard["sha256"] for shard in shards}
        except (ValueError, KeyError, TypeError):
            continue
        for place, digest in wanted.items():
            if path in place.parents and (not place.is_file() or file_sha256(place) != digest):
                altered.append(place.relative_to(folder).as_posix())
    return sorted(altered)[:5]


def _undeclared(folder: Path, result: Result) -> Iterator[Check]:
    """What lies in the folder and is named nowhere; what lies in a declared folder is part of its digest."""
    files = {part.path for part in result.files} | OURS
    inside = tuple(f"{part.path}/" for part in result.folders)
    for root, folders, names in os.walk(folder):
        here = Path(root)
        links = [name for name in folders if (here / name).is_symlink()]
        for name in sorted([*names, *links]):
            path = (here / name).relative_to(folder).as_posix()
            if path not in files and not path.startswith(inside):
                text = f"{path} is not named in {RESULT_NAME}: nobody can say where it comes from."
                yield Check("undeclared", path, "failed", text, "Move it elsewhere, then verify again.")


def _check_package(result: Result, package: str | None) -> Check:
    told, reference = result.package, result.package.reference
    try:
        installed = resolve(package or reference)
    except PackageUnknownError:
        if package is not None:
            raise
        text = f"{reference} is not installed here: its digest cannot be compared."
        return Check("package", reference, "unknown", text, "Give --package FOLDER, or set HISTOSERVE_MODEL_DIR.")
    except HistoserveError as error:
        if package is not None:
            raise
        return Check("package", reference, "failed", error.detail, "Install the package again from where you got it.")
    network = installed.manifest.file("network")
    pairs = {
        "manifest": (installed.manifest_sha256, told.manifest_sha256),
        "network": (network.sha256 if network else "", told.network_sha256),
    }
    wrong = [f"the {name} is {a[:12]}…, not {b[:12]}…" for name, (a, b) in pairs.items() if a != b]
    if not wrong:
        return Check("package", reference)
    return Check("package", reference, "failed", _other_package(installed, told.reference, wrong), OTHER_PACKAGE)


OTHER_PACKAGE = (
    "If the run was made with a package's folder, give it with --package FOLDER; otherwise the installed package was "
    "changed (`histoserve models verify`), or the result was."
)


def _other_package(installed: Package, reference: str, wrong: list[str]) -> str:
    return f"{installed.manifest.reference} here is not the {reference} that was run: {', '.join(wrong)}."


def _check_slide(result: Result, slide: Path | None) -> Check:
    if slide is None:
        text = "The slide was not given: its digest was not compared."
        return Check("slide", result.slide.format, "unknown", text, "Give it with --slide.")
    try:
        digest = slide_sha256(slide)
    except OSError as error:
        text = f"{slide.name} cannot be read: {error.strerror}."
        return Check("slide", slide.name, "failed", text, "Give the slide that was analysed.")
    if digest == result.slide.sha256:
        return Check("slide", slide.name)
    text = f"{slide.name} is not the slide that was analysed: {digest[:12]}…, not {result.slide.sha256[:12]}…."
    return Check("slide", slide.name, "failed", text, "Give the slide that was analysed.")
