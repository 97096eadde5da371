"""Errors carry a code, speak both languages, and survive the way between processes."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

import sumtoone
from sumtoone.errors import SeveralErrors, SumtooneError, UsageError, raise_all
from sumtoone.language import speaking


def _problem(name: str = "epochs") -> UsageError:
    return UsageError("training-count", name=name, given="0", low=1, high=9)


def test_an_error_says_what_was_expected_what_came_and_what_to_do() -> None:
    assert str(_problem()) == (
        "epochs must be a whole number [training-count]\n"
        "  expected: a whole number from 1 to 9\n"
        "  got: 0\n"
        "  try: choose a whole number from 1 to 9"
    )


def test_the_same_error_reads_in_korean() -> None:
    error = _problem()
    with speaking("ko"):
        assert str(error) == (
            "epochs는 정수여야 합니다 [training-count]\n"
            "  기대한 것: 1부터 9까지의 정수\n"
            "  받은 것: 0\n"
            "  해 볼 것: 1부터 9까지의 정수를 고르세요"
        )


def test_nothing_is_raised_for_no_problems() -> None:
    raise_all([])


def test_one_problem_is_raised_as_itself() -> None:
    problem = _problem()
    with pytest.raises(UsageError) as caught:
        raise_all([problem])
    assert caught.value is problem


def test_several_problems_come_together() -> None:
    problems = [_problem("epochs"), _problem("batch_size")]
    with pytest.raises(SeveralErrors) as caught:
        raise_all(problems)
    assert caught.value.problems == tuple(problems)
    assert str(caught.value) == f"{problems[0]}\n{problems[1]}"
    assert caught.value.message == "2 arguments are wrong"
    assert caught.value.exit_code == 2


def _raise_in_worker() -> None:
    raise _problem()


def test_an_error_crosses_processes_with_its_fields() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, pytest.raises(UsageError) as caught:
        pool.submit(_raise_in_worker).result()
    assert caught.value.got == "0"


def test_several_errors_cross_too() -> None:
    try:
        raise_all([_problem(), _problem("seed")])
    except SeveralErrors as error:
        again = pickle.loads(pickle.dumps(error))
        assert str(again) == str(error)


def test_every_error_type_is_importable_from_the_package() -> None:
    kinds = {kind.__name__ for kind in _all_kinds(SumtooneError)}
    assert kinds <= set(sumtoone.__all__) | {"SumtooneError"}


def _all_kinds(kind: type[SumtooneError]) -> list[type[SumtooneError]]:
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in _all_kinds(child))]
