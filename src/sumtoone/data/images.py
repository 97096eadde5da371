"""Pictures, from the bytes of a file to plain grey or RGB pixels, in no more memory than the limits say.

Pillow warns of what is odd in a file, and its warnings are the whole process's. Here no call is made that could:
the plugins are asked directly, the size is held against its limit as soon as it is read, and the orientation is
taken from the EXIF data without the rest of them. A warning that a later Pillow may find is left to pass.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from sumtoone.data import limits
from sumtoone.errors import DataError, SumtooneError
from sumtoone.memory import lacking

if TYPE_CHECKING:
    _Base = ImageFile.ImageFile
else:
    _Base = object

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")

# Of a tile's side: what is made of a picture is made of so many pixels at a time.
_TILE = 1024

# EXIF tag 0x0112 -> what turns the picture upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class _TooLargeError(Exception):
    def __init__(self, size: tuple[int, int], limit: int) -> None:
        super().__init__()
        self.size, self.limit = "{} x {}".format(*size), limit


class _Measured(_Base):
    """A plugin of Pillow that refuses a picture as soon as its size is known, and does not look at its EXIF data."""

    most = limits.MOST_PIXELS

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "_size":
            check_size(value, self.most)

    def getexif(self) -> Image.Exif:
        return Image.Exif()


class _Png(_Measured, PngImagePlugin.PngImageFile):
    pass


class _Jpeg(_Measured, JpegImagePlugin.JpegImageFile):
    pass


class _Bmp(_Measured, BmpImagePlugin.BmpImageFile):
    pass


class _Gif(_Measured, GifImagePlugin.GifImageFile):
    pass


class _WebP(_Measured, WebPImagePlugin.WebPImageFile):
    # Its decoder holds two pictures of four bytes a pixel, and Pillow two more.
    most = limits.MOST_PIXELS // 4


_SIGNATURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), _Png),
    (re.compile(rb"\xff\xd8\xff"), _Jpeg),
    (re.compile(rb"BM"), _Bmp),
    (re.compile(rb"GIF8[79]a"), _Gif),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), _WebP),
)


@contextmanager
def decoding(name: object) -> Iterator[None]:
    """Turn whatever Pillow raises about a picture into a ``DataError``, a lack of memory into ``UnavailableError``."""
    try:
        yield
    except SumtooneError:
        raise
    except MemoryError as error:
        raise lacking(error, name) from None
    except _TooLargeError as error:
        raise DataError("image-pixels", path=name, size=error.size, limit=error.limit) from None
    except Exception as error:
        # What decoders raise on hostile bytes is open-ended.
        what = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError("image-broken", given=f"{name}: {what}") from None


def check_size(size: tuple[int, int], most: int = limits.MOST_PIXELS) -> None:
    """Refuse a picture of too many pixels; for use inside :func:`decoding`."""
    if size[0] * size[1] > most:
        raise _TooLargeError(size, most)


def opened(file: IO[bytes], name: object) -> ImageFile.ImageFile:
    """Return the picture in a file, measured and not yet decoded; ``DataError`` if it is of no kind that we read.

    For use inside :func:`decoding`.
    """
    start = file.read(16)
    file.seek(0)
    plugin = next((plugin for signature, plugin in _SIGNATURES if signature.match(start)), None)
    if plugin is _Png:
        _check_chunks(file)
    if plugin is _Gif:
        _check_frame(file)
    if plugin is None:
        raise DataError("image-kind", given=name, known=", ".join(FORMATS))
    picture = plugin(file)
    if isinstance(picture, _Jpeg) and not _in_one_scan(picture):
        # Its decoder holds the whole picture, at up to eight bytes a pixel, before the first row comes out.
        check_size(picture.size, limits.MOST_PIXELS // 2)
    return picture


def orientation(picture: Image.Image) -> int:
    """Return how the camera was held: the number in the EXIF data, 1 (upright) where there is none."""
    exif = picture.info.get("exif")
    if exif is None and "Raw profile type exif" in picture.info:
        # As ImageMagick writes it into PNG: three lines, then hexadecimal digits.
        digits = "".join(str(picture.info["Raw profile type exif"]).split("\n")[3:])
        exif = bytes.fromhex(digits) if re.fullmatch("([0-9a-fA-F]{2})*", digits) else b""
    if exif is not None and not isinstance(exif, bytes):
        exif = b""
    if exif is None and not isinstance(picture, _Measured):
        # A picture of the caller's, of a kind that keeps it elsewhere, such as TIFF.
        return int(picture.getexif().get(0x0112) or 1)
    found = _in_exif((exif or b"").removeprefix(b"Exif\0\0"))
    if found is None:
        xmp = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or b""
        said = re.search(rb'tiff:Orientation(?:="|>)([0-9])', xmp.encode() if isinstance(xmp, str) else xmp)
        return int(said[1]) if said else 1
    return found


def _in_exif(tiff: bytes) -> int | None:
    """Return the orientation in the first directory of a TIFF header, None if it says none."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    start = struct.unpack_from(f"{order}I", tiff, 4)[0] if order and len(tiff) >= 8 else len(tiff)
    if start + 2 > len(tiff):
        return None
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for place in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind = struct.unpack_from(f"{order}HH", tiff, place)
        if tag == 0x0112:
            return int(struct.unpack_from(f"{order}{'I' if kind == 4 else 'H'}", tiff, place + 8)[0])
    return None


def tiles(picture: Image.Image, unit: int = 1) -> Iterator[tuple[tuple[int, int], Image.Image]]:
    """Yield a picture piece by piece, each with its left and upper edge, which are multiples of ``unit``."""
    side = max(1, _TILE // unit) * unit
    width, height = picture.size
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield (left, top), picture.crop((left, top, min(left + side, width), min(top + side, height)))


def plain(tile: Image.Image, mode: str, paper: int = 255) -> Image.Image:
    """Return a tile in ``mode`` ``L`` or ``RGB``, without transparency, laid on grey ``paper``."""
    if tile.mode.startswith("I"):
        # 16 bits of grey: Pillow's own conversion cuts everything above 255 off.
        high_bytes = (np.asarray(tile).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(high_bytes).convert(mode)
    if not tile.has_transparency_data:
        return tile.convert(mode) if tile.mode in ("L", "1", "F") else tile.convert("RGB").convert(mode)
    sheet = Image.new("RGBA", tile.size, (paper, paper, paper, 255))
    return Image.alpha_composite(sheet, tile.convert("RGBA")).convert("RGB").convert(mode)


def pixels(picture: Image.Image) -> NDArray[np.uint8]:
    """Return (H, W) if every pixel is grey, else (H, W, 3), uint8; what is transparent lies on white."""
    picture.load()
    width, height = picture.size
    coloured = picture.mode not in ("1", "L") and any(_is_coloured(tile) for _, tile in tiles(picture))
    found = np.empty((height, width, 3) if coloured else (height, width), np.uint8)
    for (left, top), tile in tiles(picture):
        values = np.asarray(plain(tile, "RGB"))
        found[top : top + tile.height, left : left + tile.width] = values if coloured else values[..., 0]
    return found


def turned(found: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Return pixels (H, W, …) upright, whatever their EXIF orientation is."""
    if number not in UPRIGHT:
        return found
    # From 5 on, the rows of the picture are columns.
    found = found.swapaxes(0, 1) if number >= 5 else found
    rows, columns = (number in (3, 4, 7, 8)), (number in (2, 3, 6, 7))
    return np.ascontiguousarray(found[:: -1 if rows else 1, :: -1 if columns else 1])


def _is_coloured(tile: Image.Image) -> bool:
    values = np.asarray(plain(tile, "RGB"))
    return bool((values != values[..., :1]).any())


def _in_one_scan(picture: JpegImagePlugin.JpegImageFile) -> bool:
    """Whether all components of a JPEG come together, so that it is decoded row by row."""
    if "progressive" in picture.info or picture.fp is None:
        return False
    # The head of the first scan, which Pillow has just read: its length, its number of components, …
    count, end = len(picture.layer), picture.fp.tell()
    picture.fp.seek(max(0, end - 6 - 2 * count))
    return picture.fp.read(3) == struct.pack(">HB", 6 + 2 * count, count)


def _check_chunks(file: IO[bytes]) -> None:
    """Refuse a PNG that says of itself in two ways, or wrongly, how many frames it has: Pillow would warn of it."""
    frames = 0
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        content = file.read(4) if name == b"acTL" else b""
        frames += name == b"acTL"
        if frames > 1 or (content and not 1 <= int.from_bytes(content, "big") <= 2**31):
            raise ValueError("acTL")
        if name == b"IEND":
            break
        file.seek(length + 4 - len(content), 1)
    file.seek(0)


def _check_frame(file: IO[bytes]) -> None:
    """Refuse a GIF whose first frame reaches too far beyond its canvas: Pillow would warn of it, and then take it."""
    head = file.read(13)
    file.seek(13 + (3 << ((head[10] & 7) + 1) if len(head) == 13 and head[10] & 128 else 0))
    while (kind := file.read(1)) not in (b"", b";"):
        if kind == b"!":
            file.seek(1, 1)
            while length := file.read(1).rstrip(b"\0"):
                file.seek(length[0], 1)
        elif kind == b",":
            edges = file.read(8)
            if len(edges) == 8:
                left, top, width, height = struct.unpack("<4H", edges)
                check_size((left + width, top + height))
            break
    file.seek(0)
