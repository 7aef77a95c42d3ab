"""Where model packages are found, and proof that their files are the ones their manifests name."""

import hashlib
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from models.errors import PackageInvalidError, PackageTamperedError, PackageUnknownError
from models.manifest import FileSpec, Manifest, Role

ZOO = Path(__file__).resolve().parent / "zoo"
MANIFEST_NAME = "model.json"
MANIFEST_LIMIT_BYTES = 1_000_000
VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True)
class Package:
    """A package on disk whose manifest is valid; `verify_files` says whether its files are."""

    folder: Path
    manifest: Manifest
    manifest_sha256: str

    def path(self, role: Role) -> Path | None:
        """The file with that role, or None."""
        spec = self.manifest.file(role)
        return None if spec is None else self.folder / spec.path


def model_roots() -> tuple[Path, ...]:
    """The folders packages are looked up in: the user's own (`HISTOSERVE_MODEL_DIR`) before the bundled zoo."""
    own = os.environ.get("HISTOSERVE_MODEL_DIR")
    return ((Path(own),) if own else ()) + (ZOO,)


def list_packages(roots: tuple[Path, ...] | None = None) -> tuple[Package, ...]:
    """All valid packages under the roots, by name and version; of two with one reference the first root's counts."""
    return scan_packages(roots)[0]


def scan_packages(roots: tuple[Path, ...] | None = None) -> tuple[tuple[Package, ...], tuple[PackageInvalidError, ...]]:
    """(what `list_packages` gives, why the other folders are no packages): one broken folder does not hide the rest."""
    found: dict[str, Package] = {}
    broken = []
    for folder in _package_folders(model_roots() if roots is None else roots):
        try:
            package = read_package(folder)
        except PackageInvalidError as error:
            broken.append(error)
            continue
        found.setdefault(package.manifest.reference, package)
    ordered = sorted(found.values(), key=lambda p: (p.manifest.name, version_key(p.manifest.version)))
    return tuple(ordered), tuple(broken)


def resolve(reference: str, roots: tuple[Path, ...] | None = None) -> Package:
    """The package meant by `name`, `name@version` or a folder's path; the newest version where none is given.

    A newest version that is not valid is not passed over for an older one: results would change without a word.

    Raises
    ------
    PackageUnknownError
        There is none; the message lists what there is.
    PackageInvalidError
        The folder, or the newest version's, holds no valid manifest.
    """
    if (Path(reference) / MANIFEST_NAME).is_file():
        return read_package(Path(reference))
    name, _, wanted = reference.partition("@")
    known, broken = scan_packages(roots)
    matching = [p for p in known if p.manifest.name == name and wanted in ("", p.manifest.version)]
    if not matching:
        listed = ", ".join(p.manifest.reference for p in known) or "none"
        raise PackageUnknownError(
            f"No model package is called {reference!r}; installed: {listed}."
            + "".join(f" Not valid: {error.detail}" for error in broken),
            "Give one of these, a package's folder, or set HISTOSERVE_MODEL_DIR to where yours are.",
        )
    if not wanted:
        _refuse_stale(matching[-1], model_roots() if roots is None else roots)
    return matching[-1]


def find_analysis(analysis: str, roots: tuple[Path, ...] | None = None) -> Package:
    """The newest package that serves an analysis.

    Raises
    ------
    PackageUnknownError
        None does.
    """
    matching = [p for p in list_packages(roots) if p.manifest.analysis == analysis]
    if not matching:
        known = sorted({p.manifest.analysis for p in list_packages(roots) if p.manifest.analysis})
        raise PackageUnknownError(
            f"No installed package serves the analysis {analysis!r}; served: {', '.join(known) or 'none'}.",
            "Give --package instead, or install a package for it.",
        )
    return matching[-1]


def read_package(folder: Path) -> Package:
    """The package in a folder, its manifest validated and its files' paths safe; digests are not checked yet.

    Raises
    ------
    PackageInvalidError
        There is no manifest, or it is not valid, or a file is missing or leads out of the folder.
    """
    path = folder / MANIFEST_NAME
    try:
        size = path.stat().st_size
        if size > MANIFEST_LIMIT_BYTES:
            raise PackageInvalidError(
                f"{_label(folder)}/{MANIFEST_NAME} has {size} bytes, more than {MANIFEST_LIMIT_BYTES}."
            )
        data = path.read_bytes()
        manifest = Manifest.model_validate_json(data)
    except OSError as error:
        raise PackageInvalidError(f"{_label(folder)} holds no {MANIFEST_NAME}.", "Give a package's folder.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PackageInvalidError(f"{_label(folder)}/{MANIFEST_NAME}: {place}: {first['msg']}.") from error
    for file in manifest.files:
        _check_place(folder, file)
    return Package(folder, manifest, hashlib.sha256(data).hexdigest())


def verify_files(package: Package, but: Collection[str] = ()) -> None:
    """Compare every file with its digest.

    Parameters
    ----------
    but
        Roles of files that are left out, for they are read, and compared, right after: some are a gigabyte.

    Raises
    ------
    PackageTamperedError
        A file's size or digest is not the manifest's.
    """
    for file in package.manifest.files:
        if file.role not in but:
            read_verified(package, file)


def read_verified(package: Package, file: FileSpec) -> bytes:
    """A file's bytes, proven to be the manifest's. What is run is what was checked: both are these bytes.

    Raises
    ------
    PackageTamperedError
        Size or digest differ, or the file is gone.
    """
    path = package.folder / file.path
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size == file.size_bytes else b""
    except OSError as error:
        raise PackageTamperedError(
            f"{package.manifest.reference}: {file.path} cannot be read: {error.strerror}.",
            "Install the package again from where you got it.",
        ) from error
    if size != file.size_bytes or hashlib.sha256(data).hexdigest() != file.sha256:
        raise PackageTamperedError(
            f"{package.manifest.reference}: {file.path} is not the file its manifest names.",
            "Install the package again from where you got it.",
        )
    return data


def version_key(version: str) -> tuple[int, ...]:
    """A key that sorts versions by number: 1.10.0 after 1.9.0."""
    return tuple(int(part) for part in version.split("."))


def _refuse_stale(found: Package, roots: tuple[Path, ...]) -> None:
    """Raise for a folder of that name whose version is newer than what was found: it is there, but not valid."""
    name, version = found.manifest.name, found.manifest.version
    for folder in _package_folders(roots):
        newer = VERSION.fullmatch(folder.name) and version_key(folder.name) > version_key(version)
        if folder.parent.name != name or not newer:
            continue
        try:
            read_package(folder)
        except PackageInvalidError as error:
            raise PackageInvalidError(
                f"The newest version of {name} is not valid: {error.detail}",
                f"Mend or remove it, or ask for {found.manifest.reference}.",
            ) from error


def _package_folders(roots: tuple[Path, ...]) -> Iterator[Path]:
    for root in roots:
        yield from sorted(path.parent for path in root.glob(f"*/*/{MANIFEST_NAME}"))


def _check_place(folder: Path, file: FileSpec) -> None:
    path = folder / file.path
    if not path.is_file():
        raise PackageInvalidError(f"{_label(folder)}: the file {file.path} is missing.")
    if folder.resolve() not in path.resolve().parents:
        raise PackageInvalidError(f"{_label(folder)}: {file.path} leads out of the package.")


def _label(folder: Path) -> str:
    """The last two parts of a package's folder, its name and version: enough to find it, and no server path."""
    return "/".join(folder.absolute().parts[-2:])
