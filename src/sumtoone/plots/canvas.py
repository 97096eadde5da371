"""What all pictures share: style, colours, words that a font can show, and the way into a file.

No pyplot: nothing here opens a window, keeps a figure alive or heeds a ``matplotlibrc``.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager, style
from matplotlib.figure import Figure

from sumtoone.errors import UsageError
from sumtoone.language import language, text
from sumtoone.language.lines import listed
from sumtoone.storage import write_atomically

# From the palette of Okabe and Ito 2008, whose colours stay apart under every common colour blindness.
BLUE, ORANGE, VERMILION = "#0072B2", "#E69F00", "#D55E00"
GREY, PALE_GREY, PALE_BLUE = "#6E6E6E", "#BDBDBD", "#D9E8F2"

# Comes with the package, so that a picture of its letters is the same on every machine. fonts/build.py makes it.
HANGUL = "Sumtoone Hangul"
_HANGUL_FILE = Path(__file__).parent / "fonts" / "hangul.ttf"
# The first of these that is installed draws what our own font lacks: rare syllables, Chinese characters.
_INSTALLED = ("Noto Sans CJK KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic")
_LONGEST_NAME = 16
_STYLE = {
    "figure.dpi": 100,
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelpad": 6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "legend.frameon": False,
    # A class may be called "$5".
    "text.parse_math": False,
    # Names inside an SVG are drawn from this and not from chance.
    "svg.hashsalt": "sumtoone",
}
# Without these entries matplotlib would write the time and its own version into the file.
_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in our own style, in fonts that have Latin and Hangul, whatever is installed.

    matplotlib keeps its settings in one place for the whole process: draw in one thread at a time.
    """
    with style.context(["default", {**_STYLE, "font.family": _families()}]):
        yield


def _families() -> list[str]:
    """Return the fonts to draw in, the one for the language in force first, and make our own known to matplotlib.

    It stays known: a notebook draws a figure again when all of this is long over. No one else uses its name.
    """
    manager = font_manager.fontManager
    known = {font.name for font in manager.ttflist}
    if HANGUL not in known:
        manager.addfont(_HANGUL_FILE)
        # It is its own bold: matplotlib warns of a weight that it does not find.
        manager.ttflist.append(replace(manager.ttflist[-1], weight=700))
    installed = [family for family in _INSTALLED if family in known][:1]
    own = [HANGUL, "DejaVu Sans"] if language() == "ko" else ["DejaVu Sans", HANGUL]
    return [*own, *installed]


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, SVG or PDF, as the file's suffix says, whole or not at all; return the path.

    The same picture gives the same bytes: no time and no version is written into the file.

    Raises
    ------
    UsageError
        If the suffix is another one, or the file cannot be written.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in _METADATA:
        raise UsageError("plot-suffix", given=str(path), known=", ".join(_METADATA))
    content = io.BytesIO()
    with drawing():
        figure.savefig(content, format=suffix[1:], metadata=_METADATA[suffix])
    try:
        write_atomically(target, content.getvalue())
    except OSError as error:
        raise UsageError("plot-unwritable", given=f"{path}: {error.strerror or error}") from None
    return target


def readable(classes: Sequence[str], longest: int = _LONGEST_NAME) -> list[str]:
    """Return class names fit for a picture: long ones cut, ``#3`` for one that no font can draw, with a warning."""
    fonts = [font_manager.get_font(font_manager.findfont(family)) for family in mpl.rcParams["font.family"]]
    names, undrawable = [], []
    for number, given in enumerate(classes):
        name = " ".join(str(given).split())
        if not name or not all(any(font.get_char_index(ord(letter)) for font in fonts) for letter in name):
            undrawable.append(f"#{number} = {given}")
            name = f"#{number}"
        names.append(name if len(name) <= longest else name[: longest - 1] + "…")
    if undrawable:
        _warn_once(text("plots.undrawable", names=listed(undrawable)))
    return names


@cache
def _warn_once(words: str) -> None:
    """Warn, once in a process: drawing changes the filters of warnings, and Python forgets then what it has said."""
    warnings.warn(words, stacklevel=3)
