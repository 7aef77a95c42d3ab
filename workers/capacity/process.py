"""What this process has taken so far: seconds since it began, and memory at its peak."""

import resource
import time
from os import sysconf
from pathlib import Path

STAT, STATUS = Path("/proc/self/stat"), Path("/proc/self/status")
START_FIELD = 19
"""Of `/proc/self/stat`, counted behind the command's name: clock ticks from the boot to the start of the process."""


def age_s() -> float:
    """Seconds since the process was started, its imports included; processor seconds where the system does not say."""
    if not STAT.exists():
        return time.process_time()
    ticks = int(STAT.read_text().rpartition(")")[2].split()[START_FIELD])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / sysconf("SC_CLK_TCK")


def peak_bytes() -> int:
    """Most memory the process has held at once.

    Not `ru_maxrss` where it can be avoided: a child's begins with the memory of the process it was forked from.
    """
    if STATUS.exists():
        line = next((line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")), None)
        if line is not None:
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def processor_s() -> float:
    """Processor seconds of the process and of its children that have ended: a slide is first opened by one."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
