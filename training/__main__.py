"""`python -m training TASK COMMAND`: from data to model package, one task at a time."""

import sys
from importlib import import_module

TASKS = {
    "deepliif": "training.deepliif.commands",
    "ki67": "training.ki67.commands",
    "mitosis": "training.mitosis.commands",
    "nuclei": "training.nuclei.commands",
    "virtual-ihc": "training.virtual_ihc.commands",
}
"""Task by name: a module with a typer `app`, loaded only when asked for."""


def main(arguments: list[str]) -> None:
    """Hand the rest of the command line to the task's own commands; exits with 2 where there is no such task."""
    if not arguments or arguments[0] not in TASKS:
        known = ", ".join(sorted(TASKS))
        sys.stderr.write(f"usage: python -m training TASK COMMAND ...\ntasks: {known}\n")
        sys.exit(0 if arguments[:1] in (["--help"], ["-h"]) else 2)
    task = arguments[0]
    import_module(TASKS[task]).app(arguments[1:], prog_name=f"python -m training {task}")


if __name__ == "__main__":
    main(sys.argv[1:])
