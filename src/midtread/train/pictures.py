"""Pictures to train on: folders, decoded once into memory, and random crops of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from midtread import media
from midtread.errors import CodecError, LimitError, UsageError
from midtread.media.formats import suffix_format


class Pictures:
    """The pictures of some folders that are large enough for a crop, uint8 RGB [h, w, 3] each, in order of path.

    Those that cannot be trained on (too small, damaged, not 8-bit) are left out; `skipped` says why.
    """

    def __init__(
        self,
        folders: list[Path],
        crop: int,
        progress: Callable[[float], None] | None = None,
        memory_gb: float = 16.0,
    ) -> None:
        """Decode them all.

        Args:
            folders: with all that is below them.
            crop: sides of the largest crop, pixels.
            progress: called with the part that is done.
            memory_gb: of samples, at most.

        Raises:
            UsageError: a folder is not one, cannot be read, or none of them has a picture of that size.
            LimitError: they need more memory.
        """
        paths = sorted({path for folder in folders for path in _files(folder)})
        self.pictures: list[np.ndarray] = []
        self.skipped: list[str] = []
        room = int(memory_gb * 1e9)
        for number, path in enumerate(paths):
            try:
                picture = _rgb(media.load(path).array)
            except (CodecError, OSError) as error:
                self.skipped.append(f"{path}: {error}")
                continue
            if min(picture.shape[:2]) < crop:
                self.skipped.append(f"{path}: {picture.shape[1]} x {picture.shape[0]} pixels, smaller than a crop")
            else:
                self.pictures.append(picture)
                room -= picture.nbytes
            if room < 0:
                raise LimitError(
                    f"the first {number + 1} of {len(paths)} pictures fill the {memory_gb:g} GB that decoded pictures "
                    "may take; raise [data] memory_gb, or name fewer folders"
                )
            if progress:
                progress((number + 1) / len(paths))
        if not self.pictures:
            reason = f"; the first of {len(self.skipped)}: {self.skipped[0]}" if self.skipped else ""
            raise UsageError(f"no picture of at least {crop} x {crop} pixels in {', '.join(map(str, folders))}{reason}")
        self._weigh()

    def hold_out(self, count: int) -> list[np.ndarray]:
        """Take `count` pictures away, evenly over the list: they are returned, and no crop is ever one of theirs.

        Raises:
            UsageError: that leaves none.
        """
        if count >= len(self.pictures):
            raise UsageError(
                f"[data] holdout is {count}, and {len(self.pictures)} pictures are large enough to train on; "
                "at least one more than are held out is needed"
            )
        chosen = {(2 * number + 1) * len(self.pictures) // (2 * count) for number in range(count)}
        held = [self.pictures[number] for number in sorted(chosen)]
        self.pictures = [picture for number, picture in enumerate(self.pictures) if number not in chosen]
        self._weigh()
        return held

    def crops(self, rng: np.random.Generator, count: int, size: int) -> np.ndarray:
        """uint8 [count, 3, size, size]: crops anywhere, turned and mirrored, larger pictures more often."""
        batch = np.empty((count, 3, size, size), np.uint8)
        for place, number in enumerate(rng.choice(len(self.pictures), count, p=self.chances)):
            picture = self.pictures[number]
            top, left = (int(rng.integers(0, side - size + 1)) for side in picture.shape[:2])
            crop = picture[top : top + size, left : left + size].transpose(2, 0, 1)
            if rng.integers(2):
                crop = crop[:, :, ::-1]
            if rng.integers(2):
                crop = crop.transpose(0, 2, 1)
            batch[place] = crop
        return batch

    def _weigh(self) -> None:
        areas = np.array([p.shape[0] * p.shape[1] for p in self.pictures], float)
        self.chances = areas / areas.sum()


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder of pictures")
    try:
        os.listdir(folder)  # rglob passes over what it may not read, without a word
    except OSError as error:
        raise UsageError(f"cannot read the folder {folder}: {error.strerror}") from error
    return [path for path in folder.rglob("*") if path.is_file() and suffix_format(path)]


def _rgb(samples: np.ndarray) -> np.ndarray:
    """uint8 RGB of a picture of any kind; alpha is left out."""
    if samples.dtype != np.uint8:
        raise UsageError(f"{samples.dtype} samples; training takes 8-bit pictures")
    if samples.ndim == 2:
        samples = samples[:, :, None]
    if samples.shape[2] <= 2:
        samples = np.repeat(samples[:, :, :1], 3, axis=2)
    return np.ascontiguousarray(samples[:, :, :3])
