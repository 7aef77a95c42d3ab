"""One slot of a worker as a process: `python -m workers.daemon.listen`."""

import os
import sys
import time
from collections.abc import Collection
from importlib import import_module

import structlog
from redis.exceptions import RedisError

from workers.contract.doorbell import ANSWER, Doorbell, open_doorbell
from workers.contract.logs import set_up_logs
from workers.contract.settings import Settings
from workers.daemon.listener import TTL_S, Listener

WARM = (
    "onnxruntime",
    "pyarrow.compute",
    "workers.engine.run",
    "workers.slides.resample",
    "workers.slides.tiff",
    "workers.wake.answer",
    "workers.wake.job",
)
"""What every answer needs: imported once, so that a forked child starts at once. No runtime session is made here:
their threads and GPU contexts do not survive a fork."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 5.0


def warm_up() -> None:
    """Import what answers need, telemetry switched off before."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    for module in WARM:
        import_module(module)


def wait_for_redis(doorbell: Doorbell) -> None:
    """Return when Redis answers, however long that takes."""
    wait_s = FIRST_WAIT_S
    while not doorbell.is_there():
        structlog.get_logger().warning("redis is away", again_in_s=wait_s)
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def listen(settings: Settings, answers: Collection[str] = (ANSWER,)) -> int:
    """Answer rings until asked to stop; the exit code: 1 where Redis was lost in a way that needs a new process.

    Parameters
    ----------
    answers
        The functions a ring may name; what names another is thrown away.
    """
    # RQ waits most of its ttl for a ring. Left to redis-py, the first connection gives up after 5 s, and RQ with it.
    doorbell = open_doorbell(settings, silence_s=TTL_S)
    wait_for_redis(doorbell)
    try:
        listener = Listener(doorbell, answers)
        listener.work(logging_level=None)
    except RedisError as error:
        structlog.get_logger().warning("redis is away", reason=str(error))
        return 1
    return 0 if listener.was_told_to_stop else 1


def main() -> None:
    """Run one slot."""
    settings = Settings()
    set_up_logs(settings.log_format)
    warm_up()
    sys.exit(listen(settings))


if __name__ == "__main__":
    main()
