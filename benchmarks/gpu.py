"""`field`, `learned`, `gaussian` on a GPU: what the CPU gives, then speed; CompressAI-Science's table beside ours.

    python benchmarks/gpu.py            # prints tables, writes benchmarks/results/gpu.json; some 4 minutes; 2: no GPU
    python benchmarks/gpu.py gaussian   # that alone, to results/gpu_gaussian.json

From a bare checkout: PYTHONPATH=src, with numpy, numba, numba-cuda, zstandard, imagecodecs (CRC-32), Pillow, and for
`learned` torch and onnxruntime.
Data: `turbulence` of 256**3 ("velocity") and exp(1.8 of it) ("density"), repeated to the shapes; both larger than any
L2 cache. Times are of CUDA events around everything between an array in device memory and its packed form there, or
back: the median of the repeats, after a warm-up; "replayed" is the same kernels as one CUDA graph, without the time
that Python takes to start them. GB/s are of input; % of the roofline: a device copy, bytes read and written counted.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import gpu_gaussian
import gpu_learned

SHAPES = {"512 x 3 x 128 x 128": (512, 3, 128, 128), "1 GiB": (1024, 512, 512)}
BOUNDS = (1e-2, 1e-3, 1e-4)
WARM_UP, REPEATS = 3, 31
ENCODED = 5  # repeats of ratio mode's encoder
TARGETS_GBPS = {"encode": 1000.0, "decode": 1400.0}

# WenjingHuangHPC/CompressAI-Science as of 2026-01-18: NYX, normalised to 0..1, through bmshj2018-factorized on an H100
# in FP16 and FP8, end to end. No bound. Its PSNR of 13.8 and 13.5 dB is of 2 rmse; here it is that of the range.
PUBLISHED: tuple[dict[str, Any], ...] = tuple(
    {
        "codec": "CompressAI-Science", "device": "H100, published", "ratio": ratio, "gbps": "18.8 - 24.3", "rmse": None,
        "nrmse": 10 ** (-psnr_db / 20), "psnr_db": psnr_db, "max_error": "0.88 - 0.92", "bound": None,
    }
    for ratio, psnr_db in ((79, 19.8), (158, 19.5))
)  # fmt: skip


class OnlyDlpack:
    """A tensor that shows nothing but DLPack."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def __dlpack__(self, **options: Any) -> Any:
        return self._tensor.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._tensor.__dlpack_device__()


def check_tensors() -> bool | None:
    """Whether tensors of torch are taken by both of their interfaces, and come back as one; None without torch."""
    try:
        import torch
    except ImportError:
        return None
    from midtread.codecs.tensor.field import Field

    x = np.cumsum(np.random.default_rng(0).standard_normal((9, 33, 70)), axis=-1).astype(np.float32)
    tensor, codec = torch.from_numpy(x).cuda(), Field(mode="fast", max_error=0.1, device="cuda")
    want = bytes(Field(mode="fast", max_error=0.1).encode(x))
    back = torch.as_tensor(codec.decode(want), device="cuda")
    good = bytes(codec.encode(tensor)) == want and bytes(codec.encode(OnlyDlpack(tensor))) == want
    return good and bool((back - tensor).abs().max() <= 0.1)


def field_of(shape: tuple[int, ...], cubes: dict[str, np.ndarray], name: str) -> np.ndarray:
    """The cube, which is periodic, repeated and cut to a shape."""
    size, cube = int(np.prod(shape)), cubes[name]
    if shape[-1] < cube.shape[-1]:  # pieces of planes as pictures
        side = shape[-1]
        pieces = cube.reshape(256, 256 // side, side, 256 // side, side).transpose(1, 3, 0, 2, 4)
        return np.ascontiguousarray(np.resize(pieces, (size // side // side, side, side)).reshape(shape))
    return np.tile(cube, [n // 256 for n in shape])


def timed_ms(work: Callable[[], Any]) -> float:
    """Median milliseconds between two events around the work."""
    from numba import cuda

    times = []
    for i in range(WARM_UP + REPEATS):
        start, end = cuda.event(timing=True), cuda.event(timing=True)
        start.record()
        work()
        end.record()
        end.synchronize()
        if i >= WARM_UP:
            times.append(cuda.event_elapsed_time(start, end))
    return statistics.median(times)


def replayed_ms(work: Callable[[Any], None]) -> float | None:
    """The same with the kernels captured in a graph; None where that is not possible, with a line that says why."""
    from cuda.bindings import driver
    from numba import cuda

    def checked(outcome: tuple[Any, ...]) -> Any:
        if int(outcome[0]):
            raise RuntimeError(str(outcome[0]))
        return outcome[1] if len(outcome) > 1 else None

    try:
        stream = cuda.stream()
        handle = driver.CUstream(int(getattr(stream.handle, "value", stream.handle)))
        work(stream)  # compiled now, not while recording
        stream.synchronize()
        checked(driver.cuStreamBeginCapture(handle, driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED))
        work(stream)
        graph = checked(driver.cuStreamEndCapture(handle))
        executable = checked(driver.cuGraphInstantiate(graph, 0))
        times = []
        for i in range(WARM_UP + REPEATS):
            start, end = cuda.event(timing=True), cuda.event(timing=True)
            start.record(stream)
            checked(driver.cuGraphLaunch(executable, handle))
            end.record(stream)
            end.synchronize()
            if i >= WARM_UP:
                times.append(cuda.event_elapsed_time(start, end))
        return statistics.median(times)
    except Exception as error:
        print(f"no graph here: {type(error).__name__}: {error}")
        return None


def check(x: np.ndarray, options: dict[str, Any], what: str, mode: str = "fast") -> dict[str, Any]:
    """Encode and decode on both devices and compare; ratio and errors."""
    from numba import cuda

    from midtread.codecs.tensor.field import Field, decode

    on_gpu, on_cpu = Field(mode=mode, device="cuda", **options), Field(mode=mode, threads=16, **options)
    data, want = bytes(on_gpu.encode(cuda.to_device(x))), bytes(on_cpu.encode(x))
    x_hat, expected = on_gpu.decode(data).copy_to_host(), decode(want, threads=16)
    finite = np.isfinite(x)
    low, high = (float(x[finite].min()), float(x[finite].max())) if finite.any() else (0.0, 0.0)
    bound = options.get("max_error", options.get("max_error_of_range", 1e-3) * (high - low))
    error = np.abs(x_hat[finite].astype(np.float64) - x[finite].astype(np.float64))
    rmse = float(np.sqrt(np.mean(np.square(error)))) if error.size else 0.0
    row = {
        "what": what,
        "same_bytes": data == want,
        "same_values": x_hat.tobytes() == expected.tobytes(),
        "bound_held": bool(error.max(initial=0.0) <= bound) and x[~finite].tobytes() == x_hat[~finite].tobytes(),
        "ratio": x.nbytes / len(data),
        "rmse": rmse,
        "nrmse": rmse / ((high - low) or 1.0),
        "psnr_db": float(20 * np.log10((high - low) / rmse)) if rmse else None,
        "max_error": float(error.max(initial=0.0)) / ((high - low) or 1.0),
    }
    good = all(row[key] for key in ("same_bytes", "same_values", "bound_held"))
    print(f"  {'good' if good else 'WRONG'}  {what:44} ratio {row['ratio']:8.2f}  {'' if good else row}")
    return row


def nasty() -> list[tuple[str, np.ndarray, dict[str, Any]]]:
    """Arrays that take the rarer ways through the kernels."""
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((70, 130, 210))
    walk = np.cumsum(np.cumsum(steps, -1), 0).astype(np.float32)
    holes = walk.copy()
    holes[rng.random(holes.shape) < 0.02] = np.nan
    holes[:, :20, :9], holes[3, 4, 5] = 1e20, -np.inf
    spikes = walk.copy()
    spikes[:, ::7, ::5] *= -1e4
    line = np.cumsum(rng.standard_normal(3_000_001)).astype(np.float32)
    half_way = (rng.integers(-3000, 3000, 10**6) + 0.5) * 0.2
    return [
        ("three axes, odd sides", walk, {"max_error_of_range": 1e-3}),
        ("NaN, infinity, fill values", holes, {"max_error": 0.1}),
        ("widths over 15 bits", spikes, {"max_error": 1e-2}),
        ("a line", line, {"max_error": 0.1}),
        ("two axes", walk.reshape(700, -1), {"max_error": 0.1}),
        ("rows of 13,650 values", walk.reshape(2, 70, -1), {"max_error": 0.1}),
        ("noise", rng.standard_normal((3, 1000, 1000)).astype(np.float32), {"max_error": 1e-2}),
        ("half way between symbols", half_way.astype(np.float32), {"max_error": 0.1}),
        ("whole numbers", np.rint(walk), {"max_error": 0.4}),
        ("nothing saved", walk[:3], {"max_error": 1e-9}),
        ("constant", np.full((300, 300), 3.0, np.float32), {"max_error": 0.1}),
    ]  # fmt: skip


def speed(x: np.ndarray, bound: float, roofline: float) -> dict[str, Any]:
    """GB/s of input between device memory and device memory."""
    from numba import cuda

    from midtread.codecs.tensor import field_cuda_fast
    from midtread.codecs.tensor.field import MOST
    from midtread.codecs.tensor.field_grid import cut, fold

    grid, on_device = cut(fold(x.shape), MOST["fast"]), cuda.to_device(x.reshape(-1))
    encoder = field_cuda_fast.Encoder(grid, max_error=None, max_error_of_range=bound, axes=3)
    decoder, out = field_cuda_fast.Decoder(grid), cuda.device_array(x.size, np.float32)
    encoder.run(on_device)
    result = encoder.finish(on_device)
    kinds = (result.order,)
    row: dict[str, Any] = {}
    for name, work in (
        ("encode", lambda stream=0: encoder.run(on_device, stream)),
        ("decode", lambda stream=0: decoder.run(result.packed, kinds, out, stream)),
    ):
        plain, replayed = timed_ms(work), replayed_ms(work)
        row[name] = {
            "ms": plain,
            "gbps": x.nbytes / plain / 1e6,
            "replayed_ms": replayed,
            "replayed_gbps": x.nbytes / replayed / 1e6 if replayed else None,
            "of_roofline": x.nbytes / min(plain, replayed or plain) / 1e6 / roofline,
        }
    return row


def ratio_mode(x: np.ndarray, bound: float, what: str, roofline: float) -> dict[str, Any]:
    """Ratio mode on both devices: the same? GB/s of encoding, with all that the host does, and decoding.

    Encoding is timed by a clock, from the array in device memory to the file; decoding by events around its kernels.
    """
    from numba import cuda

    from midtread.codecs.tensor import field_cuda
    from midtread.codecs.tensor.field import Field, decode
    from midtread.codecs.tensor.field_file import Source
    from midtread.spec import Limits

    data = bytes(Field(max_error_of_range=bound, threads=16).encode(x))
    on_gpu, on_device, times = Field(max_error_of_range=bound, device="cuda"), cuda.to_device(x), []
    for i in range(1 + ENCODED):
        start_s = time.perf_counter()
        coded = bytes(on_gpu.encode(on_device))
        if i:
            times.append(time.perf_counter() - start_s)
    encode_s = statistics.median(times)
    boxes, out = field_cuda.Boxes(Source(data, Limits())), cuda.device_array(x.size, np.float32)
    start = boxes.prepare(out)
    start(0)
    boxes.finish(out)
    same = out.copy_to_host().tobytes() == decode(data, threads=16).tobytes()
    ms = timed_ms(lambda: start(0))
    row = {"what": what, "same_bytes": coded == data, "same_values": same, "encode_s": encode_s,
           "encode_gbps": x.nbytes / encode_s / 1e9, "ratio": x.nbytes / len(data), "decode_ms": ms,
           "decode_gbps": x.nbytes / ms / 1e6, "of_roofline": x.nbytes / ms / 1e6 / roofline}  # fmt: skip
    print(
        f"{what:44}{row['ratio']:9.2f}{row['encode_gbps']:14.1f}{row['decode_gbps']:14.0f}"
        f" {100 * row['of_roofline']:3.0f}%  same: {coded == data and same}"
    )
    return row


def roofline_gbps() -> float:
    """Bytes read and written by a device copy of 1 GiB, in GB/s."""
    from numba import cuda

    source, target = cuda.device_array(1 << 28, np.float32), cuda.device_array(1 << 28, np.float32)
    return 2 * source.nbytes / timed_ms(lambda: target.copy_to_device(source)) / 1e6


def at_ratio(x: np.ndarray, ratio: float, mode: str) -> float:
    """The bound, relative to the range, from which files are at least `ratio` times smaller, to 2 %."""
    from numba import cuda

    from midtread.codecs.tensor.field import Field

    device = "cuda" if mode == "fast" else "cpu"
    source = cuda.to_device(x) if mode == "fast" else x
    low, high = 1e-4, 0.5
    while high > 1.02 * low:
        middle = (low * high) ** 0.5
        threads = {} if mode == "fast" else {"threads": 16}
        data = Field(mode=mode, device=device, max_error_of_range=middle, **threads).encode(source)
        low, high = (low, middle) if x.nbytes >= ratio * len(data) else (middle, high)
    return high


def science(x: np.ndarray, speeds: Callable[[float], float]) -> list[dict[str, Any]]:
    """Their table and ours at the same ratios."""
    from midtread.codecs.tensor.field import Field, decode

    rows: list[dict[str, Any]] = []
    spread = float(x.max()) - float(x.min())
    for theirs in PUBLISHED:
        rows.append(theirs)
        for mode in ("fast", "ratio"):
            bound = at_ratio(x, theirs["ratio"], mode)
            data = Field(mode=mode, max_error_of_range=bound, threads=16).encode(x)
            error = np.abs(decode(data, threads=16).astype(np.float64) - x)
            rmse = float(np.sqrt(np.mean(np.square(error))))
            rows.append(
                {
                    "codec": f"field, {mode}",
                    "ratio": x.nbytes / len(data),
                    "gbps": speeds(bound) if mode == "fast" else None,
                    "rmse": rmse,
                    "nrmse": rmse / spread,
                    "psnr_db": float(20 * np.log10(spread / rmse)),
                    "max_error": float(error.max()) / spread,
                    "bound": bound,
                    "device": "this GPU" if mode == "fast" else "CPU",
                }
            )
    return rows


def gpu() -> str:
    """Name, driver, clocks and temperature, as nvidia-smi says."""
    query = "name,driver_version,clocks.sm,clocks.mem,temperature.gpu,power.draw"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"unknown ({type(error).__name__})"


def write(name: str, good: bool, record: dict[str, Any]) -> int:
    """The record to a file; the exit status."""
    path = Path(__file__).parent / "results" / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"\n{'all checks hold' if good else 'SOME CHECKS FAILED'}; {path}")
    return 0 if good else 1


def main() -> int:
    try:
        from numba import cuda

        found = cuda.is_available() and not hasattr(cuda, "simulator")
    except ImportError as error:
        print(f"no GPU to measure: {error}; pip install 'midtread[gpu]'")
        return 2
    if not found:
        print("no GPU to measure: numba-cuda finds none with a driver on this machine")
        return 2
    from midtread.bench import machine
    from midtread.bench.field_datasets import turbulence

    warnings.simplefilter("ignore")
    record: dict[str, Any] = {
        "machine": machine.describe(), "versions": machine.versions(), "commit": machine.commit(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"), "gpu_before": gpu(),
    }  # fmt: skip
    if sys.argv[1:] == ["gaussian"]:
        gaussian = gpu_gaussian.check(timed_ms, replayed_ms)
        return write("gpu_gaussian", gaussian["good"], record | {"gpu_after": gpu(), "gaussian": gaussian})
    roofline = roofline_gbps()
    print(f"{record['gpu_before']}\ndevice copy {roofline:.0f} GB/s read and written\n\nthe same as on the CPU?")
    checks = [
        check(x, options, f"{what}, {mode} mode", mode) for mode in ("fast", "ratio") for what, x, options in nasty()
    ]
    tensors = check_tensors()
    print(f"  {'no torch here' if tensors is None else 'good' if tensors else 'WRONG'}  tensors of torch")
    velocity = turbulence(256)
    cubes = {"velocity": velocity, "density": np.exp(1.8 * velocity)}
    speeds: list[dict[str, Any]] = []
    for shape_name, shape in SHAPES.items():
        for name in cubes:
            x = field_of(shape, cubes, name)
            for bound in BOUNDS:
                row = check(x, {"max_error_of_range": bound}, f"{name}, {shape_name}, {bound:g} of the range")
                checks.append(row)
                speeds.append({"shape": shape_name, "field": name, "bound": bound, "ratio": row["ratio"],
                               **speed(x, bound, roofline)})  # fmt: skip
    head = "".join(f"{name + ' GB/s (replayed)':>28}" for name in TARGETS_GBPS)
    print(f"\n{'fast mode, from and to device memory':44}{'ratio':>9}{head}")
    for row in speeds:
        line = f"{row['field']}, {row['shape']}, {row['bound']:g}".ljust(44) + f"{row['ratio']:9.2f}"
        for name in TARGETS_GBPS:
            part = row[name]
            line += f"{part['gbps']:14.0f} ({part['replayed_gbps'] or 0:6.0f}) {100 * part['of_roofline']:3.0f}%"
        print(line)
    print(f"\n{'ratio mode':44}{'ratio':>9}{'encode GB/s':>14}{'decode GB/s':>14}")
    ratios = [
        ratio_mode(field_of(shape, cubes, name), bound, f"{name}, {shape_name}, {bound:g}", roofline)
        for shape_name, shape in SHAPES.items()
        for name in cubes
        for bound in BOUNDS
    ]
    small = field_of(SHAPES["512 x 3 x 128 x 128"], cubes, "density")
    table = science(small, lambda bound: speed(small, bound, roofline)["encode"]["gbps"])
    columns = {"ratio": ".1f", "gbps": ".0f", "rmse": ".3g", "nrmse": ".4f", "psnr_db": ".1f", "max_error": ".4f"}
    print("\n" + "density, 512 x 3 x 128 x 128".ljust(30) + "".join(f"{name:>13}" for name in columns))
    for row in table:
        cells = [
            "" if row[name] is None else row[name] if isinstance(row[name], str) else format(row[name], how)
            for name, how in columns.items()
        ]
        print(f"{row['codec']} ({row['device']})".ljust(30) + "".join(f"{cell:>13}" for cell in cells))
    print("\n`learned`: symbols of the CPU, pixels within 1 (bf16: 2)")
    learned = gpu_learned.check()
    print("\n`gaussian`: numbers and pixels of the CPU")
    gaussian = gpu_gaussian.check(timed_ms, replayed_ms)
    good = all(row["same_bytes"] and row["same_values"] and row["bound_held"] for row in checks)
    good = good and all(row["good"] for row in learned or ()) and gaussian["good"]
    good = good and all(row["same_bytes"] and row["same_values"] for row in ratios) and tensors is not False
    for name, target in TARGETS_GBPS.items():
        least = min(max(row[name]["gbps"], row[name]["replayed_gbps"] or 0) for row in speeds)
        print(f"{name}: {least:.0f} GB/s or more, {target:.0f} asked: {'holds' if least >= target else 'MISSED'}")
    record |= {
        "gpu_after": gpu(), "roofline_gbps": roofline, "repeats": REPEATS, "checks": checks, "tensors": tensors,
        "fast": speeds, "ratio": ratios, "science": table, "learned": learned, "gaussian": gaussian,
    }  # fmt: skip
    return write("gpu", good, record)


if __name__ == "__main__":
    sys.exit(main())
