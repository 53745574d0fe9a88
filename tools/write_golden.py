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


# Settings beyond the defaults whose bytes are promised too: v1-<name>.mt.
VARIANTS = {
    "gaussian": {
        "layers": {"count": 200, "step": 6.0, "layers": 8},
        "uniform": {"count": 60, "step": 40.0, "quantizer": "uniform"},
        "vq": {"count": 300, "step": 40.0, "quantizer": "vq"},
    },
    "learned": {
        "fine": {"quality": 60.0},
        "m": {"model": "m"},
        "range": {"quality": 45.5, "effort": "high", "coder": "range"},
    },
    "wavelet": {"lossless": {"lossless": True}, "layers": {"layers": 3, "step": 2.0}},
    "pipeline": {
        "digits": {"transform": "klt+dct", "quantizer": "digit-planes", "model": "adaptive", "coder": "range"},
        "levels": {"quantizer": "lloyd-max(levels=20)", "model": "mixture", "coder": "huffman"},
        "lossless": {"transform": "packet53", "quantizer": "none", "model": "context", "coder": "cabac"},
    },
}


def main(names: list[str]) -> None:
    for name in names or CODECS.names():
        folder = GOLDEN / name
        folder.mkdir(parents=True, exist_ok=True)
        for variant, options in {"": {}, **VARIANTS.get(name, {})}.items():
            path = folder / (f"v1-{variant}.mt" if variant else "v1.mt")
            if path.exists():
                print(f"{path.relative_to(GOLDEN)}: kept")
                continue
            data = midtread.wrap(photo_like((33, 47, 3)), name, **options)
            path.write_bytes(data)
            np.save(path.with_suffix(".npy"), midtread.decode(data))
            how = {"backend": CODECS.get(name).backend(), "midtread": midtread.__version__}
            path.with_suffix(".json").write_text(json.dumps(how | options, indent=1) + "\n")
            print(f"{path.relative_to(GOLDEN)}: {len(data)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
