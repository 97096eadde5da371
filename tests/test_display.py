"""Whatever a field holds, a text can be printed: one line for it, in letters that steer nothing, of bounded length."""

from __future__ import annotations

import string
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sumtoone.errors import SeveralErrors, SumtooneError, UsageError
from sumtoone.language import LANGUAGES, entries, speaking, text
from sumtoone.language.display import LONGEST_FIELD, printable, quoted

# An escape sequence in 7 and in 8 bits, line breaks of every kind, NUL, marks that turn text around or are not seen,
# halves of letters, private letters, a letter that is none yet.
STEERING = "\x1b\x9b\n\r\t\v\x85\u2028\x00\x7f\u202e\u2066\u200b\ufeff\ud800\udcff\ue000\U000e0001\u0378"
HOSTILE = st.text(st.sampled_from(STEERING + "a[2J{}()/은는%\\") | st.characters(), max_size=40)
LONG = HOSTILE.filter(bool).map(lambda letters: letters * 50_000)


class Silent:
    """An object that refuses to describe itself."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


class Loud:
    """An object that describes itself in letters that steer a terminal."""

    def __repr__(self) -> str:
        return STEERING * 100


def endless() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


ODD = [
    STEERING, Silent(), Loud(), 10**5000, -(10**5000), b"\x1b" * 10**6, endless(), nested(100_000), [[0] * 10**6] * 9,
    {letter: letter for letter in STEERING}, np.zeros(10**6), np.array([Loud()]), torch.zeros(10**5), float("nan"),
    {Silent()}, type("array", (), {})(), type("str", (), {"__len__": lambda _: 10**9})(), ValueError(STEERING),
]  # fmt: skip


def parts(template: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(template) if name]


CODES = sorted({key.split(".")[1] for key in entries("en") if key.startswith("error.") and key.endswith(".message")})


def assert_safe(shown: str, templates: list[str], most: int) -> None:
    assert shown.replace("\n", "").isprintable()
    shown.encode()
    own = "\n".join(templates)
    assert shown.count("\n") == own.count("\n")
    assert len(shown) <= len(own) + most * len(parts(own))


@pytest.mark.parametrize("spoken", LANGUAGES)
@settings(max_examples=400)
@given(st.sampled_from(sorted(entries("en"))), st.one_of(HOSTILE, LONG))
def test_every_text_is_printable_whatever_its_fields_hold(spoken: str, key: str, hostile: str) -> None:
    template = entries(spoken)[key]
    with speaking(spoken):
        shown = text(key, **dict.fromkeys(parts(template), hostile))
    assert_safe(shown, [template], 1_920)


@pytest.mark.parametrize("spoken", LANGUAGES)
@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
def test_every_text_is_printable_whatever_object_a_field_is(spoken: str, value: object) -> None:
    for key, template in entries(spoken).items():
        with speaking(spoken):
            assert_safe(text(key, **dict.fromkeys(parts(template), value)), [template], 1_920)


@pytest.mark.parametrize("spoken", LANGUAGES)
@settings(max_examples=300)
@given(st.sampled_from(CODES), st.one_of(HOSTILE, LONG))
def test_every_error_is_short_and_printable(spoken: str, code: str, hostile: str) -> None:
    words = entries(spoken)
    own = [(f"error.{code}.{part}", f"error.default.{part}") for part in ("message", "expected", "got", "try")]
    templates = [words[key] if key in words else words[default] for key, default in own]
    fields = dict.fromkeys(parts("".join(templates)), hostile)
    error = SumtooneError(code, **fields)
    with speaking(spoken):
        shown = str(error)
    assert shown.replace("\n", "").isprintable()
    shown.encode()
    assert shown.count("\n") == 3
    assert len(shown) <= len("".join(templates)) + len(code) + 60 + LONGEST_FIELD * len(parts("".join(templates)))


@given(st.one_of(HOSTILE, LONG), st.integers(1, 400))
def test_what_is_printable_stays_and_is_cut_in_the_middle(given_: str, longest: int) -> None:
    shown = printable(given_, longest)
    assert shown.isprintable()
    assert len(shown) <= longest
    assert printable(shown, longest) == shown
    if given_.isprintable() and len(given_) <= longest:
        assert shown == given_
    if given_.isprintable() and len(given_) > longest:
        head, _, tail = shown.partition("…") if "…" not in given_ else (shown[: longest // 2], "", "")
        assert given_.startswith(head)
        assert given_.endswith(tail)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("고양이 é $5", "고양이 é $5"),
        ("a\nb\x07", r"a\nb\x07"),
        ("\x1b[2J\u202egpj.exe", r"\x1b[2J\u202egpj.exe"),
        ("\ud800", r"\ud800"),
        ("a" * 800, "a" * 300 + "…" + "a" * 299),
        (10**5000, "<int of 16610 bits>"),
        (Silent(), "<Silent>"),
    ],
    ids=range(7),
)
def test_what_is_shown(value: object, shown: str) -> None:
    assert printable(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("adam", "'adam'"),
        (10**5000, "<int of 16610 bits>"),
        ([1, "2", None, 3.5, {"a": (True,)}], "[1, '2', None, 3.5, {'a': (True,)}]"),
        (list(range(10**6)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...]"),
    ],
    ids=range(4),
)
def test_what_is_quoted(value: object, shown: str) -> None:
    assert quoted(value) == shown


@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
def test_what_is_quoted_is_short_and_printable(value: object) -> None:
    shown = quoted(value)
    assert shown.isprintable()
    assert 0 < len(shown) <= LONGEST_FIELD


def test_thousands_of_problems_are_counted() -> None:
    problem = UsageError("training-option", given="x" * 10**6, known="a", hint="b")
    error = SeveralErrors(problems=(problem,) * 5_000, count=5_000)
    assert str(error) == "\n".join([str(problem)] * 20) + "\n4980 more problems"
    with speaking("ko"):
        assert str(error) == "\n".join([str(problem)] * 20) + "\n이런 문제가 4980개 더 있습니다"
    assert len(error.problems) == 5_000


def test_a_warning_steers_nothing() -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warnings.warn(text("training.damaged-checkpoint", name="\x1b[2J.json", why="a\nb"), stacklevel=1)
    assert str(heard[0].message) == (r"checkpoint \x1b[2J.json is damaged (a\nb); going on from the one before it")
