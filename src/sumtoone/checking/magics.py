"""What IPython adds to Python, taken out of a cell: magics, shell lines and questions become ``pass`` on their line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sumtoone.checking.syntax import attempt

# Cell magics that run their body as Python, in the notebook itself.
_KEPT = ("time", "timeit", "capture", "prun", "memit", "check")
_CELL = re.compile(r"%%(\w+)")
_HELP = re.compile(r"\s*(\?{1,2}\s*%{0,2}[\w.*]+|%{0,2}[\w.*]+\?{1,2})\s*;?")
_INSTALL = re.compile(r"\s*(pip3?|conda|mamba)\s+install\b")
_TARGET = re.compile(r"\s*[^\W\d][\w.,\s\[\]'\"*()]*")
_TIMED = re.compile(r"\s*%time\s+(?=\S)")
_MARKS = re.compile(r"#|\\.|'''|\"\"\"|['\"()\[\]{}]")
_SHOWN = 200


@dataclass(frozen=True)
class Aside:
    """What is not run: why, where, and its text or what is wrong with it.

    ``why`` is ``"magic"``, ``"shell"``, ``"help"``, ``"cell-magic"``, ``"syntax-error"`` or ``"template"``.
    """

    why: str
    line: int
    cell: int | None = None
    what: str = ""


def without_magics(source: str, cell: int | None = None) -> tuple[str, tuple[Aside, ...]]:
    """Return a cell as plain Python with as many lines, and what was set aside.

    A cell whose magic hands it to something other than Python becomes comments throughout.

    >>> without_magics("if True:\\n    !ls\\nx = %pwd")[0]
    'if True:\\n    pass  # !ls\\nx = None  # %pwd'
    """
    lines = source.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), None)
    match = _CELL.match(lines[first].lstrip()) if first is not None else None
    if first is not None and match is not None:
        aside = Aside("cell-magic", first + 1, cell, lines[first].strip()[:_SHOWN])
        if match[1] not in _KEPT:
            return "\n".join(f"# {line}" for line in lines), (aside,)
        lines[first] = f"# {lines[first].strip()}"
        rest, others = _plain(lines, cell)
        return rest, (aside, *others)
    return _plain(lines, cell)


def _plain(lines: list[str], cell: int | None) -> tuple[str, tuple[Aside, ...]]:
    made: list[str] = []
    asides: list[Aside] = []
    state = _State()
    taken = False  # whether a line before, which was set aside, goes on here
    for number, line in enumerate(lines, start=1):
        if taken:
            made.append(f"# {line}")
            taken = line.endswith("\\")
            continue
        found = _replaced(line) if state.is_between else None
        if found is None:
            made.append(line)
            state.follow(line)
            continue
        why, instead = found
        asides.append(Aside(why, number, cell, line.strip()[:_SHOWN]))
        made.append(instead)
        taken = line.endswith("\\")
    return "\n".join(made), tuple(asides)


def _replaced(line: str) -> tuple[str, str] | None:
    """Return why a line is no Python and what stands for it; None where it may be Python."""
    bare = line.lstrip()
    indent = line[: len(line) - len(bare)]
    if bare.startswith(("%", "!")):
        timed = _TIMED.match(line)
        if timed and attempt(line[timed.end() :]) is not None:
            return "magic", indent + line[timed.end() :]
        why = "help" if _HELP.fullmatch(line) else "shell" if bare.startswith("!") else "magic"
        return why, f"{indent}pass  # {bare}"
    if "?" in line and _HELP.fullmatch(line.partition("#")[0].rstrip()):
        return "help", f"{indent}pass  # {bare}"
    if _INSTALL.match(line):
        return "shell", f"{indent}pass  # {bare}"
    target, equals, value = line.partition("=")
    value = value.lstrip()
    if equals and value.startswith(("!", "%")) and not value.startswith("!=") and _TARGET.fullmatch(target):
        shell = value.startswith("!")
        return ("shell" if shell else "magic"), f"{target}= {'[]' if shell else 'None'}  # {value}"
    return None


class _State:
    """Where in Python's grammar a line ends: inside a string, inside brackets, after a backslash."""

    def __init__(self) -> None:
        self._quote, self._depth, self._goes_on = "", 0, False

    @property
    def is_between(self) -> bool:
        """Whether a statement may begin here."""
        return not (self._quote or self._depth or self._goes_on)

    def follow(self, line: str) -> None:
        """Go on to the end of a line."""
        self._goes_on = line.endswith("\\")
        for mark in self._marks(line):
            if self._quote:
                self._quote = "" if mark == self._quote else self._quote
            elif mark == "#":
                self._goes_on = False
                return
            elif mark[0] in "'\"":
                self._quote = mark
            elif mark in "([{":
                self._depth += 1
            elif mark in ")]}":
                self._depth = max(0, self._depth - 1)
        if len(self._quote) == 1 and not self._goes_on:
            # A string that was not closed: a mistake of this line, not of the ones below.
            self._quote = ""

    def _marks(self, line: str) -> Iterator[str]:
        place = 0
        while match := _MARKS.search(line, place):
            mark = match[0]
            # In a string of one quotation mark three of them are one and two more; an empty string is two.
            if len(mark) == 3 and len(self._quote) == 1:
                mark = mark[0]
            place = match.start() + len(mark)
            yield mark
