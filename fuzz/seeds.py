"""Valid files to start from: every codec that runs here, native and wrapped, on a few small pictures.

python fuzz/seeds.py fuzz/corpus     write them as files, for atheris
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

import midtread
from midtread import media
from midtread.errors import UsageError
from midtread.registry import CODECS

EXIF = b"II*\0\x08\0\0\0\0\0\0\0\0\0"  # an empty TIFF structure


def pictures() -> Iterator[tuple[str, np.ndarray]]:
    """Small pictures of every kind: smooth, so that codecs use their usual paths, with odd sides."""
    rows, columns = np.mgrid[0:13, 0:17]
    smooth = (rows * 9 + columns * 5 + 20 * np.sin(rows / 3)) / 255
    for channels in (1, 2, 3, 4):
        planes = smooth if channels == 1 else np.stack([smooth * (1 - c / 5) for c in range(channels)], axis=-1)
        for dtype in ("uint8", "uint16", "float32"):
            scale = np.iinfo(dtype).max if dtype.startswith("uint") else 1
            yield f"{dtype}-{channels}", (np.clip(planes, 0, 1) * scale).astype(dtype)


def seeds(only: str = "") -> dict[str, bytes]:
    """Name -> bytes, of the codecs and formats whose name holds `only`.

    Codecs that cannot run here, and pictures that a codec does not take, are left out.
    """
    found: dict[str, bytes] = {}
    for codec in (name for name in CODECS.names() if only in name):
        for name, x in pictures():
            try:
                found[f"{codec}-{name}"] = midtread.encode(x, codec)
                found[f"{codec}-{name}.mt"] = midtread.wrap(x, codec, icc=b"profile", exif=EXIF, xmp=b"<x/>")
            except UsageError:
                continue
    return found | {name: data for name, data in other_formats() if only in name}


def other_formats() -> Iterator[tuple[str, bytes]]:
    """Files of formats that midtread opens and no codec writes."""
    for name, x in pictures():
        with suppress(UsageError), tempfile.TemporaryDirectory() as folder:
            media.save(Path(folder, "x.exr"), x)
            yield f"exr-{name}", Path(folder, "x.exr").read_bytes()
        buffer = io.BytesIO()
        np.save(buffer, x)
        yield f"npy-{name}", buffer.getvalue()
        if name == "uint8-3":
            buffer = io.BytesIO()
            Image.fromarray(x).save(buffer, "BMP")
            yield "bmp-uint8-3", buffer.getvalue()
            yield "pnm-uint8-3", b"P6\n# a comment\n17 13\n255\n" + x.tobytes()
    gray = next(pictures())[1]
    yield "pnm-text", b"P2 17 13 255\n" + " ".join(map(str, gray.ravel())).encode()
    pam = b"P7\nWIDTH 17\nHEIGHT 13\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n"
    yield "pnm-pam", pam + gray.tobytes()
    yield "pnm-pfm", b"Pf\n17 13\n-1.0\n" + gray.astype("<f4").tobytes()
    yield "y4m", b"YUV4MPEG2 W17 H13 F25:1 Ip A1:1 Cmono\nFRAME\n" + gray.tobytes()
    with suppress(ImportError):
        yield "dicom", dicom(gray)


def dicom(gray: np.ndarray) -> bytes:
    """An uncompressed DICOM file."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    file = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    file.Rows, file.Columns = gray.shape
    file.SamplesPerPixel, file.PhotometricInterpretation, file.PixelRepresentation = 1, "MONOCHROME2", 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 8, 8, 7
    file.PixelData = gray.tobytes() + bytes(gray.size % 2)
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def main(folder: str) -> int:
    """Write the seeds into `folder`."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, data in seeds().items():
        Path(folder, name).write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
