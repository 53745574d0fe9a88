"""Arrays in Zarr: bounds that hold, readers that need nothing, writes that never add up errors."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")
xarray = pytest.importorskip("xarray")
numcodecs = pytest.importorskip("numcodecs")

import midtread  # noqa: E402
import midtread.numcodecs  # noqa: E402
import midtread.zarr  # noqa: E402
from midtread.cli import main  # noqa: E402
from midtread.errors import BitstreamError, UsageError  # noqa: E402

CHUNKS = (16, 20, 24)
BOUND = 0.01


def field(shape=(40, 50, 60), dtype="f4", seed=0):
    """A smooth field with NaN, infinities and a fill value in it; all chunks at the far ends are cut."""
    x = np.cumsum(np.random.default_rng(seed).standard_normal(shape), axis=-1).astype(dtype)
    x[3, 4, 5], x[0, 0, 0], x[-1, -1, -1], x[20, 20, 20:30] = np.nan, np.inf, -np.inf, 1e20
    return x


def create(where, x, codec=None, **options):
    codec = codec or midtread.zarr.Field(max_error=BOUND, mode="fast")
    options = {"chunks": CHUNKS[: x.ndim], "compressors": None, **options}
    return zarr.create_array(where, shape=x.shape, dtype=x.dtype, serializer=codec, **options)


def write(where, x, codec=None, **options):
    z = create(where, x, codec, **options)
    z[...] = x
    return z


def assert_within(x, back, bound=BOUND):
    assert back.shape == x.shape
    assert back.dtype == x.dtype.newbyteorder("=")
    finite = np.isfinite(x)
    np.testing.assert_array_equal(back[~finite], x[~finite])
    assert np.abs(back[finite].astype("f8") - x[finite].astype("f8")).max(initial=0) <= bound


# --- what others see -----------------------------------------------------------------------------------------------


def test_another_process_reads_with_zarr_alone(tmp_path):
    x = field()
    write(tmp_path / "3", x)
    codec = midtread.numcodecs.Field(max_error=BOUND)
    two = {"shape": x.shape, "dtype": x.dtype, "chunks": CHUNKS, "zarr_format": 2}
    zarr.create_array(tmp_path / "2", compressors=codec, **two)[:] = x
    code = """
import numpy, zarr
for name in "32":
    numpy.save(f"{name}.npy", zarr.open_array(name, mode="r")[:])
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert_within(x, np.load(tmp_path / "3.npy"))
    assert_within(x, np.load(tmp_path / "2.npy"))


def test_a_chunk_is_a_midtread_file_of_the_values_that_are_there(tmp_path):
    x = field()
    write(tmp_path / "a", x)
    assert_within(x[:16, :20, :24], midtread.decode((tmp_path / "a/c/0/0/0").read_bytes()))
    corner = (tmp_path / "a/c/2/2/2").read_bytes()  # 8 x 10 x 12 of 16 x 20 x 24: nothing is coded beyond the end
    assert midtread.info(corner)["shape"] == [8, 10, 12]
    assert_within(x[32:, 40:, 48:], midtread.decode(corner))


def test_what_is_stored_in_the_metadata_opens_again(tmp_path):
    codec = midtread.zarr.Field(max_error=np.float32(0.5), mode="fast", threads=2)
    write(tmp_path / "a", np.zeros((4, 4), "f4") + 1, codec)
    stored = json.loads((tmp_path / "a/zarr.json").read_text())["codecs"]
    assert stored == [{"name": "midtread.field", "configuration": {"max_error": 0.5, "mode": "fast"}}]
    again = midtread.zarr.Field.from_dict(stored[0])
    assert again == midtread.zarr.Field(max_error=0.5, mode="fast")
    assert again != midtread.zarr.Field(max_error=0.25, mode="fast")
    assert repr(again) == "midtread.zarr.Field(max_error=0.5, mode='fast')"


def test_metadata_that_makes_no_sense_is_refused(tmp_path):
    write(tmp_path / "a", np.ones((4, 4), "f4"))
    text = (tmp_path / "a/zarr.json").read_text()
    for old, new, words in (
        ('"max_error": 0.01', '"max_eror": 0.01', "did you mean 'max_error'"),
        ('"max_error": 0.01', '"max_error": -1', "takes a number from 0"),
    ):
        assert old in text
        (tmp_path / "a/zarr.json").write_text(text.replace(old, new))
        with pytest.raises(ValueError, match=words):
            zarr.open_array(tmp_path / "a")
    with pytest.raises(UsageError, match=r"midtread.field takes float16, .*; got datetime64\[s\] of 1"):
        create({}, np.zeros(3, "M8[s]"))


# --- bounds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", [midtread.zarr, midtread.numcodecs])
def test_a_bound_that_every_chunk_would_read_in_its_own_way_is_refused(door):
    for options in ({}, {"max_error_of_range": 1e-3}, {"mode": "fast"}):
        with pytest.raises(UsageError, match=r"give max_error in the units .*max_error=1e-3 \* float"):
            door.Field(**options)
    with pytest.raises(UsageError, match="leave device='cpu'"):
        door.Field(max_error=1, device="cuda")
    door.Field(max_error_of_value=1e-3)
    door.Field(max_error=0)


@pytest.mark.parametrize(("dtype", "fill"), [("<f8", 0), (">f4", np.nan), ("f2", np.nan), ("i2", -1), ("u1", 0)])
def test_every_type_and_byte_order_keeps_the_bound(tmp_path, dtype, fill):
    real = np.dtype(dtype).kind == "f"
    x = (field()[:, :, :30] if real else np.random.default_rng(0).integers(0, 100, (40, 50, 30))).clip(-999, 999)
    x, bound = x.astype(dtype), 0.05 if real else 2
    write(tmp_path / "a", x, midtread.zarr.Field(max_error=bound), fill_value=fill)
    assert_within(x, zarr.open_array(tmp_path / "a")[:], bound)


def test_lossless_chunks_keep_every_bit(tmp_path):
    x = field()
    x[1, 1, 1] = -0.0
    for name, codec in (("a", midtread.zarr.Floats()), ("b", midtread.zarr.Field(max_error=0))):
        write(tmp_path / name, x, codec)
        np.testing.assert_array_equal(zarr.open_array(tmp_path / name)[:].view("u4"), x.view("u4"))


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (5, 0)])
def test_arrays_of_few_values(shape):
    x = np.full(shape, 2.5)
    z = write({}, x, chunks="auto")
    np.testing.assert_allclose(z[...], x, atol=BOUND)


# --- reading parts -------------------------------------------------------------------------------------------------

PARTS = [
    np.s_[3], np.s_[:, 5], np.s_[..., -1], np.s_[::2, ::3, 5:50:7], np.s_[35:, 45:, 55:], np.s_[3, 4, 5],
    np.s_[15:17, 19:21, 23:25], np.s_[40:], np.s_[0:0], np.s_[5, ::5, 7],
]  # fmt: skip


@pytest.mark.parametrize("shards", [None, (32, 40, 48)])
def test_parts_are_what_numpy_takes_from_the_whole(shards):
    z = write({}, field(), shards=shards)
    x = z[:]
    for part in PARTS:
        np.testing.assert_array_equal(z[part], x[part])
    some, rng = [0, 17, 39], np.random.default_rng(0)
    np.testing.assert_array_equal(z.oindex[some, :, [1, 59]], x[np.ix_(some, range(50), [1, 59])])
    np.testing.assert_array_equal(z.oindex[np.arange(40) % 3 == 0, 2], x[::3, 2])
    np.testing.assert_array_equal(z.vindex[some, [1, 2, 3], [4, 5, 6]], x[some, [1, 2, 3], [4, 5, 6]])
    mask = rng.random(x.shape) > 0.9
    np.testing.assert_array_equal(z.vindex[mask], x[mask])


def test_a_small_read_decodes_only_the_boxes_it_meets(tmp_path):
    x = np.cumsum(np.random.default_rng(0).standard_normal((2, 1024, 1024), "f4"), axis=-1)  # at least two boxes
    write(tmp_path / "a", x, chunks=x.shape)
    chunk = tmp_path / "a/c/0/0/0"
    data = bytearray(chunk.read_bytes())
    data[-100] ^= 255  # in the last box
    chunk.write_bytes(data)
    z = zarr.open_array(tmp_path / "a")
    assert_within(x[0, :8, :8], z[0, :8, :8])
    with pytest.raises(BitstreamError, match=r"box .* is damaged"):
        z[1, -8:, -8:]


def test_what_was_never_written_is_fill_value():
    z = create({}, field(), fill_value=-9.0)
    z[0:5] = 1.0  # not to the end of the chunks
    x = np.full(z.shape, -9.0, "f4")
    x[:5] = 1
    for part in PARTS:
        np.testing.assert_allclose(z[part], x[part], atol=BOUND)


# --- writing parts -------------------------------------------------------------------------------------------------


def test_whole_chunks_can_be_written_again_those_at_the_end_too():
    x = field()
    z = write({}, x)
    z[:] = -x
    z[32:, 40:] = x[32:, 40:]
    x[:32], x[32:, :40] = -x[:32], -x[32:, :40]
    assert_within(x, z[:])


def test_values_are_never_coded_twice():
    x = field()
    z = write({}, x)
    before = z[:]
    for part in (np.s_[0], np.s_[:, :, 59], np.s_[5:20:2], np.s_[10:16, 0:20, 0:24]):
        with pytest.raises(UsageError, match=r"already holds values.*would add up its errors.*Write whole chunks"):
            z[part] = x[part]
    np.testing.assert_array_equal(z[:], before)
    z = create({}, x)
    z[0:3] = x[0:3]
    with pytest.raises(UsageError, match="add up"):
        z[3:6] = x[3:6]
    z[0:6] = x[0:6]  # all of what is there, and more
    assert_within(x[:6], z[:6])
    z = create({}, x)
    z[::2, ::2] = x[::2, ::2]
    assert_within(x[::2, ::2], z[::2, ::2])


def test_lossless_chunks_take_parts():
    x = field()
    z = write({}, x, midtread.zarr.Floats())
    z[0], z[:, 7, :], z[3::4, 5:9, 1:50:3] = 1, -x[:, 7, :], 2.5
    z.oindex[[1, 30], 3], z.oindex[[2, 31], :, 4] = np.zeros((2, 60)), np.arange(100).reshape(2, 50)
    z.vindex[[1, 39], [49, 2], [0, 59]] = [7, 8]
    x[0], x[:, 7, :], x[3::4, 5:9, 1:50:3] = 1, -x[:, 7, :].copy(), 2.5
    x[[1, 30], 3], x[[2, 31], :, 4] = 0, np.arange(100).reshape(2, 50)
    x[[1, 39], [49, 2], [0, 59]] = [7, 8]
    np.testing.assert_array_equal(z[:], x)


def test_an_array_that_grew_keeps_its_values(tmp_path):
    x = field()
    z = write(tmp_path / "a", x)
    z.resize((60, 50, 60))
    assert_within(x, z[:40])
    np.testing.assert_array_equal(z[40:], 0)
    z[48:] = x[:12]
    assert_within(x[:12], zarr.open_array(tmp_path / "a")[48:])


@pytest.mark.parametrize(("fill", "other"), [(0.0, -0.0), (np.nan, 0.0), (3.5, 3.75)])
def test_chunks_of_fill_value_are_not_stored(tmp_path, fill, other):
    x = np.full((32, 20, 24), fill, "f4")
    x[20, 5, 5] = other
    z = write(tmp_path / "a", x, fill_value=fill)
    assert sorted(p.name for p in (tmp_path / "a/c").iterdir()) == ["1"]
    z[16:] = fill
    assert not any(p.is_file() for p in (tmp_path / "a/c").rglob("*"))


def test_chunks_pay_once_for_kernels_and_memory():
    code = """
import platform, resource, sys, numpy, zarr
from midtread.zarr import Field
zarr.config.set({"threading.max_workers": 1})
codec = Field(max_error=0.01, mode="fast")
z = zarr.create_array({}, shape=(64, 2048), dtype="f4", chunks=(1, 2048), serializer=codec, compressors=None)
x = numpy.random.default_rng(0).standard_normal(z.shape, "f4")
z[:10] = x[:10]
print("numba" in sys.modules)
z[:] = x
print("numba" in sys.modules)
z = zarr.create_array({}, shape=(2048, 2048), dtype="f4", chunks=(1024, 2048), serializer=codec, compressors=None)
x = numpy.broadcast_to(numpy.arange(4096, dtype="f4"), (2048, 4096))[:, ::2]
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    z[:] = x
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults if platform.libc_ver()[0] == "glibc" else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    *compiled, faults = done.stdout.split()
    assert compiled == ["False", "True"]
    assert int(faults) < 1000  # a chunk has 2048 pages


# --- hostile chunks ------------------------------------------------------------------------------------------------


def test_a_chunk_of_another_array_is_refused_before_it_is_decoded(tmp_path):
    z = write(tmp_path / "a", field())
    for wrong in (
        midtread.encode(np.ones((17, 20, 24), "f4"), "field", max_error=0.1),
        midtread.encode(np.ones((16, 20, 24), "f8"), "field", max_error=0.1),
        midtread.encode(np.ones((16, 20), "f4"), "field", max_error=0.1),
        midtread.encode(np.ones((16, 20, 24), "f4"), "floats"),
    ):
        (tmp_path / "a/c/0/0/0").write_bytes(wrong)
        with pytest.raises(BitstreamError, match="this chunk is a file of codec"):
            z[0, 0, 0]
    (tmp_path / "a/c/0/0/0").write_bytes(b"garbage")
    with pytest.raises(BitstreamError):
        z[0, 0, 0]


# --- numcodecs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
def test_format_2_keeps_both_orders(order):
    x = field()
    codec = midtread.numcodecs.Field(max_error=BOUND)
    z = zarr.create_array(
        {}, shape=x.shape, dtype=x.dtype, chunks=CHUNKS, order=order, zarr_format=2, compressors=codec
    )
    z[:] = x
    assert_within(x, z[:])


def test_numcodecs_opens_its_codecs_by_their_configuration():
    x = field()
    for codec in (midtread.numcodecs.Field(max_error=BOUND, mode="fast"), midtread.numcodecs.Floats()):
        config = codec.get_config()
        again = numcodecs.get_codec(json.loads(json.dumps(config)))
        assert again == codec
        data = again.encode(x)
        out = np.empty_like(x)
        assert codec.decode(np.frombuffer(data, "u1"), out=out) is out
        assert_within(x, out)
    assert config == {"id": "midtread.floats"}
    with pytest.raises(UsageError, match="did you mean 'max_error'"):
        numcodecs.get_codec({"id": "midtread.field", "max_eror": 1})


def test_numcodecs_refuses_what_would_come_back_as_something_else():
    codec = midtread.numcodecs.Field(max_error=BOUND)
    with pytest.raises(UsageError, match="native byte order, got >f4; convert"):
        codec.encode(np.ones(3, ">f4"))
    with pytest.raises(UsageError, match="takes arrays, got bytes"):
        codec.encode(b"1234")


# --- xarray --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [3, 2])
def test_xarray_takes_the_codec_as_encoding_and_leaves_coordinates_alone(tmp_path, zarr_format):
    x = field()
    x[~np.isfinite(x)] = np.nan
    time = np.datetime64("2026-01-01", "ns") + np.arange(40) * np.timedelta64(6, "h")
    data = xarray.Dataset(
        {"rho": (("time", "y", "x"), x), "packed": (("time",), np.linspace(250, 300, 40))},
        coords={"time": time, "x": np.linspace(0, 1, 60) ** 2},
    )
    own = (
        {"serializer": midtread.zarr.Field(max_error=BOUND), "compressors": None}
        if zarr_format == 3
        else {"compressors": midtread.numcodecs.Field(max_error=BOUND)}
    )
    packed = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 275.0, "_FillValue": -32768}
    encoding = {"rho": {**own, "chunks": CHUNKS}, "packed": packed}
    data.to_zarr(tmp_path / "a", encoding=encoding, zarr_format=zarr_format, consolidated=False)
    back = xarray.open_zarr(tmp_path / "a", consolidated=False)
    assert_within(x, back["rho"].values)
    np.testing.assert_array_equal(back["time"].values, time)
    np.testing.assert_array_equal(back["x"].values, data["x"].values)
    np.testing.assert_allclose(back["packed"].values, data["packed"].values, atol=0.005001)
    names = (tmp_path / "a/rho" / ("zarr.json" if zarr_format == 3 else ".zarray")).read_text()
    assert "midtread.field" in names
    assert back["rho"].isel(time=3, y=slice(0, 5)).values.shape == (5, 60)


# --- the page ------------------------------------------------------------------------------------------------------


def test_what_docs_science_says_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs" / "science.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(python|sh)\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 6
    names = {}
    for kind, block in blocks:
        if kind == "python":
            exec(block, names)
            continue
        names["ds"].rename(rho="t2m").to_netcdf("climate.nc", engine="h5netcdf")
        for line in block.splitlines():
            assert main(shlex.split(line)[1:]) == 0, capsys.readouterr().err
