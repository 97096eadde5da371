"""Judges a function by its values: softmax and its kind.

The order in which findings are looked for is the order in which they matter: that there is a tensor at all, its shape,
what its numbers are, whether that holds for every shape, and last what extreme numbers do to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.checking.exercises import Exercise
from sumtoone.checking.judging.arithmetic import close, differing, shape_of, shown
from sumtoone.checking.judging.failing import failed
from sumtoone.checking.judging.problems import PROBLEMS, Problem
from sumtoone.checking.subject import Stopped, Subject
from sumtoone.checking.verdict import Finding, Maker

MAIN, SECOND = "lesson-batch", "fresh"
_EXTREME = ("large", "apart")
_MEASURED = (MAIN, SECOND, "small", "square", "one-row", "negative")
_LIBRARY = {"_softmax", "_log_softmax"}
_BY_HAND = ("softmax", "stable-softmax", "log-softmax")
_EXPONENTIALS = {"exp", "exp_", "exp2", "expm1", "pow", "_softmax", "_log_softmax", "logsumexp", "sigmoid", "tanh"}
_NUMPY = {"numpy", "__array__"}
_MISALIGNED = re.compile(
    r"size of tensor a \((\d{1,9})\) must match the size of tensor b \((\d{1,9})\) at non-singleton dimension 1"
)
_STOPPING = ("time-limit", "memory-limit", "output-limit", "forbidden")


@dataclass(frozen=True)
class Answer:
    """What a function made of one case."""

    case: str
    inputs: tuple[Any, ...]
    wanted: NDArray[Any]
    value: NDArray[Any] | None = None
    reply: Mapping[str, Any] = field(default_factory=dict)

    @property
    def error(self) -> Any:
        """The error that it raised, or None."""
        return self.reply.get("error")

    @property
    def right(self) -> bool:
        """Whether the values are the reference's."""
        if self.error:
            return False
        # A number near a thousand is off by 6e-5 in float32 before anything is computed with it.
        size = float(np.abs(self.inputs[0]).max()) if self.case in _EXTREME else 0.0
        return close(self.value, self.wanted, absolute=2e-6 + 3e-7 * size)


@dataclass(frozen=True)
class Judged:
    """What judging gives, before a path and a time are put to it."""

    finding: Finding
    remarks: tuple[Finding, ...] = ()
    passed_cases: frozenset[str] = frozenset()


@np.errstate(all="ignore")  # whatever numbers come from a learner's code
def judge_function(
    subject: Subject,
    entry: Mapping[str, Any],
    exercise: Exercise,
    random: np.random.Generator,
    seconds: float,
) -> Judged:
    """Return what is to be said of a function of the exercise.

    Parameters
    ----------
    entry
        What the subject says of the function: its ``key``, ``name``, ``line`` and ``parameters``.
    seconds
        The share of time of one call.
    """
    asker = _Asker(subject, entry, PROBLEMS[exercise.name], random, seconds)
    cases = {case.name for case in exercise.cases} | {SECOND} | set(_EXTREME if exercise.kind == "softmax" else ())
    cases |= {"dim"} if exercise.takes_dim and asker.dim else set()
    # In an order that a submission cannot count on.
    order = [MAIN, *map(str, random.permutation(sorted(cases - {MAIN, "gradient"})))]
    answers = {case: asker.ask(case) for case in order if case != "dim" or asker.dim}
    gradient = asker.ask("gradient", gradient=True)
    finding = _finding(asker, exercise.name, answers)
    passed = {case for case, answer in answers.items() if answer.right}
    if gradient.reply.get("gradient"):
        passed.add("gradient")
    if finding.code != "correct":
        return Judged(finding, (), frozenset(passed))
    return Judged(finding, tuple(_remarks(entry, answers, gradient, exercise.name)), frozenset(passed))


class _Asker:
    def __init__(
        self, subject: Subject, entry: Mapping[str, Any], problem: Problem, random: np.random.Generator, seconds: float
    ) -> None:
        self.subject, self.entry, self.problem, self.random, self.seconds = subject, entry, problem, random, seconds

    @property
    def dim(self) -> str | None:
        """The name under which the function takes another axis, if it does."""
        return next((name for name in ("dim", "axis") if name in (self.entry.get("parameters") or ())), None)

    def ask(self, case: str, inputs: tuple[Any, ...] | None = None, *, gradient: bool = False) -> Answer:
        inputs = self.problem.draw(self.random, case) if inputs is None else inputs
        options = {}
        exact = _exact(inputs)
        wanted = np.asarray(self.problem.right(*exact))
        if case == "dim":
            options, wanted = {self.dim: 0}, np.asarray(self.problem.right(exact[0], 0))
        request = {
            "do": "call",
            "key": self.entry["key"],
            "options": options,
            "numbers": True,
            "gradient": gradient,
            "observe": case == MAIN,
            "seconds": self.seconds,
        }
        try:
            reply, arrays = self.subject.ask(request, [np.asarray(item) for item in inputs])
        except Stopped as stop:
            reply, arrays = {"error": {"error": stop.reason, "message": stop.detail, "stopped": True}}, []
        return Answer(case, inputs, wanted, arrays[0] if arrays else None, reply)


def _finding(asker: _Asker, exercise: str, answers: Mapping[str, Answer]) -> Finding:
    problem, entry = asker.problem, asker.entry
    main = answers[MAIN]
    shape = tuple(np.shape(main.inputs[0]))
    # Where the result was made, else where the function begins.
    last = main.reply.get("last") or {}
    place = {key: (last if last.get("line") else entry).get(key) for key in ("line", "cell")}
    common = {"name": entry["name"], "shape": shape}
    measured = [answers[case] for case in _MEASURED if case in answers]

    def found(code: str, answer: Answer = main, **fields: Any) -> Finding:
        return Finding(
            code, **place, fields=_numbers(answer) | common | {"shape": tuple(np.shape(answer.inputs[0]))} | fields
        )

    for answer in answers.values():
        if answer.error and (code := _stopped(answer.error)):
            said = {"what": f"{answer.error['error']}: {answer.error['message']}", "step": case_text(answer.case)}
            said["share"] = answer.error["error"] == "TooLong"
            return found(code, answer, error=said["what"], **said).at(
                answer.error.get("line"), answer.error.get("cell")
            )
    regular = [answer for answer in measured if not answer.error and answer.value is not None]
    if main.error:
        return _raised(problem, found, main, regular)
    if main.reply.get("none"):
        return found("returns-nothing")
    if not main.reply.get("tensor") and not _is_number(main):
        return found("not-a-tensor", got=main.reply.get("type", ""))
    if not all(answer.right for answer in measured):
        return _wrong(asker, found, main, measured, regular)
    extreme = () if exercise == "softmax" else _EXTREME
    for cases, code in ((extreme, "overflows"), (("float64",), "wrong-dtype"), (("dim",), "wrong-axis")):
        bad = next((answers[case] for case in cases if case in answers and not answers[case].right), None)
        if bad is not None and not (bad.error and bad.case == "float64"):
            return failed(bad.error, **common) if bad.error else found(code, bad)
    return found("correct")


def _raised(problem: Problem, found: Maker, main: Answer, regular: list[Answer]) -> Finding:
    """Return what is wrong with a function that raises for the lesson's batch."""
    guess = _guess(problem, regular)
    place = main.error.get("line"), main.error.get("cell")
    if guess == "missing-keepdim" or (guess not in ("wrong-axis", "transposed-weight") and _is_misaligned(main)):
        return found("missing-keepdim").at(*place)
    if guess in ("wrong-axis", "transposed-weight"):
        return found(guess, *regular[:1]).at(*place)
    plain = found("raises").fields
    return failed(main.error, name=plain["name"], shape=plain["shape"])


def _wrong(asker: _Asker, found: Maker, main: Answer, measured: list[Answer], regular: list[Answer]) -> Finding:
    guess = _guess(asker.problem, regular)
    if guess is not None:
        return found(guess)
    second = next((answer for answer in measured if answer.case == SECOND), main)
    if main.right and second.right:
        bad = next(answer for answer in measured if not answer.right)
        if bad.error:
            return found("fixed-batch", bad, error=(bad.error["message"].splitlines() or [""])[0])
        return found("wrong-shape" if shape_of(bad.value) != bad.wanted.shape else "wrong-values", bad)
    if shape_of(main.value) != main.wanted.shape:
        return found("wrong-shape", got=shape_of(main.value), wanted=tuple(main.wanted.shape))
    again = asker.ask(MAIN, main.inputs).value
    if main.value is None or again is None or _same(main.value, second.value):
        return found("ignores-input" if main.value is not None else "wrong-values")
    if not np.array_equal(main.value, again, equal_nan=True):
        return found("ignores-input")
    value = np.asarray(main.value, np.float64)
    if len(main.inputs) == 2 and _same(value, asker.ask(MAIN, (main.inputs[0], _another(main.inputs[1]))).value):
        return found("labels-ignored" if np.ndim(main.inputs[1]) else "temperature-ignored")
    if not asker.problem.sums_to_one or not np.isfinite(value).all():
        return found("wrong-values")
    for code, axis in (("global-sum", None), ("wrong-axis", 0)):
        if np.allclose(value.sum(axis=axis), 1, atol=1e-4) and not np.allclose(value.sum(axis=1), 1, atol=1e-4):
            return found(code)
    if not np.allclose(value.sum(axis=1), 1, atol=1e-3):
        return found("log-probabilities" if np.allclose(np.exp(value).sum(axis=1), 1, atol=1e-3) else "not-normalised")
    # Whatever stands in the exponent, e to the power of it does not mind a number added to a whole row.
    shifted = asker.ask(MAIN, (main.inputs[0] + np.float32(1.5), *main.inputs[1:]))
    keeps = shifted.value is None or _same(value, shifted.value)
    return found("wrong-values" if keeps or _EXPONENTIALS & set(main.reply["operations"]) else "no-exponential")


def _another(second: Any) -> Any:
    """Return other labels, or another temperature."""
    return (second + 1) % (second.max() + 1) if np.ndim(second) else np.float64(second * 1.7)


def _same(value: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    if value is None or other is None or not np.isfinite(value).all():
        return False
    return close(value, np.asarray(other, np.float64), absolute=1e-6 * float(np.abs(value).max(initial=0.0)))


def _is_misaligned(answer: Answer) -> bool:
    """Whether the sums of the rows met the columns: (64, 10) and (64,)."""
    sizes = _MISALIGNED.search(answer.error["message"])
    shape = np.shape(answer.inputs[0])
    return sizes is not None and (int(sizes[1]), int(sizes[2])) == (shape[1], shape[0])


def _guess(problem: Problem, regular: Sequence[Answer]) -> str | None:
    """Return the mistake whose values are those of every answer that has values, one of more than one row at least."""
    telling = [answer for answer in regular if len(answer.inputs[0]) > 1]
    if not telling:
        return None
    for code, mistake in problem.mistakes:
        if all(_equal(answer, mistake) for answer in telling):
            return code
    return None


def _equal(answer: Answer, mistake: Any) -> bool:
    try:
        return close(answer.value, np.asarray(mistake(*_exact(answer.inputs))), relative=1e-3)
    except ValueError:  # shapes that do not fit: whoever made this mistake would have met an error
        return False


def _exact(inputs: tuple[Any, ...]) -> list[Any]:
    """Return the floats among inputs in float64, which the reference computes in; labels as they are."""
    return [np.asarray(item, np.float64) if np.asarray(item).dtype.kind == "f" else item for item in inputs]


def case_text(case: str) -> dict[str, Any]:
    """Return the words for a case, as a field of a finding."""
    return {"text": f"case.{case}", "fields": {}}


def _stopped(error: Mapping[str, Any]) -> str | None:
    code = error["error"] if error.get("stopped") else failed({"kinds": (), **error}).code
    if code == "crashed":
        return "raises"
    return code if code in _STOPPING else None


def _is_number(answer: Answer) -> bool:
    """Whether a plain number came where a number is asked for."""
    return answer.wanted.ndim == 0 and answer.value is not None and np.ndim(answer.value) == 0


def _numbers(answer: Answer) -> dict[str, Any]:
    """Return the numbers of the first row that is wrong, as a person reads them."""
    value, wanted = answer.value, answer.wanted
    fields: dict[str, Any] = {"row": 0, "got": "", "wanted": "", "sums": ""}
    if value is None:
        return fields
    if shape_of(value) == wanted.shape and wanted.ndim > 1:
        row = differing(value, wanted)
        fields |= {"row": row, "got": shown(value[row]), "wanted": shown(wanted[row])}
    else:
        fields |= {"got": shape_of(value), "wanted": tuple(wanted.shape)}
        if shape_of(value) == wanted.shape:
            fields |= {"got": shown(value), "wanted": shown(wanted)}
    if np.ndim(value) == 2 and np.shape(value) == wanted.shape:
        fields["sums"] = shown(np.asarray(value, np.float64).sum(axis=1), 3)
    return fields


def _remarks(entry: Mapping[str, Any], answers: Mapping[str, Answer], gradient: Answer, exercise: str) -> list[Finding]:
    place = {"line": entry.get("line"), "cell": entry.get("cell")}
    codes: list[tuple[str, Answer]] = []
    codes += [("overflows", answers[case]) for case in _EXTREME if case in answers and not answers[case].right][:1]
    codes += [("input-changed", answer) for answer in answers.values() if answer.reply.get("changed")][:1]
    main = answers[MAIN]
    if "float64" in answers and answers["float64"].error:
        codes.append(("float32-only", answers["float64"]))
    called = set(main.reply.get("operations", ()))
    if _LIBRARY & called and exercise in _BY_HAND:
        codes.append(("library-softmax", main))
    if _NUMPY & called or "numpy()" in (gradient.error or {}).get("message", ""):
        codes.append(("numpy-detour", gradient))
    elif not gradient.reply.get("gradient") and exercise != "softmax-gradient":
        codes.append(("no-gradient", gradient))
    common = {"name": entry["name"]}
    return [
        Finding(code, **place, fields=_numbers(answer) | common | {"shape": tuple(np.shape(answer.inputs[0]))})
        for code, answer in codes
    ]
