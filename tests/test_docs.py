"""The README's commands and the docstrings' examples do what they say."""

from __future__ import annotations

import ast
import doctest
import json
import os
import pkgutil
import re
import subprocess
import sys
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path

import pytest
import torch

import sumtoone
import warm
from benchmarks import tables
from benchmarks.protocol import RECORDS
from docs import blocks, website
from sumtoone import Dataset, Network, errors, fit
from sumtoone.data import named, sources
from sumtoone.errors import SumtooneError
from sumtoone.language import entries
from sumtoone.options import COUNTS, DEVICES, ENGINES, OPTIMIZERS, SCHEDULES, TrainingOptions

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    "README.md",
    "README.ko.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md"))),
]

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


@dataclass(frozen=True)
class _Page:
    """What the website's hooks read of MkDocs's own pages."""

    src_uri: str

    @property
    def file(self) -> _Page:
        return self


def _text(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def _blocks(document: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page, each with its language."""
    return re.findall(r"^```(\w*)\n(.*?)^```", _text(document), re.M | re.S)


def _shape(output: str) -> list[str]:
    """What must agree between two machines: the words; not the figures, the lengths of bars or the spaces between."""
    output = re.sub(r"[█▏▎▍▌▋▊▉▁-▇]+", "", output)
    output = re.sub(r"\d[\d.,:-]*%?", "#", output)
    return [re.sub(r"\s+", " ", line).strip() for line in output.splitlines() if line.strip()]


# Runs a page from top to bottom, in one interpreter; what each command printed goes to a file, a line for each.
_RUN = """
import json, subprocess, sys
def _sh(command):
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with open(sys.argv[1], "a") as shown:
        print(json.dumps([command, done.stdout]), file=shown)
"""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_blocks_run_top_to_bottom(document: str, tmp_path: Path) -> None:
    """Console blocks: each ``$ line`` prints what stands below it. Python blocks run in one interpreter.

    A Python block whose first line is ``# my_file.py`` is the file of that name.
    """
    home, shown, spoken = tmp_path / "clone", tmp_path / "shown", "ko" if document.endswith(".ko.md") else "en"
    commands = tmp_path / "commands"
    for folder in (home, commands):
        folder.mkdir()
    for name in ("docs", "notebooks"):
        (home / name).symlink_to(ROOT / name, target_is_directory=True)
    script, expected = [_RUN], []
    for language, block in _blocks(document):
        named = re.match(r"# (\w+\.py)\n", block)
        if language == "python" and named:
            (home / named[1]).write_text(block, encoding="utf-8")
        elif language == "python":
            script.append(block)
        elif language == "console":
            for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.M):
                if not command.startswith(("make ", "git ")):  # the tests run inside of these
                    script.append(f"_sh({command!r})")
                    expected.append((command, _shape(output)))
    # The first page as its reader types it; the others beside it, where the libraries are loaded already.
    typed = document == "README.md" or sys.platform != "linux"
    if not typed:
        warm.put_command(commands)
    path = os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "LANG": "C.UTF-8", "COLUMNS": "80", "SUMTOONE_LANG": spoken}
    if typed:
        command = [sys.executable, "-W", "error", "-c", "\n".join(script), shown]
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    else:
        done = warm.run("\n".join(script), shown, warn="error", cwd=home, env=environment)
    assert done.returncode == 0, done.stderr
    ran = [json.loads(line) for line in shown.read_text().splitlines()] if shown.exists() else []
    assert [(command, _shape(output)) for command, output in ran] == expected


def _code(block: tuple[str, str]) -> list[str]:
    """What two languages share of a block: commands without their output, code without its comments."""
    language, lines = block[0], block[1].splitlines()
    if language == "console":
        return [re.sub(r"\s+# .*", "", line) for line in lines if line.startswith("$ ")]
    return [line for line in (re.sub(r"(^|\s+)# .*", "", line) for line in lines) if line]


def _targets(document: str) -> list[str]:
    """Where the links of a page lead, in their order; the README of the other language counts as one of this."""
    return re.findall(r"\]\(([^)\s]+)\)", _text(document).replace("README.ko.md", "README.md"))


def test_both_readmes_say_the_same() -> None:
    english, korean = "README.md", "README.ko.md"
    assert list(map(_code, _blocks(english))) == list(map(_code, _blocks(korean)))
    assert _targets(english) == _targets(korean)
    words = {name: re.sub(r"^```.*?^```", "", _text(name), flags=re.M | re.S) for name in (english, korean)}
    for what in (r"^#+ ", r"^- ", r"<!-- .*? -->"):
        assert re.findall(what, words[english], re.M) == re.findall(what, words[korean], re.M)
    assert "(README.ko.md)" in words[english]
    assert "(README.md)" in words[korean]


def test_softmax_by_hand_says_the_same_in_both_languages() -> None:
    english, korean = "docs/softmax-by-hand.md", "docs/softmax-by-hand.ko.md"
    assert list(map(_code, _blocks(english))) == list(map(_code, _blocks(korean)))
    targets = [target.replace("hand.ko.md", "hand.md").replace(".ko.ipynb", ".en.ipynb") for target in _targets(korean)]
    assert targets == [target.replace("hand.ko.md", "hand.md") for target in _targets(english)]
    assert re.findall("^#+ ", _text(english), re.M) == re.findall("^#+ ", _text(korean), re.M)


@pytest.mark.parametrize(("page", "language"), [("softmax-by-hand.md", "en"), ("softmax-by-hand.ko.md", "ko")])
def test_softmax_by_hand_shows_the_shapes_that_explain_draws(page: str, language: str) -> None:
    """To the letter: on this page the numbers are the lesson."""
    shown = _text(f"docs/{page}")
    assert len(re.findall(r"^\$ sumtoone explain", shown, re.M)) == 6
    assert blocks.renewed(shown, language) == shown, f"run: python docs/blocks.py docs/{page}"


@pytest.mark.parametrize("document", ["README.md", "README.ko.md"])
def test_the_tests_that_a_readme_names_are_there(document: str) -> None:
    named = re.findall(r"\[(test_\w+)\]\((tests/\w+\.py)\)", _text(document))
    assert named
    for test, file in named:
        assert f"\ndef {test}(" in _text(file)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    words = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", words):
        assert ((ROOT / document).parent / target).exists(), target


def _variables(source: str) -> set[str]:
    """The environment variables that a file of Python reads: the names in statements that speak of ``os.environ``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.expr) or (isinstance(node, ast.stmt) and not hasattr(node, "body")):
            inner = list(ast.walk(node))
            if any(isinstance(part, ast.Attribute) and part.attr in ("environ", "getenv") for part in inner):
                found |= {str(part.value) for part in inner if isinstance(part, ast.Constant)}
    return {name for name in found if re.fullmatch(r"[A-Z][A-Z_]+", name)}


def test_every_environment_variable_is_documented() -> None:
    package = Path(sumtoone.__file__).parent
    read = {name for path in package.rglob("*.py") for name in _variables(path.read_text(encoding="utf-8"))}
    for path in [*package.rglob("*.cpp"), *package.rglob("*.h")]:
        read |= set(re.findall(r'getenv\("(\w+)"\)', path.read_text(encoding="utf-8")))
    assert {"SUMTOONE_DATA", "SUMTOONE_TRACEBACK", "LC_ALL"} <= read
    page = _text("docs/environment.md")
    ours, others = page.split("\n## ")[1:]
    assert read == set(re.findall(r"`([A-Z_]+)`", "".join(re.findall(r"^\| (`.*?) \|", ours, re.M))))
    assert {"COLUMNS", "OMP_NUM_THREADS"} <= set(re.findall(r"`([A-Z_]+)`", others))


def test_every_error_code_is_on_its_page() -> None:
    page, words = website.error_codes(), entries("en")
    assert website.on_page_markdown(_text("docs/errors.md"), _Page("errors.md")).endswith(page + "\n")
    codes = {key.split(".")[1] for key in words if re.fullmatch(r"error\.[^.]+\.message", key)}
    assert re.findall(r"^### (.*)$", page, re.M) == sorted(codes)
    for code in codes:
        section = page.split(f"### {code}\n")[1].split("\n### ")[0].replace("\\", "")
        assert " ".join(words[f"error.{code}.message"].split()).replace("\\", "") in section
        assert re.findall(r"^- \*\*(\w+)\*\*: \S", section, re.M) == ["expected", "got", "try"]


def test_every_code_of_a_verdict_is_on_its_page() -> None:
    page, words = website.verdict_codes(), entries("en")
    assert website.on_page_markdown(_text("docs/verdicts.md"), _Page("verdicts.md")).endswith(page + "\n")
    keys = [key.split(".")[1:-1] for key in words if key.startswith("verdict.") and key.endswith(".text")]
    codes = {parts[-1] for parts in keys}
    assert re.findall(r"^### (.*)$", page, re.M) == sorted(codes)
    for *exercise, code in keys:
        section = page.split(f"### {code}\n")[1].split("\n### ")[0].replace("\\", "")
        said = " ".join(words[".".join(["verdict", *exercise, code, "text"])].split()).replace("\\", "")
        assert (f"- **{exercise[0]}**: {said}" if exercise else said) in section
    rows = "".join(re.findall(r"^\| .* \|$", _text("docs/verdicts.md"), re.M))
    assert set(re.findall(r"`([\w-]+)`", rows)) - {"softmax"} == codes


def test_every_exercise_and_option_is_on_the_page_about_checking() -> None:
    import inspect

    from sumtoone.checking import exercises
    from sumtoone.cli.check import check

    page = _text("docs/checking.md")
    assert re.findall(r"^\| `([\w-]+)` \|", page.split("## The exercises")[1].split("\n## ")[0], re.M) == list(
        exercises.names()
    )
    options = {name.strip("_").replace("as_", "") for name in inspect.signature(check).parameters} - {"paths"}
    assert options - {"quiet", "lang"} <= set(re.findall(r"--(\w+)", page))


def test_an_errors_texts_are_shown_as_they_are(tmp_path: Path) -> None:
    texts = tmp_path / "en.toml"
    texts.write_text(
        '[error]\ngot = "got"\n[error.default]\ngot = "{given}"\n'
        '[error.b]\nmessage = "**{x}**\\ny"\ntry = "a_b"\n[error.a]\nmessage = "<i>"\n'
    )
    given = "- **got**: \\{given\\}"
    assert website.error_codes(texts) == (
        f"### a\n\n\\<i\\>\n\n{given}\n\n### b\n\n\\*\\*\\{{x\\}}\\*\\* y\n\n{given}\n- **try**: a\\_b"
    )


def test_every_class_of_errors_is_in_the_table() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SumtooneError)]
    table = re.findall(r"^\| `(\w+Error\w*)` \| (.*?) \| (\d+) \|", _text("docs/errors.md"), re.M)
    shown = {name: (base.strip("` "), int(code)) for name, base, code in table}
    builtin = [next(base.__name__ for base in kind.__mro__ if base.__module__ == "builtins") for kind in kinds]
    expected = {kind.__name__: (base, kind.exit_code) for kind, base in zip(kinds, builtin, strict=True)}
    assert expected.pop("SumtooneError") == ("Exception", 3)
    assert shown == expected


def test_the_python_reference_is_complete() -> None:
    named = re.findall(r"^::: sumtoone\.(\w+)$", _text("docs/python.md"), re.M)
    assert len(named) == len(set(named))
    assert set(named) == {*sumtoone.__all__, "plots", "lesson", "helper"} - {"__version__"}


def test_every_training_option_is_documented() -> None:
    rows = re.findall(r"^\| `--([\w-]+)` \| `(\w+)` \| (.*?) \| (.*) \|$", _text("docs/training.md"), re.M)
    shown = {name: (option, default, values) for option, name, default, values in rows}
    assert list(shown) == [field.name for field in fields(TrainingOptions)]
    for field in fields(TrainingOptions):
        option, default, values = shown[field.name]
        assert option == field.name.replace("_", "-")
        if field.default is not None and field.default is not False:
            assert default.strip("`") == str(field.default).removesuffix(".0")
        if field.name in COUNTS:
            assert values.startswith("{:,} to {:,}".format(*COUNTS[field.name]))
    for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("engine", ENGINES), ("device", DEVICES)):
        assert shown[name][2] == ", ".join(f"`{value}`" for value in known)


def test_the_website_is_built_without_a_warning_and_its_search_finds_what_people_look_for(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    index = json.loads((tmp_path / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    found: dict[str, str] = {}
    for section in index:
        page = section["location"].partition("#")[0]
        found[page] = found.get(page, "") + section["title"] + " " + section["text"] + " "
    wanted = {
        "errors.html": re.findall(r"^### (.*)$", website.error_codes(), re.M),
        "verdicts.html": re.findall(r"^### (.*)$", website.verdict_codes(), re.M),
        "environment.html": re.findall(r"`([A-Z]+_[A-Z_]+)`", _text("docs/environment.md")),
        "json.html": re.findall(r'"(\w+)":', "".join(block for _, block in _blocks("docs/json.md"))),
        "python.html": [name for name in sumtoone.__all__ if name != "__version__"],
    }
    for page, words in wanted.items():
        assert [word for word in words if not re.search(rf"\b{re.escape(word)}\b", found[page])] == []
    for page in tmp_path.glob("*.html"):
        assert not re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="https?:[^"]*"', page.read_text(encoding="utf-8"))


def test_every_name_of_a_data_set_is_documented() -> None:
    rows = re.findall(r"^\| (`.*`) \| ([\d,]+) \| (\d+) \|$", _text("docs/data.md"), re.M)
    shown = {name: (total, int(classes)) for names, total, classes in rows for name in re.findall("`(.*?)`", names)}
    known = {name: (f"{sum(source.rows):,}", len(source.classes)) for name, source in sources.SOURCES.items()}
    assert shown == {named.BUILT_IN: ("5,000", 10), **known}


def test_every_file_and_key_of_a_run_is_documented(tmp_path: Path) -> None:
    data = Dataset.from_arrays(torch.arange(40.0).view(20, 2), [0, 1] * 10)
    plain, module = tmp_path / "plain", tmp_path / "module"
    run = fit(Network("2-2"), data, epochs=1, out=plain)
    fit(torch.nn.Sequential(torch.nn.Linear(2, 2)), data, epochs=1, out=module)
    classifier = tmp_path / "classifier"
    sumtoone.Classifier((), epochs=1).fit(data.train.inputs.numpy(), data.train.labels.numpy()).save(classifier)
    documents = [json.loads((folder / "run.json").read_text()) for folder in (plain, module, classifier)]
    page = _text("docs/runs.md")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.M))
    assert set(rows) == {key for document in documents for key in document}
    for document in documents:
        for key in ("specification", "module", "preprocessing", "data", "environment", "digests"):
            inner = {name.partition(".")[0] for name in document.get(key) or {}}
            assert inner <= set(re.findall(r"`(\w+)", rows[key])), key
    for path in plain.iterdir():
        assert f"| `{path.name}` |" in page
    assert run.history.rows[0].keys() == set(
        re.findall(r'"(\w+)"', page.split("lines[0].keys() == {")[1].split("}")[0])
    )


def test_links_between_readme_and_website() -> None:
    assert website.on_page_markdown("[a](../README.md) [b](../tests/x.py) [c](data.md)", _Page("index.md")) == (
        "[a](start.md) b (`tests/x.py`) [c](data.md)"
    )
    assert website.on_page_markdown("[a](README.ko.md) [b](tests/x.py) [c](data.md#x)", _Page("start.md")) == (
        "[a](start.ko.md) b (`tests/x.py`) [c](data.md#x)"
    )


def test_the_tables_are_made_from_the_records() -> None:
    pages = [page.read_text(encoding="utf-8") for page in tables.PAGES]
    assert list(map(tables.rendered, tables.PAGES)) == pages
    shown = [re.findall("^<!-- table: (.*) -->$", page, re.M) for page in pages]
    of_judging = ["judges", "notebooks", "checking", "leaks"]
    of_training = ["softmax", "epoch", "accuracy", "compare", "shapes", "estimator", "inference"]
    assert shown == [["ratios"], ["ratios"], [*of_training, *of_judging, "serving", "ladder"]]
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
