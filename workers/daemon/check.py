"""What a worker can really run, found out in a throw-away process: `python -m workers.daemon.check`.

The supervisor and its listeners never open a runtime session: sessions do not survive the forks that answer rings.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec

from models.errors import HistoserveError, PackageInvalidError, ProviderUnavailableError
from workers.contract.children import Command, own_python, start_child
from workers.contract.settings import Settings

CHECK_S = 600
UNAVAILABLE = ProviderUnavailableError.slug


@dataclass(frozen=True)
class Ability:
    """What a worker runs on, the packages that gave their golden answer on it, and why the others did not."""

    providers: tuple[str, ...]
    packages: dict[str, str]
    refused: tuple[dict[str, str], ...]


def check_ability(settings: Settings) -> Ability:
    """What runs here on the provider that settings name.

    Raises
    ------
    ProviderUnavailableError
        No package runs on that provider here.
    HistoserveError
        The check itself failed.
    """
    if find_spec("numpy") is None:
        raise HistoserveError(
            "A worker needs the engine, which is not installed here.",
            "Install it with: pip install 'histoserve[worker-cpu]', or [worker-gpu] where there is a GPU.",
        )
    arguments = [*own_python(), "-m", "workers.daemon.check", settings.provider, str(settings.threads or 0)]
    child = start_child(Command("check", arguments), stdout=subprocess.PIPE)
    told, _ = child.communicate(timeout=CHECK_S)
    if child.returncode != 0:
        raise HistoserveError(f"The check of the runtime ended with {child.returncode}.", "The log has the reason.")
    found = json.loads(told.splitlines()[-1])
    ability = Ability(tuple(found["providers"]), found["packages"], tuple(found["refused"]))
    unavailable = [problem for problem in ability.refused if problem["type"].endswith(UNAVAILABLE)]
    if unavailable and not ability.packages:
        raise ProviderUnavailableError(unavailable[0]["detail"], unavailable[0].get("remedy", ""))
    return ability


def look(provider: str, threads: int | None) -> Ability:
    """Load every package on a provider and run its golden tile; in this process."""
    from models.registry import scan_packages
    from models.runtimes import load_predictor

    packages, broken = scan_packages()
    refused: list[tuple[str, HistoserveError]] = [("", error) for error in broken]
    providers: set[str] = set()
    sound: dict[str, str] = {}
    for package in packages:
        try:
            predictor = load_predictor(package, provider, batch=1, threads=threads)
        except HistoserveError as error:
            refused.append((package.manifest.reference, error))
        except ValueError as error:
            refused.append((package.manifest.reference, PackageInvalidError(str(error))))
        else:
            providers.add(predictor.provider)
            sound[package.manifest.reference] = package.manifest_sha256
            predictor.close()
    return Ability(
        tuple(sorted(providers)),
        sound,
        tuple({"package": reference, **error.as_problem()} for reference, error in refused),
    )


def main() -> None:
    """Tell in one JSON line what runs here."""
    found = look(sys.argv[1], int(sys.argv[2]) or None)
    print(json.dumps({"providers": found.providers, "packages": found.packages, "refused": found.refused}))


if __name__ == "__main__":
    main()
