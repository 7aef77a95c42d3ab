"""DeepLIIF's own inference against `histoserve run` on the same networks, imported in `compat`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from PIL import Image

from benchmarks.peers import networks, slides
from benchmarks.peers.agreement import pixel_difference
from benchmarks.peers.environments import python_of
from benchmarks.peers.timing import INSIDE, Run, compared, histoserve, in_turns, run_fresh

MPP = 0.25
KEEP_PX = 448
NAMES = {"hema": "mod1-Hema", "dapi": "mod2-DAPI", "lap2": "mod3-Lap2", "marker": "mod4-Marker", "seg": "Seg"}
CHECKED_PX = 1100
"""No multiple of what a tile keeps."""
SMALL, FULL = 8, 64
SPARSE_PX, SPARSE_TISSUE = 10_000, 0.02
PAIRS = {"all outputs": ("deepliif_all", "ours_all"), "mask alone": ("deepliif_seg", "ours_seg")}
PAIRS |= {
    f"{name}, {how}": (theirs, f"{ours}_{run}")
    for how, run in (("OpenVINO", "openvino"), ("bfloat16", "bf16"))
    for name, (theirs, ours) in list(PAIRS.items())
}
BF16 = "-bf16"
COST_TILES = 4


@dataclass(frozen=True)
class Case:
    """One width of the networks."""

    work: Path
    peers: Path
    width: int

    @property
    def model(self) -> Path:
        """The folder in the published layout."""
        return networks.deepliif_folder(self.work / f"deepliif-{self.width}", self.width)

    def package(self, what: str) -> Path:
        """Ours of it: `all` outputs, or `seg`, the mask alone."""
        only = ("seg",) if what == "seg" else ()
        return networks.deepliif_package(self.model, self.work / "models", f"deepliif-{self.width}-{what}", only)

    def bf16(self, what: str) -> Path:
        """The same package in bfloat16, its cost measured on another slide; made once."""
        whole = self.package(what)
        slide = slides.dense(self.work, "ki67", CHECKED_PX, MPP)
        return networks.in_bf16(whole, slide, self.work / "models", COST_TILES)

    def theirs(self, command: str, what: str, picture: Path) -> Run:
        """Their whole process: `infer` (pictures alone) or `test` (pictures, cells, scores)."""
        script, out = INSIDE / "run_deepliif.py", self.work / "out" / f"deepliif-{what}"
        arguments = [python_of(self.peers, "deepliif"), script, command, picture, self.model, out]
        arguments += ["--seg-only"] if what == "seg" else []
        return lambda: run_fresh(out, arguments)

    def ours(self, what: str, slide: Path, provider: str = "auto", *, bf16: bool = False) -> Run:
        """Our whole process, with its quality control, overviews and pyramids."""
        out = self.work / "out" / f"ours-{what}{BF16 if bf16 else ''}"
        package = self.bf16(what) if bf16 else self.package(what)
        arguments = histoserve("run", slide, "--package", package, "--out", out, "--provider", provider)
        # Random weights may make no cell: there is a result all the same.
        return lambda: run_fresh(out, [*arguments, "--threads", "2", "--force"])


def measure(case: Case, tiles: int, repeats: int) -> dict[str, Any]:
    """Whole processes on a dense slide of `tiles` x `tiles` tiles for both, all outputs and the mask alone."""
    slide = slides.dense(case.work, "ki67", tiles * KEEP_PX, MPP)
    picture = slides.picture(slide)
    runs: dict[str, Run] = {}
    for what in ("all", "seg"):
        runs |= {f"deepliif_{what}": case.theirs("infer", what, picture), f"ours_{what}": case.ours(what, slide)}
        runs[f"ours_{what}_openvino"] = case.ours(what, slide, "openvino-cpu")
        runs[f"ours_{what}_bf16"] = case.ours(what, slide, bf16=True)
    taken = in_turns(runs, repeats)
    ran = json.loads((case.work / "out" / "ours-all" / "result.json").read_text())["plan"]["tiles_done"]
    return {
        "ngf": case.width,
        "side_px": tiles * KEEP_PX,
        "tiles": {"deepliif": tiles**2, "ours": ran},
        "goal": 1.5,
        "goal_with_declared_cost": 3.0,
        "bf16_cost": {what: networks.declared_cost(case.bf16(what)) for what in ("all", "seg")},
    } | compared(taken, PAIRS)


def further(many: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    """How many times more the peer takes for each tile after the first: what is left when starting weighs nothing.

    Parameters
    ----------
    many, one
        Figures of `measure` at many tiles and at one: starting, loading and our golden tile are in both.
    """

    def more(run: str, figure: str) -> float:
        whole, first = (part["runs"][run][figure]["median"] for part in (many, one))
        return float(whole - first)

    return {
        name: {figure: more(pair["theirs"], figure) / more(pair["ours"], figure) for figure in ("wall_s", "cpu_s")}
        for name, pair in one["ratios"].items()
    }


def whole_command(case: Case, tiles: int) -> dict[str, Any]:
    """Their `test` with post-processing and compilation, once, against nothing: what a user waits for."""
    slide = slides.dense(case.work, "ki67", tiles * KEEP_PX, MPP)
    runs = {"deepliif_test": case.theirs("test", "all", slides.picture(slide)), "ours_all": case.ours("all", slide)}
    return {"ngf": case.width, "side_px": tiles * KEEP_PX} | compared(
        in_turns(runs, 1), {"test": ("deepliif_test", "ours_all")}
    )


def memory(case: Case) -> dict[str, Any]:
    """Peak memory on a large slide with little tissue: whole pictures in memory cost the same wherever tissue lies."""
    slide = slides.sparse(case.work, "ki67", SPARSE_PX, MPP, SPARSE_TISSUE)
    picture = slides.picture(slide)
    # Their `test` holds more still; it was left out for the minutes it takes.
    runs = {"deepliif_infer": case.theirs("infer", "all", picture), "ours_all": case.ours("all", slide)}
    pairs = {"pictures alone": ("deepliif_infer", "ours_all")}
    return {"ngf": case.width, "side_px": SPARSE_PX, "tissue": SPARSE_TISSUE, "goal": 5.0} | compared(
        in_turns(runs, 1), pairs
    )


def same_pixels(case: Case) -> dict[str, Any]:
    """How far apart the pictures of both are, each made by its own program; the last tiles are moved back."""
    slide = slides.dense(case.work, "ki67", CHECKED_PX, MPP)
    picture = slides.picture(slide)
    case.ours("all", slide)()
    case.theirs("infer", "all", picture)()
    found = {output: _difference(case.work / "out", picture.stem, output) for output in NAMES}
    return {"ngf": case.width, "side_px": CHECKED_PX, "outputs": found}


def _difference(out: Path, stem: str, output: str) -> dict[str, float]:
    """Of one output, over the pixels we computed: the largest difference, and the shares off by one and by more."""
    ours = zarr.open_array(out / "ours-all" / "maps" / f"{output}.ome.zarr" / "0", mode="r")[:]
    theirs = np.asarray(Image.open(out / "deepliif-all" / f"{stem}_{NAMES[output]}.png")).transpose(2, 0, 1)
    return pixel_difference(ours, theirs)
