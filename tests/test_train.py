"""Training: the same numbers after a stop as without it, and nothing lost when something goes wrong."""

import errno
import json
import os
import signal
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from midtread import media  # noqa: E402
from midtread.cli import main  # noqa: E402
from midtread.errors import (  # noqa: E402
    BitstreamError,
    LimitError,
    MissingError,
    StorageError,
    TrainingError,
    UsageError,
)
from midtread.metrics.structure import ms_ssim as ms_ssim_numpy  # noqa: E402
from midtread.nn.image import ImageConfig, ImageModel  # noqa: E402
from midtread.train import checkpoint as checkpoints  # noqa: E402
from midtread.train import config as configs  # noqa: E402
from midtread.train import loop, start  # noqa: E402
from midtread.train.checkpoint import BEST, LAST  # noqa: E402
from midtread.train.losses import Objective, ms_ssim  # noqa: E402
from midtread.train.pictures import Pictures  # noqa: E402
from pictures import photo_like  # noqa: E402
from small_training import MODEL, one_thread  # noqa: E402, F401 - a fixture

EXAMPLES = Path(__file__).parents[1] / "examples"
GROUPS = ("weights", "average", "first", "second")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two pictures to train on and one to validate with."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, shape in enumerate([(130, 128, 3), (64, 64), (128, 150, 3), (140, 128)]):
        media.save(folder / f"{number}.png", photo_like(shape, seed=number))
    return folder


def table(folder: Path, **changes) -> dict:
    """A tiny configuration; `changes` go to the table that has the key."""
    found = {
        "model": dict(MODEL),
        "data": {"folders": [str(folder)], "crop": 64, "holdout": 1},
        "training": {"steps": 6, "batch": 4, "precision": "fp32", "warm_up": 2, "exact_from": 0.5},
    }
    for key, value in changes.items():
        name = next((name for name, keys in configs._TABLES.items() if key in keys.__dataclass_fields__), "training")
        found[name][key] = value
    return found


def config(folder: Path, **changes) -> configs.Config:
    return configs.parse(table(folder, **changes), "tiny.toml")


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """A run of six steps that was never stopped, with a checkpoint every three."""
    torch.set_num_threads(1)
    run = tmp_path_factory.mktemp("whole")
    loop.train(config(folder, checkpoint_every=3), run)
    return run


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def same(a: checkpoints.Checkpoint, b: checkpoints.Checkpoint) -> bool:
    groups = [(getattr(a, group), getattr(b, group)) for group in GROUPS]
    return a.step == b.step and all(x.keys() == y.keys() and all(torch.equal(x[n], y[n]) for n in x) for x, y in groups)


# the same numbers


def test_a_resumed_training_ends_in_the_very_same_numbers(folder, whole, tmp_path):
    tiny = config(folder)
    halfway = loop.train(tiny, tmp_path, stop_at=3)
    assert (halfway.step, halfway.steps, halfway.stopped) == (3, 6, False)
    assert not same(checkpoints.read(tmp_path / LAST), checkpoints.read(whole / LAST))
    loop.train(tiny, tmp_path, resume=True)
    assert same(checkpoints.read(tmp_path / LAST), checkpoints.read(whole / LAST))


def test_ctrl_c_saves_the_step_in_hand_and_nothing_is_lost(folder, whole, tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    steps = []

    def press(step, loss):
        steps.append(step)
        if step == 2:
            signal.raise_signal(signal.SIGINT)

    outcome = loop.train(config(folder), tmp_path, watch=loop.Watch(stepped=press))
    assert (outcome.stopped, outcome.step, steps) == (True, 2, [1, 2])
    assert checkpoints.read(tmp_path / LAST).step == 2
    assert signal.getsignal(signal.SIGINT) is handler
    loop.train(config(folder), tmp_path, resume=True)
    assert same(checkpoints.read(tmp_path / LAST), checkpoints.read(whole / LAST))


def test_another_seed_gives_other_numbers(folder, whole, tmp_path):
    loop.train(config(folder, seed=1), tmp_path, stop_at=1)
    ours, theirs = checkpoints.read(tmp_path / LAST), checkpoints.read(whole / LAST)
    assert not torch.equal(ours.weights["priors.0.first.weight"], theirs.weights["priors.0.first.weight"])


def test_the_random_numbers_of_the_caller_go_on_as_if_nothing_had_been_trained(folder, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    loop.train(config(folder), tmp_path, stop_at=1)
    assert torch.equal(torch.rand(3), expected)


def test_the_average_follows_a_young_model_fast(folder, tmp_path):
    loop.train(config(folder), tmp_path, stop_at=0)
    before = checkpoints.read(tmp_path / LAST)
    loop.train(config(folder), tmp_path, resume=True, stop_at=1)
    after = checkpoints.read(tmp_path / LAST)
    name = "priors.3.first.weight"
    assert not torch.equal(after.weights[name], before.weights[name])
    expected = torch.lerp(before.weights[name], after.weights[name], 100 / 101)
    torch.testing.assert_close(after.average[name], expected)


def test_a_run_leaves_its_history_curves_samples_and_the_best_checkpoint(whole):
    validated = [line for line in lines(whole) if "validation" in line]
    assert [(line["step"], line["exact"]) for line in validated] == [(0, False), (3, True), (6, True)]
    found = validated[-1]["validation"]
    assert found["bpp"] == sorted(found["bpp"])
    assert found["psnr_db"] == sorted(found["psnr_db"])
    assert found["psnr_db"][-1] > 30  # it begins as a transform codec
    assert media.load(whole / "samples" / "0000006.png").array.shape == (128, 4 * 128, 3)
    assert len(list(ElementTree.parse(whole / "curves.svg").iter("{http://www.w3.org/2000/svg}polyline"))) == 4
    losses = {line["step"]: line["validation"]["loss"] for line in validated}
    best = checkpoints.read(whole / BEST)
    assert best.step == min((3, 6), key=losses.get)  # only models whose integers round count, once there are some
    assert best.notes["best"] == [False, losses[best.step]]


def test_a_resumed_run_drops_the_lines_that_it_does_again(folder, tmp_path):
    loop.train(config(folder), tmp_path, stop_at=1)
    with open(tmp_path / "history.jsonl", "a") as file:
        file.write('{"step":4,"loss":1.0}\n{"step":5,"lo')
    loop.train(config(folder), tmp_path, resume=True, stop_at=2)
    assert [line["step"] for line in lines(tmp_path)] == [0, 1, 1, 2, 2]


# the schedule and the loss


def test_a_step_gets_the_same_crops_wherever_the_run_began(folder):
    tiny = config(folder)
    pictures, taken = Pictures(tiny.folders(), tiny.largest_crop()), []
    for first in (0, 2):
        with loop.Batches(pictures, tiny) as batches:
            taken.append({step: batches.take(step) for step in range(first, 4)})
    assert all(torch.equal(taken[0][step], taken[1][step]) for step in (2, 3))
    assert not torch.equal(taken[0][0], taken[0][1])
    expected = pictures.crops(np.random.default_rng([tiny.training.seed, 1]), 4, 64)
    np.testing.assert_array_equal(taken[0][1].numpy(), expected)


def test_the_schedule_takes_few_large_crops_in_the_end(folder):
    tiny = config(folder, steps=100)
    pictures = Pictures(tiny.folders(), tiny.largest_crop())
    with loop.Batches(pictures, tiny) as batches:
        shapes = [tuple(batches.take(step).shape) for step in (75, 76)]
    assert shapes == [(4, 3, 64, 64), (1, 3, 128, 128)]
    assert [tiny.exact(step) for step in (49, 50)] == [False, True]


def test_validation_rounds_and_draws_nothing(folder):
    model = ImageModel(ImageConfig(**MODEL))
    objective, pictures = Objective("mse", (0.001, 0.1)), Pictures([folder], 64).pictures[:1]
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(loop.validate(model, model.state_dict(), pictures, objective, True))
    assert found[0] == found[1]
    assert model.training


def test_each_step_has_random_numbers_of_its_own():
    drawn = set()
    for seed, step in ((0, 0), (0, 1), (1, 0)):
        generator = loop._seed(seed, step)
        drawn |= {torch.rand(1).item(), torch.rand(1, generator=generator).item()}
    assert len(drawn) == 6


def test_the_loss_weighs_distortion_by_quality():
    objective = Objective("mse", (0.01, 0.16))
    quality = torch.tensor([0.0, 0.5, 1.0])
    torch.testing.assert_close(objective.rate(quality), torch.tensor([0.01, 0.04, 0.16]))
    weights = torch.tensor([4**0.6, 1.0, 4**-0.6])
    expected = (weights * (torch.tensor([0.01, 0.04, 0.16]) * 100 + 0.5)).mean()
    torch.testing.assert_close(objective(torch.full((3,), 100.0), torch.full((3,), 0.5), quality), expected)
    x = torch.zeros(2, 3, 4, 4)
    torch.testing.assert_close(objective.distortion(x, x + 2 / 255), torch.full((2,), 4.0))


@pytest.mark.parametrize("noise", [0, 3, 40])
def test_ms_ssim_to_train_with_is_that_of_the_metrics(noise):
    rng = np.random.default_rng(noise)
    x = np.stack([photo_like((180, 200, 3), seed=seed) for seed in (1, 2)])
    x_hat = np.clip(x + rng.normal(0, noise, x.shape), 0, 255).astype(np.uint8)
    tensors = [torch.from_numpy(one).permute(0, 3, 1, 2).float() / 255 - 0.5 for one in (x, x_hat)]
    tensors[1].requires_grad_()
    found = ms_ssim(*tensors)
    expected = [ms_ssim_numpy(a, b) for a, b in zip(x, x_hat, strict=True)]
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-4)
    (1 - found).sum().backward()
    assert torch.isfinite(tensors[1].grad).all()


def test_a_model_trains_for_ms_ssim(tmp_path):
    for number in range(2):
        media.save(tmp_path / f"{number}.png", photo_like((192, 192, 3), seed=number))
    tiny = config(tmp_path, loss="ms-ssim", crop=192, large_from=1.0, batch=1, start="noise")
    assert tiny.training.lambdas == configs.LAMBDAS["ms-ssim"]
    outcome = loop.train(tiny, tmp_path / "run", stop_at=1)
    assert [0 <= value <= 1 for value in outcome.validation["ms_ssim"]] == [True] * 4
    assert Objective("ms-ssim", (2.4, 240.0)).mse_rate(0.5) == pytest.approx(24 * 8e-4)


def test_bf16_trains_to_about_the_same_loss(folder, whole, tmp_path):
    loop.train(config(folder, precision="bf16"), tmp_path, stop_at=1)
    loop.train(config(folder), tmp_path / "fp32", stop_at=1)
    losses = [lines(one)[1]["loss"] for one in (tmp_path, tmp_path / "fp32")]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


# growing


def test_a_deeper_model_begins_as_the_shallower_one(folder, whole, tmp_path):
    deep = config(folder, blocks8=3, blocks16=2, start=str(whole))
    loop.train(deep, tmp_path, stop_at=0)
    grown, old = checkpoints.read(tmp_path / LAST), checkpoints.read(whole / BEST)
    x, quality = torch.rand(1, 3, 64, 64) - 0.5, torch.tensor([0.4])
    pictures = []
    for kept, shape in ((grown, deep.model), (old, ImageConfig(**MODEL))):
        model = ImageModel(shape)
        model.load_state_dict(kept.average)
        with torch.no_grad():
            pictures.append(model(x, quality, True)[0])
    torch.testing.assert_close(*pictures, rtol=0, atol=0)
    assert (grown.step, deep.training.start) == (0, str(whole))


def test_what_cannot_grow_is_named(folder, whole, tmp_path):
    weights = checkpoints.read(whole / LAST).average
    with pytest.raises(UsageError, match=r"analysis\.first\.weight is \[16, 192, 1, 1\] .* \[20, 192, 1, 1\] in this"):
        start.grow(ImageModel(ImageConfig(**(MODEL | {"width8": 20}))), weights, "old")
    with pytest.raises(UsageError, match=r"analysis\.stage8\.blocks\.0\.\S+ of old has no place .* as many blocks"):
        start.grow(ImageModel(ImageConfig(**(MODEL | {"blocks8": 0}))), weights, "old")
    short = {name: tensor for name, tensor in weights.items() if name != "synthesis.stage8.blocks.0.mix.bias"}
    with pytest.raises(UsageError, match=r"old has no tensor synthesis\.stage8\.blocks\.0\.mix\.bias"):
        start.grow(ImageModel(ImageConfig(**(MODEL | {"blocks8": 2}))), short, "old")
    with pytest.raises(UsageError, match=r"no checkpoint at .*nowhere"):
        loop.train(config(folder, start="nowhere"), tmp_path)


# nothing lost


class Full:
    """A disk that takes so many bytes and no more."""

    def __init__(self, monkeypatch, room: int) -> None:
        self.room, self.write = room, os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, handle, data) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.write(handle, data[: self.room])
        self.room -= written
        return written


def test_a_full_disk_leaves_the_last_good_checkpoint(folder, tmp_path, monkeypatch):
    loop.train(config(folder), tmp_path, stop_at=1)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.safetensors")}
    Full(monkeypatch, 100_000)
    with pytest.raises(StorageError, match=r"last\.safetensors: No space left .* was not touched; free some space"):
        loop.train(config(folder), tmp_path, resume=True, stop_at=2)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.safetensors")} == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_numbers_that_run_away_stop_the_training_and_keep_the_last_good_checkpoint(folder, tmp_path, monkeypatch, what):
    tiny = config(folder, checkpoint_every=1)
    loop.train(tiny, tmp_path, stop_at=2)
    before = (tmp_path / LAST).read_bytes()
    if what == "loss":
        monkeypatch.setattr(Objective, "__call__", lambda self, d, r, q: (d * float("nan")).mean())
    else:
        monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(float("inf")))
    monkeypatch.setattr(loop, "validate", lambda *_: {"loss": 1.0})
    with pytest.raises(TrainingError, match=rf"the {what} became (nan|inf) at step 3; .*{LAST} of step 2 is as it was"):
        loop.train(tiny, tmp_path, resume=True)
    assert (tmp_path / LAST).read_bytes() == before


def test_weights_that_are_not_finite_are_never_saved(folder, tmp_path, monkeypatch):
    loop.train(config(folder), tmp_path, stop_at=1)
    before = (tmp_path / LAST).read_bytes()
    step = torch.optim.AdamW.step

    def spoil(self, *args):
        step(self, *args)
        self.param_groups[0]["params"][0].data[0] = float("inf")

    monkeypatch.setattr(torch.optim.AdamW, "step", spoil)
    monkeypatch.setattr(loop, "validate", lambda *_: {"loss": 1.0})
    with pytest.raises(TrainingError, match=r"the weights \S+ are no longer finite"):
        loop.train(config(folder), tmp_path, resume=True, stop_at=2)
    assert (tmp_path / LAST).read_bytes() == before


def test_a_checkpoint_is_a_safetensors_file_that_others_open(whole):
    safetensors = pytest.importorskip("safetensors.torch")
    theirs, ours = safetensors.load_file(whole / LAST), checkpoints.read(whole / LAST)
    assert set(theirs) == {f"{group}.{name}" for group in GROUPS for name in getattr(ours, group)}
    assert ours.weights.keys() == ours.average.keys() == ImageModel(ImageConfig(**MODEL)).state_dict().keys()
    assert torch.equal(theirs["average.log_gain.anchors"], ours.average["log_gain.anchors"])
    assert ours.config["training"]["lambdas"] == [0.0009, 0.18]


def test_a_damaged_checkpoint_is_blamed_on_the_file(whole, tmp_path):
    data, path = (whole / LAST).read_bytes(), tmp_path / LAST
    for length in (0, 7, 100, 5000, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises((BitstreamError, LimitError), match="is not a whole checkpoint"):
            checkpoints.read(path)
    for old, new in ((b"midtread training", b"midtread straining"[:17]), (b'{\\"step\\": 6', b'{\\"step\\": x')):
        assert old in data
        path.write_bytes(data.replace(old, new, 1))
        with pytest.raises(BitstreamError, match="is not a whole checkpoint"):
            checkpoints.read(path)


# bad input


def test_a_run_is_neither_overwritten_nor_mixed_with_another(folder, whole, tmp_path):
    with pytest.raises(UsageError, match="has a run already: go on with it with --resume"):
        loop.train(config(folder), whole)
    with pytest.raises(UsageError, match="nothing to resume"):
        loop.train(config(folder), tmp_path, resume=True)
    words = r"\[model\] width8 is 20 here, 16 there; \[training\] batch is 8 here, 4 there; put it"
    with pytest.raises(UsageError, match=words):
        loop.train(config(folder, batch=8, width8=20, learning_rate=1e-4, checkpoint_every=3), whole, resume=True)


def test_the_learning_rate_may_be_lowered_on_the_way(folder, whole, tmp_path):
    loop.train(config(folder), tmp_path, stop_at=5)
    loop.train(config(folder, learning_rate=1e-6), tmp_path, resume=True)
    assert not same(checkpoints.read(tmp_path / LAST), checkpoints.read(whole / LAST))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"widht8": 3}, r"\[training\]: unknown key 'widht8'"),
        ({"learning_rat": 3}, r"tiny.toml: \[training\]: unknown key 'learning_rat'; did you mean 'learning_rate'"),
        ({"steps": 1.5}, r"\[training\]: steps is 1.5; it takes a whole number"),
        ({"steps": True}, "steps is True; it takes a whole number"),
        ({"steps": 0}, "steps is 0; it takes a whole number from 1 to"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; it takes a number"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; it takes a number from"),
        ({"device": "cudaa"}, "device is 'cudaa'; did you mean 'cuda'"),
        ({"folders": "pictures"}, r"\[data\]: folders is 'pictures'; it takes a list of texts"),
        ({"folders": []}, r"\[data\]: folders is \[\]; it takes a list of texts"),
        ({"folders": [3]}, "folders is 3; it takes a text"),
        ({"lambdas": [0.1]}, r"lambdas is \[0.1\]; it takes \[lowest, highest\]"),
        ({"lambdas": [0.2, 0.1]}, r"it takes \[lowest, highest\]"),
        ({"crop": 100}, "crop is 100; it takes a multiple of 64, such as 128"),
        ({"crop": 128, "loss": "ms-ssim"}, "crop is 128; the five scales of MS-SSIM take 176 .* crop = 192"),
        ({"batch": 6}, "batch is 6; it takes a multiple of 4"),
        ({"slice_a": 24}, "slice_a is 24; it takes fewer than width16, which is 24"),
        ({"width8": 0}, r"\[model\]: width8 is 0; it takes a whole number from 1"),
    ],
)
def test_a_wrong_configuration_is_named_by_file_table_and_key(tmp_path, changes, words):
    with pytest.raises(UsageError, match=words):
        config(tmp_path, **changes)


def test_a_configuration_that_is_no_toml_or_lacks_what_it_needs_is_refused(tmp_path):
    path = tmp_path / "a.toml"
    with pytest.raises(UsageError, match=r"cannot read the configuration .*a.toml: No such file"):
        configs.load(path)
    for text, words in (
        ("steps =", "is not TOML"),
        ("model = 3", r"\[model\] is 3; it takes a table"),
        ("[trainin]", r"unknown table \[trainin\]; did you mean 'training'"),
        ('[data]\nfolders = ["p"]', r"\[training\] has no steps"),
        ("[training]\nsteps = 3", r"\[data\] has no folders"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=words):
            configs.load(path)
    path.write_text('[data]\nfolders = ["p"]\n[training]\nsteps = 3')
    assert configs.load(path).folders() == [tmp_path / "p"]
    assert configs.load(path, [tmp_path / "q"], device="cuda").folders() == [tmp_path / "q"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("train_*.toml")), ids=lambda path: path.stem)
def test_the_examples_are_configurations(path):
    assert 0 < configs.load(path).training.exact_from < 0.6


def test_the_medium_example_grows_from_the_checkpoint_that_is_here():
    config = configs.load(EXAMPLES / "train_m.toml")
    path = config.base / config.training.start
    model, found = ImageModel(config.model), checkpoints.read(path)
    start.grow(model, found.average, str(path))
    for name, tensor in found.average.items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_folders_that_cannot_be_trained_on_are_refused_in_words(folder, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="is not a folder of pictures"):
        Pictures([tmp_path / "nowhere"], 64)
    with pytest.raises(UsageError, match="no picture of at least 64 x 64 pixels in"):
        Pictures([tmp_path], 64)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UsageError, match=r"no picture of at least 64 x 64 .*; the first of 1: .*broken.png: "):
        Pictures([tmp_path], 64)
    with pytest.raises(UsageError, match=r"no picture of at least 1024 x 1024 .* of 4: .* smaller than a crop"):
        Pictures([folder], 1024)
    assert len(Pictures([folder], 128).skipped) == 1
    assert len(Pictures([folder, folder], 64).pictures) == 4
    with pytest.raises(LimitError, match=r"the first 1 of 4 pictures fill the 1e-06 GB .* raise \[data\] memory_gb"):
        Pictures([folder], 64, memory_gb=1e-6)
    with pytest.raises(UsageError, match=r"holdout is 4, and 4 pictures are large enough"):
        Pictures([folder], 64).hold_out(4)

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(UsageError, match=r"cannot read the folder .*: Permission denied"):
        Pictures([folder], 64)


def test_what_is_held_out_is_never_trained_on(tmp_path):
    for number in range(5):
        media.save(tmp_path / f"{number}.png", np.full((64, 64, 3), number, np.uint8))
    pictures = Pictures([tmp_path], 64)
    held = {int(picture[0, 0, 0]) for picture in pictures.hold_out(2)}
    seen = set(np.unique(pictures.crops(np.random.default_rng(0), 200, 64)).tolist())
    assert len(held) == 2
    assert seen == set(range(5)) - held


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_missed_before_anything_is_read(folder, tmp_path):
    with pytest.raises(MissingError, match='device is "cuda" and torch finds no GPU'):
        loop.train(config(folder, device="cuda"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_run_goes_on_on_a_gpu(folder, tmp_path):
    loop.train(config(folder), tmp_path, stop_at=3)
    outcome = loop.train(config(folder, device="cuda", precision="bf16"), tmp_path, resume=True)
    assert outcome.step == 6
    assert all(torch.isfinite(one).all() for one in checkpoints.read(tmp_path / LAST).weights.values())


# the command line


def test_the_command_trains_stops_at_a_step_and_goes_on(folder, tmp_path, capsys):
    text = ""
    for name, keys in table(folder).items():
        text += f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    (tmp_path / "tiny.toml").write_text(text)
    command = ["train", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "run")]
    assert main([*command, "--steps", "1"]) == 0
    out, err = capsys.readouterr()
    assert "step 1 of 6  0." in out
    assert "2 pictures, 1 held out, 1 left out, such as" in err
    assert main([*command, "--steps", "-1"]) == 2
    assert "cannot stop at step -1" in capsys.readouterr().err
    assert main(command) == 2
    assert "has a run already" in capsys.readouterr().err
    assert main([*command, "--resume", "--steps", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 2
    assert checkpoints.read(tmp_path / "run" / LAST).notes["seconds"] > 0


def test_the_command_says_what_is_wrong_without_a_traceback(folder, tmp_path, capsys, monkeypatch):
    (tmp_path / "bad.toml").write_text("[training]\nstesp = 3")
    assert main(["train", str(tmp_path / "bad.toml")]) == 2
    assert "did you mean 'steps'" in capsys.readouterr().err
    monkeypatch.setattr("midtread.cli.train.missing", lambda needs: "pip install 'midtread[train]'")
    assert main(["train", str(tmp_path / "bad.toml")]) == 2
    assert "training needs torch; install it with: pip install" in capsys.readouterr().err
