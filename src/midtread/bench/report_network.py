"""What the networks of learned codecs cost: MACs, parameters, bytes of weights, and the energy of the arithmetic.

The energy is an estimate: the MACs of each stage times the energy of one MAC in the precision of that stage, on a
45 nm chip at 0.9 V. It is that of multiplying and adding alone. Fetching weights and activations from memory, which
can cost more, and entropy coding are not in it. It compares networks and precisions, not machines.

Source: M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, fig. 1.1.9.
"""

from __future__ import annotations

from typing import Any

from midtread.bench.query import Row
from midtread.bench.report_bd import short

# pJ of a multiplication and of the addition behind it. int8 products are added up in int32. bf16 is not in the source:
# it counts as fp16, whose multiplier is larger. fp8 is not in it either, and has no estimate.
PICOJOULES = {"fp32": (3.7, 0.9), "fp16": (1.1, 0.4), "bf16": (1.1, 0.4), "int8": (0.2, 0.1)}
WHAT_IF = ("fp32", "fp16", "int8")

ENERGY_RECIPE = (
    "An estimate of the arithmetic alone: MACs of each stage × energy of a multiplication and an addition in its "
    "precision at 45 nm: "
    + ", ".join(f"{name} {PICOJOULES[name][0]} + {PICOJOULES[name][1]} pJ" for name in WHAT_IF)
    + " (summed in int32); bf16 counts as fp16. Horowitz, “Computing’s energy problem”, ISSCC 2014. Memory traffic, "
    "which can cost more, and entropy coding are not in it: compare networks and precisions with it, not machines."
)


def millijoules_per_megapixel(macs_per_pixel: float, precision: str) -> float | None:
    """Energy of the MACs of a megapixel in one precision; None where the source has none for it."""
    if precision not in PICOJOULES:
        return None
    return macs_per_pixel * sum(PICOJOULES[precision]) / 1e3  # pJ per pixel = microjoules per megapixel


def network(series: Row) -> Row | None:
    """What the page shows of the network of a series, None without one.

    Args:
        series: a row of `Records.series`.

    Returns:
        parameters; weights_bytes; encode and decode, each {macs_per_pixel, mj_per_mpx, stages, as}: stages
        [[name, macs_per_pixel, precision, mj_per_mpx], ...], and `as` the energy of the same MACs in one precision.
        Of a codec whose settings have several networks, the costliest. Old records know macs_per_pixel and parameters
        only, and no encoder.
    """
    complexities: list[Row] = series["complexities"]
    if complexities:
        found = max(complexities, key=lambda one: (_macs(one["encode"]) + _macs(one["decode"]), repr(one)))
        ways = {way: _way(found[way]) for way in ("encode", "decode")}
        return {"parameters": found["parameters"], "weights_bytes": found["weights_bytes"], **ways}
    if series["macs_per_pixel"] is None and series["parameters"] is None:
        return None
    decode: Row = {"macs_per_pixel": short(series["macs_per_pixel"]), "mj_per_mpx": None, "stages": [], "as": {}}
    return {"parameters": series["parameters"], "weights_bytes": None, "encode": None, "decode": decode}


def _macs(stages: list[Row]) -> float:
    return float(sum(stage["macs_per_pixel"] for stage in stages))


def _way(stages: list[Row]) -> dict[str, Any]:
    """Encoding or decoding: the sum, and each stage."""
    rows = [[one["stage"], one["macs_per_pixel"], one["precision"]] for one in stages]
    energies = [millijoules_per_megapixel(macs, precision) for _, macs, precision in rows]
    known = [energy for energy in energies if energy is not None]
    total = _macs(stages)
    return {
        "macs_per_pixel": short(total),
        "mj_per_mpx": short(sum(known)) if len(known) == len(rows) else None,
        "stages": [
            [name, short(macs), precision, short(energy)]
            for (name, macs, precision), energy in zip(rows, energies, strict=True)
        ],
        "as": {precision: short(millijoules_per_megapixel(total, precision)) for precision in WHAT_IF},
    }
