"""What a person is shown of a value from elsewhere: one line, of bounded length, that no terminal obeys.

File names, cells, classes, arguments and the messages of libraries may hold anything: escape sequences that clear a
screen, line breaks that forge a line of a log, marks that turn text around, halves of letters that UTF-8 cannot carry.
"""

from __future__ import annotations

import reprlib
import string
from collections.abc import Mapping
from typing import Any

# Four texts with a few such fields each make an error; it should not fill more than a screen.
LONGEST_FIELD = 600
_CONTAINERS = (list, tuple, dict, set, frozenset, bytes, bytearray)


def printable(value: object, longest: int = LONGEST_FIELD) -> str:
    r"""Return ``str(value)`` with every letter that cannot be printed as its escape, cut in the middle.

    Doing it twice changes nothing.

    >>> printable("a\x1b[2Jb"), printable("0123456789", longest=5)
    ('a\\x1b[2Jb', '01…89')
    """
    try:
        shown = _cut(str(value), longest)
    except Exception:
        shown = _named(value)
    return shown if shown.isprintable() else _cut("".join(map(_escaped, shown)), longest)


def quoted(value: object) -> str:
    """Return ``repr(value)``, made :func:`printable`; long and nested values are shortened while they are written.

    >>> quoted("adam"), quoted(10**5000)
    ("'adam'", '<int of 16610 bits>')
    """
    try:
        return printable(_REPR.repr(value))
    except Exception:
        # A repr that fails is not worth an error of its own.
        return _named(value)


class Filling(string.Formatter):
    """Fills the fields of a template, each made :func:`printable`."""

    def __init__(self, longest: int) -> None:
        self._longest = longest

    def fill(self, template: str, fields: Mapping[str, object]) -> str:
        """Return the template with its fields filled in; ``KeyError`` if one of them is missing."""
        return self.vformat(template, (), fields)

    def format_field(self, value: Any, format_spec: str) -> str:
        """Return one field as it is shown."""
        if isinstance(value, _CONTAINERS):
            return printable(quoted(value), self._longest)  # whole, it might be millions of items
        try:
            value = format(value, format_spec)
        except Exception:
            value = _named(value)
        return printable(value, self._longest)

    def convert_field(self, value: Any, conversion: Any) -> Any:
        """Return the ``repr`` of a field marked so."""
        return quoted(value) if conversion == "r" else value


def _named(value: object) -> str:
    """Return what can be said of a value that does not say it itself, such as a number of over 4,300 digits."""
    kind = type(value).__name__
    return f"<{kind} of {value.bit_length()} bits>" if isinstance(value, int) else f"<{kind}>"


def _cut(given: str, longest: int) -> str:
    if len(given) <= longest:
        return given
    head = longest // 2
    return f"{given[:head]}…{given[len(given) - (longest - head - 1) :]}"


def _escaped(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


class _Repr(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxtuple = self.maxlist = self.maxarray = self.maxdict = self.maxset = self.maxfrozenset = 12
        self.maxstring = self.maxlong = self.maxother = LONGEST_FIELD

    repr_bytes = reprlib.Repr.repr_str


_REPR = _Repr()
