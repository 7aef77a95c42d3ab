"""A fence around the parsers of others: whatever they raise on a bad file becomes an error of ours."""

import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import ParseError

from models.errors import SlideUnreadableError, SlideUnsupportedError

PARSER_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    ParseError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What parsers were seen to raise on damaged files. Not MemoryError: the child's limit turns that into a refusal."""


@contextmanager
def parsing(what: str, *failures: type[Exception]) -> Iterator[None]:
    """Silence another library's warnings while it parses, and name its failure as `SlideUnreadableError`.

    `failures` are the library's own error classes, beside those parsers commonly raise. Errors of ours pass.

    The library's own message is kept out of ours: it may quote the file.
    """
    for library in ("tifffile", "wsidicom", "pydicom"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    caught: tuple[type[Exception], ...] = (*PARSER_FAILURES, *failures)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except NotImplementedError as error:
            raise SlideUnsupportedError(
                f"The {what} describes an image this reader has no way to read.", "Export one RGB plane as a pyramid."
            ) from error
        except caught as error:
            raise SlideUnreadableError(
                f"The {what} cannot be parsed ({type(error).__name__}).",
                "Check that the file opens in its scanner's viewer, and copy it again.",
            ) from error
