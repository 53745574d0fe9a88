"""Verbs of the bench: bench, report."""

from __future__ import annotations

import sys
from pathlib import Path

from midtread.bench import plan as plans
from midtread.bench.progress import Progress


def bench(plan: list[str], /, *, out: Path) -> str:
    """Run bench plans; stop with Ctrl-C, run the same command again to go on.

    Args:
        plan: TOML files, or names of built-in plans (see `midtread list plans`).
        out: folder for the records and files; with several plans, a folder in it for each.
    """
    from midtread.bench.run import run

    loaded = [plans.load(one) for one in plan]  # all are checked before the first one runs
    lines = []
    for source, one in zip(plan, loaded, strict=True):
        folder = out / Path(source).stem if len(plan) > 1 else out
        for absent in one.absent:
            print(f"midtread: {absent['what']} is absent: {absent['install']}", file=sys.stderr)
        if one.refused:
            first, count = one.refused[0], len(one.refused)
            left_out = f"{count} combination{'s' if count > 1 else ''} of the grid left out, such as {first['series']}"
            print(f"midtread: {left_out}: {first['why']}; the report names all", file=sys.stderr)
        with _Bar() as bar:
            outcome = run(one, folder, bar.progress())
        lines.append(
            f"{outcome.folder}  {outcome.records} records, {outcome.measured} measured now, {outcome.failures} failures"
        )
        print(f"midtread: look at it with: midtread report {folder}", file=sys.stderr)
    return "\n".join(lines)


def report(
    folder: list[Path],
    /,
    *,
    anchor: str | None = None,
) -> str:
    """Turn bench folders into one self-contained web page.

    Args:
        folder: folders that `midtread bench` wrote; the page goes into the first.
        anchor: the series that BD-rates are against, instead of the plan's.
    """
    from midtread.bench.report import build

    return str(build(folder, anchor=anchor))


class _Bar:
    """A progress bar on stderr, one per phase."""

    def __enter__(self) -> _Bar:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.fields[phase]:<15}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, TextColumn("{task.fields[text]}"), console=Console(stderr=True))
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def progress(self) -> Progress:
        """The callbacks that draw this bar."""

        def start(phase: str, total: int) -> None:
            self._task = self._bars.add_task(phase, total=total, phase=phase, text="")

        def step(text: str) -> None:
            self._bars.update(self._task, advance=1, text=text)

        return Progress(start, step)
