"""A bench folder of fields made up with a seed: four lossy series and one lossless, three fields, round numbers.

Sizes are those of SZ3 times a factor, the same on every field, so size against SZ3 is that factor exactly. The kept
files are .npy files; what a series decodes to is the field with an error of its own kind.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

MACHINE = "linux-x86_64 / Imaginary CPU 3000 / 2 cores"
BOUNDS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 1e-4)
FIELDS = ("wave", "cloud", "sea")
SHAPE = (24, 32, 40)
VALUES = 24 * 32 * 40

# name: (codec, factor on the size of SZ3, encode GB/s, decode GB/s)
SERIES: dict[str, tuple[str, float, float, float]] = {
    "SZ3": ("sz3", 1.0, 0.2, 0.4),
    "fast": ("field", 1.5, 2.0, 3.0),
    "small": ("field", 0.8, 0.5, 0.6),
    "picky": ("zfp", 2.0, 0.3, 0.3),  # refuses the sea
    "careless": ("bitround", 3.0, 0.6, 0.8),  # breaks its bound on the cloud
}
METRICS = [
    {"name": "range_psnr_db", "label": "PSNR (range)", "better": "higher", "unit": "dB", "recipe": "range / RMSE"},
    {"name": "spectrum_error", "label": "spectrum error", "better": "lower", "unit": "", "recipe": "P_hat / P - 1"},
    {"name": "slice_ssim", "label": "SSIM of slices", "better": "higher", "unit": "", "recipe": "11 x 11"},
]


def field(name: str) -> np.ndarray:
    """float32 [24, 32, 40]: a wave, a cloud of noise, a sea with land at 1e20."""
    z, y, x = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    wave = np.sin(x / 5) + np.cos(y / 7) * np.sin(z / 4)
    if name == "cloud":
        wave = np.exp(wave + 0.3 * np.random.default_rng(0).standard_normal(SHAPE))
    if name == "sea":
        wave[:, :12, :15] = 1e20
    return wave.astype(np.float32)


def reconstruction(name: str, series: str, relative: float) -> np.ndarray:
    """The field with errors within the bound, beyond it where "careless" is careless."""
    x = field(name)
    count = x < 1e19
    bound = relative * float(x[count].max() - x[count].min())
    noise = np.random.default_rng(len(series)).uniform(-bound, bound, SHAPE)
    if series == "careless" and name == "cloud":
        noise[:, 8:12, 8:12] = 2 * bound
    return np.where(count, x + 0.99 * noise, x).astype(np.float32)


def record(series: str, item: str, relative: float, /, **changes: Any) -> dict[str, Any]:
    """One line of records.jsonl."""
    codec, factor, encode, decode = SERIES[series]
    number = BOUNDS.index(relative)
    broken = series == "careless" and item == "cloud"
    size = round(factor * 2**number * (100 if item == "wave" else 400))
    psnr = -20 * np.log10(relative / 3)
    timed = item == "wave"
    found = {
        "schema": 1,
        "key": f"{series}|{item}|{relative}",
        "signal": "tensor",
        "series": series,
        "codec": codec,
        "family": "conventional",
        "options": {"max_error_of_range": relative},
        "setting": f"max_error_of_range={relative}",
        "backend": f"lib{codec} 1.0",
        "chroma": "4:4:4",
        "lossless": False,
        "dataset": "made",
        "item": item,
        "item_sha256": "0" * 64,
        "shape": list(SHAPE),
        "dtype": "float32",
        "values": VALUES,
        "source_bytes": 4 * VALUES,
        "size_bytes": size,
        "rate_bits_per_value": 8 * size / VALUES,
        "ratio": 4 * VALUES / size,
        "bound": 2 * relative,
        "bound_of_range": relative,
        "max_error_over_bound": 1.98 if broken else 0.99,
        "violations": 384 if broken else 0,
        "file": None,
        "metrics": {"range_psnr_db": psnr, "spectrum_error": relative / 10, "slice_ssim": 1 - relative / 20},
        "timing": timing(4 * VALUES / 1e9 / encode, 4 * VALUES / 1e9 / decode) if timed else None,
        "machine": {"name": MACHINE},
        "versions": {},
        "commit": "abc1234",
        "started": "2026-11-21T12:00:00Z",
        "error": None,
    }
    if series == "picky" and item == "sea":
        gone = ("size_bytes", "ratio", "bound", "bound_of_range", "max_error_over_bound", "violations", "timing")
        found |= dict.fromkeys(gone) | {"metrics": {}, "error": "UsageError: codec 'zfp' takes no <fill values>"}
    return found | changes


def timing(encode_s: float, decode_s: float) -> dict[str, Any]:
    """Times of one field."""

    def spread(median: float) -> dict[str, float]:
        return {"median": median, "q1": median, "q3": median}

    return {
        "repeats": 3,
        "warmup": 1,
        "threads": 1,
        "encode_s": spread(encode_s),
        "decode_s": spread(decode_s),
        "encode_file_s": spread(2 * encode_s),
        "decode_file_s": spread(2 * decode_s),
        "encode_stages_s": {},
        "decode_stages_s": {},
        "encode_peak_bytes": 5_000_000,
        "decode_peak_bytes": 4_000_000,
    }


def records() -> list[dict[str, Any]]:
    """Every record of the made-up run: lossy ones, then zstd."""
    found = [record(series, item, relative) for series in SERIES for item in FIELDS for relative in BOUNDS]
    exact = {"range_psnr_db": None, "spectrum_error": 0.0, "slice_ssim": 1.0}
    nothing = dict.fromkeys(("bound", "bound_of_range", "max_error_over_bound", "violations"))
    for item in FIELDS:
        one = record("SZ3", item, 1e-4, series="zstd", codec="zstd", key=f"zstd|{item}", setting="default", options={})
        found.append(one | nothing | {"lossless": True, "metrics": exact})
    return found


def write_run(folder: Path, lines: list[dict[str, Any]] | None = None, *, files: bool = False, **run: Any) -> Path:
    """Write records.jsonl and run.json, and with `files` originals and kept files of all fields."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = records() if lines is None else lines
    viewer = _write_files(folder, lines) if files else []
    (folder / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    description = {
        "title": "Made-up fields",
        "created": "2026-11-21T12:34:56Z",
        "plan": {"series": [{"name": name} for name in SERIES]},
        "metrics": METRICS,
        "absent": [{"what": "dataset fields", "series": "", "install": "put them there by hand"}],
        "commit": "abc1234",
        "anchor": "SZ3",
        "viewer": viewer,
    }
    (folder / "run.json").write_text(json.dumps(description | run))
    return folder


def _write_files(folder: Path, lines: list[dict[str, Any]]) -> list[dict[str, str]]:
    (folder / "originals").mkdir(exist_ok=True)
    (folder / "files").mkdir(exist_ok=True)
    for name in FIELDS:
        np.save(folder / "originals" / f"{name}.npy", field(name))
    for number, line in enumerate(lines):
        if line["bound_of_range"] == 1e-2:
            line["file"] = f"files/{number}.npy"
            np.save(folder / line["file"], reconstruction(line["item"], line["series"], 1e-2))
    return [{"dataset": "made", "item": name, "original": f"originals/{name}.npy"} for name in FIELDS]


def decode(row: dict[str, Any], data: bytes) -> np.ndarray:
    """What `report.build` takes instead of the codecs of the package."""
    return np.load(io.BytesIO(data))
