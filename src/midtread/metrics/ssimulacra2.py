"""SSIMULACRA 2.1, written from its published definition.

    linear RGB ──► six scales, each: XYB ──► window means ──► three error maps ──► two norms ──► weighted sum ──► score

Source: J. Sneyers, "SSIMULACRA 2" (Cloudinary), version 2.1 of April 2023: formulas, constants and weights of the
reference tool in the repository cloudinary/ssimulacra2; colours: JPEG XL, ISO/IEC 18181-1, XYB. Two properties of the
reference tool that look like accidents are kept, since its scores are what people compare with: outside the picture
the blur sees zeros, and where a small picture has fewer than six scales the weights are read on without a gap.
"""

from __future__ import annotations

import numpy as np

from midtread.metrics import filters, pictures

SMALLEST = 8  # pixels; a scale with fewer is not halved again

_SCALES = 6
_DARK_AND_BRIGHT = (0.1, 0.9)  # display values under transparent pixels
_C2 = 0.0009

_OPSIN_BIAS = 0.0037930732552754493
_OPSIN = np.array(
    [
        [0.3, 1 - 0.3 - 0.078, 0.078],
        [0.23, 1 - 0.23 - 0.078, 0.078],
        [0.24342268924547819, 0.20476744424496821, 1 - 0.24342268924547819 - 0.20476744424496821],
    ]
)
# Cube roots of the three responses to X, Y and B - Y, stretched and moved to about 0 ... 1.
_TO_XYB = np.array([[7.0, -7.0, 0.0], [0.5, 0.5, 0.0], [-0.5, -0.5, 1.0]])
_XYB_OFFSET = np.array([0.42, 0.01 - _OPSIN_BIAS ** (1 / 3), 0.55])

# One line per scale, finest first: mean of structure, ringing, blurring; then their 4-norms.
_WEIGHTS_X = (
    *(0.0, 0.0007376606707406586, 0.0, 0.0, 0.0007793481682867309, 0.0),
    *(0.0, 0.0004371155730107379, 0.0, 1.1041726426657346, 0.00066284834129271, 0.00015231632783718752),
    *(0.0, 0.0016406437456599754, 0.0, 1.8422455520539298, 11.441172603757666, 0.0),
    *(0.0007989109436015163, 0.000176816438078653, 0.0, 1.8787594979546387, 10.94906990605142, 0.0),
    *(
        0.0007289346991508072,
        0.9677937080626833,
        0.0,
        0.00014003424285435884,
        0.9981766977854967,
        0.00031949755934435053,
    ),
    *(0.0004550992113792063, 0.0, 0.0, 0.0013648766163243398, 0.0, 0.0),
)
_WEIGHTS_Y = (
    *(0.0, 0.0, 0.0, 7.466890328078848, 0.0, 17.445833984131262),
    *(0.0006235601634041466, 0.0, 0.0, 6.683678146179332, 0.00037724407979611296, 1.027889937768264),
    *(225.20515300849274, 0.0, 0.0, 19.213238186143016, 0.0011401524586618361, 0.001237755635509985),
    *(176.39317598450694, 0.0, 0.0, 24.43300999870476, 0.28520802612117757, 0.0004485436923833408),
    *(0.0, 0.0, 0.0, 34.77906344483772, 44.835625328877896, 0.0),
    *(0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
)
_WEIGHTS_B = (
    *(0.0, 0.0008680556573291698, 0.0, 0.0, 0.0, 0.0),
    *(0.0, 0.0005313191874358747, 0.0, 0.00016533814161379112, 0.0, 0.0),
    *(0.0, 0.0, 0.0, 0.0004179171803251336, 0.0017290828234722833, 0.0),
    *(0.0020827005846636437, 0.0, 0.0, 8.826982764996862, 23.19243343998926, 0.0),
    *(
        95.1080498811086,
        0.9863978034400682,
        0.9834382792465353,
        0.0012286405048278493,
        171.2667255897307,
        0.9807858872435379,
    ),
    *(0.0, 0.0, 0.0, 0.0005130064588990679, 0.0, 0.00010854057858411537),
)
_WEIGHTS = np.array(_WEIGHTS_X + _WEIGHTS_Y + _WEIGHTS_B)


def ssimulacra2(x: np.ndarray, x_hat: np.ndarray) -> float:
    """SSIMULACRA 2.1 score: 100 for equal pictures, 90 hard to tell apart, 70 high, 30 low quality, no lower end.

    Args:
        x: gray or sRGB picture of at least 8 x 8 pixels, see `pictures`.
        x_hat: same shape and dtype.

    Raises:
        UsageError: not a picture, or too small.
    """
    has_alpha = x.ndim == 3 and x.shape[2] in (2, 4)
    backgrounds = _DARK_AND_BRIGHT if has_alpha else (pictures.GRAY_BACKGROUND,)
    # float64: near-lossless scores hang on variances far below float32's rounding; the reference tool, in float32,
    # is off by up to one point there (96.28 became 95.32 for a JPEG of quality 100).
    return min(
        _score(*pictures.pair("ssimulacra2", x, x_hat, at_least=SMALLEST, background=background, dtype=np.float64))
        for background in backgrounds
    )


def _score(planes: pictures.Planes, planes_hat: pictures.Planes) -> float:
    linear = pictures.srgb_to_linear(pictures.as_rgb(planes))
    linear_hat = pictures.srgb_to_linear(pictures.as_rgb(planes_hat))
    scales: list[list[list[float]]] = []
    for scale in range(_SCALES):
        if min(linear.shape[1:]) < SMALLEST:
            break
        if scale:
            linear, linear_hat = _halve(linear), _halve(linear_hat)
        scales.append([_error_norms(a, b) for a, b in zip(_xyb(linear), _xyb(linear_hat), strict=True)])
    norms = np.array(scales).transpose(1, 0, 2).ravel()  # channel, scale, the six norms: the order of the weights
    error = float(norms @ _WEIGHTS[: norms.size]) * 0.9562382616834844
    error = 2.326765642916932 * error - 0.020884521182843837 * error**2 + 6.248496625763138e-05 * error**3
    return 100 - 10 * error**0.6276336467831387 if error > 0 else 100.0


def _xyb(linear: np.ndarray) -> np.ndarray:
    """Linear RGB [3, H, W] -> X, Y, B - Y in about [0, 1]."""
    response = np.tensordot(_OPSIN, linear, 1)
    response += _OPSIN_BIAS  # positive from here on: the planes are in [0, 1]
    xyb = np.tensordot(_TO_XYB, np.cbrt(response, out=response), 1)
    xyb += _XYB_OFFSET[:, None, None]
    return np.asarray(xyb)


def _error_norms(x: np.ndarray, y: np.ndarray) -> list[float]:
    """Means, then 4-norms, of three error maps of one plane [H, W]: structure, ringing, blurring."""
    mean_x, mean_y, power, product = filters.separable(np.stack([x, y, x * x + y * y, x * y]), _BLUR, _BLUR, "zero")
    shift = mean_x - mean_y
    # SSIM without the denominator of its luminance factor, which would undo gamma a second time.
    similarity = 2 * (product - mean_x * mean_y) + _C2
    similarity *= 1 - shift * shift
    similarity /= power - mean_x * mean_x - mean_y * mean_y + _C2
    edge = (1 + np.abs(y - mean_y)) / (1 + np.abs(x - mean_x)) - 1  # > 0: stronger than in the source
    maps = [np.maximum(error, 0) for error in (1 - similarity, edge, -edge)]
    return [float(np.mean(error)) for error in maps] + [_four_norm(error) for error in maps]


def _four_norm(x: np.ndarray) -> float:
    squares = x * x
    squares *= squares
    return float(np.mean(squares) ** 0.25)


def _halve(x: np.ndarray) -> np.ndarray:
    """[3, H, W] -> [3, ceil(H / 2), ceil(W / 2)]: 2 x 2 means, an odd edge repeated."""
    x = np.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2)), mode="edge")
    rows = x[:, 0::2] + x[:, 1::2]
    return np.asarray((rows[..., 0::2] + rows[..., 1::2]) * 0.25)


def _truncated_cosines(radius: int, sigma: float) -> np.ndarray:
    """The blur of the reference, float64 [2 radius - 1]: three cosines that meet zero at `radius`.

    Their amplitudes follow the spectrum of the Gaussian, moved by least squares until the sum is 1 and the variance
    sigma^2.

    Source: D. Charalampidis, "Recursive Implementation of the Gaussian Filter Using Truncated Cosine Functions", IEEE
    Trans. Signal Processing 64(14), 2016.
    """
    offset = np.arange(1 - radius, radius)
    frequency = np.array([1, 3, 5]) * np.pi / (2 * radius)
    cosines = np.cos(np.outer(frequency, offset))
    moments = np.stack([cosines.sum(1), (cosines * offset**2).sum(1)])
    amplitude = np.exp(-0.5 * (sigma * frequency) ** 2) / radius
    amplitude += np.linalg.pinv(moments) @ (np.array([1, sigma**2]) - moments @ amplitude)
    return np.asarray(amplitude @ cosines)


_BLUR = _truncated_cosines(radius=5, sigma=1.5)
