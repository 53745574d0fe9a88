"""Spoil valid files at random for some time and see that `decode.check` holds; needs nothing beyond midtread.

    python fuzz/run.py --seconds 60 [--seed 1] [--only webp]

The decoding happens in a child process with limited memory, so a crash, a hang or a memory hog of a native decoder is
found too. What is found is kept in fuzz/findings/ (run.py FILE... replays it), and the exit status is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import decode
import mutate
import seeds

FINDINGS = Path(__file__).parent / "findings"
HANG_S = 20.0  # longer than any picture under decode.LIMITS may take
MEMORY_BYTES = 6 * 2**30  # of address space, most of which a process with native libraries only reserves


def worker(pipe: Connection, corpus: list[bytes], seed: int) -> None:
    """Send each candidate before it is decoded, and what became of it afterwards."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    rng = random.Random(seed)
    while True:
        data = mutate.mutate(rng, corpus)
        pipe.send_bytes(data)
        pipe.send(outcome(data))


def outcome(data: bytes) -> tuple[str, str]:
    """(name of the outcome, traceback when it is a finding)."""
    try:
        return decode.check(data), ""
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = next((f for f in reversed(frames) if "midtread" in f.filename), frames[-1])
        return f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}", traceback.format_exc()


class Findings:
    """Candidates that broke the promise, one file for each way of breaking it."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()

    def add(self, kind: str, data: bytes, text: str) -> None:
        """Keep the first of its kind, and say so."""
        self.kinds[kind] += 1
        if self.kinds[kind] > 1:
            return
        FINDINGS.mkdir(exist_ok=True)
        path = FINDINGS / hashlib.sha256(data).hexdigest()[:16]
        path.write_bytes(data)
        print(f"FOUND {kind}: {path}\n{text}", file=sys.stderr, flush=True)


def fuzz(corpus: list[bytes], seconds: float, seed: int) -> tuple[Counter[str], Findings]:
    """Run workers, one after the other when they die, until the time is over."""
    outcomes: Counter[str] = Counter()
    findings = Findings()
    context = multiprocessing.get_context("spawn")  # libraries that have started threads do not survive a fork
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=worker, args=(theirs, corpus, seed))
        child.start()
        theirs.close()
        seed += 1
        data = b""
        try:
            while time.monotonic() < deadline:
                data = ours.recv_bytes()
                if not ours.poll(HANG_S):
                    findings.add("hang", data, f"no answer for {HANG_S:g} s")
                    break
                name, text = ours.recv()
                outcomes[name] += 1
                if text:
                    findings.add(name, data, text)
        except EOFError:
            child.join()
            findings.add(f"died with exit code {child.exitcode}", data, "the whole process ended")
        finally:
            child.kill()
            child.join()
    return outcomes, findings


def main() -> int:
    """Fuzz, or replay files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="replay these instead of fuzzing")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only codecs whose name holds this, as in --only webp")
    options = parser.parse_args()
    if options.files:
        results = [outcome(path.read_bytes()) for path in options.files]
        for path, (name, text) in zip(options.files, results, strict=True):
            print(f"{path}: {name}\n{text}")
        return int(any(text for _, text in results))
    corpus = seeds.seeds(options.only)
    print(f"{len(corpus)} seeds, seed {options.seed}, {options.seconds:g} s", flush=True)
    outcomes, findings = fuzz(list(corpus.values()), options.seconds, options.seed)
    for name, count in outcomes.most_common():
        print(f"{count:8d}  {name}")
    print(f"{sum(outcomes.values()):8d}  inputs, {len(findings.kinds)} findings")
    return int(bool(findings.kinds))


if __name__ == "__main__":
    sys.exit(main())
