"""Lines that fit a terminal: Hangul and other wide letters take two cells."""

from __future__ import annotations

import unicodedata
from functools import cache

WIDTH = 80


def cells(string: str) -> int:
    """Return how many cells of a terminal a text takes.

    >>> cells("shape"), cells("모양")
    (5, 4)
    """
    if string.isascii():
        return len(string)
    return sum(_cells_of(letter) for letter in string)


@cache
def _cells_of(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def cut(string: str, most: int) -> str:
    """Return a text cut to at most so many cells, with a dot for what is gone."""
    if cells(string) <= most:
        return string
    while cells(string) > most - 1:
        string = string[:-1]
    return string + "…"


def padded(string: str, width: int) -> str:
    """Return a text with spaces behind it up to a width in cells."""
    return string + " " * (width - cells(string))


def wrapped(sentence: str, first: str = "", rest: str | None = None) -> list[str]:
    """Return a text as lines no wider than a terminal, with what stands before the first and the other lines.

    >>> wrapped("one two", "- ")
    ['- one two']
    """
    rest = " " * cells(first) if rest is None else rest
    lines, line, used, empty = [], first, cells(first), not first.strip()
    gap = ""
    for word in sentence.split():
        for piece in _pieces(word, WIDTH - cells(rest)):
            width = cells(piece)
            if not empty and used + len(gap) + width > WIDTH:
                lines.append(line.rstrip())
                line, used, gap = rest, cells(rest), ""
            line, used, empty = f"{line}{gap}{piece}", used + len(gap) + width, False
            gap = ""
        gap = " "
    return [*lines, line]


def _pieces(word: str, most: int) -> list[str]:
    """Return a word in pieces that fit a line."""
    if cells(word) <= most:
        return [word]
    pieces, piece = [], ""
    for letter in word:
        if cells(piece + letter) > most:
            pieces.append(piece)
            piece = ""
        piece += letter
    return [*pieces, piece]
