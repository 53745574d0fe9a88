"""Measure one (codec, settings, picture or tensor): size and quality of the decoded file, then times and memory.

Everything here runs in a process of its own (bench/run.py). The rate is the size of a file on disk; the quality is
that of what is decoded from that file by a codec object that knows nothing but the file.
"""

from __future__ import annotations

import functools
import hashlib
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from midtread import media
from midtread.bench import field_measures, machine
from midtread.bench.records import SCHEMA, Record, key_of
from midtread.codecs import files
from midtread.errors import CodecError, UsageError
from midtread.registry import CODECS, METRICS
from midtread.spec import Codec, Complexity, collect_notes, listen_to_stages, open_codec, to_dtype


@dataclass(frozen=True)
class Job:
    """One point of one curve on one picture or field."""

    series: str
    codec: str
    setting: str
    options: dict[str, Any]
    dataset: str
    item: str
    source: Path  # the file of the picture or field
    source_sha256: str
    target: Path  # the encoded file
    folder: Path  # of the bench: `target` is recorded relative to it
    provenance: dict[str, Any]  # machine, versions, commit: of the bench, before its workers were pinned
    part: int | None = None  # of several fields in the source

    @property
    def kind(self) -> str:
        """What people call what it takes."""
        return "field" if self.tensor else "picture"

    @property
    def tensor(self) -> bool:
        """Whether the codec takes tensors."""
        return bool(CODECS.get(self.codec).signal == "tensor")

    def open(self, x: np.ndarray) -> Codec:
        """The codec with the options for `x`."""
        options = field_measures.options_for(self.codec, self.options, x) if self.tensor else self.options
        return open_codec(self.codec, **options)

    def identity(self) -> Record:
        """The fields of a record that are known before anything is measured."""
        codec = open_codec(self.codec, **self.options)
        record: Record = {
            "schema": SCHEMA,
            "signal": codec.signal,
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
        **_network(None),
        "error": None,
    }
    try:
        x = _source(job.source, job.part)
        codec = job.open(x)
        record |= _network(codec.complexity())
        job.target.parent.mkdir(parents=True, exist_ok=True)
        with collect_notes() as notes:
            media.write_bytes(job.target, codec.encode(x))
        data = job.target.read_bytes()
        record |= {"file": str(job.target.relative_to(job.folder)), "file_sha256": hashlib.sha256(data).hexdigest()}
        record |= {"size_bytes": len(data), "ideal_bytes": notes.get("ideal_bytes")}
        record |= field_measures.rates(x, len(data)) if job.tensor else _rates(x, len(data))
        x_hat = open_codec(job.codec).decode(data)
        _compare(job, record, x, x_hat, metrics)
    except CodecError as error:
        record["error"] = f"{type(error).__name__}: {error}"
    return record


@functools.lru_cache(maxsize=1)  # the jobs of one process are about one picture
def _source(path: Path, part: int | None) -> np.ndarray:
    """The array of a job; read-only, so that what was found out about it keeps being true."""
    x = _load(path, part)
    x.flags.writeable = False
    return x


def _load(path: Path, part: int | None) -> np.ndarray:
    x = media.load(path).array
    return x if part is None else x[part].copy()


def _rates(x: np.ndarray, size_bytes: int) -> Record:
    """Size of a picture, and of a file for it per pixel."""
    shape = {"width": x.shape[1], "height": x.shape[0], "channels": 1 if x.ndim == 2 else x.shape[2]}
    return {**shape, "dtype": x.dtype.name, "rate_bpp": files.rate_bpp(size_bytes, x.shape)}


def _network(complexity: Complexity | None) -> Record:
    """What the network of a codec costs, as the codec tells it."""
    if complexity is None:
        return {"macs_per_pixel": None, "parameters": None, "complexity": None}
    macs_per_pixel, parameters = complexity.decode_macs_per_pixel, complexity.parameters
    return {"macs_per_pixel": macs_per_pixel, "parameters": parameters, "complexity": asdict(complexity)}


def _compare(job: Job, record: Record, x: np.ndarray, x_hat: np.ndarray, metrics: tuple[str, ...]) -> None:
    """Add the metrics and the bound to a record, or the error when a lossless codec lost something."""
    if not job.tensor:
        # a 10-bit file of an 8-bit picture decodes to 16 bits; metrics compare on the samples of the source
        x_hat = to_dtype(x_hat, x.dtype)
    elif x_hat.shape != x.shape or x_hat.dtype != x.dtype:
        record["error"] = f"{job.series} made {list(x_hat.shape)} {x_hat.dtype} of {list(x.shape)} {x.dtype}"
        return
    for name in metrics:
        try:
            record["metrics"][name] = METRICS.get(name)(x, x_hat)
        except UsageError as error:  # such as a picture smaller than the metric's window: the others still hold
            record["unmeasured"][name] = str(error)
    if job.tensor:
        options = field_measures.options_for(job.codec, job.options, x)
        record |= field_measures.kept_bound(x, x_hat, options)
    if record["lossless"] and not (field_measures.same_bits if job.tensor else np.array_equal)(x, x_hat):
        record["error"] = f"{job.series} says it is lossless, but the decoded {job.kind} differs"


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
    x, data = _source(job.source, job.part), job.target.read_bytes()
    codec: Codec = job.open(x)
    plain: Codec = open_codec(job.codec)
    scratch = job.target.with_name("timing-" + job.target.name)
    found: dict[str, Any] = {"warmup": 1, "threads": len(machine.cpus())}

    def encode_file() -> None:
        media.write_bytes(scratch, codec.encode(_load(job.source, job.part)))

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
