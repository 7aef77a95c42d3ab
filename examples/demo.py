"""`make demo`: a service, three slides, every analysis that fits them, and the truth: python examples/demo.py out/demo

Starts `histoserve up` in a folder of its own, hands in a phantom whose every nucleus is known, once in H&E and once
stained for Ki-67, and the real IHC image that scikit-image ships; asks for every package that is installed, brings the
results and holds those of the phantom against the truth. Needs no network. Research use only. Not for diagnosis.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.table import Table
from skimage import data

from models.errors import HistoserveError
from service.client import Client
from service.client.client import problem_of
from service.wire import JobTold, ModelTold, SlideTold

HISTOSERVE = str(Path(sys.executable).with_name("histoserve"))
PHANTOM = ["--width", "2400", "--height", "2000", "--mpp", "0.5", "--seed", "7", "--tissue", "0.5"]
STAINS = ["--stain", "he", "--stain", "ki67"]
HE, IHC, REAL = "phantom H&E", "phantom Ki-67", "real IHC"
IHC_MPP = 0.5
"""Assumed: scikit-image does not say. With it small nuclei are about 6 um wide and epithelial ones 12 to 18 um long."""


@dataclass
class Outcome:
    """A slide, a package, and what came of it."""

    slide: str
    package: ModelTold
    state: str
    told: str
    folder: Path | None = None


def main() -> None:
    """Make the slides, analyse them, tell what was found."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo")
    out.mkdir(parents=True, exist_ok=True)
    truth = make_phantom(out)
    real = make_ihc(out)
    with service(out) as told, Client(told["url"], json.loads(Path(told["key_file"]).read_text())["key"]) as client:
        say(f"The service is up on {told['url']}.")
        packages = client.models()
        slides = {HE: client.add_slide(out / "phantom-he.tiff"), IHC: client.add_slide(out / "phantom-ki67.tiff")}
        slides[REAL] = client.add_slide(real, mpp=IHC_MPP)
        jobs = [(HE, package) for package in packages if package.stain in ("he", "any")]
        jobs += [(name, package) for name in (IHC, REAL) for package in packages if package.stain in ("ihc-dab", "any")]
        outcomes = [analyse(client, out, name, slides[name], package) for name, package in jobs]
    print_outcomes(outcomes)
    compare(outcomes, truth)


def make_phantom(out: Path) -> Path:
    """The truth of a phantom, which lies beside its two slides; made once."""
    truth = out / "truth.parquet"
    if not truth.exists():
        say("Drawing a phantom slide of 2400 x 2000 px in two stains ...")
        run("phantom", "make", out / "phantom.tiff", "--truth", truth, *STAINS, *PHANTOM)
    return truth


def make_ihc(out: Path) -> Path:
    """The real IHC image of scikit-image (colonic glands, FHL2 in brown) as a PNG."""
    path = out / "ihc.png"
    Image.fromarray(data.immunohistochemistry()).save(path)
    return path


@contextmanager
def service(out: Path) -> Iterator[dict[str, Any]]:
    """A running service on a free port, in a folder of its own below `out`; what it says about itself."""
    home = out / "home"
    command = [HISTOSERVE, "up", "--home", str(home), "--port", "0", "--json"]
    with (out / "up.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        told = json.loads((process.stdout.readline() if process.stdout else "") or "{}")
        if "url" not in told:
            sys.exit(f"The service did not start; see {out / 'up.log'}. {told.get('detail', '')}")
        yield told
    finally:
        process.terminate()
        process.wait(60)


def analyse(client: Client, out: Path, name: str, slide: SlideTold, package: ModelTold) -> Outcome:
    """What a package makes of a slide, brought to a folder."""
    say(f"{package.reference} on the {name} slide ...")
    job = client.wait(client.submit(slide, model=package.reference).id)
    error = problem_of(job)
    if error is not None:
        return Outcome(name, package, "refused" if error.blame == "user_error" else "failed", sentence(error))
    folder = out / "results" / job.id
    client.download(job.id, folder)
    return Outcome(name, package, job.state, scores(job), folder)


def print_outcomes(outcomes: list[Outcome]) -> None:
    """A table of scores, and where the pictures are."""
    console = Console(width=120, highlight=False)
    table = Table("slide", "package", "came to", "scores", title="Research use only. Not for diagnosis.")
    for outcome in outcomes:
        table.add_row(outcome.slide, outcome.package.reference, outcome.state, outcome.told)
    console.print(table)
    for outcome in outcomes:
        if outcome.folder is not None:
            say(f"{outcome.package.reference} on the {outcome.slide} slide: {outcome.folder / 'overview.png'}")


def compare(outcomes: list[Outcome], truth: Path) -> None:
    """Hold what was found on the phantom against what is there."""
    for outcome in outcomes:
        if outcome.folder is None or outcome.slide not in (HE, IHC):
            continue
        analysis = (outcome.package.analysis or outcome.package.name).removesuffix("-int8")
        say(f"{outcome.package.reference} against the truth of the {outcome.slide} slide:")
        run("phantom", "judge", outcome.folder, truth, "--analysis", analysis)


def run(*arguments: object) -> None:
    """Run `histoserve`; its output is shown."""
    subprocess.run([HISTOSERVE, *map(str, arguments)], check=True)


def scores(job: JobTold) -> str:
    """The numbers of a job, in a line."""
    parts = {kind: part | part.get("cells", {}) for kind, part in (job.scores or {}).items()}
    found = [(f"{kind} {name}", value) for kind, part in parts.items() for name, value in part.items()]
    return ", ".join(f"{name} {value:.4g}" for name, value in found if isinstance(value, int | float))


def sentence(error: HistoserveError) -> str:
    """Why there is no result."""
    return f"{error.title}. {error.detail}"


def say(text: str) -> None:
    """A line for who watches."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
