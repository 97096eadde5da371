"""The network against PyTorch's own layers, from the same weights."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sumtoone import Network, Specification
from sumtoone.errors import DtypeError, ShapeError
from sumtoone.specification import ACTIVATIONS

MODULES = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "leaky-relu": nn.LeakyReLU,
    "identity": nn.Identity,
}


def build(sizes: str, activation: str = "relu", **more: object) -> Network:
    return Network(Specification.parse(sizes, activation, **more))  # type: ignore[arg-type]


def as_sequential(network: Network) -> nn.Sequential:
    """The same function written with PyTorch's layers and the same weights."""
    activation = MODULES[network.specification.activation]
    modules: list[nn.Module] = []
    for layer in network.layers:
        modules += [layer, activation()]
    return nn.Sequential(*modules[:-1])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", ["784-10", "784-256-10", "784-128-64-10", "5-4-3-4-5-2"])
def test_logits_are_pytorchs(sizes: str, activation: str) -> None:
    network = build(sizes, activation)
    x = torch.randn(64, network.specification.inputs)
    torch.testing.assert_close(network(x), as_sequential(network)(x), rtol=0, atol=0)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=4), st.integers(2, 12), st.lists(st.integers(0, 4), max_size=3)
)
def test_probabilities_sum_to_one_for_any_depth_width_and_batch(
    head: list[int], classes: int, batch: list[int]
) -> None:
    network = Network([*head, classes])
    probabilities = network.probabilities(torch.randn(*batch, head[0]))
    assert probabilities.shape == (*batch, classes)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(batch))


def test_the_seed_alone_decides_the_weights() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = Network("20-8-3")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again, other = Network("20-8-3"), Network("20-8-3", seed=1)
    assert torch.equal(first.layers[0].weight, again.layers[0].weight)
    assert not torch.equal(first.layers[0].weight, other.layers[0].weight)


def test_no_seed_draws_from_torch() -> None:
    torch.manual_seed(3)
    first = Network("20-8-3", seed=None)
    second = Network("20-8-3", seed=None)
    torch.manual_seed(3)
    assert torch.equal(Network("20-8-3", seed=None).layers[0].weight, first.layers[0].weight)
    assert not torch.equal(first.layers[0].weight, second.layers[0].weight)


@pytest.mark.parametrize(
    ("activation", "fan_in", "fan_out"),
    [("relu", 1, 0), ("gelu", 1, 0), ("leaky-relu", 1, 0), ("tanh", 1, 1), ("identity", 1, 1)],
)
def test_start_weights_have_the_papers_variance(activation: str, fan_in: float, fan_out: float) -> None:
    weight = build("600-400-10", activation).layers[0].weight.detach()
    assert float(weight.var()) == pytest.approx(2 / (600 * fan_in + 400 * fan_out), rel=0.02)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu", "leaky-relu"])
def test_signals_keep_their_size_through_many_layers(activation: str) -> None:
    network = build("200-" + "200-" * 8 + "10", activation)
    assert 0.01 < float(network(torch.randn(500, 200)).detach().std()) < 10


def test_biases_start_at_zero_and_the_bound_is_uniform() -> None:
    layer = build("300-200-10", "relu").layers[0]
    assert not layer.bias.any()
    assert float(layer.weight.detach().abs().max()) <= math.sqrt(6 / 300)


def test_dropout_acts_in_training_only() -> None:
    network = build("20-50-50-3", dropout=0.5)
    x = torch.ones(4, 20)
    network.eval()
    assert torch.equal(network(x), network(x))
    network.train()
    assert not torch.equal(network(x), network(x))


def test_dropout_keeps_the_mean() -> None:
    network = build("4-2000-2", dropout=0.5)
    x = torch.ones(1, 4)
    with torch.no_grad():
        dropped = torch.stack([network.train()(x) for _ in range(300)]).mean(0)
        torch.testing.assert_close(dropped, network.eval()(x), rtol=0.2, atol=0.1)


def test_identity_says_why_it_is_only_linear() -> None:
    with pytest.warns(UserWarning) as caught:
        network = Network("784-128-10", activation="identity")
    assert str(caught[0].message) == (
        'activation="identity": without a non-linear function between them, linear layers multiply into one. '
        "784-128-10 computes exactly what a single layer 784-10 can: "
        "W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2). "
        "Choose relu, tanh or sigmoid for a network that can learn more."
    )
    first, second = network.layers
    x = torch.randn(7, 784)
    single = x @ (second.weight @ first.weight).T + second.weight @ first.bias + second.bias
    torch.testing.assert_close(network(x), single, rtol=1e-4, atol=1e-4)


def test_one_linear_layer_needs_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Network("784-10", activation="identity")


def test_its_printed_form_says_what_it_is() -> None:
    assert repr(Network("4-3-2", activation="tanh", dropout=0.25)) == (
        "Network(\n"
        "  '4-3-2', activation='tanh', dropout=0.25\n"
        "  (layers): ModuleList(\n"
        "    (0): Linear(in_features=4, out_features=3, bias=True)\n"
        "    (1): Linear(in_features=3, out_features=2, bias=True)\n"
        "  )\n"
        ")"
    )


@pytest.mark.parametrize("shape", [(), (783,), (64, 10), (64, 1, 28, 28)])
def test_wrong_shapes_name_what_came(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as caught:
        Network("784-10")(torch.zeros(shape))
    assert str(caught.value) == (
        "The last axis of the inputs is not the network's input size [network-shape]\n"
        "  expected: (..., 784)\n"
        f"  got: {shape}\n"
        "  try: x.flatten(1) makes rows of images; the last axis must then be 784"
    )


def test_pixels_need_preprocessing_first() -> None:
    with pytest.raises(DtypeError) as caught:
        Network("784-10")(torch.zeros(1, 784, dtype=torch.uint8))
    assert str(caught.value) == (
        "A network takes floating-point inputs [network-dtype]\n"
        "  expected: float32 of shape (N, D)\n"
        "  got: torch.uint8\n"
        "  try: apply the run's preprocessing first, or x.float()"
    )


def test_it_works_under_vmap_functional_call_and_autocast() -> None:
    network = build("6-5-3", "tanh")
    x = torch.randn(8, 6)
    torch.testing.assert_close(torch.func.vmap(network)(x), network(x))
    parameters = dict(network.named_parameters())
    torch.testing.assert_close(torch.func.functional_call(network, parameters, (x,)), network(x))
    with torch.autocast("cpu", torch.bfloat16):
        sums = network.probabilities(x).float().sum(1)
    torch.testing.assert_close(sums, torch.ones(8), rtol=0, atol=0.01)


# Of 3.13.0 alone.
@pytest.mark.filterwarnings("ignore:Guards may run slower on Python:RuntimeWarning")
def test_it_compiles() -> None:
    network = build("6-5-3")
    x = torch.randn(8, 6)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), network(x))
