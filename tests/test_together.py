"""Nothing is lost where many work at once: processes in one folder, trainings in threads, children of a fork."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

import warm
from sumtoone import Network, Run, evaluate, fit, open_run, resume
from sumtoone.errors import RunError
from sumtoone.run_folder import held, new_folder, unique_folder
from test_training import build, make_dataset, weights

DATASET = make_dataset()


def together(commands: list[tuple[object, ...]], folder: Path) -> list[subprocess.CompletedProcess[str]]:
    """What becomes of commands that are begun at once."""
    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda words: warm.run(None, *words, cwd=folder), commands))


# --- processes


def table(folder: Path, rows: int = 400) -> Path:
    path = folder / "clouds.csv"
    data = make_dataset(rows).train
    lines = [",".join(f"{value:.4f}" for value in row) + f",c{label}" for row, label in zip(*data, strict=True)]
    path.write_text("\n".join([",".join(f"x{column}" for column in range(12)) + ",label", *lines]) + "\n")
    return path


def test_trainings_started_together_have_a_folder_each(tmp_path: Path) -> None:
    data = table(tmp_path)
    commands = [("train", data, "--seed", seed, "--epochs", 1, "-q") for seed in range(8)]
    assert [done.returncode for done in together(commands, tmp_path)] == [0] * 8
    folders = list((tmp_path / "runs").iterdir())
    assert len(folders) == 8
    assert sorted(open_run(folder).options.seed for folder in folders) == list(range(8))


def test_of_two_trainings_in_one_folder_one_runs(tmp_path: Path) -> None:
    data = table(tmp_path)
    for number in range(3):
        words = ("train", data, "--epochs", 30, "--batch-size", 1, "--out", tmp_path / f"run{number}", "--json")
        pair = together([(*words, "--seed", seed) for seed in (0, 1)], tmp_path)
        said = [done.stdout.splitlines() for done in pair]
        codes = [done.returncode for done in pair]
        assert sorted(codes) == [0, 3]
        error = json.loads(said[codes.index(3)][0])["error"]
        assert error["code"] in ("run-in-use", "run-exists")
        assert len(said[codes.index(3)]) == 1
        run = open_run(tmp_path / f"run{number}")
        assert (run.options.seed, len(run.history)) == (codes.index(0), 30)


def test_a_folder_in_use_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with held(tmp_path / "run"):
        for act in (lambda: fit(build(), DATASET, epochs=1, out=tmp_path / "run"), lambda: _hold(tmp_path / "run")):
            with pytest.raises(RunError) as caught:
                act()
            assert str(caught.value) == (
                "Another training is writing to this run's folder [run-in-use]\n"
                "  expected: a folder that nobody else is writing to\n"
                f"  got: {tmp_path / 'run'}\n"
                "  try: wait for it to end, or choose another folder"
            )
    fit(build(), DATASET, epochs=1, out=tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "history.jsonl", "model.safetensors", "run.json",
    ]  # fmt: skip


def _hold(folder: Path) -> None:
    with held(folder):
        pass


def test_the_lock_is_held_through_a_training_and_through_resuming(tmp_path: Path) -> None:
    heard = []

    def listen(event: Any) -> None:
        with pytest.raises(RunError) as caught:
            fit(build(), DATASET, epochs=1, out=tmp_path / "run")
        heard.append(caught.value.code)
        with pytest.raises(RunError) as caught:
            resume(tmp_path / "run", DATASET)
        heard.append(caught.value.code)
        if event["epoch"] == stop_in:
            raise KeyboardInterrupt

    stop_in = 1
    with pytest.raises(KeyboardInterrupt):
        fit(build(), DATASET, epochs=2, out=tmp_path / "run", on_event=listen)
    stop_in = 0
    resume(tmp_path / "run", DATASET, on_event=listen)
    assert set(heard) == {"run-in-use"}
    assert len(heard) >= 4


def test_a_lock_left_by_a_killed_process_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()
    fit(build(), DATASET, epochs=1, out=tmp_path / "run")
    assert not (tmp_path / "run" / ".lock").exists()


def test_metrics_of_two_writers_are_both_kept(tmp_path: Path) -> None:
    run = fit(build(), DATASET, epochs=1, out=tmp_path / "run")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: run.with_metrics(tmp_path / "run", {str(name): name}), range(12)))
    assert open_run(tmp_path / "run").metrics == {str(name): name for name in range(12)}


def test_what_was_made_for_nothing_goes_again(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "a" / "b"):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), unique_folder(tmp_path / "a", "run"):
        raise ZeroDivisionError
    (tmp_path / "a" / "mine").mkdir()
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "a" / "mine"):
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["mine"]
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "kept"):
        _fail_after(tmp_path / "kept" / "file")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["file"]


def _fail_after(file: Path) -> None:
    file.touch()
    raise ZeroDivisionError


# --- threads


def alone(seed: int, engine: str) -> Run:
    network = Network("12-16-8-3", dropout=0.5, seed=seed)
    return fit(network, DATASET, epochs=6, batch_size=4, seed=seed, engine=engine)


@pytest.mark.parametrize("engine", ["plain", "auto"])
def test_trainings_in_threads_give_what_each_gives_alone(engine: str) -> None:
    expected = [weights(alone(seed, engine).network) for seed in range(4)]
    torch.manual_seed(3)
    state, threads, filters = torch.get_rng_state(), torch.get_num_threads(), list(warnings.filters)
    for _ in range(3):
        with ThreadPoolExecutor(4) as pool:
            runs = list(pool.map(lambda seed: alone(seed, engine), range(4)))
        assert [weights(run.network) for run in runs] == expected
    assert torch.equal(torch.get_rng_state(), state)
    assert warnings.filters == filters
    seen = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        thread.start()
        thread.join()
    assert (torch.get_num_threads(), seen) == (threads, [threads, threads])


def test_threads_are_what_they_were_whoever_ends_first() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(4) as pool:
            jobs = [
                pool.submit(fit, build(dropout=0.1), DATASET, epochs=epochs, batch_size=8, engine="plain")
                for epochs in (9, 1, 5, 2, 7)
            ]
            assert all(len(job.result().history) for job in jobs)
            after = {pool.submit(torch.get_num_threads).result() for _ in range(8)}
        assert after == {2}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_listener_may_draw_numbers() -> None:
    def train(listen: Callable[[Any], object]) -> bytes:
        return weights(
            fit(build(dropout=0.5), DATASET, epochs=3, batch_size=2, engine="plain", on_event=listen).network
        )

    assert train(lambda event: torch.rand(7)) == train(lambda event: None)


def test_a_training_within_a_training() -> None:
    inner: list[bytes] = []
    expected = weights(fit(build(dropout=0.5), DATASET, epochs=2, batch_size=2, engine="plain").network)

    def listen(event: Any) -> None:
        if not inner:
            inner.append(weights(fit(build(dropout=0.5), DATASET, epochs=2, batch_size=2, engine="plain").network))

    outer = fit(build(dropout=0.5), DATASET, epochs=2, batch_size=2, engine="plain", on_event=listen)
    assert inner == [expected] == [weights(outer.network)]


# --- children of a fork, with as many threads as a user has

FORK = """
import os, sys, warnings, torch
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[2])
import sumtoone as s1
from torch import nn
from test_training import make_dataset, build, weights
torch.set_num_threads(2)
data = make_dataset(6000)
assert torch.get_num_threads() == 2
run = s1.fit(build(dropout=0.1), data, epochs=1, engine=sys.argv[1])
torch.rand(2000, 2000) @ torch.rand(2000, 2000)
module = s1.fit(nn.Sequential(nn.Linear(12, 3)), data, epochs=1)
expected = weights(s1.fit(build(dropout=0.1), data, epochs=1, engine=sys.argv[1], threads=1).network)
answers, report = run.probabilities(data.test.inputs), s1.evaluate(run, data.test)
child = os.fork()
if child == 0:
    code = 1
    try:
        assert torch.equal(run.probabilities(data.test.inputs), answers)
        assert torch.allclose(module.probabilities(data.test.inputs).sum(dim=1), torch.ones(1))
        assert s1.evaluate(run, data.test).nll == report.nll
        torch.softmax(torch.rand(4000, 4000), dim=1)
        for threads in (1, None):
            for engine in ("plain", "auto"):
                again = s1.fit(build(dropout=0.1), data, epochs=1, engine=engine, threads=threads)
                assert engine != sys.argv[1] or weights(again.network) == expected
        code = 0
    finally:
        os._exit(code)
_, status = os.waitpid(child, 0)
assert torch.get_num_threads() == 2
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("engine", ["plain", "auto"])
def test_a_forked_child_predicts_judges_and_trains(engine: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", FORK, engine, str(Path(__file__).parent)]
    done = subprocess.run(command, env=environment, timeout=120, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_another_programs_lock_is_heeded(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / ".lock"), pytest.raises(RunError) as caught:
        fit(build(), DATASET, epochs=1, out=tmp_path / "run")
    assert caught.value.code == "run-in-use"
    assert evaluate(fit(build(), DATASET, epochs=1, out=tmp_path / "run"), DATASET.test).rows == len(DATASET.test)
