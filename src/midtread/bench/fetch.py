"""Files from the network, by checksum: into a temporary file, checked, then renamed. Archives give pictures only.

    URL ──► NAME.XXXX.part ──► size and SHA-256 ──► NAME                  (nothing half done ever has the final name)
    zip ──► FOLDER.XXXX.part/ ──► pictures, counted and bounded ──► FOLDER/ with a list of checksums

An interrupted download starts again from the beginning; what it left is swept up by the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import secrets
import shutil
import struct
import sys
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from midtread.errors import BitstreamError, LimitError, MissingError, UsageError

SUMS = "SHA256SUMS"  # the list of checksums beside extracted pictures, in the format of sha256sum
TIMEOUT_S = 30  # without a byte from the server
MAX_FILE_BYTES = 2**31  # of one download
MAX_MEMBER_BYTES = 2**28  # of one picture in an archive
MAX_TOTAL_BYTES = 2**33  # of all pictures of an archive
MAX_MEMBERS = 100_000
STALE_S = 3600  # a temporary file nobody wrote to for so long belongs to nobody
BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class Source:
    """Where one file can be had, and the SHA-256 that proves it is the right one (None: nobody published it)."""

    url: str
    sha256: str | None
    size_bytes: int | None = None

    @property
    def filename(self) -> str:
        """The last part of the address."""
        return self.url.rsplit("/", 1)[-1]


def cache_folder() -> Path:
    """Where downloads live: $XDG_CACHE_HOME/midtread/datasets, by default under ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "midtread" / "datasets"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verify(path: Path, sha256: str, what: str) -> None:
    """Raise BitstreamError, naming the file, unless it has this SHA-256."""
    found = sha256_of(path)
    if found != sha256:
        raise BitstreamError(
            f"{path} is not the {what} it should be and was not used: its SHA-256 is {found}, expected {sha256}; "
            "delete or replace the file"
        )


def download(source: Source, target: Path, what: str) -> str:
    """Fetch `source` into `target` and return its SHA-256; after any error `target` is as it was before.

    Raises:
        MissingError: the server cannot be reached, or broke off.
        BitstreamError: it sent other bytes than expected.
        LimitError: it sends more than the file is long.
    """
    if not source.url.startswith(("http://", "https://")):
        raise UsageError(f"{what}: {source.url} is not an http or https address")
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    part = _temporary(target)
    limit = source.size_bytes or MAX_FILE_BYTES
    digest, count = hashlib.sha256(), 0
    try:
        with part.open("xb") as file:
            for block in _blocks(source, what):
                count += len(block)
                if count > limit:
                    raise LimitError(f"{source.url} sends more than the {limit} bytes of {what}; stopped")
                file.write(block)
                digest.update(block)
        if source.sha256 is not None and digest.hexdigest() != source.sha256:
            raise BitstreamError(
                f"{source.url} sent {count} bytes with SHA-256 {digest.hexdigest()} for {what}, "
                f"expected {source.sha256}; they were thrown away"
            )
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return digest.hexdigest()


def _blocks(source: Source, what: str) -> Iterator[bytes]:
    """The body in pieces. Raises MissingError for whatever goes wrong on the network, and only for that."""
    request = urllib.request.Request(source.url, headers={"User-Agent": "midtread"})
    count = 0
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            length = response.headers.get("Content-Length", "")
            promised = int(length) if length.isdecimal() else source.size_bytes or 0
            with _progress(what, promised) as advance:
                while block := response.read(BLOCK):
                    count += len(block)
                    advance(len(block))
                    yield block
    except (OSError, http.client.HTTPException) as error:
        raise MissingError(f"{what} is not here and {source.url} cannot be reached ({_reason(error)})") from error
    if count < promised:
        raise MissingError(f"{source.url} broke off after {count} of {promised} bytes of {what}")


def _temporary(target: Path) -> Path:
    """A name beside `target` that nobody else uses."""
    return target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")


def _sweep(target: Path) -> None:
    """Remove what killed runs left of `target`; what another process is still writing is recent, and stays."""
    for part in target.parent.glob(f"{target.name}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > STALE_S:
                shutil.rmtree(part) if part.is_dir() else part.unlink()


def _reason(error: Exception) -> str:
    """A network error without the wrapping of urllib."""
    inner = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
    return str(inner) or type(error).__name__


@contextlib.contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr for people; nothing when stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total or None)
        yield lambda count: bar.update(task, advance=count)


def extract_pictures(archive: Path, member: str, count: int, folder: Path) -> None:
    """Unpack the pictures of a zip file into `folder`, all or nothing, with a list of their checksums.

    Args:
        archive: the zip file; it may be hostile.
        member: pattern of the members wanted, as in "valid/*.png"; everything else in the archive is ignored.
        count: how many pictures there must be.
        folder: must not exist yet; only the last part of a member's name is used, so nothing lands outside it.

    Raises:
        BitstreamError: not a zip file, damaged, encrypted, or not `count` pictures.
        LimitError: the pictures are larger than any honest archive's.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    part = _temporary(folder)
    part.mkdir()
    try:
        with _blamed_on(archive):
            opened = zipfile.ZipFile(archive)
        with opened:
            wanted = _wanted(opened, archive, member, count)
            sums = [f"{_extract(opened, archive, info, part / name)}  {name}\n" for name, info in wanted]
        (part / SUMS).write_text("".join(sums), encoding="ascii")
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def _blamed_on(archive: Path) -> Iterator[None]:
    """Turn what zipfile raises over hostile bytes into BitstreamError; only reading happens inside."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, struct.error) as error:
        # OSError: an offset before the start of the file; ValueError: a name that is no text
        raise BitstreamError(f"{archive} is damaged: {_reason(error)}") from error
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or a compression that pictures do not need
        raise BitstreamError(f"{archive} cannot be unpacked here: {_reason(error)}") from error


def _wanted(opened: zipfile.ZipFile, archive: Path, member: str, count: int) -> list[tuple[str, zipfile.ZipInfo]]:
    """The pictures to unpack by plain file name, in order of name."""
    entries = opened.infolist()
    if len(entries) > MAX_MEMBERS:
        raise LimitError(f"{archive} has {len(entries)} members, more than the {MAX_MEMBERS} allowed")
    found: dict[str, zipfile.ZipInfo] = {}
    for info in entries:
        name = PurePosixPath(info.filename).name
        if info.is_dir() or name.startswith(".") or not fnmatch(info.filename, member):  # dot: what a Mac adds
            continue
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_ .()+-]*", name) or name in found:
            raise BitstreamError(f"{archive} has a member {info.filename!r}: not a plain file name, or there twice")
        found[name] = info
    if len(found) != count:
        raise BitstreamError(f"{archive} has {len(found)} pictures that match {member!r}, expected {count}")
    total = sum(info.file_size for info in found.values())
    if total > MAX_TOTAL_BYTES:
        raise LimitError(f"{archive} unpacks to {total} bytes, more than the {MAX_TOTAL_BYTES} allowed")
    return sorted(found.items())


def _extract(opened: zipfile.ZipFile, archive: Path, info: zipfile.ZipInfo, target: Path) -> str:
    """Unpack one member (a link is unpacked as the text it is) and return its SHA-256."""
    if info.file_size > MAX_MEMBER_BYTES:
        size = f"{info.file_size} bytes, more than the {MAX_MEMBER_BYTES} allowed"
        raise LimitError(f"{archive}: {info.filename!r} unpacks to {size}")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BitstreamError(f"{archive}: {info.filename!r} is compressed by method {info.compress_type}, not 0 or 8")
    digest = hashlib.sha256()
    with target.open("xb") as file:
        for block in _member_blocks(opened, archive, info):
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


def _member_blocks(opened: zipfile.ZipFile, archive: Path, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content in pieces; zipfile stops at the size that the directory declares and checks the CRC there."""
    with _blamed_on(archive), opened.open(info) as member:
        while block := member.read(BLOCK):
            yield block


def read_sums(folder: Path) -> dict[str, str]:
    """File name -> SHA-256 from the list beside extracted pictures; empty without one. Raises BitstreamError."""
    path = folder / SUMS
    sums: dict[str, str] = {}
    if not path.is_file():
        return sums
    for number, line in enumerate(path.read_text(encoding="ascii", errors="replace").splitlines(), 1):
        match = re.fullmatch(r"([0-9a-f]{64})  ([^/\\]+)", line)
        if match is None:
            raise BitstreamError(f"{path} line {number} is {line[:80]!r}, not a checksum, two spaces and a file name")
        sums[match[2]] = match[1]
    return sums
