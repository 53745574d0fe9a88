"""The midtread file: what goes in comes out, and whatever is not exactly a midtread file is refused in words."""

import re
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import midtread
from midtread import container
from midtread.container import Chunk, File, Reader, content, index, is_midtread, read, read_header, varint, write
from midtread.container.file import DTYPES, MAGIC, VERSION, Tag
from midtread.container.reader import crc32
from midtread.errors import BitstreamError, CodecError, LimitError, TruncatedError, UsageError
from midtread.spec import Limits
from pictures import ALL_CODECS

SMALL = File("png", "uint8", (2, 300, 3), (Chunk(Tag.PAYLOAD, b"payload"), Chunk(Tag.ICC, b"icc!")))

tags = st.sampled_from([*Tag, 131, 200, 255])
files = st.builds(
    File,
    codec=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=63),
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(0, 2**40), max_size=15).map(tuple),
    chunks=st.lists(st.builds(Chunk, tags, st.binary(max_size=300)), max_size=5).map(tuple),
)
no_limits = Limits(max_elements=2**700)


def with_crc(part: bytes) -> bytes:
    return part + zlib.crc32(part).to_bytes(4, "little")


def header(*, version=VERSION, codec=b"png", kind=0x03, shape=(2, 300, 3), chunks=0) -> bytes:
    """A header written by hand, with a right checksum whatever it says."""
    body = MAGIC + bytes([version, len(codec)]) + codec + bytes([kind])
    return with_crc(body + b"".join(map(varint, shape)) + varint(chunks))


def chunk(tag: int, data: bytes) -> bytes:
    return with_crc(bytes([tag]) + varint(len(data)) + data)


# --- the reader ---


@given(st.integers(0, 2**63))
def test_a_varint_reads_back_in_its_shortest_form(value):
    data = varint(value)
    assert len(data) == max(1, -(-value.bit_length() // 7))
    reader = Reader(data)
    assert reader.varint("a number", at_most=2**63) == value
    reader.end("the number")


@pytest.mark.parametrize("data", [b"\x80\x00", b"\xff\x80\x00", b"\x80\x80\x80\x00"])
def test_a_varint_longer_than_needed_is_refused(data):
    with pytest.raises(BitstreamError, match=r"a number before byte \d is written longer than needed"):
        Reader(data).varint("a number", at_most=2**63)


def test_a_varint_that_never_ends_is_refused():
    with pytest.raises(BitstreamError, match=r"a number before byte 1[01] runs over"):
        Reader(b"\xff" * 1000).varint("a number", at_most=2**63)
    with pytest.raises(TruncatedError, match="a number at byte 5 needs 1 bytes, 0 left"):
        Reader(b"\xff" * 5).varint("a number", at_most=2**63)


@given(st.integers(1, 8), st.booleans(), st.data())
def test_an_unsigned_integer_reads_back_and_obeys_its_bound(width, big_endian, draw):
    value = draw.draw(st.integers(0, 256**width - 1))
    data = value.to_bytes(width, "big" if big_endian else "little")
    assert Reader(data).uint(width, "a size", at_most=value, big_endian=big_endian) == value
    if value:
        with pytest.raises(LimitError, match=f"a size is {value}, more than the {value - 1} allowed"):
            Reader(data).uint(width, "a size", at_most=value - 1, big_endian=big_endian)


@given(st.binary(max_size=40), st.lists(st.integers(0, 12), max_size=12))
def test_the_reader_gives_every_byte_once_and_never_one_too_many(data, counts):
    reader, taken = Reader(data), b""
    for count in counts:
        if count > reader.left:
            with pytest.raises(
                TruncatedError, match=f"a piece at byte {len(taken)} needs {count} bytes, {reader.left} "
            ):
                reader.take(count, "a piece")
        else:
            taken += reader.take(count, "a piece")
        assert (reader.offset, reader.left) == (len(taken), len(data) - len(taken))
    assert data.startswith(taken)


@pytest.mark.parametrize("raw", [b"\x02\xc3\xa9", b"\x03a\x00b", b"\x02\x1b["])
def test_text_that_is_not_plain_ascii_is_refused(raw):
    with pytest.raises(BitstreamError, match=r"a name is .*, not plain ASCII"):
        Reader(raw).text("a name", at_most=63)


def test_text_obeys_its_bound():
    with pytest.raises(LimitError, match="length of a name is 64, more than the 63"):
        Reader(b"\x40" + b"a" * 64).text("a name", at_most=63)


# --- round trips ---


@given(files)
def test_a_file_reads_back_as_it_was_written(file):
    data = write(file)
    assert is_midtread(data)
    assert read(data, no_limits) == file
    head = read_header(data, no_limits)
    assert (head.codec, head.dtype, head.shape, head.chunks) == (file.codec, file.dtype, file.shape, len(file.chunks))
    assert write(read(bytearray(data), no_limits)) == data == write(read(memoryview(data), no_limits))


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_other_bytes_never_raise_anything_but_our_errors(data):
    for candidate in (data, MAGIC + data, MAGIC + bytes([VERSION]) + data, header(chunks=1) + data):
        try:
            read(candidate)
        except (BitstreamError, LimitError):
            continue


def test_unknown_optional_chunks_are_kept():
    file = File("png", "uint8", (1, 1), (Chunk(Tag.PAYLOAD, b"x"), Chunk(128 + 77, b"from the future")))
    assert read(write(file)).find(205) == b"from the future"


def test_the_first_of_several_chunks_is_found_and_a_missing_one_is_named():
    file = File("png", "uint8", (1, 1), (Chunk(Tag.ICC, b"first"), Chunk(Tag.ICC, b"second")))
    assert file.need(Tag.ICC) == b"first"
    assert file.find(Tag.EXIF) is None
    with pytest.raises(BitstreamError, match="this png file has no payload chunk"):
        file.need(Tag.PAYLOAD)


@pytest.mark.parametrize("name", ALL_CODECS)
def test_a_picture_costs_at_most_32_bytes_beside_its_payload(name):
    """16383 is the largest side and 2 MiB the largest payload whose sizes take two and three bytes."""
    payload = bytes(2**21 - 1)
    data = write(File(name, "uint16", (16383, 16383, 4), (Chunk(Tag.PAYLOAD, payload),)))
    assert len(data) - len(payload) <= 32


# --- damage ---


def test_every_truncation_is_refused():
    data = write(SMALL)
    for length in range(len(data)):
        with pytest.raises(BitstreamError):
            read(data[:length])


def test_every_change_of_one_byte_is_refused():
    data = write(SMALL)
    for place in range(len(data)):
        for value in set(range(256)) - {data[place]}:
            damaged = data[:place] + bytes([value]) + data[place + 1 :]
            with pytest.raises((BitstreamError, LimitError)):
                read(damaged)


def test_every_change_of_a_header_byte_is_refused_by_the_header_alone():
    data = header()
    for place in range(len(data)):
        for value in set(range(256)) - {data[place]}:
            with pytest.raises((BitstreamError, LimitError)):
                read_header(data[:place] + bytes([value]) + data[place + 1 :])


@given(files, st.binary(min_size=1, max_size=20))
def test_trailing_bytes_are_refused(file, tail):
    data = write(file)
    with pytest.raises(BitstreamError, match=f"ends at byte {len(data)}, but {len(tail)} more bytes follow"):
        read(data + tail, no_limits)


def test_chunks_cannot_be_exchanged_between_places_unnoticed():
    """The header's count holds: dropping or doubling a whole valid chunk is refused."""
    head, one = header(chunks=2), chunk(Tag.PAYLOAD, b"x")
    assert len(read(head + one + one).chunks) == 2
    for data in (head, head + one, head + one * 3):
        with pytest.raises(BitstreamError):
            read(data)


def test_damage_says_where_and_what_was_found():
    data = bytearray(write(SMALL))
    data[-6] ^= 1
    with pytest.raises(
        BitstreamError, match=r"chunk 1 of 2 is damaged: bytes 31 to 37 have CRC \w{8}, the file says \w{8}"
    ):
        read(bytes(data))


# --- valid checksums, hostile content ---


def test_an_unknown_version_is_named_with_the_known_one():
    with pytest.raises(BitstreamError, match="midtread file of version 2, this midtread reads version 1"):
        read(header(version=2))


@pytest.mark.parametrize("tag", [2, 3, 64, 127])
def test_an_unknown_critical_chunk_is_refused_and_says_to_update(tag):
    with pytest.raises(BitstreamError, match=f"has tag {tag}, which this version .* update midtread"):
        read(header(chunks=1) + chunk(tag, b"?"))


def test_an_unknown_dtype_is_refused():
    for number in range(len(DTYPES), 16):
        with pytest.raises(BitstreamError, match=f"dtype number {number} means nothing in version 1"):
            read(header(kind=number << 4 | 3))


@pytest.mark.parametrize("codec", ["\u00e9".encode("latin-1"), b"a\nb", b"\x7f"])
def test_a_codec_name_that_is_not_plain_ascii_is_refused(codec):
    with pytest.raises(BitstreamError, match=r"codec name is .*, not plain ASCII"):
        read(header(codec=codec))


@pytest.mark.parametrize("shape", [(2**32, 2**32, 3), (2**63 - 1,) * 3, (2**15, 2**15, 1), (536870913, 1, 1)])
def test_a_picture_that_is_too_large_is_refused_before_anything_is_allocated(shape):
    data = header(shape=shape, chunks=1) + chunk(Tag.PAYLOAD, b"tiny")
    tracemalloc.start()
    for reader in (read, read_header, midtread.decode, midtread.info):
        with pytest.raises(LimitError, match=r"samples, more than .* limits=Limits\(max_elements=\.\.\.\) or --max-el"):
            reader(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6  # imports included


def test_a_limit_can_be_raised_and_lowered():
    data = header(shape=(100, 100, 3))
    assert read_header(data, Limits(max_elements=30_000)).shape == (100, 100, 3)
    with pytest.raises(LimitError, match="more than the 29999 allowed"):
        read_header(data, Limits(max_elements=29_999))


def test_a_great_number_of_chunks_is_refused_at_once():
    with pytest.raises(LimitError, match=r"number of chunks is 1048577, more than the 1048576"):
        read(header(chunks=2**20 + 1))
    with pytest.raises(TruncatedError, match="chunk 0 of 1048576: tag"):
        read(header(chunks=2**20))


def test_a_chunk_that_claims_more_than_the_file_has_is_refused_before_it_is_read():
    with pytest.raises(TruncatedError, match=f"chunk 0 of 1 at byte .* needs {2**40} bytes, 0 left"):
        read(header(chunks=1) + b"\x00" + varint(2**40))


def test_decoding_a_file_of_an_unknown_codec_names_it():
    with pytest.raises(CodecError, match="'codec-of-2040', which is not installed here"):
        midtread.decode(header(codec=b"codec-of-2040", chunks=1) + chunk(Tag.PAYLOAD, b"x"))


# --- the documentation ---

DOCUMENT = (Path(__file__).parents[1] / "docs" / "formats" / "container.md").read_text(encoding="utf-8")


def test_the_example_in_the_documentation_is_what_the_code_writes():
    (dump,) = re.findall(r"```\n(00  .*?)```", DOCUMENT, re.DOTALL)
    data = bytes.fromhex("".join(line[4:] for line in dump.splitlines()))
    x = np.zeros((2, 3, 3), np.uint8)
    x[0, [0, 1, 2], [0, 1, 2]] = x[1, :, 0] = 255
    assert midtread.wrap(x, "qoi", xmp=b"<x/>") == data
    assert np.array_equal(midtread.decode(data), x)


def test_the_reader_in_the_documentation_reads_what_the_code_writes():
    (source,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    documented: dict = {}
    exec(source, documented)
    file = File("png", "bfloat16", (300, 2, 2**40), (Chunk(Tag.PAYLOAD, bytes(1000)), Chunk(200, b"")))
    expected = (file.codec, file.dtype, list(file.shape), [(chunk.tag, chunk.data) for chunk in file.chunks])
    data = write(file)
    assert documented["read"](data) == expected
    for damaged in (data[:-1], data + b"x", data[:20] + b"!" + data[21:], b"\x89MT\x02" + data[4:]):
        with pytest.raises((AssertionError, IndexError)):
            documented["read"](damaged)


def test_the_documentation_lists_the_dtypes_and_tags_of_the_code():
    (row,) = re.findall(r"\| \| (uint8 .*) \|", DOCUMENT)
    assert tuple(row.split(" | ")) == DTYPES
    assert [int(tag) for tag in re.findall(r"^\| (\d+) \| \w+ \| .*\|$", DOCUMENT, re.MULTILINE)] == [*Tag]


# --- what the writer refuses ---


@pytest.mark.parametrize("codec", ["", "a" * 64, "caf\u00e9"])
def test_the_writer_refuses_a_codec_name_that_does_not_fit(codec):
    with pytest.raises(UsageError, match=r"codec name .* does not fit a midtread file's header"):
        write(File(codec, "uint8", (1,), ()))


def test_the_writer_refuses_a_dtype_or_rank_without_a_place():
    with pytest.raises(UsageError, match=r"holds uint8, .*; got float8_e4m3fn"):
        write(File("png", "float8_e4m3fn", (1,), ()))
    with pytest.raises(UsageError, match="rank 16 does not fit"):
        write(File("png", "uint8", (1,) * 16, ()))


@pytest.mark.parametrize(
    "file",
    [
        File("a\nb", "uint8", (1,), ()),
        File("png", "uint8", (-1,), ()),
        File("png", "uint8", (2**63,), ()),
        File("png", "uint8", (1,), (Chunk(256, b""),)),
        File("png", "uint8", (1,), (Chunk(77, b""),)),
    ],
    ids=["control character", "negative size", "size over 63 bits", "tag over a byte", "unknown critical tag"],
)
def test_the_writer_never_writes_what_the_reader_refuses(file):
    with pytest.raises(UsageError, match=r"does not fit a midtread file's header|chunk tag \d+ is neither"):
        write(file)


# --- the index ---


def test_the_index_finds_every_chunk_and_touches_no_content():
    data = bytearray(write(SMALL))
    head, spans = index(bytes(data))
    assert (head.codec, head.shape, head.chunks) == ("png", (2, 300, 3), 2)
    assert [bytes(content(data, span, "it")) for span in spans] == [b"payload", b"icc!"]
    data[spans[0].body] ^= 1
    assert index(memoryview(data))[1] == spans
    assert bytes(content(data, spans[1], "it")) == b"icc!"
    with pytest.raises(BitstreamError, match="chunk 0 is damaged"):
        content(data, spans[0], "chunk 0")


def test_an_index_of_a_file_cut_short_or_too_long_is_refused():
    data = write(SMALL)
    for length in range(len(data)):
        with pytest.raises(BitstreamError):
            index(data[:length])
    with pytest.raises(BitstreamError, match="1 more bytes follow"):
        index(data + b"\0")
    with pytest.raises(BitstreamError, match="tag 99"):
        index(header(chunks=1) + chunk(99, b""))


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 13])
def test_the_checksum_of_large_chunks_is_that_of_small_ones(size):
    data = np.random.default_rng(0).bytes(size)
    for start in (0, 1, 2**32 - 1):
        assert crc32(data, start) == crc32(memoryview(data), start) == zlib.crc32(data, start)


def test_what_arrived_of_a_cut_file_is_a_whole_file():
    file = container.File("wavelet", "uint8", (4, 4), tuple(container.Chunk(0, bytes([n] * 9)) for n in range(3)))
    data = container.write(file)
    assert container.arrived(data) == data
    starts = [span.start for span in container.index(data)[1]]
    for cut in range(len(data)):
        whole = sum(cut >= end for end in [*starts[1:], len(data)])
        if whole == 0:
            with pytest.raises(TruncatedError):
                container.arrived(data[:cut])
            continue
        assert container.read(container.arrived(data[:cut])).chunks == file.chunks[:whole]
    damaged = bytearray(data)
    damaged[starts[1] + 4] ^= 1
    with pytest.raises(BitstreamError):
        container.arrived(bytes(damaged))


# --- large files ---


@pytest.mark.parametrize("room", [1000, 10_000, 150_000, 10**7])
def test_large_files_are_the_same_bytes_whatever_room_was_asked_for(room, monkeypatch):
    """The parts come from a generator that writes over its memory, as codecs do."""
    chunks = tuple(Chunk(Tag.PAYLOAD, bytes([i]) * 997 * i) for i in range(20))
    header = container.Header("floats", "float32", (4, 5), len(chunks))
    expected = write(File("floats", "float32", (4, 5), chunks))
    memory = bytearray(20_000)

    def reusing():
        for chunk in chunks:
            memory[: len(chunk.data)] = chunk.data
            half = len(chunk.data) // 2
            parts = [memoryview(memory)[:half], memoryview(memory)[half : len(chunk.data)]]
            yield container.Parts(chunk.tag, parts)

    monkeypatch.setattr("midtread.container.memory._LARGE", 10_000)
    assert container.write_each(header, reusing(), room) == expected
    monkeypatch.setattr("midtread.container.memory.sys.platform", "win32")  # without large pages
    assert container.write_each(header, reusing(), room) == expected
    with pytest.raises(UsageError, match="chunk tag 7"):
        container.write_each(header, [Chunk(7, b"")], room)
