"""How a long run tells its caller where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Told of every step, so that the command line can draw a bar. `phase` is 'rate-distortion' or 'timing'."""

    start: Callable[[str, int], None] = lambda phase, total: None
    step: Callable[[str], None] = lambda text: None
