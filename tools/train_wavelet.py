"""Learn the numbers of the `wavelet` codec (codecs/image/wavelet.json) from a folder of photographs.

    python tools/train_wavelet.py FOLDER [--pictures 64] [--rounds 3] [--out wavelet.json]

FOLDER: photographs, none of which may be measured with later. 512 x 512 of each are halved (area mean), which removes
what an earlier codec did to the finest details; lossy coding learns also from 256 x 256 as they are. Needs torch.

A round: code every picture at several steps with the numbers so far (in the first round: plain rounding), fit weights
by the code length of a two-sided geometric of mean S / UNIT, then count sizes in each context. Everything is seeded.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from midtread import media
from midtread.codecs.image import wavelet_bands, wavelet_planes, wavelet_tables
from midtread.codecs.image.wavelet import EFFORTS, FRACTION
from midtread.codecs.image.wavelet_tables import PRECISION, Learned
from midtread.kernels import wavelet_coder_slow as definition
from midtread.kernels.wavelet_coder_slow import CONTEXTS, FLAGS, LEAST_MEAN, REFINE, SIZES, TABLES, UNIT, WEIGHTS
from midtread.transforms.predict import Med
from midtread.transforms.wavelet import Wavelet53, Wavelet97

STEPS = (6.0, 12.0, 24.0, 48.0, 96.0)
KINDS = ("LL", "HL", "LH", "HH")
SIDES = 4  # index of the weight that even columns do not have


def pictures(folder: Path, count: int):
    """Pairs of RGB crops: as they are, and halved."""
    files = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in (".avif", ".png", ".jpg", ".webp")]
    for path in files[:: max(1, len(files) // count)][:count]:
        x = media.load(path).array
        if x.ndim == 3 and x.shape[2] >= 3 and min(x.shape[:2]) >= 512:
            half = x[:512, :512, :3].astype(np.float32).reshape(256, 2, 256, 2, 3).mean((1, 3))
            yield np.ascontiguousarray(x[128:384, 128:384, :3]), np.rint(half).astype(np.uint8)


def lossy(x: np.ndarray, learned: Learned | None):
    """(integers, blocks) at every step."""
    for step in STEPS:
        z = Wavelet97(5).forward(wavelet_planes.colour_forward(x, wavelet_planes.YCBCR))
        widths = wavelet_planes.steps(round(step / wavelet_planes.STEP_UNIT), x.shape, x.dtype)
        y = wavelet_planes.to_fixed(z, widths, FRACTION)
        low = wavelet_planes.low_band(y, 5)
        low[...] = Med().forward((low + (1 << FRACTION >> 1)) >> FRACTION)
        order = list(wavelet_bands.blocks(y.shape, 5, 3))
        if learned is None:
            q = np.sign(y) * ((np.abs(y) + 100) >> FRACTION)
            wavelet_planes.low_band(q, 5)[...] = low
        else:
            coder = wavelet_bands.Encoder(y, learned, EFFORTS[1])
            for block in order:
                coder.note(block)
            q = coder.q
        yield q.astype(np.int32), order


def lossless(x: np.ndarray, learned: Learned | None):
    """(integers, blocks) of the wavelet and of prediction alone."""
    planes = wavelet_planes.colour_forward(x, wavelet_planes.YCOCG_R)
    q = Wavelet53(5).forward(planes).astype(np.int32)
    low = wavelet_planes.low_band(q, 5)
    low[...] = Med().forward(low)
    yield q, list(wavelet_bands.blocks(q.shape, 5, 3))
    yield Med().forward(planes).astype(np.int32), list(wavelet_bands.blocks(q.shape, 0, 3))


def take(q: np.ndarray, box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Sizes in a box, cut or filled up with zeros to a shape."""
    plane, top, bottom, left, right = (int(v) for v in box)
    out = np.zeros(shape, np.int32)
    found = np.abs(q[plane, top:bottom, left:right])[: shape[0], : shape[1]]
    out[: found.shape[0], : found.shape[1]] = found
    return out


def moved(x: np.ndarray, down: int, right: int) -> np.ndarray:
    """x[r + down, c + right], zeros outside."""
    wide = np.pad(x, 2)
    return wide[2 + down : 2 + down + x.shape[0], 2 + right : 2 + right + x.shape[1]]


def features(q: np.ndarray, part) -> list[np.ndarray]:
    """What `definition.sums` weighs, [rows, columns, WEIGHTS] of the even and of the odd columns."""
    box = part.boxes
    shape = (int(box[0, 2] - box[0, 1]), int(box[0, 4] - box[0, 3]))
    x = take(q, box[0], shape)
    half = ((shape[0] + 1) // 2 + 1, (shape[1] + 1) // 2 + 1)
    p = take(q, box[1], half)
    around = moved(p, -1, 0) + moved(p, 1, 0) + moved(p, 0, -1) + moved(p, 0, 1)
    parent, near = (a.repeat(2, 0).repeat(2, 1)[: shape[0], : shape[1]] for a in (p, around))
    stack = [moved(x, -1, 0), moved(x, -1, -1) + moved(x, -1, 1), moved(x, -2, 0), moved(x, -1, -2) + moved(x, -1, 2)]
    stack += [moved(x, 0, -1) + moved(x, 0, 1), parent, near, *(take(q, other, shape) for other in box[2:])]
    whole = np.stack(stack, -1)
    even, odd = whole[:, ::2].copy(), whole[:, 1::2].copy()
    even[..., SIDES] = 0
    return [even, odd]


def check_features(q: np.ndarray, part) -> None:
    """The sums of the definition, or AssertionError."""
    weights = np.random.default_rng(0).integers(0, 50, (2, WEIGHTS)).astype(np.int32)
    parts = features(q, part)
    for row in range(0, parts[0].shape[0], 7):
        for half in (0, 1):
            expected = definition.sums(q, part.boxes, weights, row, half)
            np.testing.assert_array_equal(parts[half][row] @ weights[half], expected)


def fit(x: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Weights int [WEIGHTS] for features [n, WEIGHTS]."""
    torch.manual_seed(0)
    used = np.flatnonzero(x.any(0))
    a, b = torch.tensor(x[:, used], dtype=torch.float32), torch.tensor(sizes, dtype=torch.float32)
    raw, floor = torch.full((used.size,), -2.5, requires_grad=True), torch.tensor(-5.0, requires_grad=True)
    soft = torch.nn.functional.softplus
    optimizer = torch.optim.Adam([raw, floor], 0.1)
    for step in range(240):
        if step == 160:
            optimizer.param_groups[0]["lr"] = 0.02
        rows = torch.randint(0, len(b), (min(len(b), 50000),))
        mean = a[rows] @ soft(raw) + soft(floor)
        loss = (torch.log1p(mean) + b[rows] * (torch.log1p(mean) - torch.log(mean))).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    out = np.zeros(WEIGHTS, np.int32)
    out[used] = np.rint(UNIT * soft(raw).detach().numpy())
    return out


def frequencies(histogram: np.ndarray, mean: float, smoothing: float = 20.0) -> tuple[int, ...]:
    """Integers of sizes 0, 1 ... (counted twice but for 0) and of the escape, 2**PRECISION in all."""
    total, sizes = 1 << PRECISION, np.arange(histogram.size)
    ratio = mean / (1 + mean)
    tail = 3 * mean / (1 + 3 * mean)  # heavier than what was seen: one odd row of a picture must not cost much
    geometric = 0.9 * (1 - ratio) * ratio**sizes + 0.1 * (1 - tail) * tail**sizes
    p = histogram + geometric * max(0.003 * histogram.sum(), smoothing)
    p /= p.sum()
    most = max(int(np.flatnonzero(p / 2 * total >= 0.7)[-1]), 1)
    whole = [max(1, round(float(v) / 2 * total)) for v in p[1 : most + 1]]
    escape = max(1, round(float(p[most + 1 :].sum()) * total))
    while total - 2 * sum(whole) - escape < whole[0] // 2 + 1:  # rounding up took too much
        whole[int(np.argmax(whole))] -= 1
    return (total - 2 * sum(whole) - escape, *whole, escape)


def flag_frequencies(no: float, yes: float, mean: float) -> tuple[int, int]:
    """Integers of 0 and 1, 2**PRECISION in all."""
    total = 1 << PRECISION
    some = min(max(1, round(total * (yes + 20 * mean) / (no + yes + 20))), total - 1)
    return total - some, some


def table_means() -> np.ndarray:
    """The middle of the means that each table is for."""
    steps = np.append(np.arange(SIZES), np.arange(FLAGS))
    edges = ((np.stack([steps, steps + 1]) + LEAST_MEAN).astype(np.int32) << 21).view(np.float32)
    return edges.mean(0)


def tables(histogram: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Tables for sizes counted under each, [TABLES, sizes]; where few are, geometric."""
    made = []
    for t, mean in enumerate(table_means()):
        if t < SIZES:
            made.append(frequencies(histogram[t], float(mean)))
        else:
            made.append(flag_frequencies(*histogram[t, :2], min(float(mean), 0.99)))
    return tuple(made)


def train(kind: str, crops: list[np.ndarray], learned: Learned | None) -> Learned:
    """One round of a mode."""
    make = lossy if kind == "lossy" else lossless
    coded = [made for x in crops for made in make(x, learned)]
    check_features(coded[0][0], coded[0][1][-1].parts[-1])
    pool: dict[tuple[int, int, int], list] = {}
    for q, order in coded:
        for part in (part for block in order for part in block.parts):
            x = np.abs(take_signed(q, part))
            for half, data in enumerate(features(q, part)):
                entry = (data.astype(np.uint16).reshape(-1, WEIGHTS), x[:, half::2].reshape(-1))
                pool.setdefault((part.role, KINDS.index(part.kind), half), []).append(entry)
    weights = np.zeros((3, 4, 2, WEIGHTS), np.int32)
    rng = np.random.default_rng(0)
    for key, entries in pool.items():
        a, b = (np.concatenate(column) for column in zip(*entries, strict=True))
        chosen = rng.choice(len(b), min(len(b), 2_000_000), replace=False)
        weights[key] = fit(a[chosen], b[chosen])
    bank = learned.frequencies if learned else tables(np.zeros((TABLES, 192)))
    totals = learned.totals if learned else wavelet_tables.start_totals()
    for _ in range(3):
        made = Learned(weights, totals, bank)
        histogram, met = np.zeros((TABLES, 192), np.int64), np.zeros((CONTEXTS, 2), np.int64)
        for q, order in coded:
            coder = wavelet_bands.Encoder(q, made, (0, 0, 0))
            for block in order:
                symbols, indices, _, state = coder.note(block)
                count = int(state[0])
                sizes = np.minimum(np.abs(symbols[:count]), histogram.shape[1] - 1)
                np.add.at(histogram, (indices[:count], sizes), 1)
                if block.parts[0].kind != "LL":
                    met += coder.learnt_of(block).sum(0)
        bank = tables(histogram)
        met = met[:REFINE]
        means = (met[:, 1] + np.array(totals)) / (met[:, 0] + wavelet_tables.START)
        totals = tuple(int(v) for v in np.rint(means * wavelet_tables.START))
    return Learned(weights, totals, bank)


def take_signed(q: np.ndarray, part) -> np.ndarray:
    """The integers of a part."""
    plane, top, bottom, left, right = part.box
    return q[plane, top:bottom, left:right]


def main() -> None:
    """Train both modes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(wavelet_tables.__file__).with_name("wavelet.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    crops = list(pictures(args.folder, args.pictures))
    out = {}
    for kind in ("lossy", "lossless"):
        learned = None
        for number in range(args.rounds if kind == "lossy" else 1):
            chosen = [crop for pair in crops for crop in pair[kind == "lossless" :]]
            learned = train(kind, chosen, learned)
            print(f"{kind}, round {number + 1}: {len(crops)} pictures", flush=True)
        weights = learned.weights.tolist()
        out[kind] = {"weights": weights, "totals": learned.totals, "frequencies": learned.frequencies}
    args.out.write_text(json.dumps(out, separators=(",", ":")).replace("]],[[", "]],\n[[") + "\n")


if __name__ == "__main__":
    main()
