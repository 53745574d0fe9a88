"""A training stopped in the air: one safetensors file that any reader of safetensors opens.

    weights.*             the model as the optimizer sees it, float32
    average.*             their moving average: what validates, and what is shipped
    first.*, second.*     Adam's moments
    __metadata__          "format", "version", and "state": JSON with step, config, best, seconds, pictures

Whatever is random in step k is drawn from the seed and k alone, so no state of a random generator is kept. A file is
written beside the old one and takes its place when it is whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from midtread import media
from midtread.errors import BitstreamError, CodecError, UsageError
from midtread.media.safetensors import header_bytes, layout

LAST, BEST = "last.safetensors", "best.safetensors"
_FORMAT, _VERSION = "midtread training", "1"
_GROUPS = ("weights", "average", "first", "second")

Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that a training needs to go on. The moments are of the trained tensors, the weights of those and others."""

    step: int  # steps that are done
    config: dict[str, Any]  # Config.table()
    weights: Tensors
    average: Tensors
    first: Tensors
    second: Tensors
    notes: dict[str, Any] = field(default_factory=dict)  # JSON: best validation so far, seconds spent ...


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all: an old one stays until the new one is complete.

    Raises:
        StorageError: the disk is full or broken.
        UsageError: no file can be written there.
    """
    arrays = {
        f"{group}.{name}": tensor.detach().cpu().contiguous().numpy().astype("<f4", copy=False)
        for group in _GROUPS
        for name, tensor in getattr(checkpoint, group).items()
    }
    state = json.dumps({"step": checkpoint.step, "config": checkpoint.config, **checkpoint.notes})
    header = header_bytes(
        {name: ("F32", array.shape, array.nbytes) for name, array in arrays.items()},
        {"format": _FORMAT, "version": _VERSION, "state": state},
    )
    media.write_pieces(path, (header, *(memoryview(array.reshape(-1)) for array in arrays.values())))


def read(path: Path) -> Checkpoint:
    """Read what `write` wrote.

    Raises:
        UsageError: there is no such file.
        BitstreamError, TruncatedError, LimitError: it is damaged, or no checkpoint of a training.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    try:
        found = layout(data)
        if found.metadata.get("format") != _FORMAT or found.metadata.get("version") != _VERSION:
            raise BitstreamError(f"it is not marked as {_FORMAT!r}, version {_VERSION}")
        state = json.loads(found.metadata["state"])
        step, config = state.pop("step"), state.pop("config")
        if type(step) is not int or step < 0 or not isinstance(config, dict):
            raise BitstreamError(f"step is {step!r}, the configuration a {type(config).__name__}")
        groups: dict[str, Tensors] = {group: {} for group in _GROUPS}
        for tensor in found.tensors:
            group, _, name = tensor.name.partition(".")
            if group not in groups or tensor.kind != "F32":
                raise BitstreamError(f"tensor {tensor.name!r} of {tensor.kind} has no place in it")
            array = np.frombuffer(data, "<f4", (tensor.stop - tensor.start) // 4, tensor.start)
            groups[group][name] = torch.from_numpy(array.astype(np.float32).reshape(tensor.shape))
    except CodecError as error:
        raise type(error)(f"{path} is not a whole checkpoint: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BitstreamError(f"{path} is not a whole checkpoint: its state is damaged ({error})") from error
    return Checkpoint(step, config, **groups, notes=state)


def find(path: Path) -> Path:
    """The file that `path` means: itself, or of the folder of a run its best checkpoint, else its last.

    Raises:
        UsageError: there is none.
    """
    if path.is_file():
        return path
    for name in (BEST, LAST):
        if (path / name).is_file():
            return path / name
    raise UsageError(f"no checkpoint at {path}: neither a file, nor a folder with {BEST} or {LAST}")
