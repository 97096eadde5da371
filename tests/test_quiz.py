"""Questions about shapes: every answer is held against PyTorch, and all that is asked follows from the seed."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from sumtoone.cli import main
from sumtoone.language import entries, speaking, text
from sumtoone.shapes import explain
from sumtoone.shapes.quiz import _TEMPLATES, HIGHEST_LEVEL, Answer, Question, after, ask, questions, read_answer
from sumtoone.shapes.values import shown

Captured = pytest.CaptureFixture[str]


def _all_of(level: int, seed: int) -> list[Question]:
    """Every question of a level, each template once."""
    asked: tuple[Question, ...] = ()
    for _ in [template for template in _TEMPLATES if template.level == level]:
        asked = (*asked, ask(seed, level, asked))
    return list(asked)


@pytest.mark.parametrize("level", range(1, HIGHEST_LEVEL + 1))
@pytest.mark.parametrize("seed", range(5))
def test_every_answer_is_pytorchs(level: int, seed: int) -> None:
    for question in _all_of(level, seed):
        tensors = {name: torch.rand(shape) for name, shape in question.shapes.items()}
        try:
            shape = tuple(eval(question.expression, {"torch": torch, "F": F}, tensors).shape)
        except RuntimeError:
            shape = None
        assert question.answer == Answer(shape), question.expression


def test_every_template_is_asked_before_one_comes_again() -> None:
    for level in range(1, HIGHEST_LEVEL + 1):
        written = [template for template in _TEMPLATES if template.level == level]
        asked = _all_of(level, seed=3)
        assert sorted(question.template for question in asked) == [_TEMPLATES.index(template) for template in written]
        again = ask(3, level, tuple(asked))
        assert again.template in [question.template for question in asked]
    assert {template.level for template in _TEMPLATES} == set(range(1, HIGHEST_LEVEL + 1))


def test_there_are_errors_among_the_answers_and_not_many() -> None:
    answers = [question.answer.shape for level in range(1, HIGHEST_LEVEL + 1) for question in _all_of(level, 0)]
    assert 0.08 < sum(shape is None for shape in answers) / len(answers) < 0.3


def test_a_seed_gives_the_same_questions_and_another_one_others() -> None:
    first, again, other = (list(questions(20, seed)) for seed in (1, 1, 2))
    assert first == again
    assert [question.explanation for question in first] != [question.explanation for question in other]
    assert [question.level for question in first[:5]] == [1, 2, 3, 4, 4]


def test_it_gets_harder_and_easier() -> None:
    assert [after(level, right=True) for level in (1, 2, 3, 4)] == [2, 3, 4, 4]
    assert [after(level, right=False) for level in (1, 2, 3, 4)] == [1, 1, 2, 3]


@given(st.lists(st.integers(0, 1_000_000), max_size=8).map(tuple))
def test_a_shape_is_read_in_every_spelling(shape: tuple[int, ...]) -> None:
    bare = ",".join(map(str, shape))
    for written in (str(shape), f"({bare})", f"[{bare}]", f" {shape} \n", f"torch.Size({list(shape)})"):
        assert read_answer(written) == Answer(shape)
    if shape:
        for written in (bare, " ".join(map(str, shape)), "x".join(map(str, shape)), f"{bare},"):
            assert read_answer(written) == Answer(shape)


@pytest.mark.parametrize("written", ["error", "Error!", "raises", "오류", " 에러 "])
def test_an_error_is_an_answer(written: str) -> None:
    assert read_answer(written) == Answer(None)


@pytest.mark.parametrize(
    "written",
    ["", "\n", "many", "-1", "3.5", "٣", "9" * 20, ",".join("2" * 9), "64,n", "x", ",", "(", ")",
     "(,)", "(3,4]", "3,4)", "(3,4", "3x", "x3", "3,,4", ",3", "[3](4)", "torch.Size"]
)  # fmt: skip
def test_what_is_no_answer(written: str) -> None:
    assert read_answer(written) is None


# --- the command


def _run(words: list[str], given: str, **surroundings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sumtoone", "explain", "--quiz", *words]
    environment = {**os.environ, "SUMTOONE_LANG": "en", **surroundings}
    return subprocess.run(
        command, input=given, env=environment, capture_output=True, encoding="utf-8", check=False, timeout=60
    )


def _said(question: Question) -> str:
    return "error" if question.answer.shape is None else shown(question.answer.shape)


@pytest.mark.measured
@pytest.mark.parametrize("language", ["en", "ko"])
def test_right_answers_by_a_pipe(language: str) -> None:
    asked = list(questions(5, seed=7))
    done = _run(["--seed", "7", "--lang", language], "".join(f"{_said(question)}\n" for question in asked))
    with speaking(language):
        expected = [text("quiz.how")]
        for number, question in enumerate(asked, start=1):
            shapes = ", ".join(f"{name} {shown(shape)}" for name, shape in question.shapes.items())
            head = text("quiz.question", number=number, count=5, level=question.level)
            answer = text("quiz.error") if question.answer.shape is None else shown(question.answer.shape)
            expected += ["", head, f"  {question.expression}", f"  {shapes}", text("quiz.right", answer=answer)]
            explained = explain(question.expression, **question.shapes)
            if explained.warnings:
                expected += [f"  | {line}".rstrip() for line in explained.text.split("\n")]
        expected += ["", text("quiz.score", right=5, answered=5, seed=7)]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == expected


@pytest.mark.measured
def test_a_wrong_answer_is_explained_and_a_word_that_is_none_is_asked_again() -> None:
    question = ask(7, 1)
    done = _run(["2", "--seed", "7"], "what\n99,99\n")
    explained = "\n".join(f"  | {line}".rstrip() for line in str(question.explanation).split("\n"))
    assert f"'what' is no shape: write 64,10 or () or error\nno: {_said(question)}\n{explained}\n" in done.stdout
    assert "\n2 of 2 · level 1\n" in done.stdout
    assert (done.returncode, done.stdout[-55:].splitlines()[-1]) == (
        0,
        "0 of 1 right. The same questions again: --seed 7",
    )


def test_the_end_of_the_input_ends_it_with_the_score() -> None:
    done = _run(["--seed", "7", "--quiet"], f"{_said(ask(7, 1))}\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1/1\n", "")


@pytest.mark.measured
@pytest.mark.parametrize(("interrupted", "code"), [(False, 0), (True, 130)], ids=["Ctrl-D", "Ctrl-C"])
def test_in_a_terminal(interrupted: bool, code: int) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "sumtoone", "explain", "--quiz", "--seed", "7", "--lang", "en"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = _until(ours, b"> ")
        os.write(ours, f"{_said(ask(7, 1))}\n".encode())
        seen += _until(ours, b"> ")
        if interrupted:
            process.send_signal(signal.SIGINT)
        else:
            os.write(ours, b"\x04")
        seen += _until(ours, None)
        assert process.wait(60) == code
    os.close(ours)
    words = seen.decode().replace("\r\n", "\n")
    assert "right: " in words
    assert "\n1 of 1 right. The same questions again: --seed 7\n" in words
    assert ("\ninterrupted\n" in words) is interrupted
    assert "Traceback" not in words


def _until(terminal: int, mark: bytes | None) -> bytes:
    """What a terminal shows up to a mark; to the end for None."""
    seen = b""
    while mark is None or not seen.endswith(mark):
        try:
            piece = os.read(terminal, 1024)
        except OSError:  # Linux says so at the end
            piece = b""
        if not piece:
            break
        seen += piece
    return seen


def test_json_prints_the_questions_with_their_answers(capsys: Captured) -> None:
    assert main(["explain", "--quiz", "3", "--seed", "7", "--json", "--lang", "ko"]) == 0
    shown_ = capsys.readouterr()
    with speaking("ko"):
        expected = [question.to_json() for question in questions(3, seed=7)]
    assert json.loads(shown_.out) == {"seed": 7, "questions": expected}
    assert shown_.err == ""


def test_without_a_seed_each_quiz_is_another(capsys: Captured) -> None:
    seeds = []
    for _ in range(2):
        assert main(["explain", "--quiz", "1", "--json"]) == 0
        seeds.append(json.loads(capsys.readouterr().out)["seed"])
    assert seeds[0] != seeds[1]


@pytest.mark.parametrize("given", ["0", "101", "-1", "many", "1.5", "٣", "", "9" * 5_000])
def test_a_number_of_questions_that_is_none(given: str, capsys: Captured) -> None:
    assert main(["explain", "--quiz", "--", given]) == 2
    assert "This is no number of questions [explain-quiz]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "got"),
    [
        (["--quiz", "--shape", "a=2"], "--quiz --shape"),
        (["--quiz", "--error", "x"], "--error --quiz"),
        (["--error", "x", "a / b", "--seed", "3"], "--error EXPRESSION --seed"),
        (["a / b", "--seed", "0"], "EXPRESSION --seed"),
    ],
)
def test_what_does_nothing_is_refused(words: list[str], got: str, capsys: Captured) -> None:
    assert main(["explain", *words]) == 2
    assert capsys.readouterr().err == (
        "sumtoone: These do not go together [explain-together]\n"
        "  expected: an expression with its shapes, --error alone, or --quiz with a number and --seed\n"
        f"  got: {got}\n"
        f"  try: leave out what does not belong to {got.partition(' ')[0]}\n"
    )


def test_neither_names_the_expression_that_is_missing(capsys: Captured) -> None:
    assert main(["explain"]) == 2
    assert "EXPRESSION needs a value [argument-missing]" in capsys.readouterr().err


def test_the_help_tells_the_default(capsys: Captured) -> None:
    assert "5" in entries("en")["cli.explain.quiz"]
    assert main(["explain", "--help"]) == 0
    assert "--quiz" in capsys.readouterr().out
