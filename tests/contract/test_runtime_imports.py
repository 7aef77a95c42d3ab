"""Runtimes that tell of themselves are imported at one place each, where they are kept from it first."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
IMPORT = re.compile(r"^\s*(?:import|from)\s+(onnxruntime|openvino)\b", re.MULTILINE)
DOORS = {"onnxruntime": "models/runtimes/onnx_runtime.py", "openvino": "models/runtimes/openvino_cpu.py"}


def test_each_runtime_has_one_door():
    found = {
        (module, path.relative_to(REPOSITORY).as_posix())
        for package in ("service", "workers", "models", "training", "benchmarks")
        for path in (REPOSITORY / package).rglob("*.py")
        for module in IMPORT.findall(path.read_text("utf-8"))
    }
    assert found == set(DOORS.items())
