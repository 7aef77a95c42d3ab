"""Answers to rings for tests of the listeners: RQ calls them by name in the forked child. Each leaves files behind."""

import os
import signal
import sys
import threading
from pathlib import Path

from workers.contract.logs import set_up_logs
from workers.contract.settings import Settings
from workers.daemon.listen import listen, warm_up


def write_down(folder: str, name: str) -> None:
    """A file of that name, with the ids of this process and of its parent, as it was when it was whole."""
    part = Path(folder, f"{name}.part")
    part.write_text(f"{os.getpid()} {os.getppid()}")
    part.rename(Path(folder, name))


def stay(folder: str, name: str) -> None:
    """Work until told `go` by a file, or to stop by SIGTERM; a file says which it was."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    write_down(folder, f"{name}.started")
    while not Path(folder, f"{name}.go").exists():
        if stop.wait(0.02):
            write_down(folder, f"{name}.stopped")
            return
    write_down(folder, f"{name}.done")


def main() -> None:
    """A listener as `workers.daemon.listen` is one, that gives the answers above."""
    settings = Settings()
    set_up_logs(settings.log_format)
    warm_up()
    sys.exit(listen(settings, ("tests.answers_made.write_down", "tests.answers_made.stay")))


if __name__ == "__main__":
    main()
