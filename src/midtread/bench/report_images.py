"""The pictures of a report: for each series the kept file nearest to a size, decoded, cropped, embedded.

    kept files ──► choose by size ──► decode ──► crop around the most detail ──► AVIF for display ──► base64

A browser cannot show JPEG XL, JPEG 2000 or VVC, so every picture is re-coded in one way for display, nearly without
loss; all numbers beside the pictures are those of the kept files. The crop shrinks, then pictures and rates are left
out, until everything fits the budget.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from midtread.bench.query import Records, Row
from midtread.bench.report_data import short
from midtread.errors import CodecError
from midtread.spec import open_codec, to_dtype

BUDGET_BYTES = 2_000_000  # of display copies; in base64, with everything else, a page of about 3 MB
RATES_BPP = (0.25, 0.5, 1.0)
MAX_PICTURES = 3
_CROP = (384, 512)  # height, width of the largest crop
_SMALLEST = 0.5  # of the area of the largest crop: below it, leaving out a picture or a rate is the smaller loss
_LEVEL = {False: 88, True: 92}  # quality of the display copy of a decoded picture, and of an original

Decode = Callable[[Row, bytes], np.ndarray]


def decode_kept(row: Row, data: bytes) -> np.ndarray:
    """Decode a kept file by the codec that wrote it."""
    return open_codec(row["codec"], **row["options"]).decode(data)


def viewer(
    records: Records,
    entries: Sequence[Row],
    *,
    budget_bytes: int = BUDGET_BYTES,
    rates: Sequence[float] = RATES_BPP,
    decode: Decode = decode_kept,
) -> Row:
    """Pictures to look at side by side, ready for JSON.

    Args:
        records: the measurements; only lossy ones whose file was kept are shown.
        entries: dataset, item, and `original`, the path of the reference picture.
        budget_bytes: most bytes of display copies, before base64.
        rates: target rates in bits per pixel.
        decode: turns (record, bytes) into a picture.

    Returns:
        `pictures` with crop and, per rate and series, which of `shots`; `shots` with size, metrics and display copy;
        `skipped`, what could not be shown and why; `worst_copy_db`, the lowest PSNR of a display copy.
    """
    skipped: list[str] = []
    scenes = []
    for entry in entries[:MAX_PICTURES]:
        try:
            scene = _scene(records, entry, rates, decode, skipped)
        except (OSError, CodecError, ValueError) as error:
            skipped.append(f"{entry['item']}: {why(error)}")
            continue
        if scene["shots"]:
            scenes.append(scene)
    found: Row = {"rates": [], "pictures": [], "shots": [], "worst_copy_db": None}
    if scenes:
        found |= _within(budget_bytes, scenes, list(rates), skipped)
    for shot in found["shots"]:
        shot["data"] = base64.b64encode(shot["data"]).decode()
    return {**found, "skipped": skipped}


def _within(budget_bytes: int, scenes: list[Row], rates: list[float], skipped: list[str]) -> Row:
    """The most pictures and rates whose crops are not too small; `skipped` is told what was left out."""
    trial, pixels = _embed(scenes[:1], rates, math.inf)
    bytes_per_pixel = _total(trial) / pixels
    while True:
        shots = sum(1 + len({shot for rate in rates for shot in scene["picks"][rate].values()}) for scene in scenes)
        area = 0.95 * budget_bytes / bytes_per_pixel / shots
        largest = max(scene["original"].size // 3 for scene in scenes)
        if area >= _SMALLEST * largest or len(scenes) == len(rates) == 1:
            break
        left_out = scenes.pop()["item"] if len(scenes) > 1 else f"{rates.pop()} bpp"
        skipped.append(f"{left_out}: left out to keep this page small")
    while True:  # the trial was one picture; the others may be harder
        found, pixels = _embed(scenes, rates, area)
        if _total(found) <= budget_bytes:
            return {**found, "rates": rates}
        if area < 1024:
            skipped.append(f"every picture: {budget_bytes} bytes are too few")
            return {}
        area = 0.95 * pixels / shots * budget_bytes / _total(found)


def _total(found: Row) -> int:
    return sum(len(shot["data"]) for shot in found["shots"])


def _scene(records: Records, entry: Row, rates: Sequence[float], decode: Decode, skipped: list[str]) -> Row:
    """One picture: the original and every chosen reconstruction, cropped to the largest crop."""
    import imagecodecs

    original = display(imagecodecs.imread(str(entry["original"])))
    height, width = original.shape[:2]
    top, left, tall, wide = detail_window(original, *_CROP)
    window = np.s_[top : top + tall, left : left + wide]
    rows = [row for row in records.picture(entry["dataset"], entry["item"]) if not row["lossless"] and row["rate_bpp"]]
    shots: list[Row] = []
    picks: dict[float, dict[str, int]] = {rate: {} for rate in rates}
    for name in dict.fromkeys(row["series"] for row in rows):
        known: dict[str, int | None] = {}  # one setting may be the nearest to two rates; None: it cannot be shown
        for rate in rates:
            row = _nearest([row for row in rows if row["series"] == name], rate)
            if row["setting"] not in known:
                known[row["setting"]] = None
                try:
                    picture = display(decode(row, read_kept(Path(row["folder"]), row["file"])))
                    if picture.shape != original.shape:
                        raise ValueError(f"decoded to {list(picture.shape)}, the original is {list(original.shape)}")
                except (OSError, CodecError, ValueError, RuntimeError) as error:
                    skipped.append(f"{entry['item']}, {name}, {row['setting']}: {why(error)}")
                    continue
                known[row["setting"]] = len(shots)
                shots.append({**row, "picture": np.ascontiguousarray(picture[window])})
            index = known[row["setting"]]
            if index is not None:
                picks[rate][name] = index
    return {
        **{key: entry[key] for key in ("dataset", "item")},
        "width": width,
        "height": height,
        "corner": (left, top),
        "original": np.ascontiguousarray(original[window]),
        "shots": shots,
        "picks": picks,
    }


def _nearest(rows: list[Row], rate: float) -> Row:
    return min(rows, key=lambda row: abs(math.log(row["rate_bpp"] / rate)))


def why(error: Exception) -> str:
    """A reason fit for publishing: no paths of this machine."""
    if isinstance(error, FileNotFoundError):
        return "its file was not kept"
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


def read_kept(folder: Path, name: str) -> bytes:
    """Bytes of a kept file. A record may come from anywhere, so it may not point out of its folder."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name} is outside the bench folder")
    return path.read_bytes()


def _embed(scenes: list[Row], rates: Sequence[float], area: float) -> tuple[Row, int]:
    """Crop every scene to at most `area` pixels and make the display copies; also their pixels, all together."""
    shots: list[Row] = []
    pictures: list[Row] = []
    worst, pixels = math.inf, 0
    for scene in scenes:
        tall, wide = scene["original"].shape[:2]
        shrink = min(1.0, math.sqrt(area / (tall * wide)))
        top, left, tall, wide = detail_window(scene["original"], int(tall * shrink), int(wide * shrink))
        window = np.s_[top : top + tall, left : left + wide]
        needed = sorted({shot for rate in rates for shot in scene["picks"][rate].values()})
        place = {old: len(shots) + 1 + new for new, old in enumerate(needed)}
        for index in [None, *needed]:
            source = scene if index is None else scene["shots"][index]
            picture = np.ascontiguousarray((scene["original"] if index is None else source["picture"])[window])
            data, copy_db = _copy(picture, index is None)
            worst, pixels = min(worst, copy_db), pixels + tall * wide
            shots.append({**_facts(source, index is None), "data": data})
        pictures.append(
            {
                **{key: scene[key] for key in ("dataset", "item", "width", "height")},
                "crop": [scene["corner"][0] + left, scene["corner"][1] + top, wide, tall],
                "original": len(shots) - 1 - len(needed),
                "picks": [{name: place[shot] for name, shot in scene["picks"][rate].items()} for rate in rates],
            }
        )
    return {"pictures": pictures, "shots": shots, "worst_copy_db": short(worst)}, pixels


def _facts(source: Row, original: bool) -> Row:
    if original:
        return {"series": None}
    kept = {key: source[key] for key in ("series", "setting", "size_bytes")}
    metrics = {name: short(value) for name, value in source["metrics"].items()}
    return {**kept, "rate_bpp": short(source["rate_bpp"]), "metrics": metrics}


def _copy(picture: np.ndarray, original: bool) -> tuple[bytes, float]:
    """AVIF 4:4:4 for display, and its PSNR against what it stands for."""
    import imagecodecs

    data = bytes(imagecodecs.avif_encode(picture, level=_LEVEL[original], speed=10, pixelformat="444", numthreads=1))
    error = imagecodecs.avif_decode(data, numthreads=1).astype(np.float32) - picture
    mse = float(np.mean(error * error))
    return data, 10 * math.log10(255**2 / mse) if mse else math.inf


def display(picture: np.ndarray) -> np.ndarray:
    """Any picture as uint8 RGB, alpha laid over white."""
    picture = to_dtype(picture, np.dtype(np.uint8))
    if picture.ndim == 2:
        picture = picture[..., None]
    color, alpha = picture[..., : picture.shape[2] - 1 + picture.shape[2] % 2], None
    if picture.shape[2] in (2, 4):
        alpha = picture[..., -1:].astype(np.float32) / 255
        color = np.rint(color * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(color, (*color.shape[:2], 3)))


def detail_window(picture: np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the window with the most contrast between neighbours, at most that large."""
    gray = picture.astype(np.float32).mean(axis=2)
    height, width = min(height, gray.shape[0]), min(width, gray.shape[1])
    steps = np.zeros_like(gray)
    steps[:, 1:] += np.abs(np.diff(gray, axis=1))
    steps[1:] += np.abs(np.diff(gray, axis=0))
    # the root keeps one hard edge from outweighing a whole texture
    sums = np.pad(np.sqrt(steps).astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = np.unravel_index(int(np.argmax(inside)), inside.shape)
    return int(top), int(left), height, width
