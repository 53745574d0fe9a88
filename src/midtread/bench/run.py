"""Run a plan: rate-distortion on all cores, then timing alone on the machine. Stops and resumes.

    plan ──► jobs ──► [one process per series and picture, all cores] ──► records.jsonl ──► [timing, one at a time]

Every job runs in a process of its own family, so that a codec that crashes takes only its own record with it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from midtread import media
from midtread.bench import datasets, machine, pool, records
from midtread.bench.measure import Job
from midtread.bench.plan import Plan
from midtread.bench.progress import Progress
from midtread.errors import UsageError
from midtread.registry import CODECS, METRICS

_SAID_OF_METRICS = ("name", "label", "better", "unit", "recipe")


@dataclass(frozen=True)
class Outcome:
    """What a run left behind."""

    folder: Path
    records: int
    measured: int  # in this run; the others were there already
    failures: int


def run(plan: Plan, folder: Path, progress: Progress = Progress()) -> Outcome:
    """Run `plan` into `folder`; what is already measured there is kept and not measured again.

    Raises:
        UsageError: no such picture; CodecError: the folder cannot be written, the disk is full, or another bench
        is writing there.
    """
    jobs = plan_jobs(plan, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder}: {error.strerror}") from error
    with records.Writer(folder) as writer:
        done = records.load(folder)
        measured = _rate_distortion(plan, jobs, done, writer, progress)
        measured += _timing(plan, jobs, done, writer, progress)
        done = records.compact(folder)
        _write_description(plan, jobs, folder)
    if not plan.keep_files:
        for job in jobs:
            if job.item not in plan.viewer.items:  # the report shows those
                job.target.unlink(missing_ok=True)
    failures = sum(1 for record in done.values() if record["error"])
    return Outcome(folder, len(done), measured, failures)


def plan_jobs(plan: Plan, folder: Path) -> list[Job]:
    """Every point of every curve on every picture, in the order of the plan."""
    jobs = []
    provenance = {"machine": machine.describe(), "versions": machine.versions(), "commit": machine.commit()}
    for choice in plan.datasets:
        for item in _items(choice.name, choice.path, choice.items):
            sha256 = hashlib.sha256(item.path.read_bytes()).hexdigest()
            for series in plan.series:
                native = CODECS.get(series.codec).native
                suffix = media.FORMATS[native].suffixes[0] if native else ".mt"
                for setting, options in series.settings():
                    place = folder / "files" / _slug(series.name) / _slug(setting)
                    target = place / _slug(item.dataset) / (_slug(item.name) + suffix)
                    identity = (series.name, series.codec, setting, options, item.dataset, item.name)
                    jobs.append(Job(*identity, item.path, sha256, target, folder, provenance, item.part))
    return jobs


def _items(name: str, path: str, chosen: tuple[str, ...]) -> list[datasets.Item]:
    if bool(name) == bool(path):
        raise UsageError(f"a [[dataset]] has either a name or a path, got name={name!r} and path={path!r}")
    items = datasets.open_dataset(name or path)
    known = [item.name for item in items]
    if unknown := [one for one in chosen if one not in known]:
        raise UsageError(f"dataset {name or path!r} has no item {unknown[0]!r}; it has {', '.join(known)}")
    return sorted((item for item in items if item.name in chosen), key=lambda item: chosen.index(item.name)) or items


def _rate_distortion(
    plan: Plan, jobs: list[Job], done: dict[str, records.Record], writer: records.Writer, progress: Progress
) -> int:
    def finished(job: Job) -> bool:
        record = done.get(job.identity()["key"])
        if record is None or record["error"]:
            return False
        return set(plan.metrics) <= {*record["metrics"], *record["unmeasured"]}

    # a file that was thrown away must be made again before it can be timed
    untimed = [job for job in _timed(plan, jobs, done) if not (done.get(job.identity()["key"]) or {}).get("timing")]
    gone = [job for job in untimed if not job.target.exists()]
    to_do = [job for job in jobs if not finished(job) or job in gone]
    if to_do:
        progress.start("rate-distortion", len(to_do))
    groups: dict[tuple[str, str, str], list[Job]] = {}
    for job in to_do:
        groups.setdefault((job.dataset, job.item, job.series), []).append(job)
    work = [("rate_distortion", group, {"metrics": plan.metrics}) for group in groups.values()]
    for job, record in pool.run(work, [[cpu] for cpu in machine.cpus()]):
        before = done.get(record["key"])
        if before and before.get("timing") and before.get("file_sha256") == record.get("file_sha256"):
            record["timing"] = before["timing"]
        writer.append(record)
        done[record["key"]] = record
        progress.step(f"{job.series} {job.setting} {job.item}")
    return len(to_do)


def _timed(plan: Plan, jobs: list[Job], done: dict[str, records.Record]) -> list[Job]:
    """The jobs to be timed: on the first pictures of each dataset, and at the settings that the plan asks for."""
    pictures: dict[str, list[str]] = {}
    for job in jobs:
        names = pictures.setdefault(job.dataset, [])
        if job.item not in names and len(names) < plan.timing.items:
            names.append(job.item)
    chosen = _nearest(jobs, done, plan.timing.near_bpp) if plan.timing.near_bpp else None
    wanted = plan.timing.settings
    here = [job for job in jobs if job.item in pictures[job.dataset] and (not wanted or job.setting in wanted)]
    return [job for job in here if chosen is None or chosen.get((job.dataset, job.series)) == job.setting]


def _nearest(jobs: list[Job], done: dict[str, records.Record], near_bpp: float) -> dict[tuple[str, str], str]:
    """(dataset, series) -> the setting whose mean rate over the pictures is nearest to `near_bpp`, once measured."""
    rates: dict[tuple[str, str, str], list[float]] = {}
    for job in jobs:
        record = done.get(job.identity()["key"]) or {}
        if rate := record.get("rate_bpp") or record.get("rate_bits_per_value"):
            rates.setdefault((job.dataset, job.series, job.setting), []).append(rate)
    far_first = sorted(rates, key=lambda key: -abs(math.log(fmean(rates[key]) / near_bpp)))
    return {(dataset, series): setting for dataset, series, setting in far_first}  # the last one holds


def _timing(
    plan: Plan, jobs: list[Job], done: dict[str, records.Record], writer: records.Writer, progress: Progress
) -> int:
    to_do = []
    for job in _timed(plan, jobs, done):
        record = done[job.identity()["key"]]
        if not record["error"] and not record["timing"]:
            to_do.append(job)
    if to_do:
        progress.start("timing", len(to_do))
    settings = {"repeats": plan.timing.repeats, "max_seconds": plan.timing.max_seconds}
    chosen = machine.cpus()[-plan.timing.threads :]  # the last ones: systems like to use CPU 0 for interrupts
    for job, found in pool.run([("timing", [job], settings) for job in to_do], [chosen]):
        record = done[job.identity()["key"]]
        record |= {"error": found["error"]} if "error" in found else {"timing": found | {"cpus": chosen}}
        writer.append(record)
        progress.step(f"{job.series} {job.setting} {job.item}")
    return len(to_do)


def _write_description(plan: Plan, jobs: list[Job], folder: Path) -> None:
    """run.json: the plan, the recipes of its metrics, what was absent, and the originals for the viewer."""
    viewer = []
    for item in dict.fromkeys(plan.viewer.items):
        job = next((job for job in jobs if job.item == item), None)
        if job is None and any(one["what"].startswith("dataset ") for one in plan.absent):
            continue  # it may be one of that dataset
        if job is None:
            raise UsageError(f"[viewer]: no dataset of this plan has the item {item!r}")
        x = media.load(job.source).array if job.part is None else media.load(job.source).array[job.part]
        original = folder / "originals" / _slug(job.dataset) / (_slug(job.item) + (".npy" if job.tensor else ".png"))
        original.parent.mkdir(parents=True, exist_ok=True)
        media.save(original, media.Picture(x))
        viewer.append({"dataset": job.dataset, "item": item, "original": str(original.relative_to(folder))})
    metrics = [METRICS.get(name) for name in plan.metrics]
    description = {
        "title": plan.title,
        "anchor": plan.anchor,
        "plan": asdict(plan),
        "metrics": [{key: getattr(one, key) for key in _SAID_OF_METRICS} for one in metrics],
        "absent": list(plan.absent),
        "grids": [{"codec": grid.codec, "axes": grid.axes} for grid in plan.grids],
        "refused": list(plan.refused),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "commit": machine.commit(),
        "viewer": viewer,
    }
    media.write_bytes(folder / "run.json", (json.dumps(description, indent=1) + os.linesep).encode())


def _slug(text: str) -> str:
    """A file name for any text: letters, digits, and a few signs."""
    return re.sub(r"[^A-Za-z0-9.=_-]+", "_", text) or "_"
