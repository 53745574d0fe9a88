"""Write golden streams of the entropy room: `python tools/write_entropy_golden.py rans`. Old ones are never touched.

tests/golden/entropy/<coder>-v1.bin is a stream, <model>-v1.model a frozen model and <model>-v1.chunk what it coded with
rANS, schedule-<order>-v1.chunk the same in each schedule, <way>-v1.tables tables in each way to write them;
symbols.json has the digests of the symbols, which tests/entropy_samples.py makes. Names choose coders and models;
schedules and tables are always looked after.
"""

import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import test_entropy_coders
import test_entropy_models
import test_entropy_tables
from midtread.entropy import table_bytes
from midtread.entropy.coder import open_coder
from midtread.entropy.frozen import ORDERS
from midtread.entropy.models import open_model
from midtread.registry import CODERS, MODELS

GOLDEN = test_entropy_coders.GOLDEN


def write(path: Path, data: bytes) -> None:
    if path.exists():
        print(f"{path.name}: kept")
        return
    path.write_bytes(data)
    print(f"{path.name}: {len(data)} bytes")


def main(names: list[str]) -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    tables, symbols, indices = test_entropy_coders.golden_symbols()
    known = {
        "tables": tables.digest,
        "symbols": hashlib.sha256(symbols.astype("<i4").tobytes()).hexdigest(),
        "indices": hashlib.sha256(indices.tobytes()).hexdigest(),
    }
    write(GOLDEN / "symbols.json", (json.dumps(known, indent=1) + "\n").encode())
    for name in names or CODERS.names():
        if name in CODERS.names():
            write(GOLDEN / f"{name}-v1.bin", open_coder(name).encode(symbols, tables, indices))
    planes = test_entropy_models.golden_planes()
    for name in names or MODELS.names():
        if name in MODELS.names():
            model = open_model(name)
            model.observe(planes)
            frozen = model.freeze()
            write(GOLDEN / f"{name}-v1.model", frozen.write())
            write(GOLDEN / f"{name}-v1.chunk", frozen.encode(planes, open_coder("rans")))
    for order in ORDERS:
        chunk = test_entropy_models.golden_schedule(order).encode(planes, open_coder("rans"))
        write(GOLDEN / f"schedule-{order}-v1.chunk", chunk)
    for way, tables in test_entropy_tables.WRITTEN.items():
        write(GOLDEN / f"{way}-v1.tables", table_bytes.write(tables))


if __name__ == "__main__":
    main(sys.argv[1:])
