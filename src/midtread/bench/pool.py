"""Processes for measurements: one per piece of work, pinned, so that a codec that crashes takes nobody with it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from midtread.bench import machine, measure
from midtread.bench.measure import Job
from midtread.registry import CODECS

# what a fresh process would otherwise import for every job; only what is installed
_PRELOAD = ["midtread.bench.measure", "imagecodecs", "PIL.Image", "scipy.ndimage"]

# what Numba imports when it first loads a kernel, over a second of it; names that a version does not have are ignored
_PRELOAD_NUMBA = [
    "numba.np.linalg",
    "numba.np.arraymath",
    "numba.np.random.legacy",
    "numba.np.polynomial.polynomial_functions",
    "numba.typed.typeddict",
    "numba.experimental.jitclass.base",
]

Work = tuple[str, list[Job], dict[str, Any]]  # function of bench.measure, its jobs, its settings


def run(work: list[Work], places: list[list[int]]) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Run `work`, one process per entry, as many at once as there are `places` (lists of CPUs); yield as they come.

    A process that dies costs the job it was at: that one yields `measure.failure`, the rest goes on in a new process.
    """
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context: Any = multiprocessing.get_context(method)  # its type depends on the method
    # the fork server imports NumPy, whose BLAS starts its threads at import: one per worker is enough for metrics
    machine.limit_threads(1)
    if method == "forkserver":
        own = any(CODECS.get(job.codec).backend() == "midtread" for _, jobs, _ in work for job in jobs)
        context.set_forkserver_preload(_PRELOAD + (_PRELOAD_NUMBA if own else []))
    waiting, free = list(reversed(work)), list(places)
    running: dict[Connection, tuple[BaseProcess, Work, list[int]]] = {}
    try:
        while waiting or running:
            while waiting and free:
                task, place = waiting.pop(), free.pop()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(task, place, theirs), daemon=True)
                process.start()
                theirs.close()
                running[ours] = (process, task, place)
            for ready in _ready(running):
                process, task, place = running[ready]
                name, jobs, settings = task
                try:
                    result = ready.recv()
                    running[ready] = (process, (name, jobs[1:], settings), place)
                    yield jobs[0], result
                except EOFError:  # the process ended: all done, or it died over the first of the jobs left
                    process.join()
                    del running[ready]
                    free.append(place)
                    if jobs:
                        yield jobs[0], measure.failure(jobs[0], _death(process.exitcode))
                        if jobs[1:]:
                            waiting.append((name, jobs[1:], settings))
    finally:
        for process, _, _ in running.values():
            process.terminate()


def _ready(running: dict[Connection, Any]) -> list[Connection]:
    return [one for one in wait(list(running)) if isinstance(one, Connection)]


def _work(task: Work, place: list[int], results: Connection) -> None:
    """What a process does: its jobs, one result each."""
    name, jobs, settings = task
    machine.pin(place)
    for job in jobs:
        results.send(getattr(measure, name)(job, **settings))
    results.close()


def _death(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"the codec crashed its process (signal {-exitcode})"
    return f"the measuring process ended with code {exitcode}; run this job with one repeat to see its message"
