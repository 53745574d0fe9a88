"""Freezing: what was trained is what the folder decodes with, and the card says what it is."""

import json
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="freezing needs torch")
pytest.importorskip("onnx", reason="freezing needs onnx")

from midtread import media  # noqa: E402
from midtread.cli import main  # noqa: E402
from midtread.codecs.image import learned_model  # noqa: E402
from midtread.codecs.image.learned import Learned  # noqa: E402
from midtread.errors import BitstreamError, MissingError, StorageError, TrainingError, UsageError  # noqa: E402
from midtread.nn.image import ImageModel  # noqa: E402
from midtread.train import card as cards  # noqa: E402
from midtread.train import checkpoint as checkpoints  # noqa: E402
from midtread.train import config as configs  # noqa: E402
from midtread.train import release as releases  # noqa: E402
from midtread.train import start  # noqa: E402
from midtread.train.release import release  # noqa: E402
from pictures import photo_like  # noqa: E402
from small_training import MODEL, one_thread  # noqa: E402, F401 - a fixture


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three pictures, two of them in the list of licences, and one line of it without a picture."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, shape in enumerate([(130, 128, 3), (128, 150, 3), (140, 128)]):
        media.save(folder / f"{number}.png", photo_like(shape, seed=number))
    lines = ["file,src,lic", "0.png,holiday,CC0", '1.png,holiday,"CC | BY, 4.0"', "9.png,gone,secret"]
    (folder / cards.MANIFEST).write_text("\n".join(lines))
    return folder


def checkpoint(folder, step=6, weights=None, **changes):
    """As a training of six steps leaves it, but that it never trained: the principal components."""
    table = {
        "model": dict(MODEL),
        "data": {"folders": [str(folder)], "crop": 64, "holdout": 1},
        "training": {"steps": 6, "batch": 4, "precision": "fp32", "exact_from": 0.5},
    }
    config = configs.parse(table, "tiny.toml")
    torch.manual_seed(0)
    model = ImageModel(config.model)
    crops = releases.Pictures([folder], 128).crops(np.random.default_rng(0), 32, 64)
    start.principal_components(model, crops, [0.0009 * 200 ** (k / 7) for k in range(8)])
    average = model.state_dict() | (weights or {})
    notes = {"seconds": 7200.0, "pictures": 2} | changes
    return checkpoints.Checkpoint(step, config.table(), model.state_dict(), average, {}, {}, notes)


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / checkpoints.LAST
    checkpoints.write(path, checkpoint(folder))
    return path


@pytest.fixture(scope="module")
def frozen(trained, tmp_path_factory):
    torch.set_num_threads(1)
    return release(trained, tmp_path_factory.mktemp("models") / "tiny", note="Two cores.")


def psnr(x, y):
    return 10 * np.log10(255**2 / np.mean((x.astype(float) - y) ** 2))


def test_a_frozen_folder_encodes_and_decodes_by_its_path_alone(frozen):
    x = photo_like((70, 90, 3), seed=5)
    codec = Learned(model=str(frozen.folder), quality=50)
    data = codec.encode(x)
    assert psnr(x, Learned(model=str(frozen.folder)).decode(data)) > 30
    assert learned_model.load(frozen.folder).digest.hex() == frozen.digest
    with pytest.raises(MissingError, match=frozen.digest):  # another model knows nothing of it
        Learned().decode(data)


def test_a_file_finds_its_model_in_the_folder_that_the_environment_names(frozen, monkeypatch):
    data = Learned(model=str(frozen.folder), quality=20).encode(photo_like((33, 20)))
    monkeypatch.setenv(learned_model.VARIABLE, str(frozen.folder.parent))
    assert frozen.name in learned_model.names()
    np.testing.assert_array_equal(Learned().decode(data), Learned(model=frozen.name).decode(data))


def test_a_folder_that_is_called_like_a_model_does_not_hide_it(frozen, monkeypatch, tmp_path):
    monkeypatch.setenv(learned_model.VARIABLE, str(frozen.folder.parent))
    monkeypatch.chdir(tmp_path)
    (tmp_path / frozen.name).mkdir()
    assert learned_model.load(frozen.name).digest.hex() == frozen.digest


def test_the_average_is_frozen_not_the_last_weights(folder, tmp_path, frozen):
    """Weights of the optimizer that nobody may ship."""
    kept = checkpoint(folder)
    wild = {name: tensor + 1 for name, tensor in kept.weights.items()}
    path = tmp_path / checkpoints.LAST
    checkpoints.write(path, checkpoints.Checkpoint(kept.step, kept.config, wild, kept.average, {}, {}, kept.notes))
    again = release(path, tmp_path / "tiny")
    assert again.digest == frozen.digest


def test_the_card_tells_data_licences_compute_curve_cost_and_limits(frozen, folder):
    text = (frozen.folder / "README.md").read_text()
    assert "# Model `tiny`" in text
    assert "Trained on 2 pictures; 1 more validated" in text
    for row in ("| holiday | CC0 | 1 |", "| holiday | CC / BY, 4.0 | 1 |", "| - | not stated | 1 |"):
        assert row in text
    assert "secret" not in text  # of a picture that is not there
    assert "6 of 6 steps of 4 crops (64 pixels, twice that from 75% on) on cpu, fp32, 2.0 hours" in text
    assert "Two cores." in text
    assert "    width16 = 24" in text
    assert "Frozen early" not in text
    for point in frozen.points:
        assert f"| {point.quality:g} | {point.rate_bpp:.3f} | {point.psnr_db:.2f} |" in text
    cost = learned_model.load(frozen.folder).facts["complexity"]
    assert f"| **decode** | {(cost['entropy'] + cost['synthesis']) / 1000:.2f} |" in text


def test_whoever_may_read_the_graphs_may_read_the_weights(frozen):
    modes = {path.name: path.stat().st_mode for path in frozen.folder.iterdir()}
    assert len(set(modes.values())) == 1, modes


def test_the_rates_of_the_card_are_of_real_files_of_the_held_out_picture(frozen, folder):
    held = releases.Pictures([folder], 128).hold_out(1)[0]
    point = frozen.points[2]
    codec = Learned(model=str(frozen.folder), quality=point.quality)
    data = codec.encode(held)
    assert point.rate_bpp == 8 * len(data) / (held.shape[0] * held.shape[1])
    assert point.psnr_db == pytest.approx(psnr(held, codec.decode(data)))
    rates = [point.rate_bpp for point in frozen.points]
    assert rates == sorted(rates)


def test_other_pictures_than_those_of_the_training_are_said(folder, tmp_path):
    path = tmp_path / checkpoints.LAST
    checkpoints.write(path, checkpoint(folder, step=2, pictures=700))
    with pytest.warns(UserWarning, match="trained on 700 pictures, 2 are there now"):
        made = release(path, tmp_path / "m", name="odd")
    text = (made.folder / "README.md").read_text()
    assert "some may have been trained on" in text
    assert "were never trained on" not in text
    assert "Frozen early" in text  # step 2 of 6: the integers did not round yet


def test_a_folder_without_a_list_of_licences_says_so(tmp_path):
    media.save(tmp_path / "a.png", photo_like((8, 8)))
    assert cards.licences([tmp_path]) == {}
    (tmp_path / cards.MANIFEST).write_bytes(b"\xff\xfe\x00")
    assert cards.licences([tmp_path]) == {}


def test_the_verb_prints_one_line_or_json(trained, tmp_path, capsys):
    assert main(["freeze", str(trained.parent), str(tmp_path / "one"), "--name", "pocket"]) == 0
    line = capsys.readouterr().out.strip()
    assert "\n" not in line
    assert re.search(r"model 'pocket', hash [0-9a-f]{8}, \d+\.\d\d MB, \d\.\d+ bpp", line)
    assert main(["freeze", str(trained), str(tmp_path / "two"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "two"
    assert len(found["points"]) == len(releases.QUALITIES)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{nothing}", "{out}"], 2, "no checkpoint at"),
        (["{text}", "{out}"], 1, "is not a whole checkpoint"),
        (["{trained}", "{here}"], 2, "exists"),
        (["{trained}", "{out}", "--name", ""], 2, "is no name for a model"),
        (["{trained}", "{out}", "--pictures", "{nothing}"], 2, "is not a folder of pictures"),
        (["{trained}", "{out}", "--pictures", "{here}"], 2, "no picture of at least"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line_and_leaves_nothing(arguments, code, message, trained, tmp_path, capsys):
    (tmp_path / "here").mkdir()
    (tmp_path / "text.safetensors").write_text("no checkpoint")
    places = {
        "nothing": tmp_path / "nothing", "out": tmp_path / "out", "text": tmp_path / "text.safetensors",
        "here": tmp_path / "here", "trained": trained,
    }  # fmt: skip
    assert main(["freeze", *(one.format(**places) for one in arguments)]) == code
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert message in error[0]
    assert not (tmp_path / "out").exists()


def test_pictures_that_moved_are_asked_for(folder, tmp_path):
    kept = checkpoint(folder)
    kept.config["data"]["folders"] = [str(tmp_path / "moved")]
    checkpoints.write(tmp_path / "c", kept)
    with pytest.raises(UsageError, match=r"moved is not a folder of pictures; name the folders .* with --pictures"):
        release(tmp_path / "c", tmp_path / "m")


def test_a_checkpoint_that_does_not_fit_its_configuration_is_refused_by_tensor(folder, tmp_path):
    kept = checkpoint(folder)
    kept.average["near_a.bias"] = torch.zeros(9)
    checkpoints.write(tmp_path / "c", kept)
    with pytest.raises(BitstreamError, match=r"tensor near_a\.bias .* another shape"):
        release(tmp_path / "c", tmp_path / "m")
    kept = checkpoint(folder)
    kept.config["model"]["width9"] = 3
    checkpoints.write(tmp_path / "c", kept)
    with pytest.raises(BitstreamError, match="width9"):
        release(tmp_path / "c", tmp_path / "m")


def test_weights_that_cannot_be_frozen_leave_nothing(folder, tmp_path):
    kept = checkpoint(folder)
    kept.average["synthesis.up.weight"][0, 0] = float("nan")
    checkpoints.write(tmp_path / "c", kept)
    with pytest.raises(TrainingError, match="not finite"):
        release(tmp_path / "c", tmp_path / "m")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]


def test_a_full_disk_leaves_nothing(trained, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("midtread.train.graphs.write_all", full)
    with pytest.raises(StorageError, match="No space left"):
        release(trained, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
