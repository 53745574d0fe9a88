"""Write golden files: `python tools/write_golden.py jpeg avif`. Run by hand only; existing ones are never touched.

tests/golden/<codec>/v1.mt is a midtread file, v1.npy the array it decoded to when it was written, v1.json how.
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import midtread
from midtread.registry import CODECS
from pictures import photo_like

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"


def main(names: list[str]) -> None:
    for name in names or CODECS.names():
        folder = GOLDEN / name
        if (folder / "v1.mt").exists():
            print(f"{name}: kept")
            continue
        folder.mkdir(parents=True, exist_ok=True)
        data = midtread.wrap(photo_like((33, 47, 3)), name)
        (folder / "v1.mt").write_bytes(data)
        np.save(folder / "v1.npy", midtread.decode(data))
        how = {"backend": CODECS.get(name).backend(), "midtread": midtread.__version__}
        (folder / "v1.json").write_text(json.dumps(how, indent=1) + "\n")
        print(f"{name}: {len(data)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
