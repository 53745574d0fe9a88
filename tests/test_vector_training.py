"""Vector quantizers in PyTorch: what they train is what NumPy decodes, and gradients pass as if nothing happened."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from midtread.errors import UsageError  # noqa: E402
from midtread.nn.vector import (  # noqa: E402
    FiniteScalarQuantize,
    ProductQuantize,
    ResidualQuantize,
    VectorQuantize,
    straight_through,
)
from midtread.quantize.vector.codebook import VectorQuantizer, usage  # noqa: E402
from midtread.quantize.vector.composed import ProductQuantizer, ResidualQuantizer  # noqa: E402
from midtread.quantize.vector.finite_scalar import FiniteScalar  # noqa: E402
from midtread.quantize.vector.moving import MovingCodebook  # noqa: E402
from midtread.quantize.vector.train import train  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def gaussian(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def modules() -> list:
    """Trained for a few batches, with what decodes them."""
    z = gaussian(1000, 6)

    def vector(part: np.ndarray, entries: int) -> VectorQuantize:
        return VectorQuantize(train(part, entries), decay=0.9)

    def numpy_of(codebooks: list[np.ndarray]) -> tuple[VectorQuantizer, ...]:
        return tuple(VectorQuantizer(codebook) for codebook in codebooks)

    return [
        (vector(z, 64), VectorQuantizer),
        (
            ResidualQuantize([vector(z, 32), vector(z / 2, 32), vector(z / 4, 32)]),
            lambda books: ResidualQuantizer(numpy_of(books)),
        ),
        (
            ProductQuantize([vector(z[:, :2], 16), vector(z[:, 2:], 64)]),
            lambda books: ProductQuantizer(numpy_of(books)),
        ),
    ]


every_module = pytest.mark.parametrize(("module", "frozen"), modules(), ids=lambda m: getattr(m, "__name__", None))


@every_module
def test_what_was_trained_is_what_numpy_decodes_with(module, frozen):
    module.train()
    for turn in range(5):
        module(torch.tensor(gaussian(40, 10, 6, seed=turn + 1)))
    module.eval()
    quantizer, z = frozen(module.freeze()), gaussian(40, 25, 6, seed=9)
    coded = module(torch.tensor(z))
    indices = quantizer.quantize(z)
    np.testing.assert_array_equal(coded.indices.numpy(), indices)
    np.testing.assert_allclose(coded.z_hat.numpy(), quantizer.dequantize(indices), atol=1e-6)


@every_module
def test_gradients_pass_unchanged_and_codebooks_have_none(module, frozen):
    module.eval()
    z = torch.tensor(gaussian(30, 6), requires_grad=True)
    pull = torch.tensor(gaussian(30, 6, seed=1))
    (module(z).z_hat * pull).sum().backward()
    torch.testing.assert_close(z.grad, pull)
    assert not list(module.parameters())


@every_module
def test_only_training_moves_a_codebook(module, frozen):
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.eval()
    module(torch.tensor(gaussian(300, 6)))
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    module.train()
    module(torch.tensor(gaussian(300, 6) + 1))
    assert not any(torch.equal(before[name], value) for name, value in module.state_dict().items())
    module.load_state_dict(before)


def test_commitment_is_the_mean_squared_error_and_pulls_latents_to_their_entries():
    module = VectorQuantize(train(gaussian(1000, 3), 16)).eval()
    z = torch.tensor(gaussian(50, 3, seed=2), requires_grad=True)
    coded = module(z)
    error = (z - coded.z_hat).detach()
    assert coded.commitment.item() == pytest.approx(error.square().mean().item())
    coded.commitment.backward()
    torch.testing.assert_close(z.grad, 2 * error / error.numel())


@pytest.mark.parametrize("revive_below", [0.0, 0.5])
def test_a_codebook_moves_as_its_numpy_twin(revive_below):
    codebook = train(gaussian(500, 4), 32)
    codebook[:8] += 50  # entries that nothing comes to
    module = VectorQuantize(codebook, decay=0.9, revive_below=revive_below).train()
    twin = MovingCodebook.start(codebook, decay=0.9, revive_below=revive_below)
    for turn in range(12):
        z = gaussian(200, 4, seed=turn + 1)
        module(torch.tensor(z))
        twin = twin.update(z)
        np.testing.assert_allclose(module.freeze(), twin.codebook, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(module.load.numpy(), twin.load, rtol=1e-4)
    share, _ = usage(VectorQuantizer(module.freeze()).quantize(gaussian(5000, 4)), 32)
    assert share == (1 if revive_below else 0.75)


def test_an_autoencoder_learns_through_the_quantizer():
    """Latents shrunk to nothing cannot be told apart; gradients through the quantizer must widen them."""
    torch.manual_seed(0)
    x = torch.tensor(gaussian(512, 8)) @ torch.tensor(gaussian(8, 8, seed=1))
    encoder, decoder = torch.nn.Linear(8, 2), torch.nn.Linear(2, 8)
    module = VectorQuantize(train(encoder(x).detach().numpy(), 64), decay=0.9)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=0.01)
    losses = []
    for _ in range(200):
        coded = module(encoder(x))
        loss = (decoder(coded.z_hat) - x).square().mean()
        optimizer.zero_grad()
        (loss + 0.25 * coded.commitment).backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    assert usage(module.eval()(encoder(x)).indices.numpy(), 64)[0] > 0.8


def test_every_stage_pulls_latents_to_its_entries():
    stages = ResidualQuantizer.fit(gaussian(1000, 3), [16, 16]).stages
    module = ResidualQuantize([VectorQuantize(stage.codebook) for stage in stages]).eval()
    z = torch.tensor(gaussian(50, 3, seed=2), requires_grad=True)
    one, two = ((z - module(z, upto=k).z_hat).detach() for k in (1, 2))
    coded = module(z)
    assert coded.commitment.item() == pytest.approx((one.square().mean() + two.square().mean()).item() / 2)
    coded.commitment.backward()
    torch.testing.assert_close(z.grad, (one + two) / one.numel())


def test_a_prefix_of_stages_can_be_trained():
    z = torch.tensor(gaussian(200, 3))
    books = ResidualQuantizer.fit(gaussian(2000, 3), [32, 32])
    module = ResidualQuantize([VectorQuantize(stage.codebook) for stage in books.stages]).eval()
    first, both = module(z, upto=1), module(z)
    assert first.indices.shape == (200, 1)
    torch.testing.assert_close(first.indices[:, 0], both.indices[:, 0])
    np.testing.assert_allclose(first.z_hat.numpy(), books.dequantize(both.indices.numpy(), upto=1), atol=1e-6)
    assert (both.z_hat - z).square().mean() < 0.3 * (first.z_hat - z).square().mean()


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (2, 3, 4), (512,)])
def test_finite_scalars_are_those_of_numpy(levels):
    module, quantizer = FiniteScalarQuantize(levels), FiniteScalar(levels)
    z = 2 * gaussian(40, 50, len(levels))
    coded = module(torch.tensor(z))
    np.testing.assert_array_equal(coded.indices.numpy(), quantizer.quantize(z))
    np.testing.assert_array_equal(coded.z_hat.numpy(), quantizer.dequantize(quantizer.quantize(z)))


def test_the_gradient_of_a_finite_scalar_is_that_of_its_bound():
    module, z = FiniteScalarQuantize((5, 7)), torch.tensor(gaussian(30, 2), requires_grad=True)
    module(z).z_hat.sum().backward()
    reach = torch.tensor([2 * 1.001 / 2, 3 * 1.001 / 3])
    torch.testing.assert_close(z.grad, reach * (1 - torch.tanh(z.detach()) ** 2))


def test_mixed_precision_finds_the_same_entries():
    module, z = VectorQuantize(train(gaussian(5000, 8), 512)).eval(), torch.tensor(gaussian(2000, 8, seed=1))
    expected = module(z).indices
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(module(z).indices, expected)


def test_straight_through_is_exact():
    z, z_hat = torch.tensor([1e8, 1.0]), torch.tensor([0.1, 0.2])
    assert torch.equal(straight_through(z, z_hat), z_hat)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: VectorQuantize(np.zeros(3, np.float32)), r"got shape \[3\]"),
        (lambda: VectorQuantize(np.full((2, 2), np.nan, np.float32)), "a codebook is finite"),
        (lambda: VectorQuantize(gaussian(2, 2), decay=2), "decay=2"),
        (lambda: FiniteScalarQuantize((1, 5)), r"it takes 2 to 512"),
        (lambda: FiniteScalarQuantize((513,)), r"it takes 2 to 512"),
    ],
)
def test_bad_arguments_get_one_clear_error(call, message):
    with pytest.raises(UsageError, match=message):
        call()
