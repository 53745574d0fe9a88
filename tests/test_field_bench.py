"""The bench on fields: one bound for every codec, checked on every value; datasets that are made or missing."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import midtread
from midtread.bench import measure, plan, pool, records
from midtread.bench.datasets import open_dataset
from midtread.bench.field_datasets import Turbulence, turbulence
from midtread.bench.run import plan_jobs, run
from midtread.codecs.external.arrays import Zstd
from midtread.codecs.external.fields import Sz3
from midtread.errors import BitstreamError, MissingError, UsageError
from test_field_metrics import smooth

PLAN = """
title = "small fields"
metrics = ["range_psnr_db", "spectrum_error", "slice_ssim"]
[[dataset]]
path = "{folder}"
[[series]]
name = "SZ3"
codec = "sz3"
vary = {{ max_error_of_range = [1e-2, 1e-3] }}
[[series]]
name = "zfp"
codec = "zfp"
vary = {{ max_error_of_range = [1e-2, 1e-3] }}
[[series]]
name = "zstd"
codec = "zstd"
[timing]
items = 1
repeats = 1
[viewer]
items = ["two[1]"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three files, four fields: a sea with land at 1e20, two volumes in one file, and a time series with NaN."""
    folder = tmp_path_factory.mktemp("fields")
    sea = (280 + smooth((30, 40)) / 10).astype(np.float32)
    sea[:10, :15] = 1e20
    np.save(folder / "sea.npy", sea)
    np.save(folder / "two.npy", np.stack([smooth((18, 19, 20)), 50 * smooth((18, 19, 20), seed=5)]))
    series = smooth((3, 4, 12, 14), seed=2).astype(np.float32)
    series[0, 0, 0, :2] = np.nan, -0.0
    np.save(folder / "series.npy", series)
    return folder


@pytest.fixture(scope="module")
def ran(folder, tmp_path_factory) -> Path:
    """The folder of a finished run."""
    out = tmp_path_factory.mktemp("run")
    path = out / "plan.toml"
    path.write_text(PLAN.format(folder=folder))
    outcome = run(plan.load(str(path)), out / "run")
    assert outcome.records == 4 * 5
    return outcome.folder


def found(ran: Path, **wanted: str) -> list[dict]:
    every = records.load(ran).values()
    return [one for one in every if all(one[key] == value for key, value in wanted.items())]


def test_a_file_of_several_volumes_is_several_items_and_thin_ones_stay_together(folder):
    items = [(item.name, item.part) for item in open_dataset(folder)]
    assert items == [("sea", None), ("series", None), ("two[0]", 0), ("two[1]", 1)]
    assert [item.part for item in open_dataset(folder / "two.npy")] == [0, 1]


def test_every_codec_gets_the_same_absolute_bound_whatever_it_takes_for_the_range(ran, folder):
    sea = np.load(folder / "sea.npy")
    span = float(sea[sea < 1e19].max()) - float(sea[sea < 1e19].min())
    (record,) = found(ran, item="sea", series="SZ3", setting="max_error_of_range=0.01")
    assert record["bound"] == pytest.approx(0.01 * span, rel=1e-12)
    assert record["bound_of_range"] == pytest.approx(0.01)
    x = np.load(folder / "two.npy")[1]
    (record,) = found(ran, item="two[1]", series="zfp", setting="max_error_of_range=0.01")
    x_hat = midtread.decode((ran / record["file"]).read_bytes())
    bound = 0.01 * (x.max() - x.min())
    assert record["bound"] == pytest.approx(bound)
    assert record["max_error_over_bound"] == pytest.approx(np.abs(x - x_hat).max() / bound)
    assert record["violations"] == 0


def test_a_record_of_a_field_has_rates_per_value_and_its_shape(ran, folder):
    for record in found(ran, item="two[0]"):
        size = (ran / record["file"]).stat().st_size
        assert record["signal"] == "tensor"
        assert (record["shape"], record["dtype"], record["values"]) == ([18, 19, 20], "float64", 6840)
        assert record["source_bytes"] == 8 * 6840
        assert record["size_bytes"] == size
        assert record["rate_bits_per_value"] == 8 * size / 6840
        assert record["ratio"] == 8 * 6840 / size
        assert "rate_bpp" not in record
        assert record["error"] is None
    (lossless,) = found(ran, item="two[0]", series="zstd")
    assert (lossless["bound"], lossless["violations"], lossless["metrics"]["range_psnr_db"]) == (None, None, None)


def test_a_refusal_is_a_record_with_the_reason_and_costs_nobody_else(ran):
    refused = {(one["series"], one["item"]) for one in records.load(ran).values() if one["error"]}
    assert refused == {("zfp", "sea"), ("zfp", "series")}
    assert all("zfp" in one["error"] for one in records.load(ran).values() if one["error"])


def test_only_the_first_field_is_timed_and_the_original_of_the_viewer_is_kept(ran, folder):
    timed = [one for one in records.load(ran).values() if one["timing"]]
    assert {one["item"] for one in timed} == {"sea"}
    assert all(one["timing"]["encode_s"]["median"] > 0 for one in timed)
    (entry,) = json.loads((ran / "run.json").read_text())["viewer"]
    np.testing.assert_array_equal(np.load(ran / entry["original"]), np.load(folder / "two.npy")[1])


def job_of(folder: Path, tmp_path: Path, series: str, item: str) -> measure.Job:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN.format(folder=folder))
    jobs = plan_jobs(plan.load(str(path)), tmp_path / "out")
    return next(job for job in jobs if (job.series, job.item) == (series, item))


def test_a_codec_that_breaks_its_bound_is_told_by_how_much_and_how_often(folder, tmp_path, monkeypatch):
    job = job_of(folder, tmp_path, "SZ3", "two[0]")
    decode = Sz3.decode

    def worse(self, data):
        x = decode(self, data)
        x.reshape(-1)[[3, 5, 7]] += 0.05 * (x.max() - x.min())  # five bounds and more
        return x

    monkeypatch.setattr(Sz3, "decode", worse)
    record = measure.rate_distortion(job, ("range_psnr_db",))
    assert record["violations"] == 3
    assert 4 < record["max_error_over_bound"] < 6.1
    assert record["error"] is None  # a number of the codec, not a failure of the bench


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x + 0.0, "says it is lossless"),  # -0.0 becomes 0.0
        (lambda x: np.nan_to_num(x), "says it is lossless"),
        (lambda x: x.astype(np.float64), r"float64 of \[3, 4, 12, 14\] float32"),
        (lambda x: x[0], r"made \[4, 12, 14\]"),
    ],
)
def test_lossless_means_every_bit(folder, tmp_path, monkeypatch, change, words):
    import re

    job = job_of(folder, tmp_path, "zstd", "series")
    assert measure.rate_distortion(job, ("range_psnr_db",))["error"] is None  # NaN equals itself here
    decode = Zstd.decode
    monkeypatch.setattr(Zstd, "decode", lambda self, data: change(decode(self, data)))
    assert re.search(words, measure.rate_distortion(job, ("range_psnr_db",))["error"])


def test_absolute_bounds_and_codecs_without_one_are_left_alone(folder, tmp_path):
    job = job_of(folder, tmp_path, "SZ3", "sea")
    x = np.load(folder / "sea.npy")
    assert dataclasses.replace(job, options={"max_error": 0.5}).open(x).max_error == 0.5
    assert dataclasses.replace(job, codec="zstd", options={"level": 5}).open(x).level == 5
    constant = np.full((4, 4), 7.0)
    assert job.open(constant).max_error_of_range == 0.01  # no range: the codec's own business


# -- datasets ---------------------------------------------------------------------------------------------------------


def test_turbulence_is_seeded_and_has_its_spectrum():
    x = turbulence(48)
    np.testing.assert_array_equal(x, turbulence(48))
    assert x.dtype == np.float32
    assert (abs(x.mean()) < 1e-6, x.std()) == (True, pytest.approx(1, abs=1e-6))
    power = np.abs(np.fft.fftn(x)) ** 2
    k = np.sqrt(sum(np.square(one) for one in np.meshgrid(*[np.fft.fftfreq(48, 1 / 48)] * 3, indexing="ij")))
    inside = (k >= 3) & (k < 20)
    slope = np.polyfit(np.log(k[inside]), np.log(power[inside]), 1)[0]
    assert slope == pytest.approx(-11 / 3, abs=0.1)


def test_synthetic_fields_are_made_once_and_kept_in_the_cache(tmp_path, monkeypatch):
    origin = Turbulence(16)
    files = [path for path, _ in origin.find("t", (tmp_path / "data",), tmp_path / "cache")]
    assert [path.name for path in files] == ["density.npy", "velocity.npy"]
    density, velocity = map(np.load, files)
    np.testing.assert_allclose(density, np.exp(1.8 * velocity), rtol=1e-5)
    monkeypatch.setattr("midtread.bench.field_datasets.turbulence", lambda side: pytest.fail("made again"))
    assert [path for path, _ in origin.find("t", (), tmp_path / "cache")] == files
    (tmp_path / "data").mkdir()
    (tmp_path / "cache").rename(tmp_path / "data" / "t")
    assert origin.find("t", (tmp_path / "data",), tmp_path / "cache")[0][0].parent == tmp_path / "data" / "t"


def test_a_dataset_put_there_by_hand_says_where_and_checks_what_it_finds(tmp_path, monkeypatch):
    monkeypatch.setenv("MIDTREAD_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(MissingError, match=r"femm_B_3x47x47x47_f64.npy is missing; docs/datasets.md .*fields/"):
        open_dataset("fields")
    (tmp_path / "fields").mkdir()
    (tmp_path / "fields" / "femm_B_3x47x47x47_f64.npy").write_bytes(b"not it")
    with pytest.raises(BitstreamError, match="is not the femm_B"):
        open_dataset("fields")


def parsed(text: str) -> plan.Plan:
    import tomllib

    return plan.parse(tomllib.loads(text), "plan.toml")


def test_a_plan_runs_without_an_optional_dataset_and_names_it(tmp_path, monkeypatch, folder):
    monkeypatch.setenv("MIDTREAD_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    series = '[[series]]\nname = "a"\ncodec = "zstd"\n'
    here = f'[[dataset]]\npath = "{folder}"\n'
    missing = '[[dataset]]\nname = "fields"\n'
    one = parsed(here + missing + "optional = true\n" + series)
    assert [choice.path for choice in one.datasets] == [str(folder)]
    assert [(absent["what"], "by hand" in absent["install"]) for absent in one.absent] == [("dataset fields", True)]
    monkeypatch.setattr(pool, "run", lambda work, places: iter(()))  # nothing is measured here
    viewed = parsed(here + missing + "optional = true\n" + series + '[viewer]\nitems = ["sea", "one of the missing"]')
    run(viewed, tmp_path / "out")
    assert [one["item"] for one in json.loads((tmp_path / "out" / "run.json").read_text())["viewer"]] == ["sea"]
    assert len(parsed(here + missing + series).datasets) == 2, "what is not optional is missed when the plan runs"
    with pytest.raises(MissingError, match="no dataset of this plan is here"):
        parsed(missing + "optional = true\n" + series)
    with pytest.raises(UsageError, match="optional is 'yes'; it takes true or false"):
        parsed(missing + 'optional = "yes"\n' + series)
    with pytest.raises(UsageError, match="takes a number"):
        parsed(here + series + "[timing]\nitems = true")


def test_compare_measures_fields_by_the_metrics_of_fields_and_pictures_by_theirs(tmp_path):
    x = smooth((20, 21, 22)).astype(np.float32)
    np.save(tmp_path / "a.npy", x)
    np.save(tmp_path / "b.npy", (x + 0.01).astype(np.float64))
    np.save(tmp_path / "c.npy", np.zeros((20, 20, 3), np.uint8))

    def names(a: str, b: str) -> set[str]:
        command = [sys.executable, "-m", "midtread", "compare", str(tmp_path / a), str(tmp_path / b), "--json"]
        return set(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))

    of_fields = {"range_psnr_db", "nrmse", "gradient_error", "spectrum_error", "slice_ssim", "max_error"}
    assert names("a.npy", "b.npy") == of_fields
    assert {"psnr_db", "ssim", "max_error"} <= names("c.npy", "c.npy")
    assert not names("c.npy", "c.npy") & (of_fields - {"max_error"})
