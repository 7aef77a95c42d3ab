"""An ONNX network with a slide's statistics as constants, so that its runtime folds them into the weights.

As an input they cost two passes over each feature map, and keep apart layers that a runtime would fuse.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.errors import PackageInvalidError
from models.runtimes.network import Runner
from models.runtimes.onnx_part import (
    INITIALIZER,
    INPUT,
    NAME,
    TENSOR_NAME,
    bytes_field,
    fields_of,
    graph_of,
    name_of,
    replace_graph,
    varint_field,
)

TENSOR_SIDE, TENSOR_TYPE, TENSOR_BYTES = 1, 2, 9
FLOAT = 1
"""Of a tensor: the numbers of its fields, and that of its type."""
Values = NDArray[np.float32]


def fix_input(data: bytes, name: str, values: Values) -> bytes:
    """The network with `values`, (n,), in place of its input `name`.

    Raises
    ------
    PackageInvalidError
        The bytes are no ONNX network, or it has no such input.
    """
    fields = list(fields_of(graph_of(data).value))
    kept = [field.whole for field in fields if field.number != INPUT or name_of(field, NAME) != name]
    if len(kept) == len(fields):
        raise PackageInvalidError(f"The network has no input {name}.")
    tensor = varint_field(TENSOR_SIDE, values.size) + varint_field(TENSOR_TYPE, FLOAT)
    tensor += bytes_field(TENSOR_NAME, name.encode()) + bytes_field(TENSOR_BYTES, values.astype("<f4").tobytes())
    return replace_graph(data, [*kept, bytes_field(INITIALIZER, tensor)])


class FixedStatistics:
    """A runner of image and statistics that loads the network anew, with these in it, when they are others.

    That is twice for a slide: for the golden tile's, and for its own.
    """

    def __init__(self, load: Callable[[Values], Runner]) -> None:
        self._load = load
        self._key: bytes | None = None
        self._run: Runner | None = None

    def __call__(self, inputs: list[NDArray[np.generic]]) -> list[NDArray[np.float32]]:
        """What the network answers; see `Runner`."""
        image, statistics = inputs
        values = statistics.astype(np.float32)
        key = values.tobytes()
        if self._run is None or key != self._key:
            # The old one's memory goes before the new one takes its own.
            self._run = None
            self._run, self._key = self._load(values), key
        return self._run([image])
