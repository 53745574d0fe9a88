"""How long a user waits before anything happens: `import midtread`, `midtread list`.

    python benchmarks/startup.py             # prints, writes benchmarks/results/startup.json

Whole processes, minimum of the repeats (a shared machine only ever adds). The import is measured inside the process,
without the interpreter's own start. Asked: import under 50 ms, `midtread list` under 0.3 s.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from midtread.bench import machine

REPEATS = 15
IMPORT = "import time; t = time.perf_counter(); import midtread; print(time.perf_counter() - t)"


def main() -> int:
    imports, lists, bare = [], [], []
    for _ in range(REPEATS):
        imports.append(float(subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, check=True).stdout))
        for times, command in ((lists, ["-m", "midtread", "list"]), (bare, ["-c", "pass"])):
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], capture_output=True, check=True)
            times.append(time.perf_counter() - start)
    found = {"import_s": min(imports), "list_s": min(lists), "bare_python_s": min(bare)}
    for name, seconds in found.items():
        print(f"{name:14} {1e3 * seconds:7.1f} ms")
    record = {
        "recipe": __doc__,
        "repeats": REPEATS,
        **found,
        "machine": machine.describe(),
        "versions": machine.versions(),
        "commit": machine.commit(),
    }
    (Path(__file__).parent / "results" / "startup.json").write_text(json.dumps(record, indent=1) + "\n")
    return 0 if found["import_s"] < 0.05 and found["list_s"] < 0.3 else 1


if __name__ == "__main__":
    sys.exit(main())
