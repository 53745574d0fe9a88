"""What kind of file do these bytes begin like?"""

from __future__ import annotations

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\x0a", "jpegxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jpegxl"),
    (b"qoif", "qoi"),
    (b"\x76\x2f\x31\x01", "exr"),
    (b"\x93NUMPY", "npy"),
    (b"YUV4MPEG2 ", "y4m"),
    (b"CDF\x01", "netcdf"),
    (b"CDF\x02", "netcdf"),
    (b"CDF\x05", "netcdf"),
    (b"II\xbc\x01", "jpegxr"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
)


def sniff(data: bytes) -> str | None:
    """Name of the format in `FORMATS` that `data` begins like, or None. Looks at the first bytes only."""
    head = bytes(data[:132])
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        brands = head[8 : int.from_bytes(head[:4], "big")]
        return "avif" if any(brands[i : i + 4] in (b"avif", b"avis") for i in range(0, len(brands), 4)) else None
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg_family(bytes(data[:65536]))
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith(b"\0\0\0\x0cjP  \r\n\x87\n"):
        return "htj2k" if head[20:24] == b"jph " else "jpeg2000"
    if head.startswith(b"\xff\x4f\xff\x51"):
        return "htj2k" if len(head) > 6 and head[6] & 0x40 else "jpeg2000"
    if head.startswith(b"BM"):
        return "bmp"
    if head[:1] == b"P" and head[1:2] in b"1234567Ff" and head[2:3] in b" \t\r\n#":
        return "pnm"
    if head[4:9] == b"\0\0\0\0{":  # a header of less than 4 GiB; the weakest sign, so the last
        return "safetensors"
    return None


def _jpeg_family(data: bytes) -> str:
    """JPEG and JPEG-LS differ in the marker of their frame, F7, alone."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xF7:
            return "jpegls"
        if marker == 0xDA or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            break
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return "jpeg"
