"""``s1.check`` on objects and files, the exercises under their own judge, the helper's judge, and hostile answers."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import corpus
import sumtoone as s1
import warm
from sumtoone.checking import Verdict, check_classifier, performing
from sumtoone.checking.confinement import Nursery
from sumtoone.checking.exercises import find, names
from sumtoone.checking.inert import Inert
from sumtoone.checking.judging import judge
from sumtoone.checking.performing import Performer
from sumtoone.checking.running import Settings, judged
from sumtoone.checking.sources import from_text
from sumtoone.helper import test_network as check_network
from sumtoone.language import entries, speaking
from sumtoone.lesson import ClassNetwork, ExerciseNetwork, FunctionalNetwork, softmax_as_taught


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery(limits=Settings(seconds=4).limits) as opened:
        yield opened


def _verdict(nursery: Nursery, source: str, exercise: str) -> Verdict:
    (verdict,) = judged(nursery, from_text(source, "mine.py"), Settings(exercise, seconds=4))
    return verdict


SIGMOID = """
class Network(nn.Module):
    def __init__(self, deep=False):
        super().__init__()
{layers}
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x):
        return self.softmax(self.layers(x))
"""
LAYERS = "self.layers = nn.Sequential(nn.Linear(784, {0}), nn.Sigmoid(), nn.Linear({0}, 10))"


@pytest.mark.parametrize(
    "layers",
    [
        [LAYERS.format(256)],
        ["# self.hidden = nn.Linear(784, 128)", LAYERS.format(256)],
        ["# self.hidden = nn.Linear(784, 128)", "# self.more = nn.Linear(128, 64)", LAYERS.format(256)],
        ["if deep:", "    " + LAYERS.format(512), "else:", "    " + LAYERS.format(256)],
    ],
)
def test_the_exercise_is_found_by_the_layers_that_are_there(nursery: Nursery, layers: list[str]) -> None:
    source = SIGMOID.format(layers="\n".join("        " + line for line in layers))
    (verdict,) = judged(nursery, from_text(source, "mine.py"), Settings(None, seconds=4))
    assert (verdict.exercise, verdict.code) == ("sigmoid-network", "correct")


# --- the exercises under their own judge


@pytest.mark.parametrize("name", names())
def test_every_solution_passes_and_every_stub_fails(nursery: Nursery, name: str) -> None:
    solution = _verdict(nursery, find(name).solution, name)
    assert (solution.code, solution.score, solution.most) == ("correct", 10, 10), solution.text
    stub = _verdict(nursery, find(name).stub, name)
    assert (stub.passed, stub.code, stub.score) == (False, "template", 0), stub.text


def test_the_lessons_own_softmax_passes_with_a_note(nursery: Nursery) -> None:
    taught = "def softmax(x):\n    return torch.exp(x)/torch.sum(torch.exp(x), dim=1).view(-1, 1)\n"
    verdict = _verdict(nursery, taught, "softmax")
    assert (verdict.passed, verdict.notes) == (True, ("overflows",))


def test_both_languages_have_words_and_a_hint_for_every_code() -> None:
    found = {name: {key for key in entries(name) if key.startswith("verdict.")} for name in ("en", "ko")}
    assert found["en"] == found["ko"]
    used = {
        code
        for file in ("wrong_functions", "wrong_networks", "wrong_scripts")
        for item in corpus.attempts(file)
        for code in item.codes
    }
    for code in used:
        assert {f"verdict.{code}.text", f"verdict.{code}.hint"} <= found["en"], code


# --- objects of this process


def test_a_function_of_this_process_is_judged_here() -> None:
    verdict = s1.check(softmax_as_taught, "softmax")
    assert (verdict.passed, verdict.code, verdict.isolation) == (True, "correct", "none")
    assert s1.check(s1.softmax, "stable-softmax").passed
    wrong = s1.check(lambda x: x.exp() / x.exp().sum(), "softmax")
    assert (wrong.passed, wrong.code) == (False, "global-sum")


@pytest.mark.parametrize(
    ("network", "exercise", "code"),
    [
        (ExerciseNetwork, "relu-network", "correct"),
        (ClassNetwork, "sigmoid-network", "correct"),
        (FunctionalNetwork, "sigmoid-network", "correct"),
        (ExerciseNetwork, "sigmoid-network", "layer-sizes"),
        (lambda: s1.Network("784-128-64-10"), "relu-network", "no-softmax"),
    ],
)
def test_a_network_of_this_process_keeps_its_weights(network: Any, exercise: str, code: str) -> None:
    module = network().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert s1.check(module, exercise).code == code
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_file_is_judged_in_a_process_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "my_softmax.py"
    file.write_text("import os\nos.environ['HERE'] = '1'\n" + find("softmax").solution)
    verdict = s1.check(file, exercise="softmax")
    assert verdict.passed
    assert verdict.isolation in ("good", "strong")


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda: s1.check(softmax_as_taught, "sofmax"), "choice"),
        (lambda: s1.check(softmax_as_taught), "check-exercise"),
        (lambda: s1.check(3, "softmax"), "argument-type"),  # type: ignore[arg-type]
        (lambda: s1.check(softmax_as_taught, "handmade-network"), "check-script"),
        (lambda: s1.check("no such file.py"), "data-missing"),
    ],
)
def test_what_cannot_be_judged_is_said(act: Callable[[], object], code: str) -> None:
    with pytest.raises(s1.SumtooneError) as caught:
        act()
    assert caught.value.code == code or (code == "data-missing" and isinstance(caught.value, s1.DataError))


def test_a_verdict_packs_and_speaks_two_languages(nursery: Nursery) -> None:
    verdict = _verdict(nursery, "def softmax(x):\n    return torch.mm(x, x)\n", "softmax")
    again = Verdict.unpacked(json.loads(json.dumps(verdict.packed())))
    assert again.to_json() == verdict.to_json()
    assert verdict.code == "raises"
    assert "(64, 10)" in verdict.text
    with speaking("ko"):
        assert verdict.text != verdict.hint
        assert again.to_json()["text"] == verdict.text


# --- the helper's judge

BATCH = torch.rand(64, 1, 28, 28), torch.randint(10, (64,))


class _Ends(nn.Module):
    """784-32-10 that ends as it is told."""

    def __init__(self, end: Callable[[torch.Tensor], torch.Tensor], between: Callable[..., Any] = torch.relu) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(784, 32), nn.Linear(32, 10)
        self.end, self.between = end, between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.two(self.between(self.one(x.flatten(1)))))


@pytest.mark.parametrize(
    ("network", "code"),
    [
        (_Ends(lambda x: F.softmax(x, dim=0)), "wrong-axis"),
        (_Ends(lambda x: x.exp() / x.exp().sum()), "global-sum"),
        (_Ends(lambda x: F.softmax(F.softmax(x, dim=1), dim=1)), "double-softmax"),
        (_Ends(lambda x: x, between=lambda x: x), "missing-activation"),
        (_Ends(torch.relu), "activation-on-output"),
        (_Ends(lambda x: F.softmax(torch.sigmoid(x), dim=1)), "activation-on-output"),
    ],
)
def test_the_helper_refuses_what_is_wrong_for_every_classifier(network: nn.Module, code: str) -> None:
    with pytest.raises(s1.UsageError, match=rf"The network is not right yet \({code}\)") as caught:
        check_network(network, [BATCH])
    assert caught.value.code == "helper-judged"


@pytest.mark.parametrize("end", [lambda x: x, lambda x: F.softmax(x, dim=1), lambda x: F.log_softmax(x, dim=1)])
@pytest.mark.parametrize("between", [torch.relu, torch.tanh, F.gelu, F.leaky_relu, torch.sin])
def test_the_helper_lets_every_right_ending_pass(end: Any, between: Any) -> None:
    assert check_network(_Ends(end, between), [BATCH])


def test_the_helper_judges_an_exercise_by_name() -> None:
    images, labels = BATCH
    flat = [(images.flatten(1), labels)]
    assert check_network(ExerciseNetwork(), flat, exercise="relu-network")
    with pytest.raises(s1.UsageError, match=r"not right yet \(layer-sizes\)"):
        check_network(ClassNetwork(), flat, exercise="relu-network")


def test_a_convolution_is_a_classifier_too() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 5), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 24 * 24, 10))
    assert check_classifier(network, (1, 28, 28), 10).passed
    summed = nn.Sequential(network, nn.Softmax(dim=0))
    assert check_classifier(summed, (1, 28, 28), 10).code == "wrong-axis"


# --- one submission never stops the judging


def test_a_case_that_ends_the_process_leaves_the_others_judged(nursery: Nursery) -> None:
    source = "import os\ndef softmax(x):\n    if len(x) == 1: os._exit(0)\n    return torch.softmax(x, dim=1)\n"
    verdict = _verdict(nursery, source, "softmax")
    assert (verdict.passed, verdict.code) == (False, "raises")
    assert {case.name: case.passed for case in verdict.cases}["one-row"] is False
    assert verdict.score == verdict.most - 1


def test_what_fails_in_the_judge_itself_is_a_row_that_says_so(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("sumtoone.checking.running.judge", broken)
    verdict = _verdict(nursery, "def softmax(x): return x\n", "softmax")
    assert (verdict.passed, verdict.code) == (False, "unjudged")
    assert "ZeroDivisionError: a defect" in verdict.text


# --- judging knows no process


class _Here:
    """The same questions, answered in this process."""

    printed = ""

    def __init__(self) -> None:
        self._performer = Performer()

    def ask(self, request: Mapping[str, Any], arrays: Any = ()) -> tuple[dict[str, Any], list[Any]]:
        reply, sent = self._performer.answer(request, arrays)
        return json.loads(json.dumps(reply)), sent


def _tame(file: str) -> list[object]:
    """The attempts that may run in the tests' own process: what loops there is cut short in the confined ones."""
    chosen = [item for item in corpus.attempts(file) if "time-limit" not in item.codes and "import " not in item.code]
    return [pytest.param(item, id=f"{item.exercise}: {item.title}") for item in chosen]


@pytest.mark.parametrize(
    "attempt",
    [item for file in ("right", "wrong_functions", "wrong_networks", "wrong_scripts") for item in _tame(file)],
)
def test_the_verdict_is_the_same_without_a_process(
    attempt: corpus.Attempt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"torch": torch, "nn": nn, "F": F, "np": np, "math": math, "OrderedDict": OrderedDict}
    names |= {"helper": Inert(), "plt": Inert(), "optim": torch.optim}
    monkeypatch.setattr(performing, "install", lambda images, labels: {**names, "images": images, "labels": labels})
    random = np.random.default_rng(0)
    ((_, judged_here),) = judge(_Here(), from_text(attempt.code, "attempt.py"), attempt.exercise, random, 5.0)
    assert judged_here.finding.code in attempt.codes


# --- answers of a hostile process

_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
_ARRAYS = st.sampled_from(
    [np.zeros(0), np.zeros((2, 3)), np.full((64, 10), np.nan), np.zeros((1, 1, 1)), np.array(True), np.array(7)]
)


class _Liar:
    """A subject that answers rightly for a while, and then with something made up in one place."""

    printed = ""

    def __init__(self, source: str, when: int, how: Callable[[dict[str, Any], list[Any]], Any]) -> None:
        self._performer, self._when, self._how = Performer(), when, how

    def ask(self, request: Mapping[str, Any], arrays: Any = ()) -> tuple[dict[str, Any], list[Any]]:
        self._when -= 1
        reply, sent = self._performer.answer({**request, "seconds": 0}, arrays)
        reply = json.loads(json.dumps(reply))
        return self._how(reply, sent) if self._when == 0 else (reply, sent)


@pytest.mark.parametrize("exercise", ["softmax", "relu-network", "handmade-network"])
def test_no_answer_of_a_hostile_process_is_an_error_of_ours(exercise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The stand-ins would stay in this process.
    names = {"torch": torch, "nn": nn, "F": F}
    monkeypatch.setattr(performing, "install", lambda images, labels: {**names, "images": images, "labels": labels})
    source = find(exercise).solution

    @given(st.integers(1, 8), st.data())
    def lie(when: int, data: st.DataObject) -> None:
        def how(reply: dict[str, Any], sent: list[Any]) -> tuple[dict[str, Any], list[Any]]:
            if data.draw(st.booleans()):
                key = data.draw(st.sampled_from(sorted(reply)))
                inner = reply[key]
                if isinstance(inner, list) and inner and isinstance(inner[0], dict) and data.draw(st.booleans()):
                    inner[0][data.draw(st.sampled_from(sorted(inner[0])))] = data.draw(_PLAIN)
                else:
                    reply[key] = data.draw(_PLAIN)
            else:
                sent = data.draw(st.lists(_ARRAYS, max_size=4))
            return reply, sent

        results = judge(_Liar(source, when, how), from_text(source), exercise, np.random.default_rng(0), 1.0)
        assert len(results) == 1

    lie()


# --- notebooks


@pytest.mark.no_cover
def test_a_cell_is_judged_and_then_run() -> None:
    program = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("%load_ext sumtoone")
shell.run_cell("%%check softmax\\nimport torch\\ndef softmax(x):\\n    return torch.exp(x) / torch.exp(x).sum()\\n")
shell.run_cell("print(softmax(torch.zeros(2, 2)).sum().item())")
shell.run_cell("%%check sofmax\\npass")
shell.run_cell("%unload_ext sumtoone")
"""
    done = warm.run(program, warn="ignore")
    lines = done.stdout.splitlines()
    assert lines[0] == "softmax · wrong (global-sum) · line 3"
    assert "1.0" in lines
    assert any("did you mean softmax" in line for line in lines)
