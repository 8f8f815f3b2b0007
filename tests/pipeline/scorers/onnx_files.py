"""ONNX files written byte by byte, because the package that makes them is no dependency.

The field numbers are those of onnx.proto (ModelProto, GraphProto, NodeProto, AttributeProto, ValueInfoProto).
"""

from pathlib import Path

FLOAT, INT, INTS = 1, 2, 7  # element type of tensors, kinds of attributes


def varint(value: int) -> bytes:
    parts = []
    while True:
        value, low = value >> 7, value & 127
        parts.append(low | (128 if value else 0))
        if not value:
            return bytes(parts)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(data)) + data


def tensor(name: str, shape: tuple[int | str, ...]) -> bytes:
    dims = b"".join(message(1, number(1, d) if isinstance(d, int) else message(2, d)) for d in shape)
    return message(1, name) + message(2, message(1, number(1, FLOAT) + message(2, dims)))


def write_mean_model(path: Path, batch: int | str = "n", axes: tuple[int, int] = (2, 3)) -> Path:
    """A model [n, 3, h, w] -> [n, 3] (with ``axes`` (1, 2): [n, h, w, 3] -> [n, 3]): the mean of each channel."""
    dims = b"".join(number(8, axis) for axis in axes)
    reduced = message(5, message(1, "axes") + dims + number(20, INTS))
    kept = message(5, message(1, "keepdims") + number(3, 0) + number(20, INT))
    node = message(1, "x") + message(2, "y") + message(4, "ReduceMean") + reduced + kept
    shape = (batch, 3, "h", "w") if axes == (2, 3) else (batch, "h", "w", 3)
    graph = message(1, node) + message(2, "means") + message(11, tensor("x", shape))
    graph += message(12, tensor("y", (batch, 3)))
    path.write_bytes(number(1, 7) + message(7, graph) + message(8, number(2, 11)))
    return path
