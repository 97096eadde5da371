"""The README's commands and the docstrings' examples do what they say."""

from __future__ import annotations

import doctest
import json
import os
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

import sumtoone
from benchmarks import tables
from benchmarks.protocol import RECORDS

ROOT = Path(__file__).parent.parent
DOCUMENTS = ["README.md", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md")))]

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(sumtoone.__path__, "sumtoone.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", ["sumtoone", *MODULES])
def test_docstring_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(import_module(name), optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert result.failed == 0


def _blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(encoding="utf-8"), re.M | re.S)


def _shape(output: str) -> list[str]:
    """What must agree between two machines: the words; not the figures, the lengths of bars or the spaces between."""
    output = re.sub(r"[█▏▎▍▌▋▊▉▁-▇]+", "", output)
    output = re.sub(r"\d[\d.,:-]*%?", "#", output)
    return [re.sub(r"\s+", " ", line).strip() for line in output.splitlines() if line.strip()]


def _draw_seven(path: Path) -> None:
    """The drawing that the README asks about: a seven in blue ink on yellowish paper."""
    paper = Image.new("RGB", (400, 300), (235, 230, 215))
    ImageDraw.Draw(paper).line([(120, 60), (260, 60), (170, 240)], fill=(25, 30, 90), width=18, joint="curve")
    paper.save(path)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_blocks_run_top_to_bottom(document: str, tmp_path: Path) -> None:
    """Console blocks: each ``$ line`` prints what stands below it. Python blocks run in one interpreter."""
    _draw_seven(tmp_path / "seven.png")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    surroundings = {**os.environ, "PATH": path, "LANG": "C.UTF-8", "COLUMNS": "80"}
    for block in _blocks(document, "console"):
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.M):
            if command.startswith(("make ", "git ")):
                continue  # the tests run inside of these
            done = subprocess.run(
                command, shell=True, cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False
            )
            shown = done.stdout + done.stderr
            assert _shape(shown) == _shape(expected), f"{command}\n{shown}"
    python = "\n".join(_blocks(document, "python"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", python],
        cwd=tmp_path,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    words = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", words):
        assert ((ROOT / document).parent / target).exists(), target


def test_the_tables_are_made_from_the_records() -> None:
    pages = [page.read_text(encoding="utf-8") for page in tables.PAGES]
    assert [tables.rendered(page) for page in pages] == pages
    shown = [re.findall("^<!-- table: (.*) -->$", page, re.M) for page in pages]
    assert shown == [["ratios"], ["softmax", "epoch", "accuracy", "shapes", "inference"]]
    assert tables.PICTURE.read_bytes().startswith(b"\x89PNG")


def test_every_record_says_where_it_was_measured() -> None:
    for path in RECORDS.glob("*.json"):
        machine = json.loads(path.read_text(encoding="utf-8"))["machine"]
        assert {"processor", "cores", "python", "versions", "date"} <= set(machine)


def test_the_readme_lists_every_verb() -> None:
    from sumtoone.cli import app

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in app.registered_commands:
        assert f"sumtoone {command.name}" in readme


def test_the_versions_agree() -> None:
    assert f"## {sumtoone.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
