"""Numbers of NumPy and PyTorch in place of Python's: taken as the numbers they are, or refused in our own words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engines import make_dataset, weights
from sumtoone import Network, Specification, TrainingOptions, evaluate, explain, fit, open_run
from sumtoone.errors import SumtooneError, UsageError
from sumtoone.lesson import HandMade
from sumtoone.options import COUNTS
from sumtoone.specification import plain_number

WHOLE: list[Callable[[int], Any]] = [
    np.int8, np.int64, np.uint8, np.uint64, np.array, lambda n: np.array([n])[0], torch.tensor,
    lambda n: torch.tensor(n, dtype=torch.uint8), lambda n: np.array(n, dtype=">i4"),
]  # fmt: skip
REAL: list[Callable[[float], Any]] = [
    np.float16, np.float32, np.float64, np.array, torch.tensor, lambda x: torch.tensor(x, requires_grad=True),
    lambda x: torch.tensor(x, dtype=torch.bfloat16),
]  # fmt: skip
# What no option takes, or what only some do.
ODD = [
    None, True, np.bool_(True), np.array(True), torch.tensor(True), "", "3", "\ud800", "a\x00b", b"3", [], {}, object(),
    np.array([3]), np.array([]), np.array([1, 2]), torch.tensor([3]), torch.tensor(3, device="meta"), np.float32("nan"),
    np.float64("inf"), float("nan"), np.int64(-1), np.complex64(1), 1j, np.datetime64("2020"), np.str_("adam"),
    np.str_("x"), timedelta(3), Decimal("0.5"), Fraction(1, 2), 10**5000, -(10**5000), np.longdouble(0.5),
    np.void(b"1"), np.array("adam"), np.array(None), np.array(["relu", "tanh"]), int, np.int64, torch.Size([]),
]  # fmt: skip


def _refused_or(value: Callable[[], Any]) -> Any:
    """Return the value, or the error's whole text: anything but an error of ours ends the test."""
    try:
        return value()
    except SumtooneError as error:
        str(error).encode()
        return error


@pytest.mark.parametrize("number", WHOLE)
def test_whole_numbers_are_taken_everywhere(number: Callable[[int], Any], tmp_path: Path) -> None:
    counts = {"epochs": 1, "batch_size": 7, "early_stopping": 3, "seed": 5, "threads": 1}
    options = TrainingOptions(**{name: number(count) for name, count in counts.items()})
    assert options == TrainingOptions(**counts)
    assert {type(getattr(options, name)) for name in counts} == {int}
    assert Specification((number(4), number(3), 2)).sizes == (4, 3, 2)
    assert weights(Network([number(4), 2], seed=number(6))) == weights(Network("4-2", seed=6))
    assert torch.equal(HandMade.draw(number(6)).w1, HandMade.draw(6).w1)
    assert explain("a + a", a=(number(2), 3)).to_json() == explain("a + a", a=(2, 3)).to_json()
    data = make_dataset(30, 4, 2)
    run = fit(Network("4-2"), data, **{name: number(count) for name, count in counts.items()}, out=tmp_path / "run")
    assert open_run(tmp_path / "run").options == run.options == TrainingOptions(**counts)
    assert evaluate(run, data.test, batch_size=number(7)).to_json() == evaluate(run, data.test).to_json()
    runs = fit(Network("4-2"), data, epochs=1, seeds=[number(1), number(2)], out=tmp_path / "runs")
    assert [run.options.seed for run in runs] == [1, 2]


@pytest.mark.parametrize("number", REAL)
def test_real_numbers_are_taken_everywhere(number: Callable[[float], Any], tmp_path: Path) -> None:
    shares = {"lr": 0.5, "momentum": 0.25, "weight_decay": 0.125, "label_smoothing": 0.5, "noise": 0.5}
    given = {name: number(share) for name, share in shares.items()}
    options = TrainingOptions(optimizer="sgd", **given)
    assert options == TrainingOptions(optimizer="sgd", **shares)
    assert {type(getattr(options, name)) for name in shares} == {float}
    network = Network("4-3-2", dropout=number(0.5))
    assert network.specification == Specification((4, 3, 2), dropout=0.5)
    fit(network, make_dataset(30, 4, 2), epochs=1, optimizer="sgd", **given, out=tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert (run.options, run.network.specification.dropout) == (options.changed(epochs=1), 0.5)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: ascii(type(odd).__name__))
def test_what_is_no_number_is_refused_and_what_is_taken_can_be_kept(odd: Any) -> None:
    for name in (field.name for field in fields(TrainingOptions)):
        found = _refused_or(lambda name=name: TrainingOptions.of(**{name: odd}))
        if isinstance(found, TrainingOptions):
            assert TrainingOptions.from_json(json.loads(json.dumps(found.to_json()))) == found
            assert name not in COUNTS or getattr(found, name) is None
    for name in ("activation", "dropout"):
        found = _refused_or(lambda name=name: Specification((4, 3, 2), **{name: odd}))
        if isinstance(found, Specification):
            assert {type(found.activation), type(found.dropout)} == {str, float}
    for sizes in (odd, (odd, 2), [4, odd, 2]):
        assert isinstance(_refused_or(lambda sizes=sizes: Network(sizes)), SumtooneError), sizes
        assert isinstance(_refused_or(lambda sizes=sizes: Specification(sizes)), SumtooneError), sizes
    if odd is not None:
        assert isinstance(_refused_or(lambda: Network("4-2", seed=odd)), UsageError)
        assert isinstance(_refused_or(lambda: HandMade.draw(odd)), UsageError)
    data = make_dataset(20, 4, 2)
    for seeds in (odd, [odd]):
        found = _refused_or(lambda seeds=seeds: fit(Network("4-2"), data, epochs=1, seeds=seeds))
        if not isinstance(found, UsageError) and seeds is not None:
            # A whole array of them is a sequence as good as a list.
            assert [run.options.seed for run in found] == np.asarray(odd).tolist()
    found = _refused_or(lambda: explain("a + a", a=(odd, 2)))
    assert isinstance(found, UsageError), odd


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64, 0.0, "0"])
def test_a_seed_that_is_none_in_full(seed: object) -> None:
    with pytest.raises(UsageError) as caught:
        Network("4-2", seed=seed)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "seed must be a whole number [training-count]\n"
        "  expected: a whole number from 0 to 9,223,372,036,854,775,807\n"
        f"  got: {seed!r}\n"
        "  try: choose a whole number from 0 to 9,223,372,036,854,775,807"
    )


@pytest.mark.parametrize(
    "name", ["", " ", "\x00", "\ud800", "a b", "1a", "a.b", "\x1b[2J", "\u202e", "a\n", "None", "class", "x" * 5_000]
)
def test_shapes_for_odd_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        explain("a + b", a=(2,), b=(2,), **{name: (2,)})
    assert caught.value.code == "explain-shape-unused"
    said = str(caught.value)
    assert all(line.isprintable() for line in said.splitlines())
    assert (name.isidentifier() and len(name) < 9) or "one for '" in said or "…" in said


def test_two_shapes_for_one_name_are_refused() -> None:
    # Python reads both as fi: it is one name.
    with pytest.raises(UsageError) as caught:
        explain("fi + fi", **dict(zip(("fi", "\ufb01"), [(2,), (3,)], strict=True)))
    assert str(caught.value) == (
        "A tensor has two shapes [explain-shape-twice]\n"
        "  expected: one shape for each name\n"
        "  got: a second one for fi\n"
        "  try: take one of them away"
    )


@pytest.mark.parametrize("value", [None, "3", 3, 0.5, [1], np.array([1]), object])
def test_what_is_no_number_of_a_library_stays_what_it_is(value: Any) -> None:
    assert plain_number(value) is value
