"""Training: right, reproducible, and able to go on after any death."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import sumtoone as s1
from sumtoone import Dataset, Network, Preprocessing, Split, TrainingOptions, fit, open_run, resume
from sumtoone.errors import DataError, RunError, ShapeError, TrainingError, UnavailableError, UsageError
from sumtoone.native import status
from sumtoone.training.checkpoints import Checkpoints, newest_checkpoint, stems
from sumtoone.training.randomness import batch_order
from sumtoone.training.schedules import learning_rate
from sumtoone.training.state import Progress


def make_dataset(rows: int = 330, features: int = 12, classes: int = 3) -> Dataset:
    """Separable clouds of float rows."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(rows) % classes
    centres = torch.randn(classes, features, generator=generator)
    inputs = centres[labels] + 0.7 * torch.randn(rows, features, generator=generator)
    first, second = rows * 2 // 3, rows * 5 // 6
    splits = [Split(inputs[part], labels[part]) for part in (slice(first), slice(first, second), slice(second, rows))]
    return Dataset("clouds", *splits, classes=tuple(f"c{k}" for k in range(classes)), source="clouds")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return make_dataset()


def weights(network: nn.Module) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values())


def build(**more: Any) -> Network:
    return Network("12-16-8-3", **more)


# --- right


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "sgd"},
        {"optimizer": "sgd", "nesterov": True, "weight_decay": 0.01, "schedule": "cosine"},
        {"optimizer": "sgd", "momentum": 0.0, "schedule": "constant"},
        {"optimizer": "adam", "label_smoothing": 0.1},
        {"optimizer": "adamw", "schedule": "constant"},
    ],
    ids=str,
)
def test_it_is_the_loop_a_person_would_write(dataset: Dataset, options: dict[str, Any]) -> None:
    run = fit(build(), dataset, epochs=3, batch_size=32, **options)

    chosen = TrainingOptions(epochs=3, batch_size=32, **options)
    network, preprocess = build(), Preprocessing.fitted(dataset.train.inputs)
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    more = {"momentum": chosen.momentum, "nesterov": chosen.nesterov} if chosen.optimizer == "sgd" else {}
    optimizer = kinds[chosen.optimizer](network.parameters(), lr=1, weight_decay=chosen.decay, **more)
    x, y = preprocess(dataset.train.inputs), dataset.train.labels
    step, losses = 0, []
    for epoch in range(3):
        total = 0.0
        for rows in batch_order(0, epoch, len(y)).split(32):
            loss = F.cross_entropy(network(x[rows]), y[rows], label_smoothing=chosen.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.param_groups[0]["lr"] = learning_rate(chosen, step, 21)
            optimizer.step()
            total += loss.item() * len(rows)
            step += 1
        losses.append(total / len(y))
    assert run.history["train_loss"] == pytest.approx(losses, rel=1e-5)
    for ours, theirs in zip(run.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_it_learns_and_tells(dataset: Dataset) -> None:
    events: list[dict[str, Any]] = []
    run = fit(build(), dataset, epochs=4, batch_size=8, on_event=lambda event: events.append(dict(event)))
    assert run.history["validation_accuracy"][-1] > 0.9
    assert [event["epoch"] for event in events if event["event"] == "epoch"] == [1, 2, 3, 4]
    assert set(run.history.rows[0]) == {
        "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds",
    }  # fmt: skip
    validation = run.probabilities(dataset.validation.inputs)
    accuracy = (validation.argmax(1) == dataset.validation.labels).float().mean().item()
    assert run.history["validation_accuracy"][-1] == pytest.approx(accuracy)
    nll = F.nll_loss(validation.log(), dataset.validation.labels).item()
    assert run.history["validation_loss"][-1] == pytest.approx(nll, rel=1e-5)


def test_the_run_carries_what_a_user_needs(dataset: Dataset) -> None:
    run = fit(build(), dataset, epochs=1)
    assert (run.classes, run.data, run.name, run.image_shape) == (("c0", "c1", "c2"), "clouds", "clouds", None)
    assert run.fingerprint == dataset.fingerprint
    assert not run.network.training
    assert run.environment["torch"] == torch.__version__


def test_test_rows_are_never_looked_at(dataset: Dataset) -> None:
    poisoned = replace(dataset, test=Split(torch.full_like(dataset.test.inputs, 1e30), dataset.test.labels))
    assert weights(fit(build(), poisoned, epochs=2).network) == weights(fit(build(), dataset, epochs=2).network)


def test_any_module_trains(dataset: Dataset) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))
    run = fit(module, dataset, epochs=8, batch_size=32)
    assert run.history["validation_accuracy"][-1] > 0.9


def test_bfloat16_learns_as_well(dataset: Dataset) -> None:
    run = fit(build(), dataset, epochs=4, batch_size=8, precision="bfloat16")
    assert run.history["validation_accuracy"][-1] > 0.9
    assert next(run.network.parameters()).dtype == torch.float32


def test_without_validation_rows_its_numbers_are_nan(dataset: Dataset) -> None:
    empty = replace(dataset, validation=Split(dataset.validation.inputs[:0], dataset.validation.labels[:0]))
    assert math.isnan(fit(build(), empty, epochs=1).history["validation_loss"][0])


def test_early_stopping_keeps_the_best_weights(dataset: Dataset) -> None:
    noise = torch.Generator().manual_seed(1)
    noisy = replace(
        dataset, train=Split(dataset.train.inputs, torch.randint(3, dataset.train.labels.shape, generator=noise))
    )
    run = fit(build(), noisy, epochs=50, lr=0.02, schedule="constant", early_stopping=3)
    losses = run.history["validation_loss"]
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + 3 < 50
    logits = torch.log(run.probabilities(dataset.validation.inputs))
    assert F.nll_loss(logits, dataset.validation.labels).item() == pytest.approx(min(losses), rel=1e-5)


# --- reproducible


def test_one_seed_gives_the_same_bits(dataset: Dataset) -> None:
    torch.manual_seed(1)
    first = fit(build(dropout=0.3), dataset, epochs=3, seed=5)
    torch.manual_seed(2)
    again = fit(build(dropout=0.3), dataset, epochs=3, seed=5)
    other = fit(build(dropout=0.3), dataset, epochs=3, seed=6)
    assert weights(first.network) == weights(again.network) != weights(other.network)


def test_torchs_own_random_state_is_left_alone(dataset: Dataset) -> None:
    before = torch.get_rng_state()
    fit(build(dropout=0.3), dataset, epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_are_given_back(dataset: Dataset) -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    run = fit(
        build(), dataset, epochs=1, threads=before + 1, engine="plain",
        on_event=lambda event: seen.append(torch.get_num_threads()),
    )  # fmt: skip
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before
    assert run.environment["threads"] == before + 1


def test_the_fused_engine_leaves_torchs_threads_alone(dataset: Dataset) -> None:
    before, seen = torch.get_num_threads(), []
    run = fit(build(), dataset, epochs=1, threads=3, on_event=lambda event: seen.append(torch.get_num_threads()))
    if status().path != "pytorch":
        assert set(seen) == {before}
    assert run.environment["threads"] == 3


def test_small_networks_take_one_thread_and_large_ones_torchs(dataset: Dataset) -> None:
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        for network in (build(), Network("12-6000-100-3")):
            listen = lambda event: seen.append(torch.get_num_threads())  # noqa: E731
            fit(network, dataset, epochs=1, engine="plain", on_event=listen)
    finally:
        torch.set_num_threads(before)
    assert [seen[0], seen[-1]] == [1, 2]


def test_threads_may_come_from_the_environment(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setenv("SUMTOONE_THREADS", "3")
    fit(build(), dataset, epochs=1, engine="plain", on_event=lambda event: seen.append(torch.get_num_threads()))
    assert set(seen) == {3}
    monkeypatch.setenv("SUMTOONE_THREADS", "many")
    with pytest.raises(UsageError) as caught:
        fit(build(), dataset, epochs=1)
    assert str(caught.value) == (
        "SUMTOONE_THREADS must be a whole number [training-count]\n"
        "  expected: a whole number from 1 to 1,024\n"
        "  got: 'many'\n"
        "  try: choose a whole number from 1 to 1,024"
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_trains_to_the_same_losses(dataset: Dataset) -> None:
    on_cpu = fit(build(), dataset, epochs=3, device="cpu")
    on_cuda = fit(build(), dataset, epochs=3, device="cuda")
    assert on_cuda.history["train_loss"] == pytest.approx(on_cpu.history["train_loss"], rel=1e-3)


# --- surviving


def test_a_run_folder_is_not_overwritten(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError) as caught:
        fit(build(), dataset, epochs=1, out=tmp_path)
    assert str(caught.value) == (
        "There is something in this folder already; it is not overwritten [run-exists]\n"
        "  expected: a new or empty folder\n"
        f"  got: {tmp_path}\n"
        "  try: another --out, or --resume to continue an unfinished run"
    )
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_a_finished_folder_holds_the_run_and_nothing_else(dataset: Dataset, tmp_path: Path) -> None:
    run = fit(build(), dataset, epochs=2, out=tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "history.jsonl",
        "model.safetensors",
        "run.json",
    ]
    again = resume(tmp_path / "run")
    assert weights(again.network) == weights(run.network)
    assert again.history == run.history


class _Stop(Exception):
    """Raised by a listener to end training in the middle."""


def _stop_after(events: int) -> Any:
    seen = []

    def listen(event: Any) -> None:
        seen.append(event)
        if len(seen) == events:
            raise _Stop

    return listen


@pytest.mark.parametrize("events", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_resuming_gives_the_same_bits(dataset: Dataset, tmp_path: Path, events: int, optimizer: str) -> None:
    options = TrainingOptions(epochs=5, batch_size=16, optimizer=optimizer, early_stopping=4)
    whole = fit(build(dropout=0.2), dataset, options)
    with pytest.raises(_Stop):
        fit(build(dropout=0.2), dataset, options, out=tmp_path / "run", on_event=_stop_after(events))
    again = resume(tmp_path / "run", dataset)
    assert weights(again.network) == weights(whole.network)
    for name in ("train_loss", "train_accuracy", "validation_loss"):
        assert again.history[name] == whole.history[name]


TRAIN = """
import json, sys, torch
sys.path.insert(0, sys.argv[3])
from dataclasses import replace
from pathlib import Path
from test_training import make_dataset, build
from sumtoone import fit, resume
dataset, out = replace(make_dataset(rows=6000), image_shape=(3, 4)), Path(sys.argv[1])
def tell(event):
    print(event["event"], flush=True)
    sys.stdin.readline()
if sys.argv[2] == "fit":
    options = json.loads(sys.argv[4])
    fit(build(dropout=0.2), dataset, epochs=6, batch_size=8, threads=1, out=out, on_event=tell, **options)
else:
    resume(out, dataset, on_event=tell)
"""


def _process(out: Path, verb: str, options: dict[str, Any]) -> subprocess.Popen[str]:
    """Begin a training that waits for a line after every event it tells, until there are no more."""
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        TRAIN,
        str(out),
        verb,
        str(Path(__file__).parent),
        json.dumps(options),
    ]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("options", [{}, {"averaging": 0.2, "deformation": "shift=1,elastic=0.5"}], ids=str)
def test_kill_9_at_any_moment_and_resume_give_the_same_bits(tmp_path: Path, options: dict[str, Any]) -> None:
    with _process(tmp_path / "whole", "fit", options) as process:
        process.communicate()
    assert process.returncode == 0
    out, verb = tmp_path / "killed", "fit"
    # 15 events of steps and one of its end in each epoch; then a while in which it goes on, to the next at most.
    for events, wait in ((1, 0.0), (16, 0.001), (30, 0.003)):
        with _process(out, verb, options) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for _ in range(events):
                assert process.stdout.readline()
                process.stdin.write("\n")
                process.stdin.flush()
            time.sleep(wait)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        verb = "resume"
    with _process(out, verb, options) as process:
        process.communicate()
    assert process.returncode == 0
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_the_newest_checkpoints_are_kept_however_long_their_numbers(tmp_path: Path) -> None:
    # An epoch of a million steps, and a million epochs: names that do not sort as text.
    places = [(0, 999_950), (0, 1_000_000), (1, 0), (999_999, 7), (1_000_000, 0), (1_000_000, 10**15)]
    checkpoints = Checkpoints(tmp_path, {})
    for epoch, step in places:
        checkpoints.save(Progress(epoch, step), {"network.w": torch.ones(2)})
        assert newest_checkpoint(tmp_path)[0].to_json() == Progress(epoch, step).to_json()
    assert stems(tmp_path) == ["1000000-1000000000000000", "1000000-000000"]
    # Two pairs and the two books.
    assert len(list((tmp_path / "checkpoints").iterdir())) == 6


def _interrupt(dataset: Dataset, out: Path, **options: Any) -> None:
    """Begin training and press Ctrl-C after a few steps."""
    pressed = []

    def press(event: Any) -> None:
        if not pressed and event["event"] == "step":
            pressed.append(event)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(build(), dataset, out=out, on_event=press, **{"epochs": 3, "batch_size": 2, **options})


def test_ctrl_c_saves_in_the_middle_of_an_epoch(dataset: Dataset, tmp_path: Path) -> None:
    _interrupt(dataset, tmp_path / "run")
    state, _, _ = newest_checkpoint(tmp_path / "run")
    assert (state.epoch, state.step) == (0, 50)
    with pytest.raises(RunError) as caught:
        open_run(tmp_path / "run")
    assert caught.value.code == "run-unfinished"
    again = resume(tmp_path / "run", dataset)
    assert weights(again.network) == weights(fit(build(), dataset, epochs=3, batch_size=2).network)


@pytest.mark.parametrize("engine", ["plain", "auto"])
def test_ctrl_c_after_the_last_step_of_an_epoch_saves_what_can_go_on(
    dataset: Dataset, tmp_path: Path, engine: str
) -> None:
    options = {"epochs": 2, "batch_size": 32, "engine": engine}
    _interrupt(dataset, tmp_path / "run", **options)
    state, _, _ = newest_checkpoint(tmp_path / "run")
    # Its validation is still to come.
    assert (state.epoch, state.step) == (0, -(-len(dataset.train) // 32))
    again = resume(tmp_path / "run", dataset)
    whole = fit(build(), dataset, **options)
    assert weights(again.network) == weights(whole.network)
    assert again.history["train_loss"] == whole.history["train_loss"]


def test_training_in_another_thread_leaves_signals_alone(dataset: Dataset) -> None:
    before, runs = signal.getsignal(signal.SIGINT), []
    thread = threading.Thread(target=lambda: runs.append(fit(build(), dataset, epochs=1)))
    thread.start()
    thread.join()
    assert len(runs) == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_a_damaged_checkpoint_gives_way_to_the_one_before(dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(_Stop):
        fit(build(), dataset, epochs=4, batch_size=64, out=out, on_event=_stop_after(7))
    newest = sorted((out / "checkpoints").glob("*.safetensors"))[-1]
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    with pytest.warns(UserWarning) as caught:
        again = resume(out, dataset)
    assert [str(warning.message) for warning in caught] == [
        f"checkpoint {newest.stem}.json is damaged ({newest.name}: digest does not match); "
        "going on from the one before it"
    ]
    assert weights(again.network) == weights(fit(build(), dataset, epochs=4, batch_size=64).network)


def test_no_whole_checkpoint_is_an_error(dataset: Dataset, tmp_path: Path) -> None:
    _interrupt(dataset, tmp_path)
    for path in (tmp_path / "checkpoints").glob("*.json"):
        path.write_text("{")
    with pytest.warns(UserWarning), pytest.raises(RunError) as caught:
        resume(tmp_path, dataset)
    assert str(caught.value) == (
        "No checkpoint in this folder can be used [run-no-checkpoint]\n"
        "  expected: one whole checkpoint\n"
        f"  got: 2 damaged in {tmp_path}\n"
        "  try: train again into a new folder"
    )


def test_changed_data_is_noticed(dataset: Dataset, tmp_path: Path) -> None:
    _interrupt(dataset, tmp_path)
    with pytest.raises(RunError) as caught:
        resume(tmp_path, make_dataset(rows=331))
    assert caught.value.code == "run-data-changed"


def test_resuming_nothing(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        resume(tmp_path)
    assert caught.value.code == "run-missing"


def test_resuming_someone_elses_module_needs_it(dataset: Dataset, tmp_path: Path) -> None:
    def module() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(12, 3))

    with pytest.raises(_Stop):
        fit(module(), dataset, epochs=3, out=tmp_path / "run", on_event=_stop_after(3))
    with pytest.raises(RunError) as caught:
        resume(tmp_path / "run", dataset)
    assert str(caught.value) == (
        f"The run in {tmp_path / 'run'} trained a module of your own, which it needs to answer [run-module]\n"
        "  expected: an instance of Sequential\n"
        "  got: none\n"
        "  try: open_run(path, network=Sequential()), resume(path, network=Sequential()); on the command line "
        "--network FILE.py:Sequential"
    )
    network = module()
    again = resume(tmp_path / "run", dataset, network)
    assert again.network is network
    assert weights(network) == weights(fit(module(), dataset, epochs=3).network)


def test_a_loss_that_is_no_number_names_its_step(dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(TrainingError) as caught:
        fit(build(), dataset, epochs=3, lr=1e30, optimizer="sgd", schedule="constant", out=out)
    assert caught.value.code == "training-diverged"
    assert caught.value.got == "loss nan at step 2 of epoch 1, with learning rates up to 1e+30"
    assert caught.value.exit_code == 1
    state, tensors, _ = newest_checkpoint(out)
    assert (state.epoch, state.step) == (0, 0)
    assert all(torch.isfinite(tensor).all() for name, tensor in tensors.items() if name.startswith("network."))


def test_weights_that_are_no_numbers_are_not_saved(dataset: Dataset, tmp_path: Path) -> None:
    # The only step of the epoch ruins the weights: every training loss before was still finite.
    whole = replace(dataset, train=Split(dataset.train.inputs[:1], dataset.train.labels[:1]))
    with pytest.raises(TrainingError):
        fit(build(), whole, epochs=2, lr=1e38, optimizer="sgd", schedule="constant", out=tmp_path / "run")
    state, _, _ = newest_checkpoint(tmp_path / "run")
    assert state.epoch == 0


# --- wrong calls


def test_a_network_of_another_input_size(dataset: Dataset) -> None:
    with pytest.raises(ShapeError) as caught:
        fit(Network("784-10-3"), dataset)
    assert str(caught.value) == (
        "The network's input size is not the number of values in a row [training-features]\n"
        "  expected: an input size of 12\n"
        "  got: 784\n"
        "  try: begin the network with 12"
    )


def test_a_network_of_another_output_size(dataset: Dataset) -> None:
    with pytest.raises(ShapeError) as caught:
        fit(Network("12-10"), dataset)
    assert str(caught.value) == (
        "The network's output is not one logit for each class [training-classes]\n"
        "  expected: 3 numbers for each row, one for each class: shape (64, 3)\n"
        "  got: (64, 10)\n"
        "  try: end the network with 3"
    )


def test_a_module_that_cannot_take_the_rows(dataset: Dataset) -> None:
    with pytest.raises(ShapeError) as caught:
        fit(nn.Sequential(nn.Linear(5, 3)), dataset)
    assert caught.value.message == "The network cannot take these rows"
    assert caught.value.got == (
        "Sequential[0] takes 5, receives 12 numbers for each row "
        "(mat1 and mat2 shapes cannot be multiplied (64x12 and 5x3))"
    )


def test_a_preprocessing_of_another_size(dataset: Dataset) -> None:
    with pytest.raises(ShapeError) as caught:
        fit(build(), dataset, preprocessing=Preprocessing(5))
    assert (caught.value.expected, caught.value.got) == ("an input size of 12", "5")


def test_no_rows(dataset: Dataset) -> None:
    empty = replace(dataset, train=Split(dataset.train.inputs[:0], dataset.train.labels[:0]))
    with pytest.raises(DataError) as caught:
        fit(build(), empty)
    assert caught.value.got == "0 rows in clouds: train"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there(dataset: Dataset) -> None:
    with pytest.raises(UnavailableError) as caught:
        fit(build(), dataset, device="cuda")
    assert (caught.value.got, caught.value.exit_code) == ("cuda", 4)


def test_digits_reach_93_percent() -> None:
    data = s1.load("digits")
    run = fit(Network("784-128-64-10"), data)
    accuracy = (run.probabilities(data.test.inputs).argmax(1) == data.test.labels).float().mean().item()
    assert accuracy >= 0.93


def test_full_mnist_reaches_98_percent(mnist_folder: Path) -> None:
    data = s1.load(str(mnist_folder))
    run = fit(Network("784-128-64-10"), data)
    accuracy = (run.probabilities(data.test.inputs).argmax(1) == data.test.labels).float().mean().item()
    assert accuracy >= 0.98


def test_run_json_is_plain(dataset: Dataset, tmp_path: Path) -> None:
    fit(build(), dataset, epochs=1, out=tmp_path / "run")
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    assert document["specification"] == {"sizes": "12-16-8-3", "activation": "relu", "dropout": 0.0}
    assert set(document["digests"]) == {"model.safetensors", "history.jsonl"}


MEASURES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds")


def test_a_checkpoint_costs_the_same_after_many_epochs(tmp_path: Path) -> None:
    # What it writes, not its time: neither the history nor the features' statistics make it grow.
    checkpoints = Checkpoints(tmp_path, {"preprocessing": {"mean": [0.5] * 50_000}})
    progress = Progress()
    row = {"epoch": 1, **dict.fromkeys(MEASURES, 0.123456789)}
    sizes = []
    for epoch in range(1, 301):
        progress.rows.append({**row, "epoch": epoch})
        progress.epoch = epoch
        checkpoints.save(progress, {"network.w": torch.ones(2)})
        newest = tmp_path / "checkpoints" / f"{stems(tmp_path)[0]}.json"
        sizes.append(newest.stat().st_size)
    assert max(sizes) < 10_000
    state, _, task = newest_checkpoint(tmp_path)
    assert [one["epoch"] for one in state.rows] == list(range(1, 301))
    assert task == {"preprocessing": {"mean": [0.5] * 50_000}}
    books = sorted((tmp_path / "checkpoints").glob("book-*.jsonl"))
    assert len(books) == 2
    # A damaged book costs one checkpoint, not both.
    books[int(json.loads(newest.read_text())["book"]["number"])].write_bytes(b"")
    from sumtoone.training.checkpoints import read_document

    with pytest.raises(ValueError, match="digest does not match"):
        read_document(tmp_path, stems(tmp_path)[0])
    assert len(read_document(tmp_path, stems(tmp_path)[1])["progress"]["rows"]) == 299
