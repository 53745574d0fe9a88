"""Real files <-> arrays: the only room that knows file formats and their extensions.

    load, read ──► sniff ──► probe (our parsers, limits) ──► decoder, guarded if fragile ──► metadata ──► upright
    save ──► encode (lossless) ──► attach (metadata) ──► write_bytes (whole or not at all)

`decode` is the bare decoder after the probe, for codecs and for timing. Who parses which bytes: docs/security.md.
"""

from midtread.media.arrays import contents, open_array
from midtread.media.atomic import write_bytes, write_pieces
from midtread.media.files import inspect, load, read, read_bytes, save
from midtread.media.formats import FORMATS, Format, suffix_format
from midtread.media.metadata import attach
from midtread.media.native import decode
from midtread.media.npy_map import new_npy
from midtread.media.picture import Picture
from midtread.media.sniff import sniff

__all__ = [
    "FORMATS", "Format", "Picture", "attach", "contents", "decode", "inspect", "load", "new_npy", "open_array", "read",
    "read_bytes", "save", "sniff", "suffix_format", "write_bytes",
    "write_pieces",
]  # fmt: skip
