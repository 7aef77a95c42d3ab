"""The interface as a file: `python -m service.openapi` writes openapi/openapi.json (`make openapi`)."""

import json
from pathlib import Path

from service.app import create_app
from workers.contract.settings import Settings

PATH = Path(__file__).resolve().parent.parent / "openapi" / "openapi.json"


def render_openapi() -> str:
    """The document as text, in a stable order."""
    return json.dumps(create_app(Settings()).openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the file."""
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(render_openapi(), encoding="utf-8")


if __name__ == "__main__":
    main()
