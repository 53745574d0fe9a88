"""Old files stay readable. Write goldens with tools/write_golden.py only; these tests never write."""

from pathlib import Path

import numpy as np
import pytest

import midtread
from pictures import ALL_CODECS

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ALL_CODECS)
def test_golden_files_decode_as_they_did(name):
    files = sorted((GOLDEN / name).glob("*.mt"))
    assert files, f"codec {name!r} ships without a golden file; run tools/write_golden.py {name}"
    for path in files:
        expected = np.load(path.with_suffix(".npy"))
        found = midtread.decode(path.read_bytes())
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        # other people's decoders may round differently from version to version (libjpeg's did); ours may not
        assert np.abs(found.astype(int) - expected).max() <= 2
