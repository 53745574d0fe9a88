"""Verbs of training: train."""

from __future__ import annotations

import json as jsonlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from midtread.errors import MissingError
from midtread.spec import missing

if TYPE_CHECKING:
    from rich.progress import TaskID

    from midtread.train.loop import Watch

_NEEDS = (("torch", "pip install 'midtread[train]'"),)


def train(
    config: Path,
    /,
    *,
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative=())] = False,
    steps: int | None = None,
    data: Annotated[list[Path] | None, Parameter(negative=())] = None,
    device: Literal["cpu", "cuda"] | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> str:
    """Train a picture codec; stop with Ctrl-C, go on with --resume.

    Args:
        config: TOML file: docs/training.md, examples/train_s.toml.
        out: folder of the run, runs/<name of the config> if left out.
        resume: go on with the last checkpoint there, to the same numbers as without the stop.
        steps: stop at this step of the schedule; --resume goes on from it.
        data: folders of pictures in place of those the config names.
        device: where to train, in place of what the config says.
        json: print JSON.
    """
    if line := missing(_NEEDS):
        raise MissingError(f"training needs torch; install it with: {line}")
    from midtread.train import config as configs
    from midtread.train.loop import train as run

    checked = configs.load(config, data, **({"device": device} if device else {}))
    folder = out or Path("runs") / config.stem
    with _Display() as display:
        outcome = run(checked, folder, resume=resume, stop_at=steps, watch=display.watch())
    if outcome.stopped:
        print(f"midtread: stopped after step {outcome.step}; go on with --resume", file=sys.stderr)
        raise KeyboardInterrupt
    if json:
        return jsonlib.dumps(
            {"folder": str(folder), "step": outcome.step, "steps": outcome.steps, "validation": outcome.validation}
        )
    shown = f"  {_points(outcome.validation)}" if outcome.validation else ""
    return f"{folder}  step {outcome.step} of {outcome.steps}{shown}"


def _points(validation: dict[str, Any]) -> str:
    """Expected rate and PSNR at each quality: "0.21 bpp 28.4 dB, 0.48 bpp 31.0 dB"."""
    pairs = zip(validation["bpp"], validation["psnr_db"], strict=True)
    return ", ".join(f"{rate:.3f} bpp {psnr:.2f} dB" for rate, psnr in pairs)


class _Display:
    """Bars on stderr: pictures being decoded, then steps with loss, speed and the time left."""

    def __enter__(self) -> _Display:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description:<9}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._console = Console(stderr=True)
        self._bars = Progress(*columns, TextColumn("{task.fields[text]}"), console=self._console)
        self._bars.start()
        self._loading: TaskID | None = None
        self._steps: TaskID | None = None
        self._loss = 0.0
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def watch(self) -> Watch:
        """The callbacks that draw these bars."""
        from midtread.train.loop import Watch

        return Watch(self._load, self._begin, self._step, self._validated, self._say, time.monotonic)

    def _load(self, done: float) -> None:
        if self._loading is None:
            self._loading = self._bars.add_task("pictures", total=100, text="")
        self._bars.update(self._loading, completed=int(100 * done))

    def _begin(self, step: int, end: int) -> None:
        self._steps = self._bars.add_task("steps", total=end, completed=step, text="")

    def _step(self, step: int, loss: float) -> None:
        assert self._steps is not None
        self._loss += (loss - self._loss) * (0.02 if self._loss else 1.0)
        task = next(one for one in self._bars.tasks if one.id == self._steps)
        speed = f"{task.speed:.2f} steps/s" if task.speed else ""
        self._bars.update(self._steps, completed=step, text=f"loss {self._loss:.4f}  {speed}")

    def _validated(self, step: int, found: dict[str, Any]) -> None:
        self._say(f"step {step}: {_points(found)}, expected, on held-out pictures")

    def _say(self, text: str) -> None:
        print(f"midtread: {text}", file=sys.stderr)
