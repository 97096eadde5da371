"""Several seeds at once give, to the bit, what each gives alone; what ends one ends all."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from engines import make_dataset, weights
from sumtoone import Dataset, Network, Run, Split, TrainingOptions, fit, open_run, resume
from sumtoone.errors import RunError, TrainingError, UsageError
from sumtoone.language import language, speaking
from sumtoone.native import status

ENGINES = ["plain", *(["fused"] if status().path != "pytorch" else [])]
COLUMNS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
OPTIONS = TrainingOptions(epochs=3, batch_size=4, early_stopping=2, threads=2)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return make_dataset(132, 12, 3)


def build() -> Network:
    return Network("12-16-8-3", "tanh", 0.2)


def alone(dataset: Dataset, seed: int, engine: str) -> Run:
    network = Network(build().specification, seed=seed)
    return fit(network, dataset, replace(OPTIONS, seed=seed), engine=engine)


# --- right


@pytest.mark.parametrize("engine", ENGINES)
def test_each_run_is_the_one_that_its_seed_gives_alone(dataset: Dataset, engine: str) -> None:
    network, state = build(), torch.get_rng_state()
    before = weights(network)
    runs = fit(network, dataset, OPTIONS, seeds=[3, 0, 7], engine=engine)
    assert [run.options.seed for run in runs] == [3, 0, 7]
    for run in runs:
        expected = alone(dataset, run.options.seed, engine)
        assert weights(run.network) == weights(expected.network)
        assert [run.history[name] for name in COLUMNS] == [expected.history[name] for name in COLUMNS]
        threads = 1 if engine == "fused" else 2
        assert (run.options, run.environment) == (expected.options, {**expected.environment, "threads": threads})
        assert (run.name, run.fingerprint) == (expected.name, expected.fingerprint)
        assert not run.network.training
    assert len({weights(run.network) for run in runs}) == 3
    assert weights(network) == before
    assert network.training
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_folder_for_each(dataset: Dataset, tmp_path: Path, engine: str) -> None:
    runs = fit(build(), dataset, OPTIONS, seeds=(0, 12), out=tmp_path / "runs", engine=engine)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["seed-0", "seed-12"]
    for run in runs:
        again = open_run(tmp_path / "runs" / f"seed-{run.options.seed}")
        assert (weights(again.network), again.name) == (weights(run.network), run.name)
        assert again.options == run.options
    with pytest.raises(RunError) as caught:
        fit(build(), dataset, OPTIONS, seeds=[5], out=tmp_path / "runs", engine=engine)
    assert caught.value.code == "run-exists"
    assert len(list((tmp_path / "runs").iterdir())) == 2


@pytest.mark.skipif("fused" not in ENGINES, reason="needs the compiled kernels")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_so_many_at_a_time(dataset: Dataset, threads: int) -> None:
    together, most, names, turns = Counter[int](), 0, set(), threading.Semaphore()

    def listen(event: Any) -> None:
        nonlocal most
        assert turns.acquire(blocking=False), "one event at a time"
        together[event["seed"]] += 1
        most = max(most, sum(count > 0 for count in together.values()))
        if event["event"] == "epoch" and event["epoch"] == 3:
            del together[event["seed"]]
        names.add(threading.current_thread().name)
        time.sleep(0.001)  # for whoever does not wait for its turn
        turns.release()

    fit(build(), dataset, epochs=3, batch_size=4, seeds=range(5), threads=threads, on_event=listen)
    assert most <= threads
    assert len(names) <= threads
    assert threading.main_thread().name not in names


def test_nothing_but_the_description_counts(dataset: Dataset) -> None:
    network = build()
    network.layers[0].register_forward_hook(lambda *given: 1 / 0)
    (run,) = fit(network.double().requires_grad_(False), dataset, OPTIONS, seeds=[1])
    assert weights(run.network) == weights(alone(dataset, 1, "auto").network)


def test_rows_that_are_not_contiguous(dataset: Dataset) -> None:
    strided = replace(dataset, train=Split(dataset.train.inputs.T.contiguous().T, dataset.train.labels))
    (run,) = fit(build(), strided, OPTIONS, seeds=[1])
    assert weights(run.network) == weights(alone(dataset, 1, "auto").network)


@pytest.mark.parametrize("engine", ENGINES)
def test_events_name_their_seed_and_listeners_their_language(dataset: Dataset, engine: str) -> None:
    events: list[dict[str, Any]] = []
    spoken = set()

    def listen(event: Any) -> None:
        events.append(dict(event))
        spoken.add(language())

    with speaking("ko"):
        fit(build(), dataset, epochs=2, seeds=[4, 5], engine=engine, on_event=listen, progress=True)
    epochs = Counter((event["seed"], event["epoch"]) for event in events if event["event"] == "epoch")
    assert epochs == {(4, 1): 1, (4, 2): 1, (5, 1): 1, (5, 2): 1}
    assert spoken == {"ko"}


# --- ending


class _Stop(Exception):
    """Raised by a listener to end training in the middle."""


@pytest.mark.parametrize("engine", ENGINES)
def test_an_error_in_one_ends_all(dataset: Dataset, tmp_path: Path, engine: str) -> None:
    heard = Counter[int]()

    def listen(event: Any) -> None:
        heard[event["seed"]] += 1
        if event["seed"] == 1 and event["event"] == "epoch":
            raise _Stop

    with pytest.raises(_Stop):
        fit(
            build(), dataset, epochs=100_000, batch_size=4, schedule="constant", engine=engine, threads=2,
            seeds=[1, 2, 3], out=tmp_path / "runs", on_event=listen,
        )  # fmt: skip
    assert heard[3] == 0
    assert heard[2] < 100_000


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loss_that_is_no_number_ends_all(dataset: Dataset, engine: str) -> None:
    with pytest.raises(TrainingError) as caught:
        fit(build(), dataset, lr=1e30, optimizer="sgd", schedule="constant", seeds=[0, 1, 2], engine=engine)
    assert caught.value.code == "training-diverged"


@pytest.mark.parametrize("engine", ENGINES)
def test_ctrl_c_ends_all_and_each_goes_on(dataset: Dataset, tmp_path: Path, engine: str) -> None:
    before, pressed = signal.getsignal(signal.SIGINT), threading.Event()

    def press(event: Any) -> None:
        if event["event"] == "step" and not pressed.is_set():
            pressed.set()
            os.kill(os.getpid(), signal.SIGINT)

    options = replace(OPTIONS, epochs=60 if engine == "fused" else 5, early_stopping=None, engine=engine)
    with pytest.raises(KeyboardInterrupt):
        fit(build(), dataset, options, seeds=[0, 1], out=tmp_path, on_event=press)
    assert signal.getsignal(signal.SIGINT) is before
    folder = tmp_path / "seed-0"
    assert not (folder / "run.json").exists()
    expected = fit(Network(build().specification, seed=0), dataset, options)
    assert weights(resume(folder, dataset).network) == weights(expected.network)


# --- wrong calls


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1], [0.5], [True], ["0"], [2**63]], ids=str)
def test_seeds_that_are_none(dataset: Dataset, seeds: list[Any]) -> None:
    with pytest.raises(UsageError) as caught:
        fit(build(), dataset, seeds=seeds)
    assert str(caught.value) == (
        "Seeds must be different whole numbers [training-seeds]\n"
        "  expected: one or more whole numbers from 0, each once\n"
        f"  got: {seeds}\n"
        "  try: seeds=[0, 1, 2]"
    )


@pytest.mark.parametrize("seeds", [3, 0.5, "012"])
def test_a_number_of_seeds_is_no_list(dataset: Dataset, seeds: Any) -> None:
    with pytest.raises(UsageError) as caught:
        fit(build(), dataset, seeds=seeds)
    assert caught.value.got == repr(seeds)


def test_a_module_has_no_seed(dataset: Dataset, tmp_path: Path) -> None:
    module: Any = nn.Sequential(nn.Linear(12, 3))
    with pytest.raises(UsageError) as caught:
        fit(module, dataset, seeds=[0], out=tmp_path / "runs")
    assert str(caught.value) == (
        "Only a Network can be built anew from each seed [training-seeds-network]\n"
        "  expected: a Network\n"
        "  got: Sequential\n"
        "  try: Network.from_module turns many modules into one; or call fit once for each module of yours"
    )
    assert not (tmp_path / "runs").exists()
