"""`gaussian` on a GPU, for gpu.py: every way beside the CPU's, then seconds of a fit and pictures drawn in a second.

A fit of COUNT Gaussians to 768 x 512 pixels, made here: waves, edges, noise. Timed by a clock, with all that the host
does; a step, its kernels and their starts, by events. A frame is all that is drawn again when Gaussians in device
memory have changed: boxes, tiles, bytes in device memory; "replayed" as one CUDA graph.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

HEIGHT, WIDTH, COUNT, ITERATIONS = 512, 768, 5000, 500
REPEATS = 5  # of what a clock times
TARGETS = {"fit_s": 1.0, "fps": 5000.0}  # at most, at least

# Zhang et al., "GaussianImage: 1000 FPS Image Representation and Compression by 2D Gaussian Splatting", ECCV 2024, from
# the abstract: frames drawn in a second, whatever the number of Gaussians, and pictures decoded from a file, without
# entropy coding. Another GPU, another kernel, other pictures: for orientation, not a race.
PUBLISHED = {"fps": "1500-2000", "decode_fps": "about 2000", "source": "GaussianImage, ECCV 2024, abstract"}

Timed = Callable[[Callable[..., Any]], float | None]


def picture(height: int, width: int) -> np.ndarray:
    """Waves of several lengths, an edge, a little noise: float32 [H, W, 3], 0 to 1."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    wave = np.sin(columns / 37 + rows / 61) + 0.5 * np.sin(rows / 5 - columns / 11) * (columns > width / 3)
    colours = wave[..., None] * np.array([1, 0.7, -0.6]) + 0.8 * ((rows + columns) % 200 < 90)[..., None]
    noise = np.random.default_rng(0).normal(0, 0.1, (height, width, 3))
    return np.clip(0.5 + 0.2 * (colours + noise), 0, 1).astype(np.float32)


def check(
    timed_ms: Timed, replayed_ms: Timed, height: int = HEIGHT, width: int = WIDTH, count: int = COUNT,
    iterations: int = ITERATIONS, threads: int = 16,
) -> dict[str, Any]:  # fmt: skip
    """What was found: `checks`, each good or not, `speed`, and whether all is `good`; prints it."""
    from midtread.transforms.gaussians_fit import Budget, fit

    x, budget = picture(height, width), Budget(iterations)
    start_s = time.perf_counter()
    sums, on_cpu = fit(x, count, budget, threads=threads)
    cpu_s = time.perf_counter() - start_s
    fits, times = [], []
    for i in range(1 + REPEATS):
        start_s = time.perf_counter()
        fits.append(fit(x, count, budget, device="cuda"))
        times += [time.perf_counter() - start_s] if i else []
    (mine, trace), (again, _) = fits[:2]
    same = all(np.array_equal(getattr(mine, part), getattr(again, part)) for part in ("xy", "factor", "colour"))
    checks = [
        {"what": "two fits are the same", "good": same},
        _row("dB that a fit is behind that of the CPU", on_cpu.psnr_db[-1] - trace.psnr_db[-1], 0.1),
        *_sums(x, sums), *_pictures(sums), *_files(x, count, iterations),
    ]  # fmt: skip
    speed = {
        "fit_s": statistics.median(times), "fit_s_of_cpu": cpu_s, "cpu_threads": threads,
        "psnr_db": trace.psnr_db[-1], "psnr_db_of_cpu": on_cpu.psnr_db[-1],
        "iteration_ms": timed_ms(_stepping(x, count)), **_frames(mine, timed_ms, replayed_ms),
    }  # fmt: skip
    for row in checks:
        print(f"  {'good' if row['good'] else 'WRONG'}  {row['what']:60} {row.get('furthest', '')}")
    print("  " + "  ".join(f"{name} {value:.4g}" for name, value in speed.items() if value is not None))
    print(f"  GaussianImage ({PUBLISHED['source']}): {PUBLISHED['fps']} FPS, {PUBLISHED['decode_fps']} decoded")
    for name, held in (("fit_s", speed["fit_s"] <= TARGETS["fit_s"]), ("fps", speed["fps"] >= TARGETS["fps"])):
        print(f"  {name}: {speed[name]:.4g}, {TARGETS[name]:.4g} asked: {'holds' if held else 'MISSED'}")
    return {
        "height": height, "width": width, "count": count, "iterations": iterations, "checks": checks, "speed": speed,
        "published": PUBLISHED, "targets": TARGETS, "good": all(row["good"] for row in checks),
    }  # fmt: skip


def _row(what: str, furthest: float, most: float) -> dict[str, Any]:
    return {"what": what, "furthest": float(furthest), "most": most, "good": bool(furthest <= most)}


def _sums(x: np.ndarray, sums: Any) -> list[dict[str, Any]]:
    """Canvas against canvas; half of the colours, since under a picture that fits all sums cancel."""
    from midtread.transforms.gaussians_canvas import canvas_on

    rows = []
    rng = np.random.default_rng(1)
    loose = sums.xy + rng.normal(0, 40, sums.xy.shape).astype(np.float32)  # in no order, some outside
    for what, xy in (("fitted", sums.xy), ("scattered", loose)):
        parts, found = (xy, sums.factor, sums.colour * np.float32(0.5)), []
        for device in ("cpu", "cuda"):
            canvas = canvas_on(device, x)
            energy, moments = canvas.moments(*parts)
            rest, solved = canvas.rest, canvas.solve(*parts, 5)
            found.append({"energy": np.array([[energy]]), "rest": rest, "moments": moments, "solved": solved})
        for name, most in (("energy", 1e-4), ("rest", 3e-5), ("moments", 1e-4), ("solved", 1e-3)):
            rows.append(_row(f"{name} of {what} Gaussians, relative", _worst(*(one[name] for one in found)), most))
    return rows


def _worst(wanted: np.ndarray, got: np.ndarray) -> float:
    """The largest difference, relative to the largest magnitude of each column."""
    wanted, got = (np.asarray(one, np.float64).reshape(-1, one.shape[-1]) for one in (wanted, got))
    return float((np.abs(got - wanted) / (np.abs(wanted).max(0) + 1e-12)).max())


def _pictures(sums: Any) -> list[dict[str, Any]]:
    from midtread.transforms.gaussians import render

    height, width = sums.height // 2, sums.width // 3
    ways: dict[str, dict[str, Any]] = {
        "whole": {}, "float32": {"dtype": np.float32}, "a quarter": {"scale": 0.25}, "three times": {"scale": 3.0},
        "a region": {"scale": 0.9, "region": (height // 4, width // 5, height, width)},
    }  # fmt: skip
    rows = []
    for what, options in ways.items():
        wanted, got = (render(sums, device=device, **options).astype(np.float64) for device in ("cpu", "cuda"))
        rows.append(_row(f"drawn: {what}", np.abs(got - wanted).max(), 1e-4 if what == "float32" else 1))
    return rows


def _files(x: np.ndarray, count: int, iterations: int) -> list[dict[str, Any]]:
    """A file of each device, decoded by both."""
    from midtread.codecs.image.gaussian import Gaussian

    pixels, rows = np.rint(255 * x).astype(np.uint8), []
    errors = {}
    for device in ("cpu", "cuda"):
        data = Gaussian(device=device, count=count, iterations=iterations).encode(pixels)
        wanted, got = (Gaussian(device=by).decode(data).astype(np.float64) for by in ("cpu", "cuda"))
        rows.append(_row(f"a file of {device}, decoded by both", np.abs(got - wanted).max(), 1))
        errors[device] = np.mean(np.square(wanted - pixels)), len(data)
    behind = 10 * np.log10(errors["cuda"][0] / errors["cpu"][0])
    larger = errors["cuda"][1] / errors["cpu"][1] - 1
    return [*rows, _row("dB that a file is behind", behind, 0.1), _row("part that it is larger", larger, 0.02)]


def _stepping(x: np.ndarray, count: int) -> Callable[[], None]:
    """A step of a fit that has all its Gaussians."""
    from midtread.transforms import gaussians_cuda
    from midtread.transforms.gaussians_fit import Budget

    one = gaussians_cuda.Fit(gaussians_cuda.Canvas(x), x, count, Budget(), np.random.default_rng(0))
    one._start(count)
    return lambda: one._step(0.6)


def _frames(sums: Any, timed_ms: Timed, replayed_ms: Timed) -> dict[str, float | None]:
    """Frames in a second."""
    from midtread.transforms import gaussians_cuda

    held = gaussians_cuda.Held(len(sums.xy), sums.channels)
    held.load(sums.xy, sums.factor, sums.colour)
    drawing = gaussians_cuda.Drawing(held, sums.background, sums.height, sums.width)
    plain, replayed = timed_ms(drawing.run), replayed_ms(drawing.run)
    best = min(ms for ms in (plain, replayed) if ms)
    return {"frame_ms": plain, "frame_replayed_ms": replayed, "fps": 1000 / best}
