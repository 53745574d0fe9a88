"""The file of Gaussians: a header, alpha, then layers; and the picture of it, or less of it."""

from __future__ import annotations

import numpy as np

from midtread.codecs.image.alpha import WITH_ALPHA, read_alpha, write_alpha
from midtread.codecs.image.gaussian_books import Books, dequantize
from midtread.codecs.image.gaussian_header import Header
from midtread.codecs.image.gaussian_stream import Memory, decode_layer, encode_layer
from midtread.codecs.image.gaussian_symbols import Symbols
from midtread.container import Chunk, File, Reader, arrived, read, write
from midtread.container.file import Tag, shape_and_dtype
from midtread.errors import BitstreamError, UsageError
from midtread.spec import Limits, stage
from midtread.transforms.gaussians import Gaussians, Region, render

NAME = "gaussian"
VERSION = 1
MOST_LAYERS = 8
DENSEST = 4  # Gaussians a pixel, at most


def write_file(
    x: np.ndarray, background: np.ndarray, header: Header, layers: list[Symbols], books: Books | None = None
) -> bytes:
    """A midtread file.

    Args:
        x: the picture, for its shape and alpha.
        background: uint8 [C], what the sum begins with.
        header: of all layers.
        layers: the first is decoded first.
        books: where the header announces some.
    """
    memory = Memory(header)
    parameters = bytes([VERSION, len(layers)]) + header.write() + background.tobytes() + (books.data if books else b"")
    chunks = [Chunk(Tag.PARAMETERS, parameters)]
    chunks += [Chunk(Tag.PAYLOAD, data) for data in write_alpha(x)]
    chunks += [Chunk(Tag.PAYLOAD, encode_layer(layer, header, memory)) for layer in layers]
    shape, dtype = shape_and_dtype(x)
    return write(File(NAME, dtype, shape, tuple(chunks)))


def read_file(data: bytes, limits: Limits = Limits(), *, layers: int | None = None) -> Gaussians:
    """The Gaussians of a file, or those of its first layers.

    Raises:
        BitstreamError, TruncatedError, LimitError: not what an encoder writes.
    """
    return _gaussians(read(data, limits), layers)[0]


def decode_part(
    data: bytes,
    *,
    scale: float = 1.0,
    region: Region | None = None,
    layers: int | None = None,
    errors: str = "strict",
    threads: int = 1,
    device: str = "cpu",
    limits: Limits = Limits(),
) -> np.ndarray:
    """The picture of a file, smaller, larger, a part of it or a coarser one, without drawing the rest.

    Args:
        data: the file.
        scale: 0.25 to 8, of its sides.
        region: (top, left, height, width) in pixels of the drawn size.
        layers: so many at most; None: all.
        errors: "strict" refuses a file that was cut off; "prefix" takes the layers that are whole.
        threads: to draw with.
        device: "cuda": drawn by a GPU.
        limits: of the picture.

    Returns:
        uint8 [H, W] or [H, W, 2 .. 4]; with another scale or a region, alpha is that of the nearest pixel.

    Raises:
        BitstreamError, LimitError: not what `Gaussian.encode` writes, or too large.
        UsageError: the region is not inside the picture, or the scale is out of range.
    """
    if errors not in ("strict", "prefix"):
        raise UsageError(f"errors={errors!r}; it takes 'strict' or 'prefix'")
    file = read(arrived(data, limits) if errors == "prefix" else data, limits)
    with stage("entropy"):
        gaussians, alpha = _gaussians(file, layers)
    with stage("render"):
        pixels = render(gaussians, scale=scale, region=region, threads=threads, device=device, limits=limits)
    if alpha is None:
        return pixels
    return np.dstack([pixels, _nearest(read_alpha(alpha, file.shape[:2], limits), scale, region, pixels.shape)])


def _gaussians(file: File, wanted: int | None) -> tuple[Gaussians, bytes | None]:
    """The Gaussians and the bytes of alpha."""
    channels = _channels(file)
    reader = Reader(file.need(Tag.PARAMETERS))
    version = reader.uint(1, "version of the gaussian codec", at_most=255)
    if version != VERSION:
        raise BitstreamError(f"a gaussian file of version {version}; this midtread reads version {VERSION}, update it")
    count = reader.uint(1, "number of layers", at_most=255)
    header = Header.read(reader)
    if (header.height, header.width) != file.shape[:2] or header.channels != (1 if channels < 3 else 3):
        raise BitstreamError(
            f"Gaussians of {header.height} x {header.width} pixels and {header.channels} channels stand in a file of "
            f"{list(file.shape)}"
        )
    if count > MOST_LAYERS:
        raise BitstreamError(f"a gaussian file has at most {MOST_LAYERS} layers, this one claims {count}")
    background = np.frombuffer(reader.take(header.channels, "background"), np.uint8)
    books = Books.read(reader, header) if header.quantizer == "vq" else None
    reader.end("the parameters chunk")
    chunks = [chunk.data for chunk in file.chunks if chunk.tag == Tag.PAYLOAD]
    least = int(channels in WITH_ALPHA)
    expected = count + least
    if not least <= len(chunks) <= expected:  # fewer: `container.arrived` made a whole file of one that was cut off
        raise BitstreamError(f"a gaussian file of {expected} chunks has {len(chunks)} of them")
    alpha = chunks.pop(0) if least else None
    memory, left, found = Memory(header), DENSEST * header.height * header.width, []
    for data in chunks[: count if wanted is None else min(count, wanted)]:
        symbols = decode_layer(data, header, memory, at_most=left)
        left -= len(symbols)
        found.append(dequantize(symbols, header, books))
    none = np.zeros((0, 2), np.float32), np.zeros((0, 3), np.float32), np.zeros((0, header.channels), np.float32)
    xy, factor, colour = (np.concatenate(column, dtype=np.float32) for column in zip(none, *found, strict=True))
    begun = background.astype(np.float32) / np.float32(255)
    return Gaussians(header.height, header.width, xy, factor, colour, background=begun), alpha


def _channels(file: File) -> int:
    channels = file.shape[2] if len(file.shape) == 3 else 1
    shaped = len(file.shape) == 2 or (len(file.shape) == 3 and channels in (2, 3, 4))
    if file.codec != NAME or file.dtype != "uint8" or not shaped or 0 in file.shape:
        raise BitstreamError(
            f"no gaussian file holds a picture of shape {list(file.shape)} and dtype {file.dtype} by {file.codec!r}"
        )
    return channels


def _nearest(alpha: np.ndarray, scale: float, region: Region | None, shape: tuple[int, ...]) -> np.ndarray:
    """The samples of alpha under the centres of the pixels drawn."""
    top, left, height, width = region or (0, 0, *shape[:2])
    sides = zip((top, left), (height, width), alpha.shape, strict=True)
    rows, columns = (
        np.minimum(((first + np.arange(size) + 0.5) / scale).astype(np.int64), last - 1) for first, size, last in sides
    )
    return alpha[rows[:, None], columns]
