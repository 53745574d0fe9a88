"""Where and with what a number was measured, and how to keep the machine still while measuring."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("midtread", "numpy", "scipy", "pillow", "imagecodecs", "imageio-ffmpeg", "torch", "numba")


@cache
def describe() -> dict[str, Any]:
    """Name, CPU, cores this process may use, memory, system, Python."""
    cpu, cores = _cpu_name(), len(cpus())
    system = f"{platform.system().lower()}-{platform.machine()}"
    return {
        "name": f"{system} / {cpu} / {cores} cores",
        "cpu": cpu,
        "cores": cores,
        "memory_bytes": _memory_bytes(),
        "os": platform.platform(),
        "python": platform.python_version(),
    }


@cache
def versions() -> dict[str, str]:
    """Versions of the packages that touch a measurement, those that are installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def commit() -> str | None:
    """Commit of the checkout this package runs from, with '+' when it has changes; None when installed."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    git = ["git", "-C", str(root)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True)
        # src/ alone: a bench that writes its records below benchmarks/ does not change what it measures
        changes = subprocess.run([*git, "status", "--porcelain", "src"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")


def cpus() -> list[int]:
    """CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(chosen: list[int]) -> None:
    """Keep this process, its threads and children to start on `chosen` CPUs, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, chosen)
    limit_threads(len(chosen))


def limit_threads(count: int) -> None:
    """Tell libraries that are imported from now on, here and in children, to use `count` threads."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[variable] = str(count)


class PeakMemory:
    """Peak resident memory of a piece of work above where it started, in bytes, plus its largest child process.

    Linux only (the kernel's high-water mark can be reset there); elsewhere `peak_bytes` is None. Memory that an
    allocator kept from earlier work hides new use of the same size, and children count from the start of the
    process: so the bench measures in a fresh process, the smaller work (decode) first.
    """

    peak_bytes: int | None = None

    def __enter__(self) -> PeakMemory:
        try:
            Path("/proc/self/clear_refs").write_text("5")
            self._start, self._children_s = _status_bytes("VmRSS"), _children_s()
        except OSError:
            self._start = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._start is None:
            return
        self.peak_bytes = max(0, (_status_bytes("VmHWM") or 0) - self._start)
        if _children_s() > self._children_s:  # a child ran and ended in between
            self.peak_bytes += _children_bytes()


def _status_bytes(field: str) -> int | None:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


def _children_s() -> float:
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _children_bytes() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown CPU"


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
