"""The bench: plans are checked, records are whole, a killed run resumes, a crash costs one record."""

import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import midtread
from midtread import media
from midtread.bench import measure, plan, pool, records
from midtread.bench.run import plan_jobs, run
from midtread.cli import main
from midtread.codecs.external.lossless import Png
from midtread.errors import BitstreamError, CodecError, UsageError
from midtread.registry import CODECS
from midtread.spec import check_choice, check_range, note
from pictures import photo_like

PLAN = """
title = "small"
metrics = ["psnr_db", "max_error"]
[[dataset]]
path = "{folder}"
[[series]]
name = "JPEG 4:2:0"
codec = "jpeg"
vary = {{ quality = [30, 60, 90] }}
[[series]]
name = "PNG"
codec = "png"
[timing]
items = 1
repeats = 3
[viewer]
items = ["a"]
"""


@pytest.fixture
def small_plan(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for seed, name in enumerate(("a", "b")):
        media.save(pictures / f"{name}.png", photo_like((40, 56, 3), seed=seed))
    path = tmp_path / "plan.toml"
    path.write_text(PLAN.format(folder=pictures))
    return path


def parsed(text: str):
    import tomllib

    return plan.parse(tomllib.loads(text), "plan.toml")


def test_a_run_leaves_one_whole_record_per_point_and_picture(small_plan, tmp_path):
    outcome = run(plan.load(str(small_plan)), tmp_path / "out")
    assert (outcome.records, outcome.measured, outcome.failures) == (8, 8 + 4, 0)
    found = list(records.load(tmp_path / "out").values())
    for record in found:
        file = tmp_path / "out" / record["file"]
        assert record["size_bytes"] == file.stat().st_size
        assert record["rate_bpp"] == 8 * record["size_bytes"] / (40 * 56)
        x = media.load(tmp_path / "pictures" / f"{record['item']}.png").array
        x_hat = midtread.decode(file.read_bytes())
        assert record["metrics"]["max_error"] == np.abs(x.astype(int) - x_hat).max()
        assert record["machine"]["cpu"]
        assert record["versions"]["numpy"] == np.__version__
        assert record["backend"]
    timed = [record for record in found if record["timing"]]
    assert {record["item"] for record in timed} == {"a"}
    for record in timed:
        timing = record["timing"]
        assert timing["repeats"] == 3
        assert timing["threads"] == 1
        for clock in ("encode_s", "decode_s", "encode_file_s", "decode_file_s"):
            assert 0 < timing[clock]["q1"] <= timing[clock]["median"] <= timing[clock]["q3"]
        assert timing["encode_peak_bytes"] >= 0


def test_running_again_measures_nothing_and_a_new_setting_only_itself(small_plan, tmp_path):
    run(plan.load(str(small_plan)), tmp_path / "out")
    before = (tmp_path / "out" / records.FILE).read_bytes()
    assert run(plan.load(str(small_plan)), tmp_path / "out").measured == 0
    assert (tmp_path / "out" / records.FILE).read_bytes() == before
    small_plan.write_text(small_plan.read_text().replace("[30, 60, 90]", "[30, 60, 90, 95]"))
    assert run(plan.load(str(small_plan)), tmp_path / "out").measured == 2 + 1


def test_a_run_that_was_killed_half_way_resumes_without_loss_or_doubles(small_plan, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "midtread", "bench", str(small_plan), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (out / records.FILE).is_file():
        time.sleep(0.02)
    while time.monotonic() < deadline and (out / records.FILE).stat().st_size == 0:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with (out / records.FILE).open("ab") as file:
        file.write(b'{"schema":1,"key":"half a li')  # as if the kill had hit the middle of a write
    kept = set(records.load(out))
    outcome = run(plan.load(str(small_plan)), out)
    lines = (out / records.FILE).read_text().splitlines()
    keys = [json.loads(line)["key"] for line in lines]
    assert len(keys) == len(set(keys)) == outcome.records == 8
    assert kept <= set(keys)


def test_two_benches_cannot_write_to_one_folder(small_plan, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with records.Writer(out), pytest.raises(CodecError, match="another bench"):
        run(plan.load(str(small_plan)), out)


def test_a_full_disk_is_said_and_the_records_stay_whole(tmp_path):
    with records.Writer(tmp_path) as writer:
        writer.append({"key": "one"})
        good = writer._file

        class Full:
            def write(self, _):
                raise OSError(28, "No space left on device")

        writer._file = Full()
        with pytest.raises(CodecError, match=r"No space left.*goes on where it stopped"):
            writer.append({"key": "two"})
        writer._file = good
    assert set(records.load(tmp_path)) == {"one"}


def test_a_line_that_is_no_record_is_named(tmp_path):
    (tmp_path / records.FILE).write_text('{"key": "a"}\nnonsense\n')
    with pytest.raises(BitstreamError, match="line 2"):
        records.load(tmp_path)


def crash(job, metrics):
    if job.options.get("quality") == 60:
        os.kill(os.getpid(), signal.SIGSEGV)
    return measure.failure(job, None)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="the stand-in travels by fork")
def test_a_codec_that_crashes_costs_its_own_record_only(small_plan, tmp_path, monkeypatch):
    # forked workers inherit the stand-in; a forkserver's would import the real one
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: _FORK)
    monkeypatch.setattr(measure, "rate_distortion", crash)
    small_plan.write_text(small_plan.read_text().replace("items = 1", "items = 0"))
    outcome = run(plan.load(str(small_plan)), tmp_path / "out")
    assert (outcome.records, outcome.failures) == (8, 2)
    errors = {record["error"] for record in records.load(tmp_path / "out").values()}
    assert errors == {None, "the codec crashed its process (signal 11)"}


_FORK = multiprocessing.get_context("fork")


def test_a_codec_that_lies_about_being_lossless_is_a_failure(small_plan, tmp_path, monkeypatch):
    monkeypatch.setattr(Png, "decode", lambda self, data: np.zeros((40, 56, 3), np.uint8))
    job = next(job for job in plan_jobs(plan.load(str(small_plan)), tmp_path) if job.codec == "png")
    record = measure.rate_distortion(job, ("psnr_db",))
    assert "says it is lossless" in record["error"]


def test_a_clock_reports_quartiles_and_stops_for_slow_work():
    clock = measure.Clock(repeats=50, max_seconds=0.1)
    whole, _ = clock.run(lambda: time.sleep(0.04))
    assert clock.fewest in (1, 2)
    assert whole["q1"] >= 0.04
    assert measure.quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == {"median": 3.0, "q1": 2.0, "q3": 4.0}


def test_stages_are_timed_inside_the_whole():
    from midtread.spec import stage

    def work():
        for _ in range(2):
            with stage("colour"):
                time.sleep(0.005)
        with stage("encode"):
            time.sleep(0.002)

    whole, stages = measure.Clock(repeats=3, max_seconds=10).run(work)
    assert set(stages) == {"colour", "encode"}
    assert stages["colour"]["median"] >= 0.01
    assert sum(stage["median"] for stage in stages.values()) <= whole["median"] * 1.05


def test_peak_memory_sees_an_allocation():
    code = """
import numpy as np
from midtread.bench.machine import PeakMemory
with PeakMemory() as memory:
    np.ones(40_000_000, np.uint8).sum()
print(memory.peak_bytes)
"""  # in a fresh process, as the bench does: this one holds freed memory that would hide the new
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    if found == "None":
        pytest.skip("this system does not tell a process's peak memory")
    assert 38e6 < int(found) < 80e6


def test_only_the_setting_nearest_to_a_rate_is_timed_and_the_choice_holds_when_run_again(small_plan, tmp_path):
    text = small_plan.read_text().replace("repeats = 3", "repeats = 1\nnear_bpp = 3.0")
    small_plan.write_text("keep_files = false\n" + text.replace('[viewer]\nitems = ["a"]', ""))
    assert run(plan.load(str(small_plan)), tmp_path / "out").measured == 8 + 2
    found = records.load(tmp_path / "out").values()
    means = {}
    for setting in ("quality=30", "quality=60", "quality=90"):
        means[setting] = np.mean([record["rate_bpp"] for record in found if record["setting"] == setting])
    nearest = min(means, key=lambda setting: abs(np.log(means[setting] / 3.0)))
    timed = {(record["setting"], record["item"]) for record in found if record["timing"]}
    assert timed == {(nearest, "a"), ("default", "a")}
    assert run(plan.load(str(small_plan)), tmp_path / "out").measured == 0, "files that were thrown away stay so"


def test_only_the_settings_that_are_asked_for_are_timed(small_plan, tmp_path):
    text = small_plan.read_text().replace("repeats = 3", 'repeats = 1\nsettings = ["quality=60", "default"]')
    small_plan.write_text(text)
    assert run(plan.load(str(small_plan)), tmp_path / "out").measured == 8 + 2
    timed = [record for record in records.load(tmp_path / "out").values() if record["timing"]]
    assert {(record["setting"], record["item"]) for record in timed} == {("quality=60", "a"), ("default", "a")}


SERIES = '[[series]]\nname = "a"\ncodec = "jpeg"\n'
DATASET = '[[dataset]]\nname = "examples"\n'
GRID = """
[[grid]]
codec = "stages"
model = ["a", "b"]
coder = ["rans", "huffman"]
options = { level = 1 }
vary = { step = [1, 2] }
"""


@dataclass(frozen=True)
class Stages(Png):
    """A stand-in for a codec of stages: refuses one pair of them, and tells an ideal code length of `step` bytes."""

    name: ClassVar[str] = "stages"
    model: str = "a"
    coder: str = "rans"
    step: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self.name, "step", self.step, 1, 9)
        check_choice(self.name, "model", self.model, ("a", "b"))
        if (self.model, self.coder) == ("b", "huffman"):
            raise UsageError("model 'b' has no whole bits for 'huffman'")

    def encode(self, x: np.ndarray) -> bytes:
        note(ideal_bytes=self.step / 2)
        note(ideal_bytes=self.step / 2)
        return super().encode(x)


@pytest.fixture
def stages(monkeypatch):
    monkeypatch.setitem(CODECS._targets, "stages", f"{__name__}:Stages")


def test_a_grid_becomes_series_and_what_the_codec_refuses_is_listed_with_its_reason(stages):
    found = parsed(DATASET + SERIES + GRID)
    assert [one.name for one in found.series[1:]] == ["a · rans", "a · huffman", "b · rans"]
    assert found.series[1].settings()[1] == ("step=2", {"level": 1, "model": "a", "coder": "rans", "step": 2})
    at = {"model": "b", "coder": "huffman"}
    why = "model 'b' has no whole bits for 'huffman'"
    assert found.refused == ({"series": "b · huffman", "codec": "stages", "at": at, "why": why},)
    assert found.anchor == "a"
    assert parsed(DATASET + GRID).anchor == "a · rans"


def test_a_combination_of_two_grids_is_measured_once(stages):
    found = parsed(DATASET + GRID + GRID.replace('["a", "b"]', '["a"]'))
    assert [one.name for one in found.series] == ["a · rans", "a · huffman", "b · rans"]
    with pytest.raises(UsageError, match="two series are called 'a · rans'"):
        parsed(DATASET + GRID + GRID.replace("[1, 2]", "[1, 3]"))


def test_the_ideal_code_length_is_that_of_the_file_that_was_measured(small_plan, tmp_path, stages):
    folder = small_plan.parent / "pictures"
    found = parsed(f"[[dataset]]\npath = '{folder}'\n" + GRID)
    job = next(job for job in plan_jobs(found, tmp_path) if job.options["step"] == 2)
    record = measure.rate_distortion(job, ("max_error",))
    assert record["ideal_bytes"] == 2.0
    assert record["size_bytes"] == (tmp_path / record["file"]).stat().st_size
    silent = dataclasses.replace(job, codec="png", options={})
    assert measure.rate_distortion(silent, ("max_error",))["ideal_bytes"] is None


def test_run_json_holds_the_grid_and_what_was_refused(small_plan, tmp_path, stages, monkeypatch, capsys):
    monkeypatch.setattr(pool, "run", lambda work, places: iter(()))  # nothing is measured here
    small_plan.write_text(small_plan.read_text().replace("[timing]\nitems = 1\nrepeats = 3\n", "") + GRID)
    assert main(["bench", str(small_plan), "--out", str(tmp_path / "out")]) == 0
    assert "1 combination of the grid left out, such as b · huffman: model 'b' has" in capsys.readouterr().err
    description = json.loads((tmp_path / "out" / "run.json").read_text())
    assert description["grids"] == [{"codec": "stages", "axes": {"model": ["a", "b"], "coder": ["rans", "huffman"]}}]
    assert [one["series"] for one in description["refused"]] == ["b · huffman"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (DATASET + SERIES + "[timng]\nitems = 1", "unknown key 'timng'; did you mean 'timing'"),
        (DATASET + SERIES + "vry = {quality = [1]}", "number 1: unknown key 'vry'; did you mean 'vary'"),
        (DATASET + SERIES + "vary = {qualty = [1]}", "no option 'qualty'; did you mean 'quality'"),
        (DATASET + SERIES + "vary = {quality = [500]}", "quality=500"),
        (DATASET + SERIES + "vary = {quality = 5}", "list of values"),
        (DATASET + SERIES + SERIES, "two series are called 'a'"),
        (DATASET + '[[series]]\nname = "a"\ncodec = "jpge"', "did you mean 'jpeg'"),
        (DATASET + '[[series]]\ncodec = "jpeg"', "has no name"),
        ('metrics = ["psnr"]\n' + DATASET + SERIES, "metrics: unknown metric 'psnr'"),
        ('anchor = "b"\n' + DATASET + SERIES, "anchor 'b' is no series"),
        (DATASET + GRID.replace('"a"', '"c"'), "model='c' is refused in every combination"),
        (DATASET + GRID.replace("coder", "codr"), "no option 'codr'; did you mean 'coder'"),
        (DATASET + GRID.replace('["rans", "huffman"]', '"rans"'), "number 1: coder is 'rans'; an option of a grid"),
        (DATASET + GRID.replace('["rans", "huffman"]', '["rans", "rans"]'), "list of different values"),
        (DATASET + GRID.replace("[1, 2]", "[1, 99]"), "step=99"),
        (DATASET + '[[grid]]\ncodec = "jpeg"', "no option with a list of values"),
        (DATASET + '[[grid]]\ncodec = "jpge"\nquality = [1]', "did you mean 'jpeg'"),
        (DATASET + "[[grid]]\nquality = [1]", "number 1 has no codec"),
        (DATASET + SERIES + "options = 3", "options is 3; it takes a table"),
        (DATASET + SERIES.replace('"a"', '"a · rans"') + GRID, "two series are called 'a · rans'"),
        (SERIES, "at least one"),
        (DATASET, "at least one"),
        ("[dataset]\nname='examples'\n" + SERIES, "double brackets"),
        (DATASET + SERIES + '[timing]\nitems = "all"', "takes a number"),
        (DATASET + SERIES + '[timing]\nsettings = "default"', "settings is 'default'; it takes a list"),
        (DATASET + SERIES + '[timing]\nsettings = ["defualt"]', "no series has the setting 'defualt'; did you mean"),
        (DATASET + SERIES + "[timing]\nnear_bpp = -1", "near_bpp is -1; it takes a finite number"),
        (DATASET + SERIES + "[timing]\nnear_bpp = nan", "near_bpp is nan; it takes a finite number"),
        ("title = 3\n" + DATASET + SERIES, "title is 3"),
        ("title = [", "TOML"),
    ],
    ids=lambda value: value.replace("\n", " ")[-30:],
)
def test_a_plan_with_a_mistake_is_refused_before_anything_runs(tmp_path, stages, text, words):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        plan.load(str(path))
    assert words in str(caught.value)
    assert "plan.toml" in str(caught.value)


def test_an_unknown_plan_and_an_unknown_item_are_refused(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'demo'"):
        plan.load("dmeo")
    with pytest.raises(UsageError, match="no item 'astronot'"):
        run(parsed(DATASET + 'items = ["astronot"]\n' + SERIES), tmp_path / "out")


def test_every_built_in_plan_is_sound():
    for name in plan.built_in():
        assert plan.load(name).series
    grid = plan.load(str(Path(__file__).parents[1] / "benchmarks" / "grid.toml"))
    assert len(grid.series) == 47
    assert {tuple(one.axes) for one in grid.grids} == {("transform", "quantizer", "model", "coder")}


def test_a_pipeline_tells_the_ideal_code_length_of_its_file(small_plan, tmp_path):
    folder = small_plan.parent / "pictures"
    text = f"""
[[dataset]]
path = '{folder}'
[[grid]]
codec = "pipeline"
model = ["static", "none"]
coder = ["rans", "huffman", "zstd"]
vary = {{ step = [16] }}
"""
    found = parsed(text)
    assert [one.name for one in found.series] == ["static · rans", "static · huffman", "none · zstd"]
    assert len(found.refused) == 3
    jobs = [job for job in plan_jobs(found, tmp_path) if job.item == "a"]
    rans, huffman, zstd = (measure.rate_distortion(job, ("psnr_db",)) for job in jobs)
    assert rans["ideal_bytes"] == pytest.approx(huffman["ideal_bytes"])
    assert 0 < rans["ideal_bytes"] < rans["size_bytes"] < huffman["size_bytes"]
    assert zstd["ideal_bytes"] is None
    assert rans["metrics"] == huffman["metrics"] == zstd["metrics"]


def test_what_is_not_installed_is_listed_and_yields_no_row(monkeypatch):
    from midtread.codecs.external.jpeg import Jpeg

    monkeypatch.setattr(Jpeg, "needs", (("no_such_module", "pip install no-such"),))
    found = parsed(DATASET + SERIES + '[[series]]\nname = "b"\ncodec = "png"')
    assert [one.name for one in found.series] == ["b"]
    assert found.absent == ({"what": "codec jpeg", "series": "a", "install": "pip install no-such"},)


def test_the_command_line_benches_and_reports(small_plan, tmp_path, capsys):
    assert main(["bench", str(small_plan), "--out", str(tmp_path / "out")]) == 0
    assert "8 records" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "out")]) == 0
    page = capsys.readouterr().out.strip()
    assert "JPEG 4:2:0" in Path(page).read_text()


def test_a_report_of_nothing_is_refused(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_files_that_were_thrown_away_are_made_again_only_to_be_timed(small_plan, tmp_path):
    text = small_plan.read_text()
    small_plan.write_text("keep_files = false\n" + text.replace("items = 1", "items = 0"))
    run(plan.load(str(small_plan)), tmp_path / "out")
    kept = [path.name for path in (tmp_path / "out" / "files").rglob("*.*") if path.is_file()]
    assert {name.split(".")[0] for name in kept} == {"a"}, "the report shows picture a, its files stay"
    small_plan.write_text("keep_files = false\n" + text.replace("items = 1", "items = 2"))
    outcome = run(plan.load(str(small_plan)), tmp_path / "out")
    assert outcome.measured == 4 + 8, "the four files of picture b again, then all eight timed"
    assert all(record["timing"] for record in records.load(tmp_path / "out").values())
