"""Any photo or drawing of one digit → the pixels a network trained on MNIST has seen.

MNIST's digits were cut out, scaled into a box of 20 x 20 pixels with their aspect kept, and placed in a
field of 28 x 28 so that their centre of mass is its centre (LeCun, Cortes and Burges, *The MNIST database
of handwritten digits*, 1998). A network knows digits that look like this and no others: a photo fed in as
it is would be answered confidently and wrongly.

The page prepares its drawings in JavaScript, pixel for pixel as this module does (``page/static/prepare.js`` and
``digit.js``): what changes here changes there.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image

from sumtoone.data import images, limits
from sumtoone.errors import DataError, DtypeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Grey = NDArray[np.float32]

# Far above every photo, and still read in a moment.
MOST_BYTES = 2**28

# MNIST's own proportions: a digit fills 20 of 28 pixels.
_FILL = 20 / 28

# A picture is worked on with a longer side of one to two times this many pixels; the digit needs 20 of them.
_WORK = 400
# The longer side of the picture that the background, which has no detail, is estimated on.
_COARSE = 96
# What is narrower than this share of the longer side is a stroke, what is wider is background.
_STROKE = 0.3
# Ink stands out of the noise by so many standard deviations, and out of its background by so many of 255 levels.
_NOISE = 5.0
_LEAST_INK = 12
# The pieces of a digit are joined by pixels with at least this share of full ink …
_FAINT = 0.25
# … hold at least this share of the largest piece's ink, else they are crumbs …
_CRUMB = 0.04
# … and have an edge at least this steep, as a share of the steepest, else they are shadows.
_STEEP = 0.5


def prepare(
    image: str | Path | bytes | Image.Image,
    image_shape: tuple[int, ...] = (28, 28),
    *,
    digits: bool | None = None,
    name: str | None = None,
) -> NDArray[np.uint8]:
    """Return one picture as a network's raw input: uint8 pixels, row by row.

    The rule: with ``digits`` (which is taken to be so for an ``image_shape`` of (28, 28) and for no other)
    the picture is treated as MNIST's were. Its even background is taken away, ink becomes bright on
    black whichever way round it came, and the ink is cut out, scaled to 20 pixels and centred by mass.
    Without, the picture is only scaled to ``image_shape``, its aspect not kept.

    Either way the EXIF orientation is followed, transparency is filled with what sets the drawing off,
    colours become grey by ITU-R 601 where the shape has no channels, and of an animation the first
    frame is taken. A photo should show one digit and its background, nothing else.

    Parameters
    ----------
    image
        A path, the bytes of a file, or a Pillow image. Files: PNG, JPEG, BMP, GIF, WebP.
    image_shape
        (height, width), or (height, width, channels) with 1 or 3 channels.
    digits
        Whether to treat the picture as MNIST's digits were.
    name
        What errors call the picture; its path or its type where nothing is said.

    Returns
    -------
    uint8 array of shape (height * width * channels,); ink is bright with ``digits``.

    Raises
    ------
    DataError
        If there is no such file, it is none of these kinds, is damaged, holds more than 2**26 pixels
        (refused before they are decoded), or has no ink in it.
    DtypeError
        If ``image`` is something else altogether.

    Examples
    --------
    A one, drawn in blue on yellow paper, off the centre:

    >>> from PIL import Image, ImageDraw
    >>> paper = Image.new("RGB", (300, 200), (250, 240, 200))
    >>> ImageDraw.Draw(paper).line([(60, 40), (60, 160)], fill=(20, 20, 120), width=15)
    >>> pixels = prepare(paper).reshape(28, 28)
    >>> pixels[14].nonzero()[0].tolist(), int(pixels.max()), pixels.any(axis=1).sum().item()
    ([14, 15], 255, 20)
    """
    height, width, channels = (*image_shape, 1)[:3]
    if digits is None:
        digits = tuple(image_shape) == (28, 28)
    if name is None:
        name = str(image) if isinstance(image, str | Path) else f"<{type(image).__name__}>"
    if digits:
        grey = np.asarray(_decoded(image, name, "L", _WORK, paper=None), dtype=np.float32)
        return np.repeat(_as_mnist(grey, (height, width), name).reshape(-1), channels)
    picture = _decoded(image, name, "RGB" if channels == 3 else "L", max(_WORK, height, width), paper=255)
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.array(picture).reshape(-1)


# --- from a file to grey or RGB pixels


def _decoded(
    image: str | Path | bytes | Image.Image, name: str, mode: str, work: int, paper: int | None
) -> Image.Image:
    """Return the picture upright, opaque, in ``mode`` ``L`` or ``RGB``, its longer side under twice ``work`` pixels."""
    if isinstance(image, str | Path):
        with limits.open_regular(Path(image)) as file:
            size = limits.size_of(file)
            if size > MOST_BYTES:
                raise DataError("data-too-large", path=name, size=size, limit=MOST_BYTES)
            return _read(file, name, mode, work, paper)
    if isinstance(image, bytes):
        return _read(BytesIO(image), name, mode, work, paper)
    if isinstance(image, Image.Image):
        return _read(image, name, mode, work, paper)
    what = {"function": "prepare", "name": "image", "wanted": "str | Path | bytes | PIL.Image.Image"}
    raise DtypeError("argument-type", **what, given=type(image).__name__, hint="PIL.Image.fromarray(pixels)")


def _read(source: BinaryIO | Image.Image, name: str, mode: str, work: int, paper: int | None) -> Image.Image:
    with images.decoding(name):
        opened = source if isinstance(source, Image.Image) else images.opened(source, name)
        images.check_size(opened.size)
        if opened is not source:
            # A JPEG is decoded at a half, a quarter or an eighth of its size for next to nothing.
            opened.draft(None, (2 * work, 2 * work))
        opened.load()
        picture = _opaque(opened, mode, max(1, max(opened.size) // work), paper)
        turn = images.UPRIGHT.get(images.orientation(opened))
    return picture if turn is None else picture.transpose(turn)


def _opaque(opened: Image.Image, mode: str, factor: int, paper: int | None) -> Image.Image:
    """Return the picture reduced and without transparency, laid on grey ``paper``; None chooses what sets it off."""
    if paper is None:
        paper = _paper(opened) if opened.has_transparency_data else 255
    width, height = (-(-side // factor) for side in opened.size)
    picture = Image.new(mode, (width, height))
    for (left, top), tile in images.tiles(opened, factor):
        picture.paste(images.plain(tile, mode, paper).reduce(factor), (left // factor, top // factor))
    return picture


def _paper(opened: Image.Image) -> int:
    """Return the grey under what is transparent: more of the background, or what contrasts with a drawing."""
    counts = np.zeros(256, np.int64)
    for _, tile in images.tiles(opened):
        colours = tile.convert("RGBA")
        seen = np.asarray(colours.convert("L"))[np.asarray(colours.getchannel("A")) > 127]
        counts += np.bincount(seen, minlength=256)
    total = int(counts.sum())
    if not total:
        return 255
    # The median, from the counts of the 256 levels.
    lower, upper = np.searchsorted(np.cumsum(counts), [(total - 1) // 2, total // 2], side="right")
    middle = int(lower + upper) // 2
    if total > opened.width * opened.height / 2:
        # Mostly opaque, as a scan with round corners.
        return middle
    return 255 if middle < 128 else 0


# --- from grey pixels to a digit as MNIST has them


def _as_mnist(grey: Grey, field: tuple[int, int], name: str) -> NDArray[np.uint8]:
    ink = _ink(grey)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        raise DataError("photo-no-ink", path=name)
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _centred(_scaled(cut, field), field)


def _ink(grey: Grey) -> Grey:
    """Return how much ink each pixel holds: up to 255 on the digit, 0 everywhere else."""
    from scipy import ndimage

    even = grey - _resized(_lighting(grey), grey.shape)
    coarse = _coarse(even)
    # What stands out most against what the border shows is the ink.
    bright, light = (-even, grey) if -coarse.min() > coarse.max() else (even, 255 - grey)
    ink = np.maximum(bright - _background(bright), 0)
    # In the shade ink stands out less: what counts is the share it takes of the light there is.
    share = 255 / np.maximum(light + ink, 32)
    # Half of the pixels or more hold no ink: their median and their spread are the noise's.
    middle = float(np.median(ink))
    noise = 1.4826 * float(np.median(np.abs(ink - middle)))
    ink = np.maximum(ink - middle, 0)
    if float(ndimage.gaussian_filter(ink, 1).max()) < max(_LEAST_INK, _NOISE * noise):
        return np.zeros_like(ink)
    ink[ink < _NOISE * noise] = 0
    return _without_crumbs(ink * share)


def _without_crumbs(ink: Grey) -> Grey:
    """Drop the pieces that are too small, or too soft at their edges, to be part of the digit."""
    from scipy import ndimage

    touching = np.ones((3, 3))
    pieces, count = ndimage.label(ink > _FAINT * ink.max(), structure=touching)
    inside = pieces > 0  # piece 0 is all that lies between them
    steepest = np.zeros(count + 1)
    np.maximum.at(steepest, pieces[inside], ndimage.gaussian_gradient_magnitude(ink, 1.0)[inside])
    held = np.bincount(pieces[inside], weights=ink[inside], minlength=count + 1)
    steep = steepest > _STEEP * steepest.max()
    kept = steep & (held >= _CRUMB * held[steep].max(initial=0))
    # The grey pixels along an edge are fainter than any piece, and belong to the one they touch.
    digit: Grey = np.where(ndimage.binary_dilation(kept[pieces], touching), ink, 0)
    return digit


def _lighting(grey: Grey) -> Grey:
    """Return the quadratic surface that the border of the picture lies on, on the coarse picture."""
    coarse = _coarse(grey)
    rows, columns = (np.linspace(-1, 1, side) for side in coarse.shape)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1)
    border = np.ones(coarse.shape, dtype=bool)
    thickness = 1 + max(coarse.shape) // 24
    border[thickness:-thickness, thickness:-thickness] = False
    seen, terms_seen = coarse[border], terms[border]
    weights = np.ones_like(seen)
    # Least absolute deviations by reweighted least squares: ink that touches the border does not bend it.
    for _ in range(10):
        weighted = terms_seen.T * weights
        # Six by six: small enough that no linear algebra library wakes its threads for it.
        surface = np.linalg.lstsq(weighted @ terms_seen, weighted @ seen, rcond=None)[0]
        weights = 1 / np.maximum(np.abs(seen - terms_seen @ surface), 1)
    lighting: Grey = (terms * surface).sum(axis=-1).astype(np.float32)
    return lighting


def _background(bright: Grey) -> Grey:
    """Return what the picture would be without its bright strokes: a grey opening, smoothed."""
    from scipy import ndimage

    coarse = _coarse(bright)
    window = max(3, round(max(coarse.shape) * _STROKE))
    opened = ndimage.grey_opening(coarse, size=(window, window), mode="nearest")
    smooth = ndimage.gaussian_filter(opened, window / 8, mode="nearest")
    return _resized(smooth, bright.shape)


def _coarse(values: Grey) -> Grey:
    scale = min(1.0, _COARSE / max(values.shape))
    return _resized(values, tuple(max(1, round(side * scale)) for side in values.shape))


def _resized(values: Grey, shape: tuple[int, ...], resampling: Image.Resampling = Image.Resampling.BILINEAR) -> Grey:
    """Scale, with antialiasing where it shrinks."""
    if values.shape == tuple(shape):
        return values
    return np.asarray(Image.fromarray(values).resize((shape[1], shape[0]), resampling))


def _scaled(cut: Grey, field: tuple[int, int]) -> Grey:
    """Return the cut scaled so that it fills the box in one direction, and 255 where the ink is full."""
    height, width = cut.shape
    box_height, box_width = (max(1, round(side * _FILL)) for side in field)
    scale = min(box_height / height, box_width / width)
    digit = _resized(cut, (max(1, round(height * scale)), max(1, round(width * scale))), Image.Resampling.BICUBIC)
    full = float(np.percentile(digit[digit > 0], 90))
    return np.asarray(np.clip(digit * (255 / full), 0, 255), dtype=np.float32)


def _centred(digit: Grey, field: tuple[int, int]) -> NDArray[np.uint8]:
    """Place the digit so that its centre of mass is the field's centre, as far as it stays inside."""
    canvas = np.zeros(field, dtype=np.uint8)
    # Whole numbers, whose sums are exact: in a symmetric digit the last bit of a float would decide on a whole pixel.
    pixels = digit.round().astype(np.uint8)
    start = []
    for axis, (side, length) in enumerate(zip(field, digit.shape, strict=True)):
        profile = pixels.sum(axis=1 - axis, dtype=np.int64)
        centre = float((profile * np.arange(length)).sum() / profile.sum())
        # MNIST's own convention: the pixel of index side / 2, half a pixel past the middle.
        start.append(int(np.clip(round(side / 2 - centre), 0, side - length)))
    top, left = start
    canvas[top : top + digit.shape[0], left : left + digit.shape[1]] = pixels
    return canvas
