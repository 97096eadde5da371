"""The benchmarks' own arithmetic, their processes, and one quick run of all of them."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import contenders
from benchmarks import accuracy, epoch, estimator, inference, limits, loops, material, picture, protocol, shapes, tables
from benchmarks.__main__ import main
from benchmarks.workers import Entry, Results, Session, Task, in_turns
from sumtoone import Network
from sumtoone.data import sources
from sumtoone.errors import UnavailableError

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("network", ["784-128-64-10", "784-10", "32-64-64-3"])
def test_flop_of_an_epoch_are_those_that_pytorch_counts(network: str) -> None:
    model = Network(network)
    x, y = torch.randn(7, model.specification.inputs), torch.zeros(7, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(model(x), y).backward()
    assert limits.training_flop(network, 7) == counter.get_total_flops()


def test_the_limit_is_the_time_at_the_measured_rate() -> None:
    small, large = (limits.matrix_products(Task("784-10", rows=rows)).run(0) for rows in (100, 100_000))
    assert small is not None
    assert large is not None
    assert 100 < large / small < 10_000  # a thousand times the work, at rates measured twice


def test_ratios_are_taken_within_a_round() -> None:
    assert protocol.ratios({"a": [1.0, 4.0, 9.0], "b": [1.0, 2.0, 3.0]}, "a", "b") == {"median": 2, "min": 1, "max": 3}


def _results(**judged: float) -> Results:
    results = Results()
    for name, figure in judged.items():
        for threads in (1, 2):
            key = (name, threads)
            results.seconds[key] = [len(name) / threads, 2 * len(name) / threads]
            results.judged[key] = [0.0, figure]
            results.first[key] = 9.0
    return results


def test_a_comparison_takes_each_contender_at_its_best_number_of_threads() -> None:
    results = _results(ours=0.9, eager=0.9, limit=math.nan)
    results.seconds["eager", 2] = [50.0, 60.0]
    found = protocol.comparison(results, "ours", ["ours", "eager"])
    assert found["contenders"]["eager"] == {
        "threads": 1,
        "seconds": {"median": 7.5, "min": 5.0, "max": 10.0},
        "first": 9.0,
        "judged": 0.9,
        "times": {"median": 2.5, "min": 2.5, "max": 2.5},
    }
    assert {name: ratio["median"] for name, ratio in found["over_limit"].items()} == {"1": 4 / 5, "2": 4 / 5}


def test_a_comparison_without_ours_has_no_ratios() -> None:
    found = protocol.comparison(_results(eager=0.9, limit=math.nan), "ours", ["ours", "eager"])
    assert found["contenders"].keys() == {"eager"}
    assert found["contenders"]["eager"]["times"] is None
    assert found["over_limit"] == {}
    assert protocol.disagreeing({}, 0.1) == []


@pytest.mark.parametrize(("wrong", "named"), [(0.904, []), (0.89, ["c"]), (0.91, ["c"]), (math.nan, ["c"])])
def test_a_contender_that_computes_something_else_is_named(wrong: float, named: list[str]) -> None:
    contenders = {name: {"judged": figure} for name, figure in {"a": 0.9, "b": 0.901, "c": wrong, "d": 0.9}.items()}
    assert protocol.disagreeing({"contenders": contenders}, 0.005) == named


def test_processes_take_turns_and_time_themselves() -> None:
    before, begun = dict(os.environ), time.monotonic()
    found = in_turns(
        [
            Entry("counts", contenders.counts, Task()),
            Entry("counts", contenders.counts, Task(threads=2)),
            Entry("threads", contenders.threads_it_was_given, Task(threads=2)),
        ],
        rounds=2,
    )
    assert found.judged == {("counts", 1): [2.0, 3.0], ("counts", 2): [2.0, 3.0], ("threads", 2): [2.0, 2.0]}
    assert found.seconds["counts", 2] == [42.0, 42.0]
    assert found.first["counts", 2] == 42.0
    assert 0 <= sum(found.seconds["counts", 1]) <= time.monotonic() - begun
    assert found.missing == {}
    assert dict(os.environ) == before


def test_a_contender_that_fails_is_named_and_the_others_are_kept(capfd: pytest.CaptureFixture[str]) -> None:
    failing = {
        "needs": contenders.needs_what_is_not_there,
        "cannot": contenders.cannot,
        "prepares": contenders.raises_in_preparation,
        "leaves": contenders.leaves,
        "kills": contenders.kills_itself,
    }
    found = in_turns(
        [
            Entry("counts", contenders.counts, Task()),
            *(Entry(name, prepare, Task()) for name, prepare in failing.items()),
            *(Entry("raises", contenders.raises_in_the_third_round, Task(threads=threads)) for threads in (1, 2)),
            Entry("hangs", contenders.hangs, Task(), patience=1.0),
        ],
        rounds=2,
    )
    assert found.judged == {("counts", 1): [2.0, 3.0], ("raises", 1): [0.5, 0.5]}
    assert found.seconds.keys() == found.first.keys() == found.judged.keys()
    assert found.missing == {
        "needs": "not installed: a_library_that_nobody_wrote",
        "cannot": UnavailableError("engine-unavailable", engine="fused").message,
        "prepares": "ValueError",
        "leaves": "its process ended: exit code 3",
        "kills": "its process ended: SIGKILL",
        "raises, threads: 2": "ValueError: the weights are gone",
        "hangs": "no answer within 1 s",
    }
    assert "Traceback" in capfd.readouterr().err


def test_all_rows_train_and_none_validate() -> None:
    given = material.dataset(Task(data="digits"))
    assert (len(given.train), len(given.validation)) == (material.rows_of("digits"), 0)
    synthetic = material.dataset(Task("32-64-64-3", material.SYNTHETIC, 500))
    assert synthetic.train.inputs.shape == (500, 32)
    assert set(synthetic.train.labels.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("contender", [loops.plain, loops.by_hand, loops.lesson])
def test_every_loop_trains_on_all_rows(contender: type[Session]) -> None:
    session = contender(Task("784-16-10", "digits", 1_000, 32))
    before = session.judge()
    for turn in range(3):
        session.run(turn)
    assert session.judge() > before + 0.2


@pytest.mark.parametrize("rows", [1, 64])
@pytest.mark.parametrize("contender", [inference.ours, inference.eager, inference.scikit_learn, inference.numpy])
def test_every_prediction_is_that_of_float64(
    contender: type[Session], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "_PRODUCTS_PER_TURN", 0)  # ten calls
    session = contender(Task(rows=rows))
    for turn in range(2):
        session.run(turn)
        assert session.judge() <= inference.TOLERANCE


def test_the_classifier_and_scikit_learns_learn_the_same_and_answer_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_PRODUCTS_PER_TURN", 0)
    for prepare in estimator.ANSWER.values():
        session = prepare(Task(rows=3))
        session.run(0)
        assert session.judge() <= inference.TOLERANCE
    # In a single batch there is no order of the rows: with equal settings nothing but rounding tells them apart.
    for rows, batch, least, near in ((4_000, 50, 0.6, 0.03), (200, 200, 0.2, 0.002)):
        sessions = [
            fit(Task("50-128-64-5", material.SYNTHETIC, rows, batch, epochs=5)) for fit in estimator.FIT.values()
        ]
        for session in sessions:
            assert session.run(3) > 0
        found = [session.judge() for session in sessions]
        assert min(found) > least
        assert abs(found[0] - found[1]) < near


def test_a_quick_run_measures_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two = {name: epoch.LOOPS[name] for name in (epoch.OURS, "PyTorch, eager")}
    monkeypatch.setattr(epoch, "LOOPS", two)
    monkeypatch.setattr(epoch, "LIMITS", {})
    for section in (accuracy, shapes, inference):
        monkeypatch.setattr(section, "CONTENDERS", dict.fromkeys(section.CONTENDERS, contenders.agrees))
    kept = [*tables.PAGES, tables.PICTURE, *protocol.RECORDS.glob("*.json")]
    before = [path.read_bytes() for path in kept]
    main(["--quick", "--only", "epoch,accuracy,shapes,inference"])
    out = capsys.readouterr().out
    assert re.findall(r"^\| (?:1 \| )?([a-zA-Z][^|]+) \| \d", out, re.M) == [*two, *two, *inference.CONTENDERS]
    assert "| 784-32-10 | 4,000 of digits | 256 | 0.25 (0.25 – 0.25) | 1.00 (1.00 – 1.00) | – | 1.00" in out
    assert out.count("Median and range of 2 rounds") == 4
    assert "record:" not in out
    assert [path.read_bytes() for path in kept] == before


def _without_packages(*arguments: str, **surroundings: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmarks in a Python that has its own library and nothing else."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "", "SUMTOONE_DATA": "", "SUMTOONE_CACHE": "", **surroundings},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_not_a_section_is_refused() -> None:
    done = _without_packages("--only", "epoch,speed")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "python -m benchmarks: error: there is no speed; there are epoch, accuracy, compare, shapes, inference, "
        "estimator, softmax, judges, checking, notebooks, leaks, serving"
    )


@pytest.mark.parametrize("there", ["SUMTOONE_DATA", "SUMTOONE_CACHE", "XDG_CACHE_HOME"])
def test_the_data_is_found_or_missed_before_anything_is_installed(tmp_path: Path, there: str) -> None:
    missed = _without_packages("--check", **{there: str(tmp_path)})
    assert (missed.returncode, missed.stdout) == (1, "")
    assert missed.stderr == (
        "MNIST is neither in a folder of SUMTOONE_DATA nor among the system's data sets nor in the cache.\n"
        "Set SUMTOONE_DATA to the folder that holds mnist/ with its four IDX files, or fetch it:\n"
        "  make .venv/installed && .venv/bin/sumtoone data fetch mnist\n"
    )
    assert _without_packages("--check", "--only", "inference,softmax", **{there: str(tmp_path)}).returncode == 0
    home = tmp_path / ("sumtoone/mnist" if there == "XDG_CACHE_HOME" else "mnist")
    home.mkdir(parents=True)
    for file in sources.SOURCES["mnist"].files:
        (home / file.name).touch()
    found = _without_packages("--check", **{there: str(tmp_path)})
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_every_record_has_a_table_and_agreed() -> None:
    paths = sorted(protocol.RECORDS.glob("*.json"))
    assert [path.stem for path in paths] == sorted(tables.TABLES)
    for path in paths:
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record.get("disagreeing", []) == []
        assert tables.TABLES[path.stem](record).startswith("| ")


def test_a_table_says_who_was_missing_and_why() -> None:
    record = {
        "what": "one epoch",
        "rounds": 2,
        "machine": {
            "processor": "P",
            "cores": 2,
            "python": "3.11",
            "versions": {"torch": "2", "jax": "-"},
            "date": "D",
        },
        "missing": {"JAX": "not installed: jax"},
        "float32": protocol.comparison(_results(ours=0.9, limit=math.nan), "ours", ["ours", "JAX"]),
        "bfloat16": {},
        "limits": {"limit": {"1": {"median": 98.4, "min": 90.0, "max": 99.0}}},
    }
    assert tables.epoch_table(record).splitlines()[2:] == [
        "| ours | 3.00 (2.00 – 4.00) | 2 | 1.00 (1.00 – 1.00) | 90.00% | 9.0 |",
        "",
        "ours / limit in float32, 1 thread: **0.80** (0.80 – 0.80); ours / limit in float32, 2 threads: **0.80** "
        "(0.80 – 0.80).",
        "The machine's limits in the same rounds: matrix products in float32, 1 thread: 98 GFLOP/s.",
        "Median and range of 2 rounds, ratios within a round; one epoch; P, 2 cores, Python 3.11, torch 2, D. "
        "Missing: JAX (not installed: jax).",
    ]


def test_tables_and_the_picture_do_without_ours(tmp_path: Path) -> None:
    found = protocol.comparison(_results(**{"PyTorch, eager": 0.9}), "ours", ["ours", "PyTorch, eager"])
    machine = {"processor": "P", "cores": 2, "python": "3.12", "versions": {"torch": "2"}, "date": "D"}
    record = {"what": "W", "rounds": 2, "machine": machine, "missing": {"ours": "SIGKILL"}, "limits": {}}
    assert tables.epoch_table(record | {"float32": found, "bfloat16": {}}).splitlines()[2:] == [
        "| PyTorch, eager | 10.50 (7.00 – 14.00) | 2 | – | 90.00% | 9.0 |",
        "",
        "Median and range of 2 rounds, ratios within a round; W; P, 2 cores, Python 3.12, torch 2, D. "
        "Missing: ours (SIGKILL).",
    ]
    sizes = tables.inference_table(record | {"sizes": [{"rows": 1, **found}]})
    assert sizes.splitlines()[2] == "| 1 | PyTorch, eager | 10500000.0 | 2 | – | 9.000 |"
    row = {"network": "4-3", "rows": 5, "data": "digits", "batch": 5, **found}
    assert tables.shapes_table(record | {"shapes": [row]}).splitlines()[2] == (
        "| 4-3 | 5 of digits | 5 | – | – | – | – |"
    )
    picture.draw({"float32": found}, tmp_path / "empty.png")


def test_the_shapes_are_those_that_are_promised() -> None:
    assert [(task.network, task.batch_size) for task in shapes.SHAPES[:4]] == [
        ("784-256-10", 64),
        ("784-512-512-10", 64),
        ("784-2048-2048-10", 64),
        ("32-64-64-3", 64),
    ]
    assert [task.batch_size for task in shapes.SHAPES[4:]] == [16, 64, 256, 1024, 4096, 10_000]
    assert (shapes.SHAPES[-1].network, shapes.SHAPES[-1].activation) == ("4-32-16-4", "tanh")


def test_one_picture_has_one_row_of_bytes(tmp_path: Path) -> None:
    record = json.loads((protocol.RECORDS / "epoch.json").read_text(encoding="utf-8"))
    for name in ("once.png", "again.png"):
        picture.draw(record, tmp_path / name)
    assert (tmp_path / "once.png").read_bytes() == (tmp_path / "again.png").read_bytes()
