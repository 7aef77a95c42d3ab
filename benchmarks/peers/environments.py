"""Installs each peer from the package index into an environment of its own, and says how far it got."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peers.timing import INSIDE, TAIL_CHARS

TORCH, TORCHVISION = "torch==2.13.0", "torchvision==0.28.0"
ABSENT = "; sys_platform == 'none'"
"""An override that leaves a requirement out."""
LIMIT_S = 900
COMPILE = "import compileall, sysconfig; compileall.compile_dir(sysconfig.get_path('purelib'), quiet=2, workers=0)"
"""Files that are no Python of this version are left: nothing imports them."""
RECORD = "installed.json"


@dataclass(frozen=True)
class Peer:
    """What is installed, and where it departs from what the peer asks for."""

    name: str
    requirement: str
    overrides: tuple[str, ...]
    extra: tuple[str, ...] = ()
    notes: str = ""


PEERS = (
    Peer(
        "deepliif",
        "deepliif==1.2.7",
        (
            "numpy==2.2.6",
            f"opencv-python {ABSENT}",
            "opencv-python-headless<5",
            "scikit-image>=0.24",
            "numba>=0.61",
            "click>=8.1",
            "requests>=2.32",
            "dask>=2025",
            "imagecodecs>=2025",
            "zarr>=3",
            "dominate>=2.6",
            f"python-bioformats {ABSENT}",
            f"visdom {ABSENT}",
        ),
        ("opencv-python-headless", "beautifulsoup4", "packaging"),
        "its pins (torch 2.8.0, numba 0.57.1, scikit-image 0.18.3 and others) are overridden by newer ones; "
        "python-bioformats (needs a Java machine, reads slides) and visdom (training) are left out",
    ),
    Peer("tiatoolbox", "tiatoolbox==2.1.3", (), notes="it asks for torch < 2.13; torch 2.13.0 is used"),
    Peer(
        "wsinfer",
        "wsinfer==0.6.1",
        ("zarr<3", "tiffslide<3", "tifffile<2025", "numcodecs<0.14", "numpy<2.3"),
        notes="its newest release, of February 2024, does not start with zarr 3: zarr 2 and a tiffslide of its time",
    ),
)


def install(name: str, root: Path) -> dict[str, Any]:
    """What was installed, or how far it got; done once, `root / name / installed.json` says so."""
    peer = next(peer for peer in PEERS if peer.name == name)
    folder = root / name
    record = folder / RECORD
    if record.exists():
        found: dict[str, Any] = json.loads(record.read_text())
        if found["installed"]:
            return found
    told = {"peer": name, "requirement": peer.requirement, "notes": peer.notes} | _install(peer, folder)
    folder.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(told, indent=2) + "\n")
    return told


def readers() -> dict[str, str]:
    """Versions of the readers that are installed beside us."""
    return {name: version(name) for name in ("tiffslide", "openslide-python", "openslide-bin")}


def python_of(root: Path, name: str) -> Path:
    """The interpreter of a peer's environment."""
    return (root / name / "bin" / "python").absolute()


def _install(peer: Peer, folder: Path) -> dict[str, Any]:
    python, uv = folder.absolute() / "bin" / "python", Path(sys.executable).with_name("uv")
    with tempfile.TemporaryDirectory() as work:
        overrides = Path(work) / "overrides.txt"
        overrides.write_text("\n".join((TORCH, TORCHVISION, *peer.overrides)) + "\n")
        into = [str(uv), "pip", "install", "-q", "--python", str(python)]
        steps = {
            "make the environment": [sys.executable, "-m", "venv", str(folder)],
            # By pip: it takes a CPU build of torch where pip is set up to find one.
            f"install {TORCH}": [str(python), "-m", "pip", "install", "-q", TORCH],
            f"install {peer.requirement}": [*into, "--override", str(overrides), peer.requirement, *peer.extra],
            # As pip leaves it: else the first run, or each one where bytecode may not be written, compiles it all.
            "compile it": [str(python), "-c", COMPILE],
            "import it": [str(python), str(INSIDE / "check.py"), peer.name],
        }
        for step, command in steps.items():
            failure = _run(command)
            if failure:
                return {"installed": False, "how_far": f"{step}: {failure}"}
    return {"installed": True, "versions": _versions(uv, python)}


def _run(command: list[str]) -> str:
    """Nothing where it went well, else the end of what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"not over after {LIMIT_S} s"
    said = (done.stdout + done.stderr)[-TAIL_CHARS:].replace(f"{Path.cwd()}/", "")
    return said or f"exit code {done.returncode}" if done.returncode else ""


def _versions(uv: Path, python: Path) -> dict[str, str]:
    command = [str(uv), "pip", "list", "--format", "json", "--python", str(python)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {item["name"]: item["version"] for item in json.loads(listed)}
