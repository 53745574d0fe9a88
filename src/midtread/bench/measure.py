"""Measure one (codec, settings, picture): size and quality of the decoded file, then times and memory.

Everything here runs in a process of its own (bench/run.py). The rate is the size of a file on disk; the quality is
that of the picture decoded from that file by a codec object that knows nothing but the file.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from midtread import media
from midtread.bench import machine
from midtread.bench.records import SCHEMA, Record, key_of
from midtread.codecs import files
from midtread.errors import CodecError, UsageError
from midtread.registry import METRICS
from midtread.spec import Codec, collect_notes, listen_to_stages, open_codec, to_dtype


@dataclass(frozen=True)
class Job:
    """One point of one curve on one picture."""

    series: str
    codec: str
    setting: str
    options: dict[str, Any]
    dataset: str
    item: str
    source: Path  # the picture's file
    source_sha256: str
    target: Path  # the encoded file
    folder: Path  # of the bench: `target` is recorded relative to it
    provenance: dict[str, Any]  # machine, versions, commit: of the bench, before its workers were pinned

    def identity(self) -> Record:
        """The fields of a record that are known before anything is measured."""
        codec = open_codec(self.codec, **self.options)
        record: Record = {
            "schema": SCHEMA,
            "series": self.series,
            "codec": self.codec,
            "family": codec.family,
            "options": self.options,
            "setting": self.setting,
            "backend": codec.backend(),
            "chroma": codec.chroma,
            "lossless": codec.lossless,
            "dataset": self.dataset,
            "item": self.item,
            "item_sha256": self.source_sha256,
            **self.provenance,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return {"key": key_of(record), **record}


def rate_distortion(job: Job, metrics: tuple[str, ...]) -> Record:
    """Encode to a file, decode that file, measure. A codec's failure becomes a record with `error`."""
    record = job.identity()
    record |= {
        "metrics": {},
        "unmeasured": {},
        "ideal_bytes": None,
        "timing": None,
        "macs_per_pixel": None,
        "parameters": None,
        "error": None,
    }
    try:
        x = media.load(job.source).array
        record |= {"width": x.shape[1], "height": x.shape[0], "channels": 1 if x.ndim == 2 else x.shape[2]}
        record |= {"dtype": x.dtype.name}
        job.target.parent.mkdir(parents=True, exist_ok=True)
        with collect_notes() as notes:
            media.write_bytes(job.target, open_codec(job.codec, **job.options).encode(x))
        data = job.target.read_bytes()
        record |= {"file": str(job.target.relative_to(job.folder)), "file_sha256": hashlib.sha256(data).hexdigest()}
        record |= {"size_bytes": len(data), "rate_bpp": files.rate_bpp(len(data), x.shape)}
        record["ideal_bytes"] = notes.get("ideal_bytes")
        # a 10-bit file of an 8-bit picture decodes to 16 bits; metrics compare on the samples of the source
        x_hat = to_dtype(open_codec(job.codec).decode(data), x.dtype)
        for name in metrics:
            try:
                record["metrics"][name] = METRICS.get(name)(x, x_hat)
            except UsageError as error:  # such as a picture smaller than the metric's window: the others still hold
                record["unmeasured"][name] = str(error)
        if record["lossless"] and not np.array_equal(x, x_hat):
            record["error"] = f"{job.series} says it is lossless, but the decoded picture differs"
    except CodecError as error:
        record["error"] = f"{type(error).__name__}: {error}"
    return record


def failure(job: Job, text: str) -> Record:
    """The record of a job whose process died."""
    return job.identity() | {"metrics": {}, "unmeasured": {}, "timing": None, "error": text}


def timing(job: Job, *, repeats: int, max_seconds: float) -> dict[str, Any]:
    """Times and peak memory of one job, alone on the CPUs of this process. The encoded file must exist.

    Returns:
        repeats, warmup, threads; encode_s and decode_s (array in memory <-> bytes in memory), encode_file_s and
        decode_file_s (file -> file, file -> array, through the front door), each {median, q1, q3} in seconds;
        encode_stages_s and decode_stages_s; encode_peak_bytes and decode_peak_bytes above the resident start.
    """
    codec: Codec = open_codec(job.codec, **job.options)
    plain: Codec = open_codec(job.codec)
    x, data = media.load(job.source).array, job.target.read_bytes()
    scratch = job.target.with_name("timing-" + job.target.name)
    found: dict[str, Any] = {"warmup": 1, "threads": len(machine.cpus())}

    def encode_file() -> None:
        media.write_bytes(scratch, codec.encode(media.load(job.source).array))

    def decode_file() -> None:
        files.decode(job.target.read_bytes())

    # the warm-up runs, which are not timed, give the memory; the smaller work first (see PeakMemory)
    for name, work in (("decode", lambda: plain.decode(data)), ("encode", lambda: codec.encode(x))):
        with machine.PeakMemory() as memory:
            work()
        found[f"{name}_peak_bytes"] = memory.peak_bytes
    clock = Clock(repeats, max_seconds)
    found["encode_s"], found["encode_stages_s"] = clock.run(lambda: codec.encode(x))
    found["decode_s"], found["decode_stages_s"] = clock.run(lambda: plain.decode(data))
    decode_file()  # its warm-up: guards start their helper process here
    found["encode_file_s"], _ = clock.run(encode_file)
    found["decode_file_s"], _ = clock.run(decode_file)
    scratch.unlink(missing_ok=True)
    return found | {"repeats": clock.fewest}


@dataclass
class Clock:
    """Runs work `repeats` times, or fewer (one at least) when that would take longer than `max_seconds`."""

    repeats: int
    max_seconds: float
    fewest: int = 0  # repeats of the shortest series so far: what a record may claim

    def run(self, work: Callable[[], object]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """Seconds of the whole and of each stage, as {median, q1, q3}."""
        wholes: list[float] = []
        stages: dict[str, list[float]] = defaultdict(list)
        while len(wholes) < self.repeats and (not wholes or sum(wholes) + wholes[-1] <= self.max_seconds):
            whole, parts = _once(work)
            wholes.append(whole)
            for name, seconds in parts.items():
                stages[name].append(seconds)
        self.fewest = min(self.fewest or len(wholes), len(wholes))
        return quartiles(wholes), {name: quartiles(seconds) for name, seconds in stages.items()}


def _once(work: Callable[[], object]) -> tuple[float, dict[str, float]]:
    parts: dict[str, float] = defaultdict(float)
    entered: list[float] = []

    def listener(name: str, entering: bool) -> None:
        if entering:
            entered.append(time.perf_counter())
        else:
            parts[name] += time.perf_counter() - entered.pop()

    with listen_to_stages(listener):
        start = time.perf_counter()
        work()
        whole = time.perf_counter() - start
    return whole, dict(parts)


def quartiles(seconds: list[float]) -> dict[str, float]:
    """Median and quartiles (linear between order statistics; of one value, that value)."""
    if len(seconds) == 1:
        return {"median": seconds[0], "q1": seconds[0], "q3": seconds[0]}
    q1, median, q3 = statistics.quantiles(seconds, n=4, method="inclusive")
    return {"median": median, "q1": q1, "q3": q3}
