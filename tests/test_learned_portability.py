"""A `learned` file decodes to the same symbols under every instruction set, library, layout and number of threads."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the tiny model of these tests is made with torch, and torch is compared")

from learned_models import frozen
from midtread.codecs.image import learned_model as models
from midtread.codecs.image.learned import Learned
from pictures import photo_like

WORKER = Path(__file__).parent / "learned_worker.py"
SETTINGS = {
    "as it is": ({}, "onnxruntime"),
    "SSE4.1": ({"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"}, "torch,onnxruntime"),
    "AVX2": ({"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}, "torch,torch-bf16"),
    "AVX-512": ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, "torch"),
}
RUNS = {"onnxruntime": 3, "torch": 3, "torch-bf16": 3}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of a tiny model and of the shipped one, decoded here."""
    folder, home = tmp_path_factory.mktemp("files"), frozen(tmp_path_factory.mktemp("models"))
    for name, model, quality, shape in (("tiny", str(home), 60, (70, 100, 3)), ("s", "s", 40, (130, 200, 3))):
        codec = Learned(model=model, quality=quality)
        data = codec.encode(photo_like(shape))
        (folder / f"{name}.mt").write_bytes(data)
        np.save(folder / f"{name}.npy", codec.decode(data))
    return folder, home


@pytest.fixture(scope="module")
def results(files):
    """What each process printed, by its name."""
    folder, home = files
    base = os.environ | {"OMP_NUM_THREADS": "2", models.VARIABLE: str(home.parent)}
    started = {
        name: subprocess.Popen(
            [sys.executable, str(WORKER), str(folder), kinds],
            env=base | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, (variables, kinds) in SETTINGS.items()
    }
    found = {}
    for name, process in started.items():
        out, trouble = process.communicate(timeout=300)
        assert process.returncode == 0, f"{name}: {trouble[-2000:]}"
        found[name] = [json.loads(line) for line in out.splitlines()]
    return found


@pytest.mark.parametrize("name", ["tiny", "s"])
def test_symbols_and_tables_are_the_same_everywhere(results, name):
    lines = {(where, line["setting"]): line for where in results for line in results[where] if line.get("file") == name}
    expected = sum(RUNS[kind] for _, kinds in SETTINGS.values() for kind in kinds.split(","))
    assert len(lines) == expected + (len(SETTINGS) if name == "tiny" else 0)
    for what in ("symbols", "tables"):
        found = {line[what] for line in lines.values()}
        assert len(found) == 1, {key: line[what][:8] for key, line in lines.items()}


def test_pixels_differ_by_one_level_at_most(results):
    for where, lines in results.items():
        for line in lines[:-1]:
            most = 4 if "bf16" in line["setting"] else 1
            assert line["worst"] <= most, f"{where}: {line}"


def test_the_processes_ran_under_what_they_were_told(results):
    """A variable that nobody reads would make this file prove nothing."""
    capabilities = {name: lines[-1]["capability"] for name, lines in results.items()}
    assert capabilities["as it is"] is None, "decoding with onnxruntime imports no torch"
    if platform.machine() == "x86_64":
        assert capabilities["SSE4.1"] == "DEFAULT"
        assert capabilities["AVX2"] in ("AVX2", "DEFAULT")
