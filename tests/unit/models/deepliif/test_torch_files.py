"""Weights are read out of torch's files, and nothing in them is run."""

import pickle
import zipfile

import pytest
import torch
from torch import nn

from models.errors import PackageInvalidError
from models.nets.torch_files import read_state
from tests.published_made import Look, archive, drawn, load_archive, resnet


class Touches:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_an_archive_gives_what_torch_would_give(tmp_path):
    net = drawn(resnet(Look("reflect", blocks=1, width=4)), 1)
    archive(net, 16, tmp_path / "G1.pt")
    expected = load_archive(tmp_path / "G1.pt").state_dict()
    found = read_state(tmp_path / "G1.pt")
    assert set(found) == set(expected)
    assert not any("running" in name for name in found)
    for name, value in expected.items():
        assert torch.equal(found[name], value)


def test_a_state_dict_is_read(tmp_path):
    torch.save({"a": torch.ones(2, dtype=torch.float16), "n": torch.tensor(3)}, tmp_path / "latest_net_G1.pth")
    state = read_state(tmp_path / "latest_net_G1.pth")
    assert (state["a"].dtype, state["n"].dtype) == (torch.float32, torch.int64)


def hostile_archive(path, payload):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("net/data.pkl", payload)
        file.writestr("net/data/0", b"\0" * 64)


@pytest.mark.parametrize("suffix", ["pt", "pth"])
def test_a_pickle_that_calls_is_refused_and_not_run(tmp_path, suffix):
    marker, path = tmp_path / "ran", tmp_path / f"latest_net_G1.{suffix}"
    payload = pickle.dumps(Touches(marker), protocol=2)
    hostile_archive(path, payload) if suffix == "pt" else path.write_bytes(payload)
    with pytest.raises(PackageInvalidError):
        read_state(path)
    assert not marker.exists()


def test_a_pickled_module_is_refused(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "latest_net_G1.pth")
    with pytest.raises(PackageInvalidError, match="state dict"):
        read_state(tmp_path / "latest_net_G1.pth")


@pytest.mark.parametrize("content", [b"", b"no archive", pickle.dumps([1, 2]), pickle.dumps({})])
@pytest.mark.parametrize("suffix", ["pt", "pth"])
def test_what_is_no_file_of_weights_is_refused(tmp_path, content, suffix):
    path = tmp_path / f"latest_net_G1.{suffix}"
    path.write_bytes(content)
    with pytest.raises(PackageInvalidError):
        read_state(path)


class FakeTensor:
    """Pickled as torch pickles a tensor, with any size and stride."""

    def __init__(self, size, stride, offset=0, count=16):
        self.arguments = (size, stride, offset, count)


class TensorPickler(pickle.Pickler):
    def persistent_id(self, item):
        return (
            ("storage", torch.FloatStorage, "0", "cpu", item[1])
            if isinstance(item, tuple) and item[:1] == ("numbers",)
            else None
        )

    def reducer_override(self, item):
        if isinstance(item, FakeTensor):
            size, stride, offset, count = item.arguments
            return torch._utils._rebuild_tensor_v2, (("numbers", count), offset, size, stride, False, {})
        return NotImplemented


@pytest.mark.parametrize(
    "tensor",
    [
        FakeTensor((10**6, 10**6), (0, 0)),
        FakeTensor((4, 4), (400, 1)),
        FakeTensor((4, 4), (4, 1), offset=9),
        FakeTensor((4, 4), (4, 1), count=10**9),
        FakeTensor((-4, 4), (4, 1)),
    ],
    ids=["more than there is", "outside", "beyond", "a longer storage", "negative"],
)
def test_tensors_outside_of_their_storage_are_refused(tmp_path, tensor):
    import io

    buffer = io.BytesIO()
    TensorPickler(buffer, protocol=2).dump(tensor)
    hostile_archive(tmp_path / "G1.pt", buffer.getvalue())
    with pytest.raises(PackageInvalidError):
        read_state(tmp_path / "G1.pt")
