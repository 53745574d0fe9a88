"""Write golden files of tensor codecs: `python tools/write_tensor_golden.py floats`. Existing ones are never touched.

tests/golden/<codec>/v1-<variant>.mt is a midtread file of an array of tests/tensors.py; .json says what it decodes to,
by shape, dtype and SHA-256 of the bytes, and for a lossy codec of other people .npy holds it.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import midtread
from midtread.spec import open_codec
from tensors import TENSOR_CODECS, golden_arrays, golden_options

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"


def main(names: list[str]) -> None:
    for name in names or TENSOR_CODECS:
        folder = GOLDEN / name
        folder.mkdir(parents=True, exist_ok=True)
        for variant, x in golden_arrays(name).items():
            path = folder / (f"v1-{variant}.mt" if variant else "v1.mt")
            if path.exists():
                print(f"{path.relative_to(GOLDEN)}: kept")
                continue
            options = golden_options(name, variant)
            codec, data = open_codec(name, **options), midtread.encode(x, name, **options)
            x_hat = midtread.decode(data)
            path.write_bytes(data)
            what = {"shape": list(x_hat.shape), "dtype": x_hat.dtype.name, "backend": codec.backend()}
            what |= {"sha256": hashlib.sha256(x_hat.tobytes()).hexdigest(), "midtread": midtread.__version__}
            path.with_suffix(".json").write_text(json.dumps(what, indent=1) + "\n")
            if not codec.lossless and codec.family == "conventional" and codec.backend() != "midtread":
                np.save(path.with_suffix(".npy"), x_hat)
            print(f"{path.relative_to(GOLDEN)}: {len(data)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
