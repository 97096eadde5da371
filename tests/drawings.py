"""Drawings and photos by cause, made by code: what a preparation has to cope with, as RGBA pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int, int]
Points = Sequence[tuple[float, float]]

WHITE: Colour = (255, 255, 255, 255)
BLACK: Colour = (0, 0, 0, 255)
NOTHING: Colour = (0, 0, 0, 0)

# On a square of 100 x 100.
SEVEN: Points = [(30, 20), (70, 20), (45, 85)]
FIVE: list[Points] = [[(35, 15), (70, 15)], [(35, 15), (33, 45), (65, 55), (60, 80), (30, 82)]]


def sheet(paper: Colour = WHITE, size: tuple[int, int] = (280, 280)) -> Image.Image:
    return Image.new("RGBA", size, paper)


def drawn(
    strokes: Sequence[Points] = (SEVEN,),
    *,
    paper: Colour = WHITE,
    ink: Colour = BLACK,
    size: tuple[int, int] = (280, 280),
    at: tuple[float, float] = (0, 0),
    scale: float = 2.8,
    width: int = 18,
) -> Image.Image:
    """Return strokes whose square begins ``at`` a place of the sheet."""
    image = sheet(paper, size)
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        pen.line([(at[0] + scale * x, at[1] + scale * y) for x, y in stroke], fill=ink, width=width, joint="curve")
    return image


def photo(ink: float, paper: float, *, shadow: float, noise: float, seed: int, blur: float = 0) -> Image.Image:
    """Return a photo of a five: reflectances, light that falls off across the edge of a shadow, a sensor's noise."""
    width, height = 400, 300
    cover = np.asarray(drawn(FIVE, size=(width, height), at=(60, 40), scale=2.2, width=14).convert("L")) < 128
    y, x = np.mgrid[0:height, 0:width]
    light = (0.95 - 0.3 * x / width) * (1 - shadow / (1 + np.exp(-0.15 * (x + 0.5 * y - 250))))
    grain = np.random.default_rng(seed).normal(0, noise, (height, width))
    grey = Image.fromarray((255 * np.where(cover, ink, paper) * light + grain).clip(0, 255).astype(np.uint8))
    return grey.filter(ImageFilter.GaussianBlur(blur)).convert("RGBA")


def speckled(image: Image.Image, count: int, colour: Colour = BLACK) -> Image.Image:
    random = np.random.default_rng(5)
    places = random.integers(0, image.size, (count, 2)).tolist()
    ImageDraw.Draw(image).point([tuple(place) for place in places], fill=colour)
    return image


def with_transparent_corners(image: Image.Image) -> Image.Image:
    width, height = image.size
    pen = ImageDraw.Draw(image)
    for x, y in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        pen.polygon([(x, y), (abs(x - 30), y), (x, abs(y - 30))], fill=NOTHING)
    return image


def edges_softened(image: Image.Image) -> Image.Image:
    """Blur ink and transparency alike, as a soft pen leaves them."""
    return image.filter(ImageFilter.GaussianBlur(2))


def rising(size: tuple[int, int] = (300, 200)) -> Image.Image:
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    return Image.fromarray((60 + x / 3 + y / 4).astype(np.uint8)).convert("RGBA")


def noise(size: tuple[int, int], strength: float) -> Image.Image:
    grain = np.random.default_rng(3).normal(150, strength, size[::-1])
    return Image.fromarray(grain.clip(0, 255).astype(np.uint8)).convert("RGBA")


def ring() -> Image.Image:
    image = sheet()
    ImageDraw.Draw(image).ellipse([60, 60, 219, 219], outline=BLACK, width=20)
    return image


def dot(radius: float, size: tuple[int, int] = (280, 280)) -> Image.Image:
    image = sheet(size=size)
    ImageDraw.Draw(image).ellipse([90 - radius, 200 - radius, 90 + radius, 200 + radius], fill=BLACK)
    return image


def golden() -> dict[str, Image.Image]:
    """Return the drawings by their cause; :data:`WITHOUT_INK` names those that show none."""
    light, dark = (240, 240, 255, 255), (20, 20, 60, 255)
    small = {"scale": 1.2, "width": 9}
    return {
        "centred": drawn(),
        "off centre, to the left": drawn(at=(-20, 80), **small),
        "off centre, to the right": drawn(at=(170, 80), **small),
        "off centre, above": drawn(at=(80, -10), **small),
        "off centre, below": drawn(at=(80, 165), **small),
        "in a corner": drawn(at=(180, 170), **small),
        "too small": drawn(scale=0.2, width=2, at=(120, 130)),
        "too large": drawn(scale=4.6, width=30, at=(-85, -60)),
        "thin": drawn(width=1),
        "thick": drawn(width=70),
        "in two strokes": drawn(FIVE),
        "in two strokes apart": drawn([[(30, 20), (70, 20)], [(25, 45), (60, 60), (30, 85)]]),
        "inverted": drawn(paper=BLACK, ink=WHITE),
        "transparent, dark ink": drawn(paper=NOTHING, ink=dark),
        "transparent, light ink": drawn(paper=NOTHING, ink=light),
        "transparent, a soft pen": edges_softened(drawn(paper=(0, 0, 0, 0), ink=BLACK)),
        "transparent, half-transparent ink": drawn(paper=NOTHING, ink=(30, 60, 200, 128)),
        "half-transparent paper": drawn(paper=(255, 250, 230, 140), ink=BLACK),
        "mostly opaque, transparent corners": with_transparent_corners(drawn(paper=(250, 240, 220, 255))),
        "coloured": drawn(paper=(250, 230, 120, 255), ink=(20, 30, 160, 255)),
        "coloured, of nearly one grey": drawn(paper=(60, 170, 60, 255), ink=(220, 60, 60, 255)),
        "grey paper": drawn(paper=(128, 128, 128, 255), ink=(40, 40, 40, 255)),
        "grey paper, light ink": drawn(paper=(128, 128, 128, 255), ink=(220, 220, 220, 255)),
        "low contrast": drawn(paper=(200, 200, 200, 255), ink=(180, 180, 180, 255)),
        "contrast at the limit": drawn(paper=(212, 212, 212, 255), ink=(200, 200, 200, 255)),
        "too low a contrast": drawn(paper=(200, 200, 200, 255), ink=(192, 192, 192, 255)),
        "photo with a shadow": photo(0.2, 0.85, shadow=0.5, noise=0, seed=0),
        "photo with noise": photo(0.2, 0.85, shadow=0, noise=9, seed=1),
        "photo with a shadow and noise, out of focus": photo(0.2, 0.85, shadow=0.4, noise=6, seed=2, blur=1.2),
        "chalk on a board": photo(0.8, 0.2, shadow=0.3, noise=5, seed=3, blur=1),
        "a gradient under the ink": Image.alpha_composite(rising((280, 280)), drawn(paper=NOTHING)),
        "a gradient alone": rising(),
        "noise alone": noise((300, 200), 12),
        "one dot": dot(9),
        "one pixel": speckled(sheet(), 1),
        "one pixel of few": speckled(sheet(size=(20, 20)), 1),
        "a line at the rim": drawn([[(0.8, 20), (0.8, 80)]], width=5),
        "a line at the lower rim": drawn([[(10, 99), (90, 99)]], width=9),
        "a line along the whole rim": drawn([[(0, 1), (100, 1)]], width=8),
        "single-pixel noise around it": speckled(drawn(), 60),
        "single-pixel noise on black": speckled(drawn(paper=BLACK, ink=WHITE), 200, WHITE),
        "single-pixel noise alone": speckled(sheet(), 40),
        "a crumb beside it": drawn([SEVEN, [(90, 90), (92, 90)]]),
        "symmetric": ring(),
        "symmetric, a cross": drawn([[(50, 10), (50, 90)], [(10, 50), (90, 50)]], width=15),
        "empty, white": sheet(),
        "empty, black": sheet(BLACK),
        "empty, transparent": sheet(NOTHING),
        "empty, grey": sheet((77, 77, 77, 255)),
        "wide": drawn(size=(900, 60), at=(400, 2), scale=0.55, width=5),
        "tall": drawn(size=(60, 900), at=(2, 400), scale=0.55, width=5),
        "a line of one row": drawn([[(10, 0), (30, 0)]], size=(300, 1), width=1),
        "1 x 1": sheet((9, 9, 9, 255), (1, 1)),
        "3 x 2": speckled(sheet(size=(3, 2)), 1),
        "8 x 8": drawn(size=(8, 8), scale=0.08, width=1),
        "28 x 28": drawn(size=(28, 28), scale=0.28, width=2),
        "281 x 279": drawn(FIVE, size=(281, 279)),
        "1200 x 900": drawn(FIVE, size=(1200, 900), at=(300, 60), scale=7.7, width=50, paper=light, ink=dark),
        "1199 x 803, transparent": drawn(size=(1199, 803), at=(300, 60), scale=7, width=40, paper=NOTHING),
    }


WITHOUT_INK = frozenset(
    {
        *("empty, white", "empty, black", "empty, transparent", "empty, grey"),
        *("too low a contrast", "a gradient alone", "noise alone", "one pixel", "one pixel of few", "1 x 1"),
    }
)


def scribble(seed: int) -> Image.Image:
    """Return some strokes of any colour on a background of any kind and size."""
    random = np.random.default_rng(seed)
    width, height = (int(random.choice([random.integers(1, 30), random.integers(30, 500)])) for _ in range(2))
    if seed % 3 == 0:
        width = height = 280
    colour: Colour = (*random.integers(0, 256, 3).tolist(), 255)
    y, x = np.mgrid[0:height, 0:width]
    slope, bend = random.uniform(-80, 80, 2)
    uneven = 190 + (x / width - 0.5) * slope + (y / height - 0.5) * bend + random.normal(0, 5, (height, width))
    image = [
        sheet(WHITE, (width, height)),
        sheet(BLACK, (width, height)),
        sheet(NOTHING, (width, height)),
        sheet(colour, (width, height)),
        Image.fromarray(uneven.clip(0, 255).astype(np.uint8)).convert("RGBA"),
        Image.fromarray(random.integers(0, 256, (height, width, 4), dtype=np.uint8)),
    ][seed % 6]
    pen = ImageDraw.Draw(image)
    for _ in range(random.integers(1, 4)):
        places = random.uniform(0, (width, height), (random.integers(2, 6), 2)).tolist()
        ink = (*random.integers(0, 256, 3).tolist(), int(random.choice([255, 255, 190, 120])))
        thickness = max(1, int(min(width, height) * random.uniform(0.01, 0.15)))
        pen.line([tuple(place) for place in places], fill=ink, width=thickness, joint="curve")
    return image.filter(ImageFilter.GaussianBlur(1)) if random.random() < 0.3 else image


def grains(seed: int) -> Image.Image:
    """Return a small picture of random levels, every second one symmetric: full of ties, and of ink at every rim."""
    random = np.random.default_rng(seed)
    levels = int(random.choice([2, 3, 256]))
    grey = random.integers(0, levels, random.integers(1, 21, 2)) * (255 // (levels - 1))
    if seed % 2:
        grey = np.concatenate([grey, grey[::-1]])
        grey = np.concatenate([grey, grey[:, ::-1]], axis=1)
    if seed % 3 == 0:
        grey = np.kron(grey, np.ones((seed % 7 + 1, seed % 5 + 1)))
    return Image.fromarray(np.pad(grey, seed % 4 * 3, constant_values=128).astype(np.uint8)).convert("RGBA")
