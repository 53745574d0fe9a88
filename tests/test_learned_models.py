"""Folders of models of the codec `learned`: found by name, path or hash; broken ones say what is wrong with them."""

import json
import shutil
import sys

import numpy as np
import pytest

pytest.importorskip("torch", reason="the tiny models of these tests are made with torch")

from safetensors.numpy import load_file, save_file

import midtread
from learned_models import frozen
from midtread.codecs.image import learned_model as models
from midtread.codecs.image import learned_runtime as runtimes
from midtread.codecs.image.learned import Learned
from midtread.errors import BitstreamError, CodecError, MissingError, UnknownNameError, UsageError
from pictures import photo_like


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two models side by side."""
    root = tmp_path_factory.mktemp("made")
    frozen(root, 1, "one")
    frozen(root, 2, "two")
    return root


@pytest.fixture
def root(made, tmp_path, monkeypatch):
    """A copy that a test may break, named by the environment."""
    shutil.copytree(made, tmp_path / "models")
    monkeypatch.setenv(models.VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


def facts(folder) -> dict:
    data = (folder / models.WEIGHTS).read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["midtread"])


def rewrite(folder, change=None, **changed_facts) -> None:
    """Write the weights again, with other facts, or with tensors that `change` has changed."""
    tensors, known = load_file(folder / models.WEIGHTS), facts(folder) | changed_facts
    if change:
        change(tensors)
    save_file(tensors, folder / models.WEIGHTS, {"midtread": json.dumps(known)})


def test_models_are_found_by_name_path_and_hash(root):
    assert {"s", "one", "two"} <= set(models.names())
    assert models.names()[0] in [path.name for path in models.SHIPPED.iterdir()], "shipped models come first"
    one = models.load("one")
    assert models.load(root / "one") is one
    assert models.load(str(root / "one")) is one
    assert models.of_digest(one.digest) is one
    assert one.digest != models.load("two").digest


def test_a_file_decodes_with_the_model_that_made_it(root):
    x = photo_like((30, 40, 3))
    files = {name: Learned(model=name, quality=50).encode(x) for name in ("one", "two", "s")}
    for name, data in files.items():
        np.testing.assert_array_equal(midtread.decode(data), Learned(model=name).decode(data))
        np.testing.assert_array_equal(midtread.decode(data), Learned(model="one").decode(data))


def test_a_model_that_is_not_here_is_named_by_its_hash(root, monkeypatch):
    data = Learned(model="one").encode(photo_like((20, 20)))
    missing, other = models.load("one").digest.hex(), models.load("two").digest.hex()
    shutil.rmtree(root / "one")
    with pytest.raises(MissingError, match=rf"hash {missing}; .*two {other}.*{models.VARIABLE}"):
        midtread.decode(data)
    monkeypatch.setenv(models.VARIABLE, "")
    with pytest.raises(MissingError, match=f"hash {missing}"):
        midtread.decode(data)


def test_a_broken_model_does_not_stand_in_the_way_of_another(root):
    data = Learned(model="two", quality=50).encode(photo_like((20, 20)))
    (root / "one" / models.WEIGHTS).write_bytes(b"not weights")
    assert midtread.decode(data).shape == (20, 20)
    shutil.rmtree(root / "two")
    with pytest.raises(MissingError, match=r"moreover, .*one.* is damaged"):
        midtread.decode(data)


def test_a_model_that_is_replaced_is_read_again(root):
    before = models.load("one").digest
    shutil.copy(root / "two" / models.WEIGHTS, root / "one" / models.WEIGHTS)
    assert models.load("one").digest != before


def test_an_unknown_name_names_the_nearest(root):
    with pytest.raises(UnknownNameError, match=r"no learned model 'onne'; did you mean 'one'\?.*MIDTREAD_MODELS"):
        Learned(model="onne").encode(photo_like((8, 8)))


def test_a_folder_without_weights_says_what_makes_them(root):
    (root / "one" / models.WEIGHTS).unlink()
    with pytest.raises(MissingError, match=r"it has no model.safetensors; `midtread freeze` makes one"):
        Learned(model=str(root / "one")).encode(photo_like((8, 8)))


@pytest.mark.parametrize("length", [0, 5, 300, -1, -100_000])
def test_weights_that_are_cut_off_are_damaged(root, length):
    path = root / "one" / models.WEIGHTS
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(BitstreamError, match=r"model.safetensors is damaged or no model of midtread"):
        models.load("one")


def test_weights_of_something_else_are_no_model(root):
    (root / "two" / models.WEIGHTS).write_bytes(b"a text, not weights")
    with pytest.raises(BitstreamError, match=r"two/model\.safetensors is damaged or no model of midtread"):
        models.load("two")
    save_file({"x": np.zeros(3, np.float32)}, root / "one" / models.WEIGHTS, {"format": "pt"})
    with pytest.raises(BitstreamError, match="no model of midtread"):
        models.load("one")


def test_a_newer_version_says_what_to_do(root):
    rewrite(root / "one", version=2)
    with pytest.raises(UsageError, match="version 2, this midtread reads version 1; update midtread"):
        models.load("one")


@pytest.mark.parametrize("tensor", ["log_gain", "quality_offset", "inverse_deviation", "log_scale_z"])
def test_a_tensor_that_is_missing_or_of_another_shape_is_named(root, tensor):
    rewrite(root / "one", lambda tensors: tensors.update({tensor: tensors[tensor][..., :-1].copy()}))
    with pytest.raises(BitstreamError, match=f"no whole learned model: {tensor} is"):
        models.load("one")
    rewrite(root / "one", lambda tensors: tensors.pop(tensor))
    with pytest.raises(BitstreamError, match=f"it lacks '{tensor}'"):
        models.load("one")


@pytest.mark.parametrize("config", [{}, {"width16": "many"}, [1], {"slice_a": 0}, {"blocks8": -1}])
def test_a_config_that_makes_no_sense_is_refused(root, config):
    known = facts(root / "one")["config"]
    rewrite(root / "one", config=known | config if config and isinstance(config, dict) else config)
    with pytest.raises(BitstreamError, match="no whole learned model"):
        models.load("one")


def test_the_weights_alone_are_enough(root):
    """The graphs in a folder are for other programs; ours are built of the weights."""
    data = Learned(model="one").encode(photo_like((20, 20)))
    expected = midtread.decode(data)
    for path in (root / "one").glob("*.onnx"):
        path.unlink()
    runtimes.open_run.cache_clear()
    np.testing.assert_array_equal(midtread.decode(data), expected)
    assert Learned(model="one").encode(photo_like((20, 20))) == data


def test_a_weight_of_another_shape_is_named(root):
    rewrite(root / "one", lambda tensors: tensors.update({"synthesis.up.bias": np.zeros(7, np.float32)}))
    codec = Learned(model="one", effort="fast")
    data = codec.encode(photo_like((20, 20)))
    with pytest.raises(BitstreamError, match="a weight of the graph 'synthesis' has another shape"):
        codec.decode(data)
    rewrite(root / "one", lambda tensors: tensors.update({"synthesis.up.bias": np.zeros(4 * 48, np.float32)}))
    rewrite(root / "one", lambda tensors: tensors.update({"synthesis.up.weight": np.zeros((192, 9, 1, 1), np.float16)}))
    with pytest.raises(BitstreamError, match=r"do not fit each other|does not run"):
        codec.decode(codec.encode(photo_like((20, 20))))


@pytest.mark.parametrize("wrong", [np.zeros((), np.float32), np.zeros(3, np.float32), np.zeros(192, np.int64)])
def test_a_weight_that_makes_no_sense_is_refused(root, wrong):
    codec = Learned(model="one", effort="fast")
    for name in ("synthesis.stage8.scale", "priors.1.first.unit", "synthesis.last.bias", "analysis.down.bias"):
        rewrite(root / "one", lambda tensors, name=name: tensors.update({name: wrong}))
        with pytest.raises(CodecError, match=name.split(".")[0].rstrip("s")):
            codec.decode(codec.encode(photo_like((20, 20))))
        shutil.copy(root / "two" / models.WEIGHTS, root / "one" / models.WEIGHTS)


def test_a_width_that_is_missing_is_named(root):
    known = facts(root / "one")["config"]
    rewrite(root / "one", config={key: value for key, value in known.items() if key != "width8"})
    with pytest.raises(BitstreamError, match="lacks 'width8'"):
        Learned(model="one").decode(Learned(model="one").encode(photo_like((20, 20))))


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_weights_that_a_graph_needs_and_that_are_not_there_are_missed(root, runtime):
    rewrite(root / "one", lambda tensors: tensors.pop("synthesis.up.weight"))
    codec = Learned(model="one", runtime=runtime)
    with pytest.raises(CodecError, match=r"damaged|lacks the tensor 'synthesis.up.weight'"):
        codec.decode(codec.encode(photo_like((20, 20))))


def test_a_runtime_without_torch_says_how_to_get_it(root, monkeypatch):
    data = Learned(model="one").encode(photo_like((20, 20)))
    monkeypatch.setitem(sys.modules, "midtread.nn.runtime", None)
    with pytest.raises(MissingError, match=r"runtime 'torch' needs PyTorch: pip install 'midtread\[train\]'"):
        Learned(model="one", runtime="torch", threads=3).decode(data)


@pytest.mark.parametrize("name", [path.parent.name for path in models.SHIPPED.glob(f"*/{models.WEIGHTS}")])
def test_shipped_models_are_whole_and_small(name):
    model = models.load(name)
    assert model.name == name, "the folder has the name that the model was frozen with"
    assert model.size_bytes <= 12e6
    assert (model.folder / "README.md").is_file()
    x = photo_like((64, 64, 3))
    assert Learned(model=name).decode(Learned(model=name).encode(x)).shape == x.shape
