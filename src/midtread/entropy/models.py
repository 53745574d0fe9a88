"""Trainable models: they learn statistics and estimate sizes; only what `freeze` returns can write bytes.

    observe(symbols), as often as there are symbols ──► freeze() ──► FrozenModel ──► encode, decode, write

The estimate and the bytes agree: freezing rounds probabilities to integers, and that is all it changes.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from midtread.entropy import schedule, table_fit
from midtread.entropy.adaptive import MAX_ALPHABET, Adaptive
from midtread.entropy.families import NAMES, Family, mix
from midtread.entropy.frozen import CAUSAL, ORDERS, Contextual, FrozenModel, contexts_of
from midtread.entropy.tables import Tables
from midtread.errors import UnknownNameError, UsageError
from midtread.registry import MODELS, nearest


class TrainableModel(ABC):
    """Knows likelihoods, cannot write bytes."""

    name: ClassVar[str]
    summary: ClassVar[str]

    @abstractmethod
    def observe(self, symbols: np.ndarray) -> None:
        """Learn from integer symbols, [n], [height, width] or [..., height, width]."""

    @abstractmethod
    def freeze(self) -> FrozenModel:
        """Integer tables of what was observed; the only door to bytes. Raises UsageError when nothing was."""

    def bits(self, symbols: np.ndarray) -> float:
        """Estimated size of `symbols`, in bits, without the model's own."""
        return self.freeze().bits(symbols)


@dataclass
class Static(TrainableModel):
    """A table per context, fitted. `order` "one" has a table per plane (`planes=True`) or one for all."""

    name: ClassVar[str] = "static"
    summary: ClassVar[str] = "one table fitted to all symbols"

    order: str = "one"
    planes: bool = False
    _seen: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise UsageError(f"model {self.name!r}: order={self.order!r}; it takes {', '.join(ORDERS)}")

    def observe(self, symbols: np.ndarray) -> None:
        """Keep the symbols with their contexts; fitting waits for `freeze`."""
        planes = schedule.as_planes(symbols)
        many = planes.shape[0] if self.planes and self.order == "one" else contexts_of(self.order)
        rule = Contextual(_PROBE, np.zeros(many, dtype=np.uint16), self.order)
        self._seen += [(part.reshape(-1), contexts.reshape(-1)) for part, contexts in rule.walk(planes)]

    def freeze(self) -> Contextual:
        """Tables for the contexts that occurred; the others share them."""
        symbols, contexts, count = self._all()
        tables, rows = self._tables(symbols, contexts, count)
        return Contextual(tables, rows.astype(np.uint16), self.order)

    def _all(self) -> tuple[np.ndarray, np.ndarray, int]:
        if not self._seen:
            raise UsageError(f"model {self.name!r} has observed nothing; call observe(symbols) before freeze()")
        symbols, contexts = (np.concatenate(column) for column in zip(*self._seen, strict=True))
        most = int(contexts.max()) + 1 if contexts.size else 1
        return symbols, contexts, max(most, contexts_of(self.order))

    def _tables(self, symbols: np.ndarray, contexts: np.ndarray, count: int) -> tuple[Tables, np.ndarray]:
        used, which = np.unique(contexts, return_inverse=True)
        tables = table_fit.fit(symbols, which if used.size > 1 else None, max(1, used.size))
        rows = np.searchsorted(used, np.arange(count)).clip(0, max(0, used.size - 1))  # unused: the next one up
        return tables, rows


@dataclass
class Context(Static):
    """Fitted tables, contexts from neighbours: the second half of a checkerboard sees the first, and so on."""

    name: ClassVar[str] = "context"
    summary: ClassVar[str] = "fitted tables, contexts from decoded neighbours in a schedule of groups"

    order: str = "checkerboard"


@dataclass
class Causal(Static):
    """Fitted tables, contexts from the six nearest decoded neighbours; coder rans only."""

    name: ClassVar[str] = "causal"
    summary: ClassVar[str] = "fitted tables, contexts from six neighbours above and left; with coder rans"

    order: str = CAUSAL


@dataclass
class Parametric(Static):
    """The best table of a family per context: a byte each in the file."""

    name: ClassVar[str] = "parametric"
    summary: ClassVar[str] = "tables of a family (gaussian, laplace ...), the best scale per context"

    order: str = "checkerboard"
    family: str = "laplace"
    scales: int = 64
    shape: int = 192

    def __post_init__(self) -> None:
        Static.__post_init__(self)
        if self.family not in NAMES:
            raise UnknownNameError(f"unknown family {self.family!r}{nearest(self.family, NAMES)}")

    def _tables(self, symbols: np.ndarray, contexts: np.ndarray, count: int) -> tuple[Tables, np.ndarray]:
        tables = Family(self.family, self.scales, shape=self.shape).tables
        return tables, np.argmin(costs(tables, symbols, contexts, count), axis=1)


@dataclass
class Mixture(Parametric):
    """The best mixture of two scales of a family per context, in eighths."""

    name: ClassVar[str] = "mixture"
    summary: ClassVar[str] = "mixtures of two scales of a family per context"

    def _tables(self, symbols: np.ndarray, contexts: np.ndarray, count: int) -> tuple[Tables, np.ndarray]:
        family = Family(self.family, self.scales, shape=self.shape).tables
        centre = np.argmin(costs(family, symbols, contexts, count), axis=1)
        used = np.unique(contexts)
        mixes = {}
        for context in used.tolist():
            mine = symbols[contexts == context]
            mixes[context] = _best_mixture(family, int(centre[context]), mine)
        listed = sorted(set(mixes.values())) or [(0, 0, 8)]
        rows = np.array([listed.index(mixes.get(context, listed[0])) for context in range(count)])
        return mix(family, listed), rows


def costs(tables: Tables, symbols: np.ndarray, contexts: np.ndarray, count: int) -> np.ndarray:
    """float64 [contexts, tables]: bits of each context's symbols under each table."""
    values, where = np.unique(symbols, return_inverse=True)
    pairs, times = np.unique(contexts.astype(np.int64) * values.size + where, return_counts=True)
    each = np.stack([_symbol_bits(tables, values, t) for t in range(len(tables))])
    out = np.zeros((count, len(tables)))
    for context in range(count):
        mine = pairs // values.size == context
        out[context] = each[:, pairs[mine] % values.size] @ times[mine]
    return out


def _symbol_bits(tables: Tables, values: np.ndarray, t: int) -> np.ndarray:
    packed = tables.packed
    at = tables.places(values, np.full(values.size, t))
    width = (packed.cumulative[at + 1] - packed.cumulative[at]).astype(np.float64)
    return tables.precision - np.log2(width) + np.where(packed.entry[at] == 0, 16.0, 0.0)


def _best_mixture(family: Tables, centre: int, symbols: np.ndarray) -> tuple[int, int, int]:
    """(narrow, wide, eighths of the narrow one) that codes `symbols` in the fewest bits, near the best single scale."""
    last = len(family) - 1
    pairs = [(centre, centre, 8)]
    for step in (4, 8, 12, 16):
        a, b = max(0, centre - step), min(last, centre + step)
        pairs += [(a, b, weight) for weight in (2, 4, 6, 7)] + [(centre, b, weight) for weight in (4, 6, 7)]
    candidates = mix(family, pairs)
    bits = costs(candidates, symbols, np.zeros(symbols.size, dtype=np.int64), 1)[0]
    return pairs[int(np.argmin(bits))]


@dataclass
class AdaptiveBlocks(TrainableModel):
    """One table that is learnt again while decoding; only the alphabet is sent."""

    name: ClassVar[str] = "adaptive"
    summary: ClassVar[str] = "one table that follows the symbols, block by block; nothing sent"

    _low: int = field(default=0, init=False, repr=False)
    _high: int = field(default=0, init=False, repr=False)

    def observe(self, symbols: np.ndarray) -> None:
        """Widen the alphabet; one symbol in 10,000 may stay outside at either end."""
        if np.size(symbols):
            low, high = np.percentile(symbols, [0.01, 99.99], method="nearest")
            self._low, self._high = min(self._low, int(low)), max(self._high, int(high))

    def freeze(self) -> Adaptive:
        """An alphabet; the tables come with the symbols."""
        low = max(self._low, -MAX_ALPHABET // 2) if self._high - self._low >= MAX_ALPHABET else self._low
        return Adaptive(low, min(self._high - low + 1, MAX_ALPHABET))


_PROBE = Tables.of([(0, [(1 << 16) - 1, 1])])


def open_model(name: str, /, **options: Any) -> TrainableModel:
    """A trainable model by name, its options checked. Raises UnknownNameError (model or option), UsageError (value)."""
    cls = MODELS.get(name)
    known = [one.name for one in dataclasses.fields(cls) if one.init]
    for option in options:
        if option not in known:
            takes = nearest(option, known) if known else "; it takes none"
            raise UnknownNameError(f"model {name!r} has no option {option!r}{takes}")
    model: TrainableModel = cls(**options)
    return model
