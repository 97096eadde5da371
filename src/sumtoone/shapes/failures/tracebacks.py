"""A traceback as text, of Python or of a notebook, becomes a :class:`Failure`: what was raised, and in which lines."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

LONGEST = 1 << 20
_LONGEST_LINE = 2_000
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ENDINGS = "Error|Exception|Warning|Interrupt|Iteration|Exit"
_RAISED = re.compile(rf"(?:E\s+)?((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:{_ENDINGS}))\b(?:: ?(.*))?$")
_START = "(most recent call last)"
# As Python writes it, as IPython has written it over the years, as pytest does.
_FRAMES = (
    re.compile(r'\s*File "(?P<file>[^"]+)", line (?P<line>\d{1,9})(?:, in (?P<function>.+))?$'),
    re.compile(r"(?:Cell |Input )?(?P<file>In ?\[\d+\])(?:, line (?P<line>\d{1,9}))?(?:, in (?P<function>[^(]+).*)?$"),
    re.compile(r"File (?P<file>\S.*?):(?P<line>\d{1,9})(?:, in (?P<function>[^(]+).*)?$"),
    re.compile(r"(?P<file><ipython-input-[^>]+>|[~/]\S*?\.py) in (?P<function>[^(]+).*$"),
    re.compile(r"(?P<file>\S+\.py):(?P<line>\d{1,9}): in (?P<function>.+)$"),
)
_ARROW = re.compile(r"-+> ?(?P<line>\d{1,9}) ?(?P<source>.*)$")
_CARETS = re.compile(r"\s*[~^]+[~^ ]*$")
# Where the code of libraries lies, as against a person's own.
_LIBRARIES = re.compile(
    r"[\\/](?:site|dist)-packages[\\/]|[\\/]lib[\\/]python3|\\Lib\\|[\\/]torch[\\/](?:nn|utils|optim)[\\/]"
    r"|^<(?:frozen |__array_)"
)
_OURS = str(Path(__file__).parents[2])


@dataclass(frozen=True)
class Frame:
    """One line on the way: ``piece`` is the part of it that failed, where the traceback marks it."""

    file: str
    line: int | None
    function: str
    source: str = ""
    piece: str = ""

    @property
    def is_own(self) -> bool:
        """Whether the line is the person's, and no library's."""
        return not (_LIBRARIES.search(self.file) or self.file.startswith(_OURS))

    def operation(self) -> ast.expr | ast.AugAssign | None:
        """Return what failed as a tree: the marked piece, or the value of the whole line; None if it is no Python."""
        for text in filter(None, (self.piece, self.source, self.source and f"{self.source} pass")):
            statement = _statement(text)
            if isinstance(statement, ast.AugAssign):
                return statement
            values = (getattr(statement, name, None) for name in ("value", "test", "iter"))
            found = next((value for value in values if isinstance(value, ast.expr)), None)
            if found is not None:
                return found
        return None


@dataclass(frozen=True)
class Failure:
    """What was raised and where: ``frames`` from the outermost to the innermost line."""

    kind: str
    message: str
    frames: tuple[Frame, ...] = ()

    @property
    def own(self) -> Frame | None:
        """The innermost line of the person's own."""
        return next((frame for frame in reversed(self.frames) if frame.is_own), None)

    @property
    def beyond(self) -> tuple[Frame, ...]:
        """The lines of libraries that the person's own line led to."""
        places = [place for place, frame in enumerate(self.frames) if frame.is_own]
        return self.frames[places[-1] + 1 :] if places else self.frames


def _statement(text: str) -> ast.stmt | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns of doubtful syntax, which is not ours
            return next(iter(ast.parse(text.strip()).body), None)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def read(text: str) -> Failure | None:
    """Return the last error that a text holds: a traceback, or its last line alone; None if there is none.

    >>> found = read('Traceback (most recent call last):\\n  File "a.py", line 3, in f\\n    a / b\\nValueError: no')
    >>> found.kind, found.message, found.own.line, found.own.source
    ('ValueError', 'no', 3, 'a / b')
    """
    lines = [line[:_LONGEST_LINE].rstrip() for line in _ESCAPES.sub("", text[-LONGEST:]).splitlines()]
    raised = [(place, found) for place, line in enumerate(lines) if (found := _raised(line)) is not None]
    if not raised:
        return None
    place, (kind, message) = raised[-1]
    rest = []
    for line in lines[place + 1 :]:
        if not line.startswith((" ", "\t")) or _frame(line) is not None:
            break
        rest.append(line.strip())
    starts = [number for number, line in enumerate(lines[:place]) if _START in line]
    frames = _frames(lines[starts[-1] + 1 if starts else 0 : place])
    return Failure(kind.rpartition(".")[2], "\n".join([message, *rest]).strip(), frames)


def _raised(line: str) -> tuple[str, str] | None:
    match = _RAISED.match(line)
    if match is None or _START in line:
        return None
    return match[1], match[2] or ""


def _frame(line: str) -> Frame | None:
    for pattern in _FRAMES:
        match = pattern.match(line)
        if match is not None:
            found = match.groupdict()
            number = int(found["line"]) if found.get("line") else None
            return Frame(found["file"], number, (found["function"] or "").strip())
    return None


def _frames(lines: list[str]) -> tuple[Frame, ...]:
    """Return the frames of one traceback, each with the line of source that is shown for it."""
    heads = [(place, head) for place, line in enumerate(lines) if (head := _frame(line)) is not None]
    ends = [*(place for place, _ in heads[1:]), len(lines)]
    return tuple(_with_source(head, lines[place + 1 : end]) for (place, head), end in zip(heads, ends, strict=False))


def _with_source(head: Frame, body: list[str]) -> Frame:
    for line in body:
        if arrow := _ARROW.match(line):
            return Frame(head.file, head.line or int(arrow["line"]), head.function, arrow["source"].strip())
    if not body or not body[0].startswith(" "):
        return head
    source, piece = body[0], ""
    if len(body) > 1 and _CARETS.match(body[1]):
        begin = len(body[1]) - len(body[1].lstrip())
        piece = source[begin : len(body[1])]
    return Frame(head.file, head.line, head.function, source.strip(), piece)
