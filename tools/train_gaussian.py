"""Learn what the decisions of `gaussian` files begin with (codecs/image/gaussian.json) from a folder of photographs.

    python tools/train_gaussian.py FOLDER [--pictures 16] [--out gaussian.json]

FOLDER: photographs, none of which may be measured with later. 512 x 512 of each are coded at several steps, as any
file is; each decision of those files then begins with the probability and the weight (how many earlier decisions it
counts for) that would have made it cheapest.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from numba import njit

from midtread import media
from midtread.codecs.image import gaussian_file, gaussian_stream
from midtread.codecs.image.gaussian import Gaussian
from midtread.codecs.image.gaussian_header import Header
from midtread.codecs.image.gaussian_stream import MODELS, Memory, decode_layer, encode_layer
from midtread.container import Reader, read
from midtread.container.file import Tag
from midtread.kernels import splat_coder_slow, splat_layer_slow
from midtread.kernels.splat_coder_slow import LIMIT, RATES

STEPS = (40.0, 80.0, 160.0)
MOVES = RATES.astype(np.int64)
EARLY = 30  # decisions of a file: later ones have learned by themselves
HALF = 32768
WEIGHTS = (0, 1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 90, LIMIT)


def files(folder: Path, count: int):
    """Files of square crops, each with its header and its layers."""
    paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in (".avif", ".png", ".jpg", ".webp")]
    for path in paths[:: max(1, len(paths) // count)][:count]:
        x = media.load(path).array
        if x.dtype != np.uint8 or x.ndim != 3 or x.shape[2] < 3 or min(x.shape[:2]) < 512:
            continue
        top, left = (x.shape[0] - 512) // 2, (x.shape[1] - 512) // 2
        for step in STEPS:
            yield layers(Gaussian(step, effort="fast").encode(np.ascontiguousarray(x[top:, left:][:512, :512, :3])))


def layers(data: bytes):
    """(header, symbols of each layer)."""
    file = read(data)
    reader = Reader(file.need(Tag.PARAMETERS))
    reader.take(2, "version and number of layers")
    header = Header.read(reader)
    memory = Memory(header)
    chunks = [chunk.data for chunk in file.chunks if chunk.tag == Tag.PAYLOAD]
    return header, [decode_layer(data, header, memory) for data in chunks]


def decisions(header, symbols):
    """All decisions of a file, in order, for each place in `MODELS`: bool arrays by number."""
    told = defaultdict(list)

    def note(self, pair, yes):
        told[pair[1]].append(bool(yes))
        return bool(yes)

    memory, first = Memory(header), 0
    for name, shape in MODELS.items():  # where a count of decisions stands comes the number of the decision
        numbers = first + np.arange(np.prod(shape)).reshape(shape)
        memory.models[name] = np.stack([np.full(shape, 32768), numbers], 2).astype(np.uint16)
        first += numbers.size
    assert first <= 65536
    usual, pick = splat_coder_slow._Coder.decide, gaussian_stream.pick
    splat_coder_slow._Coder.decide, gaussian_stream.pick = note, lambda name, size: splat_layer_slow
    try:
        for layer in symbols:
            encode_layer(layer, header, memory)
    finally:
        splat_coder_slow._Coder.decide, gaussian_stream.pick = usual, pick
    return {number: np.array(yes) for number, yes in told.items()}


@njit
def bits(yes, no, met):
    """What decisions cost that begin in this state."""
    total = 0.0
    for answer in yes:
        total -= np.log2((65536 - no) / 65536 if answer else no / 65536)
        no += -((no * MOVES[met]) >> 16) if answer else ((65536 - no) * MOVES[met]) >> 16
        met = min(met + 1, LIMIT)
    return total


def likely(yes, all_of):
    """Probability of "no" in 2**-8."""
    return int(np.clip((1 - (yes + 0.4) / (all_of + 0.8)) * 256, 1, 254))


def best(sequences):
    """(probability of "no" in 2**-8, weight) for files like these: the weight is chosen with each file left out."""
    yes = np.array([sequence[:EARLY].sum() for sequence in sequences])
    all_of = np.array([min(sequence.size, EARLY) for sequence in sequences])
    costs = {(128, 0): sum(bits(sequence, HALF, 0) for sequence in sequences)}
    for weight in WEIGHTS:
        costs[likely(yes.sum(), all_of.sum()), weight] = sum(
            bits(sequence, likely(yes.sum() - yes[i], all_of.sum() - all_of[i]) * 256 + 128, weight)
            for i, sequence in enumerate(sequences)
        )
    return min(costs, key=lambda state: (costs[state], state[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--out", type=Path, default=Path(gaussian_file.__file__).with_name("gaussian.json"))
    arguments = parser.parse_args()
    sequences = defaultdict(list)
    for header, symbols in files(arguments.folder, arguments.pictures):
        print(sum(len(layer) for layer in symbols), "Gaussians", flush=True)
        for number, yes in decisions(header, symbols).items():
            sequences[number].append(yes)
    learned, first = {}, 0
    for name, (rows, columns) in MODELS.items():
        learned[name] = []
        for row in range(rows):
            met = [column for column in range(columns) if first + row * columns + column in sequences]
            states = [(128, 0)] * (max(met, default=-1) + 1)
            for column in met:
                states[column] = best(sequences[first + row * columns + column])
            learned[name].append(bytes(np.array(states, np.uint8).ravel()).hex())
        first += rows * columns
    text = json.dumps(learned, indent=0)
    arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
