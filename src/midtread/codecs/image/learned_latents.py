"""Latents of one tile <-> bytes, group by group, with everything that chooses a table in integers.

    tile    u16 digest of all table indices │ u8 flags │ symbols, see `learned_streams`
    groups  z │ slice A, even squares │ A, odd │ B, even │ B, odd

Flag bit g: the symbols of group g whose table is the narrowest are all 0, and not in the stream. Bit 4: the chunk is
marked, see `learned_streams`. Encoder and decoder take the same walk through the groups; the one chooses the symbols of
a group, the other reads them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from midtread.codecs.image import learned_integers as integers
from midtread.codecs.image import learned_streams
from midtread.codecs.image.learned_model import Model, Run
from midtread.container import Reader
from midtread.container.reader import crc32
from midtread.entropy.coder import Coder
from midtread.entropy.loading import kernel
from midtread.errors import BitstreamError, UsageError

CELL = 4  # latents along a side for one position of z
FARTHEST = 2**20  # a symbol's distance from 0
LONE = 2  # symbols up to it are dropped under the narrowest table
_MARKED = 1 << 4  # flag
_MAPS = (0, 1, 1, 2)  # slices that a group is told of


@dataclass(frozen=True)
class Quality:
    """The numbers of one quality of one model."""

    model: Model
    place: int  # 0 to (ANCHORS - 1) * FINE

    @cached_property
    def log_gain(self) -> np.ndarray:
        """int32 [latents]: log2 of steps per unit, 256ths."""
        return self.model.at("log_gain", self.place)

    @cached_property
    def log_gain_z(self) -> np.ndarray:
        """The same of z, int32 [hyper]."""
        return self.model.at("log_gain_z", self.place)

    @cached_property
    def tables_z(self) -> np.ndarray:
        """The table of each channel of z, uint8 [hyper]."""
        scales = (self.model.at("log_scale_z", self.place) + 16) >> 5
        return integers.table_indices(scales, np.zeros_like(scales), len(self.model.tables))

    @cached_property
    def offset(self) -> np.ndarray:
        """What the hyper-synthesis adds, whole numbers in float32 [features]."""
        return self.model.at("quality_offset", self.place).astype(np.float32)

    @cached_property
    def exact_gain(self) -> np.ndarray:
        """int64 [latents]: steps per unit, units of 2**-16."""
        return integers.gain(self.log_gain)

    @cached_property
    def exact_return(self) -> np.ndarray:
        """int64 [latents]: units per step, units of 2**-16."""
        return integers.gain(-self.log_gain)

    @cached_property
    def gain(self) -> np.ndarray:
        """float32 [latents]: steps per unit of what the analysis gives."""
        return self.exact_gain.astype(np.float32) / 65536 * self.model.tensors["inverse_deviation"]

    @cached_property
    def gain_z(self) -> np.ndarray:
        """float32 [hyper]."""
        return integers.gain(self.log_gain_z).astype(np.float32) / 65536

    @cached_property
    def regain(self) -> np.ndarray:
        """float32 [latents]: what the synthesis wants, of a decoded sixteenth of a step."""
        log_gain = self.log_gain.astype(np.float32) / 256
        return np.exp2(self.model.blend("log_regain", self.place) - log_gain) / integers.STEPS

    @cached_property
    def price(self) -> np.ndarray:
        """float32 [latents]: bits that a squared error of one step is worth (lambda times that of the pixels)."""
        worth = self.model.blend("log_distortion", self.place) - self.log_gain.astype(np.float32) / 128
        return np.exp2(worth)


quality_at = lru_cache(16)(Quality)  # pictures of a series share one


class Walk(ABC):
    """A way through the groups of a tile, and what all ways have in common."""

    def __init__(self, quality: Quality, run: Run) -> None:
        self.quality, self.model, self._run, self._digest = quality, quality.model, run, 0
        self._twin = kernel("latents", 0)

    @abstractmethod
    def symbols(self, group: int, where: tuple[np.ndarray, slice], mean: np.ndarray, tables: np.ndarray) -> np.ndarray:
        """Symbols of a group, int32 [n, c].

        Args:
            group: 0 to 3.
            where: its places in the padded grid, and its channels.
            mean: sixteenths of a step, int32 [n, c].
            tables: of each symbol, uint8 [n, c].
        """

    def go(self, z: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
        """Decoded latents in sixteenths of a step, int16 [rows, columns, latents], clipped.

        Args:
            z: symbols, int32 [h, w, hyper].
            sides: rows and columns of latents.
        """
        quality, model, twin = self.quality, self.model, self._twin
        height, width = (-(-side // CELL) * CELL for side in sides)
        known = integers.as_activations(z * integers.STEPS, integers.gain(-quality.log_gain_z))
        features = self._run("hyper_synthesis", {"z": known, "quality_offset": quality.offset})
        cuts = slice(0, model.slice_a), slice(model.slice_a, model.latents)
        maps = [np.zeros((height, width, cut.stop - cut.start), np.int8) for cut in cuts]
        decoded = np.empty((height * width, model.latents), np.int16)  # the padding is cut off
        squares = integers.checkerboard(*sides, width)
        for group, count in enumerate(_MAPS):
            places, cut = squares[group % 2], cuts[group // 2]
            if not places.size:  # a picture of one latent has no odd squares
                continue
            told = dict(zip("ab", maps[:count], strict=False))
            heads = self._run(f"prior{group}", {"features": features, "places": places, **told})
            mean, tables = twin.predict(heads, quality.exact_gain[cut], quality.log_gain[cut], len(model.tables))
            self._digest = crc32(tables.data.cast("B"), self._digest)
            symbols = self.symbols(group, (places, cut), mean, tables)
            seen = maps[group // 2].reshape(height * width, -1)
            twin.keep(symbols, mean, places, cut.start, quality.exact_return[cut], decoded, seen)
        return decoded.reshape(height, width, -1)[: sides[0], : sides[1]]

    def _count(self, symbols: int) -> None:
        """Note how many symbols are written or read: after many of them a compiled twin pays."""
        self._twin = kernel("latents", min(symbols, learned_streams.PATIENT))


class Encoder(Walk):
    """Chooses symbols for latents and writes them.

    Args:
        quality, run: as for every walk.
        y: latents in steps, float32 [rows, columns, latents].
        weigh: a symbol nearer to 0 is taken where it saves more bits than this times what its error is worth; 0: never.
    """

    def __init__(self, quality: Quality, run: Run, y: np.ndarray, weigh: float) -> None:
        super().__init__(quality, run)
        missing = [(0, -side % CELL) for side in y.shape[:2]]
        y = np.ascontiguousarray(y, np.float32)
        self._y = np.pad(y, (*missing, (0, 0))) if any(after for _, after in missing) else y
        self._sides, self._price = (y.shape[0], y.shape[1]), weigh * quality.price if weigh else None
        self._groups: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._coded: list[tuple[np.ndarray, np.ndarray]] = []

    def symbols(self, group: int, where: tuple[np.ndarray, slice], mean: np.ndarray, tables: np.ndarray) -> np.ndarray:
        """Rounded, or weighed.

        A lone symbol where nobody expects one costs two bytes, and puts all the zeros around it into the stream: under
        the narrowest table those up to LONE are dropped.
        """
        places, cut = where
        y, price = self._y.reshape(-1, self._y.shape[2]), None if self._price is None else self._price[cut]
        twin, bits = self._twin, self.model.bits
        chosen = twin.choose(y, places, cut.start, mean, tables, bits, price, LONE, FARTHEST)
        self._groups[group] = chosen, tables
        return chosen

    def chosen(self, z: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Symbols and tables of each group, without writing them."""
        self.go(z, self._sides)
        return list(self._groups.values())

    def cost(self, z: np.ndarray) -> tuple[np.ndarray, float]:
        """Decoded latents, and bits of the symbols without those of z, without writing them."""
        decoded = self.go(z, self._sides)
        return decoded, sum(self.model.tables.bits(symbols, tables) for symbols, tables in self._groups.values())

    def encode(self, z: np.ndarray, coder: Coder) -> tuple[bytes, np.ndarray]:
        """Bytes of the tile, and decoded latents."""
        self._count(self._y.size)
        decoded = self.go(z, self._sides)
        flags = 0
        rows = np.broadcast_to(self.quality.tables_z, z.shape)
        parts = [(z.reshape(-1), np.ascontiguousarray(rows).reshape(-1))]
        for group, (symbols, tables) in self._groups.items():
            flat, rows = symbols.reshape(-1), tables.reshape(-1)
            kept = self._twin.pack(flat, rows)
            if np.count_nonzero(kept) == np.count_nonzero(flat):
                flags |= 1 << group
                flat, rows = kept, self._twin.pack(rows, rows)
            parts.append((flat, rows))
        self._coded = parts
        data, marked = learned_streams.write(parts, self.model.tables, coder)
        flags |= _MARKED if marked else 0
        return (self._digest & 0xFFFF).to_bytes(2, "little") + bytes([flags]) + data, decoded

    def bits(self) -> float:
        """What the symbols of `encode` take by the tables alone."""
        return sum(self.model.tables.bits(flat, rows) for flat, rows in self._coded)


class Decoder(Walk):
    """Reads what `Encoder.encode` wrote. Raises BitstreamError."""

    def __init__(
        self, quality: Quality, run: Run, data: bytes | memoryview, sides: tuple[int, int], coder: Coder
    ) -> None:
        super().__init__(quality, run)
        reader, self._sides = Reader(data), sides
        self._stored = reader.uint(2, "digest", at_most=0xFFFF)
        self._flags = reader.uint(1, "flags", at_most=2 * _MARKED - 1)
        cells = tuple(-(-side // CELL) for side in sides)
        self._z_shape = (*cells, quality.tables_z.size)
        most = sides[0] * sides[1] * self.model.latents + int(np.prod(self._z_shape))
        data, marked = reader.take(reader.left, "symbols"), bool(self._flags & _MARKED)
        self._source = learned_streams.read(data, self.model.tables, coder, most, marked)

    def _take(self, tables: np.ndarray) -> np.ndarray:
        symbols = self._source.take(tables)
        if symbols.size and max(symbols.max(), -int(symbols.min())) > FARTHEST:
            raise BitstreamError(f"a symbol of this tile is more than {FARTHEST} steps from its mean: it is damaged")
        return symbols

    def symbols(self, group: int, where: tuple[np.ndarray, slice], mean: np.ndarray, tables: np.ndarray) -> np.ndarray:
        """From the stream."""
        if not self._flags >> group & 1:
            return self._take(tables.reshape(-1)).reshape(tables.shape)
        return self._twin.unpack(self._take(self._twin.pack(tables, tables)), tables)

    def decode(self) -> np.ndarray:
        """Decoded latents in sixteenths of a step, int16 [rows, columns, latents]."""
        self._count(self._sides[0] * self._sides[1] * self.model.latents)
        rows = np.broadcast_to(self.quality.tables_z, self._z_shape)
        z = self._take(np.ascontiguousarray(rows).reshape(-1)).reshape(self._z_shape)
        try:
            decoded = self.go(z, self._sides)
        except UsageError as error:
            raise BitstreamError(f"this tile cannot be decoded: {error}") from error
        if self._digest & 0xFFFF != self._stored:
            raise BitstreamError(
                f"the decoder's tables have the digest {self._digest & 0xFFFF:04x}, the encoder's had "
                f"{self._stored:04x}: the decoder is out of step (damaged bytes, or another model)"
            )
        self._source.finish()
        return decoded
