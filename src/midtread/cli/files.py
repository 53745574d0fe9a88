"""Verbs on single files: encode, decode, transcode, info, compare."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from midtread import container, media
from midtread.codecs import files
from midtread.errors import CodecError, UsageError
from midtread.registry import CODECS, METRICS
from midtread.spec import Limits, open_codec, to_dtype

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
    drop_metadata: Annotated[bool, Parameter(negative=())] = False,
    max_elements: int | None = None,
) -> str:
    """Compress a picture or an array into a file.

    Args:
        source: a picture or array: PNG, TIFF, EXR, JPEG, NPY, safetensors ... its content decides, not its name.
        target: x.mt (a midtread file, any codec), or the codec's own format, as in x.avif, x.jxl, x.jpg.
        codec: a name from `midtread list codecs`; may be left out when the target's suffix names one.
        set: options of the codec, as in `--set quality=60 subsampling=4:2:0`.
        bpp: aim at this many bits per pixel.
        size: the finest setting whose file has at most this many bytes.
        psnr: the coarsest setting with at least this PSNR (RGB, dB).
        max_error: bound on the error of every value; codecs without such an option get their coarsest setting
            whose largest error is at most this.
        max_error_of_range: the same relative to max - min of the values, for codecs of fields.
        drop_metadata: leave ICC profile, Exif and XMP behind when the target cannot hold them.
        max_elements: allow pictures with this many samples.
    """
    picture = _load(source, max_elements)
    name, wrap = _codec_for(target, codec)
    options = parse_options(set or [])
    if max_error_of_range is not None:
        options["max_error_of_range"] = max_error_of_range
    if max_error is not None and hasattr(CODECS.get(name), "max_error"):
        options["max_error"], max_error = max_error, None
    goal: dict[str, Any] = {"rate_bpp": bpp, "size_bytes": size, "psnr_db": psnr, "max_error": max_error}
    goal = {key: value for key, value in goal.items() if value is not None}
    note = ""
    metadata = {} if drop_metadata else {"icc": picture.icc, "exif": picture.exif, "xmp": picture.xmp}

    def finish(data: bytes) -> bytes:
        if wrap:
            return files.to_container(picture.array, name, data, **metadata)
        return media.attach(CODECS.get(name).native, data, **metadata) if any(metadata.values()) else data

    if goal:
        from midtread.codecs.target import encode_to

        reached = encode_to(picture.array, name, options, finish=finish, progress=_trial, **goal)
        data, options = reached.data, reached.options
        note = f"  {reached.psnr_db:.2f} dB  {reached.trials} trials" + (f"  {reached.note}" if reached.note else "")
    else:
        data = finish(open_codec(name, **options).encode(picture.array))
    media.write_bytes(target, data)
    chosen = " ".join(f"{key}={value}" for key, value in options.items())
    return f"{target}  {len(data)} bytes  {_rate(data, picture.array.shape, name)}  {name} {chosen}".rstrip() + note


def decode(
    source: Path,
    target: Path,
    /,
    *,
    partial: Annotated[bool, Parameter(negative=())] = False,
    drop_metadata: Annotated[bool, Parameter(negative=())] = False,
    max_elements: int | None = None,
) -> str:
    """Decompress a midtread file, or any picture format known here, into a lossless picture format.

    Args:
        source: a midtread file, or JPEG, AVIF, JPEG XL, WebP ...
        target: x.png, x.tif, x.ppm, x.npy, x.safetensors ...; see `midtread list formats`.
        partial: of a midtread file that was cut off, take what is there: a coarser picture (codec wavelet), or an error
            where that is not enough.
        drop_metadata: leave ICC profile, Exif and XMP behind when the target cannot hold them.
        max_elements: allow pictures with this many samples.
    """
    picture = _load(source, max_elements, partial=partial)
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
        found = files.info(media.read_bytes(source, limits), limits=limits)
    return _json(found) if json else "\n".join(f"{key:<12} {_plain(value)}" for key, value in found.items())


def compare(a: Path, b: Path, /, *, json: Annotated[bool, Parameter(negative=())] = False) -> str:
    """Measure how far picture B is from picture A, by every metric that runs here.

    Args:
        a: the original.
        b: the reconstruction: same shape; its samples are rescaled to the type of A's.
        json: print JSON.
    """
    x, x_hat = _load(a, None).array, _load(b, None).array
    if x.shape != x_hat.shape:
        raise UsageError(f"{a} is {_shape(x)} and {b} is {_shape(x_hat)}; only pictures of one shape can be compared")
    x_hat = to_dtype(x_hat, x.dtype)
    rows, values = [], {}
    for name in METRICS.names():
        metric = METRICS.get(name)
        try:
            values[name] = metric(x, x_hat)
        except UsageError as error:  # not installed, or not defined for such pictures: said, never invented
            print(f"midtread: {name}: {error}", file=sys.stderr)
            continue
        rows.append(f"{metric.label:<20} {values[name]:>12.5g} {metric.unit:<4} {metric.better} is better")
    return _json(values) if json else "\n".join(rows)


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


def _load(path: Path, max_elements: int | None, *, partial: bool = False) -> media.Picture:
    limits = _limits(max_elements)
    with _of(path):
        data = media.read_bytes(path, limits)
        if partial and container.is_midtread(data):
            data = container.arrived(data, limits)
        return files.read(data, limits=limits)


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


def _rate(data: bytes, shape: tuple[int, ...], codec: str) -> str:
    found = files.rate(len(data), shape, CODECS.get(codec).signal == "tensor")
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
        return (
            ", ".join(" ".join(map(str, one.values())) if isinstance(one, dict) else str(one) for one in value) or "-"
        )
    return "-" if value is None else str(value)
