"""A checkpoint of a training -> the folder of a frozen model, with a card that says what it is.

checkpoint ──► average weights ──► freeze ──► real files of held-out pictures ──► card
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from midtread import media
from midtread.codecs.image import learned_model
from midtread.codecs.image.learned import Learned
from midtread.errors import BitstreamError, CodecError, StorageError, UsageError
from midtread.nn.image import ANCHORS, ImageModel
from midtread.train import card as cards
from midtread.train import checkpoint as checkpoints
from midtread.train import config as configs
from midtread.train.freeze import freeze
from midtread.train.losses import Objective
from midtread.train.pictures import Pictures

QUALITIES = (4, 14, 24, 34, 44, 54)  # that the card has
_COUNTED, _PART = 24, 256  # training pictures, and pixels of their sides, whose symbols are counted
_CROPS, _CROP = 8, 128  # of training pictures, pixels at most: what latents are worth is measured on them


@dataclass(frozen=True, slots=True)
class Released:
    """A frozen model."""

    folder: Path
    name: str
    digest: str  # hexadecimal: files name the model by it
    size_bytes: int  # of the folder
    points: tuple[cards.Point, ...]


def release(
    path: Path,
    folder: Path,
    *,
    name: str | None = None,
    pictures: list[Path] | None = None,
    measure: Path | None = None,
    note: str = "",
    progress: Callable[[float], None] = lambda done: None,
) -> Released:
    """Freeze a checkpoint.

    Args:
        path: of a checkpoint, or of the folder of a run (its best one).
        folder: to be made; must not exist.
        name: of the model; the folder's if left out.
        pictures: folders of what it was trained on, when they are not where the training had them.
        measure: folder of pictures that the card's rates are of, never trained on; the held-out ones if left out.
        note: a sentence for the card, such as the machine.
        progress: called with the part that is done.

    Raises:
        UsageError: no checkpoint there; the folder exists; no pictures.
        BitstreamError: the checkpoint is damaged or does not fit its own configuration.
        TrainingError: a weight cannot be frozen.
        StorageError: the disk is full or broken.
    """
    from safetensors import SafetensorError

    name = _named(name, folder)
    found = checkpoints.find(path)
    kept = checkpoints.read(found)
    config = _config(kept, found)
    model = _model(kept, config, found)
    folders = pictures or config.folders()
    shown = _pictures(config, folders, given=bool(pictures))
    if measure is None:
        held = shown.hold_out(min(config.data.holdout, max(1, len(shown.pictures) - 1)))
    else:
        held = Pictures([measure], 1, memory_gb=config.data.memory_gb).pictures
    crops = shown.crops(np.random.default_rng(0), _CROPS, min(_CROP, config.data.crop))
    progress(0.05)
    objective = Objective(config.training.loss, config.training.lambdas)
    lambdas = [objective.mse_rate(anchor / (ANCHORS - 1)) for anchor in range(ANCHORS)]
    try:
        freeze(model, folder, name, lambdas, torch.from_numpy(crops).float() / 255 - 0.5, "", _counted(shown))
    except (SafetensorError, OSError) as error:
        raise StorageError(f"cannot write the model to {folder}: {error}") from error
    progress(0.6)
    points = _measure(folder, held, lambda done: progress(0.6 + 0.4 * done))
    frozen = learned_model.load(folder.absolute())
    facts = cards.Facts(
        name, config.table(), kept.step, kept.notes.get("seconds"), frozen.facts["complexity"],
        pictures=len(shown.pictures), held_out=len(held),
        same_pictures=measure is not None or _same(kept, len(shown.pictures)),
        licences=cards.licences(folders), points=points, note=note,
    )  # fmt: skip
    media.write_bytes(folder / "README.md", cards.card(facts).encode())
    size = sum(part.stat().st_size for part in folder.iterdir())
    return Released(folder, name, frozen.digest.hex(), size, points)


def _named(name: str | None, folder: Path) -> str:
    """The name of the model; the folder must be free."""
    name = folder.name if name is None else name
    if not name.strip() or not name.isprintable() or len(name) > 63:
        raise UsageError(f"{name!r} is no name for a model; take 1 to 63 printable characters, as in --name s")
    if folder.exists():
        raise UsageError(f"{folder} exists; name a folder that does not, a frozen model is never written over")
    return name


def _counted(pictures: Pictures) -> list[np.ndarray]:
    """Corners of some of them: what tables are fitted to."""
    every = max(1, len(pictures.pictures) // _COUNTED)
    return [picture[:_PART, :_PART] for picture in pictures.pictures[::every][:_COUNTED]]


def _same(kept: checkpoints.Checkpoint, there: int) -> bool:
    """Whether as many pictures are there as were trained on; warns when not."""
    trained = kept.notes.get("pictures", there)
    if trained != there:
        warnings.warn(
            f"trained on {trained} pictures, {there} are there now: those that the card's rates are of may be among "
            "those trained on",
            stacklevel=3,
        )
    return bool(trained == there)


def _config(kept: checkpoints.Checkpoint, path: Path) -> configs.Config:
    """That of the training. Its folders, unless absolute, are taken from where we are."""
    try:
        return configs.parse(kept.config, str(path))
    except UsageError as error:
        raise BitstreamError(
            f"the configuration in this checkpoint is damaged, or newer than midtread: {error}"
        ) from error


def _model(kept: checkpoints.Checkpoint, config: configs.Config, path: Path) -> ImageModel:
    """The network with the average weights."""
    model = ImageModel(config.model)
    own = model.state_dict()
    for name in [*own, *kept.average]:
        if name not in own or name not in kept.average or own[name].shape != kept.average[name].shape:
            raise BitstreamError(
                f"tensor {name} of {path} is absent, has no place, or is of another shape than [model] says"
            )
    model.load_state_dict(kept.average)
    return model.eval()


def _pictures(config: configs.Config, folders: list[Path], given: bool) -> Pictures:
    try:
        return Pictures(folders, config.largest_crop(), memory_gb=config.data.memory_gb)
    except CodecError as error:
        hint = "" if given else "; name the folders that it was trained on with --pictures"
        raise type(error)(f"{error}{hint}") from error


def _measure(folder: Path, pictures: list[np.ndarray], progress: Callable[[float], None]) -> tuple[cards.Point, ...]:
    """Sizes and PSNR of real files of `pictures`, decoded again."""
    points = []
    for number, quality in enumerate(QUALITIES):
        codec = Learned(model=str(folder.absolute()), quality=quality)
        rates, ratios = [], []
        for x in pictures:
            data = codec.encode(x)
            error = np.mean((codec.decode(data).astype(np.float64) - x) ** 2)
            rates.append(8 * len(data) / (x.shape[0] * x.shape[1]))
            ratios.append(10 * np.log10(255**2 / max(float(error), 1e-9)))
        points.append(cards.Point(quality, float(np.mean(rates)), float(np.mean(ratios))))
        progress((number + 1) / len(QUALITIES))
    return tuple(points)
