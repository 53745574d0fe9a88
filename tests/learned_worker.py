"""Decodes files of the codec `learned` in a process of its own, with every runtime, and prints what came out.

    python learned_worker.py FOLDER RUNTIME,RUNTIME

For each file NAME.mt in FOLDER, whose picture as first decoded is NAME.npy, and for each setting: a line of JSON with
SHA-256 of all symbols and of all table indices, and the largest difference of a pixel.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime

from midtread import container
from midtread.codecs.image import learned
from midtread.codecs.image import learned_runtime as runtimes
from midtread.codecs.image import learned_tiles as tiles
from midtread.codecs.image.learned_latents import Decoder, Quality
from midtread.codecs.image.learned_model import Run
from midtread.codecs.image.learned_slow import SlowRuntime
from midtread.container import Reader


class Listener(Decoder):
    """A decoder that remembers what it read, and under which tables."""

    seen_symbols, seen_tables = b"", b""

    def _take(self, tables):
        symbols = super()._take(tables)
        self.seen_symbols += symbols.astype("<i4").tobytes()
        self.seen_tables += tables.astype("u1").tobytes()
        return symbols


def runs(model, kind: str) -> Iterator[tuple[str, Run]]:
    """The settings of a runtime."""
    if kind == "onnxruntime":
        for threads in (1, 2):
            yield f"onnxruntime, {threads} threads", runtimes.open_run(model, kind, threads)
        yield "onnxruntime, unoptimised", Unoptimised(model, 1)
    else:
        from midtread.nn.runtime import TorchRuntime

        for threads in (1, 2):
            yield f"{kind}, {threads} threads", runtimes.open_run(model, kind, threads)
        first = TorchRuntime(model.tensors, model.facts["config"], kind, 1, channels_last=False)
        yield f"{kind}, channels first", first


class Unoptimised(runtimes._OnnxRuntime):
    """onnxruntime that runs the graphs as they were written."""

    def __init__(self, model, threads):
        super().__init__(model, threads)
        self._options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL


def latents(file: container.File, quality: Quality, run: Run, body) -> tuple[np.ndarray, dict[str, str]]:
    """int16 latents of a file of one tile, and what was read."""
    sides = tuple(-(-side // learned.UNIT) for side in file.shape[:2])
    decoder = Listener(quality, run, body, sides, learned.open_coder("rans"))
    y = decoder.decode().astype(np.int16)
    found = {"symbols": decoder.seen_symbols, "tables": decoder.seen_tables}
    return y, {key: hashlib.sha256(value).hexdigest() for key, value in found.items()}


def pixels(y: np.ndarray, quality: Quality, run: Run, tile: int) -> np.ndarray:
    """Synthesised through windows of `tile` latents."""
    learned.TILE, before = tile, learned.TILE
    shape = (y.shape[0] * learned.UNIT, y.shape[1] * learned.UNIT, 3)
    out = np.empty(shape, np.uint8)
    for window in learned.tiles(shape):
        learned._place(out, tiles.synthesise(run, quality, y, window), window, 3)
    learned.TILE = before
    return out


def two_at_once(run, y: np.ndarray, quality: Quality) -> int:
    """The synthesis of the left and of the right half as one batch of PyTorch, without what is beyond their edges."""
    import torch

    half = y.shape[1] // 2
    part = np.stack([y[:, :half], y[:, -half:]]).astype(np.float32) * quality.regain
    vectors = {key: torch.tensor(value) for key, value in tiles.stages(quality, "synthesis").items()}
    with torch.inference_mode():
        both = run.synthesis({"y": torch.tensor(part)} | vectors).numpy()
    alone = [run("synthesis", {"y": one[None]} | tiles.stages(quality, "synthesis")) for one in part]
    return int(np.abs(both.astype(int) - np.stack(alone)).max())


def main(folder: Path, kinds: list[str], say: Callable[[str], None] = print) -> None:
    """Print a line for each file and setting."""
    for path in sorted(folder.glob("*.mt")):
        file, expected = container.read(path.read_bytes()), np.load(path.with_suffix(".npy")).astype(int)
        reader = Reader(file.chunks[0].data)
        quality, _ = learned._header(reader, "")
        body = bytes(reader.take(reader.left, "tile"))
        for kind in kinds:
            for name, run in runs(quality.model, kind):
                y, found = latents(file, quality, run, body)
                worst = 0
                for tile in (64, 4):
                    part = pixels(y, quality, run, tile)[: expected.shape[0], : expected.shape[1]]
                    worst = max(worst, int(np.abs(part - expected).max()))
                if kind != "onnxruntime":
                    worst = max(worst, two_at_once(run, y, quality))
                say(json.dumps({"file": path.stem, "setting": name, "worst": worst} | found))
        if quality.model.name == "tiny":
            _, found = latents(file, quality, SlowRuntime(quality.model), body)
            say(json.dumps({"file": path.stem, "setting": "slow twin", "worst": 0} | found))
    capability = None
    if "torch" in sys.modules:
        import torch

        capability = torch.backends.cpu.get_cpu_capability()
    say(json.dumps({"capability": capability}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2].split(","))
