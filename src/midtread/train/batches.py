"""Crops of the steps to come, cut by a thread while the model is busy with those before."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from midtread.train.config import Config
from midtread.train.pictures import Pictures

_AHEAD = 3  # steps


class Batches:
    """What a step gets depends on the seed and its number alone: a training that was resumed gets the same."""

    def __init__(self, pictures: Pictures, config: Config) -> None:
        self._pictures, self._config = pictures, config
        self._coming: dict[int, Future[Tensor]] = {}

    def __enter__(self) -> Batches:
        self._thread = ThreadPoolExecutor(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def take(self, step: int) -> Tensor:
        """uint8 [n, 3, size, size] of a step, counted from 0; in pinned memory for a GPU."""
        for number in range(step, min(step + _AHEAD, self._config.training.steps)):
            if number not in self._coming:
                self._coming[number] = self._thread.submit(self._cut, number)
        return self._coming.pop(step).result()

    def _cut(self, step: int) -> Tensor:
        training, size = self._config.training, self._config.data.crop
        count, size = (training.batch // 4, 2 * size) if self._config.large(step) else (training.batch, size)
        rng = np.random.default_rng([training.seed, step])
        crops = torch.from_numpy(self._pictures.crops(rng, count, size))
        return crops.pin_memory() if training.device == "cuda" else crops
