"""The field codec on a GPU gives the bytes and values of the CPU: in the simulator of numba-cuda, no GPU is needed.

The simulator replaces numba.cuda when that is imported, so all cases run in a process of their own, which is this file.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest


def walk(shape, seed):
    """A random walk along the last axis and the first."""
    x = np.random.default_rng(seed).standard_normal(shape)
    return np.cumsum(np.cumsum(x, -1), 0).astype(np.float32) if len(shape) > 1 else np.cumsum(x).astype(np.float32)


def holes():
    x = walk((4, 12, 21), 1)
    x[0, 0, :3], x[1, 3, 7], x[3, 11, 20], x[2, 5] = np.nan, 1e20, np.inf, -np.inf
    return x


def filled():
    x = walk((14, 33), 12)
    x[:3, :8], x[9:, 20:24] = 1e20, -9e7
    return x


def spikes():
    x = walk((2, 18, 31), 2)
    x[:, ::7, ::5] *= -1e3
    x[1, 9:] = np.random.default_rng(2).integers(-1, 2, (9, 31)) * 0.02  # fewer bits than the base, but not 0
    return x


def planes():
    return np.stack([walk((12, 33), 20 + i) for i in range(3)])


def long_rows():
    """What repeats from row to row, so that two axes are better than one."""
    return walk((1040,), 6) + walk((2, 2, 1040), 6) * np.float32(0.002)


def all_whole_but_one():
    x = np.rint(walk((12, 20), 7))
    x[0, 3] += 0.25
    return x


def half_way():
    """Where rounding decides: between two symbols, to the last bit."""
    q = np.random.default_rng(3).integers(-3000, 3000, (17, 40)) + 0.5
    return (q * 0.2).astype(np.float32) * np.float32(1 + 2**-23)


def constant_and_tiny():
    x = np.zeros((3, 9, 15), np.float32)
    x[2] = 1e-42
    return x


# name -> array, options, most values in a box (None: as it is), kind of all boxes
CASES = {
    "three axes, many boxes": (lambda: walk((4, 17, 30), 0), {"max_error_of_range": 1e-3}, 600, 3),
    "a line": (lambda: walk((700,), 4), {"max_error": 0.3}, 400, 1),
    "two axes": (lambda: walk((70, 33), 5), {"max_error": 0.4}, None, 2),
    "planes that have nothing in common": (planes, {"max_error": 0.4}, None, 2),
    "two tiles, rows longer than the halo": (long_rows, {"max_error": 0.5}, None, 3),
    "exceptions": (holes, {"max_error": 0.3}, 600, 3),
    "widths over 15 bits": (spikes, {"max_error": 1e-2}, None, 1),
    "whole numbers": (lambda: np.rint(walk((20, 45), 7)), {"max_error": 0.4}, None, 2),
    "all whole but one": (all_whole_but_one, {"max_error": 0.4}, None, 2),
    "half way": (half_way, {"max_error": 0.1}, None, 1),
    "nothing saved": (lambda: walk((3, 9, 15), 8), {"max_error": 1e-9}, None, 0),
    "zeros and denormals": (constant_and_tiny, {"max_error": 1e-3}, None, 1),
    "fill values": (filled, {"max_error_of_range": 1e-3}, None, 2),
    "the range is 0": (lambda: np.full((6, 7), 3.0, np.float32), {}, None, 0),
}


def mostly_zero():
    x = np.zeros(8300, np.float32)
    x[3000:3100] = walk((100,), 13)
    x[7000] = 500  # a symbol that its table lacks
    return x


def noise(size):
    return np.random.default_rng(14).standard_normal(size).astype(np.float32)


# name -> array, options; of files that are encoded on the CPU
FILES = {
    "interpolated": (lambda: walk((4, 12, 21), 1), {"max_error": 0.3}),
    "silent tiles": (mostly_zero, {"max_error": 0.5}),
    "residuals": (lambda: walk((4, 17, 30), 0), {"max_error": 0.5}),
    "two streams and low bits": (lambda: noise(5000), {"max_error": 1e-4}),
    "exceptions": (holes, {"max_error": 0.3}),
    "float16": (lambda: walk((6, 20), 11).astype(np.float16), {"max_error": 0.1, "mode": "fast"}),
    "volumes": (lambda: walk((3, 4, 5), 11), {"max_error_of_range": 1e-2, "axis": 0}),
    "empty": (lambda: np.zeros((0, 4), np.float32), {}),
}


def waves(shape):
    """Smooth along all axes."""
    axes = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    return np.sin(sum(axis / (5 + 2 * i) for i, axis in enumerate(axes))).astype(np.float32)


def shuffled():
    """Smooth in planes that have nothing in common."""
    return waves((5, 14, 15)) * np.random.default_rng(15).standard_normal((5, 1, 1)).astype(np.float32) * 3


def jumps():
    """What only differences along all axes predict, and noise."""
    rng = np.random.default_rng(16)
    sides = [rng.standard_normal(shape) * 1e3 for shape in ((5, 1, 1), (1, 9, 1), (1, 1, 11))]
    return (sum(sides) + rng.standard_normal((5, 9, 11))).astype(np.float32)


# name -> array, options, most values in a box, kinds of boxes, boxes that the CPU encodes, streams, low bits, axes
CODED = {
    "differences": (lambda: walk((4, 12, 21), 0), {"max_error": 0.2}, 600, {6}, 0, 4, False, None),
    "pictures": (lambda: walk((20, 33), 5), {"max_error": 0.5}, 400, {5}, 0, 2, False, None),
    "low bits of differences": (jumps, {"max_error": 1e-2}, None, {6}, 0, 8, True, None),
    "a line": (lambda: walk((400,), 4), {"max_error": 0.5}, None, {4}, 0, 2, False, None),
    "interpolated": (lambda: waves((9, 11, 13)), {"max_error": 1e-4}, None, {7}, 0, 16, True, 0x77),
    "low bits": (lambda: noise(1000), {"max_error": 5e-3}, None, {7}, 0, 16, True, 0x11),
    "planes": (shuffled, {"max_error": 1e-3}, None, {7}, 0, 8, True, 0x33),
    "silent tiles": (mostly_zero, {"max_error": 0.5}, None, {7}, 0, 2, False, 0x11),
    "short": (lambda: np.round(waves((20, 21))), {"max_error": 0.4}, None, {4}, 0, 0, False, None),
    "exceptions": (holes, {"max_error": 0.3}, 300, {6, 7}, 3, 2, False, None),
    "nothing saved": (lambda: walk((3, 9, 15), 8), {"max_error": 1e-9}, None, {0}, 1, None, False, None),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What the process with the simulator found; run by one of the test workers, read by all."""
    pytest.importorskip("numba_cuda")
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    found = folder / "field_cuda.json"
    try:
        os.close(os.open(folder / "field_cuda.lock", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        while not found.exists():
            time.sleep(0.2)
    else:
        environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
        done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, check=False)
        (folder / "field_cuda.part").write_text(json.dumps([done.returncode, done.stdout, done.stderr[-4000:]]))
        (folder / "field_cuda.part").rename(found)
    failed, out, error = json.loads(found.read_text())
    assert not failed, error
    return json.loads(out)


@pytest.mark.parametrize("case", CASES)
def test_the_gpu_gives_the_bytes_and_values_of_the_cpu(outcomes, case):
    outcome = outcomes[case]
    assert outcome["same_bytes"]
    assert outcome["same_values"]
    assert outcome["kinds"] == [CASES[case][3]], "not what this case is about"
    assert outcome["base"] > 0 or case != "widths over 15 bits"


@pytest.mark.parametrize("case", CODED)
def test_ratio_mode_gives_the_bytes_of_the_cpu(outcomes, case):
    outcome, (_, _, _, kinds, on_cpu, streams, low, axes) = outcomes["coded"][case], CODED[case]
    assert outcome["same_bytes"]
    assert outcome["same_costs"]
    found = [outcome[name] for name in ("kinds", "on_cpu", "streams", "low", "axes")]
    assert found == [sorted(kinds), on_cpu, streams, low, axes], "not what this case is about"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("archive", "encodes in modes 'ratio' and 'fast' .* got mode='archive'; encode a copy"),
        ("of_value", "got mode='fast', max_error_of_value=0.1"),
        ("float64", "encodes float32 arrays .* got float64 of shape \\[3\\]"),
        ("host", "takes arrays in device memory .* got ndarray"),
        ("strided", "takes C-contiguous arrays"),
        ("damaged", "box 0 of 1 of this field file"),
    ],
)
def test_what_it_does_not_take_is_said(outcomes, what, message):
    assert re.search(message, outcomes["messages"][what]), outcomes["messages"][what]


@pytest.mark.parametrize("file", FILES)
def test_every_file_is_decoded_into_device_memory(outcomes, file):
    assert outcomes["files"][file]


@pytest.mark.parametrize("kind", ["interpolated", "residuals"])
def test_damaged_streams_are_noticed(outcomes, kind):
    for said in outcomes["damaged"][kind]:
        assert re.search("box 0 of 1 of this field file: .*(streams|tables|damaged|outside|declare)", said), said


def test_without_a_gpu_the_message_says_so():
    from midtread.codecs.tensor.field import Field
    from midtread.errors import UsageError

    code = "device='cuda' (found no GPU|needs numba-cuda)"
    with pytest.raises(UsageError, match=code):
        Field(device="cuda", mode="fast").encode(np.zeros(3, np.float32))


# --- in the process with the simulator ---


def repair_simulator():
    """Shared arrays: threads that ask at once must not get two different ones. Barriers: waiting must not be busy."""
    from numba.cuda.np import numpy_support
    from numba.cuda.simulator import kernel, kernelapi

    lock = threading.Lock()

    def array(self, shape, dtype):
        frame = sys._getframe(1)
        with lock:
            return self._allocations.setdefault(
                (frame.f_code.co_filename, frame.f_lineno), np.empty(shape, numpy_support.as_dtype(dtype))
            )

    def run_block(self, grid_point, *args):
        self.barrier = threading.Barrier(int(np.prod(self._block_dim)))

        def target():
            try:
                self._f(*args)
            except BaseException:
                self.barrier.abort()
                raise

        threads = [kernel.BlockThread(target, self, grid_point, i, False) for i in np.ndindex(*self._block_dim)]
        for work in (threading.Thread.start, threading.Thread.join):
            for thread in threads:
                work(thread)
        failed = [
            t.exception for t in threads if t.exception and not isinstance(t.exception[0], threading.BrokenBarrierError)
        ]
        if failed:
            raise failed[0][0].with_traceback(failed[0][1])

    kernelapi.FakeCUDAShared.array = array
    kernel.BlockManager.run = run_block
    kernel.BlockThread.syncthreads = lambda self: self._manager.barrier.wait(60)


def run(name):
    from numba import cuda

    from midtread import container
    from midtread.codecs.tensor import field
    from midtread.container import Tag

    make, options, most, _ = CASES[name]
    most_as_it_is, x = field.MOST["fast"], make()
    field.MOST["fast"] = most or most_as_it_is
    want = bytes(field.Field(mode="fast", **options).encode(x))
    got = bytes(field.Field(mode="fast", device="cuda", **options).encode(cuda.to_device(x)))
    field.MOST["fast"] = most_as_it_is
    x_hat = field.Field(device="cuda").decode(want).copy_to_host()
    expected = field.decode(want)
    bodies = [span.body for span in container.index(want)[1] if span.tag == Tag.PAYLOAD]
    return {
        "same_bytes": got == want,
        "same_values": x_hat.tobytes() == expected.tobytes() and x_hat.shape == expected.shape,
        "kinds": sorted({want[body] for body in bodies}),
        "base": want[bodies[0] + 10],  # where there are no exceptions
    }


def code(name):
    """Ratio mode, with thresholds that small arrays reach: of streams, of what is counted, of what is tried."""
    from unittest.mock import patch

    from numba import cuda

    from midtread import container
    from midtread.codecs.tensor import field, field_box, field_cuda_code, field_streams, field_symbols
    from midtread.container import Tag
    from midtread.kernels.cuda import field_code

    make, options, most, *_ = CODED[name]
    x, coder, ran, costs = make(), field_cuda_code.Coder, [], []
    how_many, works, known = field_streams.how_many, [], set()

    def on_cpu(self, number, own=coder._on_cpu):
        ran.append(number)
        return own(self, number)

    def streams(self, own=field_cuda_code.Work.streams):
        costs.extend(self.results[:, field_code.COST].tolist())
        works.append(self.results[:, field_code.FOUND_SHIFT].any())
        return own(self)

    with (
        patch.dict(field.MOST, {"ratio": most or field.MOST["ratio"]}),
        patch.multiple(field_streams, _LEAST_BYTES=48, _SHORT_BYTES=48),
        patch.object(field_symbols, "SAMPLED", 900), patch.object(field_code, "SAMPLED", 900),
        patch.object(field_box, "TRIED", 256),
        patch.object(coder, "_on_cpu", on_cpu), patch.object(field_cuda_code.Work, "streams", streams),
    ):  # fmt: skip
        with patch.object(field_streams, "how_many", lambda cost: known.add(cost) or how_many(cost)):
            want = bytes(field.Field(**options).encode(x))
        got = bytes(field.Field(device="cuda", **options).encode(cuda.to_device(x)))
        many = max((how_many(cost) for cost in costs), default=None)
    bodies = [span.body for span in container.index(want)[1] if span.tag == Tag.PAYLOAD]
    kinds = sorted({want[body] for body in bodies})
    return {
        "same_bytes": got == want, "same_costs": known >= set(costs), "kinds": kinds, "on_cpu": len(ran),
        "streams": many, "low": bool(any(works)), "axes": want[bodies[0] + 10] if kinds == [7] else None,
    }  # fmt: skip


def messages():
    from numba import cuda

    from midtread import container
    from midtread.codecs.tensor.field import Field
    from midtread.container import Tag
    from midtread.errors import CodecError

    x = walk((3, 5, 400), 9)
    data = bytearray(Field(mode="fast", max_error=0.1).encode(x))

    body = next(span.body for span in container.index(bytes(data))[1] if span.tag == Tag.PAYLOAD)
    data[body + 40] ^= 1
    calls = {
        "archive": lambda: Field(device="cuda", mode="archive").encode(cuda.to_device(x)),
        "of_value": lambda: Field(device="cuda", mode="fast", max_error_of_value=0.1).encode(cuda.to_device(x)),
        "float64": lambda: Field(device="cuda", mode="fast").encode(cuda.to_device(np.zeros(3))),
        "host": lambda: Field(device="cuda", mode="fast").encode(x),
        "strided": lambda: Field(device="cuda", mode="fast").encode(cuda.to_device(x)[:, ::2]),
        "damaged": lambda: Field(device="cuda").decode(bytes(data)),
    }
    said = {}
    for name, call in calls.items():
        try:
            call()
            said[name] = "nothing"
        except CodecError as error:
            said[name] = str(error)
    return said


def same_on_gpu(name):
    from midtread.codecs.tensor.field import Field, decode

    make, options = FILES[name]
    data = bytes(Field(**options).encode(make()))
    got, want = Field(device="cuda").decode(data).copy_to_host(), decode(data)
    return (got.dtype, got.shape, got.tobytes()) == (want.dtype, want.shape, want.tobytes())


def damaged(name):
    """What is said when bytes of the payload are others, under a right checksum."""
    from dataclasses import replace

    from midtread import container
    from midtread.codecs.tensor.field import Field
    from midtread.errors import CodecError

    make, options = FILES[name]
    file = container.read(bytes(Field(**options).encode(make())))
    payload, said = bytearray(file.chunks[1].data), []
    for at in (len(payload) - 1, len(payload) - 60, len(payload) // 2):
        payload[at] ^= 0x55
        broken = replace(file, chunks=(file.chunks[0], replace(file.chunks[1], data=bytes(payload))))
        try:
            Field(device="cuda").decode(container.write(broken))
            said.append("nothing")
        except CodecError as error:
            said.append(str(error))
    return said


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    repair_simulator()
    from midtread.kernels.cuda import field_unpack

    field_unpack.REGION = 256  # so that small arrays have several
    results = {name: run(name) for name in CASES}
    results["files"] = {name: same_on_gpu(name) for name in FILES}
    results["coded"] = {name: code(name) for name in CODED}
    results["damaged"] = {name: damaged(name) for name in ("interpolated", "residuals")}
    print(json.dumps({**results, "messages": messages()}))
