"""The example of docs/science.md, as its reader runs it: a field larger than the memory of all workers together."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("distributed")
pytest.importorskip("zarr")

EXAMPLE = Path(__file__).parents[1] / "examples" / "dask_field.py"


def test_worker_processes_write_a_field_larger_than_their_memory_and_a_region_is_read_back(tmp_path):
    done = subprocess.run([sys.executable, EXAMPLE, tmp_path, "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    size, workers, each, stored, chunks = map(int, re.match(
        r"(\d+) MiB by (\d+) workers of (\d+) MiB: (\d+) MiB in (\d+) chunks", done.stdout
    ).groups())  # fmt: skip
    assert size > workers * each
    assert workers >= 2
    assert stored < size / 10
    assert chunks == len([path for path in tmp_path.rglob("c/*/*/*") if path.is_file()])
    assert "Restarting" not in done.stderr, "a worker ran out of memory"
    error, allowed = map(float, re.search(r"largest error .*: (\S+), allowed (\S+)", done.stdout).groups())
    assert 0 < error <= allowed
