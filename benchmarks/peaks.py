"""How fast this machine multiplies: GFLOP/s of matrix products and convolutions, by library, type and threads.

`python -m benchmarks.peaks THREADS` prints them as JSON: a process of its own, as numpy's threads are chosen before it
is imported.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

SIDE = 1536
"""Of the square matrices: large enough for full speed, small enough for many turns."""
CHANNELS, PICTURE_PX = 128, 128
TURNS = 7
Work = Callable[[], object]


def measure(threads: tuple[int, ...] = (1, 2)) -> dict[str, dict[str, Any]]:
    """GFLOP/s (1e9 operations of the type a second for int8) by threads, then by library, work and type."""
    return {str(count): _in_child(count) for count in threads}


def best(peaks: dict[str, Any], kinds: tuple[str, ...] = ("float32",)) -> float:
    """The highest median among the works of some types."""
    return max(value["median"] for name, value in peaks.items() if name.rsplit(" ", 1)[1] in kinds)


def _in_child(threads: int) -> dict[str, Any]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads))
    command = [sys.executable, "-m", "benchmarks.peaks", str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _take(works: dict[str, tuple[float, Work]]) -> dict[str, dict[str, float]]:
    """Operations per second of each work, in turns; the maximum is what the machine can do, the median what it did."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _, work in works.values():
        work()
    for turn in range(TURNS):
        for name in works if turn % 2 == 0 else reversed(works):
            operations, work = works[name]
            start = time.perf_counter()
            work()
            taken[name].append(operations / (time.perf_counter() - start) / 1e9)
    return {name: {"median": statistics.median(v), "min": min(v), "max": max(v)} for name, v in taken.items()}


def _works(threads: int) -> dict[str, tuple[float, Work]]:
    product = 2.0 * SIDE**3
    convolution = 2.0 * CHANNELS**2 * 9 * PICTURE_PX**2
    works = {"numpy product float32": (product, _numpy_product())}
    works |= {name: (product, work) for name, work in _torch_products(threads).items()}
    works |= {name: (convolution, work) for name, work in _torch_convolutions().items()}
    works |= {
        f"onnxruntime product {kind}": (product, onnx_work(kind, "product", threads)) for kind in ("float32", "int8")
    }
    for kind in ("float32", "int8"):
        works[f"onnxruntime convolution {kind}"] = (convolution, onnx_work(kind, "convolution", threads))
    works["openvino convolution float32"] = (convolution, _openvino(threads))
    return works


def _numpy_product() -> Work:
    import numpy as np

    a, b = (np.random.default_rng(i).random((SIDE, SIDE), dtype=np.float32) for i in (0, 1))
    out = np.empty((SIDE, SIDE), np.float32)
    return lambda: np.matmul(a, b, out=out)


def _torch_products(threads: int) -> dict[str, Work]:
    import torch

    torch.set_num_threads(threads)
    a, b = (torch.rand(SIDE, SIDE) for _ in range(2))
    works: dict[str, Work] = {"torch product float32": lambda: a @ b}
    if "avx512_bf16" in _flags() or "amx_bf16" in _flags():
        half_a, half_b = a.bfloat16(), b.bfloat16()
        works["torch product bfloat16"] = lambda: half_a @ half_b
    if "avx512_vnni" in _flags() or "avx_vnni" in _flags():
        int_a, int_b = ((x * 100).to(torch.int8) for x in (a, b))
        works["torch product int8"] = lambda: torch._int_mm(int_a, int_b)
    return works


def _torch_convolutions() -> dict[str, Work]:
    import torch
    from torch.nn.functional import conv2d

    picture = torch.rand(1, CHANNELS, PICTURE_PX, PICTURE_PX)
    weights = torch.rand(CHANNELS, CHANNELS, 3, 3)
    last = [x.contiguous(memory_format=torch.channels_last) for x in (picture, weights)]

    def run(one: torch.Tensor, two: torch.Tensor) -> Work:
        def work() -> object:
            with torch.inference_mode():
                return conv2d(one, two, padding=1)

        return work

    works = {"torch convolution float32": run(*last)}
    if "avx512_bf16" in _flags() or "amx_bf16" in _flags():
        works["torch convolution bfloat16"] = run(*(x.bfloat16() for x in last))
    return works


def _model(kind: str, work: str) -> bytes:
    """One node: a product or a 3x3 convolution, in float32 or with 8-bit operands."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    sizes = ([1, CHANNELS, PICTURE_PX, PICTURE_PX], [CHANNELS, CHANNELS, 3, 3]) if work == "convolution" else None
    left, right = sizes or ([SIDE, SIDE], [SIDE, SIDE])
    is_int = kind == "int8"
    weights = np.random.default_rng(0).integers(-99, 99, right).astype(np.int8 if is_int else np.float32)
    operator = {"product": ("MatMul", "MatMulInteger"), "convolution": ("Conv", "ConvInteger")}[work][is_int]
    pads = {"pads": [1, 1, 1, 1]} if work == "convolution" else {}
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"], **pads)],
        "peak",
        [helper.make_tensor_value_info("x", TensorProto.UINT8 if is_int else TensorProto.FLOAT, left)],
        [helper.make_tensor_value_info("y", TensorProto.INT32 if is_int else TensorProto.FLOAT, left)],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    data: bytes = model.SerializeToString()
    return data


def onnx_work(kind: str, work: str, threads: int) -> Work:
    """A run of one product or convolution in ONNX Runtime."""
    import numpy as np

    from models.runtimes.onnx_runtime import import_onnxruntime

    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(_model(kind, work), options, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    x = np.random.default_rng(1).integers(0, 99, shape).astype(np.uint8 if kind == "int8" else np.float32)
    return lambda: session.run(None, {"x": x})


def _openvino(threads: int) -> Work:
    import numpy as np

    from models.runtimes.network import Input
    from models.runtimes.openvino_cpu import load_openvino

    x = np.ones((1, CHANNELS, PICTURE_PX, PICTURE_PX), np.float32)
    run = load_openvino(_model("float32", "convolution"), [Input(x.shape, "float32")], ["y"], threads)
    return lambda: run([x])


def _flags() -> frozenset[str]:
    """What the processor can do, where Linux says it."""
    try:
        with open("/proc/cpuinfo") as lines:
            return frozenset(next((line for line in lines if line.startswith("flags")), "").split())
    except OSError:
        return frozenset()


if __name__ == "__main__":
    print(json.dumps(_take(_works(int(sys.argv[1])))))
