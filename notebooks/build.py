"""Write ``lesson.en.ipynb`` and ``lesson.ko.ipynb`` from ``source.toml``: ``make notebooks``.

A cell of the source has an ``id`` and either ``en`` and ``ko`` texts in Markdown, or ``code`` that both languages
share. Words inside code, such as a comment, stand as ``«name»`` and are given in ``en.name`` and ``ko.name``.
``kind = "exercise"`` marks the cell that fails until a learner completes it, ``kind = "solution"`` one that a
notebook shows folded.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import nbformat
from nbformat import v4

HERE = Path(__file__).parent
LANGUAGES = ("en", "ko")
_METADATA: dict[str, dict[str, Any]] = {
    "": {},
    "exercise": {"tags": ["exercise", "raises-exception"]},
    "solution": {"jupyter": {"source_hidden": True}, "tags": ["solution"]},
}


def path(language: str) -> Path:
    """Return where the notebook of a language lies."""
    return HERE / f"lesson.{language}.ipynb"


def notebook(language: str) -> nbformat.NotebookNode:
    """Return the notebook of a language, without outputs."""
    with (HERE / "source.toml").open("rb") as file:
        cells = tomllib.load(file)["cell"]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}, "language": language}
    return v4.new_notebook(cells=[_cell(cell, language) for cell in cells], metadata=metadata)


def rendered(language: str) -> str:
    """Return the notebook file of a language, to the byte."""
    return str(nbformat.writes(notebook(language))) + "\n"


def _cell(cell: dict[str, Any], language: str) -> nbformat.NotebookNode:
    if "code" not in cell:
        return v4.new_markdown_cell(cell[language].strip(), id=cell["id"])
    words = cell.get(language, {})
    source = re.sub(r"«([a-z]+)»", lambda match: words[match[1]], cell["code"].strip())
    return v4.new_code_cell(source, id=cell["id"], metadata=_METADATA[cell.get("kind", "")])


if __name__ == "__main__":
    for each in LANGUAGES:
        path(each).write_text(rendered(each), encoding="utf-8")
