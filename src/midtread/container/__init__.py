"""The midtread file: one self-describing wrapper for every codec's bytes, hardened against hostile ones.

`reader.Reader` is the only door for outside bytes; `file` holds the layout (docs/formats/container.md).
"""

from midtread.container.file import (
    MAGIC,
    VERSION,
    Chunk,
    File,
    Header,
    Parts,
    Span,
    Tag,
    arrived,
    content,
    index,
    is_midtread,
    pieces,
    read,
    read_header,
    write,
    write_each,
)
from midtread.container.reader import Reader, varint

__all__ = [
    "MAGIC",
    "VERSION",
    "Chunk",
    "File",
    "Header",
    "Parts",
    "Reader",
    "Span",
    "Tag",
    "arrived",
    "content",
    "index",
    "is_midtread",
    "pieces",
    "read",
    "read_header",
    "varint",
    "write",
    "write_each",
]
