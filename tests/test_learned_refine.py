"""The encoder's search: a true gradient, no choice that costs more, and nothing that a decoder must know."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

torch = pytest.importorskip("torch", reason="the tiny model of these tests is made with torch")

from learned_models import frozen, network  # noqa: E402
from midtread.codecs.image import learned, learned_refine  # noqa: E402
from midtread.codecs.image import learned_model as models  # noqa: E402
from midtread.codecs.image.learned import EFFORTS, Learned, place_of, tiles  # noqa: E402
from midtread.codecs.image.learned_integers import STEPS  # noqa: E402
from midtread.codecs.image.learned_latents import Quality  # noqa: E402
from midtread.codecs.image.learned_refine import Choice, Refiner, lambda_of, measure  # noqa: E402
from midtread.codecs.image.learned_runtime import open_run  # noqa: E402
from midtread.codecs.image.learned_tiles import stages  # noqa: E402
from midtread.errors import BitstreamError  # noqa: E402
from midtread.nn.image import RANGE  # noqa: E402
from midtread.spec import collect_notes  # noqa: E402
from pictures import photo_like  # noqa: E402


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of a tiny model."""
    return str(frozen(tmp_path_factory.mktemp("models")))


def opened(tiny: str, quality: float):
    """(Quality, run) of a model."""
    model = models.load(tiny)
    return Quality(model, place_of(quality)), open_run(model, "onnxruntime", 1)


def scene(tiny: str, quality: float, x: np.ndarray, number: int = 0):
    """(window of a tile of x, latents of the tile in steps, symbols of z), neighbours as if not quantized."""
    found, run = opened(tiny, quality)
    refiner, tile = Refiner("normal", found, run, run, x), tiles(x.shape)[number]
    y, z = refiner.analyse(tile)
    window = refiner._window(tile, np.rint(y * STEPS).astype(np.int32))
    return window, y[window.inner], z


def frozen_synthesis(model: models.Model):
    """The synthesis in PyTorch, with the very weights of the frozen model."""
    net = network().synthesis
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            value = torch.from_numpy(model.tensors[f"synthesis.{name.removesuffix('.anchors')}"].astype(np.float32))
            if name.startswith("last."):
                value = (value - 127.5 * name.endswith("bias")) * (RANGE / 255)
            parameter.copy_(value)
    return net


def cost(tiny: str, x: np.ndarray, quality: float, effort: str) -> float:
    """J of the decoded file: bits by the tables, and what its pixels' error is worth."""
    codec = Learned(model=tiny, quality=quality, effort=effort)
    with collect_notes() as notes:
        data = codec.encode(x)
    error = np.mean((codec.decode(data).astype(float) - x) ** 2)
    return notes["estimated_bits"] + lambda_of(opened(tiny, quality)[0]) * error * x.shape[0] * x.shape[1]


@pytest.mark.parametrize("grey", [False, True])
def test_the_gradient_is_that_of_automatic_differentiation(tiny, grey):
    quality, run = opened(tiny, 33)
    rng = np.random.default_rng(0)
    y = rng.normal(0, 30, (1, 5, 3, quality.model.latents)).astype(np.float32) * quality.regain * STEPS
    target = rng.uniform(0, 255, (80, 48, 3)).astype(np.float32)
    weight = np.repeat(rng.integers(0, 2, (80, 48, 1)), 3, 2).astype(np.float32)
    mix = np.full((3, 3), 1 / 3, np.float32) if grey else np.eye(3, dtype=np.float32)
    feeds = {"y": y, "target": target, "weight": weight, "mix": mix}
    found = run("refine", feeds | stages(quality, "synthesis"))
    at = torch.from_numpy(y).permute(0, 3, 1, 2).requires_grad_()
    place = torch.tensor([quality.place / models.FINE / (models.ANCHORS - 1)])
    x = (frozen_synthesis(quality.model)(at, place)[0] + 0.5) * 255
    assert ((x < 0) | (x > 255)).float().mean() > 0.05
    x = x + (x.clamp(0, 255) - x).detach()
    error = (x - torch.from_numpy(target).permute(2, 0, 1)) * torch.from_numpy(weight).permute(2, 0, 1)
    error = error.mean(0, keepdim=True).expand(3, -1, -1) if grey else error
    (error.square().sum() / 2).backward()
    expected = at.grad.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("channels", [3, 1])
def test_a_step_knows_how_the_error_of_the_decoded_pixels_changes(tiny, channels):
    window, y, _ = scene(tiny, 40, photo_like((60, 70, channels)))
    decoded = np.rint(y * STEPS).astype(np.int32) + np.random.default_rng(0).integers(-8, 9, y.shape).astype(np.int32)
    step = decoded / STEPS - window.newton(decoded, 1e3)  # so small that none is cut
    slope = step * (2 * 1e3 * window.quality.price)
    along = np.sign(slope).astype(np.int32)
    measured = (window.worth(decoded + along) - window.worth(decoded - along)) / 2
    assert measured == pytest.approx(np.abs(slope).sum() / STEPS, rel=0.05)


def test_a_step_goes_far_nowhere(tiny):
    """Also where a dead channel has no curvature to divide by."""
    window, y, _ = scene(tiny, 40, photo_like((40, 40, 3)))
    decoded = np.rint(y * STEPS).astype(np.int32)
    moved = window.newton(decoded, 1e-30) - decoded / STEPS
    assert 1 < np.abs(moved).max() <= learned_refine._FARTHEST_STEP + 1e-3


@pytest.mark.parametrize("quality", [0, 30, 63])
@pytest.mark.parametrize(
    "x",
    [
        photo_like((65, 50, 3)),
        photo_like((48, 48), seed=1),
        np.full((1, 1, 3), 200, np.uint8),
        np.zeros((33, 17, 3), np.uint8),
        np.full((40, 40), 255, np.uint8),
        np.random.default_rng(2).integers(0, 256, (40, 33, 3), dtype=np.uint8),
    ],
    ids=["photo", "gray", "one pixel", "black", "white", "noise"],
)
def test_a_search_never_costs_more_than_what_it_replaces(tiny, x, quality):
    fast, normal, high = (cost(tiny, x, quality, effort) for effort in EFFORTS)
    assert high <= min(fast, normal) + 1


def test_a_search_that_goes_astray_leaves_what_there_was(tiny, monkeypatch):
    x = photo_like((65, 50, 3))
    normal = cost(tiny, x, 30, "normal")
    assert normal < cost(tiny, x, 30, "fast")
    monkeypatch.setattr(learned_refine, "LOOSE", 0.01)  # a curvature far too low: every step goes astray
    monkeypatch.setattr(learned_refine, "TIGHT", 0.01)
    assert cost(tiny, x, 30, "high") <= normal + 0.5


def test_where_every_step_is_wrong_rounding_is_left(tiny, monkeypatch):
    monkeypatch.setattr(learned_refine.Window, "newton", lambda self, decoded, weigh: decoded / np.float32(STEPS) + 5)
    x = photo_like((65, 50, 3))
    fast, normal, high = (cost(tiny, x, 30, effort) for effort in EFFORTS)
    assert high == pytest.approx(fast, abs=0.5)
    assert fast < normal


def test_the_more_an_error_weighs_the_fewer_symbols_give_way(tiny):
    window, y, z = scene(tiny, 40, photo_like((60, 70, 3)))
    bits = [Choice(y, weigh).encoder(window.quality, window.run).cost(z)[1] for weigh in (0.1, 1.0, 10.0)]
    assert bits[0] < bits[1] < bits[2]


@pytest.mark.parametrize("quality", [5, 50])
def test_the_search_pays(tiny, quality):
    pictures = [photo_like((64, 80, 3), seed=seed) for seed in range(3)]
    normal, high = (sum(cost(tiny, x, quality, effort) for x in pictures) for effort in ("normal", "high"))
    assert high < 0.993 * normal


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("shape", [(50, 37, 3), (37, 50)])
def test_the_file_decodes_to_the_cost_that_the_search_claimed(tiny, monkeypatch, shape, effort):
    x, claims = photo_like(shape), []

    def spy(self, tile, y, z, real=Refiner.choose):
        choice = real(self, tile, y, z)
        window = self._window(tile, np.rint(y * STEPS).astype(np.int32))
        bits = window.quality.model.tables.bits(z, np.broadcast_to(window.quality.tables_z, z.shape))
        claims.append(measure(window, choice, z)[0] + bits)
        return choice

    monkeypatch.setattr(Refiner, "choose", spy)
    assert cost(tiny, x, 44, effort) == pytest.approx(claims[0], abs=0.5)


def test_the_same_picture_gives_the_same_bytes(tiny):
    x, codec = photo_like((50, 64, 3)), Learned(model=tiny, effort="high")
    assert codec.encode(x) == codec.encode(x)


def test_a_tile_is_judged_with_its_neighbours_as_they_were_decoded(tiny, monkeypatch):
    monkeypatch.setattr(learned, "TILE", 4)
    x = photo_like((64, 160, 3))
    quality, run = opened(tiny, 30)
    refiner, (left, right, *_) = Refiner("high", quality, run, run, x), tiles(x.shape)
    y, z = refiner.analyse(left)
    decoded, _ = refiner.choose(left, y, z).encoder(quality, run).cost(z)
    refiner.keep(left, decoded)
    seen = []
    monkeypatch.setattr(learned_refine, "high", lambda window, y, z: seen.append((window, y)))
    y, z = refiner.analyse(right)
    refiner.choose(right, y, z)
    window, inside = seen[0]
    reach = 2 * quality.model.margin
    assert window.inner[1].start == min(4, reach)
    np.testing.assert_array_equal(window.outside[:, : window.inner[1].start], decoded[:, -reach:])
    beyond = slice(window.inner[1].stop, None)
    assert window.outside[:, beyond].size
    np.testing.assert_array_equal(window.outside[:, beyond], np.rint(y[:, beyond] * STEPS))
    np.testing.assert_array_equal(inside, y[window.inner])
    columns = window.weight[0, :, 0].reshape(-1, 16)
    assert columns.min(1).tolist() == columns.max(1).tolist()  # whole latents count
    margin, inner = quality.model.margin, window.inner[1]
    expected = [inner.start - margin <= column < inner.stop + margin for column in range(columns.shape[0])]
    assert columns[:, 0].tolist() == [float(value) for value in expected]


@pytest.mark.parametrize("most", [4, 8])
def test_a_search_over_tiles_pays_as_well(tiny, monkeypatch, most):
    monkeypatch.setattr(learned, "TILE", most)
    x = photo_like((100, 141, 3))
    fast, normal, high = (cost(tiny, x, 30, effort) for effort in EFFORTS)
    assert high < min(fast, normal)


@pytest.mark.parametrize("lambdas", [None, [0.01] * 7, [0.01] * 7 + [-1], 3])
def test_a_model_that_does_not_say_what_errors_are_worth_is_refused(tiny, tmp_path, lambdas):
    model = models.load(tiny)
    facts = {key: value for key, value in model.facts.items() if key != "lambdas"}
    facts |= {} if lambdas is None else {"lambdas": lambdas}
    save_file(dict(model.tensors), tmp_path / models.WEIGHTS, {"midtread": json.dumps(facts)})
    with pytest.raises(BitstreamError, match="no whole learned model"):
        models.load(tmp_path)


def test_what_a_search_costs_is_counted():
    assert learned_refine.refine_macs("fast", 10, 3) == 0
    assert learned_refine.refine_macs("normal", 10, 3) == 20
    assert learned_refine.refine_macs("high", 10, 0) > 10 * 2 * learned_refine.ROUNDS
