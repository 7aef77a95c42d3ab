"""The two ways to a result: through a service, as any client goes, and through `histoserve run` on this machine."""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from models.errors import HistoserveError, RefusedInputError
from models.manifest import Metric
from models.registry import list_packages
from service.client.client import Client, problem_of
from service.client.errors import error_of
from service.wire import JobTold
from workers.contract.children import own_python

ALIASES: Mapping[str, tuple[str, ...]] = {
    "ki67-he": ("ki67-he",),
    "virtual-ihc": ("virtual-ihc", "virtual-ki67"),
    "deepliif": ("deepliif", "deepliif-small"),
    "mitosis": ("mitosis",),
    "nuclei": ("nuclei",),
}
"""The analyses whose truth a phantom has, and what their packages call the analysis, or are called."""
STAIN_OF = {"deepliif": "ki67"}
OTHER_STAIN = "he"
Watch = Callable[[JobTold], None]


@dataclass(frozen=True)
class Installed:
    """A package of the deployment."""

    reference: str
    name: str
    version: str
    analysis: str | None
    metrics: tuple[Metric, ...]


class Deployment(Protocol):
    """Where slides are analysed."""

    @property
    def name(self) -> str:
        """What it is called in the report."""

    def packages(self) -> tuple[Installed, ...]:
        """The packages that are installed there."""

    def analyse(self, slide: Path, package: str, out: Path) -> None:
        """Bring the result of a package on a slide to a new folder. Raises the problem where there is no result."""


@dataclass
class ServiceDeployment:
    """A running service."""

    client: Client
    watch: Watch
    added: dict[Path, str] = field(default_factory=dict)
    """Slides that were sent: each goes once."""

    @property
    def name(self) -> str:
        """Its URL."""
        return self.client.url

    def packages(self) -> tuple[Installed, ...]:
        """What the service says it has."""
        return tuple(
            Installed(m.reference, m.name, m.version, m.analysis, tuple(Metric(**n.model_dump()) for n in m.metrics))
            for m in self.client.models()
        )

    def analyse(self, slide: Path, package: str, out: Path) -> None:
        """Upload, hand in, wait, download."""
        if slide not in self.added:
            self.added[slide] = self.client.add_slide(slide).id
        job = self.client.wait(self.client.submit(self.added[slide], model=package).id, progress=self.watch)
        problem = problem_of(job)
        if problem is not None:
            raise problem
        self.client.download(job.id, out)


@dataclass(frozen=True)
class LocalDeployment:
    """`histoserve run` in a child."""

    name: str = "histoserve run"

    def packages(self) -> tuple[Installed, ...]:
        """What is installed here."""
        manifests = (package.manifest for package in list_packages())
        return tuple(Installed(m.reference, m.name, m.version, m.analysis, m.metrics) for m in manifests)

    def analyse(self, slide: Path, package: str, out: Path) -> None:
        """Run, and tell what it was refused with."""
        start = [*own_python(), "-c", "from service.cli import main; main()"]
        command = [*start, "run", str(slide), "--package", package, "--out", str(out), "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise _problem(done.stdout, done.returncode)


def choose_packages(installed: tuple[Installed, ...], wanted: tuple[str, ...]) -> dict[str, Installed]:
    """The newest package of each analysis, of those that are wanted where any are named.

    Raises
    ------
    RefusedInputError
        An analysis is not known or has no package, or there is none at all.
    """
    for name in wanted:
        if name not in ALIASES:
            raise RefusedInputError(f"There is no truth for {name!r:.80}.", f"Give one of {', '.join(ALIASES)}.")
    chosen = {}
    for analysis in wanted or tuple(ALIASES):
        names = ALIASES[analysis]
        fitting = [package for package in installed if package.analysis in names or package.name in names]
        if fitting:
            chosen[analysis] = max(fitting, key=_version)
        elif wanted:
            raise RefusedInputError(
                f"The deployment has no package for {analysis}.", "`histoserve models list` shows what it has."
            )
    if not chosen:
        raise RefusedInputError("The deployment has no package that a phantom has a truth for.", "Install one.")
    return chosen


def _version(package: Installed) -> tuple[int, ...]:
    return tuple(int(part) for part in package.version.split("."))


def _problem(stdout: str, code: int) -> HistoserveError:
    try:
        document = json.loads(stdout)
    except ValueError:
        return HistoserveError(f"`histoserve run` ended with {code} and said nothing.", "Run it by itself to see why.")
    return error_of(document)
