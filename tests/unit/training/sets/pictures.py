"""Images and files for the readers' tests."""

import json
from pathlib import Path

from PIL import Image


def draw(path: Path, width_px: int = 100, height_px: int = 80) -> Path:
    """A plain image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width_px, height_px), (200, 150, 180)).save(path)
    return path


def write_json(path: Path, document: object) -> Path:
    """A document as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), "utf-8")
    return path
