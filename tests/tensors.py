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


def golden_arrays(name: str) -> dict[str, np.ndarray]:
    """What the golden files of a codec are made of: variant -> array."""
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
