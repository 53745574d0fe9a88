"""The `wavelet` codec against JPEG 2000, AVIF, JPEG-LS and PNG.

    python benchmarks/wavelet.py [PICTURES]     # prints a table, writes benchmarks/results/wavelet.json; 10 minutes

PICTURES: how many of Kodak, the first ones (default 24); lossless sizes are those and every 8/16-bit picture of the
folder `diverse` beside it (left out where it is not). BD-rate: PSNR over RGB, sizes of whole files, six points each.
Speeds are CPU time of the thread (the machine is shared), best of the repeats, whole `encode` and `decode`, one thread.
OpenJPEG's is the CPU time of the process, for it may use threads; its decoder is called directly, for `decode` of the
codec works in a guarded child.

Asked: BD-rate 5 % better than OpenJPEG 9/7 with colour transform; 10 MPx/s lossy, 20 lossless; 5 times OpenJPEG both
ways; lossless files smaller than PNG and JPEG 2000, within 5 % of JPEG-LS.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from midtread import media
from midtread.bench import machine
from midtread.bench.datasets import local_roots
from midtread.codecs.image.wavelet import Wavelet
from midtread.errors import CodecError
from midtread.metrics.rate_distortion import bd_rate
from midtread.spec import open_codec

RESULTS = Path(__file__).parent / "results" / "wavelet.json"
STEPS = (8.0, 13.0, 21.0, 34.0, 55.0, 88.0)
TARGETS = (29.0, 32.0, 35.0, 38.0, 41.0, 44.0)
QUALITIES = (15, 30, 45, 60, 75, 88)
REPEATS = 9


def psnr(x, y):
    return float(10 * np.log10(255**2 / np.mean((x.astype(np.float64) - y) ** 2)))


def curve(codecs, x):
    """Sizes in bytes and PSNR of the decoded files."""
    files = [codec.encode(x) for codec in codecs]
    return [len(data) for data in files], [
        psnr(x, codec.decode(data)) for codec, data in zip(codecs, files, strict=True)
    ]


class OpenJpeg:
    """The codec `jpeg2000`, but decoding in this process."""

    def __init__(self, **options) -> None:
        self.encode = open_codec("jpeg2000", **options).encode

    def decode(self, data):
        """Pixels of a JP2 file."""
        import imagecodecs

        return imagecodecs.jpeg2k_decode(data)


def speed(codec, x, clock, repeats=REPEATS):
    """Megapixels per second of encode and of decode."""
    fastest = [float("inf")] * 2
    data = codec.encode(x)
    codec.decode(data)
    for _ in range(repeats):
        start = clock()
        codec.encode(x)
        middle = clock()
        codec.decode(data)
        end = clock()
        fastest = [min(fastest[0], middle - start), min(fastest[1], end - middle)]
    return [x.shape[0] * x.shape[1] / 1e6 / seconds for seconds in fastest]


def lossy(pictures):
    """Per picture: all curves and the BD-rates in percent."""
    rows = []
    for name, x in pictures:
        anchor = curve([open_codec("jpeg2000", psnr_db=target) for target in TARGETS], x)
        avif = curve([open_codec("avif", quality=quality, speed=4) for quality in QUALITIES], x)
        ours = curve([Wavelet(step=step) for step in STEPS], x)
        percent, distance = bd_rate(*anchor, *ours).percent, bd_rate(*avif, *ours).percent
        rows.append({"picture": name, "bd_rate_percent": percent, "bd_rate_percent_against_avif": distance})
        rows[-1] |= {"jpeg2000": anchor, "avif": avif, "wavelet": ours}
        print(f"{name:44} BD-rate {percent:7.2f} % against OpenJPEG 9/7, {distance:7.2f} % AVIF 4:4:4", flush=True)
    return rows


def lossless(pictures):
    """Per picture: bytes of every codec, exactness checked for ours."""
    rows = []
    for name, x in pictures:
        ours = Wavelet(lossless=True)
        data = ours.encode(x)
        assert (ours.decode(data) == x).all(), name
        row = {"picture": name, "wavelet": len(data)}
        for codec, options in (("png", {}), ("jpeg2000", {"lossless": True}), ("jpegls", {})):
            try:
                row[codec] = len(open_codec(codec, **options).encode(x))
            except CodecError:
                row[codec] = None
        rows.append(row)
        print(f"{name:44} " + "  ".join(f"{k} {v}" for k, v in row.items() if k != "picture"), flush=True)
    return rows


def pictures_of(folder, count=None):
    """(name, samples) of the pictures that the codec takes."""
    found = []
    roots = [root / folder for root in local_roots() if (root / folder).is_dir()]
    for path in sorted(roots[0].iterdir())[:count] if roots else []:
        try:
            x = Wavelet().check(media.load(path).array)
        except CodecError:
            continue
        found.append((f"{folder}/{path.name}", x))
    return found


def speeds(x):
    """MPx/s of ours and of OpenJPEG on one picture: encode, decode."""
    rows = {}
    for name, codec, clock in (
        ("wavelet step=8", Wavelet(step=8.0), time.thread_time),
        ("wavelet step=34", Wavelet(step=34.0), time.thread_time),
        ("wavelet step=34 effort=0", Wavelet(step=34.0, effort=0), time.thread_time),
        ("wavelet lossless", Wavelet(lossless=True), time.thread_time),
        ("wavelet step=8 layers=4", Wavelet(step=8.0, layers=4), time.thread_time),
        ("jpeg2000 41 dB", OpenJpeg(psnr_db=41.0), time.process_time),
        ("jpeg2000 32 dB", OpenJpeg(psnr_db=32.0), time.process_time),
        ("jpeg2000 lossless", OpenJpeg(lossless=True), time.process_time),
    ):
        rows[name] = speed(codec, x, clock)
        print(f"{name:44} encode {rows[name][0]:7.2f} decode {rows[name][1]:7.2f} MPx/s", flush=True)
    return rows


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    kodak = pictures_of("kodak", count)
    result = {
        "speeds_mpx_per_s": speeds(kodak[min(4, len(kodak) - 1)][1]),
        "lossy": lossy(kodak),
        "lossless": lossless(kodak + pictures_of("diverse")),
    }
    for key in ("bd_rate_percent", "bd_rate_percent_against_avif"):
        result[f"mean_{key}"] = float(np.mean([row[key] for row in result["lossy"]]))
        print(f"mean {key} {result[f'mean_{key}']:.2f}")
    for folder in ("kodak", "diverse"):
        rows = [row for row in result["lossless"] if row["picture"].startswith(folder)]
        for other in ("png", "jpeg2000", "jpegls"):
            both = [row for row in rows if row[other]]
            ratio = sum(row["wavelet"] for row in both) / max(sum(row[other] for row in both), 1)
            worst = max(both, key=lambda row: row["wavelet"] / row[other], default=None)
            result[f"lossless_{folder}_against_{other}"] = ratio
            if worst:
                beside = worst["wavelet"] / worst[other]
                print(f"lossless, {folder}: {ratio:.4f} of {other}; worst {beside:.3f}, {worst['picture']}")
    fast = result["speeds_mpx_per_s"]
    for ours, theirs in (
        ("step=8", "41 dB"),
        ("step=34", "32 dB"),
        ("lossless", "lossless"),
    ):
        times = [a / b for a, b in zip(fast[f"wavelet {ours}"], fast[f"jpeg2000 {theirs}"], strict=True)]
        print(f"{ours}: encode {times[0]:.2f} x, decode {times[1]:.2f} x OpenJPEG's speed (5 asked)")
    result |= {"machine": machine.describe(), "versions": machine.versions(), "commit": machine.commit()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
