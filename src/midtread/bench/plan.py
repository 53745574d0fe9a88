"""A bench plan: datasets x series x settings x metrics, read from TOML and checked before anything runs.

A grid is a short way to write series: once read, nothing but the report's tables knows of it.

title = "Kodak, conventional codecs"
anchor = "JPEG 4:2:0"                 # the series that BD-rates are against
metrics = ["psnr_db", "ssim"]

[[dataset]]
name = "kodak"                        # a name from `midtread list datasets`, or path = "folder/of/pictures"
items = ["kodim01", "kodim02"]        # left out: all of them
optional = true                       # run without it where its files are not here; left out: it has to be here

[[series]]                            # one curve
name = "AVIF 4:4:4"
codec = "avif"
options = { subsampling = "4:4:4" }
vary = { quality = [20, 40, 60, 80] } # one option, one point each; left out: a single point

[[grid]]                              # a series for every combination of the lists, named after its values
codec = "pipeline"
transform = ["wavelet97", "dct"]      # options of the codec, the first one outermost
coder = ["rans", "huffman"]
options = { model = "context" }       # as in [[series]], and so is vary
vary = { step = [4, 8, 16, 32, 64] }

[timing]                              # left out: nothing is timed
items = 3                             # how many pictures of each dataset
repeats = 5
near_bpp = 0.75                       # optional: of each series only the setting nearest to this rate
settings = ["quality=60", "default"]  # optional: only these settings ("default": of a series without vary)

[viewer]
items = ["kodim01"]                   # pictures to look at in the report
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from midtread.bench.datasets import open_dataset
from midtread.errors import MissingError, UsageError
from midtread.registry import CODECS, METRICS, nearest
from midtread.spec import Metric, missing, open_codec


@dataclasses.dataclass(frozen=True)
class DatasetChoice:
    """Which pictures or fields: a named dataset or a folder, all of it or some items."""

    name: str = ""
    path: str = ""
    items: tuple[str, ...] = ()
    optional: bool = False  # where it is missing, the plan runs without it and says so


@dataclasses.dataclass(frozen=True)
class Series:
    """One curve: a codec, its fixed options, and the option that moves along the curve."""

    name: str
    codec: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    vary: dict[str, list[Any]] = dataclasses.field(default_factory=dict)

    def settings(self) -> list[tuple[str, dict[str, Any]]]:
        """(label, complete options) of every point, in the order of the plan."""
        if not self.vary:
            return [("default", dict(self.options))]
        ((option, values),) = self.vary.items()
        return [(f"{option}={value}", {**self.options, option: value}) for value in values]


@dataclasses.dataclass(frozen=True)
class Grid:
    """Every combination of the values of some options of one codec."""

    codec: str
    axes: dict[str, list[Any]]  # option -> its values; the first axis is outermost
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    vary: dict[str, list[Any]] = dataclasses.field(default_factory=dict)

    def series(self) -> list[Series]:
        """One series for each combination, named after its values: "wavelet97 · deadzone · context · rans"."""
        found = []
        for values in itertools.product(*self.axes.values()):
            options = self.options | dict(zip(self.axes, values, strict=True))
            found.append(Series(" · ".join(map(str, values)), self.codec, options, self.vary))
        return found


@dataclasses.dataclass(frozen=True)
class Timing:
    """How times are taken: alone on the machine, `threads` CPUs, after `warmup` runs that are thrown away."""

    items: int = 0
    repeats: int = 5
    threads: int = 1
    max_seconds: float = 10.0  # fewer repeats (but one at least) when they would take longer than this
    near_bpp: float = 0.0  # only the setting of each series whose mean rate is nearest to this; 0: every setting
    settings: tuple[str, ...] = ()  # only these, as `Series.settings` labels them; none: every setting


@dataclasses.dataclass(frozen=True)
class Viewer:
    """Pictures that the report shows side by side."""

    items: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Plan:
    """A checked plan.

    `series` holds those of the grids too. `absent` lists what cannot run here, with the line that would install it;
    `refused` the combinations of grids that the codec does not take, with the reason.
    """

    title: str
    anchor: str
    metrics: tuple[str, ...]
    datasets: tuple[DatasetChoice, ...]
    series: tuple[Series, ...]
    timing: Timing = Timing()
    viewer: Viewer = Viewer()
    keep_files: bool = True
    absent: tuple[dict[str, str], ...] = ()
    grids: tuple[Grid, ...] = ()
    refused: tuple[dict[str, Any], ...] = ()


_TABLES = {"dataset": DatasetChoice, "series": Series, "grid": Grid, "timing": Timing, "viewer": Viewer}
_LISTS = {"dataset", "series", "grid"}
_PLAIN = {"title": str, "anchor": str, "metrics": list, "keep_files": bool}


def built_in() -> dict[str, Path]:
    """Plans that ship with the package, by name."""
    folder = Path(str(resources.files("midtread.bench") / "plans"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load(source: str) -> Plan:
    """Read and check a plan, by path or by the name of a built-in one.

    Raises:
        UsageError: no such plan, not TOML, a misspelt key, an unknown codec, option or metric; says where.
    """
    path = Path(source)
    if not path.is_file():
        plans = built_in()
        if source not in plans:
            raise UsageError(
                f"no plan {source!r}: not a file, and not one of the built-in plans{nearest(source, plans)}"
            )
        path = plans[source]
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"plan {path} is not TOML: {error}") from error
    return parse(table, str(path))


def parse(table: dict[str, Any], where: str) -> Plan:
    """A plan from its TOML table; `where` starts every message."""
    for key in table:
        if key not in _PLAIN and key not in _TABLES:
            raise UsageError(f"{where}: unknown key {key!r}{nearest(key, [*_PLAIN, *_TABLES])}")
    for key, kind in _PLAIN.items():
        if key in table and not isinstance(table[key], kind):
            raise UsageError(f"{where}: {key} is {table[key]!r}; it takes a {kind.__name__}")
    parts = {key: _part(key, table.get(key), where) for key in _TABLES}
    if not parts["dataset"] or not (parts["series"] or parts["grid"]):
        raise UsageError(f"{where}: a plan needs at least one [[dataset]] and one [[series]] or [[grid]]")
    combinations, refused = _expand(parts["grid"], where)
    series, absent = _available(parts["series"] + combinations, where)
    datasets, absent_datasets = _present(parts["dataset"], where)
    metrics, absent_metrics = _metrics(table.get("metrics", ["psnr_db"]), where)
    every = parts["series"] + combinations
    names = [one.name for one in every]
    labels = {label for one in every for label, _ in one.settings()}
    if unknown := [label for label in parts["timing"].settings if label not in labels]:
        raise UsageError(f"{where}: [timing]: no series has the setting {unknown[0]!r}{nearest(unknown[0], labels)}")
    anchor = table.get("anchor", names[0])
    if anchor not in names:
        raise UsageError(f"{where}: anchor {anchor!r} is no series{nearest(anchor, names)}")
    return Plan(
        title=table.get("title", Path(where).stem),
        anchor=anchor,
        metrics=metrics,
        datasets=datasets,
        series=series,
        timing=parts["timing"],
        viewer=parts["viewer"],
        keep_files=table.get("keep_files", True),
        absent=absent + absent_datasets + absent_metrics,
        grids=parts["grid"],
        refused=refused,
    )


def _part(key: str, value: Any, where: str) -> Any:
    """One table, or a tuple of tables, as its dataclass."""
    if key not in _LISTS:
        return _fill(_TABLES[key], value or {}, f"{where}: [{key}]")
    if not isinstance(value, list | None):
        raise UsageError(f"{where}: write [[{key}]] with double brackets")
    found = []
    for number, one in enumerate(value or [], 1):
        here = f"{where}: [[{key}]] number {number}"
        found.append(_fill(_TABLES[key], _with_axes(one, here) if key == "grid" else one, here))
    return tuple(found)


def _with_axes(table: Any, where: str) -> Any:
    """A [[grid]] as its dataclass has it: what is no field of it is an axis."""
    if not isinstance(table, dict):
        return table
    axes = {key: value for key, value in table.items() if key not in ("codec", "options", "vary")}
    for key, values in axes.items():
        if not isinstance(values, list) or not values or any(values.count(one) > 1 for one in values):
            raise UsageError(f"{where}: {key} is {values!r}; an option of a grid takes a list of different values")
    if not axes:
        raise UsageError(f'{where} has no option with a list of values, as in coder = ["rans", "huffman"]')
    return {key: value for key, value in table.items() if key not in axes} | {"axes": axes}


def _fill(kind: type, value: Any, where: str) -> Any:
    known = {field.name: field for field in dataclasses.fields(kind)}
    if not isinstance(value, dict):
        raise UsageError(f"{where} is {value!r}; it takes a table with {', '.join(known)}")
    for key, entry in value.items():
        if key not in known:
            raise UsageError(f"{where}: unknown key {key!r}{nearest(key, known)}")
        default = known[key].default
        if isinstance(default, bool) != isinstance(entry, bool) and isinstance(default, bool):
            raise UsageError(f"{where}: {key} is {entry!r}; it takes true or false")
        # bool is an int for isinstance, and a TOML `true` is never a number of repeats
        if (
            isinstance(default, int | float)
            and not isinstance(default, bool)
            and (isinstance(entry, bool) or not isinstance(entry, int | float))
        ):
            raise UsageError(f"{where}: {key} is {entry!r}; it takes a number")
        if isinstance(default, int | float) and not 0 <= entry < math.inf:
            raise UsageError(f"{where}: {key} is {entry!r}; it takes a finite number from 0 up")
        if isinstance(default, str) and not isinstance(entry, str):
            raise UsageError(f"{where}: {key} is {entry!r}; it takes a text")
        if known[key].default_factory is dict and not isinstance(entry, dict):
            raise UsageError(f"{where}: {key} is {entry!r}; it takes a table of options")
        if key == "vary" and (len(entry) > 1 or any(not isinstance(one, list) or not one for one in entry.values())):
            raise UsageError(f"{where}: vary takes one option with a list of values, got {entry!r}")
        if isinstance(default, tuple) and not isinstance(entry, list):
            raise UsageError(f"{where}: {key} is {entry!r}; it takes a list of names")
    for name, field in known.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and name not in value:
            raise UsageError(f"{where} has no {name}")
    return kind(**{k: tuple(v) if isinstance(known[k].default, tuple) else v for k, v in value.items()})


def _expand(grids: tuple[Grid, ...], where: str) -> tuple[tuple[Series, ...], tuple[dict[str, Any], ...]]:
    """The combinations that their codec takes, each once though several grids may hold it; and the refused ones."""
    every: list[Series] = []
    every_refused: list[dict[str, Any]] = []
    for number, grid in enumerate(grids, 1):
        here = f"{where}: [[grid]] number {number}"
        taken: list[Series] = []
        refused: list[dict[str, Any]] = []
        for one in grid.series():
            try:
                _install_line(one, here)
                taken.append(one)
            except UsageError as error:
                at = {axis: one.options[axis] for axis in grid.axes}
                refused.append({"series": one.name, "codec": one.codec, "at": at, "why": str(error.__cause__)})
        for axis, values in grid.axes.items():
            for value in values:
                if not any(one.options[axis] == value for one in taken):  # a misspelt name, most likely
                    why = next(one["why"] for one in refused if one["at"][axis] == value)
                    raise UsageError(f"{here}: {axis}={value!r} is refused in every combination, at first with: {why}")
        every += [one for one in taken if one not in every]
        every_refused += [one for one in refused if one not in every_refused]
    return tuple(every), tuple(every_refused)


def _available(series: tuple[Series, ...], where: str) -> tuple[tuple[Series, ...], tuple[dict[str, str], ...]]:
    """The series that can run here; the others as absent, with their install lines."""
    names = [one.name for one in series]
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"{where}: two series are called {doubled!r}; give each its own name")
    here, absent = [], []
    for one in series:
        if line := _install_line(one, where):
            absent.append({"what": f"codec {one.codec}", "series": one.name, "install": line})
        else:
            here.append(one)
    return tuple(here), tuple(absent)


def _install_line(one: Series, where: str) -> str | None:
    """What would install the codec of a series, None where it can run.

    Raises:
        UsageError: there is no such codec or option, or it takes no such setting; its own words are the cause.
    """
    try:
        if line := missing(CODECS.get(one.codec).needs):
            return line
        for _, options in one.settings():
            open_codec(one.codec, **options)
    except UsageError as error:
        raise UsageError(f"{where}: series {one.name!r}: {error}") from error
    return None


def _present(
    choices: tuple[DatasetChoice, ...], where: str
) -> tuple[tuple[DatasetChoice, ...], tuple[dict[str, str], ...]]:
    """The datasets to run on; the optional ones that are not here as absent, with what to do."""
    here, absent = [], []
    for choice in choices:
        try:
            if choice.optional:
                open_dataset(choice.name or choice.path)
            here.append(choice)
        except MissingError as error:
            absent.append({"what": f"dataset {choice.name}", "series": "", "install": str(error)})
    if not here:
        raise MissingError(f"{where}: no dataset of this plan is here: {absent[0]['install']}")
    return tuple(here), tuple(absent)


def _metrics(names: list[str], where: str) -> tuple[tuple[str, ...], tuple[dict[str, str], ...]]:
    here, absent = [], []
    for name in names:
        try:
            metric: Metric = METRICS.get(name)
        except UsageError as error:
            raise UsageError(f"{where}: metrics: {error}") from error
        why = metric.missing()
        if why:
            absent.append({"what": f"metric {name}", "series": "", "install": why})
        else:
            here.append(name)
    if not here:
        raise MissingError(f"{where}: none of the metrics {names} can run here: {absent}")
    return tuple(here), tuple(absent)
