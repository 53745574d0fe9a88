"""What chooses a probability table in `learned` is the same integers everywhere, and those that training saw."""

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="the networks are made with torch")

from learned_models import CONFIG, frozen, network  # noqa: E402
from midtread.codecs.image import learned_integers as integers  # noqa: E402
from midtread.codecs.image import learned_model as models  # noqa: E402
from midtread.codecs.image.learned_latents import Quality  # noqa: E402
from midtread.codecs.image.learned_runtime import open_run  # noqa: E402
from midtread.codecs.image.learned_slow import SlowRuntime  # noqa: E402
from midtread.errors import MissingError, TrainingError, UsageError  # noqa: E402
from midtread.nn.integer import IntegerConv  # noqa: E402
from midtread.nn.runtime import TorchRuntime  # noqa: E402
from midtread.train import frozen as freezing  # noqa: E402

SIDES = [(1, 1), (1, 3), (2, 1), (3, 2)]  # of z; latents have four times as many
A, B = CONFIG.slice_a, CONFIG.width16 - CONFIG.slice_a
FAST = ["onnxruntime", "onnxruntime unoptimised", "torch", "torch-bf16", "torch channels first"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return models.load(frozen(tmp_path_factory.mktemp("models")))


@pytest.fixture(params=FAST)
def fast(request, model):
    """A runtime that must give what the slow twin defines."""
    if request.param == "onnxruntime unoptimised":
        return Unoptimised(model)
    if request.param == "torch channels first":
        return TorchRuntime(model.tensors, model.facts["config"], "torch", 1, channels_last=False)
    return open_run(model, request.param, 1)


class Unoptimised:
    """onnxruntime that runs the graphs as they were written."""

    def __init__(self, model):
        self.folder = model.folder
        self.options = onnxruntime.SessionOptions()
        self.options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self.options.intra_op_num_threads = 1

    def __call__(self, name, inputs):
        path = str(self.folder / f"{name}.onnx")
        session = onnxruntime.InferenceSession(path, self.options, providers=["CPUExecutionProvider"])
        return session.run(None, inputs)[0]


def bytes_like(shape, kind: str, seed: int = 0) -> np.ndarray:
    """int8: all the lowest, all the highest, the two mixed, or anything."""
    rng = np.random.default_rng(seed)
    if kind == "extremes":
        return rng.choice(np.array([-128, 127], np.int8), shape)
    return {"low": lambda: np.full(shape, -128, np.int8), "high": lambda: np.full(shape, 127, np.int8)}.get(
        kind, lambda: rng.integers(-128, 128, shape, dtype=np.int8)
    )()


def feeds(group: int, sides: tuple[int, int], kind: str) -> dict[str, np.ndarray]:
    """Inputs of a prior on a grid of these sides."""
    height, width = 4 * sides[0], 4 * sides[1]
    features = np.maximum(bytes_like((height, width, CONFIG.features), kind, 1), 0)
    found = {"features": features, "places": integers.checkerboard(height - 1, width, width)[group % 2]}
    if group:
        found["a"] = bytes_like((height, width, A), kind, 2)
    if group == 3:
        found["b"] = bytes_like((height, width, B), kind, 3)
    return found


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("kind", ["low", "high", "extremes", "any"])
def test_every_runtime_gives_the_integers_of_the_slow_twin(model, fast, sides, kind):
    slow, quality = SlowRuntime(model), Quality(model, 700)
    known = {"z": bytes_like((*sides, CONFIG.hyper), kind), "quality_offset": quality.offset}
    features = slow("hyper_synthesis", known)
    assert features.shape == (4 * sides[0], 4 * sides[1], CONFIG.features)
    same(fast("hyper_synthesis", known), features)
    for group in range(4):
        inputs = feeds(group, sides, kind)
        heads = slow(f"prior{group}", inputs)
        assert heads.shape == (inputs["places"].size, 2 * (A if group < 2 else B))
        same(fast(f"prior{group}", inputs), heads)


def same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_the_integers_of_these_tests_are_not_all_clipped(model):
    """Otherwise the test above would compare constants."""
    slow = SlowRuntime(model)
    for group in range(4):
        heads = slow(f"prior{group}", feeds(group, (2, 3), "any"))
        assert len(np.unique(heads)) > 200
        assert (np.abs(heads) < 1024).mean() > 0.5


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_shortened_factors_change_no_integer(model, precision):
    """PyTorch may then multiply float32 as TF32 or bfloat16; int8 and 7 bits fit both."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        inputs = feeds(3, (2, 3), "extremes")
        same(open_run(model, "torch", 1)("prior3", inputs), SlowRuntime(model)("prior3", inputs))
    finally:
        torch.set_float32_matmul_precision(before)


def test_two_tiles_at_once_are_the_same_as_one_after_the_other(model):
    run = open_run(model, "torch", 1)
    one, two = feeds(3, (2, 2), "any"), feeds(3, (2, 2), "extremes")
    maps = {key: torch.tensor(np.stack([one[key], two[key]])) for key in ("features", "a", "b")}
    both = run.prior(3, torch.tensor(one["places"]), maps).numpy()
    same(both[0], run("prior3", one))
    same(both[1], run("prior3", two))


def test_threads_of_the_caller_stay_as_they_were(model):
    before = torch.get_num_threads()
    TorchRuntime(model.tensors, model.facts["config"], "torch", before + 1)("prior0", feeds(0, (1, 1), "any"))
    assert torch.get_num_threads() == before
    with pytest.raises(KeyError):  # also when a graph fails
        TorchRuntime(model.tensors, model.facts["config"], "torch", before + 1)("prior9", {})
    assert torch.get_num_threads() == before


def test_no_gpu_is_said_in_words(model, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for runtime in ("cuda", "cuda-bf16"):
        with pytest.raises(MissingError, match=r"needs an NVIDIA GPU.*'torch' run on any CPU"):
            open_run(model, runtime, 1)
    with pytest.raises(UsageError, match="'tpu'"):
        TorchRuntime(model.tensors, model.facts["config"], "tpu", 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("runtime", ["cuda", "cuda-bf16"])
def test_a_gpu_gives_the_integers_of_the_slow_twin(model, runtime):
    for group in range(4):
        inputs = feeds(group, (3, 2), "extremes")
        same(open_run(model, runtime, 1)(f"prior{group}", inputs), SlowRuntime(model)(f"prior{group}", inputs))


class TestFreezing:
    """What is written down is what training computed with."""

    @pytest.mark.parametrize("anchor", [0, 3, 7])
    def test_frozen_networks_predict_what_the_trained_one_predicts(self, model, anchor):
        """The walk of training, listened to: its layers' inputs give the frozen networks its outputs."""
        trained, slow = network(), SlowRuntime(model)
        heard = {}
        for name in ("near_a_odd", "near_a", "near_b"):
            trained.get_submodule(name).register_forward_hook(lambda _, x, out, name=name: heard.update({name: x[0]}))
        for group, prior in enumerate(trained.priors):
            prior.register_forward_hook(lambda _, x, out, group=group: heard.update({group: out}))
        z, quality = bytes_like((2, 3, CONFIG.hyper), "any", anchor), torch.tensor([anchor / 7])
        y = torch.randn(1, CONFIG.width16, 8, 12, generator=torch.Generator().manual_seed(anchor)) * 3
        with torch.no_grad():
            features = trained.hyper_synthesis(planes(z), quality, True)
            trained.code(y, features, quality, True)
        found = slow("hyper_synthesis", {"z": z, "quality_offset": Quality(model, anchor * models.FINE).offset})
        np.testing.assert_array_equal(found, rows(features * 16))
        told = {1: {"a": "near_a_odd"}, 2: {"a": "near_a"}, 3: {"a": "near_a", "b": "near_b"}}
        for group in range(4):
            inputs = {key: rows(heard[name] * 16).astype(np.int8) for key, name in told.get(group, {}).items()}
            inputs |= {"features": found, "places": integers.checkerboard(8, 12, 12)[group % 2]}
            mean, log_scale = heard[group]
            expected = np.concatenate([rows(mean * 64), np.clip(rows(log_scale * 8), -1024, 1024)], 2)
            np.testing.assert_array_equal(slow(f"prior{group}", inputs), expected.reshape(-1, expected.shape[2]))
            assert len(np.unique(expected)) > 100

    def test_weights_have_seven_bits(self, model):
        """uint8 times them in pairs fits int16: processors without VNNI add such pairs, and saturate."""
        linear = [name for name, tensor in model.tensors.items() if tensor.dtype == np.int8]
        assert len(linear) == 2 + 2 * 4
        for name in linear:
            assert np.abs(model.tensors[name].astype(int)).max() * 2 * 255 < 2**15

    def test_a_layer_whose_sums_could_round_is_not_frozen(self):
        """Sums are of uint8, 255 at most, times weights, and the bias; from 2**24 on float32 lacks odd numbers."""
        layer, most = IntegerConv(1000, 3), 2**24 - 1 - 1000 * 60 * 255 - 2**3
        with torch.no_grad():
            layer.weight.fill_(15.0)  # 60 quarters
            layer.bias.fill_(most / 64)
            weight, bias, shift = freezing.integers(layer, "narrow")
            assert (weight == 60).all()
            assert (bias == most).all()
            assert (shift == 2).all()
            for wrong in (most + 1, -most - 1):
                layer.bias[1] = wrong / 64
                with pytest.raises(TrainingError, match="layer wide: sums may reach 16777216, float32 is exact below"):
                    freezing.integers(layer, "wide")

    def test_a_weight_that_is_no_number_is_not_frozen(self):
        trained = network()
        with torch.no_grad():
            trained.synthesis.up.weight[0, 0] = float("nan")
            with pytest.raises(TrainingError, match="not finite"):
                freezing.tensors(trained, np.zeros((8, CONFIG.width16), np.float32))


class TestArithmetic:
    """Between the networks: gains in 256ths of an octave."""

    def test_gains_are_powers_of_two_in_the_middle_of_everything(self):
        log_gain = np.arange(-14 * 256, 14 * 256 + 1)
        np.testing.assert_allclose(integers.gain(log_gain), 2.0 ** (log_gain / 256 + 16), rtol=1e-6, atol=1)
        assert (integers.gain(np.arange(-14, 15) * 256) == 2 ** np.arange(2, 31)).all()
        assert (integers.gain(np.array([-(10**6), 10**6])) == [4, 2**30]).all()

    def test_means_and_activations_are_rounded_half_up(self):
        gain = integers.gain(np.array([0]))
        heads = np.arange(-1024, 1025)[:, None]
        np.testing.assert_array_equal(integers.means(heads, gain), np.floor(heads / 4 + 0.5))
        decoded = np.arange(-500, 500, dtype=np.int32)[:, None]
        half = integers.gain(np.array([-256]))
        np.testing.assert_array_equal(
            integers.as_activations(decoded, half), np.clip(np.floor(decoded / 2 + 0.5), -128, 127)
        )

    def test_nothing_overflows_at_the_far_ends(self):
        gain = integers.gain(np.array([14 * 256]))
        assert integers.means(np.array([[1024]]), gain) == 1024 * 2**14 // 4
        for value in (-(2**25), 2**25):
            assert integers.as_activations(np.array([[value]], np.int32), gain) == (127 if value > 0 else -128)

    def test_a_scale_chooses_the_table_of_the_nearest_eighth_of_an_octave(self):
        scales = np.arange(-40, 80)[:, None]
        found = integers.table_indices(scales, np.array([0]), 84)[:, 0]
        np.testing.assert_array_equal(found, np.clip(scales[:, 0] + 26, 0, 83))
        shifted = integers.table_indices(scales, np.array([256]), 84)[:, 0]
        np.testing.assert_array_equal(shifted, np.clip(scales[:, 0] + 34, 0, 83))

    def test_the_squares_of_a_checkerboard_are_each_there_once(self):
        even, odd = integers.checkerboard(3, 5, 8)
        assert sorted([*even, *odd]) == [row * 8 + column for row in range(3) for column in range(5)]
        assert all((place // 8 + place % 8) % 2 == 0 for place in even)
        assert integers.checkerboard(1, 1, 4)[1].size == 0


def planes(x: np.ndarray) -> torch.Tensor:
    """int8 sixteenths [h, w, c] -> float [1, c, h, w]."""
    return torch.tensor(x).permute(2, 0, 1)[None].float() / 16


def rows(x: torch.Tensor) -> np.ndarray:
    """[1, c, h, w] of whole numbers -> int64 [h, w, c]."""
    found = x[0].permute(1, 2, 0).double().numpy()
    assert (found == np.rint(found)).all()
    return found.astype(np.int64)
