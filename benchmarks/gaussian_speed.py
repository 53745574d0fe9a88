"""Speed and memory of the `gaussian` codec: the parts `speed` and `memory` of benchmarks/gaussian.py."""

import math
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from unittest import mock

import numpy as np

from learned_limits import child, kodak, mosaic, psnr, psnr_of, stage_times, write
from midtread import media
from midtread.bench import machine
from midtread.codecs.image.gaussian import Gaussian
from midtread.codecs.image.gaussian_file import decode_part, read_file
from midtread.codecs.target import encode_to
from midtread.errors import UsageError
from midtread.spec import open_codec
from midtread.transforms.gaussians import render
from midtread.transforms.gaussians_fit import Budget, fit

COUNT = 5000
RATE_BPP = 0.487
PICTURES = (4, 22)  # of Kodak, from 0: a textured and a smooth one
PEERS = {"jpeg": {}, "webp": {"method": 6}, "avif": {"speed": 6}}
SIDE = 3464  # 12.0 MPx as a square


def speed(options):
    """CPU milliseconds of one pinned core, least of the repeats; wall-clock on two threads."""
    every = machine.cpus()
    result = {"count": COUNT, "repeats": options.repeats, "cores": len(every), "pictures": {}}
    pictures = kodak(max(PICTURES) + 1)
    warm = Gaussian(count=4000, iterations=10).encode(pictures[0][1])  # many enough for every compiled kernel
    decode_part(warm)
    for name, x in (pictures[i] for i in PICTURES):
        found = {"fit": {}}
        for threads in (1, 2):
            machine.pin(every[-threads:])
            found["fit"][str(threads)] = fit_speed(x, threads)
        machine.pin(every[-2:])
        found["search"] = search_speed(x)
        machine.pin(every[-1:])
        data = encode_to(x, "gaussian", {"count": COUNT}, rate_bpp=RATE_BPP).data
        found["decode"] = decode_speed(x, data, options.repeats) | {"size_bytes": len(data)}
        found["quarter"] = quarter(data, options.repeats)
        found["peers"] = {peer: peer_speed(x, peer, options.repeats) for peer in PEERS}
        machine.pin(every[-2:])
        found["render"] = frames(data, options.repeats)
        result["pictures"][name] = found
        show(name, found)
    machine.pin(every)
    write(options.out, "speed", result)


def fit_speed(x, threads):
    """Milliseconds an iteration while all Gaussians are there: between two reports of the second half of a fit."""
    ticks = []

    def watch(done, psnr_db):
        ticks.append((done, time.process_time(), time.perf_counter()))

    iterations = 250  # a report every 25
    fit(centred(x), COUNT, Budget(iterations), threads=threads, watch=watch)
    later = [tick for tick in ticks if 0.5 < tick[0] < 1]
    cpu, wall = ([1e3 * (b[i] - a[i]) / ((b[0] - a[0]) * iterations) for a, b in pairwise(later)] for i in (1, 2))
    return {"cpu_ms": min(cpu), "wall_ms": min(wall), "wall_median_ms": statistics.median(wall), "windows": len(wall)}


def centred(x):
    return ((x - x.mean((0, 1))) / 255).astype(np.float32)


def search_speed(x):
    """`encode --bpp` on two threads: everything, from pixels to the file."""
    start = time.perf_counter(), time.process_time()
    reached = encode_to(x, "gaussian", {"threads": 2}, rate_bpp=RATE_BPP)
    return {"wall_s": time.perf_counter() - start[0], "cpu_s": time.process_time() - start[1],
            "trials": reached.trials, "count": reached.options["count"], "rate_bpp": reached.rate_bpp,
            "psnr_db": reached.psnr_db}  # fmt: skip


def decode_speed(x, data, repeats):
    """File to pixels on one core, by stage; and with the kernels that need NumPy alone."""
    best, runs, stages = math.inf, [], {}
    for _ in range(repeats):
        with stage_times() as spent:
            start = time.process_time()
            x_hat = decode_part(data)
            runs.append(time.process_time() - start)
        if runs[-1] < best:
            best, stages = runs[-1], {name: 1e3 * seconds for name, seconds in spent.items()}
    with ExitStack() as stack:
        for module in [
            one for name, one in sys.modules.items() if name.startswith("midtread.") and hasattr(one, "pick")
        ]:
            stack.enter_context(mock.patch.object(module, "pick", slow_twin))
        twin_stages = stack.enter_context(stage_times())
        twin = decode_part(data)
    apart = int(np.abs(twin.astype(int) - x_hat).max())
    return {"cpu_ms": 1e3 * best, "cpu_median_ms": 1e3 * statistics.median(runs), "stages_ms": stages,
            "psnr_db": psnr(x, x_hat), "numpy_apart_of_255": apart,
            "numpy_stages_ms": {name: 1e3 * seconds for name, seconds in twin_stages.items()}}  # fmt: skip


def slow_twin(name, size):
    return import_module(f"midtread.kernels.{name}_slow")


def quarter(data, repeats):
    """A quarter of the sides, and how far that is from the mean over 4 x 4 pixels of the whole picture."""
    small, gaussians = decode_part(data, scale=0.25), read_file(data)
    height, width = small.shape[:2]
    mean = decode_part(data).reshape(height, 4, width, 4, -1).mean((1, 3))
    return {"db": psnr(mean, small), "cpu_ms": least_ms(lambda: decode_part(data, scale=0.25), repeats),
            "render_cpu_ms": least_ms(lambda: render(gaussians, scale=0.25), repeats)}  # fmt: skip


def frames(data, repeats):
    """Frames a second from Gaussians at hand, by the wall clock."""
    gaussians, found = read_file(data), {}
    for threads in (1, 2):
        runs = []
        for _ in range(4 * repeats):
            start = time.perf_counter()
            render(gaussians, threads=threads)
            runs.append(time.perf_counter() - start)
        found[str(threads)] = {"fps": 1 / statistics.median(runs), "best_fps": 1 / min(runs)}
    return found


def peer_speed(x, peer, repeats):
    """Their decoder at the rate of ours, or at the lowest they have."""
    try:
        reached = encode_to(x, peer, PEERS[peer], rate_bpp=RATE_BPP)
    except UsageError as error:
        return {"error": str(error)}
    codec = open_codec(peer, **reached.options)
    return {"cpu_ms": least_ms(lambda: codec.decode(reached.data), repeats), "rate_bpp": reached.rate_bpp,
            "psnr_db": reached.psnr_db}  # fmt: skip


def least_ms(call, repeats):
    best = math.inf
    for _ in range(repeats):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return 1e3 * best


def show(name, found):
    fits, search, decode, quarter_ = found["fit"], found["search"], found["decode"], found["quarter"]
    stages, alone = (", ".join(f"{stage} {ms:.2f}" for stage, ms in decode[f"{kind}stages_ms"].items())
                     for kind in ("", "numpy_"))  # fmt: skip
    peers = ", ".join(f"{peer} {one['cpu_ms']:.2f}" if "cpu_ms" in one else f"{peer}: {one['error']}"
                      for peer, one in found["peers"].items())  # fmt: skip
    print(f"{name}, {COUNT} Gaussians\n"
          f"  fit, ms an iteration: one thread {fits['1']['cpu_ms']:.2f} CPU (9 asked), two "
          f"{fits['2']['wall_ms']:.2f} wall, {fits['2']['cpu_ms']:.2f} CPU (5 asked)\n"
          f"  search to {RATE_BPP} bpp on two threads: {search['wall_s']:.1f} s wall, {search['cpu_s']:.1f} s CPU (10 "
          f"asked), {search['trials']} trials, {search['count']} Gaussians, {search['psnr_db']:.2f} dB\n"
          f"  decode: {decode['cpu_ms']:.2f} ms ({stages}; 5 asked); NumPy alone {alone} ms, "
          f"{decode['numpy_apart_of_255']} of 255 apart; {peers} ms\n"
          f"  render: {found['render']['2']['fps']:.0f} FPS on two threads (450 asked), "
          f"{found['render']['1']['fps']:.0f} on one\n"
          f"  a quarter of the sides: {quarter_['db']:.2f} dB (40 asked), {quarter_['cpu_ms']:.2f} ms from the file, "
          f"{quarter_['render_cpu_ms']:.2f} to draw (1 asked)", flush=True)  # fmt: skip


def least_s(data, threads):
    """Wall-clock seconds from file to pixels."""
    runs = []
    for _ in range(6):
        start = time.perf_counter()
        decode_part(data, threads=threads)
        runs.append(time.perf_counter() - start)
    return min(runs)


def memory(options):
    """12 megapixels, patches of Kodak side by side, through the command line; decoded in this process, too."""
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        source, coded, back = (Path(folder) / name for name in ("x.ppm", "x.mt", "back.ppm"))
        media.save(source, mosaic([x for _, x in kodak(24)], SIDE))
        chosen = ["--codec", "gaussian", "--set", f"iterations={options.iterations}", "threads=2"]
        result = {"side": SIDE, "picture": "mosaic of 512 x 512 patches of Kodak", "iterations": options.iterations,
                  "encode": child(["encode", source, coded, *chosen]),
                  "decode": child(["decode", coded, back])}  # fmt: skip
        data = coded.read_bytes()
        result |= {"rate_bpp": 8 * len(data) / SIDE**2, "psnr_db": psnr_of(media.load(source).array, back)}
    result["count"] = len(read_file(data).xy)
    result["decode_mpx_s"] = {str(threads): SIDE**2 / 1e6 / least_s(data, threads) for threads in (1, 2)}
    with stage_times() as spent:
        decode_part(data)
    result["decode_cpu_s"] = dict(spent)
    ways = [f"{way} {result[way]['peak_bytes'] / 1e9:.2f} GB, {result[way]['wall_s']:.1f} s"
            for way in ("encode", "decode")]  # fmt: skip
    print(
        f"{SIDE} x {SIDE}, {result['count']} Gaussians, {result['rate_bpp']:.3f} bpp, {result['psnr_db']:.2f} dB: "
        f"{'; '.join(ways)} (2 GB asked); decodes {result['decode_mpx_s']['1']:.1f} MPx/s on one thread, "
        f"{result['decode_mpx_s']['2']:.1f} on two (30 asked); CPU seconds of one thread: {result['decode_cpu_s']}"
    )
    write(options.out, "memory", result)
