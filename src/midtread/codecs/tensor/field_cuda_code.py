"""Ratio mode of the field codec on a GPU: float32 arrays in device memory to the payloads of their boxes.

    steps of the boxes ──► middles of boxes, all predictors ──► boxes, the best of each ──► streams ──► payloads

The axes of interpolation are found from copies of three boxes. Boxes with exceptions go through the CPU's codec, and so
do those whose symbols fill no stream or whose bytes are hardly fewer than their values.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from midtread.codecs.tensor import field_box, field_streams, field_symbols, field_tables
from midtread.codecs.tensor.field_bound import LINEAR
from midtread.codecs.tensor.field_cuda_fast import FLOAT32, Survey, fetch
from midtread.codecs.tensor.field_grid import Box, Grid, whole
from midtread.kernels.cuda import field_classes, field_code, rans
from midtread.kernels.cuda.common import cuda
from midtread.kernels.cuda.field_restore import COLUMNS, THREADS
from midtread.kernels.field_parts_slow import FLAG, TILE

_BATCH = 1 << 26  # values coded at a time; each takes some 40 bytes of device memory
_FLOAT32_STEPS = 2.0**-100, 2.0**100  # outside, interpolation is not tried


class Work:
    """Some boxes in memory of the device, predicted and ready for the entropy coder."""

    def __init__(
        self, x: Any, pitches: tuple[int, int], bound: float, plan: field_box.Plan,
        tasks: list[tuple[Box, int, float, int]],
    ) -> None:  # fmt: skip
        """Each task is a box of x, its kind, its step and its low bits, -1 where these are to be found."""
        count = len(tasks)
        jobs = np.zeros((count, COLUMNS), np.int64)
        sent = np.zeros((count, FLAG + 1), np.uint8)
        symbols = room = coded = 0
        for i, (box, kind, _, shift) in enumerate(tasks):
            contexts = field_symbols.sent_contexts(box.sides, plan.axes)
            order = 0 if kind == field_box.INTERPOLATED else (kind - 1) % 3 + 1
            sent[i, : contexts.size] = contexts
            counted = i * (FLAG + 1) * field_code.COUNTED
            jobs[i] = (
                *box.sides, plan.axes, shift, order, counted, contexts.size, coded, box.start, symbols, room
            )  # in the order of field_restore's columns  # fmt: skip
            symbols += -(-box.size // 64) * 64
            halves = (n + 1 >> 1 if plan.axes >> 4 & 4 >> axis else n for axis, n in enumerate(box.sides))
            room += box.size + 2 * math.prod(halves)
            coded += FLAG + 1 + box.size + -(-box.size // TILE) + 64
        self.first, costs = jobs[:, field_code.CODED_AT], field_tables.costs()
        self._jobs, self._results = (
            cuda.to_device(jobs),
            cuda.to_device(np.zeros((count, field_code.RESULTS), np.int64)),
        )
        self._symbols, self._low = cuda.device_array(symbols, np.int32), symbols * 24 // 32
        contexts, flags = cuda.device_array(symbols, np.uint8), cuda.device_array(symbols, np.int32)
        counts = cuda.device_array(count * (FLAG + 1) * field_code.COUNTED, np.int32)
        self._coded, self._which = cuda.device_array(coded, np.int32), cuda.device_array(coded, np.uint8)
        self._ends = cuda.to_device(np.zeros((count, field_code.MOST_GROUPS), np.int64))
        steps = cuda.to_device(np.array([step for _, _, step, _ in tasks]))
        priced = tuple(cuda.to_device(np.ascontiguousarray(part)) for part in costs)
        field_code.interpolate[count, THREADS](
            self._jobs, cuda.to_device(sent), steps, bound, priced, x, *pitches, self._symbols, contexts, flags,
            cuda.device_array(room, np.uint8), cuda.device_array(room, np.float32), counts, self._coded, self._which,
            self._ends, self._results,
        )  # fmt: skip
        field_classes.difference[count, THREADS](
            self._jobs, steps, bound, priced, x, *pitches, self._symbols, contexts, flags, counts, self._coded,
            self._which, self._ends, self._results,
        )  # fmt: skip
        self.results = self._results.copy_to_host()

    def streams(self) -> Iterator[list[bytes]]:
        """Of each box: its low bits, and its streams."""
        many = np.array([field_streams.how_many(cost) for cost in self.results[:, field_code.COST].tolist()])
        packed, count = field_tables.tables().packed, len(many)
        words = cuda.device_array(2 * self._coded.size, np.uint32)
        states = cuda.device_array((count, rans.STREAMS * rans.LANES), np.uint64)
        spans = cuda.to_device(np.zeros((count, rans.STREAMS, 2), np.int64))
        groups = self.results[:, field_code.GROUPS].copy()
        tables = tuple(cuda.to_device(part) for part in (packed.base, packed.size, packed.cumulative, packed.low))
        rans.write_groups[count, min(rans.STREAMS, THREADS)](
            cuda.to_device(self.first.copy()), cuda.to_device(groups), self._ends, cuda.to_device(many), self._coded,
            self._which, tables, words, states, spans,
        )  # fmt: skip
        own = spans.copy_to_host()
        coded, sizes = _collected(words, own.reshape(-1, 2))
        offsets = np.concatenate([[0], np.cumsum(sizes.reshape(count, -1).sum(axis=1))])
        sizes, all_states, ends = sizes.reshape(count, -1), states.copy_to_host(), self._ends.copy_to_host()
        low = self._low_planes()
        for i in range(count):
            if many[i]:
                head = [bytes([many[i]]), sizes[i, : many[i]].astype("<u4").tobytes()]
                body = all_states[i, : rans.LANES * many[i]].astype("<u8").tobytes()
                streams = [*head, body, coded[offsets[i] : offsets[i + 1]].tobytes()]
            else:
                streams = self._short(i, ends[i, : groups[i]])
            shift = int(self.results[i, field_code.FOUND_SHIFT])
            yield [bytes([shift]) + low[i], b"".join(streams)]

    def _short(self, i: int, ends: np.ndarray) -> list[bytes]:
        own = slice(int(self.first[i]), int(self.first[i] + ends[-1]))
        coded, which = self._coded[own].copy_to_host(), self._which[own].copy_to_host()
        tables, cost = np.arange(field_tables.COUNT, dtype=np.uint8), int(self.results[i, field_code.COST])
        return [bytes(part) for part in field_streams.write(coded, which, tables, ends.copy(), cost)]

    def _low_planes(self) -> list[bytes]:
        shifts, jobs = self.results[:, field_code.FOUND_SHIFT], self._jobs.copy_to_host()
        if not shifts.any():
            return [b""] * len(shifts)
        planes = cuda.device_array(self._low, np.uint32)
        field_code.low_planes[len(shifts), THREADS](self._jobs, self._results, self._symbols, planes)
        starts = jobs[:, field_code.SYMBOLS_AT] // 32 * 24
        ends = starts + -(-jobs[:, : field_code.WIDTH + 1].prod(axis=1) // 32) * shifts
        words, sizes = _collected(planes, np.stack([starts, ends], axis=1))
        return [part.tobytes() for part in np.split(words, np.cumsum(sizes)[:-1])]


def _collected(words: Any, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the words of spans of device memory, '<u4', one behind the other, how many of each)."""
    sizes = spans[:, 1] - spans[:, 0]
    ends = np.cumsum(sizes)
    if not ends[-1]:
        return np.empty(0, "<u4"), sizes
    out = cuda.device_array(int(ends[-1]), np.uint32)
    rans.collect[len(spans), THREADS](words, cuda.to_device(spans), cuda.to_device(ends - sizes), out)
    return out.copy_to_host().astype("<u4", copy=False), sizes


class Coder:
    """A float32 vector in device memory, encoded as `field_box` does in ratio mode."""

    def __init__(self, grid: Grid, x: Any, *, max_error: float | None, max_error_of_range: float | None) -> None:
        """Survey the vector; just one of the bounds is given."""
        self._survey = Survey(grid, max_error=max_error, max_error_of_range=max_error_of_range)
        self._grid, self._x = grid, x
        self._work, fills = self._survey.settle(x)
        self.bound, self._steps, self._plain = self._survey.steps()
        samples = np.zeros(x.size, np.float32)  # pages that are never written take no memory
        for number in sorted({0, len(grid) // 2, len(grid) - 1}):
            box = grid.place(number)
            box.view(samples)[:] = fetch(x, self._survey.place, number, box)
        samples.flags.writeable = False
        self._plan = field_box.plan(samples, grid, self.bound, LINEAR, "ratio", fills)
        self._pitches = self._survey.place[2:]

    def payloads(self) -> list[bytes]:
        """The bytes of each box."""
        low, high = _FLOAT32_STEPS
        good = (self._steps > 0) & (self._plain > low) & (self._plain < high) & (self.bound > 0)
        payloads: dict[int, bytes] = {}
        numbers, each = np.flatnonzero(good).tolist(), max(_BATCH // math.prod(self._grid.box), 1)
        for start in range(0, len(numbers), each):
            self._code(numbers[start : start + each], payloads)
        return [payloads.get(number) or self._on_cpu(number) for number in range(len(self._grid))]

    def _code(self, numbers: list[int], payloads: dict[int, bytes]) -> None:
        """Some boxes, but for those with exceptions."""
        kinds, boxes = self._plan.kinds, [self._grid.place(number) for number in numbers]
        parts = [box if box.size <= 2 * field_box.TRIED else box.middle(field_box.TRIED) for box in boxes]
        tried = self._run(
            [self._task(n, part, kind, -1) for n, part in zip(numbers, parts, strict=True) for kind in kinds]
        )
        found = tried.results.reshape(len(numbers), len(kinds), -1)
        best = found[:, :, field_code.COST].argmin(axis=1)
        shifts = found[np.arange(best.size), best, field_code.FOUND_SHIFT]
        clean = np.flatnonzero((found[:, :, field_code.MISSED] == 0).all(axis=1))
        if not clean.size:
            return
        tasks = [self._task(numbers[i], boxes[i], kinds[best[i]], int(shifts[i])) for i in clean]
        work = self._run(tasks)
        for i, (box, kind, step, _), (low, streams), result in zip(
            clean.tolist(), tasks, work.streams(), work.results.tolist(), strict=True
        ):
            interpolated = kind == field_box.INTERPOLATED
            own = bytes([self._plan.axes]) + low if interpolated else low + bytes([result[field_code.TABLE]])
            payload = bytes([kind]) + b"\0" + struct.pack("<d", step) + own + streams
            if not result[field_code.MISSED] and len(payload) <= 0.5 * box.size * FLOAT32.itemsize:
                payloads[numbers[i]] = payload

    def _task(self, number: int, box: Box, kind: int, shift: int) -> tuple[Box, int, float, int]:
        steps = self._plain if kind == field_box.INTERPOLATED else self._steps
        return box, kind, float(steps[number]), shift

    def _run(self, tasks: list[tuple[Box, int, float, int]]) -> Work:
        return Work(self._work, self._pitches, self.bound, self._plan, tasks)

    def _on_cpu(self, number: int) -> bytes:
        values = fetch(self._x, self._survey.place, number, self._grid.place(number))
        parts = field_box.encode(values.reshape(-1), whole(values.shape), self._plan)
        return b"".join(bytes(part) for part in parts)
