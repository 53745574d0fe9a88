"""MACs of networks, counted while they run on shapes, against formulas worked out by hand."""

import dataclasses

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from midtread.nn.image import ImageConfig, ImageModel  # noqa: E402
from midtread.nn.macs import OWN, macs  # noqa: E402

C = ImageConfig(8, 12, 2, 3, 2, 5, 4, 6, 10, 14)  # every width another, so that no two formulas agree by chance
H, W = 64, 128
AT = {scale: H * W // scale**2 for scale in (8, 16, 32, 64)}  # positions


@pytest.fixture(scope="module")
def model() -> ImageModel:
    return ImageModel(C)


def picture() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(1, 3, H, W), torch.full((1,), 0.5)


def blocks(width: int, count: int) -> int:
    """MACs of residual blocks at one position: depthwise 3 x 3, wider, narrower."""
    return count * (9 * width + 2 * width * width * C.expansion)


ANALYSIS = {
    "first": 192 * C.width8 * AT[8],
    "stage8": blocks(C.width8, C.blocks8) * AT[8],
    "down": 4 * C.width8 * C.width16 * AT[16],
    "stage16": blocks(C.width16, C.blocks16) * AT[16],
}


def test_analysis_and_synthesis_have_the_macs_of_the_formula_and_mirror_each_other(model):
    x, quality = picture()
    assert macs(model.analysis, x, quality) == ANALYSIS
    y = torch.zeros(1, C.width16, H // 16, W // 16)
    mirror = {"first": "last", "down": "up"}
    assert macs(model.synthesis, y, quality) == {mirror.get(name, name): n for name, n in ANALYSIS.items()}


def test_a_depthwise_convolution_counts_nine_macs_for_each_of_its_outputs(model):
    known = torch.zeros(1, C.slice_a, 4, 8)
    assert macs(model.near_a, known, exact=True) == {OWN: 9 * C.slice_a * 32}


def test_the_whole_model_is_the_sum_of_its_stages_and_its_priors_are_one_of_them(model):
    found = macs(model, *picture())
    a, b, w, f = C.slice_a, C.width16 - C.slice_a, C.hyper_width, C.features
    inputs = [(f, a), (f + a, a), (f + 2 * a, b), (f + 2 * a + b, b)]
    assert found == {
        "analysis": sum(ANALYSIS.values()),
        "synthesis": sum(ANALYSIS.values()),
        "hyper_analysis": (C.width16 * w + 9 * w) * AT[16] + 4 * w * w * AT[32] + 4 * w * C.hyper * AT[64],
        "hyper_synthesis": C.hyper * 4 * w * AT[64] + (9 * w + w * 4 * f) * AT[32] + 9 * f * AT[16],
        "near_a": 9 * a * AT[16],
        "near_b": 9 * b * AT[16],
        "near_a_odd": 9 * a * AT[16],
        "priors": sum(C.hidden * (known + 2 * of) for known, of in inputs) * AT[16] // 2,  # half a checkerboard each
    }


def test_macs_grow_with_pixels_and_batch_and_nothing_else(model):
    x, quality = picture()
    once = macs(model.analysis, x, quality)
    twice = macs(model.analysis, torch.zeros(2, 3, H, W), torch.zeros(2))
    assert twice == {name: 2 * count for name, count in once.items()}
    assert macs(model.analysis, x + 7, quality + 0.25) == once


def test_counting_changes_nothing_and_computes_nothing(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    terapixel = torch.zeros(1, 3, 2**20, 2**20, device="meta")
    assert macs(model.analysis, terapixel, torch.zeros(1))["first"] == 192 * C.width8 * 2**34
    assert all(value.device.type == "cpu" and torch.equal(value, before[n]) for n, value in model.state_dict().items())
    assert dataclasses.asdict(model.config) == dataclasses.asdict(C)


class Choosing(nn.Module):
    """Looks at a value, and so cannot run on shapes alone."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.large = nn.Linear(4, 2), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.large(x) if x.sum().item() > 0 else self.small(x)
        return y @ y.T


def test_a_network_that_looks_at_values_is_run_as_it_is():
    assert macs(Choosing(), torch.ones(5, 4)) == {"large": 5 * 4 * 3, OWN: 5 * 3 * 5}
    assert macs(Choosing(), -torch.ones(5, 4)) == {"small": 5 * 4 * 2, OWN: 5 * 2 * 5}


class Attention(nn.Module):
    def __init__(self, looks: bool) -> None:
        super().__init__()
        self.looks = looks

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.looks:
            x = x * x.sum().item()
        return F.scaled_dot_product_attention(x, x, x)


@pytest.mark.parametrize("looks", [False, True], ids=["on shapes", "on values"])
def test_attention_is_two_matrix_products(looks):
    assert macs(Attention(looks), torch.zeros(1, 2, 7, 16)) == {OWN: 2 * (2 * 7 * 7 * 16)}


def test_what_is_wrong_with_the_call_is_said_by_the_network_itself(model):
    with pytest.raises(RuntimeError, match="divisible"):
        macs(model.analysis, torch.zeros(1, 3, 63, 64), torch.zeros(1))
