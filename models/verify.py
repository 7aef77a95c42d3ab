"""Verification of a package: its files' digests, and its golden tile on every provider of this machine."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from models.errors import HistoserveError, ProviderUnavailableError
from models.golden import check_golden, read_golden
from models.registry import Package, verify_files
from models.runtimes import load_predictor, possible_providers

Status = Literal["passed", "failed", "unavailable", "unproven"]


@dataclass(frozen=True)
class ProviderOutcome:
    """What a provider made of a package's golden tile."""

    provider: str
    status: Status
    """`unavailable`: the provider does not run here; `unproven`: it runs, but there is no golden tile to compare."""
    difference: float | None = None
    """The largest absolute difference to the recorded answer."""
    detail: str = ""


@dataclass(frozen=True)
class Verification:
    """The honest outcome for one package."""

    reference: str
    files: Status
    tolerance: float
    providers: tuple[ProviderOutcome, ...]
    detail: str = ""

    @property
    def passed(self) -> bool:
        """True where the files are right, no provider failed and at least one runs."""
        states = {outcome.status for outcome in self.providers}
        return self.files == "passed" and "failed" not in states and bool(states & {"passed", "unproven"})

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return asdict(self) | {"passed": self.passed, "providers": [asdict(outcome) for outcome in self.providers]}


def verify_package(package: Package, threads: int | None = None) -> Verification:
    """The outcome for one package; nothing is raised for a bad package, it is told."""
    reference, tolerance = package.manifest.reference, package.manifest.golden.absolute_tolerance
    try:
        verify_files(package)
    except HistoserveError as error:
        return Verification(reference, "failed", tolerance, (), str(error))
    providers = possible_providers(package.manifest)
    return Verification(reference, "passed", tolerance, tuple(_try(package, name, threads) for name in providers))


def _try(package: Package, provider: str, threads: int | None) -> ProviderOutcome:
    try:
        predictor = load_predictor(package, provider, batch=1, threads=threads)
        golden = read_golden(package)
        difference = None if golden is None else check_golden(predictor, golden)
        predictor.close()
    except ProviderUnavailableError as error:
        return ProviderOutcome(provider, "unavailable", detail=error.detail)
    except HistoserveError as error:
        return ProviderOutcome(provider, "failed", detail=str(error))
    return ProviderOutcome(provider, "unproven" if difference is None else "passed", difference)
