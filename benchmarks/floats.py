"""The lossless codec `floats` against its promises, and against other lossless codecs on the same numbers.

    python benchmarks/floats.py [folder of .npy fields]   # prints a table, writes benchmarks/results/floats.json

Two minutes. Arrays of 16 MiB, about a layer of a model, made by seeded functions; "large" ones have 128 MiB, more than
any cache, and their files come out of fresh memory. Speeds are CPU time of the process (the machine is shared), all of
`encode` or `decode` counted, best of the repeats, in GB/s of the array's bytes; every file is decoded and compared bit
for bit.
The checkpoint pair is a model of Gaussian weights before and after a step of training that moves each weight by 1e-4
of a typical one; the bytes of each kind of difference are measured by forcing it. Fields are your own files.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from midtread.bench import machine
from midtread.codecs.tensor import floats
from midtread.errors import UsageError
from midtread.spec import dtype_of, open_codec

BYTES = 1 << 24
LARGE = 1 << 27
SECONDS = 0.6  # of repeats for each number
PEERS = [
    ("floats", {}),
    ("zstd", {}),
    ("zstd", {"shuffle": True}),
    ("blosc2", {}),
    ("blosc2", {"compressor": "lz4"}),
    ("pcodec", {}),
]
KINDS = {"bits": floats.BITS, "xor": floats.XOR, "difference": floats.DIFFERENCE}


def gaussian(dtype: str, size_bytes: int = BYTES, seed: int = 0) -> np.ndarray:
    kind = dtype_of(dtype)
    return np.random.default_rng(seed).standard_normal(size_bytes // kind.itemsize, np.float32).astype(kind)


def gaussian64(size_bytes: int = BYTES) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(size_bytes // 8)


def noise(dtype: str, size_bytes: int = BYTES) -> np.ndarray:
    return np.frombuffer(np.random.default_rng(0).bytes(size_bytes), dtype_of(dtype))


def best(work):
    """(seconds of CPU of the fastest call, its result)."""
    fastest, begin = float("inf"), time.process_time()
    while fastest == float("inf") or time.process_time() - begin < SECONDS:
        start = time.process_time()
        result = work()
        fastest = min(fastest, time.process_time() - start)
    return fastest, result


def measure(what: str, x: np.ndarray, name: str, options: dict) -> dict | None:
    """One row; None when the codec does not take such numbers."""
    codec = open_codec(name, **options)
    try:
        codec.encode(x)  # compiles
    except UsageError:
        return None
    encode_s, data = best(lambda: codec.encode(x))
    decode_s, x_hat = best(lambda: codec.decode(data))
    assert x_hat.tobytes() == x.tobytes(), f"{name} lost bits of {what}"
    row = {
        "what": what,
        "dtype": x.dtype.name,
        "codec": name,
        "options": options,
        "backend": codec.backend(),
        "bytes": x.nbytes,
        "size_bytes": len(data),
        "saved_percent": 100 * (1 - len(data) / x.nbytes),
        "encode_gb_per_s": x.nbytes / encode_s / 1e9,
        "decode_gb_per_s": x.nbytes / decode_s / 1e9,
    }
    label = " ".join([name, *(f"{key}={value}" for key, value in options.items())])
    print(
        f"{what:34} {x.dtype.name:9} {label:24} saves {row['saved_percent']:7.3f} %  "
        f"{row['encode_gb_per_s']:5.2f} / {row['decode_gb_per_s']:5.2f} GB/s",
        flush=True,
    )
    return row


def checkpoint_pair() -> list[dict]:
    """Bytes of a second checkpoint alone and against the first, by kind of difference."""
    rows, chosen = [], floats._best_kind
    for dtype in ("float32", "bfloat16"):
        kind = dtype_of(dtype)
        before = np.random.default_rng(1).standard_normal(BYTES // 4, np.float32)
        step = 1e-4 * np.random.default_rng(2).standard_normal(before.size, np.float32)
        base, x = before.astype(kind), (before + step).astype(kind)
        row = {"what": "checkpoint against the one before", "dtype": dtype, "bytes": x.nbytes, "size_bytes": {}}
        for name, forced in KINDS.items():
            floats._best_kind = lambda *_, forced=forced: forced
            row["size_bytes"][name] = len(floats.encode(x, base))
        floats._best_kind = chosen
        encode_s, data = best(lambda: floats.encode(x, base))
        decode_s, x_hat = best(lambda: floats.decode(data, base))
        assert x_hat.tobytes() == x.tobytes()
        row["size_bytes"]["chosen"] = len(data)
        row |= {"encode_gb_per_s": x.nbytes / encode_s / 1e9, "decode_gb_per_s": x.nbytes / decode_s / 1e9}
        rows.append(row)
        saved = "  ".join(f"{n} {100 * (1 - size / x.nbytes):.2f} %" for n, size in row["size_bytes"].items())
        speed = f"{row['encode_gb_per_s']:.2f} / {row['decode_gb_per_s']:.2f} GB/s"
        print(f"{row['what']:34} {dtype:9} saves {saved}  {speed}", flush=True)
    return rows


def main() -> None:
    arrays = [("Gaussian", gaussian(dtype)) for dtype in ("bfloat16", "float32", "float16")]
    arrays += [("Gaussian", gaussian64()), ("noise", noise("bfloat16")), ("noise", noise("float32"))]
    rows = [measure(what, x, *peer) for what, x in arrays for peer in PEERS]
    rows += [
        measure("Gaussian, large", gaussian(dtype, LARGE), "floats", {}) for dtype in ("bfloat16", "float32", "float16")
    ]
    rows += checkpoint_pair()
    for path in sorted(Path(sys.argv[1]).glob("*.npy")) if len(sys.argv) > 1 else []:
        rows += [measure(path.stem[:34], np.load(path), *peer) for peer in PEERS]
    report = {"machine": machine.describe(), "versions": machine.versions(), "rows": [row for row in rows if row]}
    target = Path(__file__).parent / "results" / "floats.json"
    target.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
