"""A helper process for decoders that can crash or hang on hostile bytes.

One child is started on first use and kept. It is asked over its standard input and answers over its standard output:

    ask      u32 length │ name │ u64 most elements │ u64 length │ bytes of the file
             name: of a format; or "codec " and the name of a codec, the file is then a midtread file
    answer   u8 0 │ u8 length │ dtype │ u8 rank │ u64 shape[rank] │ samples
             u8 1 │ u8 length │ name of an error class │ u32 length │ message              (little-endian)

A crash, a hang and running out of memory end the child, not the caller. The child limits its own address space and CPU
time to what the claimed size explains. This is no sandbox: a decoder that is taken over acts with the user's rights.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
from math import ceil, prod
from pathlib import Path
from typing import IO

import numpy as np

from midtread import container
from midtread.container.reader import Reader
from midtread.errors import BitstreamError, CodecError, LimitError, MissingError, TruncatedError, UsageError
from midtread.media.formats import FORMATS
from midtread.spec import FLOATS, INTEGERS, Limits, dtype_of, open_codec

_DTYPES = (*INTEGERS, *FLOATS, "bool")
_CODEC = "codec "
_SPARE_BYTES = 2**30  # address space beyond what a child uses at rest
_BYTES_PER_ELEMENT = 40  # libjxl and OpenJPEG hold several 4-byte copies of each sample
_SECONDS, _ELEMENTS_PER_SECOND = 10.0, 1e6  # of CPU time; a slow machine does 10 times better than that
_PATIENCE = 10  # wall-clock seconds for each CPU second: a busy machine is not a hanging decoder


class _CrashError(BitstreamError):
    """The child died of these bytes."""


class _Child:
    """The process and its pipes; `decode` may be called from several threads, one is served at a time."""

    def __init__(self, code: str = "from midtread.media.guard import serve; serve()") -> None:
        self._code = code
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._has_failed = False  # this child has refused bytes before, and may carry damage from it

    def decode(self, name: str, data: bytes, limits: Limits, seconds: float) -> np.ndarray:
        with self._lock:
            fresh = self._start()
            try:
                return self._once(name, data, limits, seconds)
            except _CrashError:
                if fresh or not self._has_failed:
                    raise
                self._start()  # what an earlier file left behind may be to blame, not these bytes
                return self._once(name, data, limits, seconds)

    def _once(self, name: str, data: bytes, limits: Limits, seconds: float) -> np.ndarray:
        process, label = self._process, name if name.startswith(_CODEC) else FORMATS[name].label
        assert process is not None
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            process.kill()

        timer = threading.Timer(_PATIENCE * seconds, expire)
        timer.daemon = True
        timer.start()
        try:
            _ask(process.stdin, name, data, limits)  # type: ignore[arg-type]
            answer = _answer(process.stdout, limits)  # type: ignore[arg-type]
        except (EOFError, OSError) as error:
            code = process.wait()
            self.stop()
            if expired.is_set() or -code == getattr(signal, "SIGXCPU", None):
                raise LimitError(
                    f"decoding this {label} file took more than {seconds:.0f} s; "
                    "if you trust it, pass trusted=True to decode it without a limit"
                ) from error
            how = f"signal {-code}" if code < 0 else f"exit status {code}"
            raise _CrashError(f"the decoder of {label} crashed on these bytes ({how})") from error
        except BaseException:  # the answer was not read to its end: the next one would be nonsense
            self.stop()
            raise
        finally:
            timer.cancel()
        if isinstance(answer, CodecError):
            self._has_failed = True
            raise answer
        return answer

    def _start(self) -> bool:
        """Make sure that a child runs; whether it had to be started."""
        fresh = self._process is None or self._process.poll() is not None
        if fresh:
            self.stop()
            self._has_failed = False
            root = str(Path(__file__).resolve().parents[2])
            path = os.pathsep.join([root, *(entry for entry in sys.path if entry)])
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", self._code],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONPATH": path},
                )
            except OSError as error:
                raise UsageError(f"cannot start the helper process that decodes fragile formats: {error}") from error
        return fresh

    def stop(self) -> None:
        """End the child; the next call starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was still to be written has no reader any more
                    continue

    def forget(self) -> None:
        """In a forked process: leave the parent's child alone."""
        self._lock, self._process = threading.Lock(), None


_CHILD = _Child()
atexit.register(_CHILD.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_CHILD.forget)


def decode(name: str, data: bytes, limits: Limits = Limits(), elements: int | None = None) -> np.ndarray:
    """What `native.decode` does, in the helper process.

    Args:
        name: a format in `FORMATS`.
        data: a whole file.
        limits: as for `native.decode`.
        elements: samples that the file claims; the time allowed grows with them.

    Raises:
        BitstreamError: also when the decoder crashed.
        LimitError: also when it took too long or too much memory.
    """
    return _CHILD.decode(name, data, limits, _seconds(limits.max_elements if elements is None else elements))


def decode_codec(name: str, data: bytes, limits: Limits = Limits()) -> np.ndarray:
    """What the codec `name` decodes from a whole midtread file, in the helper process. Raises as `decode`."""
    elements = prod(container.read_header(data, limits).shape)
    return _CHILD.decode(_CODEC + name, data, limits, _seconds(elements))


def _seconds(elements: int) -> float:
    return _SECONDS + elements / _ELEMENTS_PER_SECOND


def _u(value: int, width: int) -> bytes:
    return value.to_bytes(width, "little")


def _ask(pipe: IO[bytes], name: str, data: bytes, limits: Limits) -> None:
    head = _u(len(name), 4) + name.encode() + _u(min(limits.max_elements, 2**63), 8) + _u(len(data), 8)
    pipe.write(head)
    pipe.write(data)
    pipe.flush()


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) < count:
        raise EOFError(f"the pipe ended after {len(data)} of {count} bytes")
    return data


def _answer(pipe: IO[bytes], limits: Limits) -> np.ndarray | CodecError:
    """Read an answer, samples or a refusal. The child may have been taken over: its sizes are checked like a file's."""
    if _exactly(pipe, 1) != b"\0":
        kind = _exactly(pipe, _exactly(pipe, 1)[0]).decode("ascii", "replace")
        message = _exactly(pipe, min(int.from_bytes(_exactly(pipe, 4), "little"), 65536)).decode("utf-8", "replace")
        known = {cls.__name__: cls for cls in (BitstreamError, TruncatedError, LimitError, MissingError)}
        return known.get(kind, BitstreamError)(message)
    dtype = _exactly(pipe, _exactly(pipe, 1)[0]).decode("ascii", "replace")
    rank = _exactly(pipe, 1)[0]
    reader = Reader(_exactly(pipe, 8 * rank))
    shape = tuple(reader.uint(8, "shape", at_most=2**40) for _ in range(rank))
    if dtype not in _DTYPES:
        raise EOFError(f"the helper process answered with samples of {dtype!r}")
    limits.check_shape(shape, "the answer of the helper process")
    x = np.empty(shape, dtype_of(dtype))
    view = x.reshape(-1).view(np.uint8).data
    done = 0
    while done < len(view):
        count = pipe.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError("the pipe ended inside the samples")
        done += count
    return x


def serve() -> None:
    """What the child does: answer until its standard input ends."""
    ask, answer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    if hasattr(signal, "SIGXCPU"):
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    for number in (0, 1, 2):  # libraries print warnings; they must not get between the answers
        os.dup2(nothing, number)
    while head := ask.read(4):
        name = ask.read(int.from_bytes(head, "little")).decode()
        limits = Limits(max_elements=int.from_bytes(ask.read(8), "little"))
        data = ask.read(int.from_bytes(ask.read(8), "little"))
        try:
            x = _decode_within_limits(name, data, limits)
            shape = b"".join(_u(size, 8) for size in x.shape)
            answer.write(b"\0" + _u(len(x.dtype.name), 1) + x.dtype.name.encode() + _u(x.ndim, 1) + shape)
            answer.write(x.reshape(-1).view(np.uint8).data)
        except CodecError as error:
            kind, message = type(error).__name__, str(error).encode()[:65536]
            answer.write(b"\1" + _u(len(kind), 1) + kind.encode() + _u(len(message), 4) + message)
        answer.flush()


def _decode_within_limits(name: str, data: bytes, limits: Limits) -> np.ndarray:
    from midtread.media import native

    if name.startswith(_CODEC):
        elements = prod(container.read_header(data, limits).shape)
    else:
        header = native.probe(name, data)
        header.check(FORMATS[name].label, limits)
        elements = prod(header.shape)
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _lower(resource.RLIMIT_AS, used + _SPARE_BYTES + _BYTES_PER_ELEMENT * elements + 4 * len(data))
        times = os.times()
        _lower(resource.RLIMIT_CPU, ceil(times.user + times.system + _seconds(elements)))
    except (ImportError, OSError, ValueError):  # not Linux: the crash barrier and the caller's patience remain
        pass
    if name.startswith(_CODEC):
        return open_codec(name.removeprefix(_CODEC)).decode_within(data, limits)
    return native.decode(name, data, limits)


def _lower(kind: int, value: int) -> None:
    """Set a soft limit of this process; the next file may set another."""
    import resource

    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
