"""A package of the zoo on onnxruntime-gpu, in the precision of its file."""

import statistics
import time
from typing import Any

import numpy as np

from models.registry import Package
from models.runtimes.onnx_runtime import import_onnxruntime

TURNS = 20


def measure_package(package: Package) -> dict[str, Any]:
    """Tiles/s with input and outputs bound to the device, and with copies from and to the host for each batch."""
    manifest, path = package.manifest, package.path("network")
    if manifest.runtime != "onnx" or path is None or manifest.statistics is not None:
        return {"left_out": "not a network of one input in ONNX"}
    ort = import_onnxruntime()
    session = ort.InferenceSession(path, providers=["CUDAExecutionProvider"])
    if session.get_providers()[0] != "CUDAExecutionProvider":
        return {"left_out": f"it runs on {session.get_providers()[0]}"}
    grid, source = manifest.grid, session.get_inputs()[0]
    side = manifest.input.resize_px or grid.tile_px + 2 * grid.halo_px
    shape = (grid.batch, side, side, 3) if manifest.input.layout == "NHWC" else (grid.batch, 3, side, side)
    batch = np.full(shape, 200, np.uint8 if manifest.input.dtype == "uint8" else np.float32)
    binding = session.io_binding()
    binding.bind_ortvalue_input(source.name, ort.OrtValue.ortvalue_from_numpy(batch, "cuda", 0))
    for output in session.get_outputs():
        binding.bind_output(output.name, "cuda")

    def bound() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    area = (grid.tile_px * grid.mpp / 1000) ** 2
    told = {}
    for name, work in (("bound", bound), ("copied", lambda: session.run(None, {source.name: batch}))):
        work()
        seconds = []
        for _ in range(TURNS):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
        rate = grid.batch / statistics.median(seconds)
        told[name] = {"tiles_per_s": rate, "s_per_mm2": 1 / rate / area}
    return told
