"""The `wavelet` codec against JPEG 2000, JPEG-LS and PNG.

    python benchmarks/wavelet.py [PICTURES]     # prints a table, writes benchmarks/results/wavelet.json

PICTURES: how many of Kodak, the first ones (default 24); lossless sizes are those and every 8/16-bit picture of
`diverse`. BD-rate: PSNR over RGB, sizes of whole files, six points each. Speeds are CPU time of the thread (the machine
is shared), best of the repeats, whole `encode` and `decode`, one thread. OpenJPEG's is the CPU time of the process,
for it may use threads; its decoder is called directly, for `decode` of the codec works in a guarded child.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from midtread import media
from midtread.bench import machine
from midtread.codecs.image.wavelet import Wavelet
from midtread.errors import CodecError
from midtread.metrics.rate_distortion import bd_rate
from midtread.spec import open_codec

DATA = Path(os.environ.get("MIDTREAD_DATA", "/work/shared/data"))
RESULTS = Path(__file__).parent / "results" / "wavelet.json"
STEPS = (8.0, 13.0, 21.0, 34.0, 55.0, 88.0)
TARGETS = (29.0, 32.0, 35.0, 38.0, 41.0, 44.0)
REPEATS = 5


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
    """Per picture: both curves and the BD-rate in percent."""
    rows = []
    for name, x in pictures:
        anchor = curve([open_codec("jpeg2000", psnr_db=target) for target in TARGETS], x)
        ours = curve([Wavelet(step=step) for step in STEPS], x)
        percent = bd_rate(*anchor, *ours).percent
        rows.append({"picture": name, "bd_rate_percent": percent, "jpeg2000": anchor, "wavelet": ours})
        print(f"{name:44} BD-rate {percent:7.2f} % against OpenJPEG 9/7", flush=True)
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
    for path in sorted((DATA / folder).iterdir())[:count]:
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
    result["mean_bd_rate_percent"] = float(np.mean([row["bd_rate_percent"] for row in result["lossy"]]))
    print(f"mean BD-rate {result['mean_bd_rate_percent']:.2f} %")
    result |= {"machine": machine.describe(), "versions": machine.versions(), "commit": machine.commit()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
