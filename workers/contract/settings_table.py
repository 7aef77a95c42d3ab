"""The table of settings in docs/deploy.md, made of the settings: `python -m workers.contract.settings_table`."""

from pathlib import Path

from pydantic_core import PydanticUndefined

from workers.contract.settings import Settings

BEGIN, END = "<!-- settings -->", "<!-- end of settings -->"


def settings_table() -> str:
    """A Markdown table with a row for every setting."""
    rows = ["| variable | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, PydanticUndefined) else f"`{_plain(field.default)}`"
        rows.append(f"| `HISTOSERVE_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def with_table(text: str) -> str:
    """A document with the table between its two marks. Raises ValueError where it has no marks."""
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n{settings_table()}\n{END}{after}"


def _plain(value: object) -> str:
    if isinstance(value, tuple | dict) and not value:
        return "[]" if isinstance(value, tuple) else "{}"
    return str(value)


def main() -> None:
    """Write the table into docs/deploy.md of this checkout."""
    path = Path("docs", "deploy.md")
    path.write_text(with_table(path.read_text()))


if __name__ == "__main__":
    main()
