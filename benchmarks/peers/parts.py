"""Each comparison by its name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import deepliif, tiatoolbox, wsinfer


@dataclass(frozen=True)
class Effort:
    """Where things are kept, and how much is measured."""

    root: Path
    repeats: int
    is_quick: bool

    @property
    def work(self) -> Path:
        """Folder of slides, networks and outputs."""
        return self.root / "work"

    def side(self, whole: int, quick: int) -> int:
        """One of both."""
        return quick if self.is_quick else whole

    def deepliif(self, width: int) -> deepliif.Case:
        """DeepLIIF with networks of a width."""
        return deepliif.Case(self.work, self.root, width)


PARTS: dict[str, Callable[[Effort], dict[str, Any]]] = {
    "deepliif_pixels": lambda e: deepliif.same_pixels(e.deepliif(deepliif.SMALL)),
    "deepliif_small": lambda e: deepliif.measure(e.deepliif(deepliif.SMALL), e.side(4, 2), e.repeats),
    "tiatoolbox": lambda e: tiatoolbox.measure(e.work, e.root, e.side(8, 4), e.repeats),
    "wsinfer": lambda e: wsinfer.measure(e.work, e.root, e.side(4200, 2800), e.repeats),
    "deepliif_memory": lambda e: deepliif.memory(e.deepliif(deepliif.SMALL)),
    "deepliif_test": lambda e: deepliif.whole_command(e.deepliif(deepliif.SMALL), e.side(4, 2)),
    "deepliif_full": lambda e: deepliif.measure(e.deepliif(deepliif.FULL), e.side(3, 2), 1),
    "deepliif_one": lambda e: deepliif.measure(e.deepliif(deepliif.FULL), 1, 1),
}


def measure(name: str, effort: Effort) -> dict[str, Any]:
    """The figures of one comparison."""
    effort.work.mkdir(parents=True, exist_ok=True)
    return PARTS[name](effort)
