"""Codebooks as bytes: within half a step, smaller than packed numbers, and hostile bytes refused."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from midtread.codecs import codebook as codebooks
from midtread.container import Reader
from midtread.errors import BitstreamError, LimitError, TruncatedError, UsageError
from midtread.quantize.vector.train import train


def gaussian(n: int, dimensions: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dimensions)).astype(np.float32)


def colours(n: int) -> np.ndarray:
    """Columns that are alike."""
    rng = np.random.default_rng(0)
    return (rng.gamma(2, 40, (n, 1)) + rng.normal(0, 8, (n, 3))).astype(np.float32)


def read(data: bytes) -> np.ndarray:
    reader = Reader(data)
    found = codebooks.read(reader)
    reader.end("the codebook")
    return found


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (300, 1), (300, 3), (65, 64)])
@pytest.mark.parametrize("step", [1e-6, 0.01, 0.3])
def test_entries_come_back_sorted_and_within_half_a_step(shape, step):
    codebook = gaussian(*shape)
    data = codebooks.write(codebook, step)
    back = read(data)
    rounded = np.unique(np.rint(codebook / np.float32(step)), axis=0)
    assert back.dtype == np.float32
    assert back.shape == rounded.shape
    np.testing.assert_allclose(back, rounded * np.float32(step), rtol=1e-6)
    assert codebooks.write(back, step) == data  # what was read is written as it was
    distances = np.abs(codebook[:, None] - back).max(2).min(1)
    assert distances.max() <= 0.5 * step * (1 + 1e-3) + 1e-6


def test_entries_that_round_to_the_same_are_one():
    codebook = np.array([[0.1, 1.0], [0.2, 0.9], [5.0, 5.0]], np.float32)
    np.testing.assert_array_equal(read(codebooks.write(codebook, 1.0)), [[0, 1], [5, 5]])


def test_rice_codes_of_a_sorted_codebook_are_a_third_smaller_than_packed_numbers():
    codebook = train(gaussian(5000, 3), 256)
    step = 0.09  # adds 2 % to the error
    multiples = np.rint(codebook / step)
    packed = np.ceil(np.log2(np.ptp(multiples, axis=0) + 1)).sum() * len(codebook) / 8
    assert len(codebooks.write(codebook, step)) < 0.68 * packed


def test_columns_that_are_alike_are_coded_by_their_difference():
    codebook = train(colours(4000), 256)
    data = codebooks.write(codebook, 1.0)
    assert data[10] == 1  # the way
    assert len(data) < 0.9 * len(codebooks._write(np.unique(np.rint(codebook).astype(np.int32), axis=0), 1.0, 0))
    assert codebooks.write(gaussian(256, 3), 0.05)[10] == 0


def test_the_format_is_for_ever():
    """Written by version 1; never to be changed."""
    data = bytes.fromhex(PINNED)
    np.testing.assert_array_equal(read(data), [[-1, 2.5], [0, 0], [0.5, 0.5], [10, -3]])
    assert codebooks.write(np.array([[10, -3], [0, 0], [-1, 2.5], [0.5, 0.5]], np.float32), 0.5) == data


PINNED = "0400000002000000003f0003000610b004e42a2c"


def test_what_the_page_says_runs():
    page = (Path(__file__).parents[1] / "docs" / "vector_quantizers.md").read_text(encoding="utf-8")
    lines = [line[4:] for line in page.partition("## In training")[0].splitlines() if line.startswith("    ")]
    said: dict = {}
    exec("\n".join(lines), said)
    assert said["used"] == 1
    assert 128 < said["perplexity"] <= 256
    assert len(said["data"]) == pytest.approx(550, rel=0.1)


def test_every_truncation_is_refused():
    data = codebooks.write(gaussian(50, 3), 0.01)
    for length in range(len(data)):
        with pytest.raises(TruncatedError):
            read(data[:length])


def test_damage_gives_our_errors_or_another_codebook():
    data = codebooks.write(gaussian(20, 3), 0.01)
    refused = 0
    for place, value in itertools.product(range(len(data)), (0, 1, 127, 128, 255)):
        damaged = bytearray(data)
        damaged[place] = value
        try:
            found = read(bytes(damaged))
        except (BitstreamError, LimitError):
            refused += 1
        else:
            assert np.isfinite(found).all()
    assert refused > len(data)


def head(entries: int, dimensions: int, step: float = 1.0, way: int = 0) -> bytes:
    first = entries.to_bytes(4, "little") + dimensions.to_bytes(2, "little")
    return first + np.array([step], "<f4").tobytes() + bytes([way])


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (head(2**32 - 1, 3), LimitError, "entries of a codebook is 4294967295, more than the 65536"),
        (head(10, 5000), LimitError, "dimensions of a codebook is 5000, more than the 4096"),
        (head(2**16, 4096) + bytes(4096) + b"\0", TruncatedError, "parameters at byte 0 needs 2621440 bytes"),
        (head(0, 3), BitstreamError, "a codebook of 0 x 3"),
        (head(3, 0), BitstreamError, "a codebook of 3 x 0"),
        (head(3, 3, step=float("nan")), BitstreamError, "step nan"),
        (head(3, 3, step=-1), BitstreamError, "step -1"),
        (head(3, 3, step=float("inf")), BitstreamError, "step inf"),
        (head(3, 3, way=2), BitstreamError, "coded in way 2"),
        (head(1, 1) + b"\xff\xff\xff\xff\x0f" + b"\2\0\x80", BitstreamError, "holds 2147483648 steps"),
    ],
)
def test_hostile_bytes_are_refused_before_they_cost_memory(data, error, message):
    with pytest.raises(error, match=message):
        read(data)


def test_the_caller_lowers_the_limits():
    data = codebooks.write(gaussian(50, 3), 0.01)
    with pytest.raises(LimitError, match="is 50, more than the 49"):
        codebooks.read(Reader(data), most_entries=49)
    with pytest.raises(LimitError, match="is 3, more than the 2"):
        codebooks.read(Reader(data), most_dimensions=2)


@pytest.mark.parametrize(
    ("codebook", "step", "message"),
    [
        (gaussian(3, 3), 0.0, r"step=0; it takes a number in \["),
        (gaussian(3, 3), float("nan"), "step=nan"),
        (gaussian(3, 3) * 1e9, 1e-3, r"step=0.001; it takes a number in \["),
        (gaussian(3, 3).astype(np.float64), 1.0, "float32, got float64"),
        (gaussian(3, 3)[:0], 1.0, r"got shape \[0, 3\]"),
    ],
)
def test_bad_arguments_get_one_clear_error(codebook, step, message):
    with pytest.raises(UsageError, match=message):
        codebooks.write(codebook, step)
