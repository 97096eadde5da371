"""The notebooks: one source for two languages, the same code, every cell runs, and a file holds what a run gives.

The programs that a learner runs in them are judged by ``%%check``, as everywhere; what the cells draw is counted.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import nbformat
import pytest

import sumtoone as s1
from sumtoone.checking.exercises import find
from sumtoone.language import speaking

ROOT = Path(__file__).parent.parent
NOTEBOOKS = Path(__file__).parent.parent / "notebooks"

_SPECIFICATION = importlib.util.spec_from_file_location("notebooks_build", NOTEBOOKS / "build.py")
assert _SPECIFICATION is not None
assert _SPECIFICATION.loader is not None
build = importlib.util.module_from_spec(_SPECIFICATION)
_SPECIFICATION.loader.exec_module(build)


def _committed(name: str, language: str) -> Any:
    return nbformat.read(build.path(name, language), as_version=4)


def _cell(notebook: Any, name: str) -> Any:
    return next(cell for cell in notebook.cells if cell.id == name)


def _printed(cell: Any) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def _code(cell: Any) -> ast.Module:
    """The cell's program: without magics, and with all strings alike. Comments are no part of it."""
    tree = ast.parse("".join(line for line in cell.source.splitlines(keepends=True) if not line.startswith("%")))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return tree


def _pictures(notebook: Any) -> list[str]:
    """The cells that draw, once for each picture."""
    outputs = [(cell.id, output) for cell in notebook.cells for output in cell.get("outputs", [])]
    return [name for name, output in outputs if "image/png" in output.get("data", {})]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Any]:
    """All notebooks, run in real kernels."""
    home = tmp_path_factory.mktemp("home")
    before = dict(os.environ)
    notebooks: dict[tuple[str, str], Any] = build.executed(home)
    assert dict(os.environ) == before
    assert list((home / "work").iterdir()) == []
    return notebooks


each_notebook = pytest.mark.parametrize(("name", "language"), build.NOTEBOOKS)


@each_notebook
def test_the_committed_notebooks_are_what_the_source_makes(name: str, language: str) -> None:
    committed = _committed(name, language)
    assert build.path(name, language).read_text(encoding="utf-8") == build.written(committed)
    for cell in committed.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    assert build.written(committed) == build.written(build.notebook(name, language)), "run: make notebooks"


@each_notebook
def test_the_notebooks_are_valid_small_and_name_no_folder_of_the_machine_they_ran_on(name: str, language: str) -> None:
    notebook = _committed(name, language)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert build.path(name, language).stat().st_size < 2**18
    programs = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in programs] == list(range(1, len(programs) + 1))
    for cell in programs:
        for output in cell.outputs:
            words = _words(output)
            assert not re.search(r"/(home|root|tmp|work|usr)/| at 0x|\x1b", words), f"{cell.id}: {words}"


def _words(output: Any) -> str:
    """What a person reads of an output: all but its picture."""
    if output.output_type == "error":
        return "\n".join([output.ename, output.evalue, *output.traceback])
    data = output.get("data", {})
    return "\n".join([str(output.get("text", "")), *(str(data[kind]) for kind in sorted(data) if kind != "image/png")])


_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]\d+)?")


def _near(one: str, other: str) -> bool:
    """Whether two numbers are the same but for what another processor rounds otherwise: shapes and counts are not."""
    if one.isdigit() and other.isdigit():
        return int(one) == int(other)
    a, b = float(one), float(other)
    return abs(a - b) <= 0.05 * max(abs(a), abs(b)) + 0.02


def test_only_what_rounding_may_change_counts_as_near() -> None:
    assert _near("0.7054", "0.7055")
    assert _near("94.0", "93.1")
    assert not _near("0.9", "0.8")
    assert not _near("10", "64")
    assert not _near("784", "750")


@each_notebook
def test_the_outputs_in_the_file_are_those_of_a_fresh_run(
    executed: dict[tuple[str, str], Any], name: str, language: str
) -> None:
    fresh, committed = executed[name, language], _committed(name, language)
    assert _pictures(fresh) == _pictures(committed)
    for ours, theirs in zip(committed.cells, fresh.cells, strict=True):
        if ours.cell_type != "code":
            continue
        said = [[_words(output) for output in cell.outputs] for cell in (ours, theirs)]
        stored, ran = ("\n".join(lines) for lines in said)
        assert _NUMBER.sub("#", stored) == _NUMBER.sub("#", ran), f"{ours.id}: run: make notebooks"
        numbers = zip(_NUMBER.findall(stored), _NUMBER.findall(ran), strict=True)
        assert [pair for pair in numbers if not _near(*pair)] == [], ours.id


@pytest.mark.parametrize("name", ["lesson", "next"])
def test_both_languages_have_the_same_cells_and_the_same_code(name: str) -> None:
    english, korean = (_committed(name, language).cells for language in ("en", "ko"))
    assert [(cell.id, cell.cell_type, cell.metadata) for cell in english] == [
        (cell.id, cell.cell_type, cell.metadata) for cell in korean
    ]
    for ours, theirs in zip(english, korean, strict=True):
        if ours.cell_type == "code":
            assert ast.dump(_code(ours)) == ast.dump(_code(theirs)), ours.id


@pytest.mark.parametrize("name", ["lesson", "next"])
def test_both_languages_have_the_same_headings_and_snippets(name: str) -> None:
    """Headings of the same levels, the same list items and formulas, and in Korean every text in Korean."""
    for ours, theirs in zip(_committed(name, "en").cells, _committed(name, "ko").cells, strict=True):
        if ours.cell_type != "markdown":
            continue
        assert re.search("[가-힣]", theirs.source), theirs.id
        assert not re.search("[가-힣]", ours.source), ours.id
        for pattern in (r"^#+ ", r"^- |^\d\. ", r"\$\$.*\$\$", r"<\w+>", r"`[^`]+`"):
            found = [sorted(re.findall(pattern, cell.source, re.M)) for cell in (ours, theirs)]
            assert found[0] == found[1], ours.id


@pytest.mark.parametrize("name", ["lesson", "next"])
def test_no_words_are_left_unfilled_or_unused(name: str) -> None:
    source = (NOTEBOOKS / f"{name}.toml").read_text(encoding="utf-8")
    for cell in tomllib.loads(source)["cell"]:
        for language in build.LANGUAGES:
            words = cell.get(language)
            given = set(words) if isinstance(words, dict) else set()
            assert given == set(re.findall(r"«(\w+)»", cell.get("code", ""))), cell["id"]


@pytest.mark.parametrize("language", build.LANGUAGES)
def test_every_cell_runs_and_only_the_exercise_fails(executed: dict[tuple[str, str], Any], language: str) -> None:
    for name in ("lesson", "next"):
        for cell in executed[name, language].cells:
            for output in cell.get("outputs", []):
                assert output.get("name") != "stderr", f"{cell.id}: {output.get('text')}"
                assert output.output_type != "error" or "exercise" in cell.metadata.tags, cell.id
    error = _cell(executed["lesson", language], "exercise-code").outputs[0]
    assert error.ename == "UsageError"
    with speaking(language):
        assert error.evalue == str(s1.UsageError("module-no-parameters", given="MyNetwork"))


@pytest.mark.parametrize("language", build.LANGUAGES)
def test_the_cells_show_what_their_texts_promise(executed: dict[tuple[str, str], Any], language: str) -> None:
    notebook = executed["lesson", language]
    assert "tensor([0.7054, 0.2595, 0.0351])" in _printed(_cell(notebook, "softmax-steps"))
    assert "torch.Size([64, 784]) -1.0 1.0" in _printed(_cell(notebook, "data-batch"))
    refusal = "The size of tensor a (10) must match the size of tensor b (64) at non-singleton dimension 1\n"
    assert _printed(_cell(notebook, "column-fails")) == refusal
    with speaking(language):
        assert _printed(_cell(notebook, "column-explained")) == f"{s1.explain('a / b', a=(64, 10), b=(64,))}\n"
        assert _printed(_cell(notebook, "square-code")).endswith(f"{s1.explain('a / b', a=(10, 10), b=(10,))}\n")
    assert "a / b.view(64, 1)" in _printed(_cell(notebook, "column-explained"))
    assert "torch.Size([10, 10]) torch.Size([10, 10])" in _printed(_cell(notebook, "square-code"))
    registered = "cannot assign module before Module.__init__() call\nlist: 0\nnn.ModuleList: 4\n"
    assert _printed(_cell(notebook, "registered-code")) == registered
    assert _printed(_cell(notebook, "equal-code")) == "True\nTrue\nTrue\n"
    assert re.findall("True|False", _printed(_cell(notebook, "linear-code"))) == ["True", "False"]
    assert _cell(notebook, "solution").outputs[0].data["text/plain"] == "True"
    overflow = "tensor([[nan, 0.]])\ntensor([[1., 0.]])\ntensor([[1., 0.]])\n"
    assert _printed(_cell(notebook, "overflow-code")) == overflow
    logarithm = "tensor([[0., -inf]])\ntensor([[   0., -200.]])\ntensor(200.)\n"
    assert _printed(_cell(notebook, "logarithm-code")) == logarithm
    assert re.findall(r"[\d.]+%? ?", _printed(_cell(notebook, "twice-code"))) == ["100% ", "0.00", "23% ", "1.46"]


@pytest.mark.parametrize("language", build.LANGUAGES)
def test_training_lowers_the_loss_and_pictures_are_shown_once(
    executed: dict[tuple[str, str], Any], language: str
) -> None:
    notebook = executed["lesson", language]
    losses = [float(line.split()[1]) for line in _printed(_cell(notebook, "training-loop")).splitlines()]
    assert len(losses) == 3
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.5
    assert float(_printed(_cell(notebook, "evaluate")).rstrip("%\n")) > 90
    assert _pictures(notebook) == [
        "data-look",
        "by-hand-shapes",
        "activations-plot",
        "untrained-code",
        "fit-code",
        "predictions-code",
        "evaluate",
    ]


def test_the_solution_fills_the_exercise() -> None:
    notebook = _committed("lesson", "en")
    exercise, solution = _cell(notebook, "exercise-code"), _cell(notebook, "solution")
    assert solution.metadata.jupyter.source_hidden
    for name, cell in (("MyNetwork", exercise), ("Solution", solution)):
        last = f'helper.test_network({name}(), loader, exercise="relu-network")'
        assert cell.source.splitlines()[-1] == last
        assert cell.source.count(name) == 2


# --- what comes after the lesson

EXERCISES = ("cross-entropy", "softmax-gradient", "temperature")


@pytest.mark.parametrize("language", build.LANGUAGES)
def test_stubs_fail_and_solutions_pass(executed: dict[tuple[str, str], Any], language: str) -> None:
    notebook = executed["next", language]
    for exercise in EXERCISES:
        stub, solution = _cell(notebook, f"{exercise}-code"), _cell(notebook, f"{exercise}-solution")
        assert stub.metadata.tags == ["exercise", "raises-exception"]
        assert solution.metadata.jupyter.source_hidden
        assert stub.source.splitlines()[0] == solution.source.splitlines()[0] == f"%%check {exercise}"
        assert f"{exercise} · " in _printed(stub)
        assert "(template)" in _printed(stub)
        assert "(correct)" in _printed(solution)
        # The cell asks for what the exercise's own stub asks for.
        assert re.search(r"^def .*", stub.source, re.M)[0] == re.search(r"^def .*", find(exercise).stub, re.M)[0]


@pytest.mark.parametrize("language", build.LANGUAGES)
def test_the_temperature_is_judged(executed: dict[tuple[str, str], Any], language: str) -> None:
    notebook = executed["next", language]
    error = _cell(notebook, "fitting-code").outputs[0]
    assert error.ename == "AssertionError"
    asked, lowest = map(float, re.findall(r"\d\.\d{3}", error.evalue))
    assert lowest < asked - 0.05
    assert 1.5 < float(_printed(_cell(notebook, "fitting-solution"))) < 4


@pytest.mark.parametrize("language", build.LANGUAGES)
def test_the_next_cells_show_what_their_texts_promise(executed: dict[tuple[str, str], Any], language: str) -> None:
    notebook = executed["next", language]
    assert [line.split()[1] for line in _printed(_cell(notebook, "loss-code")).splitlines()] == [
        *("0.00", "0.11", "0.69", "2.30", "6.91")
    ]
    by_hand = [float(line.split()[1]) for line in _printed(_cell(notebook, "by-hand-code")).splitlines()]
    assert by_hand == sorted(by_hand, reverse=True)
    before, few, shuffled = re.findall(r": (.*?)%?$", _printed(_cell(notebook, "checks-code")), re.M)
    assert 2 < float(before) < 4
    assert float(few) < 0.01
    assert 4 <= float(shuffled) <= 16
    plain, warmed = [line.split() for line in _printed(_cell(notebook, "test-code")).splitlines()]
    assert plain[1] == warmed[1]
    assert float(warmed[2]) < 0.7 * float(plain[2])
    assert float(warmed[3]) < 0.5 * float(plain[3])
    assert _pictures(notebook) == ["curves-code", "calibration-code", "test-code"]
    for name in ("setup", "training-code", "report-code"):
        shown = _cell(notebook, name).outputs[-1].data
        assert len(shown["text/plain"].splitlines()) == 3
        assert "<table>" in shown["text/html"]


def test_a_notebook_that_is_handed_in_holds_its_exercises_and_no_other() -> None:
    with pytest.raises(s1.UsageError) as caught:
        s1.check(build.path("next", "en"))
    assert caught.value.got.endswith(f"which may be: {', '.join(EXERCISES)}")


# --- opening them


@pytest.mark.parametrize(
    ("surroundings", "opened"),
    [
        ({"SUMTOONE_LANG": "", "LANG": "C.UTF-8"}, "notebooks/lesson.en.ipynb"),
        ({"SUMTOONE_LANG": "", "LANG": "ko_KR.UTF-8"}, "notebooks/lesson.ko.ipynb"),
        ({"SUMTOONE_LANG": "ko", "LANG": "C.UTF-8", "LESSON": "next"}, "notebooks/next.ko.ipynb"),
    ],
)
def test_make_lesson_opens_the_notebook_of_the_users_language(surroundings: dict[str, str], opened: str) -> None:
    make = shutil.which("make")
    assert make is not None
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "MAKE"))}
    # What is installed already is not installed again, and in the place of JupyterLab stands a word.
    command = [
        make,
        "--silent",
        "--old-file=.venv/learning",
        "lesson",
        "JUPYTER=echo",
        f"BIN={Path(sys.executable).parent}",
    ]
    done = subprocess.run(
        command, cwd=ROOT, env={**environment, **surroundings}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{opened}\n", "")
    assert (ROOT / opened).exists()
