"""Arrays of numbers that tests and golden files are made of: seeded, small."""

import numpy as np

from midtread.media.safetensors import header_bytes
from midtread.registry import CODECS
from midtread.spec import dtype_of

TENSOR_CODECS = [name for name in CODECS.names() if CODECS.get(name).signal == "tensor"]


def walk(shape: tuple[int, ...] = (5, 12, 14), dtype: str = "float32", seed: int = 0) -> np.ndarray:
    """A random walk along the last axis and the first: smooth, with a range of some tens."""
    steps = np.random.default_rng(seed).standard_normal(shape)
    return np.cumsum(np.cumsum(steps, -1), 0).astype(dtype_of(dtype))


def weights(count: int, dtype: str, seed: int = 0) -> np.ndarray:
    """Gaussian."""
    return np.random.default_rng(seed).standard_normal(count).astype(dtype_of(dtype))


def checkpoint() -> np.ndarray:
    """The bytes of a small .safetensors file, uint8 [n]."""
    tensors = {
        "w": weights(300, "bfloat16").reshape(15, 20),
        "b": weights(20, "float32"),
        "step": np.array(7, np.int64),
    }
    kinds = {"bfloat16": "BF16", "float32": "F32", "int64": "I64"}
    head = header_bytes({n: (kinds[x.dtype.name], x.shape, x.nbytes) for n, x in tensors.items()}, {"format": "pt"})
    return np.frombuffer(head + b"".join(x.tobytes() for x in tensors.values()), np.uint8)


FIELD_OPTIONS = {  # of the golden files of codec field: each kind of box and each layout of the array
    "": {},
    "lorenzo": {"max_error": 0.3},
    "streams": {"max_error": 1e-3},
    "silent": {"max_error": 0.2},
    "batch": {"max_error_of_range": 1e-3},
    "fast": {"mode": "fast"},
    "fast-line": {"mode": "fast", "max_error": 0.01},
    "low-bits": {"max_error": 1e-6},
    "exact": {"max_error": 0},
    "value": {"max_error_of_value": 0.003},
    "integers": {"max_error": 3},
    "axis": {"max_error_of_std": 0.01, "axis": 1},
    "complex": {"max_error_of_range": 0.01},
    "fill": {"max_error_of_range": 0.01, "fill_value": 7.5},
    "nested": {"max_error": 1e-3, "mode": "archive"},
}


def _field_arrays() -> dict[str, np.ndarray]:
    spike = np.zeros((40, 41, 42), np.float32)
    spike[20, 20, 20], spike[5, 30:, 9] = 30, np.linspace(0, 1, 11)
    planes = walk((5, 30, 30), seed=3) + 1000 * np.random.default_rng(4).normal(size=(5, 1, 1)).astype(np.float32)
    filled = walk(seed=5)
    filled[2, 3:6], filled[0, 0, :3] = 7.5, (np.nan, np.inf, -np.inf)
    z, y, x = np.meshgrid(*(np.linspace(0, 3, n) for n in (12, 15, 20)), indexing="ij")
    return {
        "": walk(),
        "lorenzo": np.repeat(1.7 * np.random.default_rng(6).integers(0, 500, 100), 9).astype(np.float32),
        "streams": weights(20_000, "float64").reshape(20, 20, 50),
        "silent": spike,
        "batch": planes,
        "fast": walk(),
        "fast-line": weights(900, "float64").cumsum(),
        "low-bits": walk(dtype="float64"),
        "exact": walk(),
        "value": weights(900, "float32"),
        "integers": np.rint(20 * walk()).astype(np.int16),
        "axis": walk((3, 4, 9, 10)),
        "complex": walk() + 1j * walk(seed=1),
        "fill": filled,
        "nested": np.sin(3 * x + y) * np.cos(2 * y - z) + 0.2 * np.sin(9 * z),
    }


def golden_options(name: str, variant: str) -> dict[str, object]:
    """The options that a golden file was encoded with."""
    return FIELD_OPTIONS[variant] if name == "field" else {}


def golden_arrays(name: str) -> dict[str, np.ndarray]:
    """What the golden files of a codec are made of: variant -> array."""
    if name == "field":
        return _field_arrays()
    if name == "safetensors":
        return {"": checkpoint()}
    arrays = {"": walk()}
    if name == "floats":
        sparse = np.full(4000, 5, np.int16)
        sparse[[17, 2900]] = -300
        arrays |= {
            "bfloat16": weights(700, "bfloat16"),
            "four-lanes": weights(6000, "float16"),
            "noise": np.frombuffer(np.random.default_rng(0).bytes(800), np.float64),
            "sparse": sparse,
            "single": np.array(-0.0),
            "empty": np.zeros((3, 0), np.uint64),
            "bool": np.random.default_rng(0).random(999) < 0.3,
        }
    return arrays
