"""What happened in a training: `history.jsonl`, a line of JSON every so many steps.

    {"step", "loss", "gradient", "learning_rate", "exact", "seconds"}    means since the line before
    {"step", "exact", "seconds", "validation": {...}}                    see validation.py

`seconds` is the time spent so far, over all resumptions; null where the caller has no clock.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from midtread import media
from midtread.errors import StorageError, UsageError

FILE = "history.jsonl"


class History:
    """The lines of one run, in memory and in its file."""

    def __init__(self, folder: Path, until: int | None = None) -> None:
        """Begin anew, or go on with the lines up to the step `until`: later ones are done again.

        Raises:
            UsageError, StorageError: the folder or the file cannot be written.
        """
        self.path = folder / FILE
        self.lines = [] if until is None else [line for line in _read(self.path) if line["step"] <= until]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make the folder {folder}: {error.strerror}") from error
        media.write_bytes(self.path, "".join(map(_line, self.lines)).encode())

    def add(self, **entry: Any) -> None:
        """Append a line. Raises StorageError when the disk does not take it."""
        self.lines.append(entry)
        try:
            with open(self.path, "ab") as file:
                file.write(_line(entry).encode())
        except OSError as error:
            raise StorageError(f"cannot write to {self.path}: {error.strerror}") from error


def _read(path: Path) -> list[dict[str, Any]]:
    """The whole lines; what a kill cut off, or somebody spoiled, is left out: nothing depends on it."""
    found = []
    for line in path.read_bytes().splitlines() if os.path.exists(path) else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and type(entry.get("step")) is int:
            found.append(entry)
    return found


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, separators=(",", ":")) + "\n"
