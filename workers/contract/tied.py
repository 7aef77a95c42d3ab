"""Dying with one's parent: asked of the kernel, so that it holds where the parent was killed with SIGKILL.

`python -m workers.contract.tied PARENT COMMAND...` becomes COMMAND, tied to the process PARENT.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from functools import cache

PR_SET_PDEATHSIG = 1
"""<linux/prctl.h>"""


@cache
def parent_death() -> Callable[[int, int], int] | None:
    """The kernel's call; None where the kernel has none. Look it up before a fork: afterwards it may be locked."""
    if sys.platform != "linux":
        return None
    call: Callable[[int, int], int] = ctypes.CDLL(None, use_errno=True).prctl
    return call


def die_with_parent(parent: int) -> None:
    """Ask to be killed when the thread of `parent` that made this process ends; ends at once where it is gone."""
    call = parent_death()
    if call is not None and call(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "the kernel does not tie this process to its parent")
    # The parent may have died before the kernel was asked.
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    """Become another command, tied to the parent."""
    die_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606


if __name__ == "__main__":
    main()
