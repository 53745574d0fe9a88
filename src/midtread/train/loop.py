"""The training of one model: pictures ──► crops ──► model ──► rate + lambda * distortion ──► Adam ──► checkpoints.

The first part of the steps trains floats; then the integer layers round as they will in the frozen model. The last
part takes few large crops instead of many small ones. What validates, and what is shipped, is a moving average.

A run is a folder: last.safetensors and best.safetensors (checkpoint.py), history.jsonl (history.py), curves.svg
(curves.py) and samples/*.png (validation.py).
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from midtread import media
from midtread.errors import MissingError, StorageError, TrainingError, UsageError
from midtread.nn.image import ANCHORS, ImageModel
from midtread.train import checkpoint as checkpoints
from midtread.train import curves, start
from midtread.train.batches import Batches
from midtread.train.checkpoint import BEST, LAST, Checkpoint
from midtread.train.config import NOISE, PRINCIPAL_COMPONENTS, Config, differences
from midtread.train.history import History
from midtread.train.losses import Objective
from midtread.train.pictures import Pictures
from midtread.train.validation import sample, validate

_LINE_EVERY = 50  # steps between two lines of the history
_LARGEST_GRADIENT = 1.0  # norm; larger ones are scaled down
_SLOWEST = 0.9995  # of the moving average; young models are followed faster
_FITTED = 256  # crops that the principal components are of
_LOWEST_RATE = 0.02  # of the learning rate, at the end


@dataclass(frozen=True, slots=True)
class Watch:
    """Whom to tell what happens. Nothing has to be given; without a clock no times are in the history."""

    loading: Callable[[float], None] = lambda done: None  # part of the pictures that is decoded
    began: Callable[[int, int], None] = lambda step, end: None
    stepped: Callable[[int, float], None] = lambda step, loss: None
    validated: Callable[[int, dict[str, Any]], None] = lambda step, found: None
    say: Callable[[str], None] = lambda text: None
    clock: Callable[[], float] | None = None  # seconds


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a training came."""

    folder: Path
    step: int
    steps: int
    stopped: bool  # by Ctrl-C or a termination signal
    validation: dict[str, Any] | None  # the last one


def train(
    config: Config, folder: Path, *, resume: bool = False, stop_at: int | None = None, watch: Watch = Watch()
) -> Outcome:
    """Train a model, or go on with it.

    Args:
        config: what to do.
        folder: of the run.
        resume: go on with the last checkpoint there.
        stop_at: step to stop at, of the same schedule; resumed later, it ends as if it had never stopped.
        watch: whom to tell.

    Raises:
        UsageError: the folder has a run already, or none to resume, or one of another configuration; no pictures.
        MissingError: no GPU that torch can use.
        StorageError: the disk is full; the last good checkpoint is as it was.
        TrainingError: a loss, gradient or weight is not finite; the last good checkpoint is as it was.
    """
    if stop_at is not None and stop_at < 0:
        raise UsageError(f"a training cannot stop at step {stop_at}; steps are counted from 0")
    before = _before(config, folder, resume)
    if config.training.device == "cuda" and not torch.cuda.is_available():
        raise MissingError('[training] device is "cuda" and torch finds no GPU here; take "cpu", or a torch for CUDA')
    pictures = Pictures(config.folders(), config.largest_crop(), watch.loading, config.data.memory_gb)
    held = pictures.hold_out(config.data.holdout)
    watch.say(_summary(pictures, held, before))
    history = History(folder, before.step if before else None)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), _Interrupts() as interrupts:
        run = _Run(config, folder, history, held, watch)
        if before:
            run.restore(before)
        else:
            run.begin(pictures)
            run.pause()
        end = min(config.training.steps, stop_at if stop_at is not None else config.training.steps)
        watch.began(run.step, end)
        with Batches(pictures, config) as batches:
            while run.step < end and not interrupts.asked:
                run.advance(batches.take(run.step), last=run.step + 1 == end)
            if interrupts.asked and run.saved != run.step:
                run.save()
    return Outcome(folder, run.step, config.training.steps, interrupts.asked, run.notes.get("validation"))


class _Run:
    """What changes from step to step, and the folder that keeps it."""

    def __init__(self, config: Config, folder: Path, history: History, held: list[np.ndarray], watch: Watch) -> None:
        self.config, self.folder, self.history, self.held, self.watch = config, folder, history, held, watch
        training = config.training
        self.objective = Objective(training.loss, training.lambdas)
        torch.manual_seed(training.seed)
        self.model = ImageModel(config.model).to(training.device)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.names, self.parameters = zip(*self.model.named_parameters(), strict=True)
        self.weights = self.model.state_dict()  # the model's own memory; what is not trained but fitted is there too
        self.average = {name: tensor.clone() for name, tensor in self.weights.items()}
        self.optimizer = torch.optim.AdamW(self.parameters, lr=0.0, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
        self.step = 0
        self.saved = -1  # step of the last checkpoint
        self.notes: dict[str, Any] = {}
        self.recent: list[tuple[float, float]] = []
        self.since = watch.clock() if watch.clock else 0.0
        self.spent = 0.0  # seconds, before `since`

    def begin(self, pictures: Pictures) -> None:
        """Set the weights that training starts with."""
        training = self.config.training
        if training.start == PRINCIPAL_COMPONENTS:
            rng = np.random.default_rng(training.seed)
            crops = pictures.crops(rng, _FITTED, self.config.data.crop)
            rates = [self.objective.mse_rate(k / (ANCHORS - 1)) for k in range(ANCHORS)]
            start.principal_components(self.model, crops, rates)
        elif training.start != NOISE:
            path = checkpoints.find(self.config.base / training.start)
            start.grow(self.model, checkpoints.read(path).average, str(path))
        self.average = {name: tensor.clone() for name, tensor in self.weights.items()}
        self.notes["pictures"] = len(pictures.pictures)

    def advance(self, crops: Tensor, last: bool) -> None:
        """Take one step; validate and save if it is time, or the last one."""
        loss, gradient = self._descend(crops)
        self.recent.append((loss, gradient))
        self.watch.stepped(self.step, loss)
        due = last or self.step % self.config.training.checkpoint_every == 0
        if due or self.step % _LINE_EVERY == 0:
            means = [float(mean) for mean in np.mean(self.recent, axis=0)]
            self.history.add(
                step=self.step, loss=means[0], gradient=means[1], learning_rate=self._learning_rate(self.step - 1),
                exact=self.config.exact(self.step - 1), seconds=self._seconds(),
            )  # fmt: skip
            self.recent.clear()
        if due:
            self.pause()

    def pause(self) -> None:
        """Validate, draw a sample picture and the curves, save; keep the best."""
        exact = self.config.exact(self.step)
        _seed(self.config.training.seed, -1)
        found = validate(self.model, self.average, self.held, self.objective, exact)
        # a model whose integers do not round yet is better on paper than it will be: any that round beats it
        best = [not exact, found["loss"]]
        is_best = best < self.notes.get("best", [True, math.inf])
        self.notes |= {"validation": found} | ({"best": best} if is_best else {})
        self.save(is_best)
        self.history.add(step=self.step, exact=exact, seconds=self.notes["seconds"], validation=found)
        picture = sample(self.model, self.average, self.held[0], exact)
        try:
            (self.folder / "samples").mkdir(exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make the folder {self.folder / 'samples'}: {error.strerror}") from error
        media.save(self.folder / "samples" / f"{self.step:07}.png", picture)
        media.write_bytes(self.folder / "curves.svg", curves.svg(self.history.lines).encode())
        self.watch.validated(self.step, found)

    def save(self, best: bool = False) -> None:
        """Write last.safetensors, and the same to best.safetensors; refuses weights that are not finite."""
        for name, tensor in self.average.items():
            if not torch.isfinite(tensor).all():
                raise TrainingError(self._ran_away(f"the weights {name} are no longer finite"))
        self.notes["seconds"] = self._seconds()
        first, second = self._moments("exp_avg"), self._moments("exp_avg_sq")
        kept = Checkpoint(
            self.step, self.config.table(), self.weights, self.average, first, second,
            self.notes,
        )  # fmt: skip
        for name in (LAST, BEST) if best else (LAST,):
            try:
                checkpoints.write(self.folder / name, kept)
            except StorageError as error:
                raise StorageError(f"{error}; free some space, then go on from there with --resume") from error
            self.saved = self.step

    def restore(self, kept: Checkpoint) -> None:
        """Be as the run was when `kept` was written.

        Raises:
            UsageError: it is of another model.
        """
        parameters = dict(zip(self.names, self.parameters, strict=True))
        for group, own in ((kept.weights, self.weights), (kept.average, self.weights), (kept.first, parameters),
                           (kept.second, parameters)):  # fmt: skip
            for name, tensor in own.items():
                if name not in group or group[name].shape != tensor.shape:
                    raise UsageError(f"tensor {name} of {self.folder / LAST} is absent or of another shape")
        with torch.no_grad():
            for name, tensor in self.weights.items():
                tensor.copy_(kept.weights[name])
                self.average[name].copy_(kept.average[name])
            for name, parameter in parameters.items():
                self.optimizer.state[parameter] = {  # laid out in memory as the parameter, which Adam's kernels expect
                    "step": torch.tensor(float(kept.step), device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter).copy_(kept.first[name]),
                    "exp_avg_sq": torch.zeros_like(parameter).copy_(kept.second[name]),
                }
        self.step = self.saved = kept.step
        self.notes = dict(kept.notes)
        self.spent = self.notes.get("seconds") or 0.0

    def _descend(self, crops: Tensor) -> tuple[float, float]:
        """One step down. Returns the loss and the norm of its gradient."""
        training = self.config.training
        draws = _seed(training.seed, self.step)
        x = crops.to(training.device, non_blocking=True, memory_format=torch.channels_last).float() / 255 - 0.5
        quality = ((torch.arange(len(x)) + torch.rand(len(x), generator=draws)) / len(x)).to(training.device)
        with torch.autocast(training.device, torch.bfloat16, enabled=training.precision == "bf16"):
            x_hat, bits_y, bits_z = self.model(x, quality, self.config.exact(self.step))
        rate_bpp = (bits_y + bits_z) / (x.shape[2] * x.shape[3])
        loss = self.objective(self.objective.distortion(x, x_hat), rate_bpp, quality)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, _LARGEST_GRADIENT)
        numbers = loss.item(), norm.item()
        for number, what in zip(numbers, ("loss", "gradient"), strict=True):
            if not math.isfinite(number):
                raise TrainingError(self._ran_away(f"the {what} became {number}"))
        self.optimizer.param_groups[0]["lr"] = self._learning_rate(self.step)
        self.optimizer.step()
        self.step += 1
        with torch.no_grad():
            weight = 1 - min(_SLOWEST, self.step / (self.step + 100))
            torch._foreach_lerp_(list(self.average.values()), list(self.weights.values()), weight)
        return numbers

    def _learning_rate(self, step: int) -> float:
        training = self.config.training
        cosine = 0.5 * (1 + math.cos(math.pi * step / training.steps))
        warm = min(1.0, (step + 1) / max(training.warm_up, 1))
        return training.learning_rate * warm * (cosine * (1 - _LOWEST_RATE) + _LOWEST_RATE)

    def _moments(self, key: str) -> dict[str, Tensor]:
        """Adam's, zeros before the first step."""
        state = self.optimizer.state
        named = zip(self.names, self.parameters, strict=True)
        return {name: state[p][key] if p in state else torch.zeros_like(p) for name, p in named}

    def _seconds(self) -> float | None:
        """Time spent so far, also before the run was resumed."""
        if not self.watch.clock:
            return None
        return self.spent + self.watch.clock() - self.since

    def _ran_away(self, what: str) -> str:
        kept = f"{self.folder / LAST} of step {self.saved} is as it was" if self.saved >= 0 else "nothing was saved"
        return f"{what} at step {self.step + 1}; {kept}: go on from there with --resume and a lower learning_rate"


class _Interrupts:
    """Ctrl-C and a termination signal end the training after the step in hand; a second Ctrl-C ends it at once."""

    asked = False

    def __enter__(self) -> _Interrupts:
        ours = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
        self._old = {one: signal.signal(one, self._ask) for one in ours}
        return self

    def __exit__(self, *_: object) -> None:
        for one, old in self._old.items():
            signal.signal(one, old)

    def _ask(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def _before(config: Config, folder: Path, resume: bool) -> Checkpoint | None:
    """The checkpoint to go on from, if that is wanted."""
    path = folder / LAST
    if not resume:
        if path.exists():
            raise UsageError(f"{folder} has a run already: go on with it with --resume, or choose another --out")
        return None
    if not path.exists():
        raise UsageError(f"nothing to resume: there is no {path}; start without --resume")
    kept = checkpoints.read(path)
    if found := differences(config.table(), kept.config):
        raise UsageError(
            f"{path} is of another configuration: {'; '.join(found)}; put it back, or start anew in another --out with "
            f'start = "{path}"'
        )
    return kept


def _summary(pictures: Pictures, held: list[np.ndarray], before: Checkpoint | None) -> str:
    """What will be trained on."""
    text = f"{len(pictures.pictures)} pictures, {len(held)} held out"
    if pictures.skipped:
        text += f", {len(pictures.skipped)} left out, such as {pictures.skipped[0]}"
    if before and before.notes.get("pictures", len(pictures.pictures)) != len(pictures.pictures):
        text += f"; it was {before.notes['pictures']} before: what follows is not what it would have been"
    return text


def _seed(seed: int, step: int) -> torch.Generator:
    """Seed torch for a step; returns a generator on the CPU, for what has to be the same on every device."""
    words = np.random.SeedSequence([seed, step + 1, 1]).generate_state(2, np.uint64)
    torch.manual_seed(int(words[0]))
    return torch.Generator().manual_seed(int(words[1]))
