"""Other people's learned codecs, on tiny random models saved as a user would have the real ones."""

import os
from itertools import pairwise

import numpy as np
import pytest

import midtread
import test_contract as contract
from midtread import container
from midtread.codecs.external import vq_codebook, vq_indices
from midtread.container import Chunk, File, Tag
from midtread.errors import BitstreamError, CodecError, LimitError, MissingError, UsageError
from midtread.registry import CODECS
from midtread.spec import missing
from pictures import WITHOUT_WEIGHTS, photo_like

ARCHITECTURES = ("bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean", "mbt2018", "cheng2020-anchor")
MODELS = ("ldm-sr", "vq-diffusion", "kandinsky-movq", "stable-cascade", "wuerstchen")

for _name in WITHOUT_WEIGHTS:
    if _line := missing(CODECS.get(_name).needs):
        pytest.skip(f"codec {_name} is not installed here: {_line}", allow_module_level=True)

torch = pytest.importorskip("torch")

from midtread.codecs.external import compressai as ours  # noqa: E402
from midtread.codecs.external import compressai_zoo, vq_models  # noqa: E402
from midtread.codecs.external.compressai import CompressAI  # noqa: E402
from midtread.codecs.external.vqvae import VqVae  # noqa: E402

every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
every_model = pytest.mark.parametrize("model", MODELS)
both = pytest.mark.parametrize("name", WITHOUT_WEIGHTS)


def tiny_net(architecture, seed=0):
    torch.manual_seed(seed)
    make = compressai_zoo.zoo().model_architectures[architecture]
    net = make(8) if architecture.startswith("cheng") else make(8, 12)
    with torch.no_grad():
        net.g_a[6].weight *= 40  # latents that are not all zero
        if hasattr(net, "h_a"):
            net.h_a[len(net.h_a) - 1].weight *= 20
            net.h_s[len(net.h_s) - (1 if architecture != "bmshj2018-hyperprior" else 2)].weight *= 20
    net.update()
    return net.eval()


def tiny_vq(model, seed=0):
    torch.manual_seed(seed)
    origin = vq_models.ORIGINS[model]
    make = vq_models._class(origin.kind)
    if origin.kind == "PaellaVQModel":
        net = make(bottleneck_blocks=1, embed_dim=8, num_vq_embeddings=64)
    else:
        wide = 32 if model == "kandinsky-movq" else 8
        net = make(
            block_out_channels=(wide, wide),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
            num_vq_embeddings=64,
            latent_channels=4,
            vq_embed_dim=6 if model == "vq-diffusion" else None,
            norm_type="spatial" if model == "kandinsky-movq" else "group",
        )
    quantizer = net.quantize if origin.kind == "VQModel" else net.vquantizer
    with torch.no_grad():
        quantizer.embedding.weight.normal_()
        if origin.kind == "PaellaVQModel":
            net.down_blocks[-1][1].weight *= 20  # latents that are not all alike
    return net.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A weights folder as MIDTREAD_WEIGHTS may name it."""
    root, threads = tmp_path_factory.mktemp("weights"), torch.get_num_threads()
    torch.set_num_threads(1)
    (root / "compressai").mkdir()
    for architecture in ARCHITECTURES:
        torch.save(tiny_net(architecture).state_dict(), root / "compressai" / f"{architecture}-mse-4.pth")
    for model in MODELS:
        tiny_vq(model).save_pretrained(root / "vqvae" / model)
    yield root
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def home(folder, monkeypatch, tmp_path):
    """Nothing outside the test is looked at, nothing is fetched."""
    monkeypatch.setenv("MIDTREAD_WEIGHTS", str(folder))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("MIDTREAD_DOWNLOAD", raising=False)


def rebuilt(data, *, parameters=None, payloads=None, shape=None):
    """The same file with other contents under right checksums."""
    file = container.read(data)
    parameters = file.need(Tag.PARAMETERS) if parameters is None else parameters
    payloads = payloads_of(data) if payloads is None else payloads
    chunks = (Chunk(Tag.PARAMETERS, parameters), *(Chunk(Tag.PAYLOAD, one) for one in payloads))
    return container.write(File(file.codec, file.dtype, shape or file.shape, chunks))


def payloads_of(data):
    return [chunk.data for chunk in container.read(data).chunks if chunk.tag == Tag.PAYLOAD]


# --- both -----------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    "promise",
    [
        contract.test_same_input_gives_same_bytes_and_is_left_untouched,
        contract.test_views_and_foreign_byte_order_are_the_same_picture,
        contract.test_sixteen_bits_into_an_eight_bit_codec_are_refused,
        contract.test_a_float_picture_with_nan_is_refused_and_says_where,
        contract.test_an_unknown_option_names_the_nearest,
        contract.test_a_knob_beyond_its_range_or_of_a_wrong_type_is_refused,
        contract.test_every_truncation_of_a_midtread_file_is_refused,
        contract.test_trailing_bytes_after_a_midtread_file_are_refused,
        contract.test_every_flipped_byte_of_a_midtread_file_is_refused,
        contract.test_a_hostile_payload_with_a_right_checksum_is_refused_or_keeps_the_declared_shape,
        contract.test_info_knows_a_file_without_decoding_it,
        contract.test_a_picture_costs_at_most_32_bytes_over_the_codecs_own,
        contract.test_stages_are_closed_when_a_codec_fails,
    ],
    ids=lambda promise: promise.__name__[5:],
)
def test_what_every_codec_promises_holds_for_these_too(promise, name):
    promise(name)


@both
@pytest.mark.parametrize("shape", [(1, 1), (1, 7, 3), (65, 2, 3), (64, 96)])
def test_any_size_comes_back_gray_or_colour(name, shape):
    x_hat = midtread.decode(midtread.encode(photo_like(shape), name))
    assert (x_hat.shape, x_hat.dtype) == (shape, np.uint8)


@both
def test_the_file_says_which_weights_it_needs_and_others_are_refused_by_name(name, folder, tmp_path):
    data = midtread.encode(photo_like(), name)
    if name == "compressai":
        other = tmp_path / "other.pth"
        torch.save(tiny_net("mbt2018-mean", seed=1).state_dict(), other)
        codec = CompressAI(weights=str(other))
    else:
        tiny_vq("kandinsky-movq", seed=1).save_pretrained(tmp_path / "other")
        codec = VqVae(weights=str(tmp_path / "other"))
    mark, another = (container.read(one).need(Tag.PARAMETERS) for one in (data, codec.encode(photo_like())))
    at = slice(4, 12) if name == "compressai" else slice(3, 11)
    assert mark[at] != another[at]
    with pytest.raises(BitstreamError, match=f"{mark[at].hex()}.*other.*{another[at].hex()}"):
        codec.decode(data)


@both
def test_without_torch_the_install_line_is_named(name, monkeypatch):
    import importlib.util

    data = midtread.encode(photo_like(), name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(MissingError, match="pip install"):
        midtread.decode(data)


@both
def test_files_of_impossible_pictures_are_refused(name):
    data = midtread.encode(photo_like(), name)
    for shape in ((24, 40, 4), (0, 40, 3), (24,)):
        with pytest.raises(BitstreamError, match=r"\[|names|holds"):
            CODECS.get(name)().decode(rebuilt(data, shape=shape))
    for place in range(3):  # version, architecture or model, metric or depth
        parameters = bytearray(container.read(data).need(Tag.PARAMETERS))
        parameters[place] = 200
        with pytest.raises(BitstreamError, match="not of this version"):
            midtread.decode(rebuilt(data, parameters=bytes(parameters)))
    with pytest.raises(BitstreamError, match="more bytes follow"):
        midtread.decode(rebuilt(data, parameters=container.read(data).need(Tag.PARAMETERS) + b"\0"))


@both
def test_what_a_network_costs_is_counted(name):
    cost = CODECS.get(name)().complexity()
    assert cost.parameters > 1000
    assert cost.weights_bytes > 4 * cost.parameters  # and tables, and names
    assert cost.encode_macs_per_pixel > 0
    assert cost.decode_macs_per_pixel > 0


def test_multiplications_are_those_of_the_layers():
    """bmshj2018-factorized with N = 8, M = 12, by hand: 5 x 5 convolutions and divisive normalisations 1 x 1."""
    cost = CompressAI(architecture="bmshj2018-factorized").complexity()
    analysis = (25 * 3 * 8 + 8 * 8) / 4 + (25 * 8 * 8 + 8 * 8) / 16 + (25 * 8 * 8 + 8 * 8) / 64 + 25 * 8 * 12 / 256
    assert cost.encode_macs_per_pixel == pytest.approx(analysis)


# --- compressai -----------------------------------------------------------------------------------------------------


@every_architecture
def test_a_file_holds_compressais_own_streams_and_decodes_to_its_own_pixels(architecture, folder):
    x = photo_like((64, 128, 3))
    net = (
        compressai_zoo.zoo()
        .model_architectures[architecture]
        .from_state_dict(torch.load(folder / "compressai" / f"{architecture}-mse-4.pth", weights_only=True))
    )
    net.eval()
    with torch.inference_mode():
        coded = net.compress(torch.from_numpy(x.transpose(2, 0, 1)[None].astype(np.float32) / 255))
        expected = net.decompress(**coded)["x_hat"][0].permute(1, 2, 0).numpy()
    data = midtread.encode(x, "compressai", architecture=architecture)
    strings = [one for (one,) in coded["strings"]]
    assert payloads_of(data) == strings
    assert len(strings[0]) > 100, "latents that say nothing test nothing"
    assert len(data) <= sum(map(len, strings)) + 70
    np.testing.assert_array_equal(midtread.decode(data), np.rint(255 * expected).astype(np.uint8))


@pytest.mark.parametrize("architecture", ["bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean"])
def test_pixels_are_those_of_the_models_forward_pass(architecture):
    """The autoregressive ones differ by design: their forward pass rounds before it knows the means."""
    x = photo_like((64, 64, 3))
    model = compressai_zoo.load(architecture, "mse", 4, "", False)
    with torch.inference_mode():
        planes = model.net(torch.from_numpy(x.transpose(2, 0, 1)[None].astype(np.float32) / 255))["x_hat"]
    expected = planes[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
    x_hat = midtread.decode(midtread.encode(x, "compressai", architecture=architecture))
    np.testing.assert_allclose(x_hat, expected, atol=0.51)


def test_padding_is_cropped_and_repeats_the_edge():
    x = photo_like((70, 90, 3))
    filled = np.pad(x, ((0, 58), (0, 38), (0, 0)), mode="edge")
    small, large = (midtread.encode(one, "compressai") for one in (x, filled))
    assert payloads_of(small) == payloads_of(large)
    np.testing.assert_array_equal(midtread.decode(small), midtread.decode(large)[:70, :90])


@every_architecture
def test_absent_weights_are_named_with_their_place_and_address(architecture, folder):
    with pytest.raises(MissingError) as caught:
        midtread.encode(photo_like(), "compressai", architecture=architecture, quality=3)
    for word in (str(folder / "compressai" / architecture), "-3-", ".pth.tar", "https://", "MIDTREAD_DOWNLOAD=1"):
        assert word in str(caught.value)


def test_a_named_place_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        CompressAI(weights=str(tmp_path / "nowhere")).encode(photo_like())


def test_weights_are_fetched_only_when_allowed_and_checked_by_the_name_of_their_file(folder, tmp_path, monkeypatch):
    asked = []

    def fetch(url, path, hash_prefix, progress):
        asked.append((url, hash_prefix))
        torch.save(tiny_net("mbt2018-mean").state_dict(), path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    monkeypatch.setenv("MIDTREAD_WEIGHTS", str(tmp_path / "fresh"))
    with pytest.raises(MissingError):
        midtread.encode(photo_like(), "compressai")
    assert asked == []
    data = midtread.encode(photo_like(), "compressai", download=True)
    assert asked == [("https://compressai.s3.amazonaws.com/models/v1/mbt2018-mean-4-6dba02a3.pth.tar", "6dba02a3")]
    os.remove(tmp_path / "fresh/compressai/mbt2018-mean-4-6dba02a3.pth.tar")
    monkeypatch.setenv("MIDTREAD_DOWNLOAD", "1")
    midtread.decode(data)
    assert len(asked) == 2


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_without_tensors_is_no_checkpoint(suffix, tmp_path):
    path = tmp_path / f"mbt2018-mean-mse-4{suffix}"
    path.write_bytes(b"<html>Not Found</html>")
    with pytest.raises(UsageError, match="not a file of tensors"):
        CompressAI(weights=str(path)).encode(photo_like())


def test_a_checkpoint_that_would_run_code_does_not(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UsageError, match="not a file of tensors"):
        CompressAI(weights=str(tmp_path / "evil.pth")).encode(photo_like())
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_another_architecture_is_refused(folder):
    weights = str(folder / "compressai" / "mbt2018-mse-4.pth")
    with pytest.raises(UsageError, match="no checkpoint of CompressAI's cheng2020-anchor"):
        CompressAI(architecture="cheng2020-anchor", weights=weights).encode(photo_like())


def test_the_same_tensors_in_another_format_or_wrapping_are_the_same_weights(folder, tmp_path):
    from safetensors.torch import save_file

    state = torch.load(folder / "compressai" / "mbt2018-mean-mse-4.pth", weights_only=True)
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "a.safetensors")
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "b.pth.tar")
    x = photo_like()
    expected = midtread.encode(x, "compressai")
    for file in ("a.safetensors", "b.pth.tar"):
        assert CompressAI(weights=str(tmp_path / file)).encode(x) == expected


@pytest.mark.parametrize("architecture", ARCHITECTURES[1:])
def test_a_decoder_out_of_step_says_so_instead_of_showing_noise(architecture):
    """As on another machine, where a float that chooses a table falls to the other side."""
    data = midtread.encode(photo_like((64, 64, 3)), "compressai", architecture=architecture)
    model = compressai_zoo.load(architecture, "mse", 4, "", False)
    table = model.net.gaussian_conditional.scale_table
    try:
        table *= 2
        with pytest.raises(BitstreamError, match="decode where the file was made"):
            midtread.decode(data)
    finally:
        table /= 2
    midtread.decode(data)


@every_architecture
def test_hostile_streams_are_refused_or_decode_to_the_declared_shape(architecture):
    data = midtread.encode(photo_like((9, 11, 3)), "compressai", architecture=architecture)
    streams, rng = payloads_of(data), np.random.default_rng(0)
    for number in range(len(streams)):
        for hostile in (b"\xff" * 64, b"\0" * 8, rng.bytes(64), streams[number][:8], streams[number][::-1]):
            changed = [*streams[:number], hostile, *streams[number + 1 :]]
            try:
                assert midtread.decode(rebuilt(data, payloads=changed)).shape == (9, 11, 3)
            except CodecError:
                continue


@pytest.mark.parametrize("bad", [b"", b"1234", b"123456789", bytes(4 * 10**6)], ids=["none", "few", "odd", "long"])
def test_streams_no_encoder_writes_never_reach_the_native_decoder(bad):
    data = midtread.encode(photo_like(), "compressai")
    for changed in ([bad, payloads_of(data)[1]], [payloads_of(data)[0], bad]):
        with pytest.raises(BitstreamError, match=r"stream . of \d+ symbols cannot have"):
            midtread.decode(rebuilt(data, payloads=changed))
    with pytest.raises(BitstreamError, match="has 2 streams, this one has 1"):
        midtread.decode(rebuilt(data, payloads=payloads_of(data)[:1]))


def test_a_picture_larger_than_the_networks_can_bear_is_refused_both_ways(monkeypatch):
    data = midtread.encode(photo_like(), "compressai")
    monkeypatch.setattr(ours, "MOST_PIXELS", 900)
    with pytest.raises(UsageError, match="up to 900 pixels"):
        midtread.encode(photo_like(), "compressai")
    with pytest.raises(LimitError, match="more than 900 pixels"):
        midtread.decode(data)


class Twin:
    """CompressAI's decoder of one stream, counting the words it reads."""

    def __init__(self, data):
        self.words = np.frombuffer(data, "<u4").tolist()
        self.state, self.read = self.words[0] | self.words[1] << 32, 2

    def refill(self):
        if self.state < 1 << 31:
            self.state, self.read = self.state << 32 | self.words[self.read], self.read + 1

    def nibble(self):
        value, self.state = self.state & 15, self.state >> 4
        self.refill()
        return value

    def symbol(self, cdf, size, offset):
        low = self.state & 0xFFFF
        s = next(i for i in range(size) if cdf[i] > low) - 1
        self.state = (cdf[s + 1] - cdf[s]) * (self.state >> 16) + low - cdf[s]
        self.refill()
        if s < size - 2:
            return s + offset
        value = count = self.nibble()
        while value == 15:
            value = self.nibble()
            count += value
        raw = sum(self.nibble() << 4 * i for i in range(count))
        return (-(raw >> 1) - 1 if raw & 1 else (raw >> 1) + size - 2) + offset


def test_the_native_decoder_never_reads_past_the_zeros_behind_its_stream():
    model = compressai_zoo.load("bmshj2018-factorized", "mse", 4, "", False)
    neck = model.net.entropy_bottleneck
    cdfs, sizes, offsets = neck.quantized_cdf.tolist(), neck.cdf_length.tolist(), neck.offset.tolist()
    rng = np.random.default_rng(0)
    symbols, indices = rng.integers(-900, 900, 240).tolist(), rng.integers(0, len(cdfs), 240).tolist()
    honest = neck.entropy_coder.encode_with_indexes(symbols, indices, cdfs, sizes, offsets)
    file = File("compressai", "uint8", (64, 64, 3), (Chunk(Tag.PARAMETERS, b""), Chunk(Tag.PAYLOAD, honest)))
    (padded,) = ours._streams(file, model, 64 * 80)  # 240 symbols
    twin = Twin(padded)
    assert [twin.symbol(cdfs[i], sizes[i], offsets[i]) for i in indices] == symbols
    hostile = [b"\xff" * 1600, b"\xff" * 8, honest[:8], honest[::-1], *(rng.bytes(4 * n) for n in range(2, 300, 9))]
    hostile += [bytes(4) + b"\xff" * n for n in range(4, 1600, 160)]
    for data in hostile:
        chunks = (Chunk(Tag.PARAMETERS, b""), Chunk(Tag.PAYLOAD, data))
        (padded,) = ours._streams(File("compressai", "uint8", (64, 64, 3), chunks), model, 64 * 80)
        twin = Twin(padded)
        for i in indices:
            twin.symbol(cdfs[i], sizes[i], offsets[i])  # IndexError: it reads past the end
        assert 4 * twin.read <= len(padded)


# --- vqvae ----------------------------------------------------------------------------------------------------------


@every_model
def test_pixels_are_those_of_the_autoencoders_forward_pass(model, folder):
    x = photo_like((32, 48, 3))
    net = tiny_vq(model)
    black = vq_models.ORIGINS[model].black
    with torch.inference_mode():
        planes = torch.from_numpy(x.transpose(2, 0, 1)[None].astype(np.float32) / 255) * (1 - black) + black
        latents = net.encode(planes).latents
        pixels = net.decode(latents, force_not_quantize=False).sample[0].permute(1, 2, 0).numpy()
        quantizer = net.quantize if hasattr(net, "quantize") else net.vquantizer
        indices = quantizer(latents)[2][2].reshape(latents.shape[2:]).numpy()
    data = midtread.encode(x, "vqvae", model=model)
    expected = 255 * np.clip((pixels - black) / (1 - black), 0, 1)
    np.testing.assert_allclose(midtread.decode(data), expected, atol=0.52)
    loaded = vq_models.load(model, "", False)
    ranks = vq_indices.decode(payloads_of(data)[0], indices.shape, 6)
    np.testing.assert_array_equal(loaded.entries(0)[ranks], indices)
    assert len(np.unique(indices)) > 4, "one index everywhere tests nothing"


@every_model
def test_resizing_and_a_coarser_codebook_each_make_smaller_files(model):
    x = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = midtread.encode(x, "vqvae", model=model)
    for options in ({"resize": 0.5}, {"codebook": 2}, {"resize": 0.3, "codebook": 1}):
        data = midtread.encode(x, "vqvae", model=model, **options)
        assert len(data) < len(whole)
        assert midtread.decode(data).shape == x.shape
    places = (64 // vq_models.load(model, "", False).factor,) * 2
    ranks = vq_indices.decode(payloads_of(midtread.encode(x, "vqvae", model=model, codebook=2))[0], places, 2)
    assert ranks.max() < 4


def test_a_codebook_finer_than_the_shipped_one_is_refused_both_ways():
    with pytest.raises(UsageError, match="has 64 entries, so it takes 1 to 6"):
        midtread.encode(photo_like(), "vqvae", codebook=7)
    parameters = bytearray(container.read(data := midtread.encode(photo_like(), "vqvae")).need(Tag.PARAMETERS))
    parameters[2] = 7
    with pytest.raises(BitstreamError, match="more than the 64"):
        midtread.decode(rebuilt(data, parameters=bytes(parameters)))


def test_a_coded_size_beyond_the_picture_or_the_limit_is_refused(monkeypatch):
    data = midtread.encode(photo_like(), "vqvae")
    parameters = container.read(data).need(Tag.PARAMETERS)
    for size in (bytes([0, 40]), bytes([25, 40]), bytes([24, 41])):
        with pytest.raises(BitstreamError, match="were coded of a picture"):
            midtread.decode(rebuilt(data, parameters=parameters[:11] + size))
    monkeypatch.setattr("midtread.codecs.external.vqvae.MOST_PIXELS", 900)
    with pytest.raises(UsageError, match="choose a smaller resize"):
        midtread.encode(photo_like(), "vqvae")
    with pytest.raises(LimitError, match="more than 900"):
        midtread.decode(data)


def test_absent_autoencoders_are_named_with_their_files_and_place(monkeypatch, tmp_path):
    monkeypatch.setenv("MIDTREAD_WEIGHTS", str(tmp_path))
    for model in MODELS:
        with pytest.raises(MissingError) as caught:
            midtread.encode(photo_like(), "vqvae", model=model)
        origin = vq_models.ORIGINS[model]
        for word in (str(tmp_path / "vqvae" / model), "config.json", ".safetensors", origin.repository):
            assert word in str(caught.value)


def test_the_hub_is_asked_only_for_the_files_of_the_autoencoder_and_only_when_allowed(monkeypatch, tmp_path, folder):
    import huggingface_hub

    asked = []

    def download(repository, *, allow_patterns, local_files_only):
        asked.append(local_files_only)
        assert repository == "kandinsky-community/kandinsky-2-1"
        assert all(pattern.startswith("movq/") for pattern in allow_patterns)
        if local_files_only:
            raise FileNotFoundError("nothing in the cache")
        (tmp_path / "snapshot").mkdir()
        (tmp_path / "snapshot/movq").symlink_to(folder / "vqvae" / "kandinsky-movq")
        return str(tmp_path / "snapshot")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setenv("MIDTREAD_WEIGHTS", str(tmp_path))
    with pytest.raises(MissingError):
        VqVae().encode(photo_like())
    VqVae(download=True).encode(photo_like())
    assert asked == [True, False]


def test_a_folder_of_another_model_or_without_all_weights_is_refused(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    with pytest.raises(UsageError, match="holds a PaellaVQModel, model 'ldm-sr' is a VQModel"):
        VqVae(model="ldm-sr", weights=str(folder / "vqvae" / "wuerstchen")).encode(photo_like())
    tiny_vq("ldm-sr").save_pretrained(tmp_path)
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    save_file({key: value for key, value in state.items() if not key.startswith("quantize")}, path)
    with pytest.raises(UsageError, match=r"lacks weights of its model: quantize\.embedding"):
        VqVae(model="ldm-sr", weights=str(tmp_path)).encode(photo_like())
    path.write_bytes(b"<html>")
    with pytest.raises(UsageError, match="no weights that fit"):
        VqVae(model="ldm-sr", weights=str(tmp_path)).encode(photo_like())


# --- indices and codebooks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (13, 21)])
@pytest.mark.parametrize("bits", [1, 5, 13])
def test_every_way_of_coding_indices_comes_back_exactly(shape, bits):
    rng = np.random.default_rng(bits)
    smooth = (np.add.outer(np.arange(shape[0]), np.arange(shape[1])) * 2**bits // (sum(shape) + 1)).astype(np.int64)
    for indices in (rng.integers(0, 2**bits, shape), smooth, np.zeros(shape, np.int64), np.full(shape, 2**bits - 1)):
        before = indices.copy()
        data = vq_indices.encode(indices, bits)
        np.testing.assert_array_equal(indices, before)
        np.testing.assert_array_equal(vq_indices.decode(data, shape, bits), indices)
        tree = bytes([vq_indices.TREE]) + vq_indices._encode_tree(indices, bits)
        np.testing.assert_array_equal(vq_indices.decode(tree, shape, bits), indices)
        assert len(data) <= 1 + -(-indices.size * bits // 8)


def test_indices_with_structure_are_really_entropy_coded():
    """Neighbours of one cluster, as a codebook in order has them: far below the fixed width and the plain entropy."""
    y, x = np.mgrid[:48, :64]
    noise = np.random.default_rng(0).integers(0, 4, y.shape)
    indices = ((np.sin(x / 9) + np.cos(y / 7) + 2) * 63).astype(np.int64) // 4 * 4 + noise
    counts = np.bincount(indices.ravel())
    share = counts[counts > 0] / indices.size
    entropy = -(share * np.log2(share)).sum() * indices.size / 8
    assert len(vq_indices.encode(indices, 8)) < 0.75 * entropy


def test_indices_that_repeat_without_order_are_coded_by_how_often_they_occur():
    few = np.random.default_rng(0).choice([5, 700, 3000], (40, 40))
    data = vq_indices.encode(few, 12)
    assert data[0] != vq_indices.PLAIN
    np.testing.assert_array_equal(vq_indices.decode(data, (40, 40), 12), few)


@pytest.mark.parametrize("way", [vq_indices.PLAIN, vq_indices.ADAPTIVE, vq_indices.TREE, 7])
def test_damaged_indices_are_refused_or_stay_within_the_codebook(way):
    rng = np.random.default_rng(0)
    for _ in range(20):
        data = bytes([way]) + rng.bytes(int(rng.integers(0, 60)))
        try:
            found = vq_indices.decode(data, (8, 8), 5)
        except CodecError:
            continue
        assert way != 7
        assert 0 <= found.min() <= found.max() < 32


@pytest.mark.parametrize("count", [2, 3, 64, 100])
def test_a_codebook_is_put_in_an_order_of_nested_clusters(count):
    book = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    entries = vq_codebook.to_integers(book)
    order = vq_codebook.order_of(entries)
    assert sorted(order) == list(range(count))
    spread = [book.var(0).sum()]
    for depth in range(1, (count - 1).bit_length()):
        edges = vq_codebook.bounds(count, depth)
        cells = [order[low:high] for low, high in pairwise(edges)]
        chosen = vq_codebook.representatives(entries, order, depth)
        assert all(entry in cell for entry, cell in zip(chosen, cells, strict=True))
        spread.append(sum(book[cell].var(0).sum() * len(cell) for cell in cells) / count)
    assert all(fine < coarse for coarse, fine in pairwise(spread))


def test_a_coarse_codebook_is_better_than_any_entries_of_the_fine_one():
    rng = np.random.default_rng(0)
    book = rng.normal(size=(1024, 4)).astype(np.float32)
    entries = vq_codebook.to_integers(book)
    chosen = vq_codebook.representatives(entries, vq_codebook.order_of(entries), 6)

    def error(some):
        return ((book[:, None] - book[some][None]) ** 2).sum(-1).min(1).mean()

    assert error(chosen) < 0.95 * min(error(rng.choice(1024, 64, replace=False)) for _ in range(10))


def test_the_order_follows_from_whole_numbers_only():
    """Scaled by a power of two, in another dtype or another layout: the same order."""
    book = np.random.default_rng(0).normal(size=(128, 8)).astype(np.float32)
    expected = vq_codebook.order_of(vq_codebook.to_integers(book))
    for same in (book * 4, book.astype(np.float64), np.asfortranarray(book)):
        entries = vq_codebook.to_integers(same)
        assert entries.dtype == np.int64
        np.testing.assert_array_equal(vq_codebook.order_of(entries), expected)


def test_a_codebook_that_is_none_is_refused():
    for book in (np.zeros((1, 4)), np.zeros(8), np.full((4, 4), np.nan)):
        with pytest.raises(UsageError, match=r"matrix|finite"):
            vq_codebook.to_integers(book)
