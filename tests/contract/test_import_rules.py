"""Imports run one way, and the service starts without pixels or torch."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY

HEAVY = ("torch", "onnxruntime", "openvino", "tifffile", "tiffslide", "zarr", "skimage", "scipy", "pyarrow", "wsidicom")


def test_the_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_command_line_starts_without_anything_heavy() -> None:
    code = "import sys, service.cli as c; c.build_app([]); print(','.join(m for m in sys.argv[1:] if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_nothing_but_contracts_is_needed_to_read_a_manifest() -> None:
    code = "import sys, models.manifest, models.registry; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
