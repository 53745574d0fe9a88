"""Just enough of the ONNX file format to write a graph with its weights in memory, without the package `onnx`.

An ONNX model is a protocol-buffers message: fields of a number and a value, each field's key being number << 3 | kind.
Source: onnx.proto3 (github.com/onnx/onnx), opset 17, IR version 8; encoding: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from midtread.container import varint

IR, OPSET, MICROSOFT = 8, 17, "com.microsoft"
_KINDS = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}  # TensorProto.DataType
_FLOAT, _INT, _INTS = 1, 2, 7  # AttributeProto.AttributeType


def _field(number: int, value: int | float | str | bytes) -> bytes:
    """One field: a varint, four bytes, or a length and bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value & 0xFFFFFFFFFFFFFFFF)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def _attribute(name: str, value: int | float | list[int]) -> bytes:
    if isinstance(value, list):
        return _field(1, name) + b"".join(_field(8, item) for item in value) + _field(20, _INTS)
    number, kind = (2, _FLOAT) if isinstance(value, float) else (3, _INT)
    return _field(1, name) + _field(number, value) + _field(20, kind)


class Graph:
    """A graph under construction: `node` adds one and returns the name of its output."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes, self._inputs, self._outputs = b"", b"", b""
        self._constants: dict[str, bytes] = {}
        self._count = 0

    def node(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node of one output."""
        self._count += 1
        output = f"{kind}{self._count}"
        body = b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, kind) + _field(7, domain)
        body += b"".join(_field(5, _attribute(key, value)) for key, value in attributes.items())
        self._nodes += _field(1, body)
        return output

    def constant(self, name: str, values: np.ndarray) -> str:
        """An array inside the graph, once for each name."""
        if name not in self._constants:
            body = b"".join(_field(1, side) for side in values.shape) + _field(2, _KINDS[values.dtype.name])
            self._constants[name] = _field(
                5, body + _field(8, name) + _field(9, np.ascontiguousarray(values).tobytes())
            )
        return name

    def ints(self, *values: int) -> str:
        """A vector of int64 inside the graph, as shapes and axes are given."""
        return self.constant(f"ints {values}", np.array(values, np.int64))

    def scalar(self, value: float, dtype: str = "float32") -> str:
        """A number inside the graph."""
        return self.constant(f"{dtype} {value}", np.array(value, dtype))

    def input(self, name: str, dtype: str, shape: list[int | str]) -> str:
        """Declare an input; strings in `shape` are sizes that vary."""
        self._inputs += _field(11, _value(name, dtype, shape))
        return name

    def output(self, name: str, source: str, dtype: str, shape: list[int | str]) -> None:
        """Declare `source` as the output `name`."""
        self._nodes += _field(1, _field(1, source) + _field(2, name) + _field(4, "Identity"))
        self._outputs += _field(12, _value(name, dtype, shape))

    def model(self) -> bytes:
        """The ONNX file."""
        parts = self._nodes, _field(2, self.name), *self._constants.values(), self._inputs, self._outputs
        versions = ("", OPSET), (MICROSOFT, 1)
        opsets = [_field(8, _field(1, domain) + _field(2, version)) for domain, version in versions]
        return b"".join([_field(1, IR), *opsets, _field(7, b"".join(parts))])


def _value(name: str, dtype: str, shape: list[int | str]) -> bytes:
    sides = b"".join(_field(1, _field(1 if isinstance(side, int) else 2, side)) for side in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, _KINDS[dtype]) + _field(2, sides)))
