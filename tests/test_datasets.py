"""Named datasets are always the same bytes, wherever they are found; any folder of pictures is a dataset too."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from midtread.bench import datasets, fetch
from midtread.bench.dataset_tables import EXAMPLES_SHA256
from midtread.bench.datasets import Dataset, Files, Packaged, open_dataset
from midtread.errors import BitstreamError, MissingError, UnknownNameError, UsageError
from midtread.registry import DATASETS

PICTURES = {f"p{i}.png": f"not really picture {i}".encode() * 1000 for i in range(3)}
SUMS = {name: hashlib.sha256(data).hexdigest() for name, data in PICTURES.items()}
THREE = Dataset("three", "", "", "", Files("https://example.org/", SUMS))


@pytest.fixture(autouse=True)
def asked(tmp_path, monkeypatch):
    """An empty cache, no local data, and a network that notes what is asked of it."""
    asked = []

    def download(source, target, what):
        asked.append(source.filename)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(PICTURES[source.filename])

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MIDTREAD_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(fetch, "download", download)
    return asked


def test_local_files_win_over_the_cache_and_the_network(asked, tmp_path):
    folder = tmp_path / "data" / "three"
    folder.mkdir(parents=True)
    for name in ("p0.png", "p1.png"):
        (folder / name).write_bytes(PICTURES[name])
    items = THREE.items()
    assert [item.path.parent == folder for item in items] == [True, True, False]
    assert asked == ["p2.png"]


def test_a_local_file_with_the_wrong_checksum_is_named_and_not_used(asked, tmp_path):
    path = tmp_path / "data" / "three" / "p1.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"re-saved by some other program")
    with pytest.raises(BitstreamError, match=rf"{re.escape(str(path))} is not the p1.png .* delete or replace"):
        THREE.items()
    assert path.exists()  # it is the user's file


def test_a_root_argument_replaces_the_usual_places(asked, tmp_path):
    (tmp_path / "mine" / "three").mkdir(parents=True)
    for name, data in PICTURES.items():
        (tmp_path / "mine" / "three" / name).write_bytes(data)
    items = THREE.items(tmp_path / "mine")
    assert {item.path.parent for item in items} == {tmp_path / "mine" / "three"}
    assert asked == []


def test_data_beside_a_checkout_is_found_unless_the_environment_names_another_place(tmp_path, monkeypatch):
    module = tmp_path / "repo" / "src" / "midtread" / "bench" / "datasets.py"
    monkeypatch.setattr(datasets, "__file__", str(module))
    beside = tmp_path / "shared" / "data"
    assert datasets.local_roots() == (tmp_path / "data",)  # MIDTREAD_DATA of the fixture
    monkeypatch.delenv("MIDTREAD_DATA")
    assert datasets.local_roots() == ()
    beside.mkdir(parents=True)
    assert datasets.local_roots() == ()  # an installed package is not a checkout
    module.parent.mkdir(parents=True)
    (tmp_path / "repo" / "pyproject.toml").touch()
    assert datasets.local_roots() == (beside,)


def test_the_cache_follows_the_desktop_convention(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert fetch.cache_folder() == Path("/home/somebody/.cache/midtread/datasets")


@pytest.mark.parametrize("name", DATASETS.names())
def test_a_registered_dataset_calls_itself_by_its_registered_name(name):
    dataset = DATASETS.get(name)
    assert dataset.name == name
    assert dataset.summary
    assert dataset.licence
    assert dataset.homepage.startswith("https://")


def test_every_checksum_of_the_tables_is_a_sha256():
    origins = [DATASETS.get(name).origin for name in DATASETS.names()]
    sums = [s for origin in origins for s in getattr(origin, "sha256", {}).values()]
    sums += [s.sha256 for origin in origins for s in getattr(origin, "sources", ()) if s.sha256]
    assert len(sums) >= 8 + 24 + 2
    assert len(set(sums)) == len(sums)
    assert all(re.fullmatch("[0-9a-f]{64}", s) for s in sums)
    assert sorted(datasets.KODAK.origin.sha256) == [f"kodim{i:02d}.png" for i in range(1, 25)]


def test_the_examples_are_colour_photographs_found_without_importing_their_package():
    pytest.importorskip("skimage")
    code = "import sys, midtread.bench.datasets as d; print(len(d.EXAMPLES.items()), 'skimage' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "8 False\n"
    from PIL import Image

    for item in open_dataset("examples"):
        with Image.open(item.path) as image:
            assert (image.mode, item.dataset) == ("RGB", "examples")


def test_examples_without_their_package_say_what_to_install():
    origin = Packaged("no_such_package", "data", 'pip install "midtread[bench]"', SUMS)
    with pytest.raises(MissingError, match=r'install it with: pip install "midtread\[bench\]"'):
        Dataset("examples", "", "", "", origin).items()
    with pytest.raises(MissingError, match=r"has no .*p0.png"):
        Dataset("examples", "", "", "", Packaged("email", "mime", "pip install it", SUMS)).items()


def test_a_packaged_file_that_was_changed_is_refused(tmp_path, monkeypatch):
    (tmp_path / "my_pictures" / "data").mkdir(parents=True)
    (tmp_path / "my_pictures" / "__init__.py").write_text("raise RuntimeError('imported')")
    for name, data in PICTURES.items():
        (tmp_path / "my_pictures" / "data" / name).write_bytes(data)
    monkeypatch.syspath_prepend(tmp_path)
    dataset = Dataset("packaged", "", "", "", Packaged("my_pictures", "data", "pip install it", SUMS))
    assert [item.name for item in dataset.items()] == ["p0", "p1", "p2"]
    (tmp_path / "my_pictures" / "data" / "p2.png").write_bytes(b"another")
    with pytest.raises(BitstreamError, match=r"p2.png is not the p2.png of dataset 'packaged'"):
        dataset.items()


def test_the_original_kodak_files_pass_their_checksums(monkeypatch):
    monkeypatch.delenv("MIDTREAD_DATA")
    if not any((root / "kodak").is_dir() for root in datasets.local_roots()):
        pytest.skip("no local copy of the Kodak files")
    items = open_dataset("kodak")
    assert [item.name for item in items] == [f"kodim{i:02d}" for i in range(1, 25)]


def test_a_folder_is_a_dataset_in_order_of_relative_name(tmp_path):
    folder = tmp_path / "holiday"
    ignored = ["readme.txt", ".hidden.png", ".cache/x.png"]
    for name in ("b.png", "a.JPG", "a.png", "sub/c.npy", "b10.tif", "b9.tif", *ignored):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    items = open_dataset(folder)
    assert [item.name for item in items] == ["a.JPG", "a.png", "b", "b10", "b9", "sub/c"]
    assert [item.path for item in items][-1] == folder / "sub" / "c.npy"
    assert {(item.dataset, item.sha256) for item in items} == {("holiday", None)}
    assert open_dataset(str(folder)) == items


def test_links_that_run_in_circles_do_not(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").touch()
    (tmp_path / "set" / "again").symlink_to(tmp_path / "set")
    assert len(open_dataset(tmp_path / "set")) == 1


@pytest.mark.parametrize("name", ["one.png", "one.npy"])
def test_one_picture_is_a_dataset(tmp_path, name):
    (tmp_path / name).touch()
    (item,) = open_dataset(tmp_path / name)
    assert (item.name, item.path, item.dataset) == ("one", tmp_path / name, tmp_path.name)


def test_what_is_no_dataset_says_so(tmp_path):
    with pytest.raises(UsageError, match="has no pictures; `midtread list formats`"):
        open_dataset(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match=r"suffix '.txt', which is no picture format"):
        open_dataset(tmp_path / "notes.txt")
    with pytest.raises(UnknownNameError, match=r"'kodac' is neither a dataset nor .*; did you mean 'kodak'"):
        open_dataset("kodac")
    with pytest.raises(UnknownNameError, match=r"neither a dataset nor a folder or file$"):
        open_dataset(tmp_path / "nowhere")


def test_a_name_wins_over_a_folder_called_the_same(tmp_path, monkeypatch):
    pytest.importorskip("skimage")
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "mine.png").touch()
    monkeypatch.chdir(tmp_path)
    assert len(open_dataset("examples")) == 8
    assert [item.name for item in open_dataset("./examples")] == ["mine"]


def test_every_registered_dataset_is_in_the_documentation():
    text = (Path(__file__).parents[1] / "docs" / "datasets.md").read_text(encoding="utf-8")
    for name in DATASETS.names():
        assert f"| `{name}` |" in text
    for item in EXAMPLES_SHA256:
        assert f"| `{item.split('.')[0]}` |" in text
