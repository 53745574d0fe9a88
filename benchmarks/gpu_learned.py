"""`learned` on a GPU, for gpu.py: the symbols of the CPU, pixels within 1, then speed of encoding and decoding."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

RUNTIMES = ("onnxruntime", "cuda", "cuda-bf16")
QUALITIES = (4, 24, 44)
REPEATS = 9


def pictures() -> dict[str, np.ndarray]:
    """One of several tiles, one of odd sides; smooth, with noise on top. uint8 [H, W, 3]."""
    made = {}
    for name, (height, width) in {"2304 x 1536": (1536, 2304), "771 x 513": (513, 771)}.items():
        rows, columns = np.arange(height)[:, None, None], np.arange(width)[None, :, None]
        wave = np.sin(rows / 37 + np.arange(3)) * np.cos(columns / 53) + 0.3 * np.sin((rows + 2 * columns) / 5)
        noise = np.random.default_rng(0).normal(0, 0.05, (height, width, 3))
        made[name] = np.clip(128 + 80 * (wave + noise), 0, 255).astype(np.uint8)
    return made


def check() -> list[dict[str, Any]] | None:
    """A row for each model, picture, quality and runtime; None where PyTorch finds no GPU."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    from midtread.codecs.image import learned_model
    from midtread.codecs.image.learned import Learned

    rows = []
    for model in learned_model.names():
        for what, x in pictures().items():
            for quality in QUALITIES:
                data = Learned(model=model, quality=quality, effort="fast").encode(x)
                expected = Learned().decode(data)
                for runtime in RUNTIMES:
                    codec = Learned(model=model, quality=quality, effort="fast", runtime=runtime)
                    furthest = int(np.abs(codec.decode(data).astype(int) - expected).max())
                    back = Learned().decode(codec.encode(x))  # a file of the GPU, decoded by the CPU
                    rows.append(
                        {
                            "model": model, "picture": what, "quality": quality, "runtime": runtime,
                            "furthest": furthest, "good": furthest <= (2 if "bf16" in runtime else 1),
                            "psnr_db": float(10 * np.log10(255**2 / np.mean((back.astype(float) - x) ** 2))),
                            "encode_mpx_s": x.shape[0] * x.shape[1] / 1e6 / _seconds(lambda c=codec: c.encode(x)),
                            "decode_mpx_s": x.shape[0] * x.shape[1] / 1e6 / _seconds(lambda c=codec: c.decode(data)),
                        }
                    )  # fmt: skip
                    print(
                        "  "
                        + "  ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{v}" for k, v in rows[-1].items())
                    )
    return rows


def _seconds(work: Any) -> float:
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
