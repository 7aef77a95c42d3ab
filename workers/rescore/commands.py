"""What `histoserve rescore RESULT_DIR` does on this machine; the command line finds it by its entry point."""

import sys
from collections.abc import Mapping
from pathlib import Path

from workers.contract.signals import stop_on_signals
from workers.engine.progress import console_report
from workers.engine.stream import StoppedError
from workers.rescore.again import RescoreRequest, rescore
from workers.result import Result


def rescore_folder(
    source: Path, parameters: Mapping[str, object], out: Path | None, package: str | None, slide: Path | None
) -> Result:
    """The result in a folder with new scores; progress goes to stderr, a signal ends it between two pieces of work."""
    request = RescoreRequest(source, dict(parameters), out, package, slide)
    with stop_on_signals() as stop, console_report(sys.stderr) as report:

        def check() -> None:
            if stop.is_set():
                raise StoppedError("The rescoring was stopped.", "Start it again; it takes seconds to minutes.")

        return rescore(request, report, check)
