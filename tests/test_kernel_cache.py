"""A cached kernel is that of today's sources, also when what changed is a kernel that it calls."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import midtread.kernels

SOURCE = Path(midtread.kernels.__file__).parent
RUN = "from midtread.kernels.caller import outer; print(outer(2), bool(outer.stats.cache_hits))"


def test_a_change_in_a_kernel_that_is_called_is_seen(tmp_path):
    room = tmp_path / "midtread" / "kernels"
    room.mkdir(parents=True)
    for folder in (room, room.parent):
        (folder / "__init__.py").touch()
    shutil.copy(SOURCE / "jit.py", room)
    head = "from midtread.kernels.jit import jit\n"
    (room / "caller.py").write_text(
        f"{head}from midtread.kernels.called import inner\n@jit\ndef outer(n):\n    return inner(n) + 1\n"
    )
    seen = []
    for factor in (10, 10, 20):
        (room / "called.py").write_text(f"{head}@jit\ndef inner(n):\n    return n * {factor}\n")
        importlib.invalidate_caches()
        done = subprocess.run(
            [sys.executable, "-B", "-c", RUN], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        seen.append(done.stdout.strip())
    assert seen == ["21 False", "21 True", "41 False"]
