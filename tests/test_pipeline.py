"""The `pipeline` codec: every combination of stages that is allowed, and clear words for the others."""

import dataclasses
import itertools

import numpy as np
import pytest

import midtread
from midtread import container
from midtread.codecs.pipeline import recipe
from midtread.codecs.pipeline.codec import Pipeline, decode_part
from midtread.codecs.pipeline.fit import fit_quantizer
from midtread.codecs.pipeline.latents import Latents
from midtread.container import Tag
from midtread.entropy.frozen import Contextual, read_model
from midtread.entropy.tables import Tables
from midtread.errors import BitstreamError, CodecError, LimitError, UnknownNameError, UsageError
from midtread.registry import CODERS, MODELS, QUANTIZERS, TRANSFORMS
from midtread.spec import collect_notes
from pictures import photo_like

COLOURS = ["planes", "ycocg-r", "rct", "ycbcr", "klt"]
SPATIAL = [name for name in TRANSFORMS.names() if name not in COLOURS]
CHAINS = [
    *SPATIAL,
    *COLOURS,
    "rct+gradient",
    "klt+wavelet97(levels=2)",
    "med+dct-int(size=4)",
    "planes+lorenzo(axes=2)",
]
STEPPED = [name for name in QUANTIZERS.names() if name not in ("per-band", "none")]
WITH_TABLES = [name for name in CODERS.names() if CODERS.get(name).traits.needs_tables]


def goes_together(model: str, coder: str) -> bool:
    """What docs/formats/pipeline.md says of models and coders."""
    if coder in WITH_TABLES:
        return model != "none" and (model != "causal" or coder == "rans")
    return model in (("none", "static", "context") if coder == "cabac" else ("none",))


PAIRS = [(m, c) for m in [*MODELS.names(), "none"] for c in CODERS.names() if goes_together(m, c)]


def rms(x: np.ndarray, x_hat: np.ndarray) -> float:
    return float(np.sqrt(np.mean((x.astype(float) - x_hat) ** 2)))


@pytest.fixture(scope="module")
def small():
    return photo_like((5, 7, 3))


@pytest.mark.parametrize("quantizer", [*STEPPED, "none"])
@pytest.mark.parametrize("transform", CHAINS)
def test_combinations_decode_to_what_their_symbols_say(small, transform, quantizer):
    """Every two stages of any kinds meet: each transform and each quantizer sees every pair of model and coder.

    All 4,500 combinations take over a minute; `range(7)` in place of `[turn]` runs them.
    """
    if quantizer == "none" and not Latents.of(transform, "transform").exact:
        with pytest.raises(UsageError, match=r"none.*floats.*wavelet53"):
            Pipeline(transform=transform, quantizer=quantizer)
        return
    promised = promise(small, transform, quantizer, 4.0)
    if quantizer == "none":
        np.testing.assert_array_equal(promised, small)
    turn = (CHAINS.index(transform) + QUANTIZERS.names().index(quantizer)) % 7
    for model, coder in [pair for part in [turn] for pair in PAIRS[part::7]]:
        codec = Pipeline(transform, quantizer, model, coder, step=4.0)
        np.testing.assert_array_equal(codec.decode(codec.encode(small)), promised, err_msg=f"{model} {coder}")
        assert codec.lossless == (quantizer == "none")


def promise(x: np.ndarray, transform: str, quantizer: str, step: float) -> np.ndarray:
    """The picture of the quantized latents, without model, coder and file."""
    latents = Latents.of(transform, "transform").fit(x)
    z = latents.forward(x)
    if quantizer == "none":
        return latents.inverse(z, x.shape, x.dtype)
    z = latents.weigh(z, x.shape, 1)
    fitted = fit_quantizer(recipe.Stage(quantizer, {}), step, z)
    restored = fitted.dequantize(fitted.quantize(z))
    return latents.inverse(latents.weigh(restored, x.shape, -1), x.shape, x.dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (17, 13), (8, 11, 2), (6, 5, 3), (19, 21, 4)], ids=str)
def test_every_size_and_dtype_and_alpha(shape, dtype):
    unit = 257 if dtype == "uint16" else 1
    noise = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape, dtype)
    for x in (photo_like(shape, dtype), noise):
        for transform in ("wavelet53", "packet53(levels=6)", "med", "dct-int(size=5)", "none", "planes"):
            codec = Pipeline(transform, "none", coder="zstd")
            np.testing.assert_array_equal(codec.decode(codec.encode(x)), x)
        for transform in ("wavelet97", "dct", "wavelet53", "none"):
            codec = Pipeline(transform, "uniform", step=3.0)
            assert rms(x, codec.decode(codec.encode(x))) <= 0.6 * unit * 3 + 0.6


@pytest.mark.parametrize("quantizer", STEPPED)
def test_a_smaller_step_means_a_smaller_error_and_a_larger_file(quantizer):
    x = photo_like((48, 40, 3))
    errors, sizes = [], []
    for step in (32.0, 8.0, 2.0):
        codec = Pipeline("ycbcr+none", quantizer, step=step)  # flat enough for the few levels of lloyd-max
        data = codec.encode(x)
        errors.append(rms(x, codec.decode(data)))
        sizes.append(len(data))
    assert errors[0] > errors[1] > errors[2]
    assert sizes[0] < sizes[1] < sizes[2]
    assert errors[0] < 64
    assert errors[2] < 0.6 * errors[0]


def test_a_unit_of_any_band_changes_the_pixels_alike():
    """That is what the norms are for: noise of one power in one band must come out with nearly that power."""
    x = np.full((64, 64, 3), 2**15, np.uint16)
    rng = np.random.default_rng(1)
    for transform in (
        "wavelet97(levels=3)",
        "packet97",
        "dct",
        "klt+dct",
        "wavelet53(levels=3)",
        "rct+wavelet53(levels=2)",
    ):
        latents = Latents.of(transform, "transform").fit(x)
        z = latents.weigh(latents.forward(x), x.shape, 1)
        bands = latents.chain.bands(z.shape)
        for band in (bands[0], bands[len(bands) // 2], bands[-1]):
            for colour in range(3):
                changed = z.copy()
                part = band.of(changed)[colour]
                noise = rng.normal(0, 1000, part.shape).astype(np.float32)
                part += noise
                x_hat = latents.inverse(latents.weigh(changed, x.shape, -1), x.shape, x.dtype)
                gain = np.sum((x.astype(float) - x_hat) ** 2) / np.sum(noise.astype(float) ** 2)
                assert 0.6 < gain < 1.6, (transform, band.name, colour)


def test_the_file_alone_is_enough_and_says_what_was_fitted():
    x = photo_like((20, 30, 3))
    data = Pipeline("klt+dct(size=4)", "deadzone(rounding=0.25)", "static(order=levels)", "range", step=5.0).encode(x)
    file = container.read(data)
    lines = file.need(Tag.PARAMETERS)[1:].decode().split("\n")
    assert lines[0].startswith("klt(axes=(")
    assert lines[0].endswith("+dct(size=4)")
    assert lines[1].startswith("deadzone(step=5.0,rounding=0.25,point=0.")
    assert lines[2] == "range"
    np.testing.assert_array_equal(midtread.decode(data), Pipeline(step=100.0).decode(data))


def test_the_colour_transform_follows_the_picture_unless_named():
    def recipe_of(transform, shape, quantizer="deadzone"):
        file = container.read(Pipeline(transform, quantizer).encode(photo_like(shape)))
        return file.need(Tag.PARAMETERS)[1:].decode().split("\n")[0]

    assert recipe_of("wavelet97", (8, 8, 3)) == "ycbcr+wavelet97"
    assert recipe_of("wavelet97", (8, 8, 4)) == "ycbcr+wavelet97"
    assert recipe_of("wavelet53", (8, 8, 3)) == "ycocg-r+wavelet53"
    assert recipe_of("wavelet53", (8, 8)) == "planes+wavelet53"
    assert recipe_of("wavelet53", (8, 8, 2), "none") == "planes+wavelet53"
    assert recipe_of("planes+wavelet97", (8, 8, 3)) == "planes+wavelet97"
    with pytest.raises(UsageError, match=r"'ycbcr' takes pictures of 3 or 4 channels, got shape \[8, 8\]"):
        recipe_of("ycbcr+dct", (8, 8))


def test_digit_planes_cut_after_any_plane_are_a_coarser_picture():
    x = photo_like((40, 50, 3))
    for quantizer in ("digit-planes", "digit-planes(base=3)"):
        codec = Pipeline(quantizer=quantizer, step=1.0)
        file = container.read(codec.encode(x))
        whole, errors = container.write(file), []
        for count in range(1, len(file.chunks)):
            cut = container.write(dataclasses.replace(file, chunks=file.chunks[: 1 + count]))
            np.testing.assert_array_equal(codec.decode(cut), decode_part(whole, count))
            errors.append(rms(x, codec.decode(cut)))
        assert len(errors) > 5
        # a plane is best for the latents; the pixels, clipped and of no orthonormal transform, follow within 5 %
        assert all(after < 1.05 * before for before, after in itertools.pairwise(errors))
        assert errors[-1] < 1 < errors[len(errors) // 2] < 20
    with pytest.raises(UsageError, match="upto=0"):
        decode_part(whole, 0)


def test_the_note_is_what_the_coder_nearly_reaches():
    x = photo_like((120, 160, 3))
    for model in MODELS.names():
        with collect_notes() as notes:
            data = Pipeline(model=model, step=3.0).encode(x)
        payload = next(c.data for c in container.read(data).chunks if c.tag == Tag.PAYLOAD)
        assert 0.8 * len(payload) < notes["ideal_bytes"] < len(payload)
    with collect_notes() as notes:
        Pipeline(coder="zstd").encode(x)
    assert notes == {}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"transform": "wavelet79"}, "unknown transform 'wavelet79'; did you mean 'wavelet97'"),
        ({"transform": "dct(sise=8)"}, "no option 'sise'; did you mean 'size'"),
        ({"transform": "dct(size=big)"}, "size='big'; it takes a whole number"),
        ({"transform": "dct(size=8,size=4)"}, "dct has the option 'size' twice"),
        ({"transform": "dct(size=8"}, r"expected ',' or '\)' at character 10, got the end"),
        ({"transform": "dct;rm"}, "expected '\\+' and the next stage, or the end at character 3, got ';rm'"),
        ({"transform": "dct+"}, "expected the name of a stage at character 4, got the end"),
        ({"transform": 5}, "takes text like .* got 5"),
        ({"transform": ""}, "takes text like .* got ''"),
        ({"transform": "dct+ycbcr"}, "ycbcr is a colour transform, put it first"),
        ({"transform": "ycbcr+med"}, "med takes integers"),
        ({"transform": "wavelet97+wavelet97"}, "bands of .* are not defined"),
        ({"transform": "klt(axes=(1,2))"}, "orthonormal"),
        ({"transform": "klt(axes=words)"}, "transform 'klt' cannot take"),
        ({"quantizer": "per-band"}, "every band has its own step already"),
        ({"quantizer": "deadzone(step=4)"}, "the step is an option of the codec"),
        ({"quantizer": "uniform+uniform"}, "not a chain"),
        ({"quantizer": "none"}, "quantizer 'none' keeps integers, but wavelet97 gives floats"),
        ({"model": "none"}, "coder 'rans' needs a model: static"),
        ({"model": "static", "coder": "zstd"}, "model=none goes with it, got 'static'; .* rans, range, huffman"),
        ({"model": "adaptive", "coder": "cabac"}, "none, static and context go with it, got 'adaptive'"),
        ({"model": "causal", "coder": "range"}, "goes with coder 'rans' only, got 'range'"),
        ({"model": "static(order=causal)", "coder": "huffman"}, "goes with coder 'rans' only, got 'huffman'"),
        ({"model": "auto(order=one)"}, "model 'auto' takes no options"),
        ({"model": "static(order=sideways)"}, "order='sideways'; it takes one"),
        ({"coder": "rams"}, "unknown coder 'rams'; did you mean 'rans'"),
        ({"step": 0.0}, "step=0.0"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_at_once_in_words(options, words):
    with pytest.raises(UsageError, match=words):
        Pipeline(**options)


def test_a_recipe_comes_back_from_its_text():
    for text in (
        "ycbcr(standard='bt709')+wavelet97(levels=3)",
        "digit-planes(step=0.5,base=3,planes=2,offsets=((0.0,1e-05),(0.0,-2.5),(0.0,0.25)))",
        "deadzone(step=257.0,rounding=0.25)",
    ):
        registry = TRANSFORMS if "+" in text else QUANTIZERS
        stages = [recipe.build(registry, stage) for stage in recipe.parse(text, "test")]
        assert recipe.write(stages) == text
    options = recipe.parse("x(a=true, b=two-sided-geometric, c=-3, d=.5, e=(), f='HL/LL')", "test")[0].options
    assert options == {"a": True, "b": "two-sided-geometric", "c": -3, "d": 0.5, "e": (), "f": "HL/LL"}
    with pytest.raises(UsageError, match="expected a value"):
        recipe.parse("x(a=((((1,),),),))", "test")
    with pytest.raises(UnknownNameError):
        recipe.build(CODERS, recipe.Stage("rice", {"level": 1}))


def hostile(data: bytes, tag: Tag, content: bytes) -> bytes:
    """The file with the content of its first chunk of `tag` replaced, its checksum right again."""
    file = container.read(data)
    place = next(i for i, chunk in enumerate(file.chunks) if chunk.tag == tag)
    chunks = (*file.chunks[:place], container.Chunk(tag, content), *file.chunks[place + 1 :])
    return container.write(dataclasses.replace(file, chunks=chunks))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("planes+wavelet79\nuniform\nrans", "unknown transform 'wavelet79'"),
        ("planes\nuniphorm\nrans", "unknown quantizer 'uniphorm'"),
        ("planes\nuniform\nrams", "unknown coder 'rams'"),
        ("planes\nuniform", "recipe of 2 lines"),
        ("wavelet97\nuniform\nrans", "does not begin with a colour transform"),
        ("ycbcr\nnone\nrans", "quantizer 'none' keeps integers"),
        ("ycbcr\nuniform\nrans", "takes pictures of 3 or 4 channels"),
        ("planes\nuniform(step=1e300)\nrans", "beyond float32"),
        ("planes\nlloyd-max(levels=2)\nrans", "levels"),
        ("planes\nper-band\nrans", "per-band"),
        ("planes\nuniform\nzstd", "stream|symbols"),
        ("planes\xff\nuniform\nrans", "recipe|expected"),
        ("planes\nuniform\n" + "(" * 40000, "32768 characters"),
    ],
    ids=lambda text: text[:30],
)
def test_a_recipe_that_cannot_be_is_blamed_on_the_bytes(text, words):
    data = Pipeline("planes", "uniform", "static", "rans", step=1.0).encode(photo_like((6, 5)))
    with pytest.raises((BitstreamError, LimitError), match=words):
        Pipeline().decode(hostile(data, Tag.PARAMETERS, b"\1" + text.encode("latin-1")))


def test_a_model_that_is_not_the_encoders_is_noticed():
    """Other tables, same lengths: only the digest that travels with the symbols can tell."""
    x = photo_like((30, 31))
    files = [Pipeline("med", "uniform", "context", "rans", step=step).encode(x) for step in (2.0, 3.0)]
    payloads = [container.read(data).need(Tag.PAYLOAD) for data in files]
    readers = [container.Reader(payload) for payload in payloads]
    for reader in readers:
        read_model(reader)
    mixed = payloads[1][: readers[1].offset] + payloads[0][readers[0].offset :]
    with pytest.raises(BitstreamError, match=r"digest|damaged|ends"):
        Pipeline().decode(hostile(files[0], Tag.PAYLOAD, mixed))
    digest = bytearray(payloads[0])
    digest[readers[0].offset] ^= 1
    with pytest.raises(BitstreamError, match="digest"):
        Pipeline().decode(hostile(files[0], Tag.PAYLOAD, bytes(digest)))


def test_a_model_larger_than_any_needs_to_be_is_refused_before_it_is_made():
    """A small file can ask for a large table once per context: 100 times 65,536 symbols here."""
    large = Tables.of([(0, [1] * 65535 + [0, 1])])
    model = Contextual(large, np.zeros(100, np.uint16), "checkerboard").write()
    data = Pipeline().encode(photo_like((6, 5)))
    with pytest.raises(LimitError, match="6553700 symbols, more than the 4194304"):
        Pipeline().decode(hostile(data, Tag.PAYLOAD, model + bytes(8)))


@pytest.mark.parametrize("options", [
    {"transform": "wavelet97", "model": "context", "coder": "rans"},
    {"transform": "dct", "quantizer": "lloyd-max(levels=4)", "model": "mixture", "coder": "huffman"},
    {"transform": "med", "quantizer": "none", "coder": "cabac", "model": "context"},
    {"transform": "wavelet53", "quantizer": "digit-planes", "coder": "range", "model": "adaptive"},
], ids=str)  # fmt: skip
def test_damage_anywhere_is_an_error_or_a_picture_of_the_declared_shape(options):
    """Every position cut and flipped, the checksums made right again: nothing but our own errors."""
    data = Pipeline(**options).encode(photo_like((3, 5, 3)))
    for length in range(len(data)):
        with pytest.raises(CodecError):
            Pipeline().decode(data[:length])
    for chunk in container.read(data).chunks[:2]:
        for position in range(len(chunk.data)):
            with pytest.raises(CodecError) if position == 0 and chunk.tag == Tag.PARAMETERS else _ours():
                Pipeline().decode(hostile(data, chunk.tag, chunk.data[:position]))
            for flip in (1, 0x80):
                changed = bytearray(chunk.data)
                changed[position] ^= flip
                with _ours():
                    found = Pipeline().decode(hostile(data, chunk.tag, bytes(changed)))
                    assert (found.shape, found.dtype) == ((3, 5, 3), np.uint8)


class _ours:
    """Lets the package's errors for bad bytes pass, and nothing else."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: type | None, error: BaseException | None, _traceback: object) -> bool:
        return isinstance(error, CodecError) and not isinstance(error, UsageError)
