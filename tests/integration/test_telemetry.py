"""Predicting leaves nothing behind: runtimes that would tell of it are kept from it before they are imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PREDICT = """
import os, sys
from pathlib import Path
import numpy as np

class Watch:
    '''Notes what the environment says when a runtime is first looked for.'''
    def find_spec(self, name, path=None, target=None):
        if name in ("onnxruntime", "openvino"):
            print("import", name, os.environ.get("ORT_DISABLE_TELEMETRY"), "openvino_telemetry" in sys.modules)

sys.meta_path.insert(0, Watch())
from models.registry import read_package
from models.runtimes import load_predictor
predictor = load_predictor(read_package(Path(sys.argv[1])), sys.argv[2], threads=1)
answer = predictor.predict(np.zeros(predictor.batch_shape, dtype=np.uint8))["out"]
print("answered", np.isfinite(answer).all())
"""


@pytest.mark.parametrize(
    ("provider", "name", "told"),
    [
        ("onnxruntime-cpu", "fcn8", "import onnxruntime 1 "),
        ("openvino-cpu", "fcn8", "import openvino None True"),
        ("torchscript-cpu", "scripted", None),
    ],
)
def test_a_prediction_writes_no_file_in_a_fresh_home(made_package, tmp_path, provider, name, told):
    homes = {key: tmp_path / key.lower() for key in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    scratch = tmp_path / "scratch"
    for folder in (*homes.values(), scratch):
        folder.mkdir()
    quiet = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "OPENVINO_", "XDG_"))}
    environment = quiet | {key: str(folder) for key, folder in homes.items()} | {"TMPDIR": str(scratch)}
    environment |= {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", PREDICT, str(made_package(name).folder), provider],
        env=environment,
        cwd=scratch,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "answered True" in done.stdout
    assert told is None or told in done.stdout
    left = [path for folder in (*homes.values(), scratch) for path in folder.rglob("*")]
    assert left == []
