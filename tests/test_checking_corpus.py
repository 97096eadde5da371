"""Attempts of many hands, right, wrong and cheating, each judged in a confined process and held to its verdict."""

from collections.abc import Iterator

import pytest

import corpus
from sumtoone.checking.confinement import Nursery
from sumtoone.checking.running import Settings, judged
from sumtoone.checking.sources import from_text


def _cases(*names: str) -> list[object]:
    return [
        pytest.param(attempt, id=f"{attempt.exercise}: {attempt.title}")
        for name in names
        for attempt in corpus.attempts(name)
    ]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery("good", Settings(seconds=4).limits) as opened:
        yield opened


def _judged(nursery: Nursery, attempt: corpus.Attempt) -> object:
    settings = Settings(attempt.exercise, seconds=4)
    (verdict,) = judged(nursery, from_text(attempt.code, "attempt.py"), settings)
    return verdict


@pytest.mark.parametrize("attempt", _cases("right"))
def test_what_is_right_passes_with_its_notes(nursery, attempt):
    verdict = _judged(nursery, attempt)
    assert (verdict.passed, verdict.code) == (True, "correct"), verdict.text
    assert set(attempt.notes) <= set(verdict.notes)
    assert verdict.score == verdict.most


@pytest.mark.parametrize("attempt", _cases("wrong_functions", "wrong_networks", "wrong_scripts"))
def test_what_is_wrong_gets_its_code(nursery, attempt):
    verdict = _judged(nursery, attempt)
    assert not verdict.passed
    assert verdict.code in attempt.codes, verdict.text
    assert verdict.text
    assert verdict.hint


@pytest.mark.parametrize("attempt", _cases("cheats"))
def test_no_cheat_passes(nursery, attempt):
    verdict = _judged(nursery, attempt)
    assert not verdict.passed
    assert verdict.text
