"""SSIMULACRA 2, FLIP, VMAF, LPIPS and DISTS against implementations that are not ours."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import metrics_references as references
from metrics_references import damaged, measure, photo
from midtread.errors import CodecError, MissingError, UsageError
from midtread.metrics import learned, pictures, ssimulacra2, vmaf
from midtread.registry import METRICS


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with references.one_torch_thread():
        yield


# --- SSIMULACRA 2 and FLIP --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "step", "score"),
    [
        # From the reference tool's C++ (cloudinary/ssimulacra2, fb5d0db, with libjxl's gauss_blur), transcribed without
        # SIMD and compiled with double instead of float. In float it gives 95.0399, 74.2365, 20.4324, 64.2264, 91.8501.
        ((256, 320), 2, 95.17308884),
        ((256, 320), 12, 74.24075709),
        ((256, 320), 48, 20.43709620),
        ((101, 90), 12, 64.23989394),
        ((9, 20), 12, 91.85005313),
    ],
)
def test_ssimulacra2_agrees_with_the_reference_tool(shape, step, score):
    x = photo(*shape)
    assert METRICS.get("ssimulacra2")(x, damaged(x, step)) == pytest.approx(score, abs=2e-6)


@pytest.mark.parametrize("step", [2, 12, 48])
def test_ssimulacra2_agrees_with_the_package_but_for_its_blur(step, monkeypatch):
    """The package blurs with a true Gaussian and mirrors two of the borders; given that blur, the scores agree."""
    from ssimulacra2 import compute_ssimulacra2
    from ssimulacra2.ssimulacra2 import blur_image

    x, y = photo(256, 320), damaged(photo(256, 320), step)
    expected = compute_ssimulacra2(references.png(x), references.png(y))
    assert METRICS.get("ssimulacra2")(x, y) == pytest.approx(expected, abs=3)

    def blur(moments, *_):
        return blur_image(moments.T).T  # the package transposes its pictures, and so what it does at the borders

    monkeypatch.setattr(ssimulacra2, "filters", SimpleNamespace(separable=blur))
    assert METRICS.get("ssimulacra2")(x, y) == pytest.approx(expected, abs=1e-6)


def test_the_window_of_ssimulacra2_is_the_recursive_filter_of_its_source():
    signal = np.random.default_rng(0).random(50)
    window = ssimulacra2._truncated_cosines(radius=5, sigma=1.5)
    np.testing.assert_allclose(np.convolve(signal, window, "same"), references.recursive_gaussian(signal), atol=1e-13)


def test_ssimulacra2_takes_the_worse_of_a_dark_and_a_bright_background():
    dark = np.zeros((64, 64, 4), np.uint8)  # black where it is opaque: hard to see on the dark background
    dark[16:48, 16:48, 3] = 255
    lost = dark.copy()
    lost[16:32, 16:48, 3] = 0
    scores = [
        ssimulacra2._score(*pictures.pair("ssimulacra2", dark, lost, background=background, dtype=np.float64))
        for background in (0.1, 0.9)
    ]
    assert scores[1] < scores[0] - 5
    assert METRICS.get("ssimulacra2")(dark, lost) == scores[1]


@pytest.mark.parametrize("shape", [(1, 1), (7, 30), (64, 96)])
@pytest.mark.parametrize("step", [2, 12, 96])
def test_flip_agrees_with_its_authors_package(shape, step):
    import flip_evaluator

    x, y = photo(*shape), damaged(photo(*shape), step)
    floats = (np.float32(p / 255) for p in (x, y))
    _, expected, _ = flip_evaluator.evaluate(*floats, "LDR", applyMagma=False)
    assert METRICS.get("flip")(x, y) == pytest.approx(expected, rel=1e-4)


def test_flip_agrees_with_its_authors_package_on_the_largest_colour_differences():
    import flip_evaluator

    x, y = np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40, 3), np.uint8)
    x[..., 1], y[..., 2] = 255, 255  # green and blue, beyond the knee
    x[:20], y[:20] = 255, 0
    floats = (np.float32(p / 255) for p in (x, y))
    _, expected, _ = flip_evaluator.evaluate(*floats, "LDR", applyMagma=False)
    assert expected > 0.9
    assert METRICS.get("flip")(x, y) == pytest.approx(expected, rel=1e-4)


# --- VMAF -------------------------------------------------------------------------------------------------------------


def test_vmaf_agrees_with_vmaf_torch_and_knows_source_from_reconstruction():
    import torch
    from vmaf_torch import VMAF

    x, y = photo(144, 177), damaged(photo(144, 177), 24)
    sharper = np.clip(1.3 * y.astype(int) - 38, 0, 255).astype(np.uint8)
    reference = VMAF(enable_motion=False, clip_score=True)
    for source, reconstruction in ((x, y), (x, sharper), (sharper, x)):
        tensors = [
            torch.from_numpy(np.rint(16 + 219 / 255 * p @ [0.2126, 0.7152, 0.0722])).float()[None, None]
            for p in (source, reconstruction)
        ]
        assert METRICS.get("vmaf")(source, reconstruction) == pytest.approx(float(reference(*tensors)), abs=0.15)


def test_vmaf_without_ffmpeg_or_libvmaf_says_what_to_install(monkeypatch):
    x = photo(64, 64)
    monkeypatch.setattr(vmaf, "_ffmpeg", lambda: "/bin/true")
    with pytest.raises(MissingError, match="built without libvmaf"):
        METRICS.get("vmaf")(x, x)
    monkeypatch.setattr(vmaf.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingError, match="pip install imageio-ffmpeg"):
        METRICS.get("vmaf")(x, x)


def test_a_failing_ffmpeg_is_an_error_of_ours(monkeypatch):
    x = photo(64, 64)
    monkeypatch.setattr(vmaf, "_MODEL", "vmaf_v9.9")
    with pytest.raises(CodecError, match=r"metric 'vmaf': .* ended with code"):
        METRICS.get("vmaf")(x, x)


# --- LPIPS and DISTS --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(31, 31), (64, 97)])
@pytest.mark.parametrize("step", [2, 24])
def test_lpips_agrees_with_torchmetrics_on_random_weights(shape, step, monkeypatch):
    import torch

    x, y = photo(*shape), damaged(photo(*shape), step)
    network = references.torchmetrics_lpips(monkeypatch)
    tensors = [torch.from_numpy(p / 255).float().permute(2, 0, 1)[None] for p in (x, y)]
    with torch.inference_mode():
        expected = float(network(*tensors, normalize=True))
    assert measure("lpips", x, y) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("shape", [(16, 16), (47, 65)])
@pytest.mark.parametrize("step", [2, 24])
def test_dists_agrees_with_torchmetrics_on_random_weights(shape, step, monkeypatch):
    import torch

    x, y = photo(*shape), damaged(photo(*shape), step)
    network = references.torchmetrics_dists(monkeypatch)
    tensors = [torch.from_numpy(p / 255).float().permute(2, 0, 1)[None] for p in (x, y)]
    with torch.inference_mode():
        expected = float(network(*tensors))
    assert measure("dists", x, y) == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("name", "file"), [("lpips", "alexnet-owt-7be5be79.pth"), ("dists", "vgg16-397923af.pth")])
def test_absent_weights_are_named_with_their_path_and_where_they_come_from(name, file, tmp_path, monkeypatch):
    monkeypatch.delenv("MIDTREAD_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    why = METRICS.get(name).missing()
    assert why is not None
    assert str(tmp_path / "midtread" / "weights" / file) in why
    assert f"https://download.pytorch.org/models/{file}" in why
    assert "nothing is downloaded" in why
    with pytest.raises(MissingError, match=file):
        METRICS.get(name).measure(photo(64, 64), photo(64, 64))


def test_weight_folder_is_the_variable_then_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MIDTREAD_WEIGHTS", str(tmp_path / "here"))
    assert learned.weights_folder() == tmp_path / "here"
    monkeypatch.delenv("MIDTREAD_WEIGHTS")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert learned.weights_folder().parts[-3:] == (".cache", "midtread", "weights")


def test_absent_heads_and_absent_torch_are_told(monkeypatch):
    monkeypatch.setenv("MIDTREAD_WEIGHTS", str(references.backbones()))
    real = learned.importlib.util.find_spec
    monkeypatch.setattr(
        learned.importlib.util, "find_spec", lambda name: None if name == "torchmetrics" else real(name)
    )
    assert "lpips_alex.pth" in METRICS.get("lpips").missing()
    assert "dists.pt" in METRICS.get("dists").missing()
    monkeypatch.setattr(learned.importlib.util, "find_spec", lambda _: None)
    assert "needs torch" in METRICS.get("lpips").missing()


def test_a_wrong_weight_file_is_refused_and_a_corrected_one_is_read_again(tmp_path, monkeypatch):
    import torch

    monkeypatch.setenv("MIDTREAD_WEIGHTS", str(tmp_path))
    path = tmp_path / "alexnet-owt-7be5be79.pth"
    x = photo(64, 64)
    path.write_bytes(b"not a weight file")
    with pytest.raises(UsageError, match="not a file of tensors"):
        METRICS.get("lpips")(x, x)
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)
    with pytest.raises(UsageError, match=r"'features\.0\.weight' is \(64, 3, 3, 3\), expected \(64, 3, 11, 11\)"):
        METRICS.get("lpips")(x, x)
    torch.save([torch.zeros(3)], path)
    with pytest.raises(UsageError, match="holds a list"):
        METRICS.get("lpips")(x, x)
    path.write_bytes((references.backbones() / path.name).read_bytes())
    assert METRICS.get("lpips")(x, x) == 0


def test_a_weight_file_cannot_run_code(tmp_path, monkeypatch):
    import pickle
    import zipfile

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    monkeypatch.setenv("MIDTREAD_WEIGHTS", str(tmp_path))
    path = tmp_path / "alexnet-owt-7be5be79.pth"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Evil(), protocol=2))
        file.writestr("archive/version", "3")
    with pytest.raises(UsageError, match="not a file of tensors"):
        METRICS.get("lpips")(photo(64, 64), photo(64, 64))
    assert not (tmp_path / "owned").exists()
