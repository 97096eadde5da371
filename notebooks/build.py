"""Write the notebooks from their sources, each in two languages, and run them: ``make notebooks``.

``lesson.toml`` makes ``lesson.en.ipynb`` and ``lesson.ko.ipynb``, ``next.toml`` the two that go on from there. A cell
of a source has an ``id`` and either ``en`` and ``ko`` texts in Markdown, or ``code`` that both languages share. Words
inside code, such as a comment, stand as ``«name»`` and are given in ``en.name`` and ``ko.name``. ``kind = "exercise"``
marks a cell that a learner completes, ``kind = "solution"`` one that a notebook shows folded.

The notebooks carry what their cells print and draw, so that they can be read where nothing runs. On one machine, with
the versions of ``constraints.txt``, two runs write the same bytes.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import re
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat import v4
from PIL import Image

HERE = Path(__file__).parent
LANGUAGES = ("en", "ko")
NOTEBOOKS = tuple((name, language) for name in ("lesson", "next") for language in LANGUAGES)
_METADATA: dict[str, dict[str, Any]] = {
    "": {},
    "exercise": {"tags": ["exercise", "raises-exception"]},
    "solution": {"jupyter": {"source_hidden": True}, "tags": ["solution"]},
}
_LONGEST = 120  # seconds that a cell may take


def path(name: str, language: str) -> Path:
    """Return where a notebook lies."""
    return HERE / f"{name}.{language}.ipynb"


def notebook(name: str, language: str) -> nbformat.NotebookNode:
    """Return a notebook as its source says, without outputs."""
    with (HERE / f"{name}.toml").open("rb") as file:
        cells = tomllib.load(file)["cell"]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}, "language": language}
    return v4.new_notebook(cells=[_cell(cell, language) for cell in cells], metadata=metadata)


def written(content: nbformat.NotebookNode) -> str:
    """Return a notebook as its file holds it, to the byte."""
    return str(nbformat.writes(content)) + "\n"


def executed(home: Path) -> dict[tuple[str, str], nbformat.NotebookNode]:
    """Return all notebooks with their outputs, run in real kernels that see nothing of this machine's own settings.

    They work in ``home / "work"`` and leave nothing there.
    """
    surroundings = {
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "SUMTOONE_CACHE": str(home / "cache"),
        "SUMTOONE_OFFLINE": "1",
        "LANG": "C.UTF-8",
        "COLUMNS": "80",
        # Sums are rounded otherwise with another number of threads.
        "OMP_NUM_THREADS": "1",
        # Where tqdm is installed, it complains about widgets that a notebook may lack.
        "PYTHONWARNINGS": "ignore:IProgress not found",
    }
    work = home / "work"
    work.mkdir()
    before = dict(os.environ)
    try:
        os.environ.pop("SUMTOONE_LANG", None)
        os.environ.update(surroundings)
        return asyncio.run(_run_all(work))
    finally:
        os.environ.clear()
        os.environ.update(before)


async def _run_all(work: Path) -> dict[tuple[str, str], nbformat.NotebookNode]:
    """Run the two languages of a notebook side by side, one notebook after the other."""
    done = {}
    for name in dict.fromkeys(name for name, _ in NOTEBOOKS):
        ran = await asyncio.gather(*(_run(name, language, work) for language in LANGUAGES))
        done |= {(name, language): content for language, content in zip(LANGUAGES, ran, strict=True)}
    return done


async def _run(name: str, language: str, work: Path) -> nbformat.NotebookNode:
    plain, content = notebook(name, language), notebook(name, language)
    resources = {"metadata": {"path": str(work)}}
    await NotebookClient(
        content,
        timeout=_LONGEST,
        iopub_timeout=_LONGEST,  # where a machine is busy, what a cell printed would be given up after four
        resources=resources,
        record_timing=False,
        coalesce_streams=True,
    ).async_execute()
    content.metadata = plain.metadata
    for cell in content.cells:
        for output in cell.get("outputs", []):
            _tidy(output)
    return content


def _tidy(output: nbformat.NotebookNode) -> None:
    """Leave out of an output what differs from machine to machine, and make its picture small."""
    if output.output_type == "error":
        # The frames of a traceback name this machine's folders.
        output.traceback = [f"{output.ename}: {output.evalue}"]
    elif output.output_type == "stream":
        # The build of PyTorch stands behind its version.
        output.text = re.sub(r"(?<=\d)\+(cpu|cu\d+)\b", "", output.text)
    elif "image/png" in output.get("data", {}):
        output.data["image/png"] = _small(output.data["image/png"])
        output.metadata = {}


def _small(picture: str) -> str:
    """Return a picture in 64 colours: our curves, bars and greys need no more."""
    smaller = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        image.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(smaller, "png", optimize=True)
    return base64.b64encode(smaller.getvalue()).decode() + "\n"


def _cell(cell: dict[str, Any], language: str) -> nbformat.NotebookNode:
    if "code" not in cell:
        return v4.new_markdown_cell(cell[language].strip(), id=cell["id"])
    words = cell.get(language, {})
    source = re.sub(r"«([a-z]+)»", lambda match: words[match[1]], cell["code"].strip())
    return v4.new_code_cell(source, id=cell["id"], metadata=_METADATA[cell.get("kind", "")])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for key, made in executed(Path(folder)).items():
            path(*key).write_text(written(made), encoding="utf-8")
