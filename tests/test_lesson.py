"""The lesson's forms agree with each other, with PyTorch and with ours; its mistakes are what PyTorch says they are."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

import sumtoone as s1
from sumtoone.lesson import (
    ClassNetwork,
    ExerciseNetwork,
    FunctionalNetwork,
    HandMade,
    activation,
    overflowing_logits,
    softmax_as_taught,
)

SEEDS = st.integers(0, 2**32)


def _images(seed: int, rows: int = 8, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(rows, 784, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2 - 1


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, rows=st.integers(1, 12))
def test_all_forms_give_the_same_probabilities_from_a_modules_weights(seed: int, rows: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        class_style = ClassNetwork()
    functional_style = FunctionalNetwork()
    functional_style.load_state_dict(class_style.state_dict())
    by_hand = HandMade.from_module(class_style)
    ours = s1.Network("784-256-10", activation="sigmoid")
    for parameter, value in zip(ours.parameters(), class_style.parameters(), strict=True):
        parameter.data.copy_(value.data)
    images = _images(seed, rows)
    with torch.no_grad():
        expected = class_style(images)
        for form in (functional_style, by_hand, ours.probabilities):
            torch.testing.assert_close(form(images), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(expected.sum(dim=1), torch.ones(rows), rtol=0, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_all_forms_give_the_same_probabilities_from_weights_drawn_by_hand(seed: int) -> None:
    """In float64: weights from the normal distribution make logits so large that float32 rounds their 7th digit."""
    drawn = HandMade.draw(seed)
    class_style, functional_style = ClassNetwork(), FunctionalNetwork()
    class_style.load_state_dict(drawn.state_dict())
    functional_style.load_state_dict(drawn.state_dict())
    by_hand = HandMade(*(tensor.double() for tensor in (drawn.w1, drawn.b1, drawn.w2, drawn.b2)))
    images = _images(seed, dtype=torch.float64)
    with torch.no_grad():
        expected = by_hand(images)
        torch.testing.assert_close(class_style.double()(images), expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(functional_style.double()(images), expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(s1.softmax(by_hand.logits(images)), expected, rtol=0, atol=1e-12)


def test_weights_go_round_unchanged() -> None:
    drawn = HandMade.draw(3)
    network = ClassNetwork()
    network.load_state_dict(drawn.state_dict())
    back = HandMade.from_module(network)
    for name in ("w1", "b1", "w2", "b2"):
        assert torch.equal(getattr(back, name), getattr(drawn, name))
        assert getattr(back, name).is_contiguous()
        assert not getattr(back, name).requires_grad
    back.w1.zero_()
    assert torch.equal(network.hidden.weight.T, drawn.w1), "a copy, not the module's own weights"


def test_hand_made_weights_come_from_the_seed_or_the_generator_alone() -> None:
    before = torch.get_rng_state()
    generator = torch.Generator().manual_seed(5)
    first, again = HandMade.draw(generator), HandMade.draw(generator)
    assert torch.equal(first.w1, HandMade.draw(5).w1)
    assert not torch.equal(first.w1, again.w1)
    assert torch.equal(torch.get_rng_state(), before)
    assert [tuple(t.shape) for t in (first.w1, first.b1, first.w2, first.b2)] == [(784, 256), (256,), (256, 10), (10,)]
    assert abs(float(first.w1.mean())) < 0.01
    assert abs(float(first.w1.std()) - 1) < 0.01


@pytest.mark.parametrize("module", [ExerciseNetwork(), nn.Linear(3, 2)], ids=["exercise", "layer"])
def test_another_module_is_refused(module: nn.Module) -> None:
    names = "fc1, fc2, fc3" if isinstance(module, ExerciseNetwork) else "-"
    with pytest.raises(s1.UsageError) as caught:
        HandMade.from_module(module)
    assert str(caught.value) == (
        "This module is not built as the lesson builds its network [lesson-layers]\n"
        "  expected: two nn.Linear layers with bias, named hidden and output\n"
        f"  got: {type(module).__name__} with the parts: {names}\n"
        "  try: name the layers self.hidden and self.output, or copy the weights one by one"
    )


def test_layers_without_bias_are_refused() -> None:
    network = ClassNetwork()
    network.output = nn.Linear(256, 10, bias=False)
    with pytest.raises(s1.UsageError) as caught:
        HandMade.from_module(network)
    assert caught.value.got == "ClassNetwork with the parts: hidden, output, sigmoid, softmax"


def test_the_exercise_agrees_with_numpy_and_with_ours() -> None:
    network, ours = ExerciseNetwork().double(), s1.Network("784-128-64-10", activation="relu").double()
    for parameter, value in zip(ours.parameters(), network.parameters(), strict=True):
        parameter.data.copy_(value.data)
    images = _images(0, dtype=torch.float64)
    x = images.numpy()
    weights = [value.detach().numpy() for value in network.parameters()]
    for place in (0, 2, 4):
        x = x @ weights[place].T + weights[place + 1]
        x = np.maximum(x, 0) if place < 4 else np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    with torch.no_grad():
        np.testing.assert_allclose(network(images).numpy(), x, rtol=0, atol=1e-12)
        torch.testing.assert_close(ours.probabilities(images), network(images), rtol=0, atol=1e-12)


@given(arrays(np.float64, (5, 7), elements=st.floats(-80, 80)))
def test_the_functions_as_taught_agree_with_pytorch_where_nothing_overflows(values: np.ndarray) -> None:
    x = torch.from_numpy(values)
    torch.testing.assert_close(activation(x), torch.sigmoid(x), rtol=1e-12, atol=0)
    torch.testing.assert_close(softmax_as_taught(x), torch.softmax(x, dim=1), rtol=1e-12, atol=1e-300)


def test_softmax_as_taught_overflows_where_ours_does_not() -> None:
    logits = overflowing_logits()
    assert math.isnan(softmax_as_taught(logits)[0, 0])
    assert torch.equal(s1.softmax(logits), torch.tensor([[1.0, 0.0]]))
    assert not softmax_as_taught(torch.tensor([[88.7, 0.0]])).isnan().any()
    assert softmax_as_taught(torch.tensor([[88.8, 0.0]])).isnan().any()


# --- what goes wrong


def test_sums_without_their_column_are_refused() -> None:
    e = torch.rand(64, 10)
    said = "The size of tensor a (10) must match the size of tensor b (64) at non-singleton dimension 1"
    with pytest.raises(RuntimeError, match=f"^{re.escape(said)}$"):
        e / e.sum(dim=1)


def test_a_square_batch_hides_the_missing_column() -> None:
    e = torch.arange(1.0, 10.0).reshape(3, 3)
    wrong = e / e.sum(dim=1)
    assert wrong.shape == (3, 3)
    sums = e.sum(dim=1)
    torch.testing.assert_close(wrong, torch.stack([e[:, j] / sums[j] for j in range(3)], dim=1))
    assert not torch.allclose(wrong.sum(dim=1), torch.ones(3))


def test_a_module_without_super_is_told_so() -> None:
    class WithoutSuper(nn.Module):
        def __init__(self) -> None:
            self.hidden = nn.Linear(784, 256)

    with pytest.raises(AttributeError, match=r"^cannot assign module before Module\.__init__\(\) call$"):
        WithoutSuper()
    assert "cannot assign module before Module.__init__() call" in (ClassNetwork.__doc__ or "")


def test_layers_in_a_plain_list_are_not_registered() -> None:
    class WithList(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(784, 256), nn.Linear(256, 10)]

    assert list(WithList().parameters()) == []
    assert repr(WithList()) == "WithList()"


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_two_linear_layers_equal_one_and_a_sigmoid_between_them_does_not(seed: int) -> None:
    drawn = HandMade.draw(seed)
    w1, b1, w2, b2 = (tensor.double() for tensor in (drawn.w1, drawn.b1, drawn.w2, drawn.b2))
    images = _images(seed, dtype=torch.float64)
    single = images @ (w1 @ w2) + (b1 @ w2 + b2)
    torch.testing.assert_close((images @ w1 + b1) @ w2 + b2, single, rtol=0, atol=1e-9)
    assert not torch.allclose(activation(images @ w1 + b1) @ w2 + b2, single, atol=1.0)


def test_wrong_shapes_meet_pytorchs_own_words() -> None:
    said = "mat1 and mat2 shapes cannot be multiplied (64x28 and 784x256)"
    for network in (HandMade.draw(), ClassNetwork(), FunctionalNetwork()):
        with pytest.raises(RuntimeError, match=f"^{re.escape(said)}$"):
            network(torch.zeros(64, 28))
