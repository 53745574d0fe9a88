"""Structure of fields: the power spectrum, shell by shell, and the similarity of slices.

Both look at the last three axes (all, where there are fewer), which are those of space in a field; axes before them
(time, components) are averaged over by the spectrum, and the slices are those of their middle.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from midtread.errors import UsageError
from midtread.metrics.fields import Latest, Reference, compared, known
from midtread.metrics.structure import TAPS, similarity_maps
from midtread.spec import Metric

_AXES = 3  # of space
_HIGHEST = 0.25  # cycles per sample: half the Nyquist frequency
_LEAST_POWER = 1e-12  # of the strongest shell: below it lies the rounding of float32


class Spectrum(NamedTuple):
    """Mean power of the Fourier coefficients in shells of equal frequency."""

    frequency: np.ndarray  # float64 [n], cycles per sample, 0.5 is the Nyquist frequency
    power: np.ndarray  # float64 [n], of a field of range 1; the absolute scale does not matter


def power_spectrum(x: np.ndarray, found: Reference | None = None) -> Spectrum:
    """Radially averaged power spectrum of a field over its last three axes.

    Shells are 1 / (longest of these axes) wide, up to the Nyquist frequency; the mean (frequency 0) belongs to none.
    Missing values are set to the mean of the others. No window: the field is taken as periodic, as codes that simulate
    in a periodic box do.

    Args:
        x: floats or integers; at least two values along one of the last three axes.
        found: `reference` of the field that this one is compared with; of `x` itself when left out.

    Raises:
        UsageError: see `metrics.fields.reference`; no axis of two values or more.
    """
    found = known(x) if found is None else found
    if x.dtype.name == "bfloat16":
        x = x.astype(np.float32)
    axes = x.shape[-_AXES:]
    if max(axes, default=0) < 2:
        raise UsageError(f"a power spectrum needs two values along one of the last axes, got shape {list(x.shape)}")
    volumes = x.reshape(-1, *axes)
    present = None if found.present is None else found.present.reshape(volumes.shape)
    shells = _shells(axes)
    count = max(axes) // 2 + 1
    power = np.zeros(count)
    for number, volume in enumerate(volumes):
        scaled = (volume.astype(np.float64) - found.lowest) / found.unit
        if present is not None:
            kept = present[number]
            scaled = np.where(kept, scaled, scaled[kept].mean() if kept.any() else 0.0)
        spectrum = np.fft.rfftn(scaled)
        for plane, shell in zip(spectrum, shells, strict=True) if len(axes) > 1 else ((spectrum, shells),):
            squared = np.square(plane.real) + np.square(plane.imag)
            squared[..., 1 : (axes[-1] + 1) // 2] *= 2  # the half that rfftn leaves out
            power += np.bincount(shell.reshape(-1), squared.reshape(-1), count + 1)[:count]
    samples = _samples(axes, shells, count)
    mean = power / (np.maximum(samples, 1) * len(volumes))
    inside = np.arange(count) > 0
    inside &= samples > 0
    return Spectrum(np.arange(count)[inside] / max(axes), mean[inside])


def _shells(axes: tuple[int, ...]) -> np.ndarray:
    """int32, shape of the half spectrum: number of the shell of each coefficient; past the last one: the last + 1."""
    squared = np.square(np.fft.rfftfreq(axes[-1]))
    for axis in range(len(axes) - 2, -1, -1):
        squared = np.square(np.fft.fftfreq(axes[axis])).reshape(-1, *[1] * squared.ndim) + squared
    shells = np.rint(np.sqrt(squared) * max(axes)).astype(np.int32)
    return np.asarray(np.minimum(shells, max(axes) // 2 + 1))


def _samples(axes: tuple[int, ...], shells: np.ndarray, count: int) -> np.ndarray:
    """How many coefficients of the whole spectrum each shell has."""
    weight = np.ones(shells.shape[-1])
    weight[1 : (axes[-1] + 1) // 2] = 2
    weights = np.broadcast_to(weight, shells.shape)
    return np.bincount(shells.reshape(-1), weights.reshape(-1), count + 1)[:count]


def spectrum_error(x: np.ndarray, x_hat: np.ndarray) -> float:
    """Largest |P_hat / P - 1| over the shells of the power spectrum up to half the Nyquist frequency.

    Cosmologists ask for at most 0.01 up to the wave number that they analyse. Shells with less than 1e-12 of the power
    of the strongest are left out.

    Source: Jin et al., "Understanding GPU-Based Lossy Compression for Extreme-Scale Cosmological Simulations", IPDPS
    2020 (the ratio of the two spectra, within 1 +- 0.01).

    Args:
        x: floats or integers, see `power_spectrum`.
        x_hat: same shape and dtype.

    Returns:
        0 for equal spectra, 0.01 for one that is off by 1 % at its worst place.

    Raises:
        UsageError: see `power_spectrum`; a missing value that was not kept; no shell, or a source without power.
    """
    x_, x_hat, found = compared("spectrum_error", x, x_hat)
    source = _known_spectrum(x)
    shells = source.frequency <= max(_HIGHEST, float(source.frequency[0]))
    shells &= source.power > _LEAST_POWER * source.power.max()
    if not shells.any():
        if np.array_equal(x_, x_hat, equal_nan=x_.dtype.kind == "f"):
            return 0.0
        raise UsageError("metric 'spectrum_error' is undefined: the source is the same everywhere; use 'max_error'")
    power = power_spectrum(x_hat, found).power[shells]
    return float(np.abs(power / source.power[shells] - 1).max())


_known_spectrum = Latest(power_spectrum)  # that of one source serves all its reconstructions


def central_slices(x: np.ndarray) -> list[np.ndarray]:
    """The planes through the middle of the last three axes, one across each; the array itself where it has two axes."""
    x = x[tuple(size // 2 for size in x.shape[:-_AXES])]
    return [x] if x.ndim < _AXES else [np.take(x, size // 2, axis) for axis, size in enumerate(x.shape)]


def slice_ssim(x: np.ndarray, x_hat: np.ndarray) -> float:
    """Mean SSIM of the central slices, lowest value of the field as black, highest as white; 1 for equal ones.

    Windows with a missing value are left out, and slices that are smaller than a window.

    Sources: Wang et al. 2004 (see `metrics.structure.ssim`); for fields: Baker et al., "Evaluating image quality
    measures to assess the impact of lossy data compression applied to climate simulation data", Computer Graphics
    Forum 38(3), 2019.

    Raises:
        UsageError: see `metrics.fields.reference`; a missing value that was not kept; no slice has a whole window.
    """
    x, x_hat, found = compared("slice_ssim", x, x_hat)
    present = np.ones((1,) * x.ndim, bool) if found.present is None else found.present
    masks = central_slices(np.broadcast_to(present, x.shape))
    values = []
    for plane, plane_hat, mask in zip(central_slices(x), central_slices(x_hat), masks, strict=True):
        if plane.ndim < 2 or min(plane.shape) < TAPS:
            continue
        scaled = [np.where(mask, (p.astype(np.float64) - found.lowest) / found.unit, 0.0) for p in (plane, plane_hat)]
        whole = np.lib.stride_tricks.sliding_window_view(mask, (TAPS, TAPS)).all((-1, -2))
        if whole.any():
            values.append(float(similarity_maps(*scaled)[0][whole].mean()))
    if not values:
        raise UsageError(
            f"metric 'slice_ssim' needs a central slice with {TAPS} x {TAPS} values that count, got {list(x.shape)}"
        )
    return math.fsum(values) / len(values)


SPECTRUM_ERROR = Metric(
    name="spectrum_error",
    label="spectrum error",
    better="lower",
    signal="tensor",
    measure=spectrum_error,
    recipe=(
        "largest |P_hat(k) / P(k) - 1| over shells k from the first to half the Nyquist frequency; P is the power of "
        "the Fourier coefficients over the last three axes, averaged over shells one period of the longest axis wide "
        "and over other axes; without window, missing values at the mean; shells with less than 1e-12 of the strongest "
        "one's power are left out; cosmology asks for 0.01"
    ),
)

SLICE_SSIM = Metric(
    name="slice_ssim",
    label="SSIM of slices",
    better="higher",
    signal="tensor",
    measure=slice_ssim,
    recipe=(
        "SSIM (Wang 2004: Gaussian window 11 x 11, sigma 1.5, K1 = 0.01, K2 = 0.03, valid area) of the three central "
        "slices of the last three axes, min of the field = 0, max = 1; mean over those of at least 11 x 11 values; "
        "windows with a missing value are left out"
    ),
)
