"""Midtread files in Pillow: `import midtread.pillow`, and Image.open and Image.save know `.mt`.

    image = Image.open("photo.mt")                          # size, mode, ICC, Exif and XMP at once, pixels when needed
    image.save("photo.mt", codec="avif", quality=60)        # a codec's name and its options

Modes L, LA, RGB, RGBA, I;16 (gray, 16 bits) and F (gray, float) are stored as they are; 1 becomes L and P becomes RGB
or RGBA, which loses nothing. Pillow has no colour mode with more than 8 bits: such a file opens with `midtread.decode`.
Errors are Pillow's: OSError for a broken file, ValueError for a wrong option, its own limit on the number of pixels.
"""

from __future__ import annotations

import math
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

import midtread
from midtread import container
from midtread.container import Tag
from midtread.errors import BitstreamError, CodecError, LimitError, UsageError
from midtread.spec import Limits

_MODES = {
    ("uint8", 1): "L", ("uint8", 2): "LA", ("uint8", 3): "RGB", ("uint8", 4): "RGBA",
    ("uint16", 1): "I;16", ("float32", 1): "F",
}  # fmt: skip

# Pillow checks the number of pixels itself, for every format, right after a file is opened (Image.MAX_IMAGE_PIXELS).
_NO_LIMIT = Limits(max_elements=2**64)

_EXIF = b"Exif\0\0"  # stands before the TIFF structure in Pillow, not in a midtread file


class MidtreadImageFile(ImageFile.ImageFile):
    """A midtread file that Image.open has identified."""

    format = "MIDTREAD"
    format_description = "midtread"
    _data: bytes | None = None  # the whole file, until it is decoded

    def _open(self) -> None:
        assert self.fp is not None
        data = self.fp.read()
        try:
            file = container.read(data, _NO_LIMIT)
        except (BitstreamError, LimitError) as error:
            raise UnidentifiedImageError(f"cannot identify image file {self.filename!r}: {error}") from error
        channels = file.shape[2] if len(file.shape) == 3 else 1
        mode = _MODES.get((file.dtype, channels)) if len(file.shape) in (2, 3) else None
        if mode is None or (channels == 1 and len(file.shape) == 3):
            raise OSError(
                f"this {file.codec} file holds {file.dtype} {list(file.shape)}, for which Pillow has no mode; "
                "open it with midtread.decode"
            )
        self._mode, self._size = mode, (file.shape[1], file.shape[0])
        self._data, self._samples = data, math.prod(file.shape)
        if (icc := file.find(Tag.ICC)) is not None:
            self.info["icc_profile"] = icc
        if (exif := file.find(Tag.EXIF)) is not None:
            self.info["exif"] = _EXIF + exif
        if (xmp := file.find(Tag.XMP)) is not None:
            self.info["xmp"] = xmp
        self.info["codec"] = file.codec

    def load(self) -> Any:
        """Decode, once. Raises OSError for a broken file or a codec that is not installed."""
        if self._data is not None:
            try:
                x = midtread.decode(self._data, limits=Limits(max_elements=self._samples))
            except CodecError as error:
                raise OSError(f"cannot decode {self.filename!r}: {error}") from error
            self.im = Image.fromarray(x).im
            self._data, self.readonly = None, 0
            if self.fp and self._exclusive_fp:
                self.fp.close()
            self.fp = None
        return super().load()


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(container.MAGIC)


def _save(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    """Write `image`, upright, with the metadata given to `save` or else the image's own.

    Raises:
        UsageError: no codec named, an unknown one or an option it does not take, a mode that would lose something.
    """
    options = dict(image.encoderinfo)
    codec = options.pop("codec", None)
    if not isinstance(codec, str):
        raise UsageError(
            "say which codec makes a .mt file, as in image.save('photo.mt', codec='avif', quality=60); "
            "`midtread list codecs` shows them"
        )
    upright = image.copy()
    for kind in ("icc_profile", "exif", "xmp"):
        blob = options.pop(kind, image.info.get(kind))
        upright.info.pop(kind, None)
        if blob:
            text_or_bytes = blob.tobytes() if isinstance(blob, Image.Exif) else blob
            upright.info[kind] = text_or_bytes.encode() if isinstance(text_or_bytes, str) else text_or_bytes
    try:
        ImageOps.exif_transpose(upright, in_place=True)
    except (SyntaxError, ValueError, OSError) as error:
        raise UsageError(f"the Exif block of this picture is broken ({error}); leave it out with exif=None") from error
    icc, exif, xmp = (upright.info.get(kind) for kind in ("icc_profile", "exif", "xmp"))
    exif = exif.removeprefix(_EXIF) if exif else None
    fp.write(midtread.wrap(_array(upright), codec, icc=icc, exif=exif, xmp=xmp, **options))


def _array(image: Image.Image) -> np.ndarray:
    """The samples, as `midtread.spec` lays them out. Raises UsageError for a mode that cannot be kept exactly."""
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("P", "PA") or (image.mode in ("L", "RGB") and image.has_transparency_data):
        colour = "LA" if image.mode == "L" else "RGBA" if image.has_transparency_data else "RGB"
        image = image.convert(colour)
    elif image.mode in ("I;16B", "I;16L", "I;16N"):
        return np.asarray(image).astype(np.uint16)
    if image.mode not in _MODES.values():
        raise UsageError(
            f"a midtread file keeps Pillow's modes 1, P, {', '.join(_MODES.values())}; this image has mode "
            f"{image.mode}, convert it first, as in image.convert('RGB') or, for 16-bit gray, image.convert('I;16')"
        )
    return np.asarray(image)


Image.register_open(MidtreadImageFile.format, MidtreadImageFile, _accept)
Image.register_save(MidtreadImageFile.format, _save)
Image.register_extension(MidtreadImageFile.format, ".mt")
Image.register_mime(MidtreadImageFile.format, "image/x-midtread")
