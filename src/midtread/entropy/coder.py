"""What a coder is: two functions that undo each other, and a few facts about them."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

import numpy as np

from midtread.entropy.tables import Tables
from midtread.errors import UnknownNameError, UsageError
from midtread.registry import CODERS, nearest


@dataclasses.dataclass(frozen=True, slots=True)
class Traits:
    """What a caller may rely on."""

    needs_tables: bool = False  # without frequency tables it cannot work; the others ignore them
    adaptive: bool = False  # learns while it codes
    fixed_rate: bool = False  # the size follows from the range of the symbols, not from how often each occurs
    random_access: bool = False  # a part can be decoded without what is before it
    planes: bool = False  # made for 2-D arrays: uses the shape of the symbols, not only their order
    contexts: bool = False  # `indices` tell it which symbols have statistics in common
    incremental: bool = False  # has `encoder()` and `decoder()`: group by group, each choosing its tables by the last


class Coder(ABC):
    """Lossless int32 symbols <-> bytes; subclasses are frozen dataclasses whose fields are the options.

    Same input, same bytes, on every machine and with every number of threads. `decode` returns the symbols in the order
    in which `encode` met them (row by row). Neither keeps state; both may be called from several threads. The bytes
    hold neither the number of symbols nor the tables nor the indices: whoever decodes knows them.
    """

    name: ClassVar[str]
    summary: ClassVar[str]  # one line for lists
    traits: ClassVar[Traits]

    @abstractmethod
    def encode(self, symbols: np.ndarray, tables: Tables | None = None, indices: np.ndarray | None = None) -> bytes:
        """Code symbols.

        Args:
            symbols: integers that fit int32, any shape.
            tables: frequencies; only coders with the trait `needs_tables` look at them.
            indices: the table (or context) of each symbol, integers of the shape of `symbols`; None with one table.

        Raises:
            UsageError: a symbol cannot be coded, or the arguments do not fit together.
        """

    @abstractmethod
    def decode(
        self, data: bytes | memoryview, count: int, tables: Tables | None = None, indices: np.ndarray | None = None
    ) -> np.ndarray:
        """The symbols, int32 [count].

        Args:
            data: what `encode` of a coder with the same options wrote.
            count: how many symbols; the caller has limited it (4 bytes each are allocated).
            tables: those of the encoder.
            indices: those of the encoder, int [count].

        Raises:
            BitstreamError: the bytes are damaged, or were made from other tables, indices or counts.
            LimitError: the bytes ask for more memory than `count` symbols can need.
        """

    def encoder(self) -> GroupEncoder:
        """Collects groups of symbols for one stream. Raises UsageError without the trait `incremental`."""
        raise UsageError(f"coder {self.name!r} codes all symbols at once; coders rans and range go group by group")

    def decoder(self, data: bytes | memoryview, count: int) -> GroupDecoder:
        """Reads such a stream group by group. Raises BitstreamError, UsageError."""
        raise UsageError(f"coder {self.name!r} codes all symbols at once; coders rans and range go group by group")


class GroupEncoder(Protocol):
    """Writes groups; the first one put is the first that a `GroupDecoder` gives back."""

    def put(self, symbols: np.ndarray, tables: Tables, indices: np.ndarray | None = None) -> None:
        """Add a group of any size, with tables of its own."""

    def finish(self) -> bytes:
        """The stream of everything put."""


class GroupDecoder(Protocol):
    """Reads groups; the tables and indices of one may depend on the symbols of those before."""

    def take(self, count: int, tables: Tables, indices: np.ndarray | None = None) -> np.ndarray:
        """The next `count` symbols, int32. Raises BitstreamError."""

    def finish(self) -> None:
        """Raise BitstreamError unless the stream ends as it should."""


def open_coder(name: str, /, **options: Any) -> Coder:
    """A coder by name, its options checked. Raises UnknownNameError (coder or option), UsageError (value)."""
    cls = CODERS.get(name)
    known = [field.name for field in dataclasses.fields(cls)]
    for option in options:
        if option not in known:
            takes = nearest(option, known) if known else "; it takes none"
            raise UnknownNameError(f"coder {name!r} has no option {option!r}{takes}")
    coder: Coder = cls(**options)
    return coder
