"""Whatever goes wrong on the way from the network to the disk, no wrong file is used and none is left behind."""

import hashlib
import http.server
import io
import logging
import os
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from midtread.bench import fetch
from midtread.bench.datasets import Archive, Dataset, Files
from midtread.errors import BitstreamError, LimitError, MissingError, UsageError

PICTURES = {f"p{i}.png": f"not really picture {i}".encode() * 1000 for i in range(3)}
SUMS = {name: hashlib.sha256(data).hexdigest() for name, data in PICTURES.items()}


class Server:
    """Answers each path with `bodies[path]`; `cut[path]` bytes are promised but not sent."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.cut: dict[str, int] = {}
        self.asked: list[str] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.lstrip("/")
                server.asked.append(name)
                if name not in server.bodies:
                    self.send_error(404)
                    return
                body = server.bodies[name]
                self.send_response(200)
                if name not in server.cut or server.cut[name]:
                    self.send_header("Content-Length", str(len(body) + server.cut.get(name, 0)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def server():
    server = Server()
    server.bodies.update(PICTURES)
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, no local data, no proxy."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MIDTREAD_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "midtread" / "datasets"


def a_dataset(server, sums=SUMS):
    return Dataset("three", "", "", "", Files(server.url, sums))


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if ".part" in path.name] if folder.exists() else []


# --- files by address ---


def test_missing_files_are_downloaded_checked_and_kept(server, cache):
    items = a_dataset(server).items()
    assert [(item.dataset, item.name, item.sha256) for item in items] == [
        ("three", name[:-4], sha256) for name, sha256 in SUMS.items()
    ]
    assert [item.path.read_bytes() for item in items] == list(PICTURES.values())
    assert all(item.path.parent == cache / "three" for item in items)
    assert leftovers(cache) == []
    asked = len(server.asked)
    assert a_dataset(server).items() == items
    assert len(server.asked) == asked  # the second time nothing is asked of the server


def test_a_download_with_the_wrong_checksum_is_refused_and_removed(server, cache):
    server.bodies["p1.png"] = b"something else"
    with pytest.raises(BitstreamError, match=f"p1.png sent 14 bytes with SHA-256 .* expected {SUMS['p1.png']}"):
        a_dataset(server).items()
    assert not (cache / "three" / "p1.png").exists()
    assert leftovers(cache) == []


@pytest.mark.parametrize("cut", [1, 10**6])
def test_a_download_that_breaks_off_is_refused_and_removed(server, cache, cut):
    server.cut["p0.png"] = cut
    with pytest.raises(MissingError, match="broke off after"):
        a_dataset(server).items()
    assert list((cache / "three").iterdir()) == []


def test_a_broken_off_download_without_a_length_fails_its_checksum(server, cache):
    server.cut["p0.png"] = 0
    server.bodies["p0.png"] = PICTURES["p0.png"][:-1]
    with pytest.raises(BitstreamError, match="SHA-256"):
        a_dataset(server).items()
    assert list((cache / "three").iterdir()) == []


def test_a_server_that_never_stops_sending_is_cut_off(server, cache, monkeypatch):
    monkeypatch.setattr(fetch, "MAX_FILE_BYTES", 100)
    with pytest.raises(LimitError, match="more than the 100 bytes"):
        a_dataset(server).items()
    assert list((cache / "three").iterdir()) == []


def test_what_a_killed_download_left_is_not_used_and_is_swept_up_once_it_is_old(server, cache):
    (cache / "three").mkdir(parents=True)
    old, young = (cache / "three" / f"p0.png.{age}.part" for age in ("old", "young"))
    for path in (old, young):
        path.write_bytes(PICTURES["p0.png"][:100])
    os.utime(old, (time.time() - 2 * fetch.STALE_S,) * 2)
    assert a_dataset(server).items()[0].path.read_bytes() == PICTURES["p0.png"]
    assert leftovers(cache) == [young]  # perhaps another process is still writing it


def test_a_killed_process_leaves_no_file_under_the_final_name(server, cache):
    server.cut["slow.png"] = 10**6  # promised, never sent: the client waits until it is killed
    server.bodies["slow.png"] = b"x" * 3 * 2**20
    handler = server.http.RequestHandlerClass
    whole = handler.do_GET
    handler.do_GET = lambda self: (whole(self), self.wfile.flush(), time.sleep(5))
    code = (
        "import sys; from pathlib import Path; from midtread.bench import fetch\n"
        "fetch.download(fetch.Source(sys.argv[1], None), Path(sys.argv[2]), 'slow')"
    )
    target = cache / "slow.png"
    child = subprocess.Popen([sys.executable, "-c", code, server.url + "slow.png", str(target)])
    deadline = time.monotonic() + 10
    while not any(path.stat().st_size for path in leftovers(cache)) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.kill()
    child.wait()
    assert leftovers(cache)
    assert not target.exists()


def test_no_network_says_where_to_put_the_files_by_hand(server, cache):
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(MissingError) as caught:
        a_dataset(server).items()
    place = f"put the 3 files into {cache / 'three'}"
    for part in ("three/p0.png is not here", "cannot be reached", place, "MIDTREAD_DATA"):
        assert part in str(caught.value)


def test_a_file_the_server_does_not_have_is_said_to_be_missing(server):
    del server.bodies["p2.png"]
    with pytest.raises(MissingError, match="404"):
        a_dataset(server).items()


def test_only_web_addresses_are_downloaded(tmp_path):
    with pytest.raises(UsageError, match="not an http or https address"):
        fetch.download(fetch.Source(Path(__file__).as_uri(), None), tmp_path / "x", "x")


# --- archives ---


def zip_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


GOOD_ZIP = {
    "set/LICENSE.txt": b"free",
    **{f"set/{name}": data for name, data in PICTURES.items()},
    "__MACOSX/set/._p0.png": b"resource fork",
    "other/thumbnail.png": b"small",
}


def an_archive(server, members=GOOD_ZIP, *, known=True, name="set.zip", count=3):
    server.bodies[name] = zip_of(members)
    sha256 = hashlib.sha256(server.bodies[name]).hexdigest() if known else None
    return Dataset("set", "", "", "", Archive((fetch.Source(server.url + name, sha256),), "set/*.png", count))


def test_an_archive_gives_its_pictures_only_and_is_removed(server, cache):
    items = an_archive(server).items()
    assert [(item.name, item.sha256) for item in items] == [(name[:-4], sha256) for name, sha256 in SUMS.items()]
    assert sorted(path.name for path in (cache / "set").iterdir()) == sorted([*PICTURES, fetch.SUMS])
    assert [path.name for path in cache.iterdir()] == ["set"]
    assert an_archive(server).items() == items
    assert server.asked == ["set.zip"]


def test_an_archive_without_a_published_checksum_is_trusted_once_and_said_so(server, caplog):
    with caplog.at_level(logging.WARNING, "midtread"):
        items = an_archive(server, known=False).items()
    assert "no published checksum: trusted as it came" in caplog.text
    assert items[0].sha256 == SUMS["p0.png"]
    items[0].path.write_bytes(b"changed since")
    with pytest.raises(BitstreamError, match=r"p0.png is not the p0.png"):
        an_archive(server, known=False).items()


def test_an_archive_with_the_wrong_checksum_is_refused_and_removed(server, cache):
    dataset = an_archive(server)
    server.bodies["set.zip"] = zip_of({**GOOD_ZIP, "set/p0.png": b"other"})
    with pytest.raises(MissingError, match=r"expected .*; put the archive at"):
        dataset.items()
    assert list(cache.iterdir()) == []


def test_an_archive_put_into_the_cache_by_hand_is_checked_used_and_left_there(server, cache):
    dataset = an_archive(server)
    cache.mkdir(parents=True)
    (cache / "set.zip").write_bytes(b"not it")
    with pytest.raises(BitstreamError, match=r"set.zip is not the archive of dataset 'set'"):
        dataset.items()
    (cache / "set.zip").write_bytes(server.bodies["set.zip"])
    assert len(dataset.items()) == 3
    assert server.asked == []
    assert (cache / "set.zip").exists()


def test_the_second_address_is_tried_when_the_first_fails(server):
    good = an_archive(server).origin.sources[0]
    dead = fetch.Source(server.url + "gone.zip", "0" * 64)
    assert len(Dataset("set", "", "", "", Archive((dead, good), "set/*.png", 3)).items()) == 3
    with pytest.raises(MissingError, match=r"gone.zip .* 404.*; .*gone2.zip .* 404"):
        Dataset("none", "", "", "", Archive((dead, fetch.Source(server.url + "gone2.zip", None)), "*", 3)).items()


@pytest.mark.parametrize("name", ["set/../../../evil.png", "/set/evil.png", "set/..\\evil.png", "set/a\nb.png"])
def test_no_member_of_an_archive_lands_outside_its_folder(server, cache, tmp_path, name):
    members = {**{f"set/{n}": d for n, d in list(PICTURES.items())[:2]}, name: b"evil"}
    dataset = an_archive(server, members, known=False)
    object_pattern = Archive(dataset.origin.sources, "*.png", 3)
    try:
        items = Dataset("set", "", "", "", object_pattern).items()
    except (BitstreamError, MissingError):
        items = []
    outside = [path for path in tmp_path.rglob("*evil*") if path.parent != cache / "set"]
    assert outside == []
    assert all(item.path.parent == cache / "set" for item in items)


HOSTILE = {
    "not a zip file": (b"PK\x03\x04 but no more", BitstreamError, "is damaged"),
    "too few pictures": (zip_of({"set/p0.png": b"1"}), BitstreamError, "has 1 pictures that match"),
    "the same name twice": (
        zip_of({"set/p0.png": b"1", "set/a/p0.png": b"2", "set/p1.png": b"3"}), BitstreamError, "there twice",
    ),
    "a bomb": (zip_of({f"set/{i}.png": bytes(2**20) for i in range(3)}), LimitError, "unpacks to"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(cache, tmp_path, monkeypatch, case):
    data, error, match = HOSTILE[case]
    monkeypatch.setattr(fetch, "MAX_MEMBER_BYTES", 2**19)
    archive = tmp_path / "set.zip"
    archive.write_bytes(data)
    with pytest.raises(error, match=match):
        fetch.extract_pictures(archive, "set/*.png", 3, cache / "set")
    assert list(cache.iterdir()) == []


def test_an_archive_that_unpacks_to_too_much_in_all_is_refused(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "MAX_TOTAL_BYTES", 2**20)
    (tmp_path / "set.zip").write_bytes(HOSTILE["a bomb"][0])
    with pytest.raises(LimitError, match=f"more than the {2**20} allowed"):
        fetch.extract_pictures(tmp_path / "set.zip", "set/*.png", 3, cache / "set")


def test_every_flipped_byte_of_an_archive_is_refused_or_harmless(cache, tmp_path):
    members = {f"set/{i}.png": bytes([i]) * 40 for i in range(2)}
    good = zip_of(members)
    refused = 0
    for place in range(len(good)):
        data = bytearray(good)
        data[place] ^= 0x55
        (tmp_path / "set.zip").write_bytes(data)
        try:
            fetch.extract_pictures(tmp_path / "set.zip", "set/*.png", 2, cache / f"{place}")
        except (BitstreamError, LimitError):
            refused += 1
        else:  # a flag or a time stamp: the pictures must be the right ones
            found = {path.read_bytes() for path in (cache / f"{place}").glob("*.png")}
            assert found == set(members.values())
    assert refused > 50


def test_a_folder_of_an_archive_with_pictures_missing_is_refused(server, tmp_path):
    folder = tmp_path / "data" / "set"
    folder.mkdir(parents=True)
    (folder / "p0.png").write_bytes(PICTURES["p0.png"])
    with pytest.raises(BitstreamError, match=r"holds 1 pictures, dataset 'set' has 3; .* straight into it"):
        an_archive(server).items()
