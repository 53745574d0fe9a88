"""General compressors of bytes: zstd and brotli on the bytes of the symbols.

    u8 bytes of a symbol (1, 2 or 4: the fewest that hold all) │ stream of the compressor

The compressor sees all lowest bytes, then all second bytes, and so on (two's complement).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.container import Reader
from midtread.entropy import checks
from midtread.entropy.coder import Coder, Traits
from midtread.entropy.tables import Tables
from midtread.errors import BitstreamError, LimitError
from midtread.spec import check_range


class _ByteCoder(Coder):
    """What both have in common: symbols to planes of bytes."""

    traits: ClassVar[Traits] = Traits(adaptive=True)

    def _compress(self, data: bytes) -> bytes:
        raise NotImplementedError

    def _decompress(self, data: bytes, size: int) -> bytes:
        """At most `size` bytes. Raises BitstreamError, LimitError."""
        raise NotImplementedError

    def encode(self, symbols: np.ndarray, tables: Tables | None = None, indices: np.ndarray | None = None) -> bytes:
        symbols = checks.int32(symbols)
        if not symbols.size:
            return b""
        low, high = int(symbols.min()), int(symbols.max())
        width = next(w for w in (1, 2, 4) if -(1 << 8 * w - 1) <= low and high < 1 << 8 * w - 1)
        planes = symbols.astype(f"<i{width}").view(np.uint8).reshape(-1, width).T
        return bytes([width]) + self._compress(planes.tobytes())

    def decode(
        self, data: bytes | memoryview, count: int, tables: Tables | None = None, indices: np.ndarray | None = None
    ) -> np.ndarray:
        reader = Reader(data)
        if not count:
            reader.end("a stream of no symbols")
            return np.zeros(0, dtype=np.int32)
        width = reader.uint(1, "bytes of a symbol", at_most=255)
        if width not in (1, 2, 4):
            raise BitstreamError(f"symbols have 1, 2 or 4 bytes; the stream says {width}")
        raw = self._decompress(bytes(reader.take(reader.left, "stream")), count * width)
        if len(raw) != count * width:
            raise BitstreamError(f"the stream holds {len(raw)} bytes; {count} symbols have {count * width}")
        planes = np.frombuffer(raw, dtype=np.uint8).reshape(width, count)
        return np.ascontiguousarray(planes.T).view(f"<i{width}").reshape(-1).astype(np.int32)


@dataclass(frozen=True, slots=True)
class Zstd(_ByteCoder):
    """zstd; `level` 1 (fast) to 22 (small)."""

    name: ClassVar[str] = "zstd"
    summary: ClassVar[str] = "zstd on the bytes of the symbols"

    level: int = 9

    def __post_init__(self) -> None:
        check_range(self.name, "level", self.level, 1, 22, integer=True)

    def _compress(self, data: bytes) -> bytes:
        import zstandard

        return zstandard.ZstdCompressor(level=self.level).compress(data)

    def _decompress(self, data: bytes, size: int) -> bytes:
        import zstandard

        try:
            claimed = zstandard.frame_content_size(data)
            if claimed != size:
                raise LimitError(f"the zstd frame claims {claimed} bytes, {size} were coded")
            return zstandard.ZstdDecompressor().decompress(data, max_output_size=size, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise BitstreamError(f"the zstd stream is damaged: {error}") from error


@dataclass(frozen=True, slots=True)
class Brotli(_ByteCoder):
    """brotli; `level` 0 (fast) to 11 (small)."""

    name: ClassVar[str] = "brotli"
    summary: ClassVar[str] = "brotli on the bytes of the symbols"

    level: int = 6

    def __post_init__(self) -> None:
        check_range(self.name, "level", self.level, 0, 11, integer=True)

    def _compress(self, data: bytes) -> bytes:
        import brotli

        compressed: bytes = brotli.compress(data, quality=self.level)
        return compressed

    def _decompress(self, data: bytes, size: int) -> bytes:
        import brotli

        decoder, parts, got = brotli.Decompressor(), [], 0
        try:
            part = decoder.process(data, output_buffer_limit=size + 1)
            while part and got <= size:
                parts.append(part)
                got += len(part)
                part = b"" if decoder.is_finished() else decoder.process(b"", output_buffer_limit=size + 1 - got)
        except brotli.error as error:
            raise BitstreamError(f"the brotli stream is damaged: {error}") from error
        if got > size:
            raise LimitError(f"the brotli stream holds more than the {size} bytes that were coded")
        if not decoder.is_finished():
            raise BitstreamError("the brotli stream is cut short")
        return b"".join(parts)
