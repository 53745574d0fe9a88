"""What networks cost: counted against formulas worked out by hand, kept in records, shown beside what has none."""

import csv
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import pytest

import report_records as made
from midtread import media
from midtread.bench import measure, plan, records, report, report_data, report_network
from midtread.bench.query import Records
from midtread.bench.run import plan_jobs
from midtread.codecs.external.lossless import Png
from midtread.errors import MissingError, UsageError
from midtread.registry import CODECS
from midtread.spec import PRECISIONS, Codec, Complexity, StageCost, stage
from pictures import photo_like

NETWORK = Complexity(
    parameters=480_000,
    weights_bytes=1_900_000,
    encode=(StageCost("analysis", 5000.0), StageCost("hyper", 300.0, "fp16"), StageCost("entropy", 1000.0, "int8")),
    decode=(StageCost("entropy", 1000.0, "int8"), StageCost("synthesis", 4000.0)),
)
KODAK = Path(__file__).parents[1] / "benchmarks" / "results" / "kodak"


@dataclass(frozen=True)
class Imaginary(Png):
    """PNG that says it has a network, the larger the higher its level."""

    name: ClassVar[str] = "imaginary"
    family: ClassVar[str] = "learned"
    absent: bool = False

    def complexity(self) -> Complexity:
        if self.absent:
            raise MissingError("the weights of 'imaginary' are not here")
        return NETWORK

    def encode(self, x):
        with stage("analysis"):
            time.sleep(0.002)
        with stage("entropy"):
            return super().encode(x)

    def decode(self, data):
        with stage("synthesis"):
            return super().decode(data)


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """One picture: the imaginary codec with and without its weights, and PNG."""
    monkeypatch.setitem(CODECS._targets, "imaginary", f"{__name__}:Imaginary")
    media.save(tmp_path / "a.png", photo_like((40, 56, 3), seed=1))
    series = [("learned", "imaginary", "{}"), ("absent", "imaginary", "{absent = true}"), ("PNG", "png", "{}")]
    text = f'metrics = ["psnr_db"]\n[[dataset]]\npath = "{tmp_path}"\n'
    for name, codec, options in series:
        text += f'[[series]]\nname = "{name}"\ncodec = "{codec}"\noptions = {options}\n'
    (tmp_path / "plan.toml").write_text(text)
    return {job.series: job for job in plan_jobs(plan.load(str(tmp_path / "plan.toml")), tmp_path / "out")}


# -- records ------------------------------------------------------------------------------------------------------


def test_a_record_holds_what_the_codec_tells_of_its_network_and_survives_the_file(jobs, tmp_path):
    record = measure.rate_distortion(jobs["learned"], ("psnr_db",))
    assert record["error"] is None
    assert (record["macs_per_pixel"], record["parameters"]) == (5000.0, 480_000)
    assert record["complexity"] == asdict(NETWORK)
    with records.Writer(tmp_path) as writer:
        writer.append(record)
    (found,) = records.load(tmp_path).values()
    assert found["complexity"]["weights_bytes"] == 1_900_000
    assert found["complexity"]["encode"][2] == {"stage": "entropy", "macs_per_pixel": 1000.0, "precision": "int8"}


def test_a_codec_without_a_network_has_none_in_its_record(jobs):
    assert Codec.complexity(Png()) is None
    record = measure.rate_distortion(jobs["PNG"], ("psnr_db",))
    assert (record["macs_per_pixel"], record["parameters"], record["complexity"]) == (None, None, None)


def test_absent_weights_are_a_record_with_their_message(jobs):
    record = measure.rate_distortion(jobs["absent"], ("psnr_db",))
    assert record["error"] == "MissingError: the weights of 'imaginary' are not here"
    assert record["complexity"] is None


def test_the_times_of_the_stages_of_a_network_are_in_its_record(jobs):
    measure.rate_distortion(jobs["learned"], ("psnr_db",))
    times = measure.timing(jobs["learned"], repeats=2, max_seconds=1)
    assert {"analysis", "entropy"} <= set(times["encode_stages_s"])
    assert times["encode_stages_s"]["analysis"]["median"] >= 0.002
    assert "synthesis" in times["decode_stages_s"]


def test_a_precision_that_nobody_knows_is_refused_with_those_that_are_known():
    with pytest.raises(UsageError, match=r"stage 'analysis' has precision='int9'; it takes 'fp32', 'fp16'"):
        StageCost("analysis", 1.0, "int9")


def test_records_of_before_networks_were_told_still_load_and_make_a_report(tmp_path):
    lines = (KODAK / "records.jsonl").read_text().splitlines(keepends=True)
    old = [line for line in lines if "complexity" not in json.loads(line)]
    (tmp_path / "records.jsonl").write_text("".join(old))
    series = Records([tmp_path]).series()
    assert len(records.load(tmp_path)) > 1000
    assert len(series) > 10
    assert all(one["complexities"] == [] and report_network.network(one) is None for one in series)


def test_an_old_record_of_a_network_keeps_the_two_numbers_that_it_knows(tmp_path):
    one = {row["name"]: row for row in payload(tmp_path, made.records())["series"]}["Small network"]
    assert one["network"]["parameters"] == 480_000
    assert one["network"]["decode"]["macs_per_pixel"] == 24_000
    assert (one["network"]["encode"], one["network"]["weights_bytes"]) == (None, None)


# -- energy -------------------------------------------------------------------------------------------------------


def test_energy_is_macs_times_that_of_a_multiplication_and_an_addition():
    assert report_network.millijoules_per_megapixel(1000, "fp32") == pytest.approx(4.6)  # 1e3 * 1e6 * 4.6e-12 J
    assert report_network.millijoules_per_megapixel(1000, "fp16") == pytest.approx(1.5)
    assert report_network.millijoules_per_megapixel(1000, "int8") == pytest.approx(0.3)


def test_every_precision_has_an_energy_or_is_known_to_have_none():
    assert {name for name in PRECISIONS if report_network.millijoules_per_megapixel(1, name) is None} == {"fp8"}


def row_of(*complexities: Complexity) -> dict:
    known = [json.loads(json.dumps(asdict(one))) for one in complexities]
    return {"macs_per_pixel": None, "parameters": None, "complexities": known}


def test_the_energy_of_a_network_is_the_sum_of_its_stages_each_in_its_precision():
    found = report_network.network(row_of(NETWORK))
    assert found["encode"]["macs_per_pixel"] == 6300
    assert found["encode"]["mj_per_mpx"] == pytest.approx(5 * 4.6 + 0.3 * 1.5 + 1 * 0.3)
    assert found["decode"]["mj_per_mpx"] == pytest.approx(4 * 4.6 + 1 * 0.3)
    assert found["decode"]["stages"][0] == ["entropy", 1000.0, "int8", 0.3]
    assert found["decode"]["as"] == {"fp32": 23.0, "fp16": 7.5, "int8": 1.5}


def test_a_stage_without_an_estimate_leaves_the_sum_without_one():
    found = report_network.network(row_of(Complexity(1, 1, (), (StageCost("a", 10.0, "fp8"), StageCost("b", 10.0)))))
    assert found["decode"]["mj_per_mpx"] is None
    assert found["decode"]["macs_per_pixel"] == 20


def test_of_several_networks_in_one_series_the_costliest_is_shown():
    small = Complexity(10, 20, (StageCost("analysis", 1.0),), (StageCost("synthesis", 9000.0),))
    for order in ((small, NETWORK), (NETWORK, small)):
        assert report_network.network(row_of(*order))["parameters"] == 480_000


# -- the page -----------------------------------------------------------------------------------------------------


def payload(folder: Path, lines: list[dict]) -> dict:
    made.write_run(folder, lines)
    return report_data.payload(Records([folder]), json.loads((folder / "run.json").read_text()))


def with_network() -> list[dict]:
    """The made-up run; its small network tells what it costs."""
    lines = made.records()
    return [line | ({"complexity": asdict(NETWORK)} if line["family"] == "learned" else {}) for line in lines]


def test_learned_and_conventional_series_stand_in_one_table_and_only_the_learned_have_a_network(tmp_path):
    data = payload(tmp_path, with_network())
    networks = {one["name"]: one["network"] for one in data["series"]}
    assert networks["Small network"] == report_network.network(row_of(NETWORK))
    assert {name for name, network in networks.items() if network} == {"Small network"}
    assert {"Small network", "JPEG 4:2:0"} <= set(data["groups"][0]["bd"]["psnr_db"])


def test_page_and_csv_hold_the_numbers_and_the_source_of_the_energies(tmp_path):
    page = report.build(made.write_run(tmp_path, with_network())).read_text()
    assert '"stages":[["entropy",1000.0,"int8",0.3],["synthesis",4000.0,"fp32",18.4]]' in page
    assert page.count("ISSCC 2014") == 2  # under Method, and with the data for the head of the column
    assert "fp32 3.7 + 0.9 pJ, fp16 1.1 + 0.4 pJ, int8 0.2 + 0.1 pJ" in page
    rows = {row["series"]: row for row in csv.DictReader((tmp_path / "points.csv").read_text().splitlines())}
    row = rows["Small network"]
    names = ("parameters", "weights_bytes", "encode_macs_per_pixel", "decode_macs_per_pixel")
    assert [row[name] for name in names] == ["480000", "1900000", "6300.0", "5000.0"]
    assert (row["encode_mj_per_mpx"], row["decode_mj_per_mpx"]) == ("23.75", "18.7")
    assert rows["WebP"]["parameters"] == ""


def test_a_report_without_networks_says_nothing_of_them(tmp_path):
    lines = [line for line in made.records() if line["family"] != "learned"]
    page = report.build(made.write_run(tmp_path, lines)).read_text()
    assert "ISSCC" not in page
    assert "parameters" not in (tmp_path / "points.csv").read_text()
