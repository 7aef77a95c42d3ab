"""Two processes take one step together: the gradient is that of both their batches."""

import csv
import subprocess
import sys

import torch

from tests.integration.training.loop.two_processes import fitting, network
from training.loop.fit import fit


def test_two_processes_train_as_one_with_twice_the_batch(tmp_path):
    command = [sys.executable, "-m", "tests.integration.training.loop.two_processes", str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    two = torch.load(tmp_path / "two" / "weights.pt", weights_only=True)
    one = torch.load(fit(network(), fitting(tmp_path / "one", 1)), weights_only=True)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-6, rtol=0)
    with (tmp_path / "two" / "log.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
