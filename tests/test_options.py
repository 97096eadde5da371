"""Options are checked whole, and every wrong value is reported at once."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sumtoone import TrainingOptions
from sumtoone.errors import SeveralErrors, UsageError
from sumtoone.options import OPTIMIZERS, SCHEDULES

OPTIONS = st.builds(
    TrainingOptions,
    epochs=st.integers(1, 10**6),
    optimizer=st.sampled_from(OPTIMIZERS),
    schedule=st.sampled_from(SCHEDULES),
    lr=st.none() | st.floats(1e-9, 1e3),
    weight_decay=st.none() | st.floats(0, 1e3),
    momentum=st.floats(0, 0.999),
    label_smoothing=st.floats(0, 0.999),
    noise=st.floats(0, 1000),
    class_weight=st.none() | st.just("balanced") | st.dictionaries(st.text(), st.floats(0.5, 9), min_size=1),
    early_stopping=st.none() | st.integers(1, 99),
    seed=st.integers(0, 2**63 - 1),
)


@given(OPTIONS)
def test_options_round_trip_through_json(options: TrainingOptions) -> None:
    assert TrainingOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


_RANGE = "must be a number of a certain range"
_CLASSES = (
    "class_weight is neither balanced nor weights of classes",
    "class_weight='balanced', class_weight={'cat': 2, 'dog': 1} or --class-weight cat=2,dog=1",
)
WRONG_WEIGHTS: list[Any] = ["balance", 3, {}, {"a": -1}, {"a": 0}, {"a": "b"}, {(1,): 2}, {"a": math.nan}, ["a"]]
WRONG_WEIGHTS += [(("a", 1), ("a", 2)), (("a",),), True]
_MOMENTUM = (
    "Momentum and Nesterov's step are sgd's",
    "--optimizer sgd with momentum=0.9, or leave momentum and nesterov out",
)


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"epochs": 0}, "epochs must be a whole number", "choose a whole number from 1 to 1,000,000"),
        ({"epochs": 2.0}, "epochs must be a whole number", "choose a whole number from 1 to 1,000,000"),
        ({"epochs": True}, "epochs must be a whole number", "choose a whole number from 1 to 1,000,000"),
        ({"batch_size": -1}, "batch_size must be a whole number", "choose a whole number from 1 to 100,000,000"),
        ({"seed": -1}, "seed must be a whole number", "choose a whole number from 0 to 9,223,372,036,854,775,807"),
        ({"seed": 2**63}, "seed must be a whole number", "choose a whole number from 0 to 9,223,372,036,854,775,807"),
        ({"threads": 0}, "threads must be a whole number", "choose a whole number from 1 to 1,024"),
        ({"early_stopping": 0}, "early_stopping must be a whole number", "choose a whole number from 1 to 1,000,000"),
        *(({"class_weight": wrong}, *_CLASSES) for wrong in WRONG_WEIGHTS),
        ({"lr": 0}, f"lr {_RANGE}", "lr=0.01, or leave it out"),
        ({"lr": math.nan}, f"lr {_RANGE}", "lr=0.01, or leave it out"),
        ({"lr": "0.1"}, f"lr {_RANGE}", "lr=0.01, or leave it out"),
        ({"weight_decay": -1}, f"weight_decay {_RANGE}", "weight_decay=0, or leave it out"),
        ({"noise": -0.1}, f"noise {_RANGE}", "noise=0.3, or leave it out"),
        ({"noise": 1001}, f"noise {_RANGE}", "noise=0.3, or leave it out"),
        ({"noise": None}, f"noise {_RANGE}", "noise=0.3, or leave it out"),
        ({"weight_decay": math.inf}, f"weight_decay {_RANGE}", "weight_decay=0, or leave it out"),
        ({"momentum": 0.3}, *_MOMENTUM),
        ({"momentum": 1}, f"momentum {_RANGE}", "momentum=0, or leave it out"),
        (
            {"label_smoothing": 1.0},
            f"label_smoothing {_RANGE}",
            "label_smoothing=0, or leave it out",
        ),
        ({"nesterov": True, "momentum": 0}, *_MOMENTUM),
        ({"nesterov": True, "optimizer": "adam"}, *_MOMENTUM),
        ({"nesterov": "no"}, "nesterov cannot be this", "nesterov=True"),
        ({"nesterov": [[1]]}, "nesterov cannot be this", "nesterov=True"),
        ({"lr": 10**400}, f"lr {_RANGE}", "lr=0.01, or leave it out"),
        ({"weight_decay": 10**400}, f"weight_decay {_RANGE}", "weight_decay=0, or leave it out"),
        ({"threads": 100_000}, "threads must be a whole number", "choose a whole number from 1 to 1,024"),
        ({"epochs": 10**5000}, "epochs must be a whole number", "choose a whole number from 1 to 1,000,000"),
        ({"optimizer": "adamx"}, "optimizer cannot be this", "did you mean adam?"),
        ({"schedule": "one_cycle"}, "schedule cannot be this", "did you mean one-cycle?"),
        ({"engine": "fast"}, "engine cannot be this", "choose one of auto, plain, fused"),
        ({"precision": "float64"}, "precision cannot be this", "choose one of float32, bfloat16"),
        ({"device": "gpu"}, "device cannot be this", "choose one of auto, cpu, cuda"),
        ({"device": None}, "device cannot be this", "choose one of auto, cpu, cuda"),
        ({"batchsize": 3}, "There is no training option of this name", "did you mean batch_size?"),
    ],
)
def test_each_wrong_value_has_its_message(given: dict[str, object], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrainingOptions.of(**given)
    assert (caught.value.message, caught.value.try_) == (message, hint)


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ({"nesterov": True, "momentum": 0, "optimizer": "sgd"}, "nesterov=True, momentum=0"),
        ({"nesterov": True, "optimizer": "adam"}, "nesterov=True, optimizer='adam'"),
        ({"momentum": 0.3}, "optimizer='adamw'"),
    ],
)
def test_what_momentum_was_given_with_is_said(given: dict[str, object], got: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrainingOptions.of(**given)
    assert (caught.value.code, caught.value.got) == ("training-momentum", got)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"lr": 0}, "a finite number x, x > 0"),
        ({"weight_decay": -1}, "a finite number x, x >= 0"),
        ({"noise": -1}, "a finite number x, 0 <= x <= 1000"),
        ({"momentum": 1}, "a finite number x, 0 <= x < 1"),
        ({"label_smoothing": 1.0}, "a finite number x, 0 <= x < 1"),
    ],
)
def test_each_range_is_said(given: dict[str, object], expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrainingOptions.of(**given)
    assert caught.value.expected == expected


def test_all_wrong_values_come_at_once() -> None:
    with pytest.raises(SeveralErrors) as caught:
        TrainingOptions.of(epoch=3, lr=-1, momentum=2)
    assert [problem.got for problem in caught.value.problems] == ["epoch", "-1", "2"]


def test_the_whole_message() -> None:
    with pytest.raises(UsageError) as caught:
        TrainingOptions(optimizer="sdg")
    assert str(caught.value) == (
        "optimizer cannot be this [choice]\n  expected: one of adamw, adam, sgd, muon\n  got: 'sdg'\n"
        "  try: did you mean sgd?"
    )


@pytest.mark.parametrize(
    ("optimizer", "rate", "decay"),
    [("adamw", 0.005, 0.3), ("adam", 0.002, 0), ("sgd", 0.05, 1e-4), ("muon", 0.005, 0.3)],
)
def test_optimizers_have_their_own_defaults(optimizer: str, rate: float, decay: float) -> None:
    options = TrainingOptions(optimizer=optimizer)
    assert (options.learning_rate, options.decay) == (rate, decay)
    assert (TrainingOptions(lr=1.5).learning_rate, TrainingOptions(weight_decay=0).decay) == (1.5, 0)


@pytest.mark.parametrize("document", [[], None, 3, "epochs", [["epochs", 1]], {1: 2}, {"cls": 1}, {"self": 1}])
def test_what_is_no_document_of_options(document: Any) -> None:
    with pytest.raises(UsageError) as caught:
        TrainingOptions.from_json(document)
    assert caught.value.code in ("training-document", "training-option")


def test_files_of_old_hold_an_option_that_was_not_heeded() -> None:
    document = {**TrainingOptions(optimizer="sgd").to_json(), "optimizer": "adam", "nesterov": True}
    assert TrainingOptions.from_json(document) == TrainingOptions(optimizer="adam")


def test_changed_options_are_checked_as_new_ones_are() -> None:
    options = TrainingOptions(optimizer="sgd", momentum=0.5, epochs=3)
    assert options.changed(momentum=0.3, seed=2) == TrainingOptions(optimizer="sgd", momentum=0.3, epochs=3, seed=2)
    assert options.changed(optimizer="adam") == TrainingOptions(optimizer="adam", momentum=0.5, epochs=3)
    with pytest.raises(UsageError) as caught:
        TrainingOptions().changed(momentum=0.5)
    assert caught.value.got == "optimizer='adamw'"
