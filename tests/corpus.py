"""The corpus of learners' attempts: blocks of text in tests/submissions, read as frozen values.

A block is a header `=== codes [+note …] | title | exercise` and the code below it. Codes are separated by commas, the
better one first; `-` is anything but a pass and `any` is anything at all. A note is one that the verdict must carry.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

FOLDER = Path(__file__).parent / "submissions"
MARK = "=== "


@dataclass(frozen=True)
class Attempt:
    """One learner's code and what a good teacher says of it."""

    codes: tuple[str, ...]
    notes: frozenset[str]
    title: str
    exercise: str
    code: str
    file: str

    @property
    def passes(self) -> bool:
        """Whether a good teacher lets it pass."""
        return self.codes == ("correct",)


def attempts(file: str) -> tuple[Attempt, ...]:
    """Return the blocks of `tests/submissions/<file>.txt` in order; ValueError for a malformed header."""
    text = (FOLDER / f"{file}.txt").read_text(encoding="utf-8")
    opening, *blocks = ("\n" + text).split("\n" + MARK)
    if opening.strip():
        raise ValueError(f"{file}.txt: text before the first block")
    return tuple(_attempt(block, file) for block in blocks)


def _attempt(block: str, file: str) -> Attempt:
    header, _, code = block.partition("\n")
    fields = [field.strip() for field in header.split("|")]
    if len(fields) != 3 or not all(fields):
        raise ValueError(f"{file}.txt: a header has codes, a title and an exercise, not {header!r}")
    verdict, title, exercise = fields
    codes, *notes = verdict.split("+")
    return Attempt(
        codes=tuple(code.strip() for code in codes.split(",")),
        notes=frozenset(note.strip() for note in notes),
        title=title,
        exercise=exercise,
        code=code.rstrip("\n") + "\n",
        file=file,
    )


def notebook(attempt: Attempt) -> str:
    """Return the attempt as a notebook (format 4): magics on top, one cell for each definition, words in between."""
    cells = [_cell("markdown", f"# {attempt.title}"), _cell("code", "%matplotlib inline\n!nvidia-smi")]
    cells += [_cell("code", source) for source in _cells(attempt.code)]
    return json.dumps(
        {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}, ensure_ascii=False, indent=1
    )


def _cells(code: str) -> list[str]:
    try:
        statements = ast.parse(code).body
    except SyntaxError:
        return [code]
    lines = code.splitlines(keepends=True)
    starts = [0]
    for before, after in pairwise(statements):
        divided = any(isinstance(one, ast.FunctionDef | ast.ClassDef) for one in (before, after))
        if divided and (before.end_lineno or 0) < after.lineno:
            starts.append(before.end_lineno or 0)
    return ["".join(lines[start:stop]) for start, stop in zip(starts, [*starts[1:], len(lines)], strict=True)]


def _cell(kind: str, source: str) -> dict[str, object]:
    cell: dict[str, object] = {"cell_type": kind, "metadata": {}, "source": source}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})
