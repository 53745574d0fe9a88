"""Gaussians on a GPU are those of the CPU, to rounding: in the simulator of numba-cuda, no GPU is needed.

The simulator replaces numba.cuda when that is imported, so all cases run in a process of their own, which is this file.
"""

import itertools
import json
import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

SIZES = {"gray": (13, 20, 1), "colour": (12, 14, 3), "many threads": (6, 7, 3)}
COUNT, FITTED = 20, 9


def scatter(height, width, channels, count=COUNT, seed=0):
    """Centres, factors and colours: all sizes and slants, some beyond the edges, in no order."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform((-6, -6), (width + 5, height + 5), (count, 2))
    a, c = 1 / np.exp(rng.uniform(np.log(0.35), np.log(6), (2, count)))
    factor = np.stack([a, a * rng.normal(0, 1, count), c], 1)
    colour = rng.normal(0.3, 0.6, (count, channels))
    return tuple(x.astype(np.float32) for x in (xy, factor, colour))


def picture(height, width, channels):
    rows, columns = np.mgrid[:height, :width]
    wave = np.sin(columns / 4 + rows / 6)[..., None] * np.linspace(1, -0.5, channels)
    return (0.5 + 0.3 * wave).astype(np.float32)


@pytest.fixture(scope="module")
def outcomes():
    """What the process with the simulator found."""
    pytest.importorskip("numba_cuda")
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("what", ["rest", "energy", "moments", "products", "norms", "drawn", "solved"])
@pytest.mark.parametrize("size", SIZES)
def test_kernels_give_the_numbers_of_their_definition(outcomes, size, what):
    assert outcomes[size][what] < (1e-4 if what == "solved" else 1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_bytes_are_those_of_the_cpu_within_one(outcomes, size):
    assert outcomes[size]["bytes"] <= 1


def test_a_region_of_a_smaller_picture_is_that_of_the_cpu_within_one(outcomes):
    assert outcomes["region"] <= 1


def test_nothing_outside_the_picture_is_reached_whatever_the_numbers(outcomes):
    assert outcomes["boxes"] == {"inside": True, "groups": True, "without": True}


def test_no_gaussians_are_an_empty_picture(outcomes):
    assert outcomes["none"] == {"pixels": 0.25, "energy": pytest.approx(4 * 5 * 0.25), "moments": [0, 8]}


def test_steps_are_those_of_the_cpu(outcomes):
    assert outcomes["steps"]["state"] < 1e-3
    assert outcomes["steps"]["moved"] > 0.002  # each column, so this is no comparison of two beginnings
    assert outcomes["steps"]["ages"]


def test_a_fit_is_as_good_as_that_of_the_cpu_and_looks_at_the_quantizer(outcomes):
    fit = outcomes["fit"]
    assert fit["count"] == FITTED
    assert fit["psnr_db"] == pytest.approx(fit["psnr_db_of_cpu"], abs=0.1)
    assert fit["psnr_db"] > fit["psnr_db_at_first"] + 3
    assert fit["snapped"] == 1  # of 6 iterations the last begins when 70 % are done


def test_numbers_that_run_away_go_back(outcomes):
    for when in ("found at a look", "found at the end"):
        assert outcomes["retreat"][when] == {"retreats": 1, "finite": True, "slower": True}, when


def test_a_file_of_the_gpu_is_decoded_by_the_cpu_and_the_other_way(outcomes):
    assert outcomes["codec"]["furthest"] <= 1
    assert outcomes["codec"]["psnr_db"] > 20


def test_what_it_does_not_take_is_said(outcomes):
    assert "draws sums, these Gaussians have opacity; leave device='cpu'" in outcomes["opacity"]


def test_devices_that_are_not_here_are_refused():
    from midtread.codecs.image.gaussian import Gaussian
    from midtread.errors import UsageError
    from midtread.transforms.gaussians import Gaussians, render
    from midtread.transforms.gaussians_fit import fit

    x, sums = picture(8, 8, 3), Gaussians(8, 8, *scatter(8, 8, 3))
    calls = (
        lambda device: render(sums, device=device),
        lambda device: fit(x, 3, device=device),
        lambda device: Gaussian(device=device, count=3).encode(np.eye(8, dtype=np.uint8)),
    )
    for call in calls:
        with pytest.raises(UsageError, match=r"Gaussians: device='cuda' (found no GPU|needs numba-cuda)"):
            call("cuda")
        with pytest.raises(UsageError, match="device='tpu'; it takes 'cpu', 'cuda'"):
            call("tpu")


# --- in the process with the simulator ---


def run_lone_threads_here():
    """Blocks of one thread need no thread of their own in the simulator."""
    from numba.cuda.simulator.kernel import BlockManager, Dim3

    def run_block(self, grid_point, *args, own=BlockManager.run):
        if np.prod(self._block_dim) > 1:
            return own(self, grid_point, *args)
        here = threading.current_thread()
        here.blockIdx, here.threadIdx, here.syncthreads = Dim3(*grid_point), Dim3(0, 0, 0), lambda: None
        self._f(*args)

    BlockManager.run = run_block


def worst(got, wanted):
    """The largest difference, relative to the largest magnitude of each column."""
    got, wanted = (np.asarray(x, np.float64).reshape(len(x), -1) for x in (got, wanted))
    return float((np.abs(got - wanted) / (np.abs(wanted).max(0) + 1e-12)).max())


def kernels(height, width, channels):
    """Canvas and drawing against `splat_slow`, and the canvas of the CPU."""
    from midtread.kernels import splat_slow
    from midtread.transforms import gaussians_canvas, gaussians_cuda

    parts, x = scatter(height, width, channels), picture(height, width, channels)
    chunks = -(-width // splat_slow.LANES)
    strips, place = splat_slow.to_strips(-x), (height, chunks, channels, 0)
    splat_slow.draw(strips, *place, *parts)
    rest = splat_slow.from_strips(strips, height, width, channels)
    strips = splat_slow.to_strips(rest)
    moments, products, norms = (np.zeros((COUNT, n), np.float32) for n in (5 + channels, channels, 1))
    splat_slow.moments(strips, *place, 0, COUNT, *parts, moments)
    splat_slow.gather(strips, *place, 0, COUNT, *parts[:2], products, norms[:, 0])
    canvas, on_cpu = gaussians_cuda.Canvas(x), gaussians_canvas.Canvas(x)
    energy, found = canvas.moments(*parts)
    left = canvas.rest
    drawn, bytes_ = np.empty_like(x), np.empty(x.shape, np.uint8)
    begin = np.full(channels, 0.25, np.float32)
    gaussians_cuda.draw(*parts, begin, drawn)
    gaussians_cuda.draw(*parts, begin, bytes_)
    wanted = np.clip(rest + x + 0.25, 0, 1) * 255
    got_products, got_norms = canvas._products(*parts, wanted=True)
    alone, _ = canvas._products(*parts, wanted=False)
    alone_on_cpu, _ = on_cpu._products(*parts, wanted=False)
    return {
        "rest": worst(left, rest),
        "energy": abs(energy / float(np.square(rest, dtype=np.float64).sum()) - 1),
        "moments": worst(found, moments),
        "products": max(worst(got_products, products), worst(alone, alone_on_cpu)),
        "norms": worst(got_norms, norms),
        "drawn": worst(drawn, rest + x + 0.25),
        "bytes": int(np.abs(bytes_ - np.floor(wanted + 0.5)).max()),
        "solved": worst(canvas.solve(*parts, 3), on_cpu.solve(*parts, 3)),
    }


def region():
    from midtread.transforms.gaussians import Gaussians, render

    sums = Gaussians(30, 34, *scatter(30, 34, 3), background=np.full(3, 0.2, np.float32))
    options = {"scale": 0.6, "region": (3, 5, 9, 7)}
    got, wanted = render(sums, device="cuda", **options), render(sums, **options)
    assert got.shape == wanted.shape == (9, 7, 3)
    assert wanted.std() > 20  # there is something to see
    return int(np.abs(got.astype(int) - wanted).max())


def opacity():
    from midtread.errors import UsageError
    from midtread.transforms.gaussians import Gaussians, render

    try:
        render(Gaussians(8, 8, *scatter(8, 8, 3), np.full(COUNT, 0.5, np.float32)), device="cuda")
    except UsageError as error:
        return str(error)


def boxes():
    """Numbers nobody should send: no box leaves the picture, and none is left out of its group's."""
    from midtread.transforms.gaussians_cuda import THREADS, Held

    awkward = [0.5, 0.0, -1.0, 1e-45, 1e-30, 1e30, 3e38, np.inf, -np.inf, np.nan]
    factor = np.array(list(itertools.product(awkward, repeat=3)), np.float32)
    xy = np.concatenate([np.full((500, 2), 8, np.float32), factor[500:, :2]])
    held = Held(len(factor), 1)
    held.load(xy, factor, np.ones((len(factor), 1), np.float32))
    held.reach(12, 16)
    found, groups = held.boxes.copy_to_host(), held.groups.copy_to_host()
    real = np.flatnonzero((found[:, 0] < found[:, 2]) & (found[:, 1] < found[:, 3]))
    of = groups[real // THREADS]
    return {
        "inside": bool((found >= 0).all() and (found[:, ::2] <= 16).all() and (found[:, 1::2] <= 12).all()),
        "groups": bool((of[:, :2] <= found[real, :2]).all() and (of[:, 2:] >= found[real, 2:]).all()),
        "without": bool(0 < len(real) < len(found)),
    }


def none():
    from midtread.transforms import gaussians_cuda

    nothing, out = scatter(4, 5, 3, count=0), np.empty((4, 5, 3), np.float32)
    gaussians_cuda.draw(*nothing, np.full(3, 0.25, np.float32), out)
    energy, moments = gaussians_cuda.Canvas(np.full((4, 5, 1), 0.5, np.float32)).moments(*scatter(4, 5, 1, count=0))
    return {"pixels": float(out.mean()), "energy": energy, "moments": [len(moments), moments.shape[1] + 2]}


def steps():
    """Three steps of each from the same state."""
    from midtread.transforms import gaussians_canvas, gaussians_cuda, gaussians_fit
    from midtread.transforms.gaussians_fit import Budget

    x = picture(10, 12, 3)
    on_cpu = gaussians_fit.Fit(gaussians_canvas.Canvas(x), x, FITTED, Budget(3), np.random.default_rng(0))
    on_cpu._start(FITTED)
    on_cpu.state[0, :2, :5] = np.stack(gaussians_fit.bounds(10, 12)) + np.array([[-0.5], [0.5]])  # out of bounds
    on_gpu = gaussians_cuda.Fit(gaussians_cuda.Canvas(x), x, FITTED, Budget(3), np.random.default_rng(0))
    on_gpu._start(1)
    first, on_gpu.state, on_gpu.age = on_cpu.state[0].copy(), on_cpu.state.copy(), on_cpu.age.copy()
    on_gpu._send()
    for done in (0, 0.3, 0.6):
        on_cpu._step(done)
        on_gpu._step(done)
    on_gpu._fetch()
    return {
        "state": max(worst(*states) for states in zip(on_gpu.state, on_cpu.state, strict=True)),
        "moved": float(np.abs(first - on_cpu.state[0]).max(0).min()),
        "ages": bool((on_gpu.age == on_cpu.age).all() and (on_gpu.age == 3).all()),
    }


def fit():
    from midtread.transforms.gaussians_fit import Budget
    from midtread.transforms.gaussians_fit import fit as fitted

    x, snaps = picture(10, 12, 3), []

    def snap(xy, factor, colour):
        snaps.append(len(xy))
        return xy, factor, np.rint(colour * np.float32(64)) / np.float32(64)

    _, on_cpu = fitted(x, FITTED, Budget(6), snap=snap)
    snaps.clear()
    gaussians, trace = fitted(x, FITTED, Budget(6), snap=snap, device="cuda")
    return {
        "count": len(gaussians.xy), "snapped": len(snaps), "psnr_db": trace.psnr_db[-1],
        "psnr_db_at_first": trace.psnr_db[0], "psnr_db_of_cpu": on_cpu.psnr_db[-1],
    }  # fmt: skip


def retreat():
    return {"found at a look": retreat_when(2), "found at the end": retreat_when(25)}


def retreat_when(checked):
    """One number of the device becomes NaN in the second of four steps."""
    from unittest.mock import patch

    from numba import cuda

    from midtread.transforms import gaussians_cuda, gaussians_fit
    from midtread.transforms.gaussians_fit import Budget

    x = picture(8, 9, 1)
    step = gaussians_cuda.Fit._step

    def broken(self, done):
        step(self, done)
        if len(broken.calls) == 1:
            state = self._state.copy_to_host()
            state[1, 2, 3] = np.nan
            self._state = cuda.to_device(state)
        broken.calls.append(done)

    broken.calls = []
    one = gaussians_cuda.Fit(gaussians_cuda.Canvas(x), x, 6, Budget(4), np.random.default_rng(0))
    with patch.object(gaussians_cuda.Fit, "_step", broken), patch.object(gaussians_fit, "CHECKED", checked):
        gaussians, trace = one.run()
    finite = all(np.isfinite(part).all() for part in (gaussians.xy, gaussians.factor, gaussians.colour))
    return {"retreats": trace.retreats, "finite": bool(finite), "slower": one.rate == 0.5}


def codec():
    from midtread.codecs.image.gaussian import Gaussian

    x = np.rint(255 * picture(10, 12, 3)).astype(np.uint8)
    on_gpu = Gaussian(device="cuda", count=6, iterations=4, effort="fast", step=40)
    data = on_gpu.encode(x)
    decoded = Gaussian().decode(data).astype(int)
    return {
        "furthest": int(np.abs(on_gpu.decode(data) - decoded).max()),
        "psnr_db": float(10 * np.log10(255**2 / np.mean(np.square(decoded - x)))),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    from test_field_cuda import repair_simulator

    repair_simulator()
    run_lone_threads_here()
    from midtread.transforms import gaussians_cuda

    gaussians_cuda.SIDE, gaussians_cuda.THREADS, gaussians_cuda.ACROSS, gaussians_cuda.GATHERING = 4, 16, 2, 4
    results = {"many threads": kernels(*SIZES["many threads"]), "boxes": boxes()}
    gaussians_cuda.SIDE, gaussians_cuda.THREADS, gaussians_cuda.ACROSS, gaussians_cuda.GATHERING = 1, 1, 1, 1
    results |= {name: kernels(*SIZES[name]) for name in ("gray", "colour")}
    for case in (region, opacity, none, steps, fit, retreat, codec):
        results[case.__name__] = case()
    print(json.dumps(results))
