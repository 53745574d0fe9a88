"""Pictures and fields to measure with: named datasets, checked by checksum, and any folder of yours.

    open_dataset("kodak")         the items of a named dataset, fetched when missing
    open_dataset("holiday/raw")   the pictures in a folder, or one picture

A named dataset is looked for in `$MIDTREAD_DATA/NAME`, or without that variable in `shared/data/NAME` beside a
checkout of this repository; what is not there is downloaded into the cache (`fetch.cache_folder`), unless the dataset
comes with a Python package. docs/datasets.md says where each comes from and under which licence.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from midtread.bench import dataset_tables as tables
from midtread.bench import fetch
from midtread.errors import BitstreamError, CodecError, LimitError, MissingError, UnknownNameError, UsageError
from midtread.media import npy, suffix_format
from midtread.registry import DATASETS, nearest

_log = logging.getLogger("midtread")

_THIN = 17  # values along an axis: with fewer it is no volume, so that time steps of a few levels stay together
_NPY_HEAD = 2**14  # bytes; more than the header of any .npy file that is read
_BY_HAND = "or set MIDTREAD_DATA to a folder that holds {0}/ with the pictures"


@dataclass(frozen=True, slots=True)
class Item:
    """One picture or field of a dataset, on this machine."""

    dataset: str
    name: str  # file name without its suffix (with it where two would be called the same): "kodim01"
    path: Path
    sha256: str | None = None  # what the file was checked against; None: nothing is known about it
    part: int | None = None  # index on the first axis, in a file of several fields; None: all of the file


class Origin(Protocol):
    """Where the files of a dataset come from."""

    def find(self, name: str, roots: tuple[Path, ...], cache: Path) -> list[tuple[Path, str | None]]:
        """The files of dataset `name` and their verified SHA-256, fetched into `cache` when in none of `roots`."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Pictures or fields under a name, always the same ones: whoever measures on `kodak` measures on the same bytes."""

    name: str
    summary: str
    licence: str
    homepage: str
    origin: Origin = field(repr=False)
    evaluation_only: bool = True  # measured on by everyone, so nothing may be trained or tuned on it

    def items(self, root: Path | None = None) -> list[Item]:
        """Every picture or field, in order of file name, each file checked against its checksum.

        Args:
            root: a folder that holds this dataset's folder, searched instead of the usual places.

        Raises:
            MissingError: not here and not to be had; the message says where to put the files.
            BitstreamError: a file has not the checksum it should have; the message names it.
        """
        roots = (root,) if root is not None else local_roots()
        files = self.origin.find(self.name, roots, fetch.cache_folder() / self.name)
        names = _names(path.name for path, _ in files)
        return [
            item
            for name, (path, sha256) in zip(names, files, strict=True)
            for item in _parts(Item(self.name, name, path, sha256))
        ]


@dataclass(frozen=True, slots=True)
class Files:
    """Single files, each with a known checksum, under one address."""

    base_url: str
    sha256: Mapping[str, str]

    def find(self, name: str, roots: tuple[Path, ...], cache: Path) -> list[tuple[Path, str | None]]:
        """See Origin."""
        return [(self._find_one(name, file, roots, cache), sha256) for file, sha256 in sorted(self.sha256.items())]

    def _find_one(self, name: str, file: str, roots: tuple[Path, ...], cache: Path) -> Path:
        for path in (*(root / name / file for root in roots), cache / file):
            if path.is_file():
                fetch.verify(path, self.sha256[file], f"{file} of dataset {name!r}")
                return path
        try:
            fetch.download(fetch.Source(self.base_url + file, self.sha256[file]), cache / file, f"{name}/{file}")
        except MissingError as error:
            what_to_do = f"put the {len(self.sha256)} files into {cache}, {_BY_HAND.format(name)}"
            raise MissingError(f"{error}; {what_to_do}") from error
        return cache / file


@dataclass(frozen=True, slots=True)
class Packaged:
    """Files that a Python package carries in its wheel; the package is located, not imported."""

    package: str
    folder: str
    install: str
    sha256: Mapping[str, str]

    def find(self, name: str, roots: tuple[Path, ...], cache: Path) -> list[tuple[Path, str | None]]:
        """See Origin; `roots` and `cache` do not matter."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise MissingError(f"dataset {name!r} comes with {self.package}; install it with: {self.install}")
        folder = Path(spec.submodule_search_locations[0]) / self.folder
        for file, sha256 in self.sha256.items():
            if not (folder / file).is_file():
                raise MissingError(f"this {self.package} has no {folder / file}; install one that has: {self.install}")
            fetch.verify(folder / file, sha256, f"{file} of dataset {name!r}")
        return [(folder / file, sha256) for file, sha256 in sorted(self.sha256.items())]


@dataclass(frozen=True, slots=True)
class Archive:
    """The pictures in a zip file.

    The archive is checked against its published checksum where there is one; either way the checksums of its pictures
    are written down beside them when it is unpacked, and checked from then on.
    """

    sources: tuple[fetch.Source, ...]
    member: str  # pattern of the members that are the dataset
    count: int

    def find(self, name: str, roots: tuple[Path, ...], cache: Path) -> list[tuple[Path, str | None]]:
        """See Origin."""
        folder = next((root / name for root in roots if (root / name).is_dir()), cache)
        if not folder.is_dir():
            self._unpack(name, cache)
        sums = fetch.read_sums(folder)
        files = sorted(path for path in folder.iterdir() if _is_picture(path))
        if len(files) != self.count or (sums and set(sums) != {path.name for path in files}):
            raise BitstreamError(
                f"{folder} holds {len(files)} pictures, dataset {name!r} has {self.count}; "
                f"delete the folder to have it fetched again, or put the files {self.member!r} straight into it"
            )
        for path in files:
            if sums:
                fetch.verify(path, sums[path.name], f"{path.name} of dataset {name!r}")
        return [(path, sums.get(path.name)) for path in files]

    def _unpack(self, name: str, folder: Path) -> None:
        """Unpack the archive that was put into the cache by hand, else a downloaded one, which is removed again."""
        what = f"the archive of dataset {name!r}"
        for source in self.sources:
            path = folder.parent / source.filename
            if path.is_file():
                if source.sha256 is not None:
                    fetch.verify(path, source.sha256, f"archive of dataset {name!r}")
                fetch.extract_pictures(path, self.member, self.count, folder)
                return
        problems: list[CodecError] = []
        for source in self.sources:
            path = folder.parent / source.filename
            try:
                found = fetch.download(source, path, what)
            except (MissingError, BitstreamError, LimitError) as error:
                problems.append(error)
                continue
            if source.sha256 is None:
                _log.warning("%s has no published checksum: trusted as it came, with SHA-256 %s", what, found)
            try:
                fetch.extract_pictures(path, self.member, self.count, folder)
            finally:
                path.unlink(missing_ok=True)
            return
        told = "; ".join(map(str, problems))
        places = " or ".join(str(folder.parent / source.filename) for source in self.sources)
        raise MissingError(f"{told}; put the archive at {places}, {_BY_HAND.format(name)}") from problems[-1]


def local_roots() -> tuple[Path, ...]:
    """The folders searched before the cache: $MIDTREAD_DATA, else `shared/data` beside a checkout, if it is there."""
    if chosen := os.environ.get("MIDTREAD_DATA"):
        return (Path(chosen),)
    checkout = Path(__file__).resolve().parents[3]
    beside = checkout.parent / "shared" / "data"
    return (beside,) if (checkout / "pyproject.toml").is_file() and beside.is_dir() else ()


def open_dataset(name_or_path: str | os.PathLike[str]) -> list[Item]:
    """The items of a named dataset, of a folder (with everything below it), or of one picture file.

    A name wins over a folder that is called the same; write `./kodak` for the folder.

    Raises:
        UnknownNameError: neither a dataset nor a path.
        UsageError: a folder without pictures, or a file that is no picture.
        MissingError, BitstreamError: see `Dataset.items`.
    """
    text = os.fspath(name_or_path)
    if text in DATASETS.names():
        return DATASETS.get(text).items()
    path = Path(text).expanduser()
    if path.is_dir():
        return _folder_items(path)
    if not path.is_file():
        hint = "" if os.sep in text else nearest(text, DATASETS.names())
        raise UnknownNameError(f"{text!r} is neither a dataset nor a folder or file{hint}")
    if not _is_picture(path):
        raise UsageError(f"{text!r} has the suffix {path.suffix!r}, which is no picture format that midtread opens")
    return _parts(Item(path.resolve().parent.name, path.stem, path))


def _folder_items(folder: Path) -> list[Item]:
    found: list[Path] = []
    for place, folders, files in os.walk(folder):  # does not follow links to folders, so it cannot run in circles
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [path for path in (Path(place, file) for file in files) if _is_picture(path)]
    if not found:
        raise UsageError(f"folder {str(folder)!r} has no pictures; `midtread list formats` shows what midtread opens")
    relative = sorted(path.relative_to(folder).as_posix() for path in found)
    dataset = folder.resolve().name
    named = zip(_names(relative), relative, strict=True)
    return [item for name, file in named for item in _parts(Item(dataset, name, folder / file))]


def _parts(item: Item) -> list[Item]:
    """The fields of a .npy file: of one with four axes the volumes on the first ("nyx[0]" ...) unless they are thin."""
    if item.path.suffix.lower() != ".npy":
        return [item]
    try:
        with item.path.open("rb") as file:
            shape = npy.probe(file.read(_NPY_HEAD)).shape
    except (OSError, CodecError):  # whoever opens it says what is wrong
        return [item]
    if len(shape) != 4 or min(shape[1:]) < _THIN:
        return [item]
    return [replace(item, name=f"{item.name}[{part}]", part=part) for part in range(shape[0])]


def _is_picture(path: Path) -> bool:
    return suffix_format(path) is not None and not path.name.startswith(".") and path.is_file()


def _names(files: Iterable[str]) -> list[str]:
    """File names without their suffixes, except where two would then be the same."""
    pairs = [(file, os.path.splitext(file)[0]) for file in files]
    often = Counter(short for _, short in pairs)
    return [file if often[short] > 1 else short for file, short in pairs]


EXAMPLES = Dataset(
    name="examples",
    summary="8 small colour photographs that scikit-image carries: no download, for a first try",
    licence="public domain and CC0; motorcycle_left is of the Middlebury 2014 stereo set (docs/datasets.md)",
    homepage="https://scikit-image.org/docs/stable/api/skimage.data.html",
    origin=Packaged("skimage", "data", 'pip install "midtread[bench]"', tables.EXAMPLES_SHA256),
    evaluation_only=False,
)

KODAK = Dataset(
    name="kodak",
    summary="Kodak Lossless True Color Image Suite: 24 photographs, 768 x 512",
    licence="released by Kodak for unrestricted use",
    homepage="https://r0k.us/graphics/kodak/",
    origin=Files("https://r0k.us/graphics/kodak/kodak/", tables.KODAK_SHA256),
)

CLIC2020_PROFESSIONAL_VALID = Dataset(
    name="clic2020-professional-valid",
    summary="CLIC 2020, professional, validation: 41 photographs, up to 2048 pixels wide",
    licence="Unsplash licence (LICENSE_professional_2020.txt beside the archive)",
    homepage="https://archive.compression.cc/2021/tasks/index.html",
    origin=Archive(
        (
            fetch.Source(
                "https://data.vision.ee.ethz.ch/cvl/clic/professional_valid_2020.zip",
                tables.CLIC2020_PROFESSIONAL_VALID_ETH,
                tables.CLIC2020_PROFESSIONAL_VALID_ETH_BYTES,
            ),
            fetch.Source(
                "https://storage.googleapis.com/clic_datasets/clic2020_professional_valid.zip",
                tables.CLIC2020_PROFESSIONAL_VALID_GCS,
                tables.CLIC2020_PROFESSIONAL_VALID_GCS_BYTES,
            ),
        ),
        member="*.png",
        count=41,
    ),
)

TECNICK = Dataset(
    name="tecnick",
    summary="TESTIMAGES by Tecnick, RGB, original size: 100 photographs, 1200 x 1200",
    licence="CC BY-NC-SA 3.0",
    homepage="https://testimages.org/",
    # Nobody we know of has published the checksum of this archive: the first download is trusted, later use checked.
    origin=Archive(
        (fetch.Source("https://downloads.sourceforge.net/project/testimages/OLD/OLD_SAMPLING/testimages.zip", None),),
        member="*RGB_OR_1200x1200/*.png",
        count=100,
    ),
)

DIV2K_VALID = Dataset(
    name="div2k-valid",
    summary="DIV2K validation, high resolution: 100 photographs, 2040 pixels wide or high",
    licence="academic research only",
    homepage="https://data.vision.ee.ethz.ch/cvl/DIV2K/",
    origin=Archive(
        (
            fetch.Source(
                "https://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_valid_HR.zip",
                tables.DIV2K_VALID_HR,
                tables.DIV2K_VALID_HR_BYTES,
            ),
        ),
        member="*.png",
        count=100,
    ),
)
