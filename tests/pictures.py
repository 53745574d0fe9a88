"""Pictures that tests are made of: seeded, small, and not too easy."""

import numpy as np

from midtread.registry import CODECS
from midtread.spec import full_scale, missing

# Their weights are the user's: test_external_learned.py runs them on tiny models of its own.
WITHOUT_WEIGHTS = ("compressai", "vqvae")
ALL_CODECS = [n for n in CODECS.names() if CODECS.get(n).signal == "picture" and n not in WITHOUT_WEIGHTS]
INSTALLED = [name for name in ALL_CODECS if not missing(CODECS.get(name).needs)]


def photo_like(shape: tuple[int, ...] = (24, 40, 3), dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """Smooth waves, an edge and a little noise, in the full scale of `dtype`; alpha, if any, is not flat."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    channels = shape[2] if len(shape) == 3 else 1
    planes = [0.5 + 0.2 * np.sin(x / (5 + c)) + 0.2 * np.cos(y / (7 + c)) + 0.1 * (x > y + c) for c in range(channels)]
    picture = np.stack(planes, -1) + rng.normal(0, 0.01, (*shape[:2], channels))
    scale = full_scale(np.dtype(dtype))
    picture = np.clip(picture, 0, 1) * scale
    if np.dtype(dtype).kind in "ui":
        picture = np.rint(picture)
    return picture.reshape(shape).astype(dtype)


def shapes_of(codec: type, height: int = 24, width: int = 40) -> list[tuple[int, ...]]:
    """One shape for every number of channels that a codec takes (of many, up to 5 and the most)."""
    channels = codec.accepts.channels
    few = channels if len(channels) < 6 else (*channels[:5], channels[-1])
    return [(height, width) if c == 1 else (height, width, c) for c in few]
