"""The mark of a picture that was made and not measured, wherever it goes: in metadata, in files, on previews.

A virtual stain looks like a stain. Whoever meets it without its result - in a viewer, as a single tile, in a slide
of a talk - must see that it is none.
"""

from typing import Any

MARK = "VIRTUAL STAIN - RESEARCH USE ONLY"
MEANING = "made by a network from another stain: inferred, not measured"


def mark_metadata(shows: str | None) -> dict[str, Any]:
    """`virtual` for a file's metadata; nothing where the map shows what is on the slide.

    Parameters
    ----------
    shows
        What the map shows without its having been measured.
    """
    return {} if shows is None else {"virtual": {"mark": MARK, "shows": shows, "meaning": MEANING}}


def mark_text(shows: str) -> str:
    """The mark as one sentence."""
    return f"{MARK}. {shows}: {MEANING}."


def mark_lines(shows: str | None) -> tuple[str, ...]:
    """The lines that are drawn on a picture of the map; none where it shows what is on the slide."""
    return () if shows is None else (MARK, f"{shows}: inferred, not measured")
