"""Y4M as a picture: only a clip of one gray frame is one; everything else is read by `midtread.media.video`."""

from __future__ import annotations

import numpy as np

from midtread.errors import BitstreamError
from midtread.media import video
from midtread.media.header import Header
from midtread.spec import Limits


def probe(data: bytes) -> Header:
    """Size of the one gray frame. Raises BitstreamError for clips and for colour."""
    info, frames = video.read_y4m_header(data)
    if frames != 1 or info.chroma != "4:0:0" or info.bits not in (8, 16):
        raise BitstreamError(
            f"this Y4M file holds {frames} frame(s) of {info.chroma} {info.bits}-bit YCbCr, which is not one RGB or "
            "gray picture; read its planes with midtread.media.video.read_y4m, or extract a frame as PNG with ffmpeg"
        )
    return Header((info.height, info.width))


def decode(data: bytes, limits: Limits) -> np.ndarray:
    """The gray frame."""
    probe(data).check("Y4M", limits)
    _, frames = video.read_y4m(data, limits)
    return frames[0][0]
