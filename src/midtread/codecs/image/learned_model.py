"""Frozen models of the `learned` codec: a folder of weights, integer tables and ONNX graphs, named by what is in it.

    model.safetensors   weights (float16), the integer networks, tables, numbers of each quality; metadata: JSON
    *.onnx              graphs whose weights are in that file, for other programs: midtread builds its own
    README.md           the model card

A file says which model made it by the first four bytes of the SHA-256 of model.safetensors. `midtread freeze` writes
such folders; those named in MIDTREAD_MODELS (folders of models) join the shipped ones.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from midtread.entropy.tables import Tables
from midtread.errors import BitstreamError, CodecError, MissingError, UnknownNameError, UsageError
from midtread.media.safetensors import layout
from midtread.registry import nearest
from midtread.spec import Limits

SHIPPED = Path(__file__).parent / "models"
VARIABLE = "MIDTREAD_MODELS"  # folders of further models, separated as in PATH
WEIGHTS = "model.safetensors"
VERSION = 1
ANCHORS = 8
HIGHEST = 63  # quality
FINE = 256  # places between two anchors

Run = Callable[[str, dict[str, np.ndarray]], np.ndarray]  # a graph by name and its inputs -> its output


@dataclass(frozen=True, eq=False)
class Model:
    """One frozen model. Arrays are read-only views of its file."""

    folder: Path
    digest: bytes  # 4 bytes
    facts: dict[str, Any]  # JSON metadata: name, version, config, complexity
    tensors: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        """As it was frozen."""
        return str(self.facts["name"])

    @property
    def size_bytes(self) -> int:
        """Of the weights and graphs on disk."""
        return sum(path.stat().st_size for path in (self.folder / WEIGHTS, *self.folder.glob("*.onnx")))

    @property
    def latents(self) -> int:
        """Channels of y."""
        return int(self.facts["config"]["width16"])

    @property
    def slice_a(self) -> int:
        """Latents of the first slice."""
        return int(self.facts["config"]["slice_a"])

    @property
    def margin(self) -> int:
        """Latents around a window that its pixels depend on: what the synthesis sees beyond its own square."""
        config = self.facts["config"]
        return int(config["blocks16"]) + -(-int(config["blocks8"]) // 2)

    @cached_property
    def tables(self) -> Tables:
        """One for each scale, in steps of 1/8 octave from 2**-3.25 on."""
        t = self.tensors
        parts = t["tables.lows"], t["tables.sizes"], t["tables.frequencies"]
        return Tables.build(int(self.facts["precision"]), *parts)

    @cached_property
    def bits(self) -> np.ndarray:
        """float32 [tables, 2 * REACH + 1]: cost of the symbols -REACH to REACH."""
        out = np.full((len(self.tables), 2 * REACH + 1), np.inf, np.float32)
        for t in range(len(self.tables)):
            low, frequencies = self.tables.row(t)
            for symbol in range(-REACH, REACH + 1):
                place = symbol - low
                inside = 0 <= place < len(frequencies) - 1 and frequencies[place] > 0
                escape = 8 + 8 * (abs(symbol) > 63)
                mass = float(frequencies[place if inside else -1])
                out[t, symbol + REACH] = self.tables.precision - np.log2(mass) + (0 if inside else escape)
        return out

    def at(self, name: str, place: int) -> np.ndarray:
        """Integers of a quality: those of two anchors, interpolated and rounded, int32.

        Args:
            name: of an int32 tensor [ANCHORS, size].
            place: 0 to (ANCHORS - 1) * FINE.
        """
        anchors = self.tensors[name]
        low = min(place // FINE, ANCHORS - 2)
        part = place - low * FINE
        return ((anchors[low] * (FINE - part) + anchors[low + 1] * part + FINE // 2) // FINE).astype(np.int32)

    def blend(self, name: str, place: int) -> np.ndarray:
        """The same of a float tensor, float32."""
        anchors = self.tensors[name]
        low = min(place // FINE, ANCHORS - 2)
        part = np.float32((place - low * FINE) / FINE)
        return anchors[low] * (1 - part) + anchors[low + 1] * part


REACH = 24  # symbols whose cost is tabulated: larger ones are never worth changing


def load(model: str | Path) -> Model:
    """A model by name, or else the one in a folder. Raises UnknownNameError, MissingError, BitstreamError."""
    folder, found = Path(model), _folders()
    if str(model) in found:  # first: a folder that is called "s" where we are is not meant
        return _read(found[str(model)])
    if folder.name == str(model) and not folder.is_dir():
        raise UnknownNameError(f"no learned model {model!r}{nearest(str(model), sorted(found))}; {_where()}")
    if not (folder / WEIGHTS).is_file():
        raise MissingError(f"{folder} is no folder of a model: it has no {WEIGHTS}; `midtread freeze` makes one")
    return _read(folder.resolve())


def of_digest(digest: bytes, near: str = "") -> Model:
    """The model that made a file: `near`, if that is its folder, or any other that is here.

    Raises MissingError that names both hashes when there is none. A broken model does not stand in the way of others.
    """
    found, broken = {}, ""
    here = [Path(near).resolve()] if near and (Path(near) / WEIGHTS).is_file() else []
    for folder in (*here, *_folders().values()):
        try:
            candidate = _read(folder)
        except CodecError as error:
            broken = f"; moreover, {error}"
            continue
        if candidate.digest == digest:
            return candidate
        found[candidate.name] = candidate.digest.hex()
    have = ", ".join(f"{name} {text}" for name, text in found.items()) or "none"
    raise MissingError(
        f"this file was made by a learned model with the hash {digest.hex()}; the models here are: {have}; "
        f"{_where()}{broken}"
    )


def names() -> tuple[str, ...]:
    """Models that can be named, shipped ones first."""
    return tuple(_folders())


def _where() -> str:
    return f"put the model's folder into a folder that {VARIABLE} names"


def _folders() -> dict[str, Path]:
    roots = [SHIPPED, *(Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part)]
    found: dict[str, Path] = {}
    for root in roots:
        for name in sorted(os.listdir(root)) if root.is_dir() else ():
            if os.path.exists(os.path.join(root, name, WEIGHTS)):  # pathlib takes ten times as long
                found.setdefault(name, root / name)
    return found


def _read(folder: Path) -> Model:
    path = folder / WEIGHTS
    changed = path.stat()
    return _parse(folder, changed.st_mtime_ns, changed.st_size)


@lru_cache(16)
def _parse(folder: Path, _changed: int, _size: int) -> Model:
    data = (folder / WEIGHTS).read_bytes()
    try:
        parts = layout(data, Limits(max_elements=2**28))
        facts = json.loads(parts.metadata["midtread"])
        version = int(facts["version"])
    except (CodecError, KeyError, ValueError, TypeError) as error:
        raise BitstreamError(f"{folder / WEIGHTS} is damaged or no model of midtread: {error}") from error
    if version != VERSION:
        raise UsageError(
            f"{folder} is a learned model of version {version}, this midtread reads version {VERSION}; update midtread"
        )
    try:
        tensors = {
            tensor.name: np.frombuffer(data, tensor.dtype, prod(tensor.shape), tensor.start).reshape(tensor.shape)
            for tensor in parts.tensors
        }
        _check(facts, tensors)
    except KeyError as error:
        raise BitstreamError(f"{folder / WEIGHTS} is no whole learned model: it lacks {error}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise BitstreamError(f"{folder / WEIGHTS} is no whole learned model: {error}") from error
    return Model(folder, hashlib.sha256(data).digest()[:4], facts, tensors)


def _check(facts: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """Raise KeyError, TypeError or ValueError unless all is there that this room reads (graphs check their weights)."""
    config = {key: int(value) for key, value in facts["config"].items()}
    latents, slice_a = config["width16"], config["slice_a"]
    if not 0 < slice_a < latents or config["blocks8"] < 0 or config["blocks16"] < 0:
        raise ValueError(f"its config is {config}")
    str(facts["name"]), int(facts["precision"])
    if len(facts["lambdas"]) != ANCHORS or not all(0 < float(value) < 1e12 for value in facts["lambdas"]):
        raise ValueError(f"its lambdas are {facts['lambdas']}")
    sizes = {"log_gain": latents, "log_gain_z": config["hyper"], "log_scale_z": config["hyper"]}
    sizes["quality_offset"] = config["features"]
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        name: ("int32", (ANCHORS, size)) for name, size in sizes.items()
    }
    expected |= dict.fromkeys(("log_regain", "log_distortion"), ("float32", (ANCHORS, latents)))
    expected["inverse_deviation"] = "float32", (latents,)
    for stage, width in (("stage8", config["width8"]), ("stage16", latents)):
        names = (f"{network}.{stage}.{kind}" for network in ("analysis", "synthesis") for kind in ("scale", "offset"))
        expected |= dict.fromkeys(names, ("float32", (ANCHORS, width)))
    for name, (dtype, shape) in expected.items():
        found = tensors[name]
        if (found.dtype.name, found.shape) != (dtype, shape):
            raise ValueError(f"{name} is {found.dtype} {list(found.shape)}, not {dtype} {list(shape)}")
