"""Transforms and quantizers: speed of every registered one, and the closed forms they must meet.

    python benchmarks/transforms.py          # prints two tables, writes benchmarks/results/transforms.json; 1 minute

The picture is an embedded photograph (astronaut), mirrored out to 768 x 512 RGB, 8 bit. Colours work on its pixels,
everything else on its planes (float ones on float32, integer ones as noted). Time is CPU time of the thread, best of
the repeats, allocation of the result included; MPx/s counts pixels of three samples. Asked: 9/7, five levels, three
planes <= 4 ms; 5/3 <= 3 ms; the closed forms to 3 digits.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from midtread import media
from midtread.bench import datasets, machine
from midtread.quantize.digit_planes import DigitPlanes
from midtread.quantize.lloyd_max import LloydMax
from midtread.quantize.rate_distortion import RateDistortion, own_rates
from midtread.quantize.uniform import DeadZone, Uniform
from midtread.transforms.colour import Klt, Planes, Rct, YCbCr, YCoCgR
from midtread.transforms.dct import Dct, IntegerDct
from midtread.transforms.packet import Packet53, Packet97
from midtread.transforms.predict import Gradient, Lorenzo, Med, Paeth
from midtread.transforms.wavelet import Wavelet53, Wavelet97

REPEATS = 30
WAYS = ("forward", "inverse")
LIMITS_MS = {"wavelet53 int16": 3.0, "wavelet53 int32": 3.0, "wavelet97 float32": 4.0}


def picture() -> np.ndarray:
    """uint8 [512, 768, 3]."""
    item = next(one for one in datasets.open_dataset("examples") if one.name == "astronaut")
    x = media.load(item.path).array[:512, :512, :3]
    return np.ascontiguousarray(np.pad(x, ((0, 0), (0, 256), (0, 0)), mode="reflect"))


def best_ms(work) -> float:
    """Milliseconds of CPU time of the fastest call; the first, which compiles, does not count."""
    work()
    fastest = float("inf")
    for _ in range(REPEATS):
        start = time.thread_time()
        work()
        fastest = min(fastest, time.thread_time() - start)
    return 1e3 * fastest


def transform_rows(x: np.ndarray) -> list[dict]:
    planes = np.ascontiguousarray(np.moveaxis(x, -1, 0))
    narrow, wide, real = planes.astype(np.int16), planes.astype(np.int32), planes.astype(np.float32)
    cases = [
        *((t, x) for t in (Planes(), YCoCgR(), Rct(), YCbCr(), Klt.fit(x))),
        (Wavelet53(5), narrow),
        (Wavelet53(5), wide),
        (Wavelet97(5), real),
        (Packet53(3), narrow),
        (Packet97(3), real),
        *((Dct(n), real) for n in (4, 8, 16, 32, 64)),
        *((IntegerDct(n), wide) for n in (4, 8, 16, 32, 64)),
        *((t, wide) for t in (Med(), Paeth(), Gradient(), Lorenzo(2))),
    ]
    rows = []
    for transform, signal in cases:
        latents = transform.forward(signal)
        error = np.abs(transform.inverse(latents).astype(np.float64) - signal).max()
        forward, inverse = (
            best_ms(lambda t=transform, s=signal: t.forward(s)),
            best_ms(lambda t=transform, z=latents: t.inverse(z)),
        )
        limit = LIMITS_MS.get(f"{transform.name} {signal.dtype}")
        rows.append(
            {
                "transform": repr(transform),
                "dtype": str(signal.dtype),
                "forward_ms": forward,
                "inverse_ms": inverse,
                "forward_mpx_s": x.shape[0] * x.shape[1] / forward / 1e3,
                "inverse_mpx_s": x.shape[0] * x.shape[1] / inverse / 1e3,
                "max_error": float(error),
                "limit_ms": limit,
                "holds": bool(
                    (limit is None or max(forward, inverse) <= limit) and (error == 0 or not transform.exact)
                ),
            }
        )
    return rows


def quantizer_rows(x: np.ndarray) -> list[dict]:
    z = Wavelet97(5).forward(np.ascontiguousarray(np.moveaxis(x, -1, 0)).astype(np.float32))
    rates = own_rates(Uniform(8.0).quantize(z))
    planned = RateDistortion(8.0)
    cases = [
        (Uniform(8.0), None),
        (DeadZone(8.0), None),
        (planned, lambda: planned.quantize_with(z, rates)),
        (LloydMax(16, scale=float(z.std())), None),
        (DigitPlanes.fit(z, 8.0, 2), None),
        (DigitPlanes.fit(z, 8.0, 3), None),
    ]
    rows = []
    for quantizer, call in cases:
        symbols = quantizer.quantize(z)
        quantize = best_ms(call or (lambda q=quantizer: q.quantize(z)))
        dequantize = best_ms(lambda q=quantizer, s=symbols: q.dequantize(s))
        base = f" base {quantizer.base}" if isinstance(quantizer, DigitPlanes) else ""
        rows.append({"quantizer": quantizer.name + base, "quantize_ms": quantize, "dequantize_ms": dequantize})
    return rows


def closed_forms() -> list[dict]:
    rows = []
    for n, asked in ((8, 8.826), (16, 9.456), (32, 9.774)):
        covariance = 0.95 ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
        v = np.diag(Dct(n).forward(covariance)).astype(np.float64)
        gain = 10 * np.log10(v.mean() / np.exp(np.log(v).mean()))
        rows.append(
            {"what": f"coding gain of DCT-{n}, AR(1) 0.95, dB", "asked": asked, "got": float(gain), "within": 1e-3}
        )
    z = np.linspace(-8, 8, 2**20 + 1)
    weights = np.exp(-z * z / 2)
    weights /= weights.sum()
    for bits, asked in ((2, 9.30), (3, 14.62), (4, 20.22)):
        quantizer = LloydMax(2**bits)
        error = (weights * np.square(z - quantizer.dequantize(quantizer.quantize(z)))).sum()
        snr = -10 * np.log10(error)
        rows.append(
            {"what": f"Lloyd-Max SNR, Gaussian, {bits} bits, dB", "asked": asked, "got": float(snr), "within": 5e-3}
        )
    quantizer = Uniform(0.01, precise=True)
    symbols = quantizer.quantize(z)
    p = np.bincount(symbols - symbols.min(), weights)
    rate = -(p[p > 0] * np.log2(p[p > 0])).sum()
    gap = rate + 0.5 * np.log2((weights * np.square(z - quantizer.dequantize(symbols))).sum())
    rows.append(
        {"what": "uniform, entropy-coded, gap to R(D), bit", "asked": 0.2546, "got": float(gap), "within": 5e-5}
    )
    return [{**row, "holds": bool(abs(row["got"] - row["asked"]) <= row["within"])} for row in rows]


def main() -> int:
    machine.pin(machine.cpus()[-1:])
    x = picture()
    transforms, quantizers, forms = transform_rows(x), quantizer_rows(x), closed_forms()
    for row in transforms:
        limit = f"  asked <= {row['limit_ms']:g} ms: {'holds' if row['holds'] else 'MISSED'}" if row["limit_ms"] else ""
        ways = "   ".join(f"{way} {row[f'{way}_ms']:6.2f} ms {row[f'{way}_mpx_s']:5.0f} MPx/s" for way in WAYS)
        print(f"{row['transform'][:31]:31} {row['dtype']:8} {ways}   error {row['max_error']:.1e}{limit}")
    for row in quantizers:
        print(
            f"{row['quantizer']:32} quantize {row['quantize_ms']:7.2f} ms   dequantize {row['dequantize_ms']:7.2f} ms"
        )
    for row in forms:
        print(f"{row['what']:45} {row['got']:8.4f}  asked {row['asked']}  {'holds' if row['holds'] else 'MISSED'}")
    record = {
        "recipe": __doc__,
        "repeats": REPEATS,
        "transforms": transforms,
        "quantizers": quantizers,
        "closed_forms": forms,
        "machine": machine.describe(),
        "versions": machine.versions(),
        "commit": machine.commit(),
    }
    path = Path(__file__).parent / "results" / "transforms.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if all(row["holds"] for row in [*transforms, *forms]) else 1


if __name__ == "__main__":
    sys.exit(main())
