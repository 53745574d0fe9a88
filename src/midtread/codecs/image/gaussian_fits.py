"""Fits, each made once: a search over steps asks for the same one again and again."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from midtread.transforms.gaussians import Gaussians
from midtread.transforms.gaussians_fit import Budget, Snap, fit

KEPT = 4  # fits, a few hundred kilobytes each

_made: OrderedDict[tuple[Any, ...], Gaussians] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class Wanted:
    """What a fit depends on, beside the picture."""

    count: int
    budget: Budget
    seed: int
    device: str = "cpu"
    snapped: str = ""  # names `snap`, when there is one


def fitted(
    picture: np.ndarray, wanted: Wanted, threads: int, watch: Callable[[float, float], Any], snap: Snap | None
) -> Gaussians:
    """The fit of a float32 picture [H, W, C]; from memory, where it was made before."""
    key = (blake2b(np.ascontiguousarray(picture).data, digest_size=16).digest(), picture.shape, wanted)
    with _lock:
        if key in _made:
            _made.move_to_end(key)
            return _made[key]
    gaussians, trace = fit(
        picture,
        wanted.count,
        wanted.budget,
        seed=wanted.seed,
        threads=threads,
        device=wanted.device,
        watch=watch,
        snap=snap,
    )
    if not trace.stopped and wanted.budget.seconds == math.inf:  # else another time it would be another one
        with _lock:
            _made[key] = gaussians
            while len(_made) > KEPT:
                _made.popitem(last=False)
    return gaussians
