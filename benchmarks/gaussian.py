"""The `gaussian` codec: rate and distortion, what quantizing costs, how many Gaussians, speed, memory.

    python benchmarks/gaussian.py rd [--pictures 24]     # Kodak, real files against the committed records of its peers
    python benchmarks/gaussian.py loss [--pictures 24]   # dB lost from the fit in floats to the file, bits a Gaussian
    python benchmarks/gaussian.py count [--dataset ...]  # wavelet coefficients that a Gaussian is worth
    python benchmarks/gaussian.py over [--pictures 4]    # alpha compositing against the sum, same count and iterations
    python benchmarks/gaussian.py speed                  # 768 x 512, 5000 Gaussians: fit, search, decode, render, peers
    python benchmarks/gaussian.py memory                 # 12 MPx in a process of its own

Each prints a table and writes benchmarks/results/gaussian/NAME.json with machine, versions and commit. All but the
last two keep a line for each picture in NAME.jsonl and go on where they were stopped, as long as the code of the codec
is the same.

Asked: 25.8 dB at 0.097 bpp, 28.3 at 0.236, 30.55 at 0.487, mean of Kodak; 2 dB over JPEG below 0.25 bpp and not below
it at 0.5; WebP everywhere below 0.5. 9 ms an iteration on one core, 5 on two; 10 s to encode with the whole search;
5 ms to decode; 450 frames a second on two cores; 40 dB and 1 ms for a quarter of the size; 0.4 dB lost by `norm` at
2000 Gaussians; 2 GB and 30 MPx/s at 12 MPx.
"""

import argparse
import hashlib
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np

import gaussian_speed
import midtread
from learned_limits import psnr, write
from midtread import media
from midtread.bench import machine
from midtread.bench.datasets import open_dataset
from midtread.codecs.image.gaussian import Gaussian
from midtread.codecs.target import encode_to
from midtread.registry import METRICS
from midtread.spec import open_codec
from midtread.transforms.gaussians import render
from midtread.transforms.gaussians_count import COEFFICIENTS, Sparsity
from midtread.transforms.gaussians_fit import Budget, fit
from midtread.transforms.gaussians_over import fit_over

RESULTS = Path(__file__).parent / "results" / "gaussian"
PEER_RECORDS = Path(__file__).parent / "results" / "kodak" / "records.jsonl"
SOURCES = Path(midtread.__file__).parent
CODE = ("codecs/image/gaussian*.*", "codecs/target.py", "transforms/gaussians*.py", "transforms/wavelet.py",
        "kernels/splat*.py")  # fmt: skip
PEERS = ("JPEG 4:2:0", "WebP", "AVIF 4:4:4", "JPEG XL", "wavelet", "learned s")
ASKED_DB = {0.097: 25.8, 0.236: 28.3, 0.487: 30.55}
RATES = (0.236, 0.487, 0.097, 0.35, 0.15, 0.7)  # bpp; what was asked for comes first, in case this is stopped
COARSEST_JPEG = (1, 2, 3)  # qualities: the records of JPEG end at 5, above the lowest rates
METRICS_SHOWN = ("psnr_db", "ms_ssim")
STEPS = (30.0, 45.0, 65.0, 95.0, 140.0)  # 8-bit units
FEW = 2000  # Gaussians
COUNTS = (500, 2000, 6000)
OVER_COUNTS = (500, 2000)
ITERATIONS = 500


# what all share


def measured(name, options, tasks, work):
    """The rows of `work` for every task, those that are known from an earlier run of the same code included."""
    path = options.out / f"{name}.jsonl"
    options.out.mkdir(parents=True, exist_ok=True)
    rows, code = {}, code_digest()
    for line in path.read_text().splitlines() if path.exists() else []:
        row = json.loads(line)
        if row["code"] == code:
            rows[row["task"]] = row
    missing = [task for task in tasks if name_of(task) not in rows]
    if missing:
        spawned = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(options.jobs, mp_context=spawned) as pool, path.open("a") as file:
            for done in as_completed([pool.submit(timed, work, task) for task in missing]):
                row = done.result() | {"code": code, "commit": machine.commit()}
                rows[row["task"]] = row
                file.write(json.dumps(row) + "\n")
                file.flush()
                print(f"{name}: {row['task']}, {row['cpu_s']:.1f} s", flush=True)
    return [rows[name_of(task)] for task in tasks]


def code_digest():
    """Of what makes the files; a commit does not tell two states of a checkout with changes apart."""
    found = hashlib.sha256()
    for pattern in CODE:
        for path in sorted(SOURCES.glob(pattern)):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]


def name_of(task):
    return " ".join(Path(part).name if isinstance(part, str) else str(part) for part in task)


def timed(work, task):
    start = time.process_time()
    return {"task": name_of(task), "item": task[1]} | work(*task) | {"cpu_s": time.process_time() - start}


def picture_of(dataset, item):
    return next(media.load(one.path).array for one in open_dataset(dataset) if one.name == item)


def items_of(dataset, count):
    return [item.name for item in open_dataset(dataset)[:count]]


# rate and distortion


def rd(options):
    """Every picture at every rate, as `encode --bpp` makes the file; then its peers at the very same rate."""
    items = items_of("kodak", options.pictures)
    rows = measured("rd", options, [("kodak", item, rate) for rate in options.rates for item in items], rd_of)
    curves = peer_curves(items)
    result = {"pictures": len(items), "effort": "normal", "rates": {}}
    print(f"\nmean of {len(items)} pictures; difference to a codec at the same rate of the same picture (in brackets: "
          "pictures, where its curve goes as low)")  # fmt: skip
    for rate in sorted(options.rates):
        here = [row for row in rows if row["rate_bpp_asked"] == rate]
        found = {key: float(np.mean([row[key] for row in here])) for key in ("rate_bpp", "count", *METRICS_SHOWN)}
        found["asked_db"] = ASKED_DB.get(rate)
        found["beside"] = {peer: {metric: beside(curves[peer], here, metric) for metric in METRICS_SHOWN}
                           for peer in PEERS}  # fmt: skip
        result["rates"][str(rate)] = found
        asked = f" (asked {found['asked_db']})" if found["asked_db"] else ""
        print(f"{found['rate_bpp']:.3f} bpp {found['psnr_db']:.2f} dB{asked}, MS-SSIM {found['ms_ssim']:.4f}, "
              f"{found['count']:.0f} Gaussians; dB over " + ", ".join(map(shown, found["beside"].items())))  # fmt: skip
    write(options.out, "rd", result)


def rd_of(dataset, item, rate):
    x = picture_of(dataset, item)
    reached = encode_to(x, "gaussian", {}, rate_bpp=rate)
    x_hat = open_codec("gaussian").decode(reached.data)
    values = {name: METRICS.get(name)(x, x_hat) for name in METRICS_SHOWN}
    settings = {name: reached.options[name] for name in ("count", "step")}
    return {"rate_bpp_asked": rate, "rate_bpp": reached.rate_bpp, "trials": reached.trials, **settings, **values}


def peer_curves(items):
    """Series -> item -> points by rising rate, of the committed records, and of JPEG at its coarsest."""
    curves = {peer: {item: [] for item in items} for peer in PEERS}
    for line in PEER_RECORDS.read_text().splitlines():
        record = json.loads(line)
        if record["series"] in PEERS and record["item"] in items:
            point = {name: record["metrics"][name] for name in METRICS_SHOWN} | {"rate_bpp": record["rate_bpp"]}
            curves[record["series"]][record["item"]].append(point)
    for item in items:
        x = picture_of("kodak", item)
        for quality in COARSEST_JPEG:
            codec = open_codec("jpeg", quality=quality)
            data = codec.encode(x)
            values = {name: METRICS.get(name)(x, codec.decode(data)) for name in METRICS_SHOWN}
            curves[PEERS[0]][item].append(values | {"rate_bpp": 8 * len(data) / (x.shape[0] * x.shape[1])})
    for curve in curves.values():
        for points in curve.values():
            points.sort(key=lambda point: point["rate_bpp"])
    return curves


def beside(curve, rows, metric):
    """Mean, least and most of ours minus theirs, PCHIP over the logarithm of the rate, nothing extrapolated."""
    from scipy.interpolate import PchipInterpolator

    found = []
    for row in rows:
        rates, index = np.unique([point["rate_bpp"] for point in curve[row["item"]]], return_index=True)
        if rates[0] <= row["rate_bpp"] <= rates[-1]:
            values = [curve[row["item"]][i][metric] for i in index]
            found.append(row[metric] - float(PchipInterpolator(np.log(rates), values)(np.log(row["rate_bpp"]))))
    if not found:
        return {"pictures": 0}
    return {"pictures": len(found), "mean": float(np.mean(found)), "least": min(found), "most": max(found)}


def shown(pair):
    peer, values = pair
    found = values["psnr_db"]
    if not found["pictures"]:
        return f"{peer}: no point that low"
    return f"{peer} {found['mean']:+.2f} [{found['least']:+.2f} to {found['most']:+.2f}] ({found['pictures']})"


# loss from floats to the file


def loss(options):
    """2000 Gaussians: PSNR of the fit, drawn from floats, against that of files of several steps."""
    items = items_of("kodak", options.pictures)
    rows = measured("loss", options, [("kodak", item, FEW) for item in items], loss_of)
    float_db = float(np.mean([row["float_db"] for row in rows]))
    result = {"pictures": len(items), "count": FEW, "quantizer": "norm", "float_db": float_db, "steps": {}}
    print(f"\n{FEW} Gaussians, {len(items)} pictures, {float_db:.2f} dB in floats; asked: at most 0.4 dB lost")
    for step in STEPS:
        files = [row["files"][str(step)] for row in rows]
        lost = [row["float_db"] - file["psnr_db"] for row, file in zip(rows, files, strict=True)]
        mean = {key: float(np.mean([file[key] for file in files])) for key in ("psnr_db", "bits_per_gaussian")}
        result["steps"][str(step)] = mean | {"lost_db": float(np.mean(lost)), "worst_db": max(lost)}
        print(f"step {step:4g}: {mean['bits_per_gaussian']:.1f} bits a Gaussian, {np.mean(lost):.3f} dB lost, "
              f"{max(lost):.3f} at worst")  # fmt: skip
    write(options.out, "loss", result)


def loss_of(dataset, item, number):
    x = picture_of(dataset, item)
    background = np.rint(x.mean((0, 1), dtype=np.float64)).astype(np.uint8)  # as the codec takes it
    picture = (x.astype(np.float32) - background) / np.float32(255)
    gaussians, _ = fit(picture, number, Budget(ITERATIONS))
    floats = render(replace(gaussians, background=background / np.float32(255)))
    files = {}
    for step in STEPS:
        data = Gaussian(step=step, count=number, iterations=ITERATIONS).encode(x)
        files[str(step)] = {"psnr_db": psnr(x, Gaussian().decode(data)), "bits_per_gaussian": 8 * len(data) / number}
    return {"float_db": psnr(x, floats), "files": files}


# how many Gaussians


def count(options):
    """Wavelet coefficients whose absence leaves as much error as a fit, a Gaussian; what `COEFFICIENTS` stands for."""
    items = items_of(options.dataset, options.pictures)
    tasks = [(options.dataset, item, options.side) for item in items]
    rows = measured("count", options, tasks, count_of)
    result = {"pictures": len(items), "dataset": Path(options.dataset).name, "side": options.side,
              "iterations": ITERATIONS, "built_in": COEFFICIENTS}  # fmt: skip
    worth = np.array([[row[str(number)] for number in COUNTS] for row in rows])
    by_count = dict(zip(map(str, COUNTS), worth.mean(0).tolist(), strict=True))
    result |= {"mean": float(worth.mean()), "least": float(worth.min()), "most": float(worth.max()),
               "by_count": by_count, "deciles": np.quantile(worth, [0.1, 0.9]).tolist()}  # fmt: skip
    print(f"a Gaussian is worth {worth.mean():.2f} coefficients ({COEFFICIENTS} built in), "
          f"{worth.min():.2f} to {worth.max():.2f} over {len(items)} pictures; by count "
          + ", ".join(f"{name}: {value:.2f}" for name, value in by_count.items()))  # fmt: skip
    write(options.out, "count", result)


def count_of(dataset, item, side):
    x = picture_of(dataset, item)[:side, :side]
    picture, _ = centred(x)
    sparsity, found = Sparsity.of(picture), {}
    taken = np.concatenate([[0.0], np.cumsum(sparsity.counts)])
    left = sparsity.energies.sum() - np.concatenate([[0.0], np.cumsum(sparsity.energies)])
    for number in COUNTS:
        gaussians, _ = fit(picture, number, Budget(ITERATIONS))
        error = float(np.square(render(gaussians, dtype=np.float32) - picture, dtype=np.float64).sum())
        found[str(number)] = float(np.interp(-error, -left, taken)) / number
    return found


def centred(x):
    """float32 [H, W, C] around 0, and the mean."""
    mean = (x.mean((0, 1)) / 255).astype(np.float32)
    return x.astype(np.float32) / 255 - mean, mean


# painted over each other, or summed


def over(options):
    """PSNR of as many Gaussians after as many iterations, in floats: summed, and painted over each other."""
    tasks = [("kodak", item, number) for item in items_of("kodak", options.pictures) for number in OVER_COUNTS]
    rows = measured("over", options, tasks, over_of)
    result = {"pictures": options.pictures, "iterations": ITERATIONS, "counts": {}}
    for number in OVER_COUNTS:
        here = [row for row in rows if row["count"] == number]
        mean = {key: float(np.mean([row[key] for row in here])) for key in ("sum_db", "over_db", "sum_s", "over_s")}
        result["counts"][str(number)] = mean
        print(f"{number} Gaussians, {ITERATIONS} iterations, {len(here)} pictures: sum {mean['sum_db']:.2f} dB in "
              f"{mean['sum_s']:.1f} s, over {mean['over_db']:.2f} dB in {mean['over_s']:.1f} s of CPU")  # fmt: skip
    write(options.out, "over", result)


def over_of(dataset, item, number):
    x = picture_of(dataset, item)
    picture, mean = centred(x)
    found = {"count": number}
    for name, way in (("sum", fit), ("over", fit_over)):
        start = time.process_time()
        gaussians, _ = way(picture, number, Budget(ITERATIONS))
        found[f"{name}_s"] = time.process_time() - start
        drawn = np.clip(render(gaussians, dtype=np.float32) + mean, 0, 1)
        found[f"{name}_db"] = psnr(x, 255 * drawn)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    runs = parser.add_subparsers(dest="run", required=True)
    for run, pictures in (
        (rd, 24),
        (loss, 24),
        (count, 12),
        (over, 4),
        (gaussian_speed.speed, 0),
        (gaussian_speed.memory, 0),
    ):
        one = runs.add_parser(run.__name__, help=run.__doc__.splitlines()[0])
        one.set_defaults(call=run)
        one.add_argument("--out", type=Path, default=RESULTS, help="folder of the records")
        if pictures:
            one.add_argument("--pictures", type=int, default=pictures, help="the first ones of the dataset")
            one.add_argument("--jobs", type=int, default=len(machine.cpus()), help="processes of one thread each")
        if run is rd:
            one.add_argument("--rates", nargs="+", type=float, default=list(RATES), help="bits per pixel")
        if run is count:
            one.add_argument("--dataset", default="kodak", help="a dataset, or a folder of RGB pictures")
            one.add_argument("--side", type=int, default=768, help="pixels: larger pictures are cut")
        if run is gaussian_speed.speed:
            one.add_argument("--repeats", type=int, default=15)
        if run is gaussian_speed.memory:
            one.add_argument("--iterations", type=int, default=100, help="of the fit; memory does not depend on them")
            one.add_argument("--scratch", type=Path, default=None, help="folder for 80 MB of files")
    options = parser.parse_args()
    machine.describe()
    machine.limit_threads(1)
    options.call(options)


if __name__ == "__main__":
    main()
