"""Fields on the command line: written piece by piece, decoded into a map, nothing left over when that fails."""

import json

import numpy as np
import pytest

from midtread import cli


@pytest.fixture
def rho(tmp_path):
    x = np.cumsum(np.random.default_rng(0).normal(size=(20, 30, 40)), -1).astype(np.float32)
    x[3] = 1e20
    np.save(tmp_path / "rho.npy", x)
    return x


def run(*arguments, capsys):
    code = cli.main([str(argument) for argument in arguments])
    return code, capsys.readouterr()


def test_a_field_goes_to_a_file_and_back(rho, tmp_path, capsys):
    source, coded, back = (tmp_path / name for name in ("rho.npy", "rho.mt", "back.npy"))
    code, said = run("encode", source, coded, "--codec", "field", "--max-error-of-range", "1e-3", capsys=capsys)
    assert code == 0
    assert f"{coded.stat().st_size} bytes" in said.out
    code, said = run("decode", coded, back, capsys=capsys)
    assert (code, said.out.split()[1:]) == (0, ["20", "x", "30", "x", "40", "float32"])
    x_hat = np.load(back)
    real = rho < 1e19
    assert np.abs(x_hat - rho)[real].max() <= 1e-3 * np.ptp(rho[real])
    assert (x_hat[3] == 1e20).all()
    code, said = run("compare", source, back, "--json", capsys=capsys)
    assert json.loads(said.out)["range_psnr_db"] > 60
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back.npy", "rho.mt", "rho.npy"]


def test_targets_are_options_too(rho, tmp_path, capsys):
    source, coded = tmp_path / "rho.npy", tmp_path / "rho.mt"
    assert run("encode", source, coded, "--codec", "field", "--set", "ratio=20", capsys=capsys)[0] == 0
    assert 0.9 * rho.nbytes / 20 < coded.stat().st_size <= rho.nbytes / 20
    assert run("encode", source, coded, "--codec", "field", "--psnr", "50", capsys=capsys)[0] == 0
    _, said = run("compare", source, coded, "--json", capsys=capsys)
    assert 50 <= json.loads(said.out)["range_psnr_db"] < 50.3


def test_what_fails_leaves_nothing_behind(rho, tmp_path, capsys):
    source, coded, back = (tmp_path / name for name in ("rho.npy", "rho.mt", "back.npy"))
    code, said = run("encode", source, coded, "--codec", "field", "--set", "max_error=-1", capsys=capsys)
    assert code == 2
    assert "max_error=-1" in said.err
    assert "Traceback" not in said.err
    run("encode", source, coded, "--codec", "field", capsys=capsys)
    damaged = bytearray(coded.read_bytes())
    damaged[-9] ^= 1
    coded.write_bytes(damaged)
    back.write_bytes(b"old")
    code, said = run("decode", coded, back, capsys=capsys)
    assert code == 1
    assert "box 0 of 1" in said.err
    assert back.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back.npy", "rho.mt", "rho.npy"]


def test_a_bound_that_saves_nothing_is_said_in_one_line(rho, tmp_path, capsys):
    code, said = run(
        "encode", tmp_path / "rho.npy", tmp_path / "rho.mt", "--codec", "field", "--max-error", "1e-9", capsys=capsys
    )
    assert code == 0
    assert said.err.splitlines() == [
        "midtread: codec 'field': a bound of 1e-09 saves nothing on this float32 array; every bit is kept"
    ]
