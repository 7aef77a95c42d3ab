"""Log lines of the long-running processes: structlog's and the libraries', alike, on stderr."""

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import Processor

QUIET = ("alembic", "botocore", "fsspec", "httpx", "rq", "rq.worker", "rq.job", "uvicorn", "urllib3")
"""Libraries that tell of every step; their warnings stay."""


def set_up_logs(log_format: Literal["text", "json"]) -> None:
    """Send every log line of this process to stderr, as text or as one JSON document a line."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering(log_format))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _rendering(log_format: Literal["text", "json"]) -> list[Processor]:
    bare = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if log_format == "json":
        return [bare, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    # Tracebacks without the values of variables: keys, names and megabytes of pixels are among them.
    plain = structlog.dev.plain_traceback
    return [bare, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
