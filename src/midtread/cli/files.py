"""Verbs on single files: encode, decode, transcode, info, compare."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from midtread import container, media
from midtread.cli.bar import bar
from midtread.codecs import files
from midtread.errors import CodecError, UsageError
from midtread.registry import CODECS, METRICS
from midtread.spec import Codec, Limits, dtype_of, open_codec, to_dtype

_MANY = 12  # of a list, more are not written out
_ARRAYS = ("npy", "hdf5", "netcdf", "midtread")  # formats of files whose arrays need not be pictures
Options = Annotated[list[str] | None, Parameter(name="--set", consume_multiple=True, negative=())]


def encode(
    source: Path,
    target: Path,
    /,
    *,
    codec: str | None = None,
    set: Options = None,
    bpp: float | None = None,
    size: int | None = None,
    psnr: float | None = None,
    max_error: float | None = None,
    max_error_of_range: float | None = None,
    base: Path | None = None,
    drop_metadata: Annotated[bool, Parameter(negative=())] = False,
    max_elements: int | None = None,
) -> str:
    """Compress a picture or an array into a file.

    Args:
        source: a picture or array, told by its content: PNG, JPEG, NPY, HDF5 ...; file.h5::/name is one of several.
        target: x.mt (a midtread file, any codec), or the codec's own format, as in x.avif, x.jxl, x.jpg.
        codec: a name from `midtread list codecs`; may be left out when the target's suffix names one.
        set: options of the codec, as in `--set quality=60 subsampling=4:2:0`.
        bpp: aim at this many bits per pixel.
        size: the finest setting whose file has at most this many bytes.
        psnr: the coarsest setting with at least this PSNR (RGB, dB).
        max_error: bound on every value's error; the coarsest setting within it, for codecs without such an option.
        max_error_of_range: the same relative to max - min of the values, for codecs of fields.
        base: an earlier checkpoint or array: only the difference is stored, and decoding needs it again.
        drop_metadata: leave ICC profile, Exif and XMP behind when the target cannot hold them.
        max_elements: allow pictures with this many samples.
    """
    picture = _load(source, max_elements)
    name, wrap = _codec_for(target, codec if base is None else codec or _codec_against(picture))
    options = parse_options(set or []) | _given(max_error_of_range=max_error_of_range)
    if max_error is not None and hasattr(CODECS.get(name), "max_error"):
        options["max_error"], max_error = max_error, None
    goal = _given(rate_bpp=bpp, size_bytes=size, psnr_db=psnr, max_error=max_error)
    metadata = {} if drop_metadata else {"icc": picture.icc, "exif": picture.exif, "xmp": picture.xmp}

    def finish(data: bytes) -> bytes:
        if wrap:
            return files.to_container(picture.array, name, data, **metadata)
        return media.attach(CODECS.get(name).native, data, **metadata) if any(metadata.values()) else data

    x, note = picture.array, ""
    if base is not None:
        data = finish(_encode_against(x, _load(base, max_elements).array, name, options, goal))
    elif goal:
        data, options, note = _encode_to(x, name, options, goal, finish)
    elif wrap and CODECS.get(name).signal == "tensor":
        with bar(f"encoding {source.name}", x.nbytes) as progress:
            length = media.write_pieces(target, open_codec(name, **options).pieces(x, progress))
        return _made(target, length, x, name, options)
    else:
        data = finish(open_codec(name, **options).encode(x))
    media.write_bytes(target, data)
    return _made(target, len(data), x, name, options) + note


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _made(target: Path, length: int, x: Any, name: str, options: dict[str, Any]) -> str:
    chosen = " ".join(f"{key}={value}" for key, value in _given(**options).items())
    return f"{target}  {length} bytes  {_rate(length, x.shape, name)}  {name} {chosen}".rstrip()


def decode(
    source: Path,
    target: Path,
    /,
    *,
    base: Path | None = None,
    scale: float = 1.0,
    partial: Annotated[bool, Parameter(negative=())] = False,
    drop_metadata: Annotated[bool, Parameter(negative=())] = False,
    max_elements: int | None = None,
) -> str:
    """Decompress a midtread file, or any picture format known here, into a lossless picture format.

    Args:
        source: a midtread file, or JPEG, AVIF, JPEG XL, WebP ...
        target: x.png, x.tif, x.ppm, x.npy, x.safetensors ...; see `midtread list formats`.
        base: the checkpoint or array that the file was encoded against with --base; another one is refused.
        scale: of the sides, for codecs that decode to other sizes: gaussian 0.25 to 8, wavelet 0.5, 0.25 ...
        partial: of a midtread file that was cut off, take what is there: a coarser picture (codecs wavelet,
            gaussian), or an error where that is not enough.
        drop_metadata: leave ICC profile, Exif and XMP behind when the target cannot hold them.
        max_elements: allow pictures with this many samples.
    """
    if base is not None:
        if partial or scale != 1:
            option = "--partial" if partial else "--scale"
            raise UsageError(f"{option} does not go with --base: the codecs that take a base have no other picture")
        picture = _load_against(source, base, max_elements)
    elif scale == 1 and (made := _decode_into_npy(source, target, max_elements)) is not None:
        return made
    else:
        picture = _load(source, max_elements, partial=partial, scale=scale)
    media.save(target, picture, drop_metadata=drop_metadata)
    return f"{target}  {_shape(picture.array)}  {picture.array.dtype}"


def transcode(source: Path, target: Path, /) -> str:
    """Repack a JPEG as JPEG XL without loss, or restore the very same JPEG from it.

    Args:
        source: x.jpg, or an x.jxl that was made this way.
        target: x.jxl, or x.jpg.
    """
    from midtread.codecs.external import jpegxl

    data = media.read_bytes(source)
    pair = (media.sniff(data), media.suffix_format(target))
    if pair == ("jpeg", "jpegxl"):
        out = jpegxl.transcode_jpeg(data)
    elif pair == ("jpegxl", "jpeg"):
        out = jpegxl.restore_jpeg(data)
    else:
        raise UsageError(f"transcode goes from .jpg to .jxl or back, got {pair[0] or 'unknown bytes'} to {target.name}")
    media.write_bytes(target, out)
    return f"{target}  {len(out)} bytes  {100 * len(out) / len(data):.1f} % of {source.name}"


def info(
    source: Path,
    /,
    *,
    json: Annotated[bool, Parameter(negative=())] = False,
    max_elements: int | None = None,
) -> str:
    """Say what a file is, without decoding it.

    Args:
        source: a midtread file or any picture format known here.
        json: print JSON.
        max_elements: allow pictures with this many samples.
    """
    limits = _limits(max_elements)
    with _of(source):
        found = media.contents(source) or files.info(media.read_bytes(source, limits), limits=limits)
    return _json(found) if json else "\n".join(f"{key:<12} {_plain(value)}" for key, value in found.items())


def compare(a: Path, b: Path, /, *, json: Annotated[bool, Parameter(negative=())] = False) -> str:
    """Measure how far picture or field B is from A, by every metric that runs here.

    Args:
        a: the original. Arrays (.npy ...) are fields, unless they have 8 or 16 bits and the shape of a picture.
        b: the reconstruction: same shape; samples of a picture are rescaled to the type of A's.
        json: print JSON.
    """
    original = _load(a, None)
    x, x_hat, signal = original.array, _load(b, None).array, _signal(original)
    if x.shape != x_hat.shape:
        raise UsageError(f"{a} is {_shape(x)} and {b} is {_shape(x_hat)}; only {signal}s of one shape can be compared")
    if signal == "picture":
        x_hat = to_dtype(x_hat, x.dtype)
    elif x.dtype.kind == x_hat.dtype.kind == "f":
        x_hat = x_hat.astype(x.dtype)
    rows, values = [], {}
    for name in METRICS.names():
        metric = METRICS.get(name)
        if metric.signal not in (signal, "any"):
            continue
        try:
            values[name] = metric(x, x_hat)
        except UsageError as error:  # not installed, or not defined for such pictures: said, never invented
            print(f"midtread: {name}: {error}", file=sys.stderr)
            continue
        rows.append(f"{metric.label:<20} {values[name]:>12.5g} {metric.unit:<4} {metric.better} is better")
    return _json(values) if json else "\n".join(rows)


def _signal(original: media.Picture) -> str:
    """Which metrics mean something for it: those of "picture" or of "tensor"."""
    x = original.array
    like_a_picture = x.dtype.name in ("uint8", "uint16") and (x.ndim == 2 or (x.ndim == 3 and x.shape[2] <= 4))
    return "picture" if like_a_picture or original.format not in _ARRAYS else "tensor"


def parse_options(pairs: list[str]) -> dict[str, Any]:
    """`["quality=60", "lossless=true"]` as a dict: true/false, whole numbers, numbers, else text."""
    options: dict[str, Any] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key:
            raise UsageError(f"--set takes key=value, got {pair!r}")
        if key in options:
            raise UsageError(f"--set gives {key!r} twice")
        options[key] = _value(text)
    return options


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _codec_for(target: Path, codec: str | None) -> tuple[str, bool]:
    """(codec name, whether to wrap it into a midtread file), from --codec and the target's suffix."""
    if target.suffix.lower() == ".mt":
        if codec is None:
            raise UsageError(f"{target.name} can hold any codec; choose one with --codec (see `midtread list codecs`)")
        CODECS.get(codec)
        return codec, True
    native = media.suffix_format(target)
    if codec is None:
        codec = next((name for name in CODECS.names() if native and CODECS.get(name).native == native), None)
        if codec is None:
            raise UsageError(f"no codec writes {target.suffix or target.name!r} files; use .mt with --codec")
    wants = CODECS.get(codec).native
    if wants != native:
        own = media.FORMATS[wants].suffixes[0] if wants else ".mt"
        raise UsageError(f"codec {codec!r} does not write {target.suffix or target.name!r} files; use {own} or .mt")
    return codec, False


def _load(path: Path, max_elements: int | None, *, partial: bool = False, scale: float = 1.0) -> media.Picture:
    limits = _limits(max_elements)
    with _of(path):
        if scale == 1 and (picture := media.open_array(path, limits)) is not None:
            return picture
        data = media.read_bytes(path, limits)
        if partial and container.is_midtread(data):
            data = container.arrived(data, limits)
        if scale != 1:
            return files.read_part(data, scale=scale, limits=limits)
        return files.read(data, limits=limits)


def _encode_to(
    x: Any, name: str, options: dict[str, Any], goal: dict[str, Any], finish: Callable[[bytes], bytes]
) -> tuple[bytes, dict[str, Any], str]:
    """(file, options that reach the goal, what to say of it)."""
    from midtread.codecs.target import encode_to

    reached = encode_to(x, name, options, finish=finish, progress=_trial, **goal)
    note = f"  {reached.psnr_db:.2f} dB  {reached.trials} trials" + (f"  {reached.note}" if reached.note else "")
    return reached.data, reached.options, note


def _encode_against(x: Any, base: Any, name: str, options: dict[str, Any], goal: dict[str, Any]) -> bytes:
    if goal:
        raise UsageError("--base stores a difference without loss; it goes with no target of rate or quality")
    data: bytes = _against_base(open_codec(name, **options)).encode_against(x, base)
    return data


def _codec_against(picture: media.Picture) -> str:
    return "safetensors" if picture.format == "safetensors" else "floats"


def _against_base(codec: Codec) -> Any:
    """The codec, once it is known to take a base."""
    if not hasattr(codec, "encode_against"):
        raise UsageError(f"codec {codec.name!r} takes no --base; codecs safetensors (checkpoints) and floats do")
    return codec


def _load_against(path: Path, base: Path, max_elements: int | None) -> media.Picture:
    limits = _limits(max_elements)
    with _of(path):
        data = media.read_bytes(path, limits)
        if not container.is_midtread(data):
            raise UsageError("--base goes with midtread files that were encoded with it; this is another format")
        codec = _against_base(open_codec(container.read_header(data, limits).codec))
        x = codec.decode_against(data, _load(base, max_elements).array, limits)
    return media.Picture(x, None, None, None, "midtread", None)


def _decode_into_npy(source: Path, target: Path, max_elements: int | None) -> str | None:
    """Decode box by box into the file, where the codec can; None: it cannot, or the target is of another format."""
    limits = _limits(max_elements)
    if target.suffix.lower() != ".npy" or not source.is_file():
        return None
    with _of(source):
        data = media.read_bytes(source, limits)
        if not container.is_midtread(data):
            return None
        header = container.read_header(data, limits)
        codec: Any = open_codec(header.codec) if header.codec in CODECS.names() else None
        dtype = dtype_of(header.dtype)
        if not hasattr(codec, "decode_into") or dtype.kind == "V":
            return None
        with (
            media.new_npy(target, header.shape, dtype) as out,
            bar(f"decoding {source.name}", out.nbytes) as progress,
        ):
            codec.decode_into(data, out, limits, progress)
            return f"{target}  {_shape(out)}  {out.dtype}"


@contextmanager
def _of(path: Path) -> Iterator[None]:
    """Put the file's name before any message about its content."""
    try:
        yield
    except CodecError as error:
        text = str(error)
        raise type(error)(text if str(path) in text else f"{path}: {text}") from error


def _limits(max_elements: int | None) -> Limits:
    return Limits() if max_elements is None else Limits(max_elements=max_elements)


def _trial(trial: int, value: float, size_bytes: int) -> None:
    print(f"midtread: trial {trial}: {value:g} gives {size_bytes} bytes", file=sys.stderr)


def _rate(length: int, shape: tuple[int, ...], codec: str) -> str:
    found = files.rate(length, shape, CODECS.get(codec).signal == "tensor")
    bits = next(iter(found.values()))
    return f"{'-' if bits is None else format(bits, '.4f')} {'bpp' if 'rate_bpp' in found else 'bits/value'}"


def _json(value: Any) -> str:
    from midtread.bench.records import plain

    return json.dumps(plain(value), indent=1)


def _shape(x: Any) -> str:
    return " x ".join(map(str, x.shape))


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list):
        if len(value) > _MANY:
            return f"{_plain(value[:3])} ... {_plain(value[-1:])}  ({len(value)} in all)"
        return (
            ", ".join(" ".join(map(str, one.values())) if isinstance(one, dict) else str(one) for one in value) or "-"
        )
    return "-" if value is None else str(value)
