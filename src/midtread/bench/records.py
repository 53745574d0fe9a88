"""Bench records: one JSON line per (series, setting, item), kept whole; averages are made when a table is printed.

The file only ever grows while a bench runs, so a kill loses at most the line being written: `load` drops an unfinished
last line, and of several lines with one key the last holds. `compact` rewrites the file with one line a key.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

from midtread.errors import BitstreamError, CodecError

SCHEMA = 1
FILE = "records.jsonl"

Record = dict[str, Any]  # docs/formats/records.md lists the fields


def key_of(record: Record) -> str:
    """What makes a measurement the same measurement: the codec, its settings and backend, the item, the machine."""
    fields = ("series", "codec", "options", "backend", "dataset", "item", "item_sha256")
    text = json.dumps([[record[field] for field in fields], record["machine"]["name"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def load(folder: Path) -> dict[str, Record]:
    """Every record of a bench folder by key, the last of each key. An absent file is an empty bench.

    Raises BitstreamError when a finished line is not a record.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    raw = path.read_bytes()
    lines = raw[: raw.rfind(b"\n") + 1].splitlines()  # what follows the last newline was cut off by a kill
    found: dict[str, Record] = {}
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            found[record["key"]] = record
        except (ValueError, KeyError, TypeError) as error:
            raise BitstreamError(f"{path}, line {number} is not a bench record: {line[:80]!r}") from error
    return found


class Writer:
    """Appends records. Only one bench may write to a folder at a time."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._file = open(self.path, "a+b")  # noqa: SIM115 - closed by __exit__
        try:
            _lock(self._file.fileno())
        except OSError as error:
            self._file.close()
            raise CodecError(f"another bench is writing to {folder}; wait for it or choose another --out") from error
        self._drop_unfinished_line()

    def append(self, record: Record) -> None:
        """Write one record and push it to the disk. Raises CodecError when the disk is full."""
        line = json.dumps(plain(record), allow_nan=False, separators=(",", ":")) + "\n"
        try:
            self._file.write(line.encode())
            self._file.flush()
        except OSError as error:
            raise CodecError(
                f"cannot write to {self.path}: {error.strerror}; free some space and run the same command again: "
                "it goes on where it stopped"
            ) from error

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _drop_unfinished_line(self) -> None:
        self._file.seek(0)
        raw = self._file.read()
        self._file.truncate(raw.rfind(b"\n") + 1)
        self._file.seek(0, os.SEEK_END)


def compact(folder: Path) -> dict[str, Record]:
    """Rewrite the file with one line per key, atomically; return the records."""
    records = load(folder)
    temporary = folder / f".{FILE}.tmp"
    temporary.write_text("".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records.values()))
    os.replace(temporary, folder / FILE)
    return records


def plain(value: Any) -> Any:
    """JSON has no infinity and no NaN: PSNR of identical pictures is stored as null."""
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: no advisory locks; two benches in one folder are the user's own doing
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
