"""The fused engine computes what the plain one computes, survives what it survives, and is deterministic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from engines import ACTIVATIONS, OPTIMIZERS, REFUSED, epoch_of, make_dataset, make_plan, train, weights
from sumtoone import Dataset, Network, Preprocessing, Split, TrainingOptions, fit, load, resume
from sumtoone.errors import TrainingError, UnavailableError
from sumtoone.native import kernels, status
from sumtoone.training.checkpoints import newest_checkpoint
from sumtoone.training.fused import FusedEngine, takes
from sumtoone.training.plain import PlainEngine
from sumtoone.training.state import Progress

pytestmark = pytest.mark.skipif(status().path == "pytorch", reason="needs the compiled kernels")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


# --- right


def test_rows_of_float64_are_read_as_such() -> None:
    wide = make_dataset(200, 6, 3)
    wide = replace(wide, **{part: Split(rows.inputs.double(), rows.labels) for part, rows in
                            (("train", wide.train), ("validation", wide.validation), ("test", wide.test))})  # fmt: skip
    plans = [make_plan(data, "6-8-3") for data in (make_dataset(200, 6, 3), wide)]
    first = plans[1].preprocessing.prepared(wide.train.inputs)[0]
    assert (first.dtype, plans[1].preprocessing.far) == (torch.float32, False)
    narrow, same = (FusedEngine(plan, threads=1).train(0, 0, 3) for plan in plans)
    assert narrow.losses == pytest.approx(same.losses, rel=1e-6)
    assert narrow.hits == same.hits


@pytest.mark.parametrize("options", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_it_computes_what_the_plain_engine_computes(digits: Dataset, activation: str, options: dict[str, Any]) -> None:
    # 100 steps of 16 rows.
    few = replace(digits, train=Split(digits.train.inputs[:1600], digits.train.labels[:1600]))
    plain, fused = (make_plan(few, "784-24-16-10", activation, batch_size=16, **options) for _ in range(2))
    expected = PlainEngine(plain)
    engine = FusedEngine(fused, threads=1)
    assert train(engine) == pytest.approx(train(expected), rel=1e-5)
    assert engine.validate() == pytest.approx(expected.validate(), rel=1e-4)
    for (name, ours), theirs in zip(fused.network.named_parameters(), plain.network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-5, msg=name)


def test_a_long_training_stays_near_the_plain_one(digits: Dataset) -> None:
    plain = fit(Network("784-32-10"), digits, epochs=3, engine="plain")
    fused = fit(Network("784-32-10"), digits, epochs=3, engine="fused")
    assert fused.history["train_loss"] == pytest.approx(plain.history["train_loss"], rel=1e-3)
    assert fused.history["validation_loss"] == pytest.approx(plain.history["validation_loss"], rel=1e-3)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 300, 4096])
@pytest.mark.parametrize("pixels", [False, True], ids=["floats", "pixels"])
@pytest.mark.parametrize("sizes", ["3-2", "5-1-4-3", "17-33-2", "40-70-65-21", "16-16-16"])
def test_any_size_and_batch(sizes: str, pixels: bool, batch_size: int) -> None:
    widths = [int(size) for size in sizes.split("-")]
    dataset = make_dataset(330, widths[0], widths[-1], pixels=pixels)
    options: dict[str, Any] = {"batch_size": batch_size, "optimizer": "sgd", "lr": 0.01}
    plain, fused = (make_plan(dataset, sizes, "tanh", **options) for _ in range(2))
    engine = FusedEngine(fused, threads=2)
    assert train(engine) == pytest.approx(train(PlainEngine(plain)), rel=1e-5)
    for ours, theirs in zip(fused.network.parameters(), plain.network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_rows_that_are_not_contiguous() -> None:
    dataset = make_dataset(100, 8, 3)
    strided = replace(dataset, train=Split(dataset.train.inputs.T.contiguous().T, dataset.train.labels))
    plans = [make_plan(rows, "8-5-3", batch_size=10) for rows in (dataset, strided)]
    engines = [FusedEngine(plan, threads=1) for plan in plans]
    assert train(engines[0]) == train(engines[1])


def test_the_start_weights_and_the_order_are_those_of_the_plain_engine() -> None:
    # With a rate of almost nothing the first losses depend on nothing else.
    dataset = make_dataset(100, 8, 3)
    options: dict[str, Any] = {"batch_size": 10, "optimizer": "sgd", "lr": 1e-30, "seed": 3}
    engines = [
        PlainEngine(make_plan(dataset, "8-5-3", **options)),
        FusedEngine(make_plan(dataset, "8-5-3", **options), 1),
    ]
    losses = []
    for engine in engines:
        progress = Progress()
        for _ in epoch_of(engine, progress):
            pass
        losses.append(progress.loss_sum)
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)


# --- dropout


def test_dropout_keeps_its_share_and_the_mean() -> None:
    # One layer of identity whose weights and inputs are ones: the logit is the mean of the mask.
    hidden, rows = 4096, 64
    ones = Split(torch.ones(rows, 1), torch.zeros(rows, dtype=torch.int64))
    dataset = Dataset("ones", ones, ones, ones, classes=("a", "b"), source="ones")
    plan = make_plan(dataset, f"1-{hidden}-2", "identity", 0.3, batch_size=1, optimizer="sgd", lr=1e-30, momentum=0.0)
    plan = replace(plan, preprocessing=Preprocessing(1))
    with torch.no_grad():
        parameters = dict(plan.network.named_parameters())
        parameters["layers.0.weight"].fill_(1.0)
        parameters["layers.1.weight"].copy_(torch.stack([torch.full((hidden,), -1.0 / hidden), torch.zeros(hidden)]))
    progress = Progress()
    for _ in epoch_of(FusedEngine(plan, 1), progress):
        pass
    # Each row's loss is log(1 + exp(mean)), the mean being 1 +- 0.01: over 64 rows its mean is 1 +- 0.0013.
    assert progress.loss_sum / rows == pytest.approx(1.3133, abs=0.004)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dropout_takes_its_share_in_the_gradient(activation: str) -> None:
    # The loss of one step must fall as its own gradient says: a directional derivative, with the masks held.
    dataset = make_dataset(64, 6, 3)
    options: dict[str, Any] = {"batch_size": 64, "optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0}

    def after(rate: float) -> tuple[float, nn.Module]:
        plan = make_plan(dataset, "6-20-20-3", activation, 0.4, lr=rate, schedule="constant", epochs=1, **options)
        with torch.no_grad():
            plan.network.load_state_dict(start)
        progress = Progress()
        for _ in epoch_of(engine := FusedEngine(plan, 1), progress):
            pass
        engine.finish()
        return progress.loss_sum / 64, plan.network

    start = Network("6-20-20-3", seed=1).state_dict()
    loss, network = after(1.0)
    gradient = {name: start[name] - value for name, value in network.state_dict().items()}
    length = sum(float((value**2).sum()) for value in gradient.values())
    begin, step = dict(start), 0.02 / length**0.5
    losses = []
    for sign in (1, -1):
        start = {name: value - sign * step * gradient[name] / length**0.5 for name, value in begin.items()}
        losses.append(after(1e-30)[0])
    assert (losses[1] - losses[0]) / (2 * step) == pytest.approx(length**0.5, rel=0.03)
    assert losses[0] < loss < losses[1]


def test_other_epochs_and_seeds_drop_other_values() -> None:
    dataset = make_dataset(64, 6, 3)
    losses = set()
    for seed, epoch in ((0, 0), (1, 0), (0, 1), (0, 0)):
        plan = make_plan(dataset, "6-50-3", "relu", 0.5, batch_size=64, lr=1e-30, optimizer="sgd", seed=seed, epochs=3)
        progress = Progress(epoch=epoch)
        for _ in epoch_of(FusedEngine(plan, 1), progress):
            pass
        losses.add(progress.loss_sum)
    assert len(losses) == 3


# --- deterministic


@pytest.mark.parametrize("threads", [2, 3])
def test_the_number_of_threads_changes_no_bit(digits: Dataset, threads: int) -> None:
    few = replace(digits, train=Split(digits.train.inputs[:1000], digits.train.labels[:1000]))
    results = []
    for number in (1, threads, threads):
        plan = make_plan(few, "784-128-64-10", "relu", 0.2, batch_size=60)
        sums = train(FusedEngine(plan, number), epochs=4)
        results.append((sums, weights(plan.network)))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("path", status().instruction_sets)
def test_every_instruction_set(path: str) -> None:
    module, dataset = kernels(), make_dataset(700, 50, 11, pixels=True)
    assert module is not None
    before = module.chosen()
    module.choose(path)
    try:
        plans = [make_plan(dataset, "50-70-33-11", "sigmoid", batch_size=300) for _ in range(2)]
        engines = (PlainEngine(plans[0]), FusedEngine(plans[1], threads=2))
        # The memory is laid out for one set: what is chosen later must not matter to it.
        module.choose("baseline")
        results = [train(engine, epochs=3) for engine in engines]
    finally:
        module.choose(before)
    assert results[1] == pytest.approx(results[0], rel=1e-5)


# --- surviving


@pytest.mark.parametrize("options", OPTIMIZERS, ids=str)
def test_going_on_from_the_middle_of_an_epoch_gives_the_same_bits(options: dict[str, Any]) -> None:
    dataset = make_dataset(700, 12, 3)

    def engine() -> FusedEngine:
        return FusedEngine(make_plan(dataset, "12-16-8-3", "tanh", 0.2, batch_size=4, **options), 1)

    whole, progress = engine(), Progress()
    for _ in epoch_of(whole, progress):
        pass
    first, begun = engine(), Progress()
    next(iter(epoch_of(first, begun)))
    assert begun.step == 50
    saved = {name: tensor.clone() for name, tensor in first.state().items()}
    second = engine()
    second.restore(saved)
    for _ in epoch_of(second, begun):
        pass
    assert vars(begun) == vars(progress)
    ours, theirs = second.state(), whole.state()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if name != "random.cpu")


@pytest.mark.parametrize("options", OPTIMIZERS, ids=str)
def test_one_engine_goes_on_where_the_other_stopped(options: dict[str, Any]) -> None:
    dataset = make_dataset(600, 12, 3)

    def engine(kind: str) -> PlainEngine:
        plan = make_plan(dataset, "12-16-8-3", "tanh", batch_size=4, **options)
        return PlainEngine(plan) if kind == "plain" else FusedEngine(plan, 1)

    results, names = {}, set()
    for before, after in (("plain", "plain"), ("plain", "fused"), ("fused", "plain")):
        first, progress = engine(before), Progress()
        next(iter(epoch_of(first, progress)))
        saved = first.state()
        names.add(tuple(sorted((name, tensor.dtype, tuple(tensor.shape)) for name, tensor in saved.items())))
        second = engine(after)
        second.restore(saved)
        for _ in epoch_of(second, progress):
            pass
        results[before, after] = progress.loss_sum
    # Dropout is drawn from torch's random state by one of the two alone.
    assert len({tuple(kind for kind in kinds if kind[0] != "random.cpu") for kinds in names}) == 1
    assert list(results.values()) == pytest.approx([results["plain", "plain"]] * 3, rel=1e-5)


def test_before_the_first_step_there_is_nothing_but_weights() -> None:
    dataset = make_dataset(60, 12, 3)
    states = [PlainEngine(make_plan(dataset, "12-4-3")).state(), FusedEngine(make_plan(dataset, "12-4-3"), 1).state()]
    assert states[0].keys() - states[1].keys() == {"random.cpu"}


class _Stop(Exception):
    """Raised by a listener to end training in the middle."""


def test_a_run_that_stops_leaves_the_network_trained_and_resumes(tmp_path: Path) -> None:
    dataset = make_dataset(330, 12, 3)
    options = TrainingOptions(epochs=3, batch_size=4, engine="fused")

    def stop(event: Any) -> None:
        if event["epoch"] == 2:
            raise _Stop

    network = Network("12-16-3")
    with pytest.raises(_Stop):
        fit(network, dataset, options, out=tmp_path / "run", on_event=stop)
    state, tensors, _ = newest_checkpoint(tmp_path / "run")
    assert (state.epoch, state.step) == (1, 0)
    # One look after the checkpoint: further on than it.
    assert not torch.equal(network.state_dict()["layers.0.weight"], tensors["network.layers.0.weight"])
    again = resume(tmp_path / "run", dataset)
    assert weights(again.network) == weights(fit(Network("12-16-3"), dataset, options).network)


@pytest.mark.parametrize("engine", ["plain", "fused"])
def test_a_loss_that_is_no_number_names_its_step(engine: str) -> None:
    with pytest.raises(TrainingError) as caught:
        fit(
            Network("12-16-8-3"), make_dataset(220, 12, 3), batch_size=64, lr=1e30, optimizer="sgd",
            schedule="constant", engine=engine,
        )  # fmt: skip
    assert caught.value.got == "loss nan at step 2 of epoch 1, with learning rates up to 1e+30"


# --- where it applies


def _hooked() -> Network:
    network = Network("12-4-3")
    network.layers[0].register_forward_hook(lambda *given: None)
    return network


def _frozen() -> Network:
    network = Network("12-4-3")
    network.layers[0].weight.requires_grad_(False)
    return network


def _normed() -> Network:
    network = Network("12-4-3")
    nn.utils.parametrizations.weight_norm(network.layers[0])
    return network


class _Own(Network):
    """A network with a forward of its own."""


def test_it_takes_networks_as_they_were_built() -> None:
    dataset = make_dataset(60, 12, 3)
    plan = make_plan(dataset, "12-4-3")
    assert takes(plan)
    for network in (
        _hooked(),
        _frozen(),
        _normed(),
        _Own("12-4-3"),
        Network("12-4-3").double(),
    ):
        assert not takes(replace(plan, network=network))
    assert not takes(replace(plan, network=Network("11-4-3")))
    dataset.train.labels.add_(1)
    assert not takes(plan)


def test_asking_for_it_where_it_cannot_be() -> None:
    with pytest.raises(UnavailableError) as caught:
        fit(_hooked(), make_dataset(60, 12, 3), engine="fused")
    assert str(caught.value) == REFUSED


def test_auto_is_fused_where_it_can_be() -> None:
    dataset = make_dataset(330, 12, 3)
    for kind, same in ((Network, "fused"), (_Own, "plain")):
        runs = [fit(kind("12-16-3"), dataset, epochs=1, batch_size=16, engine=engine) for engine in ("auto", same)]
        assert weights(runs[0].network) == weights(runs[1].network)
