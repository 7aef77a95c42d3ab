"""The benchmark for GPUs, as small as it goes, on the CPU: every network runs, every figure is there."""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.report import render

REPOSITORY = Path(__file__).resolve().parents[2]


def test_its_shape_on_the_cpu(tmp_path):
    into = tmp_path / "report.json"
    into.write_text('{"kept": {"a": 1}}')
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--smoke", "--into", str(into)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    part = json.loads(done.stdout)
    report = json.loads(into.read_text())
    assert report == {"kept": {"a": 1}, "gpu": part}
    assert part["smoke"] is True
    assert part["peak_tflops"]["float32"]["median"] > 0
    assert len(part["networks"]) == 4
    for network in part["networks"].values():
        assert network["gflop_per_tile"] > 0
        tried = [way for way in network["ways"] if "left_out" not in way]
        assert {"float32", "float32 channels_last script"} <= {way["way"] for way in tried}
        assert all(way["tiles_per_s"] > 0 and way["s_per_mm2"] > 0 for way in tried)
        assert network["best"]["tiles_per_s"] == max(way["tiles_per_s"] for way in tried)
        assert network["from_memory"][0]["duty"] > 0
        assert network["from_jpeg_slide"][0]["tiles_per_s"] > 0
    assert "left_out" in part["onnxruntime"]
    assert "## On a GPU" in render(report)


def test_a_gpu_that_is_not_there_is_said():
    command = [sys.executable, "-m", "benchmarks.gpu"]
    # No device is seen, whatever the machine has.
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 2
    assert "no CUDA device" in done.stderr
