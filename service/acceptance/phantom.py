"""The phantom, made and compared by a child: its code belongs to training, which a service does without."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import HistoserveError, RefusedInputError
from workers.contract.children import own_python

LIKE_THE_CARDS = ("tumour=0.9", "ki67=0.25", "mitoses=0.02", "lookalikes=0.03")
"""Much tumour and many figures, as in the phantoms that the packages were measured on."""
TISSUE = 0.8
STAINS = ("he", "ki67")


class PhantomMissingError(HistoserveError):
    """What draws phantoms is not installed here."""

    slug = "phantom-missing"
    title = "Phantoms cannot be made here"


class PhantomFailedError(HistoserveError):
    """The phantom could not be made, or not compared."""

    slug = "phantom-failed"
    title = "The phantom failed"


@dataclass(frozen=True)
class Phantom:
    """Slides of one tissue in two stains, their truth, and what they are."""

    slides: dict[str, Path]
    truth: Path
    made: dict[str, Any]


@dataclass(frozen=True)
class Number:
    """A number of a result held against the truth, as `histoserve phantom judge` tells it."""

    name: str
    value: float
    n: int
    found: float | None
    true: float | None


def make_phantom(folder: Path, side_px: int, seed: int) -> Phantom:
    """A phantom in H&E and Ki-67, in `folder`.

    Raises
    ------
    PhantomMissingError
        An extra is not installed.
    """
    size = ["--width", str(side_px), "--height", str(side_px), "--seed", str(seed), "--tissue", str(TISSUE)]
    stains = [part for stain in STAINS for part in ("--stain", stain)]
    settings = [part for setting in LIKE_THE_CARDS for part in ("--set", setting)]
    slide, truth = folder / "phantom.tiff", folder / "truth.parquet"
    made = _call(["make", str(slide), *size, *stains, *settings, "--truth", str(truth)])
    return Phantom({stain: folder / f"phantom-{stain}.tiff" for stain in STAINS}, truth, made)


def judge(phantom: Phantom, result: Path, analysis: str) -> tuple[Number, ...]:
    """The numbers of a downloaded result beside the phantom's truth."""
    told = _call(["judge", str(result), str(phantom.truth), "--analysis", analysis])
    return tuple(Number(**item) for item in told)


def _call(arguments: list[str]) -> Any:
    """The JSON document of a command of the phantom."""
    command = [*own_python(), "-m", "training.phantom", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout)
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    if "ModuleNotFoundError" in last or "No module named" in last:
        raise PhantomMissingError(
            f"Making a phantom needs what is not installed here ({last.split(': ', 1)[-1]}).",
            "Install it with: pip install 'histoserve[train]'; or test from a machine that has it, with --url.",
        )
    kind = RefusedInputError if done.returncode == 2 else PhantomFailedError
    raise kind(last, "Run `histoserve phantom make` by itself to see more.")
