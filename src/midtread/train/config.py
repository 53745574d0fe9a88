"""What a training does, read from TOML and checked: every error names the file, the table and the key.

[model]                            # widths and depths, see nn/image.py; left out: the defaults there
width8 = 128

[data]
folders = ["pictures"]             # relative to this file; all pictures in them and below
crop = 128                         # pixels, a multiple of 64
holdout = 8                        # pictures that are never trained on: they validate
memory_gb = 16                     # of decoded pictures, at most

[training]
steps = 30000
batch = 16                         # crops a step
learning_rate = 1.5e-3             # the highest; warmed up, then a cosine down to 2 %
warm_up = 300                      # steps
seed = 0
device = "cpu"                     # or "cuda"
precision = "bf16"                 # of the convolutions; or "fp32"
loss = "mse"                       # or "ms-ssim"
lambdas = [0.0009, 0.18]           # weight of the distortion at quality 0 and at 1; left out: usual for the loss
exact_from = 0.55                  # part of the steps after which the integer layers round
large_from = 0.75                  # part of the steps after which a quarter of the crops have twice the sides; 1: never
checkpoint_every = 2000            # steps; each validates and draws a sample picture
start = "principal-components"     # or "noise", or a checkpoint (or the folder of a run) to grow from
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
import types
import typing
from pathlib import Path
from typing import Any

from midtread.errors import UsageError
from midtread.metrics.structure import SMALLEST_MS
from midtread.nn.image import ImageConfig
from midtread.registry import nearest

GRAIN = 64  # sides of what the model takes are multiples of this
PRINCIPAL_COMPONENTS, NOISE = "principal-components", "noise"
LAMBDAS = {"mse": (0.0009, 0.18), "ms-ssim": (1.2, 220.0)}  # those of CompressAI's zoo, lowest to highest, and a bit
# What may change between a checkpoint and its resumption: it moves no schedule and no tensor.
FREE = {"folders", "memory_gb", "device", "precision", "learning_rate", "checkpoint_every"}

_CHOICES = {"device": ("cpu", "cuda"), "precision": ("bf16", "fp32"), "loss": tuple(LAMBDAS)}
_RANGES: dict[str, tuple[float, float]] = {
    "crop": (GRAIN, 2048), "holdout": (1, 1000), "memory_gb": (1e-6, 65536),
    "steps": (1, 10**8), "batch": (1, 4096), "learning_rate": (1e-8, 1), "warm_up": (0, 10**8), "seed": (0, 2**32 - 1),
    "exact_from": (0, 1), "large_from": (0, 1), "checkpoint_every": (1, 10**8), "lambdas": (1e-9, 1e9),
    "blocks8": (0, 64), "blocks16": (0, 64), "expansion": (1, 16),
}  # fmt: skip
_WIDTHS = (1, 4096)  # of everything else in [model]


@dataclasses.dataclass(frozen=True, slots=True)
class Data:
    """Pictures to train on and to validate with."""

    folders: tuple[str, ...]
    crop: int = 128
    holdout: int = 8
    memory_gb: float = 16.0


@dataclasses.dataclass(frozen=True, slots=True)
class Training:
    """How long, how fast, towards what."""

    steps: int
    batch: int = 16
    learning_rate: float = 1.5e-3
    warm_up: int = 300
    seed: int = 0
    device: str = "cpu"
    precision: str = "bf16"
    loss: str = "mse"
    lambdas: tuple[float, ...] = ()
    exact_from: float = 0.55
    large_from: float = 0.75
    checkpoint_every: int = 2000
    start: str = PRINCIPAL_COMPONENTS


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """A checked configuration. Paths in it are relative to `base`."""

    model: ImageConfig
    data: Data
    training: Training
    base: Path = Path()

    def table(self) -> dict[str, dict[str, Any]]:
        """The tables as JSON and TOML have them; `base`, which is of this machine, is left out."""
        return {name: _plain(dataclasses.asdict(getattr(self, name))) for name in _TABLES}

    def folders(self) -> list[Path]:
        """Folders of pictures, from where we are."""
        return [self.base / folder for folder in self.data.folders]

    def large(self, step: int) -> bool:
        """Whether this step, counted from 0, takes few large crops."""
        return step / self.training.steps > self.training.large_from

    def largest_crop(self) -> int:
        """Sides of the largest crops of this training, pixels."""
        return self.data.crop * (2 if self.training.large_from < 1 else 1)

    def exact(self, step: int) -> bool:
        """Whether the integer layers round in this step, counted from 0."""
        return step / self.training.steps >= self.training.exact_from


_TABLES: dict[str, Any] = {"model": ImageConfig, "data": Data, "training": Training}


def load(path: Path, folders: list[Path] | None = None, **training: Any) -> Config:
    """Read and check a file.

    Args:
        path: TOML.
        folders: pictures to take in place of those it names, relative to where we are.
        training: keys of [training] to take in place of those it has.

    Raises:
        UsageError: no such file, not TOML, a misspelt key, a wrong type or a value that cannot be; says where.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"configuration {path} is not TOML: {error}") from error
    for name, given in (("data", {"folders": [str(f.absolute()) for f in folders]} if folders else {}),
                        ("training", training)):  # fmt: skip
        if given and isinstance(table.setdefault(name, {}), dict):
            table[name] |= given
    return parse(table, str(path), path.parent)


def parse(table: dict[str, Any], where: str, base: Path = Path()) -> Config:
    """A configuration from its TOML tables; `where` starts every message.

    Raises:
        UsageError: see `load`.
    """
    for name, keys in table.items():  # misspelt names first: a key that is missing is missing because of them
        if name not in _TABLES:
            raise UsageError(f"{where}: unknown table [{name}]{nearest(name, _TABLES)}")
        if not isinstance(keys, dict):
            raise UsageError(f"{where}: [{name}] is {keys!r}; it takes a table")
        known = [field.name for field in dataclasses.fields(_TABLES[name])]
        for key in keys:
            if key not in known:
                raise UsageError(f"{where}: [{name}]: unknown key {key!r}{nearest(key, known)}")
    parts = {name: _fill(kind, table.get(name, {}), f"{where}: [{name}]") for name, kind in _TABLES.items()}
    training = parts["training"]
    if not training.lambdas:
        parts["training"] = dataclasses.replace(training, lambdas=LAMBDAS[training.loss])
    config = Config(**parts, base=base)
    _check(config, where)
    return config


def differences(here: dict[str, Any], there: dict[str, Any]) -> list[str]:
    """What keeps a training `there` from going on `here`, as "[data] crop is 64 here, 128 there"; see `FREE`."""
    found = []
    for name, keys in here.items():
        for key, value in keys.items():
            other = there.get(name, {}).get(key)
            if value != other and key not in FREE:
                found.append(f"[{name}] {key} is {value!r} here, {other!r} there")
    return found


def _fill(kind: Any, table: dict[str, Any], where: str) -> Any:
    """One table, whose keys are known, as its dataclass."""
    hints = typing.get_type_hints(kind)
    values = {key: _value(hints[key], key, value, where) for key, value in table.items()}
    for field in dataclasses.fields(kind):
        if field.default is dataclasses.MISSING and field.name not in values:
            raise UsageError(f"{where} has no {field.name}")
    return kind(**values)


def _value(hint: Any, key: str, value: Any, where: str) -> Any:
    """A value of the type that its key has, in its range."""
    if isinstance(hint, types.GenericAlias):
        kind = typing.get_args(hint)[0]
        if not isinstance(value, list) or not value:
            raise UsageError(f"{where}: {key} is {value!r}; it takes a list of {_NAMES[kind]}s")
        return tuple(_value(kind, key, entry, where) for entry in value)
    # bool is an int for isinstance, and a TOML `true` is never a number of steps
    if isinstance(value, bool) or not isinstance(value, (int, float) if hint is float else hint):
        raise UsageError(f"{where}: {key} is {value!r}; it takes a {_NAMES[hint]}")
    if hint is str:
        if key in _CHOICES and value not in _CHOICES[key]:
            raise UsageError(f"{where}: {key} is {value!r}{nearest(str(value), _CHOICES[key])}")
        return value
    low, high = _RANGES.get(key, _WIDTHS)
    if not math.isfinite(value) or not low <= value <= high:
        raise UsageError(f"{where}: {key} is {value!r}; it takes a {_NAMES[hint]} from {low:g} to {high:g}")
    return hint(value)


_NAMES = {int: "whole number", float: "number", str: "text"}


def _check(config: Config, where: str) -> None:
    """What no key can be wrong in alone."""
    model, data, training = config.model, config.data, config.training
    if model.slice_a >= model.width16:
        raise UsageError(
            f"{where}: [model]: slice_a is {model.slice_a}; it takes fewer than width16, which is {model.width16}"
        )
    if data.crop % GRAIN:
        near = max(round(data.crop / GRAIN), 1) * GRAIN
        raise UsageError(f"{where}: [data]: crop is {data.crop}; it takes a multiple of {GRAIN}, such as {near}")
    if training.loss == "ms-ssim" and data.crop < SMALLEST_MS:
        enough = math.ceil(SMALLEST_MS / GRAIN) * GRAIN
        raise UsageError(
            f"{where}: [data]: crop is {data.crop}; the five scales of MS-SSIM take {SMALLEST_MS} pixels or more, "
            f"so crop = {enough}"
        )
    if training.large_from < 1 and training.batch % 4:
        raise UsageError(
            f"{where}: [training]: batch is {training.batch}; it takes a multiple of 4, since the last part of the "
            "training has a quarter of the crops, or large_from = 1"
        )
    if len(training.lambdas) != 2 or training.lambdas[0] >= training.lambdas[1]:
        raise UsageError(f"{where}: [training]: lambdas is {list(training.lambdas)}; it takes [lowest, highest]")


def _plain(table: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in table.items()}
