"""The benchmarks of the judge: how the other judges are met, what is judged, and the tables."""

from __future__ import annotations

import pytest
import torch

from benchmarks import graders, judge_tables, submissions


def _softmax(x: torch.Tensor) -> torch.Tensor:
    return torch.exp(x) / torch.exp(x).sum(dim=1).view(-1, 1)


@pytest.mark.parametrize(("shape", "dim"), [((5,), -1), ((4, 6), 0), ((2, 3, 7), -1), ((2, 3, 7), 1)])
def test_a_learners_function_is_met_where_others_ask_for_more(shape: tuple[int, ...], dim: int) -> None:
    x = torch.randn(shape)
    adapted = graders._softmax({"softmax": _softmax})
    torch.testing.assert_close(adapted(x, dim=dim), torch.softmax(x, dim))


def test_a_function_that_takes_dim_is_left_alone() -> None:
    def softmax(x: torch.Tensor, dim: int = 1) -> torch.Tensor:
        return torch.softmax(x, dim)

    assert graders._softmax({"softmax": softmax}) is softmax


def test_a_wrong_shape_is_not_mended() -> None:
    adapted = graders._softmax({"f": lambda x: _softmax(x).sum(dim=1)})
    assert adapted(torch.randn(4, 6)).shape == (4,)


def test_what_raises_leaves_what_was_defined_before() -> None:
    names = graders._run("def softmax(x):\n    return x\nraise ValueError\n")
    assert list(names) == ["softmax"]


def test_a_network_is_its_class_or_a_copy() -> None:
    names = graders._run("class Network(nn.Module):\n    pass\n")
    assert graders._network(names) is names["Network"]
    names = graders._run("model = nn.Linear(784, 10)\n")
    assert isinstance(graders._network(names)(), torch.nn.Linear)


def test_hostile_submissions_are_all_there_and_no_two_are_the_same() -> None:
    codes = submissions.hostile(40)
    assert len(set(codes)) == 40
    assert {code.rpartition("#")[0] for code in codes} == set(submissions.HOSTILE.values())
    assert len(submissions.honest(2_000)) == 2_000


_MACHINE = {"processor": "P", "cores": 2, "python": "3.11", "versions": {"torch": "2", "otter": "-"}, "date": "D"}


def test_the_table_of_judges() -> None:
    judge = {"wrong_passed": 1, "right_refused": 2, "right_code": None, "stable_refused": 0, "lesson": False}
    judge["seconds"] = {"median": 0.5, "min": 0.25, "max": 1.0}
    kind = {"kind": "softmax", "right": 7, "stable": 0, "wrong": 9, "judges": {"theirs": judge}}
    record = {"what": "W", "rounds": 1, "machine": _MACHINE, "missing": {"x": "not installed: x"}, "kinds": [kind]}
    assert judge_tables.judges_table(record).splitlines()[2:] == [
        "| softmax | theirs | 1 of 9 | 2 of 7 | – | – | refused | 0.50 (0.25 – 1.00) |",
        "",
        "Median and range over the attempts; W; P, 2 cores, Python 3.11, torch 2, D. Missing: x (not installed: x).",
    ]


def test_the_table_of_costs_does_without_a_level() -> None:
    some, batch = {"median": 30.0, "min": 20.0, "max": 40.0}, {"median": 9.0, "min": 9.0, "max": 9.0}
    record = {
        "what": "W",
        "rounds": 2,
        "machine": _MACHINE,
        "load": 0.5,
        "cost": {
            "submissions": 12,
            "milliseconds": {"in this process": some, "good": some},
            "added": {"good": some},
        },
        "batches": {"200 honest": {"good": {"seconds": batch, "processor": batch}}},
    }
    assert judge_tables.checking_table(record).splitlines()[2:4] == [
        "| in this process | 30 (20 – 40) | – | – |",
        "| good | 30 (20 – 40) | 30 (20 – 40) | 9.0 [9.0] |",
    ]
