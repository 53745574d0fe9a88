"""Checkpoints: the same .safetensors file comes back, any one tensor comes back alone, hostile headers are refused."""

import json
import mmap

import numpy as np
import pytest

import midtread
from midtread import container, media
from midtread.codecs.tensor.safetensors import Checkpoint, decode, encode
from midtread.container import Tag
from midtread.errors import BitstreamError, CodecError, LimitError, MissingError, UsageError
from midtread.media.safetensors import header_bytes, layout
from midtread.spec import Limits, dtype_of

KINDS = {"bfloat16": "BF16", "float32": "F32", "int64": "I64", "bool": "BOOL", "float16": "F16", "uint8": "U8"}


def weights(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "layer.0.weight": rng.standard_normal((64, 96)).astype(dtype_of("bfloat16")),
        "layer.0.bias": rng.standard_normal(96).astype(np.float32),
        "größe": np.array(7, np.int64),
        "mask": rng.random((3, 5)) < 0.5,
        "empty": np.zeros((0, 4), np.float16),
        "layer.1.weight": rng.standard_normal((48, 64)).astype(np.float32),
    }


def file_of(tensors, metadata=None):
    """The bytes of a .safetensors file, uint8 [n]."""
    head = header_bytes({n: (KINDS[x.dtype.name], x.shape, x.nbytes) for n, x in tensors.items()}, metadata)
    return np.frombuffer(head + b"".join(x.tobytes() for x in tensors.values()), np.uint8)


def by_hand(header, body=b"") -> bytes:
    """A file with this header, a text or what becomes JSON."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(kind="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": kind, "shape": list(shape), "data_offsets": list(offsets)}


# --- round trips ---


def test_the_same_file_comes_back_byte_for_byte():
    source = file_of(weights(), {"format": "pt", "step": "17"})
    data = midtread.encode(source, "safetensors")
    assert len(data) < 0.9 * source.size
    assert midtread.decode(data).tobytes() == source.tobytes()


def test_each_tensor_comes_back_alone_with_name_dtype_and_metadata(tmp_path):
    tensors = weights()
    path = tmp_path / "model.mt"
    path.write_bytes(encode(file_of(tensors, {"step": "17"})))
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        checkpoint = Checkpoint(data)
        assert list(checkpoint) == list(tensors)
        assert checkpoint.metadata == {"step": "17"}
        for name, x in tensors.items():
            found = checkpoint[name]
            assert (found.dtype, found.shape, found.tobytes()) == (x.dtype, x.shape, x.tobytes())
        with pytest.raises(KeyError):
            checkpoint["layer.2.weight"]
        del checkpoint, found


def test_only_the_tensor_that_is_asked_for_is_read():
    data = bytearray(encode(file_of(weights())))
    _, spans = container.index(data)
    data[spans[-1].body + 9] ^= 1
    checkpoint = Checkpoint(bytes(data))
    assert checkpoint["layer.0.bias"].shape == (96,)
    with pytest.raises(BitstreamError, match=r"tensor 'layer\.1\.weight'"):
        checkpoint["layer.1.weight"]
    with pytest.raises(BitstreamError):
        decode(bytes(data))


def test_headers_as_others_write_them_are_kept():
    """Any order of names, spaces, an order of bytes that is not that of the names, kinds that NumPy lacks."""
    header = b' {"b": {"shape":[3],"dtype":"F8_E4M3", "data_offsets":[8,11]},"a":{"dtype":"I32","shape":[2],'
    header = header[1:] + b'"data_offsets":[0,8]}, "c":{"dtype":"F4","shape":[4,2],"data_offsets":[11,15]}}   '
    source = np.frombuffer(by_hand(header, bytes(range(15))), np.uint8)
    data = encode(source)
    assert decode(data).tobytes() == source.tobytes()
    checkpoint = Checkpoint(data)
    assert list(checkpoint) == ["a", "b", "c"]
    np.testing.assert_array_equal(checkpoint["b"], np.array([8, 9, 10], np.uint8))


def test_a_checkpoint_without_tensors_comes_back():
    source = np.frombuffer(by_hand({}), np.uint8)
    assert decode(encode(source)).tobytes() == source.tobytes()


# --- against an earlier checkpoint ---


def test_an_earlier_checkpoint_makes_it_smaller():
    before, after = weights(), weights()
    rng = np.random.default_rng(1)
    for name in ("layer.0.weight", "layer.1.weight"):
        x = before[name].astype(np.float32)
        after[name] = (x * (1 + 1e-4 * rng.standard_normal(x.shape))).astype(before[name].dtype)
    after["new"] = np.ones(5, np.float32)
    after["layer.0.bias"] = after["layer.0.bias"][:90].copy()
    base, source = file_of(before), file_of(after)
    data = encode(source, base)
    assert len(data) < 0.7 * len(encode(source))
    assert decode(data, base).tobytes() == source.tobytes()
    assert Checkpoint(data)["new"].sum() == 5
    with pytest.raises(MissingError, match=r"tensor 'layer.0.weight': .* difference to a base"):
        midtread.decode(data)
    with pytest.raises(MissingError, match="the one given has"):
        decode(data, source)
    with pytest.raises(MissingError):
        decode(data, file_of({"layer.0.weight": np.ones(3, np.float32)}))


def test_damaged_tensors_are_masked_and_named_and_the_others_are_still_read():
    source = file_of({name: np.arange(50, dtype=np.float32) + k for k, name in enumerate("abcd")})
    data = encode(source)
    _, spans = container.index(data)
    places = layout(source.tobytes()).tensors
    damaged = bytearray(data)
    damaged[spans[2].body + 30] ^= 1
    for broken, lost in [(bytes(damaged), "b"), (data[: spans[3].end], "cd"), (bytes(damaged)[: spans[4].body], "bd")]:
        with pytest.warns(UserWarning, match=f"{len(lost)} of 4 tensors .* masked: " + ", ".join(map(repr, lost))):
            masked = decode(broken, errors="mask")
        at = np.zeros(source.size, bool)
        for tensor in places:
            at[tensor.start : tensor.stop] = tensor.name in lost
        np.testing.assert_array_equal(masked.mask, at)
        np.testing.assert_array_equal(masked.data, np.where(at, 0, source))
        with pytest.raises(BitstreamError, match=f"tensor '{lost[0]}'" if broken == damaged else "needs"):
            decode(broken)
    assert not decode(data, errors="mask").mask.any()
    with pytest.raises(BitstreamError):
        decode(data[: spans[0].end], errors="mask")


# --- files ---


def test_the_media_room_opens_and_saves_such_files(tmp_path):
    source = file_of(weights())
    path = tmp_path / "model.safetensors"
    media.save(path, source)
    assert path.read_bytes() == source.tobytes()
    loaded = media.load(path)
    assert loaded.format == "safetensors"
    np.testing.assert_array_equal(loaded.array, source)
    with pytest.raises(UsageError, match="not the bytes of a safetensors file"):
        media.save(tmp_path / "x.safetensors", source[:-1])


def test_the_command_line_packs_and_unpacks_arrays_and_checkpoints(tmp_path, capsys):
    from midtread.cli import main

    x = np.cumsum(np.random.default_rng(0).standard_normal((20, 30, 40)), -1).astype(np.float32)
    np.save(tmp_path / "rho.npy", x)
    (tmp_path / "model.safetensors").write_bytes(file_of(weights()).tobytes())
    rho, packed, back = (str(tmp_path / name) for name in ("rho.npy", "rho.mt", "back.npy"))
    assert main(["encode", rho, packed, "--codec", "floats"]) == 0
    assert "bits/value  floats" in capsys.readouterr().out
    assert main(["info", packed]) == 0
    assert "rate_bits_per_value" in capsys.readouterr().out
    assert main(["decode", packed, back]) == 0
    np.testing.assert_array_equal(np.load(back), x)
    for bound, limit in ((["--max-error", "0.01"], 0.01), (["--max-error-of-range", "1e-2"], 1e-2 * np.ptp(x))):
        assert main(["encode", rho, packed, "--codec", "sz3", *bound]) == 0
        assert main(["decode", packed, back]) == 0
        assert 0.5 * limit < np.abs(np.load(back).astype(float) - x).max() <= limit
    model, small, again = (str(tmp_path / name) for name in ("model.safetensors", "model.mt", "again.safetensors"))
    assert main(["encode", model, small, "--codec", "safetensors"]) == 0
    assert main(["decode", small, again]) == 0
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()
    capsys.readouterr()
    assert main(["encode", model, small, "--codec", "floats", "--max-error-of-range", "1e-3"]) == 2
    assert "codec 'floats' has no option 'max_error_of_range'" in capsys.readouterr().err


def test_the_command_line_stores_differences_to_a_base_and_refuses_another_one(tmp_path, capsys, monkeypatch):
    from midtread.cli import main

    monkeypatch.chdir(tmp_path)
    before = weights()
    after = {name: x + x.dtype.type(1) if x.dtype.name == "float32" else x for name, x in before.items()}
    for path, tensors in (("old", before), ("new", after)):
        (tmp_path / f"{path}.safetensors").write_bytes(file_of(tensors).tobytes())
    np.save(tmp_path / "x.npy", np.arange(3000.0))
    assert main(["encode", "new.safetensors", "alone.mt", "--codec", "safetensors"]) == 0
    assert main(["encode", "new.safetensors", "new.mt", "--base", "old.safetensors"]) == 0
    assert (tmp_path / "new.mt").stat().st_size < 0.9 * (tmp_path / "alone.mt").stat().st_size
    for base, word in [
        ([], "or --base FILE"),
        (["--base", "new.safetensors"], "the one given has"),
        (["--base", "x.npy"], "the base of codec 'safetensors' takes values of uint8"),
        (["--base", "none.safetensors"], "no file none.safetensors"),
        (["--base", "old.safetensors", "--partial"], "--partial does not go with --base"),
    ]:
        capsys.readouterr()
        assert main(["decode", "new.mt", "back.safetensors", *base]) == 2, word
        assert word in capsys.readouterr().err
        assert not (tmp_path / "back.safetensors").exists(), "nothing is written before the base is known to be right"
    assert main(["decode", "new.mt", "back.safetensors", "--base", "old.safetensors"]) == 0
    assert (tmp_path / "back.safetensors").read_bytes() == (tmp_path / "new.safetensors").read_bytes()
    assert main(["encode", "x.npy", "x.mt", "--base", "x.npy"]) == 0
    assert main(["decode", "x.mt", "again.npy", "--base", "x.npy"]) == 0
    assert (tmp_path / "again.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()
    capsys.readouterr()
    for wrong, word in [
        (["encode", "x.npy", "y.mt", "--base", "x.npy", "--codec", "zstd"], "codec 'zstd' takes no --base"),
        (["encode", "x.npy", "y.mt", "--base", "x.npy", "--psnr", "40"], "no target of rate or quality"),
        (["decode", "x.npy", "y.npy", "--base", "x.npy"], "this is another format"),
        (["encode", "x.npy", "y.mt", "--base", "old.safetensors"], "they must agree"),
    ]:
        assert main(wrong) == 2
        assert word in capsys.readouterr().err
        assert not (tmp_path / "y.mt").exists()


def test_bfloat16_is_not_written_as_bytes_without_a_meaning(tmp_path):
    with pytest.raises(UsageError, match="cannot hold bfloat16; view it as uint16"):
        media.save(tmp_path / "x.npy", np.zeros(3, dtype_of("bfloat16")))


# --- what is refused ---


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "length of the safetensors header"),
        ((2**40).to_bytes(8, "little") + b"{}", "more than the"),
        ((9).to_bytes(8, "little") + b"{}", "needs 9 bytes"),
        (by_hand(b"[1]"), "begins with {"),
        (by_hand(b' {"a":1}'), "begins with {"),
        (by_hand(b"{"), "not as it should be"),
        (by_hand(b'{"\xff":1}'), "not as it should be"),
        (by_hand(b"{" + b'"a":{' * 50_000 + b"}" * 50_001), "not as it should be"),
        (by_hand(b'{"a":' + b"[" * 100_000 + b"}"), "not as it should be"),
        (by_hand(b'{"a":' + b"1" * 10_000 + b"}"), "not as it should be"),
        (by_hand(b'{"a":NaN}'), "NaN is no JSON"),
        (by_hand(b'{"a":1,"a":2}'), "a name occurs twice"),
        (by_hand({"a": 1}), "not described by dtype, shape and data_offsets"),
        (by_hand({"a": entry() | {"more": 1}}, bytes(4)), "not described by"),
        (by_hand({"a": entry("F99")}, bytes(4)), "dtype 'F99'; known: BOOL"),
        (by_hand({"a": entry(["F32"])}, bytes(4)), "dtype"),
        (by_hand({"a": entry(shape=(-1,))}, bytes(4)), "whole numbers"),
        (by_hand({"a": entry(shape=(True,))}, bytes(4)), "whole numbers"),
        (by_hand({"a": entry(shape=(1.0,))}, bytes(4)), "whole numbers"),
        (by_hand({"a": entry(shape=(1,) * 16)}, bytes(4)), "whole numbers"),
        (by_hand({"a": entry(offsets=(0, 4, 4))}, bytes(4)), "whole numbers"),
        (by_hand({"a": entry(offsets=(4, 0))}, bytes(4)), "another number"),
        (by_hand({"a": entry(shape=(2,))}, bytes(4)), "another number"),
        (by_hand({"a": entry("F4", (3,), (0, 2))}, bytes(2)), "another number"),
        (by_hand({"a": entry(shape=(2**40,), offsets=(0, 2**42))}), "samples, more than"),
        (by_hand({"a": entry(), "b": entry()}, bytes(4)), "begins at byte"),
        (by_hand({"a": entry(offsets=(4, 8))}, bytes(8)), "begins at byte"),
        (by_hand({"a": entry()}, bytes(3)), "the file at"),
        (by_hand({"a": entry()}, bytes(5)), "the file at"),
        (by_hand({"__metadata__": {"a": 1}}), "table of texts"),
        (by_hand({"__metadata__": []}), "table of texts"),
    ],
)
def test_hostile_headers_are_refused_in_words(data, word):
    with pytest.raises((BitstreamError, LimitError), match=word):
        layout(data)
    with pytest.raises(UsageError, match=r"takes the bytes of a \.safetensors file"):
        encode(np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("x", [np.zeros((3, 3), np.uint8), np.zeros(9, np.int8), np.zeros(9, np.uint8)])
def test_arrays_that_are_no_checkpoint_are_refused(x):
    with pytest.raises(UsageError):
        midtread.encode(x, "safetensors")


def small_file():
    return encode(file_of({"a": np.arange(9, dtype=np.float32), "b": np.array(1, np.int64)}, {"k": "v"}))


def test_every_truncation_and_every_flipped_byte_is_refused():
    data = small_file()
    for length in range(len(data)):
        with pytest.raises(CodecError):
            midtread.decode(data[:length])
    for place in range(len(data)):
        with pytest.raises(CodecError):
            midtread.decode(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])


def rebuilt(chunks, shape, codec="safetensors"):
    return container.write(container.File(codec, "uint8", shape, tuple(container.Chunk(*chunk) for chunk in chunks)))


def test_files_that_disagree_with_themselves_are_refused():
    file = container.read(small_file())
    chunks = [(chunk.tag, chunk.data) for chunk in file.chunks]
    parameters = chunks[0][1]
    for changed, shape, word in [
        (chunks[1:], file.shape, "does not begin with its parameters"),
        (chunks[:2], file.shape, "1 tensors"),
        (chunks, (file.shape[0] + 1,), "declares"),
        (chunks, (1, file.shape[0]), "made no file"),
        ([chunks[0], chunks[2], chunks[1]], file.shape, "stands where"),
        ([(Tag.PARAMETERS, b"\2" + parameters[1:]), *chunks[1:]], file.shape, "version 2"),
        ([(Tag.PARAMETERS, parameters[:-3]), *chunks[1:]], file.shape, "damaged"),
        ([(Tag.PARAMETERS, parameters[:2] + parameters[3:]), *chunks[1:]], file.shape, "header"),
        ([chunks[0], (Tag.PAYLOAD, b"junk"), chunks[2]], file.shape, "tensor 'a'"),
        ([chunks[0], (Tag.PAYLOAD, small_file()), chunks[2]], file.shape, "stands where"),
    ]:
        with pytest.raises((BitstreamError, LimitError), match=word):
            midtread.decode(rebuilt(changed, shape))
    with pytest.raises(BitstreamError, match="made no file"):
        Checkpoint(rebuilt(chunks, file.shape, codec="zstd"))


def test_a_tensor_beyond_the_limits_is_refused():
    with pytest.raises(LimitError, match="more than the 8 allowed"):
        decode(small_file(), limits=Limits(max_elements=8))
