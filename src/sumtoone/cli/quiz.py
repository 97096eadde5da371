"""``sumtoone explain --quiz``: shapes to say before they are shown."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

from sumtoone.cli.common import Voice
from sumtoone.errors import UsageError
from sumtoone.language import text
from sumtoone.language.display import printable
from sumtoone.shapes.quiz import LARGEST_SEED, MOST_QUESTIONS, Answer, Question, after, ask, questions, read_answer
from sumtoone.shapes.values import shown

_FEW = 5


def quiz(count: str | None, seed: int | None, voice: Voice) -> None:
    """Ask for shapes, harder after a right answer, and say how many were right; with ``--json`` print them all.

    The end of the input and Ctrl-C end the quiz with the score of what was answered.
    """
    wanted = _FEW if count is None else _count(count)
    seed = random.SystemRandom().randint(0, LARGEST_SEED) if seed is None else seed
    if voice.json:
        voice.emit({"seed": seed, "questions": [question.to_json() for question in questions(wanted, seed)]})
        return
    answered = right = 0
    try:
        for is_right in _answers(wanted, seed, voice):
            answered += 1
            right += is_right
    finally:
        voice.say("\n" + text("quiz.score", right=right, answered=answered, seed=seed))
        voice.result(f"{right}/{answered}")


def _count(given: str) -> int:
    fits = given.isascii() and given.isdigit() and len(given) <= len(str(MOST_QUESTIONS))
    if not fits or not 1 <= int(given) <= MOST_QUESTIONS:
        raise UsageError("explain-quiz", given=printable(given, 60), most=MOST_QUESTIONS)
    return int(given)


def _answers(count: int, seed: int, voice: Voice) -> Iterator[bool]:
    """Ask one question after another, and yield whether each was answered right."""
    asked: tuple[Question, ...] = ()
    level = 1
    voice.say(text("quiz.how"))
    for number in range(1, count + 1):
        question = ask(seed, level, asked)
        asked = (*asked, question)
        shapes = ", ".join(f"{name} {shown(shape)}" for name, shape in question.shapes.items())
        head = text("quiz.question", number=number, count=count, level=level)
        voice.say(f"\n{head}\n  {question.expression}\n  {shapes}")
        given = _given(voice)
        if given is None:
            return
        is_right = given == question.answer
        voice.say(text("quiz.right" if is_right else "quiz.wrong", answer=_said(question.answer)))
        if not is_right or question.explanation.warnings:
            voice.say("\n".join(f"  | {line}".rstrip() for line in question.explanation.text.split("\n")))
        yield is_right
        level = after(level, right=is_right)


def _given(voice: Voice) -> Answer | None:
    """Return what is answered, asked again while it is no shape; None at the end of the input."""
    while True:
        line = _line()
        if not line:
            return None
        answer = read_answer(line)
        if answer is not None:
            return answer
        voice.say(text("quiz.unread", given=printable(line.strip(), 60)))


def _line() -> str:
    """Return the next line of the input with its end, and nothing where there is none."""
    if sys.stdin is None:
        return ""
    if sys.stdin.isatty():
        print("> ", end="", flush=True)
    try:
        return sys.stdin.readline()
    except (OSError, ValueError):  # closed, or not to be read from
        return ""


def _said(answer: Answer) -> str:
    return text("quiz.error") if answer.shape is None else shown(answer.shape)
