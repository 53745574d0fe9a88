"""midtread: compression you can take apart.

    data = midtread.encode(picture, "avif", quality=60)    # native bytes, or a midtread file
    picture = midtread.decode(data)                        # any midtread file, any native file it knows
    midtread.info(data)                                    # what the file says of itself

Importing this is cheap: the functions fetch what they need when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from midtread.codecs.files import decode, encode, info, read, wrap
    from midtread.errors import BitstreamError, CodecError, LimitError, MissingError, TruncatedError, UsageError
    from midtread.media import Picture
    from midtread.spec import Codec, Limits, open_codec

__version__ = "0.1.0"

_HOME = {
    "encode": "codecs.files",
    "decode": "codecs.files",
    "info": "codecs.files",
    "read": "codecs.files",
    "wrap": "codecs.files",
    "open_codec": "spec",
    "Codec": "spec",
    "Limits": "spec",
    "Picture": "media",
    "CodecError": "errors",
    "UsageError": "errors",
    "MissingError": "errors",
    "BitstreamError": "errors",
    "TruncatedError": "errors",
    "LimitError": "errors",
}

__all__ = [
    "BitstreamError", "Codec", "CodecError", "LimitError", "Limits", "MissingError", "Picture", "TruncatedError",
    "UsageError", "decode", "encode", "info", "open_codec", "read", "wrap",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'midtread' has no attribute {name!r}")
    value = getattr(import_module(f"midtread.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_HOME, "__version__"])
