"""A bench folder made up with a seed: eight lossy series, seven settings, three pictures, curves of known distance.

Every series reaches the qualities of the anchor at a known factor of its rate, so its BD-rate is that factor exactly.
The kept files are real, tiny, and of the right format; only their sizes in the records are made up.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

MACHINE = "linux-x86_64 / Imaginary CPU 3000 / 2 cores"
QUALITIES_DB = (26.0, 28.5, 31.0, 33.5, 36.0, 38.5, 41.0)
ITEMS = ("harbour", "meadow", "street")
SIZE = (96, 128)  # height, width

# name: (codec, chroma, factor on the rate of the anchor, encode MPx/s, decode MPx/s)
SERIES: dict[str, tuple[str, str, float, float | None, float | None]] = {
    "JPEG 4:2:0": ("jpeg", "4:2:0", 1.0, 160.0, 320.0),
    "JPEG 4:4:4": ("jpeg", "4:4:4", 1.06, 120.0, 260.0),
    "WebP": ("webp", "4:2:0", 0.8, 9.0, 60.0),
    "AVIF 4:4:4": ("avif", "4:4:4", 0.5, 0.9, 38.0),
    "AVIF 4:2:0": ("avif", "4:2:0", 0.55, 1.2, 44.0),
    "JPEG XL": ("jpegxl", "4:4:4", 0.65, 3.1, 21.0),
    "JPEG 2000 9/7": ("jpeg2000", "4:4:4", 0.7, 4.4, 9.0),
    "Small network": ("small-network", "4:4:4", 0.45, None, None),
}

METRICS = [
    {"name": "psnr_db", "label": "PSNR (RGB)", "better": "higher", "unit": "dB", "recipe": "10 log10(255^2 / MSE)."},
    {"name": "ssim", "label": "SSIM", "better": "higher", "unit": "", "recipe": "11 x 11 Gaussian window."},
    {"name": "flip", "label": "FLIP", "better": "lower", "unit": "", "recipe": "67 pixels per degree."},
]

_ENCODERS: dict[str, Callable[[np.ndarray, int], bytes]] = {
    "jpeg": lambda x, q: imagecodecs.jpeg8_encode(x, level=20 + 10 * q),
    "webp": lambda x, q: imagecodecs.webp_encode(x, level=10 + 12 * q, lossless=False),
    "avif": lambda x, q: imagecodecs.avif_encode(x, level=20 + 10 * q, speed=10, numthreads=1),
    "jpegxl": lambda x, q: imagecodecs.jpegxl_encode(x, level=30 + 10 * q, effort=1, numthreads=1),
    "jpeg2000": lambda x, q: imagecodecs.jpeg2k_encode(x, level=26 + 2 * q),
    "small-network": lambda x, q: imagecodecs.png_encode(x // (32 >> q) * (32 >> q) if q < 5 else x),
}
_DECODERS: dict[str, Callable[[bytes], np.ndarray]] = {
    "jpeg": imagecodecs.jpeg8_decode,
    "webp": imagecodecs.webp_decode,
    "avif": imagecodecs.avif_decode,
    "jpegxl": imagecodecs.jpegxl_decode,
    "jpeg2000": imagecodecs.jpeg2k_decode,
    "small-network": imagecodecs.png_decode,
}


def decode(row: dict[str, Any], data: bytes) -> np.ndarray:
    """What `report.build` takes instead of the codecs of the package."""
    return _DECODERS[row["codec"]](data)


def photograph(index: int) -> np.ndarray:
    """uint8 [96, 128, 3]: slopes, an edge, and texture in one corner."""
    rng = np.random.default_rng(index)
    down, across = np.mgrid[: SIZE[0], : SIZE[1]] / 100
    x = np.stack([90 + 120 * down, 60 + 90 * across, 150 - 80 * down * across], axis=-1)
    x[:, 40 + 10 * index :] += 30
    x[50:, 70:] += rng.normal(0, 25, (*x[50:, 70:].shape[:2], 1))
    return np.clip(x, 0, 255).astype(np.uint8)


def record(series: str, quality: int, item: int, /, **changes: Any) -> dict[str, Any]:
    """One line of records.jsonl: setting number `quality` of `series` on picture number `item`."""
    codec, chroma, factor, encode, decode_ = SERIES[series]
    psnr = QUALITIES_DB[quality] + 1.5 * (item - 1)
    rate = factor * 0.22 * 2 ** ((QUALITIES_DB[quality] - 26) / 4.5) * (0.8 + 0.3 * item)
    pixels = SIZE[0] * SIZE[1]
    found = {
        "schema": 1,
        "key": f"{series}|{quality}|{item}",
        "series": series,
        "codec": codec,
        "family": "learned" if codec == "small-network" else "conventional",
        "options": {"quality": quality},
        "setting": f"quality={quality}",
        "backend": f"lib{codec} 1.0",
        "chroma": chroma,
        "lossless": False,
        "dataset": "photos",
        "item": ITEMS[item],
        "item_sha256": "0" * 64,
        "width": SIZE[1],
        "height": SIZE[0],
        "channels": 3,
        "dtype": "uint8",
        "size_bytes": round(rate * pixels / 8),
        "rate_bpp": rate,
        "file": None,
        "metrics": {"psnr_db": psnr, "ssim": 1 - 10 ** (-psnr / 25), "flip": 2 * 10 ** (-psnr / 25)},
        "timing": timing(pixels / 1e6 / encode, pixels / 1e6 / decode_) if encode and decode_ else None,
        "macs_per_pixel": 24_000.0 if codec == "small-network" else None,
        "parameters": 480_000 if codec == "small-network" else None,
        "machine": {"name": MACHINE},
        "versions": {},
        "commit": "abc1234",
        "started": f"2026-11-20T12:0{quality}:00Z",
        "error": None,
    }
    return found | changes


def timing(encode_s: float, decode_s: float) -> dict[str, Any]:
    """Times of one picture; the median is the first argument, stages are shares of it."""

    def spread(median: float) -> dict[str, float]:
        return {"median": median, "q1": 0.97 * median, "q3": 1.05 * median}

    stages = {"colour": spread(0.1 * encode_s), "transform": spread(0.5 * encode_s), "entropy": spread(0.3 * encode_s)}
    return {
        "repeats": 5,
        "warmup": 1,
        "threads": 1,
        "encode_s": spread(encode_s),
        "decode_s": spread(decode_s),
        "encode_file_s": spread(1.1 * encode_s),
        "decode_file_s": spread(1.1 * decode_s),
        "encode_stages_s": stages,
        "decode_stages_s": {},
        "encode_peak_bytes": 3_000_000,
        "decode_peak_bytes": 2_000_000,
    }


def records() -> list[dict[str, Any]]:
    """Every record of the made-up run: the lossy series, then PNG and JPEG XL lossless."""
    found = [record(s, q, i) for s in SERIES for q in range(len(QUALITIES_DB)) for i in range(len(ITEMS))]
    for name, codec, size in (("PNG", "png", 12_000), ("JPEG XL lossless", "jpegxl", 9_000)):
        for item, label in enumerate(ITEMS):
            exact = {"psnr_db": None, "ssim": 1.0, "flip": 0.0}
            rate = 8 * size / (SIZE[0] * SIZE[1])
            one = record("JPEG XL", 3, item, series=name, codec=codec, key=f"{name}|{label}", setting="default")
            found.append(one | {"lossless": True, "size_bytes": size, "rate_bpp": rate, "metrics": exact})
    return found


def write_run(folder: Path, lines: list[dict[str, Any]] | None = None, *, files: bool = False, **run: Any) -> Path:
    """Write records.jsonl and run.json, and with `files` the originals and the kept files of two pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = records() if lines is None else lines
    viewer = _write_files(folder, lines) if files else []
    (folder / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    description = {
        "title": "Made-up photographs",
        "created": "2026-11-20T12:34:56Z",
        "plan": {"series": [{"name": name} for name in SERIES]},
        "metrics": METRICS,
        "absent": [{"what": "codec vvc", "series": "VVC intra", "install": "pip install 'midtread[video]'"}],
        "commit": "abc1234",
        "anchor": "JPEG 4:2:0",
        "viewer": viewer,
    }
    (folder / "run.json").write_text(json.dumps(description | run))
    return folder


def _write_files(folder: Path, lines: list[dict[str, Any]]) -> list[dict[str, str]]:
    viewer = []
    for index, item in enumerate(ITEMS[:2]):
        x = photograph(index)
        name = f"originals/{item}.png"
        (folder / "originals").mkdir(exist_ok=True)
        (folder / name).write_bytes(imagecodecs.png_encode(x))
        viewer.append({"dataset": "photos", "item": item, "original": name})
        for number, line in enumerate(lines):
            if line["item"] == item and line["codec"] in _ENCODERS and not line["lossless"]:
                line["file"] = f"files/{number}.bin"
                (folder / "files").mkdir(exist_ok=True)
                (folder / line["file"]).write_bytes(_ENCODERS[line["codec"]](x, line["options"]["quality"]))
    return viewer


# -- a grid ---------------------------------------------------------------------------------------------------------

# value of each axis -> factor on the ideal code length; the coder's is on the file instead
GRID: dict[str, dict[str, float]] = {
    "transform": {"ycbcr+wavelet97(levels=5)": 0.7, "ycbcr+dct": 0.8, "none": 2.5},
    "quantizer": {"deadzone": 1.0, "uniform": 1.06},
    "model": {"context": 1.0, "static": 1.1},
    "coder": {"rans": 1.01, "huffman": 1.08},
}
REFUSED = {  # huffman has no fractions of a bit for a context model, says this made-up codec
    "transform": "none",
    "quantizer": "uniform",
    "model": "context",
    "coder": "huffman",
}


def grid_records() -> list[dict[str, Any]]:
    """JPEG 4:2:0, and every combination of GRID but the refused one; rates are products of the factors, exactly."""
    found = [record("JPEG 4:2:0", q, i) for q in range(len(QUALITIES_DB)) for i in range(len(ITEMS))]
    for values in itertools.product(*GRID.values()):
        at = dict(zip(GRID, values, strict=True))
        if at == REFUSED:
            continue
        name = " · ".join(values)
        factor = math.prod(GRID[axis][value] for axis, value in at.items() if axis != "coder")
        times = timing(0.01 * factor, 0.008 * GRID["coder"][at["coder"]])
        for quality, item in itertools.product(range(len(QUALITIES_DB)), range(len(ITEMS))):
            base = record("JPEG 4:2:0", quality, item)
            ideal_bytes = factor * base["rate_bpp"] * SIZE[0] * SIZE[1] / 8
            rate = GRID["coder"][at["coder"]] * factor * base["rate_bpp"]
            changes = {"series": name, "codec": "pipeline", "key": f"{name}|{quality}|{item}", "backend": "midtread"}
            changes |= {"options": {**at, "step": 2**quality}, "setting": f"step={2**quality}", "chroma": "4:4:4"}
            changes |= {"rate_bpp": rate, "size_bytes": round(rate * SIZE[0] * SIZE[1] / 8), "ideal_bytes": ideal_bytes}
            found.append(base | changes | {"timing": times if item == 0 else None})
    return found


def write_grid_run(folder: Path, lines: list[dict[str, Any]] | None = None, **run: Any) -> Path:
    """Write the records of the grid, and run.json as the bench does."""
    refused = {"series": " · ".join(REFUSED.values()), "codec": "pipeline", "at": REFUSED, "why": "no such <pair>"}
    grids = [{"codec": "pipeline", "axes": {axis: list(values) for axis, values in GRID.items()}}]
    lines = grid_records() if lines is None else lines
    return write_run(folder, lines, **{"plan": {}, "grids": grids, "refused": [refused], "absent": []} | run)
