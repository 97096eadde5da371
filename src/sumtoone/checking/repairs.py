"""Cells of the lesson that broke with today's libraries: known by their error or their text, each with its repair."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sumtoone.checking.syntax import Cell
from sumtoone.checking.verdict import Finding
from sumtoone.language.display import printable

_NEXT = re.compile(r"\b(\w*(?:iter|load|data)\w*(?:\(\w{0,40}\))?)\.next\(\)", re.IGNORECASE)
_THREE = re.compile(r"Normalize\(\s*(?:mean\s*=\s*)?[(\[]\s*[\d.]+\s*,\s*[\d.]+\s*,\s*[\d.]+")
_SIX = re.compile(r"^\s*(?:from|import)\s+six\b")
_MISSING = re.compile(r"No module named '?(six|helper)\b")
_DOWNLOAD = re.compile(r"HTTP Error (403|404|503)|urlopen error|Dataset not found|Error downloading|\b403\b.*Forbidden")
# (64, 1, 28, 28) against rows of a matrix: 64 * 28 = 1792 rows of 28.
_FLATTEN = re.compile(
    r"\(1792x28 and |\(28x28 and |self must be a matrix|\b(?:64, )?1, 28, 28\]|size mismatch.*\b28\b|\(64x1x28x28|"
    r"\(\d+x28 and (?:784|256|128)x"
)
_NORMALIZED = re.compile(r"output with shape \[1, 28, 28\] doesn't match the broadcast shape \[3, 28, 28\]")
_NO_NEXT = re.compile(r"object has no attribute 'next'")
_LONGEST_LINE = 500
_FLAT = "images.view(images.shape[0], -1)"


def repair(error: Mapping[str, Any], source: str) -> Finding | None:
    """Return what is known to be wrong with a cell of the lesson, from its error and the text of its line.

    Parameters
    ----------
    error
        ``error`` or ``type`` is the name of its class, beside ``message``, ``line`` and ``cell``.
    source
        The text of the line that raised it.
    """
    kind = str(error.get("error") or error.get("type") or "")
    message = str(error.get("message") or "")[:2_000]
    missing = _MISSING.search(message)
    code, wanted = "", ""
    if kind == "AttributeError" and _NO_NEXT.search(message):
        code, wanted = "lesson-next", _next_of(source)
    elif missing or ("module 'helper'" in message and kind == "AttributeError"):
        name = missing[1] if missing else "helper"
        code, wanted = f"lesson-{name}", "import sumtoone.helper as helper" if name == "helper" else ""
    elif _NORMALIZED.search(message):
        code, wanted = "lesson-normalize", "transforms.Normalize((0.5,), (0.5,))"
    elif kind in ("HTTPError", "URLError", "RuntimeError") and _DOWNLOAD.search(message):
        code = "lesson-download"
    elif kind in ("RuntimeError", "ValueError", "IndexError") and _FLATTEN.search(message):
        code, wanted = "lesson-flatten", _FLAT
    if not code:
        return None
    return _finding(code, error.get("line"), error.get("cell"), source, wanted)


def repairs_in(cells: Sequence[Cell]) -> tuple[Finding, ...]:
    """Return what would break with today's libraries, each kind once, where it stands first."""
    found: dict[str, Finding] = {}
    # Three values are right for pictures in colour.
    grey = any("MNIST" in cell.source for cell in cells)
    for cell in cells:
        for number, line in enumerate(cell.lines, start=1):
            for code, wanted in _old(line[:_LONGEST_LINE], grey):
                found.setdefault(code, _finding(code, number, cell.number, line, wanted))
    return tuple(found.values())


def _old(line: str, grey: bool) -> Iterator[tuple[str, str]]:
    code = line.partition("#")[0]
    if ".next()" in code and _NEXT.search(code):
        yield "lesson-next", _next_of(code)
    if grey and "Normalize" in code and _THREE.search(code):
        yield "lesson-normalize", "transforms.Normalize((0.5,), (0.5,))"
    if "six" in code and _SIX.match(code):
        yield "lesson-six", ""


def _next_of(line: str) -> str:
    match = _NEXT.search(line[:_LONGEST_LINE])
    return f"next({match[1] if match else 'dataiter'})"


def _finding(code: str, line: int | None, cell: int | None, source: str, wanted: str) -> Finding:
    return Finding(code, line, cell, {"what": printable(source.strip(), 200), "wanted": wanted})
