"""`make bench-peers`: installs the peers, runs them beside us, writes the part `peers` of benchmarks/report.json.

python -m benchmarks.peers install [deepliif|tiatoolbox|wsinfer]
python -m benchmarks.peers run [--only deepliif] [--only memory] ... [--repeats 3] [--quick]
python -m benchmarks.peers table
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.peers import environments
from benchmarks.peers.table import table
from benchmarks.peers.timing import ChildFailedError
from benchmarks.report import write_report

REPORT = Path(__file__).parent.parent / "report.json"
KEPT = "peers.json"
PARTS = (
    "deepliif_pixels",
    "deepliif_small",
    "tiatoolbox",
    "wsinfer",
    "deepliif_memory",
    "deepliif_test",
    "deepliif_full",
    "deepliif_one",
)


def main() -> None:
    """Do what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=("install", "run", "table"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="install: these alone")
    parser.add_argument("--only", action="append", default=[], metavar="PART", help=f"run: of {', '.join(PARTS)}")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="smaller slides")
    parser.add_argument("--root", type=Path, default=Path("runs/peers"), help="environments, slides, networks")
    arguments = parser.parse_args()
    unknown = set(arguments.only) - set(PARTS) | set(arguments.names) - {peer.name for peer in environments.PEERS}
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    {"install": _install, "run": _run, "table": _table}[arguments.what](arguments)


def _install(arguments: argparse.Namespace) -> None:
    for name in arguments.names or [peer.name for peer in environments.PEERS]:
        told = environments.install(name, arguments.root)
        _keep(arguments.root, {"install": {name: told}})
        sys.stderr.write(f"{name}: {'installed' if told['installed'] else told['how_far']}\n")


def _run(arguments: argparse.Namespace) -> None:
    # Here, for they import torch, which an install does not need.
    from benchmarks.peers.deepliif import further
    from benchmarks.peers.parts import Effort, measure

    effort = Effort(arguments.root, arguments.repeats, arguments.quick)
    _keep(arguments.root, {"readers": environments.readers()})
    for name in arguments.only or PARTS:
        sys.stderr.write(f"{name} ...\n")
        about = {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine.describe()}
        try:
            found = measure(name, effort)
        except ChildFailedError as error:
            found = {"failed": str(error)}
        _keep(arguments.root, {name: about | found})
        peers = json.loads((arguments.root / KEPT).read_text())
        if name == "deepliif_one" and "runs" in found and "runs" in peers.get("deepliif_full", {}):
            _keep(arguments.root, {"deepliif_further": about | {"ratios": further(peers["deepliif_full"], found)}})


def _table(_: argparse.Namespace) -> None:
    sys.stdout.write(table(json.loads(REPORT.read_text())))


def _keep(root: Path, found: dict[str, Any]) -> None:
    """Put figures into the report at once, beside those of other parts.

    They are kept in a file of their own too: another benchmark that writes the report meanwhile cannot lose them.
    """
    kept = root / KEPT
    peers = json.loads(kept.read_text()) if kept.exists() else {}
    for name, value in found.items():
        peers[name] = peers.get(name, {}) | value if name == "install" else value
    kept.write_text(json.dumps(peers, indent=2) + "\n")
    report = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    report |= {"peers": peers}
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    write_report(report, REPORT.with_name("REPORT.md"))


if __name__ == "__main__":
    main()
