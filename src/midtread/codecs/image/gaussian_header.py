"""What all Gaussians of a file share; docs/formats/gaussian.md has the bytes."""

from __future__ import annotations

from dataclasses import dataclass

from midtread.container import Reader, varint
from midtread.errors import BitstreamError, UsageError
from midtread.kernels.splat_counts import LEVELS, MARGIN

STEPS = 24  # places of the step an octave
QUANTIZERS = ("norm", "uniform", "vq")
MOST_ENTRIES, MOST_STAGES = 4096, 4
SIDE = 2**20  # pixels


@dataclass(frozen=True, slots=True)
class Header:
    """What all layers of a file share."""

    height: int  # pixels
    width: int
    channels: int  # 1 or 3
    step_place: int  # the step of colours is 2**(step_place / STEPS) / 255, at a sigma of 1 / 1.671; 0 to 255
    cell_log2: int = 2  # cells have sides of 2**cell_log2 pixels; 0 to 7
    quantizer: str = "norm"
    level: int = 0  # of every Gaussian, where the quantizer is not "norm"
    shape_entries: tuple[int, ...] = ()  # "vq": rows of the codebook of each stage; none: size, ring ... are told
    colour_entries: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _check_header(self)

    @property
    def step(self) -> float:
        """Of colours; white is 1."""
        return float(2.0 ** (self.step_place / STEPS) / 255)

    @property
    def grid(self) -> tuple[int, int]:
        """Cells across and down."""
        last = (1 << self.cell_log2) - 1
        across, down = ((side + 2 * MARGIN + last) >> self.cell_log2 for side in (self.width, self.height))
        return across, down

    def write(self) -> bytes:
        """At most 9 bytes, and those of `vq`."""
        kind = QUANTIZERS.index(self.quantizer) | (self.channels == 3) << 2 | self.cell_log2 << 3
        out = bytes([kind, self.step_place]) + varint(self.height) + varint(self.width)
        if self.quantizer != "norm":
            out += bytes([self.level])
        if self.quantizer == "vq":
            for entries in (self.shape_entries, self.colour_entries):
                out += bytes([len(entries)]) + b"".join(varint(rows) for rows in entries)
        return out

    @classmethod
    def read(cls, reader: Reader) -> Header:
        """Raises BitstreamError, TruncatedError, LimitError."""
        kind, place = reader.uint(1, "kind of Gaussians", at_most=255), reader.uint(1, "step", at_most=255)
        height, width = (reader.varint(side, at_most=SIDE) for side in ("height", "width"))
        if kind & 3 >= len(QUANTIZERS) or kind >> 6:
            raise BitstreamError(f"kind of Gaussians is {kind:#x}; a newer version wrote this, or the file is damaged")
        quantizer = QUANTIZERS[kind & 3]
        entries: list[tuple[int, ...]] = []
        level = reader.uint(1, "level", at_most=LEVELS - 1) if quantizer != "norm" else 0
        if quantizer == "vq":
            entries = [_read_entries(reader, name) for name in ("shape", "colour")]
        try:
            return cls(height, width, 3 if kind & 4 else 1, place, kind >> 3 & 7, quantizer, level, *entries)
        except UsageError as error:
            raise BitstreamError(f"header of Gaussians: {error}") from error


def _read_entries(reader: Reader, what: str) -> tuple[int, ...]:
    stages = reader.uint(1, f"stages of {what}", at_most=MOST_STAGES)
    return tuple(reader.varint(f"entries of {what}", at_most=MOST_ENTRIES) for _ in range(stages))


def _check_header(header: Header) -> None:
    """Raise UsageError for the first thing that no file can hold."""
    sides = f"height and width are {header.height} and {header.width}"
    if not (1 <= header.height <= SIDE and 1 <= header.width <= SIDE):
        raise UsageError(f"{sides}; 1 to {SIDE} pixels go here")
    for name, value, allowed in (
        ("channels", header.channels, (1, 3)), ("step_place", header.step_place, range(256)),
        ("cell_log2", header.cell_log2, range(8)), ("quantizer", header.quantizer, QUANTIZERS),
        ("level", header.level, range(LEVELS)),
    ):  # fmt: skip
        if value not in allowed:
            raise UsageError(f"{name} is {value!r}; allowed: {allowed}")
    if max(header.grid) > 65536:
        raise UsageError(f"{sides}, with cells of {1 << header.cell_log2} pixels; raise cell_log2 to have fewer cells")
    for name, entries in (("shape", header.shape_entries), ("colour", header.colour_entries)):
        if len(entries) > MOST_STAGES or any(not 1 <= rows <= MOST_ENTRIES for rows in entries):
            raise UsageError(f"entries of {name} are {entries}; up to {MOST_STAGES} stages of 1 to {MOST_ENTRIES} rows")
    if (header.quantizer == "vq") != bool(header.shape_entries or header.colour_entries):
        raise UsageError(f"quantizer {header.quantizer!r} with codebooks of {header.shape_entries} and "
                         f"{header.colour_entries} rows; vq needs some, others have none")  # fmt: skip
