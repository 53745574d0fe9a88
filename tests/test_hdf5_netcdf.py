"""Arrays under names: HDF5, NetCDF 3 and 4, and NPY by path; from strangers too."""

import json

import numpy as np
import pytest
from scipy.io import netcdf_file

from midtread import media
from midtread.cli import main
from midtread.errors import BitstreamError, LimitError, UnknownNameError, UsageError
from midtread.media import guard, hdf5, native, netcdf
from midtread.spec import Limits

h5py = pytest.importorskip("h5py")


def rho(seed=0):
    return np.cumsum(np.random.default_rng(seed).standard_normal((30, 8, 10)), axis=-1).astype("f4")


@pytest.fixture
def many(tmp_path):
    """Every kind of dataset, and what each should come out as."""
    x = rho()
    wanted = {
        "/rho": x, "/group/packed": x, "/complex": (x + 1j * x[::-1]).astype("c8"), "/big": x.astype(">f8"),
        "/group/pairs": (x + 2j).astype("c16"),
        "/flag": x > 0, "/number": np.float64(3.5), "/empty": np.zeros((0, 3)), "/half": x.astype("f2"),
        "/late": np.full((4, 5), 7, "i4"), "/bytes": np.arange(9, dtype="u1"),
    }  # fmt: skip
    with h5py.File(tmp_path / "many.h5", "w") as file:
        file.create_dataset("/group/packed", data=x, chunks=(7, 8, 5), compression="gzip", shuffle=True)
        file.create_dataset("/group/pairs", data=wanted["/group/pairs"], chunks=True, shuffle=True)
        file.create_dataset("/late", (4, 5), "i4", fillvalue=7)  # nothing of it is in the file yet
        for name in set(wanted) - {"/group/packed", "/group/pairs", "/late"}:
            file[name] = wanted[name]
        file["/words"], file["/table"] = "text", np.zeros(3, [("a", "f4"), ("b", "i2")])
    return tmp_path / "many.h5", wanted


def is_mapped(x):
    while isinstance(x, np.ndarray):
        x = x.base
    return x is not None


def test_every_kind_of_dataset_comes_as_h5py_has_it(many):
    path, wanted = many
    for name, x in wanted.items():
        back = media.load(f"{path}::{name}").array
        np.testing.assert_array_equal(back, x)
        assert (back.shape, back.dtype) == (x.shape, x.dtype.newbyteorder("=")), name
        assert back.flags.c_contiguous
    assert media.load(f"{path}::rho", trusted=True).array.dtype == "f4"
    listed = media.contents(path)
    assert {one["name"] for one in listed["arrays"]} == set(wanted)
    assert next(one for one in listed["arrays"] if one["name"] == "/rho")["shape"] == [30, 8, 10]


def test_large_arrays_are_mapped_or_read_piece_by_piece(many, monkeypatch):
    path, wanted = many
    assert is_mapped(media.load(f"{path}::rho").array)
    assert not is_mapped(media.load(f"{path}::group/packed").array)
    asked = []
    decode = guard.decode
    monkeypatch.setattr(
        guard, "decode", lambda name, data, limits: asked.append(json.loads(data)) or decode(name, data, limits)
    )
    monkeypatch.setattr("midtread.media.arrays._AT_ONCE", 1000)
    np.testing.assert_array_equal(media.load(f"{path}::group/packed").array, wanted["/group/packed"])
    rows = [(one["start"], one["stop"]) for one in asked if one["name"]]
    assert rows == [(0, 7), (7, 14), (14, 21), (21, 28), (28, 30)]  # whole chunks: none is decoded twice


def test_a_name_is_needed_where_there_are_several(many):
    path, _ = many
    with pytest.raises(UsageError, match=r"holds 11 arrays: /big float64 \[30, 8, 10\], .* say which one .* ::/big"):
        media.load(path)
    with pytest.raises(UnknownNameError, match="no array 'rhoo'; did you mean '/rho'"):
        media.load(f"{path}::rhoo")
    np.save(path.with_name("a.npy"), np.ones(3))
    with pytest.raises(UsageError, match="one array without a name: leave out ::x"):
        media.load(f"{path.with_name('a.npy')}::x")
    media.save(path.with_name("a.png"), np.zeros((4, 4), "u1"))
    with pytest.raises(UsageError, match="neither HDF5 nor NetCDF"):
        media.load(f"{path.with_name('a.png')}::x")
    with pytest.raises(UsageError, match=r"there is no file .*nowhere\.h5::/x"):
        media.load("nowhere.h5::/x")


def test_nothing_outside_the_file_is_followed(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(range(64)))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.arange(8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["own"] = np.ones(3)
        file["link"] = h5py.ExternalLink("other.h5", "/x")
        file.create_dataset("raw", (64,), "u1", external=[(str(tmp_path / "secret"), 0, 64)])
        layout = h5py.VirtualLayout((8,), "i8")
        layout[:] = h5py.VirtualSource("other.h5", "x", (8,))
        file.create_virtual_dataset("virtual", layout)
    assert [one["name"] for one in media.contents(tmp_path / "a.h5")["arrays"]] == ["/own"]
    for name in ("link", "raw", "virtual"):
        with pytest.raises(UnknownNameError):
            media.load(f"{tmp_path / 'a.h5'}::{name}")


def test_files_with_bytes_of_their_own_in_front(tmp_path):
    with h5py.File(tmp_path / "matlab.mat", "w", userblock_size=512) as file:
        file["x"] = rho()
    np.testing.assert_array_equal(media.load(tmp_path / "matlab.mat").array, rho())


def test_numbers_that_are_laid_out_otherwise_are_not_mapped(tmp_path):
    kind = h5py.h5t.STD_I32LE.copy()
    kind.set_precision(16)
    kind.set_offset(8)  # the number is in the two bytes of the middle
    with h5py.File(tmp_path / "a.h5", "w") as file:
        space = h5py.h5s.create_simple((5,))
        h5py.h5d.create(file.id, b"x", kind, space).write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(5, dtype="i4"))
    np.testing.assert_array_equal(media.load(tmp_path / "a.h5").array, np.arange(5))


def test_damaged_hdf5_ends_no_more_than_the_helper(many):
    path, _ = many
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    bad = path.with_name("bad.h5")
    for turn in range(24):
        data = bytearray(whole[: rng.integers(8, len(whole))] if turn % 4 == 0 else whole)
        for at in rng.integers(8, min(len(data), 6000), 12):
            data[at] ^= 1 << int(rng.integers(8))
        bad.write_bytes(data)
        for name in ("/group/packed", "/rho"):
            try:
                media.load(f"{bad}::{name}", Limits(max_elements=2**20))
            except (BitstreamError, LimitError, UsageError):
                continue
    np.testing.assert_array_equal(media.load(f"{path}::/rho").array, rho())


def test_a_helper_that_lies_is_caught(many):
    path, _ = many
    honest = json.loads(native.decode("hdf5", hdf5.request(str(path))).tobytes())
    for lie in (
        {"offset": 10**9}, {"offset": -1}, {"shape": [2**40]}, {"shape": [-1]}, {"dtype": "O"}, {"rows": "7"}, {"x": 1},
    ):  # fmt: skip
        entry = {**next(one for one in honest if one["name"] == "/rho"), **lie}
        text = np.frombuffer(json.dumps([entry]).encode(), "u1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(guard, "decode", lambda *_, text=text: text)
            with pytest.raises((BitstreamError, LimitError)):
                media.load(f"{path}::/rho")


def test_bytes_of_hdf5_say_what_to_do(many):
    with pytest.raises(BitstreamError, match="HDF5 file, which holds arrays under names; open it by its path"):
        media.read(many[0].read_bytes())


# --- NetCDF --------------------------------------------------------------------------------------------------------


def classic(path, version, growing):
    """Three variables, two of them along the time axis, of sizes that need padding."""
    time = np.arange(5, dtype="i2")
    x, y = rho()[:5, :3, :3], (rho()[:5, 0, :3] * 50).astype("i1")
    with netcdf_file(path, "w", version=version) as file:
        file.title = "attributes are passed over"
        file.createDimension("time", None if growing else 5)
        file.createDimension("y", 3)
        file.createDimension("x", 3)
        for name, values, axes in (("time", time, ("time",)), ("t", x, ("time", "y", "x")), ("flag", y, ("time", "x"))):
            variable = file.createVariable(name, values.dtype, axes)
            variable.units = "K"
            variable[:] = values
        file.createVariable("label", "c", ("x",))[:] = b"abc"
    return {"time": time, "t": x, "flag": y}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("growing", [False, True])
def test_netcdf_classic_comes_as_scipy_has_it(tmp_path, version, growing):
    wanted = classic(tmp_path / "a.nc", version, growing)
    for name, x in wanted.items():
        back = media.load(f"{tmp_path / 'a.nc'}::{name}").array
        np.testing.assert_array_equal(back, x)
        assert back.dtype == x.dtype
    axes = {one["name"]: one.get("use") for one in media.contents(tmp_path / "a.nc")["arrays"]}
    assert axes == {"time": "axis", "t": None, "flag": None}


def test_the_records_of_a_single_variable_are_not_padded(tmp_path):
    x = np.arange(15, dtype="i1").reshape(5, 3)
    with netcdf_file(tmp_path / "a.nc", "w") as file:
        file.createDimension("time", None)
        file.createDimension("x", 3)
        file.createVariable("v", "i1", ("time", "x"))[:] = x
    np.testing.assert_array_equal(media.load(tmp_path / "a.nc").array, x)


def test_netcdf_5_and_records_that_were_never_counted():
    def number(value, width=8):
        return value.to_bytes(width, "big")

    x = np.arange(6, dtype=">i8").reshape(3, 2)
    head = b"CDF\x05" + number(2**64 - 1) + number(10, 4) + number(2)
    head += number(1) + b"t\0\0\0" + number(0) + number(1) + b"x\0\0\0" + number(2) + number(0, 4) + number(0)
    head += number(11, 4) + number(1) + number(1) + b"v\0\0\0" + number(2) + number(0) + number(1)
    head += number(0, 4) + number(0) + number(10, 4) + number(16)
    data = head + number(len(head) + 8) + x.tobytes()
    np.testing.assert_array_equal(media.read(data).array, x)
    for length in range(len(head)):
        with pytest.raises(BitstreamError):
            netcdf.arrays(data[:length])
    assert media.read(data + bytes(15)).array.shape == (3, 2)  # no record is half there


def test_netcdf_4_takes_the_only_field_beside_its_coordinates(tmp_path):
    xarray = pytest.importorskip("xarray")
    data = xarray.Dataset({"t2m": (("time", "lat", "lon"), rho())}, {"time": np.arange(30.0), "lat": np.arange(8.0)})
    for name, engine in (("4.nc", "h5netcdf"), ("3.nc", "scipy")):
        data.to_netcdf(tmp_path / name, engine=engine)
        np.testing.assert_array_equal(media.load(tmp_path / name).array, rho())
        np.testing.assert_array_equal(media.load(f"{tmp_path / name}::lat").array, np.arange(8.0))


# --- the command line ----------------------------------------------------------------------------------------------


def test_encode_takes_arrays_by_name_and_decode_gives_them_back(many, capsys):
    path, wanted = many
    source, coded, back = f"{path}::/rho", str(path.with_name("rho.mt")), str(path.with_name("rho.npy"))
    assert main(["encode", source, coded, "--codec", "floats"]) == 0
    assert main(["decode", coded, back]) == 0
    np.testing.assert_array_equal(np.load(back), wanted["/rho"])
    assert main(["encode", back, coded, "--codec", "floats"]) == 0
    assert main(["compare", source, back]) == 0
    capsys.readouterr()
    assert main(["info", str(path)]) == 0
    out = capsys.readouterr().out
    assert "hdf5" in out
    assert "/group/packed float32" in out
    assert main(["encode", str(path), coded, "--codec", "floats"]) == 2
    assert f"{path}: this HDF5 file holds 11 arrays" in capsys.readouterr().err


def test_npy_files_are_mapped_and_never_changed(tmp_path):
    x = rho()
    for name, y in (
        ("c", x),
        ("f", np.asfortranarray(x)),
        ("big", x.astype(">f4")),
        ("empty", x[:0]),
        ("one", x[0, 0, 0]),
    ):
        np.save(tmp_path / name, y)
        before = (tmp_path / f"{name}.npy").read_bytes()
        back = media.load(tmp_path / f"{name}.npy").array
        np.testing.assert_array_equal(back, y)
        assert back.flags.c_contiguous
        assert back.dtype == "f4"
        assert is_mapped(back) == (name in ("c", "empty", "one")), name
        back[...] = 5
        assert (tmp_path / f"{name}.npy").read_bytes() == before
    with pytest.raises(LimitError):
        media.load(tmp_path / "c.npy", Limits(max_elements=100))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "c.npy").read_bytes()[:-1])
    with pytest.raises(BitstreamError, match="NPY samples"):
        media.load(tmp_path / "cut.npy")
