"""Old files of tensors stay readable. Write goldens with tools/write_tensor_golden.py only; these tests never write."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import midtread
from midtread import container
from tensors import TENSOR_CODECS, golden_arrays, golden_options

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", TENSOR_CODECS)
def test_golden_files_decode_as_they_did(name):
    files = sorted((GOLDEN / name).glob("*.mt"))
    assert files, f"codec {name!r} ships without a golden file; run tools/write_tensor_golden.py {name}"
    for path in files:
        expected = json.loads(path.with_suffix(".json").read_text())
        found = midtread.decode(path.read_bytes())
        assert (list(found.shape), found.dtype.name) == (expected["shape"], expected["dtype"])
        if not path.with_suffix(".npy").exists():  # lossless, or ours: the same bits on every machine
            assert hashlib.sha256(found.tobytes()).hexdigest() == expected["sha256"]
        else:  # other people's decoders may round differently from version to version
            array = np.load(path.with_suffix(".npy"))
            np.testing.assert_allclose(found, array, rtol=0, atol=1e-6 * np.ptp(array))


def test_our_field_encoder_writes_the_bytes_it_wrote():
    kinds = set()
    for variant, x in golden_arrays("field").items():
        data = (GOLDEN / "field" / (f"v1-{variant}.mt" if variant else "v1.mt")).read_bytes()
        kinds |= {chunk.data[0] for chunk in container.read(data).chunks if chunk.tag == container.Tag.PAYLOAD}
        if variant != "nested":  # the other codec promises no bytes
            assert midtread.encode(x, "field", **golden_options("field", variant)) == data, variant
    assert kinds == set(range(9)) - {2, 5}, "a golden file for each kind of box, of Lorenzo boxes two of three"


@pytest.mark.parametrize("name", ["floats", "safetensors"])
def test_our_own_encoders_write_the_bytes_they_wrote(name):
    for variant, x in golden_arrays(name).items():
        path = GOLDEN / name / (f"v1-{variant}.mt" if variant else "v1.mt")
        if name == "floats":  # zstd, which packs the header of a checkpoint, promises no bytes
            assert midtread.encode(x, name) == path.read_bytes()
        assert midtread.decode(path.read_bytes()).tobytes() == x.tobytes()
