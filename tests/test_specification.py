"""Specification strings round-trip, and each malformed one has its own message."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sumtoone.errors import SeveralErrors, SpecificationError, SumtooneError, UsageError
from sumtoone.specification import ACTIVATIONS, Specification, did_you_mean

SIZES = st.lists(st.integers(1, 5000), min_size=1, max_size=6).flatmap(
    lambda head: st.integers(2, 1000).map(lambda last: (*head, last))
)


@given(SIZES, st.sampled_from(ACTIVATIONS), st.floats(0, 0.99))
def test_strings_round_trip(sizes: tuple[int, ...], activation: str, dropout: float) -> None:
    specification = Specification(sizes, activation, dropout)
    assert Specification.parse(str(specification), activation, dropout) == specification
    assert Specification.parse(list(sizes), activation, dropout) == specification


@given(st.text(max_size=30))
def test_any_string_is_a_specification_or_our_error(string: str) -> None:
    try:
        specification = Specification.parse(string)
    except SumtooneError as error:
        assert str(error)
    else:
        assert Specification.parse(str(specification)) == specification


@pytest.mark.parametrize("string", ["784-128-64-10", " 784 - 128 - 64 - 10 ", "784–128–64–10", "0784-128-64-10"])
def test_spellings_of_one_network(string: str) -> None:
    assert Specification.parse(string).sizes == (784, 128, 64, 10)


@pytest.mark.parametrize(
    ("string", "code", "got", "hint"),
    [
        ("", "specification-empty", "an empty text", "name the input size, the hidden sizes and the number of classes"),
        (
            "   ",
            "specification-empty",
            "an empty text",
            "name the input size, the hidden sizes and the number of classes",
        ),
        ("784", "specification-short", "one size: '784'", "add the number of classes: '784-10'"),
        (
            "784--10",
            "specification-gap",
            "nothing at place 2 of '784--10'",
            "take the extra '-' away or write the size that belongs there",
        ),
        (
            "784-10-",
            "specification-gap",
            "nothing at place 3 of '784-10-'",
            "take the extra '-' away or write the size that belongs there",
        ),
        (
            "784,128,10",
            "specification-number",
            "'784,128,10' at place 1 of '784,128,10'",
            "join the sizes with '-': '784-128-10'",
        ),
        (
            "784x128-10",
            "specification-number",
            "'784x128' at place 1 of '784x128-10'",
            "join the sizes with '-': '784-128'",
        ),
        (
            "784 128 10",
            "specification-number",
            "'784 128 10' at place 1 of '784 128 10'",
            "join the sizes with '-': '784-128-10'",
        ),
        (
            "784-abc-10",
            "specification-number",
            "'abc' at place 2 of '784-abc-10'",
            "write whole numbers, such as '784-128-64-10'",
        ),
        (
            "784-1.5-10",
            "specification-number",
            "'1.5' at place 2 of '784-1.5-10'",
            "write whole numbers, such as '784-128-64-10'",
        ),
        (
            "784-١٢-10",
            "specification-number",
            "'١٢' at place 2 of '784-١٢-10'",
            "write the size with the digits 0 to 9: '12'",
        ),
        (
            "784-²-10",
            "specification-number",
            "'²' at place 2 of '784-²-10'",
            "write whole numbers, such as '784-128-64-10'",
        ),
        ("784-0-10", "specification-size", "0 at place 2 of '784-0-10'", "choose a size from 1 to 10000000"),
        (
            "784-99999999-10",
            "specification-size",
            "99999999 at place 2 of '784-99999999-10'",
            "choose a size from 1 to 10000000",
        ),
        (
            "784-1",
            "specification-classes",
            "1 output in '784-1'",
            "for a yes/no question use two outputs: their probabilities sum to one",
        ),
        (
            "10000000-10000000-10",
            "specification-large",
            "100,000,110,000,010 parameters",
            "use fewer or smaller layers",
        ),
    ],
)
def test_each_malformed_string_has_its_own_message(string: str, code: str, got: str, hint: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        Specification.parse(string)
    assert (caught.value.code, caught.value.got, caught.value.try_) == (code, got, hint)


def test_too_many_sizes() -> None:
    with pytest.raises(SpecificationError) as caught:
        Specification.parse("-".join(["2"] * 1001))
    assert caught.value.got == "1,001 sizes"


def test_a_megabyte_of_digits_is_refused_at_once() -> None:
    with pytest.raises(SpecificationError) as caught:
        Specification.parse("9" * 1_000_000 + "-10")
    assert caught.value.code == "specification-size"


def test_all_problems_of_a_string_come_together() -> None:
    with pytest.raises(SeveralErrors) as caught:
        Specification.parse("784--x-10")
    assert [problem.code for problem in caught.value.problems] == ["specification-gap", "specification-number"]


@pytest.mark.parametrize("value", [None, 784, 3.5, {784}, [784, "128", 10], [784, True, 10], b"784-10"])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(SpecificationError) as caught:
        Specification.parse(value)  # type: ignore[arg-type]
    assert caught.value.code == "specification-type"


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(SpecificationError) as caught:
        Specification.parse([])
    assert caught.value.code == "specification-empty"


def test_unknown_activation_is_guessed() -> None:
    with pytest.raises(UsageError) as caught:
        Specification.parse("784-10", "Relu6")
    assert str(caught.value) == (
        "activation cannot be this [choice]\n"
        "  expected: one of sigmoid, tanh, relu, gelu, leaky-relu, identity\n"
        "  got: 'Relu6'\n"
        "  try: did you mean relu?"
    )


@pytest.mark.parametrize("dropout", [-0.1, 1, 1.5, float("nan"), "0.5", True])
def test_dropout_is_a_share(dropout: object) -> None:
    with pytest.raises(UsageError) as caught:
        Specification((784, 10), dropout=dropout)  # type: ignore[arg-type]
    assert caught.value.got == repr(dropout)


@given(SIZES)
def test_parameters_are_what_torch_counts(sizes: tuple[int, ...]) -> None:
    from torch import nn

    with_torch = sum(
        parameter.numel()
        for before, after in pairwise(sizes)
        for parameter in nn.Linear(before, after, device="meta").parameters()
    )
    assert Specification(sizes).parameters == with_torch


def test_no_near_name_lists_all() -> None:
    assert did_you_mean("zzz", ["relu", "tanh"]) == "choose one of relu, tanh"


@pytest.mark.parametrize("given", ["-" * 1_000_000, "x-" * 500_000, "1-" * 500_000, [1] * 1_000_000])
def test_however_long_it_is_there_is_one_complaint(given: Any) -> None:
    with pytest.raises(SpecificationError) as caught:
        Specification.parse(given)
    assert caught.value.code == "specification-large"
    assert len(str(caught.value)) < 400


def test_a_number_without_a_decimal_form() -> None:
    with pytest.raises(SpecificationError) as caught:
        Specification.parse([784, 10**5000, 10])
    assert caught.value.code == "specification-size"
    assert "<int of 16610 bits>" in caught.value.got
