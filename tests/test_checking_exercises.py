"""The exercises are whole in both languages, begin unfinished, end right, and give nothing away on the way."""

from __future__ import annotations

import ast
import doctest
import fnmatch
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from sumtoone.checking import exercises, workbook
from sumtoone.checking.exercises import Exercise
from sumtoone.errors import DataError, UnavailableError, UsageError
from sumtoone.language import LANGUAGES, entries, speaking

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "src" / "sumtoone" / "checking" / "exercises"
PARTS = {"exercise.toml", "statement.en.md", "statement.ko.md", "stub.py", "solution.py"}
ALL = [exercises.find(name) for name in exercises.names()]
EVERY = pytest.mark.parametrize("exercise", ALL, ids=exercises.names())
_FUNCTIONS = [exercise for exercise in ALL if exercise.kind in ("softmax", "function")]
CALLED = pytest.mark.parametrize("exercise", _FUNCTIONS, ids=[exercise.name for exercise in _FUNCTIONS])


def _run(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {"images": torch.rand(64, 1, 28, 28), "torch": torch}
    exec(compile(source, "submission.py", "exec"), names)
    return names


# --- content


def test_every_folder_is_an_exercise_and_is_whole() -> None:
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(exercises.names())
    for name in folders:
        assert {path.name for path in (FOLDER / name).iterdir() if path.name != "__pycache__"} == PARTS, name


def test_the_lesson_comes_first() -> None:
    assert exercises.names()[:4] == ("handmade-network", "softmax", "sigmoid-network", "relu-network")


@EVERY
def test_points_sum_to_ten_and_every_case_has_words(exercise: Exercise) -> None:
    assert sum(case.points for case in exercise.cases) == 10
    assert len({case.name for case in exercise.cases}) == len(exercise.cases)
    for language in LANGUAGES:
        with speaking(language):
            assert all(case.title for case in exercise.cases)
    assert ("dim" in {case.name for case in exercise.cases}) == exercise.takes_dim


@EVERY
def test_kinds_have_what_they_need(exercise: Exercise) -> None:
    built = exercise.kind in ("network", "script")
    assert exercise.kind in ("softmax", "function", "network", "script")
    assert bool(exercise.sizes) == bool(exercise.activation) == built
    assert exercise.defines.isidentifier()
    assert all(name.isidentifier() for name in exercise.spellings)


def test_no_name_is_taken_for_two_exercises() -> None:
    taken: dict[str, str] = {}
    for exercise in ALL:
        for name in {each.lower().replace("_", "") for each in (exercise.defines, *exercise.spellings)}:
            assert taken.setdefault(name, exercise.name) == exercise.name


def _examples(exercise: Exercise, language: str) -> str:
    with speaking(language):
        return "\n".join(re.findall(r"```python\n(.*?)```", exercise.statement, re.DOTALL))


@EVERY
def test_both_languages_say_the_same(exercise: Exercise) -> None:
    structures = []
    for language in LANGUAGES:
        with speaking(language):
            statement, hints = exercise.statement, exercise.hints
        lines = statement.split("\n")
        korean = [bool(re.search("[가-힣]", text)) for text in (lines[0], *hints)]
        assert korean == [language == "ko"] * 4
        assert all(len(line) <= 120 for line in lines)
        marks = [re.match(r"#|\*|\d\.|```|>>>", line) for line in lines]
        structures.append([mark[0] for mark in marks if mark])
        structures[-1] += sorted(re.findall(r"`[^`\n]+`", statement))
    assert structures[0] == structures[1]
    assert _examples(exercise, "en") == _examples(exercise, "ko")


@EVERY
def test_titles_are_in_the_language_in_force(exercise: Exercise) -> None:
    titles = []
    for language in LANGUAGES:
        with speaking(language):
            titles.append(exercise.title)
            assert exercise.statement.startswith(f"# {exercise.title}\n")
    assert titles[0] != titles[1]


@EVERY
def test_the_solution_does_what_the_statement_shows(exercise: Exercise) -> None:
    test = doctest.DocTestParser().get_doctest(_examples(exercise, "en"), _run(exercise.solution), "statement", None, 0)
    assert test.examples
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert said == []


@EVERY
def test_stubs_run_and_are_unfinished(exercise: Exercise) -> None:
    assert f"sumtoone check {exercise.file_name}" in exercise.stub.splitlines()[1]
    made = _run(exercise.stub)[exercise.defines]
    if exercise.kind == "script":
        assert made is ...
    elif exercise.kind == "network":
        with pytest.raises(NotImplementedError):
            made()(torch.rand(2, 784))
    else:
        with pytest.raises(NotImplementedError):
            made(*[torch.ones(2, 2)] * made.__code__.co_argcount)


@EVERY
def test_stub_and_solution_say_the_same_of_themselves(exercise: Exercise) -> None:
    promises = []
    for source in (exercise.stub, exercise.solution):
        nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        promises.append([(node.name, (ast.get_docstring(node) or "").rpartition(" of each")[0]) for node in nodes])
    if exercise.kind != "script":
        assert promises[0] == promises[1]
    assert [name for name, _ in promises[0]] == [name for name, _ in promises[1]]


def _pieces(source: str) -> set[str]:
    """Every product, sum, call and index of a source, however it is spaced."""
    kinds = (ast.BinOp, ast.Call, ast.Subscript, ast.Attribute)
    return {re.sub(r"\s", "", ast.unparse(node)) for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)}


@EVERY
def test_nothing_gives_the_solution_away(exercise: Exercise) -> None:
    told = {"torch.randn", "torch.exp", "torch.sum", "nn.Linear", "nn.Module", "x.max", "torch.sigmoid"}
    answer = {piece for piece in _pieces(exercise.solution) - _pieces(exercise.stub) - told if len(piece) > 7}
    assert answer
    for language in LANGUAGES:
        with speaking(language):
            said = re.sub(r"\s", "", "\n".join([exercise.statement, *exercise.hints]))
        assert [piece for piece in answer if piece in said] == []


@EVERY
def test_hints_are_three_different_steps(exercise: Exercise) -> None:
    for language in LANGUAGES:
        with speaking(language):
            assert len(set(exercise.hints)) == 3
            assert all(20 < len(hint) < 400 for hint in exercise.hints)


# --- the solutions are right


@CALLED
@pytest.mark.parametrize("shape", [(64, 10), (5, 3), (7, 7), (1, 4)])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_solutions_agree_with_torch(exercise: Exercise, shape: tuple[int, int], scale: float) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
    labels = torch.randint(shape[1], shape[:1], generator=generator)
    weight, bias = torch.randn(3, shape[1], dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    F.cross_entropy(leaf, labels).backward()
    asked: dict[str, tuple[tuple[Any, ...], Any]] = {
        "softmax": ((x,), x.softmax(1)),
        "stable-softmax": ((x,), x.softmax(1)),
        "log-softmax": ((x,), x.log_softmax(1)),
        "cross-entropy": ((x, labels), F.cross_entropy(x, labels)),
        "linear": ((x, weight, bias), F.linear(x, weight, bias)),
        "softmax-gradient": ((x, labels), leaf.grad),
        "temperature": ((x, 2.5), (x / 2.5).softmax(1)),
    }
    arguments, wanted = asked[exercise.name]
    before = x.clone()
    torch.testing.assert_close(_run(exercise.solution)[exercise.defines](*arguments), wanted)
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", ["stable-softmax", "log-softmax"])
def test_stable_solutions_bear_large_numbers_and_another_dim(name: str) -> None:
    exercise = exercises.find(name)
    function = _run(exercise.solution)[exercise.defines]
    like = {"stable-softmax": torch.softmax, "log-softmax": torch.log_softmax}[name]
    x = torch.tensor([[1000.0, 0.0, -1000.0], [88.0, 89.0, 90.0], [-200.0, 0.0, 200.0]])
    for dim in (0, 1):
        torch.testing.assert_close(function(x, dim=dim), like(x, dim))


@pytest.mark.parametrize("name", ["sigmoid-network", "relu-network"])
def test_network_solutions_are_what_was_asked_for(name: str) -> None:
    exercise = exercises.find(name)
    network = _run(exercise.solution)[exercise.defines]()
    layers = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
    assert (layers[0].in_features, *(layer.out_features for layer in layers)) == exercise.sizes
    x = z = torch.randn(5, 784)
    function = {"sigmoid": torch.sigmoid, "relu": torch.relu}[exercise.activation]
    for layer in layers[:-1]:
        z = function(layer(z))
    torch.testing.assert_close(network(x), layers[-1](z).softmax(1))


def test_the_handmade_solution_is_what_was_asked_for() -> None:
    made = _run(exercises.find("handmade-network").solution)
    hidden = torch.sigmoid(made["images"].view(64, 784) @ made["w1"] + made["b1"])
    torch.testing.assert_close(made["out"], hidden @ made["w2"] + made["b2"])


# --- the catalogue


def test_find_is_lenient_about_writing_and_says_what_there_is() -> None:
    assert exercises.find(" Log_Softmax ") is exercises.find("log-softmax")
    with pytest.raises(UsageError) as caught:
        exercises.find("sofmax")
    assert caught.value.code == "choice"
    assert "softmax-gradient" in caught.value.expected
    assert "softmax" in caught.value.try_


@pytest.mark.parametrize("name", ["", "../softmax", "softmax/..", "__init__", "a" * 10_000, "\x1b[2J"])
def test_what_is_no_exercise_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        exercises.find(name)


def test_the_catalogue_needs_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from sumtoone.checking import exercises, workbook; [exercises.find(n).hints for n in "
        "exercises.names()]; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_content_is_in_the_wheel() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["scikit-build"]
    packages, excluded = settings["wheel"]["packages"], settings["wheel"].get("exclude", [])
    assert "src/sumtoone" in packages
    files = [path.relative_to(ROOT).as_posix() for path in FOLDER.rglob("*") if path.name in PARTS]
    assert len(files) == len(PARTS) * len(exercises.names())
    assert [file for file in files if any(fnmatch.fnmatch(file, pattern) for pattern in excluded)] == []


# --- the words for what is found

_CODES = """
global-sum wrong-axis missing-keepdim fixed-batch no-exponential negated not-normalised log-probabilities
ignores-input wrong-shape wrong-values not-a-tensor returns-nothing overflows missing-super not-a-module
forward-missing forward-signature layer-sizes layer-unused missing-activation wrong-activation activation-on-output
softmax-inside no-softmax double-softmax stale-class sigmoid-on-output bias-shape bias-inside-product ignores-images
template not-found syntax-error raises time-limit memory-limit output-limit forbidden ignores-weights
not-elementwise wrong-dtype mean-missing labels-ignored sign transposed-weight bias-missing temperature-ignored
temperature-multiplied temperature-outside no-logarithm
"""
CODES = _CODES.split()
_NOTES = """
input-changed no-gradient library-softmax numpy-detour implicit-dim statement-raises lesson-next lesson-helper
lesson-six lesson-normalize lesson-download lesson-flatten
"""
NOTES = _NOTES.split()
_FIELDS = """
name shape got wanted row sums layer sizes after error explained what step limit printed names exercise
"""
FIELDS = _FIELDS.split()


def test_every_verdict_has_its_words_and_a_hint() -> None:
    for language in LANGUAGES:
        known = entries(language)
        assert [code for code in CODES if {f"verdict.{code}.text", f"verdict.{code}.hint"} - set(known)] == []
        assert [code for code in (*NOTES, "correct") if f"verdict.{code}.text" not in known] == []
        assert [code for code in NOTES if f"verdict.{code}.hint" in known] == []


def test_an_exercise_says_in_its_own_words_only_what_has_common_words() -> None:
    for key in (key for key in entries("en") if key.startswith("verdict.") and key.count(".") > 2):
        _, owner, code, _ = key.split(".")
        assert owner in exercises.names(), key
        assert code in (*CODES, *NOTES), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_verdicts_use_the_fields_that_there_are(language: str) -> None:
    for key, template in entries(language).items():
        if key.startswith("verdict.") and key.split(".")[-2] in (*CODES, *NOTES, "correct"):
            filled = template.format(**dict.fromkeys(FIELDS, "0"))
            assert "{" not in filled, key
            assert len(template) < 330, key


# --- a learner's folder


def test_a_stub_is_written_and_reset_and_the_old_one_kept(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    first = workbook.write_stub("softmax-gradient", folder)
    stub = exercises.find("softmax-gradient").stub
    assert first == workbook.Written(folder / "softmax_gradient.py", None)
    assert first.path.read_text(encoding="utf-8") == stub
    for number in (1, 2, 3):
        first.path.write_text(f"attempt {number}", encoding="utf-8")
        again = workbook.write_stub("softmax_gradient", folder)
        assert again.kept == folder / f"softmax_gradient.{number}.py"
        assert first.path.read_text(encoding="utf-8") == stub
    assert [(folder / f"softmax_gradient.{n}.py").read_text() for n in (1, 2, 3)] == [f"attempt {n}" for n in (1, 2, 3)]
    assert len(list(folder.iterdir())) == 4


def test_a_free_number_is_found_beside_gaps(tmp_path: Path) -> None:
    for name in ("softmax.py", "softmax.1.py", "softmax.3.py"):
        (tmp_path / name).write_text(name)
    (tmp_path / "softmax.2.py").mkdir()
    assert workbook.write_stub("softmax", tmp_path).kept == tmp_path / "softmax.4.py"
    assert (tmp_path / "softmax.4.py").read_text() == "softmax.py"
    assert (tmp_path / "softmax.1.py").read_text() == "softmax.1.py"


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "file"])
def test_whatever_has_the_name_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, links: bool) -> None:
    path, elsewhere = tmp_path / "linear.py", tmp_path / "elsewhere"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("mine")
    else:
        if kind == "link":
            elsewhere.write_text("mine")
        path.symlink_to(elsewhere)
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", lambda *_: (_ for _ in ()).throw(OSError(1, "no links")))
        (tmp_path / "linear.1.py").write_text("older")
    kept = workbook.write_stub("linear", tmp_path).kept
    assert kept == tmp_path / ("linear.1.py" if links else "linear.2.py")
    assert kept.is_symlink() == (kind in ("link", "dangling"))
    assert kept.is_dir() == (kind == "folder")
    assert path.read_text(encoding="utf-8") == exercises.find("linear").stub
    assert not path.is_symlink()
    if kind == "link":
        assert elsewhere.read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_our_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError) as caught:
        workbook.write_stub("softmax", tmp_path / "file")
    assert caught.value.code == "workbook-write"
    assert str(tmp_path / "file") in caught.value.got


def test_a_folder_without_a_free_number_is_our_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "_MOST_KEPT", 2)
    for name in ("softmax.py", "softmax.1.py", "softmax.2.py"):
        (tmp_path / name).write_text(name)
    with pytest.raises(UnavailableError):
        workbook.write_stub("softmax", tmp_path)
    assert (tmp_path / "softmax.py").read_text() == "softmax.py"


def test_status_finds_files_by_name(tmp_path: Path) -> None:
    names = {
        "softmax": ["softmax.py", "Softmax-2.py", "softmax_kim.ipynb"],
        "softmax-gradient": ["softmax_gradient_lee.py"],
        "log-softmax": ["log softmax.py"],
        "relu-network": ["relu_network.py"],
    }
    for file in (
        *[file for each in names.values() for file in each],
        "softmax.1.py",
        "softmaxes.py",
        "notes.txt",
        "softmax.txt",
        "test.py",
    ):
        (tmp_path / file).write_text("x = 1")
    (tmp_path / "linear.py").mkdir()
    found = {each.exercise.name: [path.name for path in each.files] for each in workbook.status(tmp_path)}
    assert tuple(found) == exercises.names()
    assert {name: files for name, files in found.items() if files} == names


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_status_knows_an_untouched_stub(tmp_path: Path, ends: str) -> None:
    written = workbook.write_stub("linear", tmp_path).path
    written.write_bytes(written.read_bytes().replace(b"\n", ends.encode()))
    by_name = {each.exercise.name: each for each in workbook.status(tmp_path)}
    assert by_name["linear"].untouched
    assert not by_name["softmax"].untouched
    written.write_text(exercises.find("linear").solution, encoding="utf-8")
    assert not {each.exercise.name: each for each in workbook.status(tmp_path)}["linear"].untouched


def test_status_of_no_folder_is_our_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        workbook.status(tmp_path / "none")
    assert caught.value.code == "workbook-read"
