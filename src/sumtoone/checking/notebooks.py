"""The code cells of a notebook, whatever version of the format it is written in."""

from __future__ import annotations

from typing import Any

from sumtoone.checking.syntax import Cell, unified

MOST_CELLS = 5_000
MOST_CODE = 4 * 2**20
# What is parsed takes some hundred times as much memory where it is nothing but braces.
MOST_BRACES = 200_000
_VERSIONS = (1, 2, 3, 4)


class Unreadable(Exception):  # noqa: N818 - it is no error of ours
    """Bytes that are no notebook, or one with more in it than a ``limit``."""

    def __init__(self, what: str, limit: str = "") -> None:
        super().__init__(what)
        self.what, self.limit = what, limit


def code_cells(content: bytes) -> list[Cell]:
    """Return a notebook's code cells in order, numbered from 1; outputs are not looked at.

    Raises
    ------
    Unreadable
        If the bytes are no notebook, or it has more than ``MOST_CELLS`` code cells or ``MOST_CODE`` letters of code.
    """
    cells = [cell for cell in _cells(content) if isinstance(cell, dict) and cell.get("cell_type") == "code"]
    if len(cells) > MOST_CELLS:
        raise Unreadable("", f"{MOST_CELLS:,}")
    sources = [unified(_joined(cell.get("source", cell.get("input", cell.get("code"))))) for cell in cells]
    if sum(map(len, sources)) > MOST_CODE:
        raise Unreadable("", f"{MOST_CODE >> 20} MiB")
    return [Cell(number, source) for number, source in enumerate(sources, start=1)]


def _cells(content: bytes) -> list[Any]:
    # No more of nbformat than its parser: checking every output against a schema takes a second for a large notebook,
    # and refuses what a tool has stripped of its outputs.
    from nbformat import reader

    parse: Any = reader.parse_json
    if content.count(b"{") > MOST_BRACES:
        raise Unreadable("", f"{MOST_BRACES:,} {{")
    try:
        notebook = parse(content.decode("utf-8-sig"))
        if notebook["nbformat"] not in _VERSIONS:
            raise ValueError(f"nbformat {notebook['nbformat']!r:.20}")
        if "cells" in notebook:
            return list(notebook["cells"])
        return [cell for sheet in notebook["worksheets"] for cell in sheet["cells"]]
    except MemoryError:
        raise
    except Exception as error:
        # What a parser raises on hostile bytes is open-ended.
        said = str(error).strip().splitlines() or [""]
        raise Unreadable(f"{type(error).__name__}: {said[0][:200]}") from None


def _joined(source: Any) -> str:
    if isinstance(source, list):
        return "".join(part for part in source if isinstance(part, str))
    return source if isinstance(source, str) else ""
