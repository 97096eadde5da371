"""Comparisons that are killed, interrupted, and sent to workers that die: no run is lost, and none is done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import pytest

from engines import make_dataset
from sumtoone import Network, compare, fit, load, open_run
from sumtoone.comparing import listing
from sumtoone.errors import UnavailableError

posix = pytest.mark.skipif(os.name != "posix", reason="signals of one's own to another process")
WORDS = ["compare", "digits", "--networks", "784-16-10", "--lrs", "0.005", "--epochs", "6", "--seeds", "4"]
LONG = ["compare", "digits", "--lrs", "0.005", "--seeds", "2", "--workers", "2", "--activations", "relu"]
DATASET = make_dataset(240, 12, 3)


def without_seconds(rows: Any) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def rows_in(folder: Path) -> list[dict[str, Any]]:
    return without_seconds(map(json.loads, (folder / "rows.jsonl").read_text().splitlines()))


def written(folder: Path) -> dict[str, int]:
    """Which runs are finished, and when each was."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/run.json")}


@contextmanager
def command(*words: object) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "-m", "sumtoone", *map(str, words)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def events(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    return map(json.loads, process.stdout)


@posix
def test_kill_9_loses_no_finished_run_and_does_none_twice(tmp_path: Path) -> None:
    words = [*WORDS, "--workers", 2, "--json", "-q", "--out", tmp_path]
    with command(*words) as process:
        for event in events(process):
            if event["done"] == 3:
                break
        process.send_signal(signal.SIGKILL)
    before = written(tmp_path)
    assert 3 <= len(before) < 12
    with command(*words) as process:
        *told, done = events(process)
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert {event["key"] for event in told if event["kept"]} >= set(before)
    assert len({event["key"] for event in told}) == len(told) == 12
    after = written(tmp_path)
    assert {key: after[key] for key in before} == before
    assert done["event"] == "done"
    undisturbed = compare(load("digits"), networks="784-16-10", lrs=0.005, epochs=6, seeds=4)
    assert rows_in(tmp_path) == without_seconds(undisturbed.rows)


@posix
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    with command(*LONG, "--epochs", 3000, "--out", tmp_path / "r", "--json") as process:
        # The lock of a run is there when it has begun.
        while len(list((tmp_path / "r").glob("*/.lock"))) < 2:
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err == f"What is trained is kept in {tmp_path / 'r'}; the same command goes on from there.\ninterrupted\n"
    assert [run.state for run in listing.list_runs(tmp_path / "r")] == ["unfinished", "unfinished"]


def test_who_is_interrupted_ends_those_beside_it_and_keeps_what_they_have(tmp_path: Path) -> None:
    given: dict[str, Any] = {"networks": ["12-8-3", "12-64-64-3"], "lrs": 0.01, "seeds": 2, "batch_sizes": 4}
    threads = threading.active_count()

    def stop(event: Mapping[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(DATASET, out=tmp_path, workers=2, epochs=200, on_event=stop, **given)
    states = [run.state for run in listing.list_runs(tmp_path)]
    assert "finished" in states
    assert set(states) <= {"finished", "unfinished"}
    assert len(states) < 12
    assert threading.active_count() <= threads
    assert not list(tmp_path.glob("**/.lock"))


def test_what_was_interrupted_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """A run with a checkpoint in its folder is resumed, and ends as one that was never interrupted."""
    given: dict[str, Any] = {"networks": "12-8-3", "activations": "relu", "lrs": 0.01, "seeds": 1, "epochs": 300}
    whole = compare(DATASET, out=tmp_path / "whole", **given)
    (row,) = whole.rows
    plan = open_run(tmp_path / "whole" / row["key"]).options
    place = tmp_path / "stopped" / row["key"]
    heard: list[int] = []

    def stop(event: Mapping[str, Any]) -> None:
        heard.append(event["epoch"])
        if event["event"] == "epoch" and event["epoch"] == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(Network("12-8-3", seed=0), DATASET, plan, out=place, on_event=stop)
    stopped = listing.read(place)
    assert (stopped.state, stopped.network, stopped.epochs, stopped.of) == ("unfinished", "12-8-3", 40, 300)
    again = compare(DATASET, out=place.parent, **given)
    assert without_seconds(again.rows) == without_seconds(whole.rows)
    weights = [folder / "model.safetensors" for folder in (place, tmp_path / "whole" / row["key"])]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert not (place / "checkpoints").exists()


def test_a_training_whose_checkpoints_are_all_damaged_begins_anew(tmp_path: Path) -> None:
    given: dict[str, Any] = {"networks": "12-8-3", "activations": "relu", "lrs": 0.01, "seeds": 1, "epochs": 2}
    whole = compare(DATASET, out=tmp_path / "whole", **given)
    checkpoints = tmp_path / "damaged" / whole.rows[0]["key"] / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "000001-000000.json").write_text("{")
    with pytest.warns(UserWarning, match="000001-000000"):
        again = compare(DATASET, out=tmp_path / "damaged", **given)
    assert without_seconds(again.rows) == without_seconds(whole.rows)


@posix
def test_processes_end_with_the_one_that_began_them(tmp_path: Path) -> None:
    words = [*LONG, "--epochs", 2000, "--out", tmp_path, "--backend", "loky"]
    with command(*words) as process:
        while len(locks := list(tmp_path.glob("*/.lock"))) < 2:
            assert process.poll() is None
        children = _children(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
    # Whoever waits for a lock sees a worker save and let go.
    from sumtoone.run_folder import held

    for lock in locks:
        with held(lock.parent, wait=True):
            assert listing.read(lock.parent).state == "unfinished"
    assert len(children) >= 2
    while any(map(_runs, children)):
        pass


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _children(of: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(of)], capture_output=True, text=True, check=False)
    lines = [line.split(maxsplit=1) for line in found.stdout.splitlines()]
    return [int(pid) for pid, words in lines if "loky" in words and "resource_tracker" not in words]


@posix
def test_a_killed_process_is_replaced(tmp_path: Path) -> None:
    given: dict[str, Any] = {"networks": "12-8-3", "activations": ["relu", "tanh"], "lrs": 0.01, "seeds": 4}
    given |= {"epochs": 30}
    whole, seen = compare(DATASET, **given), []

    def hear(event: Mapping[str, Any]) -> None:
        seen.append(event["key"])
        if len(seen) == 2:
            os.kill(_children(os.getpid())[0], signal.SIGKILL)

    found = compare(DATASET, out=tmp_path, backend="loky", workers=2, on_event=hear, **given)
    assert len(seen) == len(set(seen)) == 8
    assert without_seconds(found.rows) == without_seconds(whole.rows)


@posix
def test_workers_that_keep_dying_are_told_of(tmp_path: Path) -> None:
    class Deadly(joblib._parallel_backends.LokyBackend):  # type: ignore[name-defined,misc]
        """Its processes end at once, whatever they are given."""

        def submit(self, func: Any, callback: Any = None) -> Any:
            return super().submit(partial(os._exit, 1), callback)

    joblib.register_parallel_backend("deadly", Deadly)
    with joblib.parallel_config(backend="deadly", n_jobs=2), pytest.raises(UnavailableError) as caught:
        compare(DATASET, networks="12-8-3", activations="relu", lrs=0.01, seeds=2, epochs=1, out=tmp_path)
    assert caught.value.code == "compare-workers"
    assert caught.value.got.startswith("TerminatedWorkerError: ")
    assert caught.value.got.endswith(", with 2 trainings left")


@pytest.mark.parametrize("backend", ["multiprocessing", "sequential"])
def test_every_backend_of_joblib_gives_the_same_rows(backend: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"networks": "12-8-3", "activations": ["relu", "tanh"], "seeds": 3, "epochs": 2}
    whole = compare(DATASET, **given)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        found = compare(DATASET, out=tmp_path, **given)
    assert without_seconds(found.rows) == without_seconds(whole.rows)
    assert len(written(tmp_path)) == len(found.rows) == 2 * (5 + 3)


# --- past one machine


def test_a_cluster_that_loses_a_worker_gives_the_same_rows(tmp_path: Path) -> None:
    """dask's own scheduler and two worker processes, of which one is killed in the middle."""
    from distributed import Client, LocalCluster

    given: dict[str, Any] = {"networks": "12-8-3", "activations": ["relu", "tanh"], "lrs": 0.01, "seeds": 4}
    here, there, none = tmp_path / "here", tmp_path / "there", {"dashboard_address": None, "silence_logs": 50}
    whole = compare(DATASET, out=here, epochs=60, **given)
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **none) as cluster:
        workers = [worker.process.pid for worker in cluster.workers.values()]
        seen: list[str] = []

        def hear(event: Mapping[str, Any]) -> None:
            seen.append(event["key"])
            if len(seen) == 2:
                os.kill(workers[0], signal.SIGKILL)

        where: dict[str, Any] = {"backend": "dask", "scheduler": cluster.scheduler_address}
        found = compare(DATASET, out=there, epochs=60, on_event=hear, **where, **given)
        with Client(cluster), joblib.parallel_config(backend="dask"):
            loose = compare(DATASET, epochs=2, **given)
    assert len(seen) == len(set(seen)) == len(written(there)) == 8
    assert without_seconds(found.rows) == without_seconds(whole.rows)
    for key in seen:
        assert (there / key / "model.safetensors").read_bytes() == (here / key / "model.safetensors").read_bytes()
    assert without_seconds(loose.rows) == without_seconds(compare(DATASET, epochs=2, **given).rows)


def test_what_comes_back_from_afar_is_the_run(tmp_path: Path) -> None:
    """A worker without this disk gives the files back: the same as those of one that writes them here."""
    from sumtoone.comparing import working
    from sumtoone.comparing.grid import Training

    found = compare(DATASET, networks="12-8-3", activations="relu", lrs=0.01, seeds=1, epochs=2, out=tmp_path)
    (key,) = written(tmp_path)
    here = tmp_path / key
    preprocessing = open_run(here).preprocessing
    facts = {name: getattr(DATASET, name) for name in ("name", "classes", "source")}
    afar = working.Material(facts, DATASET.fingerprint, DATASET.marks, None, None, preprocessing, None, keeps=True)
    frozen = [array.copy() for array in working.arrays_of(DATASET)]
    for array in frozen:
        array.flags.writeable = False
    outcome = working.work(key, Training(found.contenders[0], 0), afar, None, *frozen)
    assert outcome.error is None
    assert list(outcome.files) == ["model.safetensors", "history.jsonl", "run.json"]
    assert outcome.files["model.safetensors"] == (here / "model.safetensors").read_bytes()
    ours, theirs = (json.loads(text) for text in (outcome.files["run.json"], (here / "run.json").read_text()))
    assert {name for name in theirs if ours[name] != theirs[name]} == {"digests", "digest"}


def test_a_process_of_a_cluster_trains_as_many_at_a_time_as_it_has_threads() -> None:
    from sumtoone.comparing import working
    from sumtoone.comparing.grid import Training, contenders
    from sumtoone.data import Preprocessing

    axes = {
        "networks": ["12-8-3"],
        "activations": ["relu"],
        "optimizers": ["adamw"],
        "lrs": [0.01],
        "batch_sizes": [64],
    }
    training = Training(contenders("12-8-3", axes, {"epochs": 1})[0], 0)
    facts, preprocessing = {"name": "x", "classes": DATASET.classes}, Preprocessing.fitted(DATASET.train.inputs)
    afar = working.Material(facts, DATASET.fingerprint, DATASET.marks, None, None, preprocessing, None, keeps=False)
    outcomes: list[working.Outcome] = []

    def train() -> None:
        outcomes.append(working.work("a", training, afar, None, *working.arrays_of(DATASET)))

    # Where a process was begun by the caller, this is held by the one training that it does at a time.
    with working._busy:
        thread = threading.Thread(target=train, daemon=True)
        thread.start()
        thread.join(30)
        assert [outcome.error for outcome in outcomes] == [None]


def test_a_backend_that_is_not_installed_is_named() -> None:
    with pytest.raises(UnavailableError) as caught:
        compare(DATASET, networks="12-8-3", epochs=1, backend="ray")
    assert str(caught.value) == (
        "The package of this backend is not installed [compare-backend]\n"
        "  expected: a backend that is installed; threading and loky always are\n"
        "  got: no ray\n"
        "  try: pip install ray"
    )


def test_a_scheduler_that_does_not_answer_is_told_of() -> None:
    with pytest.raises(UnavailableError) as caught:
        compare(DATASET, networks="12-8-3", epochs=1, backend="dask", scheduler="tcp://127.0.0.1:9")
    assert caught.value.code == "compare-scheduler-silent"
    assert caught.value.got.startswith("tcp://127.0.0.1:9: ")
