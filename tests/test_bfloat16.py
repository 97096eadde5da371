"""Products of bfloat16 in the fused engine: what they round and what they do not, on processors that have them.

The oracle is PyTorch's autograd around layers that round their operands and sum in float64. Where a sum lies between
two neighbours of bfloat16, the last bit of float32 decides, so the two are compared over a few steps only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import warm
from engines import ACTIVATIONS, OPTIMIZERS, REFUSED, epoch_of, make_dataset, make_plan, train, weights
from sumtoone import Dataset, Network, TrainingOptions, fit, load
from sumtoone.errors import UnavailableError
from sumtoone.native import kernels
from sumtoone.training.fused import FusedEngine, takes
from sumtoone.training.plain import PlainEngine
from sumtoone.training.state import Plan, Progress

MODULE = kernels()
pytestmark = pytest.mark.skipif(MODULE is None or not MODULE.rounds(), reason="needs a processor with avx512_bf16")


class _Product(torch.autograd.Function):
    """A linear layer of operands rounded to bfloat16."""

    @staticmethod
    def forward(context: Any, x_BD: Tensor, weight_HD: Tensor, bias_H: Tensor) -> Tensor:
        context.save_for_backward(x_BD, weight_HD)
        return (_rounded(x_BD) @ _rounded(weight_HD).T + _rounded(bias_H)).float()

    @staticmethod
    def backward(context: Any, delta_BH: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        x_BD, weight_HD = context.saved_tensors
        delta = _rounded(delta_BH)
        gradients = (delta @ _rounded(weight_HD), delta.T @ _rounded(x_BD), delta.sum(0))
        return tuple(gradient.float() for gradient in gradients)


class _Rounding(nn.Linear):
    def forward(self, x_BD: Tensor) -> Tensor:
        return _Product.apply(x_BD, self.weight, self.bias)


def _rounded(tensor: Tensor) -> Tensor:
    return tensor.bfloat16().double()


def both(dataset: Dataset, sizes: str, activation: str, threads: int = 1, **options: Any) -> Iterator[PlainEngine]:
    """The oracle and the fused engine."""
    plan = make_plan(dataset, sizes, activation, **options)
    for layer in plan.network.get_submodule("layers").children():
        layer.__class__ = _Rounding
    yield PlainEngine(plan)
    yield FusedEngine(make_plan(dataset, sizes, activation, precision="bfloat16", **options), threads)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


@pytest.mark.parametrize("options", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_operands_are_rounded_and_nothing_else(activation: str, options: dict[str, Any]) -> None:
    dataset = make_dataset(75, 40, 7, pixels=True)
    oracle, fused = both(dataset, "40-24-16-7", activation, batch_size=16, **options)
    assert train(fused) == pytest.approx(train(oracle), rel=1e-5)
    for ours, theirs in zip(fused.network.parameters(), oracle.network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=5e-3, atol=2e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 300, 4096])
@pytest.mark.parametrize("pixels", [False, True], ids=["floats", "pixels"])
@pytest.mark.parametrize("sizes", ["3-2", "5-1-4-3", "17-33-2", "40-70-65-21", "16-16-16", "1-129-2"])
def test_any_size_and_batch(sizes: str, pixels: bool, batch_size: int) -> None:
    widths = [int(size) for size in sizes.split("-")]
    dataset = make_dataset(330, widths[0], widths[-1], pixels=pixels)
    options: dict[str, Any] = {"batch_size": batch_size, "optimizer": "sgd", "lr": 0.001}
    oracle, fused = both(dataset, sizes, "tanh", threads=2, **options)
    assert train(fused) == pytest.approx(train(oracle), rel=1e-4)
    for ours, theirs in zip(fused.network.parameters(), oracle.network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_losses_stay_near_those_of_float32(digits: Dataset) -> None:
    rounded, whole = (fit(Network("784-64-32-10"), digits, epochs=4, precision=p) for p in ("bfloat16", "float32"))
    for name in ("train_loss", "validation_loss"):
        assert rounded.history[name] == pytest.approx(whole.history[name], rel=0.05)
        assert rounded.history[name] != whole.history[name]


def test_dropout_drops_what_it_drops_in_float32(digits: Dataset) -> None:
    engines = [
        FusedEngine(make_plan(digits, "784-64-32-10", "tanh", 0.4, precision=precision, lr=1e-4), 1)
        for precision in ("float32", "bfloat16")
    ]
    losses = [train(engine) for engine in engines]
    assert losses[1][:-1] == pytest.approx(losses[0][:-1], rel=2e-3)


@pytest.mark.parametrize("threads", [2, 3])
def test_the_number_of_threads_changes_no_bit(digits: Dataset, threads: int) -> None:
    results = []
    for number in (1, threads):
        plan = make_plan(digits, "784-128-63-10", "relu", 0.2, batch_size=61, precision="bfloat16")
        sums = train(FusedEngine(plan, number), epochs=2)
        results.append((sums, weights(plan.network)))
    assert results[0] == results[1]


@pytest.mark.parametrize("options", OPTIMIZERS, ids=str)
def test_going_on_from_the_middle_of_an_epoch_gives_the_same_bits(options: dict[str, Any]) -> None:
    dataset = make_dataset(700, 13, 3)

    def engine() -> FusedEngine:
        plan = make_plan(dataset, "13-17-8-3", "tanh", 0.2, batch_size=4, precision="bfloat16", **options)
        return FusedEngine(plan, 1)

    whole, progress = engine(), Progress()
    for _ in epoch_of(whole, progress):
        pass
    first, begun = engine(), Progress()
    next(iter(epoch_of(first, begun)))
    second = engine()
    second.restore({name: tensor.clone() for name, tensor in first.state().items()})
    for _ in epoch_of(second, begun):
        pass
    assert vars(begun) == vars(progress)
    ours, theirs = second.state(), whole.state()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs if name != "random.cpu")


# --- where it applies


@pytest.fixture
def lowered() -> Iterator[None]:
    assert MODULE is not None
    before = MODULE.chosen()
    MODULE.choose("baseline")
    yield
    MODULE.choose(before)


def _plan() -> Plan:
    return make_plan(make_dataset(60, 12, 3), "12-4-3", precision="bfloat16")


def test_auto_takes_it() -> None:
    assert takes(_plan())
    dataset, options = make_dataset(60, 12, 3), TrainingOptions(epochs=1, precision="bfloat16")
    runs = [fit(Network("12-4-3"), dataset, options, engine=engine) for engine in ("auto", "fused", "plain")]
    assert weights(runs[0].network) == weights(runs[1].network) != weights(runs[2].network)


@pytest.mark.usefixtures("lowered")
def test_without_the_instructions_it_is_plain() -> None:
    assert not takes(_plan())
    assert takes(replace(_plan(), options=TrainingOptions()))
    dataset, options = make_dataset(60, 12, 3), TrainingOptions(epochs=1, precision="bfloat16")
    runs = [fit(Network("12-4-3"), dataset, options, engine=engine) for engine in ("auto", "plain")]
    assert weights(runs[0].network) == weights(runs[1].network)


@pytest.mark.usefixtures("lowered")
def test_asking_for_it_without_the_instructions() -> None:
    with pytest.raises(UnavailableError) as caught:
        fit(Network("12-4-3"), make_dataset(60, 12, 3), engine="fused", precision="bfloat16")
    assert str(caught.value) == REFUSED


@pytest.mark.parametrize(("name", "answer"), [("avx512", "True"), ("avx2", "False"), ("baseline", "False")])
def test_a_lowered_instruction_set_lowers_it_too(name: str, answer: str) -> None:
    code = "from sumtoone.native import kernels; print(kernels().rounds())"
    environment = {**os.environ, "SUMTOONE_SIMD": name, "SUMTOONE_NATIVE": "1"}
    told = warm.run(code, env=environment)
    assert (told.returncode, told.stdout) == (0, f"{answer}\n")
