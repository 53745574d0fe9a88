"""The `learned` codec: rate and distortion, speed, rate control, memory and seams.

    python benchmarks/learned.py rd [--pictures 24]      # Kodak, real files against the committed records of its peers
    python benchmarks/learned.py speed                   # 768 x 512, one thread; CompressAI's mbt2018-mean beside it
    python benchmarks/learned.py rate [--pictures 4]     # size against the estimate, 64 qualities, --bpp
    python benchmarks/learned.py memory [--side 10000]   # 100 MPx in a process of its own; PSNR beside tile borders

Each prints a table and writes benchmarks/results/learned/NAME.json with machine, versions and commit. `rd` keeps a line
for each file in rd.jsonl and goes on where it was stopped, as long as model and commit are the same. All models
that are here are measured, unless --models names some.

Asked: `s` -55 % and `m` -60 % BD-rate against JPEG; 40 and 150 ms both ways, 5 times mbt2018-mean; start to finish of
`midtread decode` 0.6 s; size within 0.5 % + 40 bytes of the estimate, monotone, --bpp within 2 %; 1.5 GB; 0.05 dB at
borders; effort high 3 % better than normal, never worse.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

import learned_limits as limits
from learned_limits import RESULTS, digest_of, kodak, psnr, stage_times, write
from midtread.bench import machine
from midtread.codecs.external.compressai_zoo import zoo
from midtread.codecs.image import learned_model
from midtread.codecs.image.learned import EFFORTS, Learned
from midtread.errors import UsageError
from midtread.metrics.rate_distortion import bd_rate
from midtread.registry import METRICS

PEER_RECORDS = Path(__file__).parent / "results" / "kodak" / "records.jsonl"
ANCHOR = "JPEG 4:2:0"
PEERS = (ANCHOR, "JPEG 2000 9/7", "AVIF 4:4:4", "AV1 libaom 4:4:4", "VVC intra")
PUBLISHED = {  # PSNR BD-rate against JPEG on Kodak, from published points; sizes of files
    "bmshj2018-hyperprior": -55.0, "AVIF 4:2:0": -57.8, "mbt2018-mean": -58.0, "BPG 4:4:4": -59.0, "mbt2018": -61.0,
    "AV1 libaom 4:4:4": -62.4, "cheng2020-anchor": -65.4, "VTM": -67.6,
}  # fmt: skip
QUALITIES = tuple(range(0, 64, 7))
RATES = 0.1, 1.5  # bpp: qualities whose mean rate lies between count
ASKED_MS = {"s": 40.0, "m": 150.0}


# rate and distortion


def rd(options):
    """Measure what is missing, then compare."""
    pictures, path = kodak(options.pictures), options.out / "rd.jsonl"
    options.out.mkdir(parents=True, exist_ok=True)
    known = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        row = json.loads(line)
        known[key_of(row)] = row
    wanted = []
    for model in options.models:
        for effort in options.efforts:
            for item, x in pictures:
                for quality in options.qualities:
                    row = {"model": model, "digest": digest_of(model), "effort": effort, "item": item}
                    row |= {"quality": quality, "commit": machine.commit()}
                    if key_of(row) not in known:
                        row |= measure(x, Learned(model=model, quality=quality, effort=effort))
                        known[key_of(row)] = row
                        with path.open("a") as file:
                            file.write(json.dumps(row) + "\n")
                    wanted.append(known[key_of(row)])
            print(f"{model} {effort}: {len(pictures)} pictures at {len(options.qualities)} qualities", flush=True)
    compare(wanted, options)


def key_of(row):
    return tuple(row[name] for name in ("digest", "effort", "item", "quality", "commit"))


def measure(x, codec):
    start = time.process_time()
    data = codec.encode(x)
    encoded = time.process_time()
    x_hat = codec.decode(data)
    seconds = {"encode_cpu_s": encoded - start, "decode_cpu_s": time.process_time() - encoded}
    values = {name: METRICS.get(name)(x, x_hat) for name in ("psnr_db", "ms_ssim")}
    return {"size_bytes": len(data), "rate_bpp": 8 * len(data) / (x.shape[0] * x.shape[1]), **values, **seconds}


def compare(rows, options):
    curves = defaultdict(lambda: defaultdict(list))  # series -> item -> points by setting
    for row in rows:
        curves[f"{row['model']} {row['effort']}"][row["item"]].append(row)
    items = set(next(iter(curves.values())))
    for line in PEER_RECORDS.read_text().splitlines():
        record = json.loads(line)
        if record["series"] in PEERS and record["item"] in items:
            point = record["metrics"] | {"rate_bpp": record["rate_bpp"]}
            curves[record["series"]][record["item"]].append(point)
    result = {"pictures": len(items), "qualities": options.qualities, "series": {}}
    print(f"\nBD-rate, %, {len(items)} pictures, per picture (geometric mean); in brackets between the mean curves")
    for series in (name for name in curves if name not in PEERS):
        inside = within(curves[series], options.qualities)
        found = {"qualities_counted": inside}
        kept = {item: [p for p in points if p["quality"] in inside] for item, points in curves[series].items()}
        for peer in PEERS:
            found[peer] = {metric: against(curves[peer], kept, metric) for metric in ("psnr_db", "ms_ssim")}
        for effort in EFFORTS[: EFFORTS.index(series.split()[1])]:
            other = f"{series.split()[0]} {effort}"
            if other in curves:
                found[other] = {"psnr_db": against(curves[other], curves[series], "psnr_db")}
                found[other]["worse"] = worse(curves[other], curves[series], series.split()[0])
        result["series"][series] = found
        show(series, found)
    write(options.out, "rd", result)


def within(curve, qualities):
    """Qualities whose mean rate lies within RATES."""
    means = {q: np.mean([p["rate_bpp"] for points in curve.values() for p in points if p["quality"] == q])
             for q in qualities}  # fmt: skip
    return [quality for quality, mean in means.items() if RATES[0] <= mean <= RATES[1]]


def against(anchor, ours, metric):
    """Per picture (geometric mean), between the mean curves, and the worst picture; None where curves do not meet."""

    def drawn(points):
        values = [point[metric] for point in points]
        return [-10 * math.log10(1 - value) for value in values] if metric == "ms_ssim" else values

    def rate(points):
        return [point["rate_bpp"] for point in points]

    def mean(curve, what):
        return np.mean([what(curve[item]) for item in sorted(ours)], axis=0)

    try:
        percents = {item: bd_rate(rate(anchor[item]), drawn(anchor[item]), rate(points), drawn(points)).percent
                    for item, points in ours.items()}  # fmt: skip
        curves = bd_rate(mean(anchor, rate), mean(anchor, drawn), mean(ours, rate), mean(ours, drawn)).percent
    except (UsageError, KeyError) as error:
        return {"error": str(error)}
    worst = max(percents, key=percents.__getitem__)
    logs = [math.log1p(percent / 100) for percent in percents.values()]
    return {"percent": 100 * math.expm1(np.mean(logs)), "mean_curves_percent": curves, "worst_item": worst,
            "worst_percent": percents[worst]}  # fmt: skip


def worse(low, high, model):
    """Files whose cost, bits plus lambda times squared error, is higher at the higher effort, and by how much."""
    lambdas = np.log(learned_model.load(model).facts["lambdas"])
    excess = []
    for item, points in high.items():
        others = {point["quality"]: point for point in low[item]}
        for point in points:
            anchor = point["quality"] / learned_model.HIGHEST * (len(lambdas) - 1)
            worth = math.exp(np.interp(anchor, range(len(lambdas)), lambdas))
            costs = [p["rate_bpp"] + worth * 255**2 * 10 ** (-p["psnr_db"] / 10)
                     for p in (point, others[point["quality"]])]  # fmt: skip
            excess.append(100 * (costs[0] / costs[1] - 1))
    return {"files": sum(percent > 1e-6 for percent in excess), "of": len(excess), "largest_percent": max(excess)}


def show(series, found):
    for peer, values in found.items():
        if peer == "qualities_counted":
            continue
        psnr_db = values["psnr_db"]
        if "error" in psnr_db:
            print(f"{series:12} against {peer:18} {psnr_db['error']}")
            continue
        text = f"PSNR {psnr_db['percent']:7.2f} ({psnr_db['mean_curves_percent']:7.2f})"
        if "percent" in values.get("ms_ssim", {}):
            text += f"   MS-SSIM {values['ms_ssim']['percent']:7.2f}"
        if "worse" in values:
            more = values["worse"]
            text += f"   {more['files']} of {more['of']} files cost more, by {more['largest_percent']:.3f} % at most"
        print(f"{series:12} against {peer:18} {text}")
    if "percent" in found[ANCHOR]["psnr_db"]:
        ours = found[ANCHOR]["psnr_db"]
        gaps = ", ".join(f"{name} {ours['percent'] - percent:+.1f} ({ours['mean_curves_percent'] - percent:+.1f})"
                         for name, percent in PUBLISHED.items())  # fmt: skip
        print(f"{series:12} points from the published anchors against JPEG, negative is better: {gaps}")


# speed


def speed(options):
    """Milliseconds of CPU time, least of the repeats, on one pinned core; wall-clock medians beside them."""
    machine.pin([options.core])
    (item, x) = kodak(5)[4]
    assert {512, 768} == set(x.shape[:2]), item
    result = {"item": item, "core": options.core, "repeats": options.repeats, "models": {}}
    peer = mbt2018_mean(x, max(1, options.repeats // 3))
    result["mbt2018-mean"] = peer
    for model in options.models:
        for effort in options.efforts:
            found = timed(x, Learned(model=model, quality=options.quality, effort=effort), options.repeats)
            found |= {"digest": digest_of(model), "quality": options.quality}
            result["models"][f"{model} {effort}"] = found
            lines = [line(way, found[way]) for way in ("encode", "decode")]
            print(f"{model} {effort}: {'; '.join(lines)}; asked {ASKED_MS.get(model, math.nan):g} ms")
            for name, other in peer.items() if isinstance(peer, dict) else ():
                times = {way: other[way]["cpu_ms"] / found[way]["cpu_ms"] for way in ("encode", "decode")}
                found[f"times_{name}"] = times
                print(f"  {times['encode']:.1f} and {times['decode']:.1f} times as fast as {name} (5 asked)")
    result["midtread decode"] = {model: start_to_finish(x, model) for model in options.models}
    print("`midtread decode` in a fresh process, median of 5 (0.6 s asked):", result["midtread decode"])
    write(options.out, "speed", result)


def line(way, found):
    stages = ", ".join(f"{name} {ms:.1f}" for name, ms in found["stages_ms"].items())
    return f"{way} {found['cpu_ms']:.1f} ms ({stages})"


def timed(x, codec, repeats):
    found = {}
    data = codec.encode(x)
    for way, call, argument in (("encode", codec.encode, x), ("decode", codec.decode, data)):
        call(argument)
        cpu, wall, stages = [], [], []
        for _ in range(repeats):
            with stage_times() as spent:
                start = time.process_time(), time.perf_counter()
                call(argument)
                cpu.append(time.process_time() - start[0])
                wall.append(time.perf_counter() - start[1])
            stages.append(spent)
        best = stages[int(np.argmin(cpu))]
        found[way] = {"cpu_ms": 1e3 * min(cpu), "wall_median_ms": 1e3 * statistics.median(wall),
                      "stages_ms": {name: 1e3 * seconds for name, seconds in best.items()}}  # fmt: skip
    return found | {"size_bytes": len(data), "psnr_db": psnr(x, codec.decode(data))}


def mbt2018_mean(x, repeats):
    """CompressAI's network with random weights: as many operations and as many symbols as with trained ones."""
    try:
        import torch

        build = zoo().mbt2018_mean
    except (ModuleNotFoundError, AssertionError) as error:  # torch is not installed, or CompressAI is not
        print(f"mbt2018-mean: {error}")
        return str(error)
    torch.set_num_threads(1)
    pixels = torch.from_numpy(x.transpose(2, 0, 1).copy())[None].float() / 255
    found = {}
    for quality in (4, 8):  # of 1 to 8: 4 is the last of the small networks
        torch.manual_seed(0)
        net = build(quality=quality, pretrained=False).eval()
        net.update(force=True)
        times = {"encode": [], "decode": []}
        with torch.no_grad():
            for _ in range(repeats + 1):
                start = time.process_time()
                out = net.compress(pixels)
                middle = time.process_time()
                net.decompress(out["strings"], out["shape"])
                times["encode"].append(middle - start)
                times["decode"].append(time.process_time() - middle)
        name = f"mbt2018-mean {quality}, random weights"
        found[name] = {way: {"cpu_ms": 1e3 * min(all_[1:])} for way, all_ in times.items()}
        print(f"{name}: encode {found[name]['encode']['cpu_ms']:.0f}, decode {found[name]['decode']['cpu_ms']:.0f} ms")
    return found


def start_to_finish(x, model):
    with tempfile.TemporaryDirectory() as folder:
        source, target, runs = Path(folder) / "x.mt", Path(folder) / "x.png", []
        source.write_bytes(Learned(model=model).encode(x))
        for _ in range(6):
            runs.append(limits.child(["decode", source, target]))
            target.unlink()
    return {name: statistics.median(run[name] for run in runs[1:]) for name in ("wall_s", "cpu_s")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    runs = parser.add_subparsers(dest="run", required=True)
    here = list(learned_model.names())
    for run, pictures in ((rd, 24), (speed, None), (limits.rate, 4), (limits.memory, 24)):
        one = runs.add_parser(run.__name__, help=run.__doc__.splitlines()[0])
        one.set_defaults(call=run)
        one.add_argument("--models", nargs="+", default=here)
        one.add_argument("--out", type=Path, default=RESULTS, help="folder of the records")
        if pictures:
            one.add_argument("--pictures", type=int, default=pictures, help="of Kodak, the first ones")
        if run in (rd, speed):
            one.add_argument("--efforts", nargs="+", default=list(EFFORTS), choices=EFFORTS)
        else:
            one.add_argument("--effort", default="normal", choices=EFFORTS)
        if run is rd:
            one.add_argument("--qualities", nargs="+", type=float, default=list(QUALITIES))
        if run is speed:
            one.add_argument("--repeats", type=int, default=9)
            one.add_argument("--quality", type=float, default=32.0)
            one.add_argument("--core", type=int, default=machine.cpus()[-1])
        if run is limits.memory:
            one.add_argument("--side", type=int, default=10_000, help="pixels")
            one.add_argument("--seam-side", type=int, default=4096, help="pixels")
            one.add_argument("--scratch", type=Path, default=None, help="folder for 700 MB of files")
    options = parser.parse_args()
    machine.describe()  # before it is pinned
    machine.limit_threads(1)
    options.call(options)


if __name__ == "__main__":
    main()
