"""Words as lines that fit a terminal, in which Hangul and other wide letters take two cells; and lists of names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from sumtoone.language.display import printable

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
    string = string[: max(most, 0)]  # a megabyte is not shortened letter by letter
    while string and cells(string) > most - 1:
        string = string[:-1]
    return string.rstrip() + "…"


def padded(string: str, width: int) -> str:
    """Return a text with spaces behind it up to a width in cells."""
    return string + " " * (width - cells(string))


def flush_right(string: str, width: int) -> str:
    """Return a text with spaces before it up to a width in cells."""
    return " " * (width - cells(string)) + string


def aligned(table: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows of texts as lines, the first column flush left, the others flush right.

    >>> aligned([("정확도", "0.9"), ("F1", "12.5")])
    ['정확도   0.9', 'F1      12.5']
    """
    widths = [max(map(cells, column)) for column in zip(*table, strict=True)]
    return ["  ".join([padded(name, widths[0]), *map(flush_right, rest, widths[1:])]) for name, *rest in table]


def listed(names: Sequence[object], most: int = 12, longest: int = 80) -> str:
    """Return names with commas between them: the first of many, and how many there are; a dash for none.

    >>> listed(["ant", "bee"]), listed("abcdef", most=2), listed([])
    ('ant, bee', 'a, b, … (6)', '-')
    """
    more = [f"… ({len(names)})"] if len(names) > most else []
    return ", ".join([*(printable(name, longest) for name in names[:most]), *more]) or "-"


def broken(line: str, width: int) -> str:
    """Return a line as several of at most ``width`` cells, broken between words; a word that is longer stays whole.

    >>> print(broken("  try: a smaller learning rate", 20))
      try: a smaller
        learning rate
    """
    lines = [""]
    margin = line[: len(line) - len(line.lstrip())] + "  "
    for word in re.findall(r"\s*\S+", line):
        if lines[-1] and cells(lines[-1] + word) > width:
            lines.append(margin + word.lstrip())
        else:
            lines[-1] += word
    return "\n".join(lines)


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
