"""A part of an ONNX network: what some of its outputs need, cut out of the file without a library that knows ONNX.

An ONNX file is a protobuf message: fields of a number, a kind and a value, one after the other. Here fields are taken
or left out, none is made anew, so that what is kept is computed by the same nodes in the same order.

References
----------
The numbers of the fields are those of `onnx.proto` (IR version 3 and later), the encoding is protobuf's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from models.errors import PackageInvalidError

GRAPH = 7
"""Of a model."""
NODE, INITIALIZER, INPUT, OUTPUT, VALUE_INFO, ANNOTATION, SPARSE_INITIALIZER = 1, 5, 11, 12, 13, 14, 15
"""Of a graph."""
NODE_INPUT, NODE_OUTPUT, NODE_ATTRIBUTE = 1, 2, 5
ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS = 6, 11
NAME, TENSOR_NAME, SPARSE_VALUES = 1, 8, 1
"""Of a value, or what is told of one; of a tensor; of a sparse one."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Field:
    """A field of a message."""

    number: int
    value: memoryview
    """Without its length; empty where the field is a plain number."""
    whole: memoryview
    """As it stands in the message."""


def input_names(data: bytes) -> list[str]:
    """The inputs of an ONNX network that have to be given, in the file's order: not those that are its weights.

    Raises
    ------
    PackageInvalidError
        The bytes are no ONNX network.
    """
    fields = list(fields_of(graph_of(data).value))
    weights = {name_of(field, TENSOR_NAME) for field in fields if field.number == INITIALIZER}
    return [name for field in fields if field.number == INPUT and (name := name_of(field, NAME)) not in weights]


def output_names(data: bytes) -> list[str]:
    """The outputs of an ONNX network, in the file's order.

    Raises
    ------
    PackageInvalidError
        The bytes are no ONNX network.
    """
    return [name_of(field, NAME) for field in fields_of(graph_of(data).value) if field.number == OUTPUT]


def keep_outputs(data: bytes, wanted: Iterable[str]) -> bytes:
    """The network that computes these of its outputs and nothing else; its inputs stay as they are.

    Raises
    ------
    PackageInvalidError
        The bytes are no ONNX network, or it has no such output.
    """
    names = set(wanted)
    if missing := sorted(names - set(output_names(data))):
        raise PackageInvalidError(f"The network has no output {missing[0]}.")
    return replace_graph(data, _keep(list(fields_of(graph_of(data).value)), names))


def replace_graph(data: bytes, fields: Iterable[bytes | memoryview]) -> bytes:
    """The network with these fields as its graph."""
    graph = bytes_field(GRAPH, b"".join(fields))
    return b"".join(graph if field.number == GRAPH else field.whole for field in fields_of(memoryview(data)))


def _keep(fields: list[Field], names: set[str]) -> Iterator[memoryview]:
    """The fields of a graph that its outputs of these names need."""
    needed, nodes = set(names), set()
    # Nodes stand in the order in which they are run: what a node needs is made by those before it.
    for index in reversed(range(len(fields))):
        if fields[index].number == NODE and needed & _names(fields[index].value, NODE_OUTPUT):
            nodes.add(index)
            needed |= _inputs(fields[index].value)
    # Old files name weights among the inputs: without its weights such an input would have to be given.
    weights = needed | {name_of(field, NAME) for field in fields if field.number == INPUT}
    for index, field in enumerate(fields):
        if field.number == NODE:
            is_kept = index in nodes
        elif field.number == OUTPUT:
            is_kept = name_of(field, NAME) in names
        elif field.number == INITIALIZER:
            is_kept = name_of(field, TENSOR_NAME) in weights
        elif field.number == SPARSE_INITIALIZER:
            values = [inner for inner in fields_of(field.value) if inner.number == SPARSE_VALUES]
            is_kept = any(name_of(inner, TENSOR_NAME) in weights for inner in values)
        else:
            is_kept = field.number not in (VALUE_INFO, ANNOTATION) or name_of(field, NAME) in needed
        if is_kept:
            yield field.whole


def _inputs(node: memoryview) -> set[str]:
    """What a node reads, and what the graphs inside of it (of a branch, of a loop) read from around them."""
    found = _names(node, NODE_INPUT)
    for attribute in fields_of(node):
        if attribute.number == NODE_ATTRIBUTE:
            for inner in fields_of(attribute.value):
                if inner.number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
                    found |= _graph_inputs(inner.value)
    return found


def _graph_inputs(graph: memoryview) -> set[str]:
    """All names that nodes of a graph read, its own among them, and its outputs, which may be from around it."""
    found = {name_of(field, NAME) for field in fields_of(graph) if field.number == OUTPUT}
    for field in fields_of(graph):
        if field.number == NODE:
            found |= _inputs(field.value)
    return found


def graph_of(data: bytes) -> Field:
    """The graph of an ONNX network.

    Raises
    ------
    PackageInvalidError
        The bytes have none.
    """
    graph = next((field for field in fields_of(memoryview(data)) if field.number == GRAPH), None)
    if graph is None:
        raise PackageInvalidError("The network is no ONNX file: it has no graph.")
    return graph


def _names(message: memoryview, number: int) -> set[str]:
    """The texts of a repeated field; the empty one stands for what is left away."""
    return {_text(field) for field in fields_of(message) if field.number == number} - {""}


def name_of(field: Field, number: int) -> str:
    """The text in a message's field of that number; empty where it has none."""
    return next((_text(inner) for inner in fields_of(field.value) if inner.number == number), "")


def _text(field: Field) -> str:
    try:
        return str(field.value, "utf-8")
    except UnicodeDecodeError as error:
        raise PackageInvalidError("The network is no ONNX file: a name in it is no text.") from error


def fields_of(message: memoryview) -> Iterator[Field]:
    """The fields of a message, in order.

    Raises
    ------
    PackageInvalidError
        The bytes are no message.
    """
    at = 0
    while at < len(message):
        start = at
        tag, at = _read_varint(message, at)
        kind, begin = tag & 7, at
        if kind == VARINT:
            _, at = _read_varint(message, at)
            begin = at
        elif kind == BYTES:
            length, begin = _read_varint(message, at)
            at = begin + length
        elif kind in (FIXED32, FIXED64):
            at = begin = at + (4 if kind == FIXED32 else 8)
        else:
            raise PackageInvalidError("The network is no ONNX file.")
        if at > len(message):
            raise PackageInvalidError("The network is no whole ONNX file.")
        yield Field(tag >> 3, message[begin:at], message[start:at])


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at
    raise PackageInvalidError("The network is no whole ONNX file.")


def bytes_field(number: int, value: bytes) -> bytes:
    """A field that holds bytes, a text or a message."""
    return _varint(number << 3 | BYTES) + _varint(len(value)) + value


def varint_field(number: int, value: int) -> bytes:
    """A field that holds a number that is not negative."""
    return _varint(number << 3 | VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
