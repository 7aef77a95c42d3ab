"""A file is sent once, in one call or over several."""

from pathlib import Path
from types import SimpleNamespace

from service.commands.placing import Added, Slides
from service.commands.rows import Row


class Sender:
    """A client that counts what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[Path, float | None]] = []

    def add_slide(self, path, *, mpp, stain, ids, progress):
        """A slide with the number of the sending."""
        self.sent.append((path, mpp))
        return SimpleNamespace(id=f"sld_{len(self.sent)}", sha256="ab")


def row(name: str = "a.svs", **fields) -> Row:
    return Row(path=Path(name), model="nuclei", **fields)


def slides(sender: Sender) -> Slides:
    return Slides(sender, lambda *_: None)  # type: ignore[arg-type]


def test_two_rows_of_a_file_send_it_once() -> None:
    sender = Sender()
    added = slides(sender)
    assert added.add(row(external_id="E-1")).id == added.add(row(external_id="E-2")).id == "sld_1"
    assert len(sender.sent) == 1


def test_a_file_that_an_earlier_call_sent_is_not_sent_again() -> None:
    sender = Sender()
    added = slides(sender)
    added.know(row(external_id="E-1"), Added("sld_9", "ab"))
    assert added.add(row(external_id="E-2")) == Added("sld_9", "ab")
    assert sender.sent == []


def test_another_resolution_is_another_slide() -> None:
    sender = Sender()
    added = slides(sender)
    assert {added.add(row(mpp=mpp)).id for mpp in (None, 0.25, 0.5)} == {"sld_1", "sld_2", "sld_3"}
