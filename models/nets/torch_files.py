"""Weights out of torch's two kinds of files, without running anything that the files hold.

A state dict (`.pth`) is read with torch's own loader for weights alone. A TorchScript archive (`.pt`) is a zip with a
pickle of the modules' attributes, the tensors' bytes and code. `torch.jit.load` would compile the code and may run
parts of it; here the attributes are read by an unpickler that knows tensors and plain records and refuses all else. The
code is never opened.
"""

import io
import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.errors import PackageInvalidError

LIMIT_BYTES = 2_000_000_000
"""Of one network's weights; U-Net 512 at width 64 has 0.27 GB."""
STORAGES = {"FloatStorage": torch.float32, "HalfStorage": torch.float16, "LongStorage": torch.int64}


def read_state(path: Path) -> dict[str, Tensor]:
    """The weights of a `.pt` or `.pth` file by name, on the CPU; floating ones as float32.

    Raises
    ------
    PackageInvalidError
        The file is too large, or holds something else than the weights of a network.
    """
    size = path.stat().st_size
    if size > LIMIT_BYTES:
        raise PackageInvalidError(f"{path.name} has {size} bytes, more than {LIMIT_BYTES}.")
    state = _read_archive(path) if path.suffix == ".pt" else _read_state_dict(path)
    if not state:
        raise PackageInvalidError(f"{path.name} holds no weights.")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            # What torch thinks of another pickle protocol; it fails on what it does not know.
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (
        *(pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError),
        *(AttributeError, IndexError, RecursionError),
    ) as error:
        raise PackageInvalidError(
            f"{path.name} is no state dict that can be read without running code.", "Save net.state_dict() again."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) and isinstance(k, str) for k, v in state.items()):
        raise PackageInvalidError(f"{path.name} holds something else than tensors by name.")
    return dict(state)


def _read_archive(path: Path) -> dict[str, Tensor]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LIMIT_BYTES:
                raise PackageInvalidError(f"{path.name} unpacks to more than {LIMIT_BYTES} bytes.")
            pickles = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise PackageInvalidError(f"{path.name} is no TorchScript archive: it has no data.pkl.")
            root = _Unpickler(archive, pickles[0]).load()
        return dict(_tensors(root, ""))
    except (
        *(pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, ValueError, KeyError, TypeError),
        *(AttributeError, IndexError, RecursionError),
    ) as error:
        raise PackageInvalidError(
            f"{path.name} is no TorchScript archive whose weights can be read: {str(error)[:200]}"
        ) from error


class _Record:
    """A module of the archive: its attributes, without its code."""

    attributes: dict[str, Any]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.attributes = dict(state)


@dataclass(frozen=True)
class _Storage:
    numbers: Tensor


class _Unpickler(pickle.Unpickler):
    """Knows the few names that torch writes for modules and tensors."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        super().__init__(io.BytesIO(archive.read(name)))
        self.archive = archive
        self.folder = name.rpartition("/")[0] + "/data/"

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """What stands for a class of the pickle; anything unknown is refused."""
        if module == "__torch__" or module.startswith("__torch__."):
            return _Record
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        known = {("collections", "OrderedDict"): OrderedDict, ("torch._utils", "_rebuild_tensor_v2"): _rebuild}
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return known[module, name]

    def persistent_load(self, reference: Any) -> _Storage:  # noqa: ANN401
        """The numbers of a storage: ("storage", type, key, device, count)."""
        _, kind, key, _, count = reference
        data = self.archive.read(self.folder + str(key))
        numbers = torch.frombuffer(bytearray(data), dtype=kind) if data else torch.empty(0, dtype=kind)
        if numbers.numel() < count:
            raise pickle.UnpicklingError(f"storage {key} holds {numbers.numel()} numbers, not {count}")
        return _Storage(numbers)


def _rebuild(storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Tensor:
    """A tensor of a storage; torch refuses those that do not lie inside it, and no number stands for many."""
    if prod(size) > storage.numbers.numel():
        raise pickle.UnpicklingError(f"a tensor of {size} has {storage.numbers.numel()} numbers")
    return storage.numbers.as_strided(size, stride, offset)


def _tensors(record: _Record, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a module and the modules in it, as a state dict has them."""
    for name, value in record.attributes.items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, _Record):
            yield from _tensors(value, f"{prefix}{name}.")
