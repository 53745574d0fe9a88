"""Boxes of rANS streams on a GPU: the payloads of many, decoded at once in device memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from midtread.codecs.tensor import field_streams, field_symbols, field_tables
from midtread.codecs.tensor.field_grid import Box
from midtread.container import Reader
from midtread.errors import BitstreamError
from midtread.kernels.cuda import field_restore, field_tiles
from midtread.kernels.cuda.common import cuda
from midtread.kernels.cuda.rans import LANES, STREAMS
from midtread.kernels.field_tiles_slow import TILE

_MOST_SENT = field_restore.FLAG + 1  # contexts


class Coded:
    """Boxes of a file, collected; either all are interpolated, or all have residuals."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._jobs: list[list[int]] = []
        self._low: list[np.ndarray] = []
        self._streams: list[tuple[Any, int]] = []
        self._words = self._low_words = self._symbols = 0
        self._status: Any = None

    def _add(self, number: int, box: Box, how: int, sent: int, low: tuple[int, np.ndarray], streams: Any,
             out: int, room: int, memory: int) -> None:  # fmt: skip
        count, lanes = streams.states.shape
        self.numbers.append(number)
        self._jobs.append(
            [*box.sides, how, low[0], count, lanes, sent, self._low_words, out, self._symbols, room]
        )  # in the order of field_restore's columns
        self._low.append(low[1])
        self._streams.append((streams, self._words))
        self._words += int(streams.end[-1])
        self._low_words += low[1].size
        self._symbols += memory

    def _arguments(self) -> tuple[Any, ...]:
        """What both kernels take: low bits, words, states, places, ends, tables."""
        count = len(self.numbers)
        states, places = np.zeros((count, STREAMS, LANES), np.uint64), np.zeros((count, STREAMS), np.int64)
        ends, words = np.zeros((count, STREAMS), np.int64), np.zeros(self._words + 1, np.uint32)
        for i, (streams, first) in enumerate(self._streams):
            many, lanes = streams.states.shape
            states[i, :many, :lanes] = streams.states
            places[i, :many], ends[i, :many] = streams.p + first, streams.end + first
            words[first : first + streams.end[-1]] = streams.words[: streams.end[-1]]
        packed, device = field_tables.tables().packed, cuda.to_device
        tables = (
            packed.lut_bits,
            *map(device, (packed.base, packed.size, packed.cumulative, packed.value, packed.lut)),
        )
        low = np.concatenate([*self._low, np.zeros(1, np.uint32)])
        return device(low), device(words), device(states.reshape(count, -1)), device(places), device(ends), tables

    def _memory(self) -> tuple[Any, ...]:
        kinds = (np.uint8, np.uint8, np.int32, np.int32)
        return tuple(cuda.device_array(self._symbols, kind) for kind in kinds)

    def check(self, count: int) -> None:
        """Wait for the kernel; raise BitstreamError when a box, of `count` in the file, is damaged."""
        damaged = np.flatnonzero(self._status.copy_to_host()) if self.numbers else np.empty(0)
        if damaged.size:
            raise BitstreamError(
                f"box {self.numbers[damaged[0]]} of {count} of this field file: the streams do not end where they "
                "should, or name what there is not: they are damaged"
            )


def _read_low(reader: Reader, size: int) -> tuple[int, np.ndarray]:
    """(how many, their planes) of the low bits."""
    shift = reader.uint(1, "number of low bits", at_most=24)
    planes = np.frombuffer(reader.take(4 * shift * -(-size // 32), "planes of low bits"), "<u4")
    return shift, planes.astype(np.uint32)


class Interpolated(Coded):
    """Boxes that are interpolated."""

    def __init__(self) -> None:
        super().__init__()
        self._sent: list[np.ndarray] = []
        self._steps: list[float] = []
        self._room = 0

    def add(self, number: int, reader: Reader, box: Box, step: float) -> None:
        """Take in what follows the step of a box of a vector. Raises BitstreamError."""
        axes = reader.uint(1, "axes of interpolation", at_most=0x77)
        if axes & 8:
            raise BitstreamError(f"axes of interpolation are two times three bits, these are {axes:#x}")
        low, sent = _read_low(reader, box.size), field_symbols.sent_contexts(box.sides, axes)
        streams = field_streams.Source(reader).streams
        reader.end("the box")
        known = math.prod(n + 1 >> 1 if axes >> 4 & 4 >> axis else n for axis, n in enumerate(box.sides))
        self._add(number, box, axes, sent.size, low, streams, box.start, self._room, max(box.size, sent.size))
        self._sent.append(np.pad(sent, (0, _MOST_SENT - sent.size)).astype(np.uint8))
        self._steps.append(step)
        self._room += box.size + 2 * known

    def prepare(self, pitch_z: int, pitch_y: int, out: Any) -> Callable[[Any], None]:
        """What starts the kernel, on a stream of numba's, that fills the boxes of a float32 vector in device memory."""
        count, device = len(self.numbers), cuda.to_device
        self._status = cuda.device_array(count, np.int32)
        sizes, x_hat = cuda.device_array(self._room, np.uint8), cuda.device_array(self._room, np.float32)
        arguments = (
            device(np.array(self._jobs, np.int64)), device(np.stack(self._sent)), device(np.array(self._steps)),
            *self._arguments(), pitch_z, pitch_y, *self._memory(), sizes, x_hat, out, self._status,
        )  # fmt: skip
        return lambda stream: field_restore.restore[count, field_restore.THREADS, stream](*arguments)


class Tiled(Coded):
    """Boxes of Lorenzo residuals."""

    def __init__(self) -> None:
        super().__init__()
        self._residuals = 0

    def add(self, number: int, reader: Reader, box: Box) -> int:
        """Take in what follows the step of a box; where its residuals will be. Raises BitstreamError."""
        low = _read_low(reader, box.size)
        table = reader.uint(1, "table of the classes", at_most=field_tables.COUNT - 1)
        streams = field_streams.Source(reader).streams
        reader.end("the box")
        first = self._residuals
        self._add(number, box, table, 0, low, streams, first, 0, -(-box.size // TILE) * TILE)
        self._residuals += box.size
        return first

    def prepare(self) -> tuple[Any, Callable[[Any], None]]:
        """The residuals of all, int32 in device memory, and what starts the kernel that fills them."""
        count = len(self.numbers)
        self._status, out = cuda.device_array(count, np.int32), cuda.device_array(self._residuals, np.int32)
        jobs = cuda.to_device(np.array(self._jobs, np.int64))
        arguments = jobs, *self._arguments(), *self._memory(), out, self._status
        return out, lambda stream: field_tiles.restore[count, field_restore.THREADS, stream](*arguments)
