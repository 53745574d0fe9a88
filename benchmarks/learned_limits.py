"""Rate control, memory and seams of the `learned` codec: the parts `rate` and `memory` of benchmarks/learned.py.

And what all its parts share.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager, suppress
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import numpy as np

from midtread import media
from midtread.bench import machine
from midtread.bench.datasets import open_dataset
from midtread.codecs.image import learned_model
from midtread.codecs.image.learned import Learned, tiles
from midtread.codecs.image.learned_tiles import UNIT
from midtread.codecs.target import encode_to
from midtread.errors import CodecError
from midtread.spec import collect_notes, listen_to_stages

RESULTS = Path(__file__).parent / "results" / "learned"
BAND = 8  # pixels on either side of a tile border


@contextmanager
def stage_times():
    spent, began = defaultdict(float), {}

    def listener(name, entering):
        if entering:
            began[name] = time.process_time()
        else:
            spent[name] += time.process_time() - began.pop(name)

    with listen_to_stages(listener):
        yield spent


def psnr(x, y):
    return float(10 * np.log10(255**2 / max(np.mean((x.astype(np.float64) - y) ** 2), 1e-9)))


def kodak(count):
    """(name, uint8 [h, w, 3]) of the first pictures."""
    return [(item.name, media.load(item.path).array) for item in open_dataset("kodak")[:count]]


def write(folder, name, result):
    folder.mkdir(parents=True, exist_ok=True)
    result |= {"machine": machine.describe(), "versions": versions(), "commit": machine.commit()}
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


def versions():
    found = machine.versions()
    for package in ("onnxruntime", "compressai"):
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def digest_of(model):
    return learned_model.load(model).digest.hex()


def rate(options):
    """Every quality on some pictures and a small one: real size, estimate, order; then --bpp."""
    pictures = kodak(options.pictures)
    pictures.append((f"{pictures[0][0]}, 64 x 64", np.ascontiguousarray(pictures[0][1][:64, :64])))
    result = {}
    for model in options.models:
        rows = []
        for name, x in pictures:
            sizes, excess = [], []
            for quality in range(64):
                with collect_notes() as notes:
                    sizes.append(len(Learned(model=model, quality=quality, effort=options.effort).encode(x)))
                estimate = notes["estimated_bits"] / 8
                excess.append(abs(sizes[-1] - estimate) - 0.005 * estimate)
            falls = sum(after < before for before, after in pairwise(sizes))
            row = {"item": name, "sizes": sizes, "beyond_half_percent_bytes": max(excess), "falls": falls}
            row["bpp"] = {target: aim(x, model, target, options.effort) for target in (0.15, 0.3, 0.6, 1.2)}
            rows.append(row)
            hits = ", ".join(f"{t} {v if isinstance(v, str) else f'{v:+.2f} %'}" for t, v in row["bpp"].items())
            print(f"{model} {name:18} {max(excess):6.1f} bytes beyond 0.5 % of the estimate (40 asked), "
                  f"falls {falls} of 63 times; --bpp {hits}", flush=True)  # fmt: skip
        result[model] = {"digest": digest_of(model), "effort": options.effort, "pictures": rows}
    write(options.out, "rate", {"models": result})


def aim(x, model, target, effort):
    """How far --bpp misses, in percent, or why it cannot be reached."""
    try:
        return 100 * (
            encode_to(x, "learned", {"model": model, "effort": effort}, rate_bpp=target).rate_bpp / target - 1
        )
    except CodecError as error:
        return str(error)


# memory and seams


def memory(options):
    """100 MPx through the command line, a process each way; seams on a part of it."""
    pictures = [x for _, x in kodak(options.pictures)]
    result = {"side": options.side, "models": {}}
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        source, coded, back = (Path(folder) / name for name in ("x.ppm", "x.mt", "back.ppm"))
        x = mosaic(pictures, options.side)
        media.save(source, x)
        for model in options.models:
            found = {"digest": digest_of(model)}
            chosen = ["--codec", "learned", "--set", f"model={model}", f"effort={options.effort}"]
            found["encode"] = child(["encode", source, coded, *chosen])
            found["decode"] = child(["decode", coded, back])
            found["rate_bpp"], found["psnr_db"] = 8 * coded.stat().st_size / options.side**2, psnr_of(x, back)
            found["seams"] = seams(mosaic(pictures, options.seam_side), model, options.effort)
            result["models"][model] = found
            ways = [f"{way} {found[way]['peak_bytes'] / 1e9:.2f} GB, {found[way]['wall_s']:.0f} s"
                    for way in ("encode", "decode")]  # fmt: skip
            print(f"{model}: {'; '.join(ways)} (1.5 GB asked); {found['rate_bpp']:.3f} bpp, {found['psnr_db']:.2f} dB")
            print(f"  seams: {found['seams']}")
    write(options.out, "memory", result)


def mosaic(pictures, side):
    """uint8 [side, side, 3]: the pictures side by side, turned and mirrored, in an order that never repeats."""
    rng, out = np.random.default_rng(0), np.empty((side, side, 3), np.uint8)
    for top in range(0, side, 512):
        for left in range(0, side, 512):
            x = pictures[rng.integers(len(pictures))]
            x = x.transpose(1, 0, 2) if x.shape[0] > x.shape[1] else x
            start = int(rng.integers(0, x.shape[1] - 511))
            cut = np.rot90(x[:512, start : start + 512], int(rng.integers(4)))[: side - top, : side - left]
            out[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return out


def child(arguments):
    """Run `midtread` and report its own peak memory and times."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "midtread", *map(str, arguments)], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"midtread {arguments[0]} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return {"peak_bytes": used.ru_maxrss * unit, "wall_s": time.perf_counter() - start,
            "cpu_s": used.ru_utime + used.ru_stime}  # fmt: skip


def psnr_of(x, path):
    y = media.load(path).array
    squares = sum(float(np.sum((a.astype(np.float32) - b) ** 2, dtype=np.float64))
                  for a, b in zip(np.array_split(x, 64), np.array_split(y, 64), strict=True))  # fmt: skip
    return 10 * math.log10(255**2 * x.size / squares)


def seams(x, model, effort):
    """PSNR within BAND pixels of tile borders, and of the very same pixels where another tiling has them inside.

    The picture is coded twice, once moved by half a tile and round its edges: content and phase of the latents are the
    same, so the difference is what borders cost.
    """
    codec, shift = Learned(model=model, effort=effort), 512
    plain = codec.decode(codec.encode(x))
    moved = np.roll(codec.decode(codec.encode(np.roll(x, (shift, shift), (0, 1)))), (-shift, -shift), (0, 1))
    beside = np.zeros(x.shape[:2], bool)
    for axis, spans in enumerate(zip(*tiles(x.shape), strict=True)):
        for border in {start * UNIT for start, _ in spans} - {0}:
            beside[(slice(None),) * axis + (slice(border - BAND, border + BAND),)] = True
    valid = np.zeros_like(beside)  # the edges of either picture are borders, too, and are left out
    valid[64:-64, 64:-64] = True
    for axis in (0, 1):
        valid[(slice(None),) * axis + (slice(-shift - 64, -shift + 64),)] = False
    found = {}
    for name, mask in (("border", beside & valid), ("elsewhere", ~beside & valid)):
        found[name] = {"plain_db": psnr(x[mask], plain[mask]), "moved_db": psnr(x[mask], moved[mask])}
    cost = {name: values["moved_db"] - values["plain_db"] for name, values in found.items()}
    return found | {"border_costs_db": cost["border"] - cost["elsewhere"], "asked_db": 0.05}
