"""A progress bar for one long job."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LONG = 1 << 26  # bytes of an array that take longer than a moment


@contextmanager
def bar(text: str, size_bytes: int) -> Iterator[Callable[[float], None] | None]:
    """What to call with the part that is done, 0 to 1; None for short jobs, or when nobody looks at stderr."""
    if size_bytes < _LONG or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(text, total=1.0)
        yield lambda done: bars.update(task, completed=done)
