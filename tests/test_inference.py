"""The forward pass on the kernels, on every instruction set of this machine, against PyTorch in float64."""

from __future__ import annotations

import copy
import io
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.modules import module as everywhere
from torch.nn.utils import parametrizations, prune
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import warm
from sumtoone import Network, Run, fit, native
from sumtoone.data.preprocessing import Preprocessing
from sumtoone.errors import DtypeError, ShapeError
from sumtoone.functional import softmax
from sumtoone.native import inference
from sumtoone.network import forward_pass
from sumtoone.runs import History, TrainingOptions
from sumtoone.specification import ACTIVATIONS
from test_training import make_dataset

pytestmark = pytest.mark.skipif(
    inference._tensors() is None, reason=f"no kernels that read tensors: {native.status()}, torch {torch.__version__}"
)

# Odd sizes around the widths of vectors and tiles, and the lesson's own.
SIZES = ("784-128-64-10", "1-2", "1-1-2", "2-17-3", "15-16-17-5", "31-33-4", "100-7-1000", "2050-9-6", "48-32-16-8-4-3")
ROWS = (1, 2, 3, 4, 5, 7, 64, 65, 131)


def build(sizes: str = "12-9-5-3", activation: str = "relu", **options: Any) -> Network:
    """A network with biases that matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # identity warns why it is not enough
        network = Network(sizes, activation, **options).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(normal(*parameter.shape, seed=3) / 4)
    return network


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def run_of(network: Network, preprocessing: Preprocessing) -> Run:
    classes = tuple(map(str, range(network.specification.outputs)))
    return Run(network, preprocessing, classes, History(), TrainingOptions(), "name", "data", "none")


def exact(network: Network, x: Tensor) -> Tensor:
    """The logits in float64, by PyTorch."""
    with torch.no_grad():
        logits: Tensor = copy.deepcopy(network).double()(x.double())
    return logits


def taken(network: nn.Module, x: Tensor, **options: Any) -> Tensor:
    """The kernels' result; that they took the call is part of what is tested."""
    with torch.no_grad():
        result = forward_pass(network, x, softmax=options.pop("softmax", True), **options)
    assert result is not None, "the kernels did not take the call"
    return result


def left(network: nn.Module, x: Tensor) -> bool:
    """Whether the kernels leave the call to PyTorch."""
    return forward_pass(network, x, softmax=True) is None


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.usefixtures("simd")
def test_probabilities_are_right_to_a_millionth(sizes: str, activation: str) -> None:
    network = build(sizes, activation)
    for rows in ROWS:
        x = normal(rows, network.specification.inputs, seed=rows)
        logits, wanted = taken(network, x, softmax=False), exact(network, x)
        torch.testing.assert_close(logits.double(), wanted, atol=4e-6, rtol=1e-6)
        torch.testing.assert_close(taken(network, x).double(), wanted.softmax(-1), atol=1e-6, rtol=0)
        with torch.no_grad():
            torch.testing.assert_close(taken(network, x), torch.softmax(network(x), -1), atol=1e-6, rtol=0)


@pytest.mark.usefixtures("simd")
def test_gelu_is_right_far_from_and_near_zero() -> None:
    network = build("1-1-2", "gelu")
    x = torch.cat([torch.linspace(-9, 9, 4001), torch.tensor([0.0, -0.0, 1e-30, -1e-6, 60.0, -60.0])])[:, None]
    with torch.no_grad():
        network.layers[0].weight.fill_(1.0)
        network.layers[0].bias.zero_()
        network.layers[1].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        network.layers[1].bias.zero_()
    wanted = torch.nn.functional.gelu(x.double())
    torch.testing.assert_close(taken(network, x, softmax=False)[:, :1].double(), wanted, atol=2e-7, rtol=3e-7)


@pytest.mark.usefixtures("simd")
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_no_number_stays_none(activation: str) -> None:
    network = build("3-4-2", activation)
    for value in (float("nan"), float("inf"), -float("inf")):
        x = torch.tensor([[0.5, value, -1.0], [1.0, 2.0, 3.0]])
        with torch.no_grad():
            torch.testing.assert_close(taken(network, x), torch.softmax(network(x), -1), equal_nan=True)


@pytest.mark.usefixtures("simd")
def test_probabilities_are_the_softmax_of_the_logits_to_the_bit() -> None:
    for sizes in SIZES:
        network = build(sizes)
        x = normal(37, network.specification.inputs)
        assert torch.equal(taken(network, x), softmax(taken(network, x, softmax=False)))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    classes=st.integers(2, 35),
    cuts=st.lists(st.integers(0, 300), max_size=6),
    count=st.integers(0, 300),
    number=st.integers(1, 3),
    activation=st.sampled_from(ACTIVATIONS),
    pixels=st.booleans(),
)
@pytest.mark.usefixtures("simd")
def test_a_row_has_the_same_bits_in_whatever_batch_it_travels(
    sizes: list[int],
    classes: int,
    cuts: list[int],
    count: int,
    number: int,
    activation: str,
    pixels: bool,
    threads: Callable[[int], None],
) -> None:
    network = build("-".join(map(str, [*sizes, classes])), activation)
    run = run_of(network, Preprocessing(sizes[0], 255.0 if pixels else 1.0, (0.3,), (0.6,)))
    rows = normal(count, sizes[0]) * 50 + 100
    rows = rows.clamp(0, 255).to(torch.uint8) if pixels else rows
    places = [0, *sorted(min(cut, count) for cut in cuts), count]
    threads(1)
    whole = run.probabilities(rows)
    threads(number)
    parts = [run.probabilities(rows[low:high]) for low, high in pairwise(places)]
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(run.probabilities(rows.double()), whole)
    with torch.no_grad():
        assert torch.equal(network.probabilities(run.preprocessing(rows)), whole)


@pytest.mark.usefixtures("simd")
def test_threads_and_batches_change_no_bit_of_a_large_set(threads: Callable[[int], None]) -> None:
    network = build("784-128-64-10")
    run = run_of(network, Preprocessing.lesson(784))
    pixels = torch.randint(0, 256, (1031, 784), dtype=torch.uint8)
    wanted = torch.cat([run.probabilities(pixels[row]) for row in range(len(pixels))])
    for number in (1, 2, 3):
        threads(number)
        assert torch.equal(run.probabilities(pixels), wanted)
        assert torch.equal(taken(network, run.preprocessing(pixels)), wanted)


@pytest.mark.usefixtures("simd")
def test_wide_layers_are_cut_into_blocks(threads: Callable[[int], None]) -> None:
    network = build("1500-3000-70-11", "tanh")
    x = normal(33, 1500)
    torch.testing.assert_close(taken(network, x).double(), exact(network, x).softmax(-1), atol=1e-6, rtol=0)
    threads(2)
    assert torch.equal(taken(network, x), torch.cat([taken(network, row[None]) for row in x]))


def test_any_batch_shape_and_layout_is_taken() -> None:
    network = build()
    x = normal(6, 12)
    wanted = taken(network, x)
    assert torch.equal(taken(network, x.reshape(2, 3, 12)), wanted.reshape(2, 3, 3))
    assert torch.equal(taken(network, x[4]), wanted[4])
    assert torch.equal(taken(network, x.T.contiguous().T), wanted)
    assert torch.equal(taken(network, torch.stack([x, x], 2)[..., 1]), wanted)
    assert torch.equal(taken(network, x[2:3].expand(5, 12)), wanted[2:3].expand(5, 3))
    assert torch.equal(taken(network, x.flip(0)), wanted.flip(0))
    for shape in ((0, 12), (0, 4, 12), (4, 0, 12)):
        assert taken(network, torch.empty(shape)).shape == (*shape[:-1], 3)


def test_errors_are_those_of_the_network() -> None:
    network = build()
    with torch.no_grad():
        with pytest.raises(ShapeError) as shape:
            network.probabilities(torch.zeros(5, 7))
        with pytest.raises(DtypeError) as dtype:
            network.probabilities(torch.zeros(5, 12, dtype=torch.uint8))
        with pytest.raises(ShapeError):
            network.probabilities(torch.tensor(1.0))
    assert (shape.value.code, dtype.value.code) == ("network-shape", "network-dtype")
    network.layers[0] = nn.Linear(7, 9)
    with torch.no_grad(), pytest.raises(ShapeError):
        network.probabilities(torch.zeros(5, 7))


# --- weights: whatever changes them is seen at the next call


def _save_and_load(network: Network) -> Network:
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    buffer.seek(0)
    other = build()
    other.load_state_dict(torch.load(buffer, weights_only=True))
    return other


def _step(network: Network) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    network(normal(8, 12)).square().sum().backward()
    optimizer.step()


def _in_place(network: Network) -> None:
    with torch.no_grad():
        network.layers[0].weight.mul_(-1.5)


def _new_parameter(network: Network) -> None:
    network.layers[1].weight = nn.Parameter(normal(5, 9, seed=5))


def _new_layer(network: Network) -> None:
    network.layers[0] = nn.Linear(12, 9)


CHANGES: dict[str, Callable[[Network], Any]] = {
    "a step of an optimizer": _step,
    "in place, without a gradient": _in_place,
    "in place, through .data": lambda network: network.layers[0].weight.data.mul_(-1.5),
    "other memory, through .data": lambda network: setattr(network.layers[0].weight, "data", normal(9, 12, seed=9)),
    "through NumPy": lambda network: network.layers[2].bias.detach().numpy().__iadd__([5.0, 0.0, -5.0]),
    "a state": lambda network: network.load_state_dict(build(seed=8).state_dict()),
    "a state, assigned": lambda network: network.load_state_dict(build(seed=8).state_dict(), assign=True),
    "a new parameter": _new_parameter,
    "a new layer": _new_layer,
    "new start weights": lambda network: network.initialise(4),
    "to float64 and back": lambda network: network.double().float().layers[0].bias.data.add_(1.0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_no_change_of_the_weights_is_missed(change: Callable[[Network], Any]) -> None:
    network, x = build(), normal(5, 12)
    before = taken(network, x)
    change(network)
    after = taken(network, x)
    assert not torch.equal(before, after)
    torch.testing.assert_close(after.double(), exact(network, x).softmax(-1), atol=1e-6, rtol=0)


def test_copies_answer_for_themselves() -> None:
    network, x = build(), normal(5, 12)
    before = taken(network, x)
    for other in (copy.deepcopy(network), _save_and_load(network)):
        assert torch.equal(taken(other, x), before)
        _in_place(other)
        assert not torch.equal(taken(other, x), before)
        assert torch.equal(taken(network, x), before)


def test_training_and_validation_see_the_same_weights() -> None:
    run = fit(build("12-9-3"), make_dataset(), epochs=3, engine="fused")
    plain = fit(build("12-9-3"), make_dataset(), epochs=3, engine="plain")
    for key in ("validation_loss", "validation_accuracy"):
        assert run.history[key] == pytest.approx(plain.history[key], abs=1e-5)


# --- who else is looking


def test_a_graph_is_built_where_a_gradient_is_wanted() -> None:
    network, x = build(), normal(5, 12)
    assert left(network, x)
    network.probabilities(x)[:, 0].sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    network.requires_grad_(False)
    assert not left(network, x)
    x.requires_grad_()
    assert left(network, x)
    network.probabilities(x)[:, 0].sum().backward()
    assert x.grad is not None
    with torch.inference_mode():
        assert not left(network, x)


class Louder(Network):
    """A subclass may do anything."""

    def forward(self, x: Tensor) -> Tensor:
        return 2.0 * super().forward(x)


class OwnLinear(nn.Linear):
    pass


def _replace_layer(network: Network, layer: nn.Module) -> None:
    network.layers[1] = layer


ALTERATIONS: dict[str, Callable[[Network], Any]] = {
    "a hook": lambda network: network.register_forward_hook(lambda *_: None),
    "a hook before": lambda network: network.register_forward_pre_hook(lambda *_: None),
    "a hook of a layer": lambda network: network.layers[2].register_forward_hook(lambda *_: None),
    "a hook before a layer": lambda network: network.layers[0].register_forward_pre_hook(lambda *_: None),
    "a backward hook": lambda network: network.layers[0].register_full_backward_hook(lambda *_: None),
    "a forward of its own": lambda network: setattr(network, "forward", lambda x: x[..., :3]),
    "compiled": lambda network: setattr(network, "_compiled_call_impl", network._call_impl),
    "a layer's forward of its own": lambda network: setattr(network.layers[0], "forward", lambda x: x[..., :9]),
    "a subclass of linear": lambda network: _replace_layer(network, OwnLinear(9, 5)),
    "no linear layer": lambda network: _replace_layer(network, nn.Sequential(nn.Linear(9, 5))),
    "no bias": lambda network: _replace_layer(network, nn.Linear(9, 5, bias=False)),
    "a parametrized weight": lambda network: parametrizations.weight_norm(network.layers[0]),
    "a pruned weight": lambda network: prune.random_unstructured(network.layers[0], "weight", 0.5),
    "one layer in float64": lambda network: network.layers[0].double(),
    "another device": lambda network: network.to("meta"),
    "another memory order": lambda network: setattr(
        network.layers[0].weight, "data", network.layers[0].weight.data.T.contiguous().T
    ),
    "memory taken away": lambda network: network.layers[0].weight.untyped_storage().resize_(0),
    "shapes that do not fit": lambda network: _replace_layer(network, nn.Linear(8, 5)),
    "another shape of the bias": lambda network: setattr(network.layers[0].bias, "data", torch.zeros(1)),
    "other classes": lambda network: _replace_last(network, nn.Linear(5, 4)),
    "layers in a row": lambda network: setattr(network, "layers", nn.Sequential(*network.layers)),
    "no layers": lambda network: setattr(network, "layers", nn.ModuleList()),
    "a negated weight": lambda network: _negate(network.layers[0], "weight"),
    "a negated bias": lambda network: _negate(network.layers[2], "bias"),
    "a weight beside the parameters": lambda network: vars(network.layers[0]).update(weight=normal(9, 12)),
    "a bias beside the parameters": lambda network: vars(network.layers[0]).update(bias=normal(9)),
    "layers beside the modules": lambda network: vars(network).update(layers=build(seed=8).layers),
    "layers in a dictionary with an order of its own": lambda network: vars(network.layers).update(
        _modules=OrderedDict(network.layers._modules)
    ),
    "layers in no dictionary": lambda network: vars(network.layers).update(_modules=3),
    "a sparse weight": lambda network: setattr(
        network.layers[0], "weight", nn.Parameter(network.layers[0].weight.detach().to_sparse())
    ),
    "dropout in training": lambda network: network.train(),
}


def _negate(layer: nn.Module, name: str) -> None:
    """Values that are only negated when they are read."""
    setattr(layer, name, nn.Parameter(torch._neg_view(getattr(layer, name).detach())))


def _replace_last(network: Network, layer: nn.Module) -> None:
    network.layers[2] = layer


@pytest.mark.parametrize("alter", ALTERATIONS.values(), ids=ALTERATIONS)
def test_what_is_not_as_built_is_left_to_pytorch(alter: Callable[[Network], Any]) -> None:
    network = build(dropout=0.5)
    alter(network)
    with torch.no_grad():
        assert left(network, normal(5, 12))


def test_what_a_hook_changes_is_in_the_probabilities() -> None:
    network, x = build(), normal(5, 12)
    network.layers[2].register_forward_hook(lambda module, given, logits: logits * 0.0)
    with torch.inference_mode():
        torch.testing.assert_close(network.probabilities(x), torch.full((5, 3), 1 / 3))
        louder = Louder("12-9-5-3").eval()
        torch.testing.assert_close(louder.probabilities(x), torch.softmax(louder(x), -1))
    assert left(louder, x)


def test_a_hook_on_all_modules_is_called() -> None:
    network, seen = build(), []
    handle = everywhere.register_module_forward_hook(lambda module, *_: seen.append(type(module).__name__))
    try:
        with torch.inference_mode():
            network.probabilities(normal(5, 12))
    finally:
        handle.remove()
    assert seen == ["Linear", "Linear", "Linear", "Network"]


def test_other_tensors_are_left_to_pytorch() -> None:
    network, x = build(), normal(5, 12)
    pixels = x.to(torch.uint8)
    with torch.no_grad():
        for other in (x.double(), x.half(), pixels, x.to("meta"), x.to_sparse(), x.as_subclass(OwnTensor), x[:, :5]):
            assert left(network, other)
        single = build("1-2")
        assert left(single, torch.complex(x[:1, :1], x[:1, :1]).conj().imag)
        assert left(network, [[0.0] * 12])  # type: ignore[arg-type]


class OwnTensor(Tensor):
    pass


class Watching(TorchDispatchMode):
    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        return operation(*arguments, **(options or {}))


def test_what_watches_operations_sees_them() -> None:
    network, x = build(), normal(5, 12)
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            network.probabilities(x)
        assert counter.get_total_flops() == 2 * 5 * (12 * 9 + 9 * 5 + 5 * 3)
        assert "addmm" in make_fx(Asked(network))(x).code
        with Watching():
            assert left(network, x)
        with torch.autocast("cpu", torch.bfloat16):
            assert left(network, x)
        with torch.device("cpu"):
            assert left(network, x)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing is deprecated, and keeps the parameters as constants
            traced = torch.jit.trace(Asked(network), x, check_trace=False)
        assert "linear" in str(traced.inlined_graph)
        torch.testing.assert_close(traced(2 * x), network.probabilities(2 * x))
        rows = torch.func.vmap(network.probabilities)(x)
        torch.testing.assert_close(rows, taken(network, x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of PyTorch's own rules
        with forward_ad.dual_level(), torch.no_grad():
            assert left(network, forward_ad.make_dual(x, x))
        tangent = torch.func.jvp(network.probabilities, (x,), (x,))[1]
    assert tangent.abs().sum() > 0
    jacobian = torch.func.jacrev(network.probabilities)(x[0])
    assert jacobian.shape == (3, 12)


def test_parameters_of_functional_calls_are_used() -> None:
    network, x = build(), normal(5, 12)
    others = {f"layers.{name}": value for name, value in build(seed=8).layers.state_dict().items()}
    given: list[Tensor] = []
    network.register_forward_hook(lambda module, _, logits: None).remove()
    with torch.no_grad():
        torch.func.functional_call(Asking(network, given), {f"network.{k}": v for k, v in others.items()}, (x,))
    torch.testing.assert_close(given[0], taken(build(seed=8), x), atol=1e-6, rtol=0)


class Asked(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.probabilities(x)


class Asking(nn.Module):
    def __init__(self, network: Network, given: list[Tensor]) -> None:
        super().__init__()
        self.network, self.given = network, given

    def forward(self, x: Tensor) -> None:
        self.given.append(self.network.probabilities(x))


def test_many_callers_at_once_get_their_own_answers(threads: Callable[[int], None]) -> None:
    threads(2)
    network = build("200-128-64-10")
    sets = [normal(400, 200, seed=seed) for seed in range(4)]
    wanted = [taken(network, x) for x in sets]
    wrong: list[int] = []

    def ask(place: int) -> None:
        wrong.extend(place for _ in range(20) if not torch.equal(taken(network, sets[place]), wanted[place]))

    callers = [threading.Thread(target=ask, args=(place,)) for place in range(len(sets))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_memory_that_another_thread_replaces_stays_until_it_is_read() -> None:
    done = warm.run(REPLACING, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


# In a process of its own, for reading what is gone ends it. So large a memory goes back to the system when it is freed.
REPLACING = """
import threading
import torch
from sumtoone import Network

network, x = Network("784-1500-1500-10"), torch.zeros(512, 784)
stop = threading.Event()

def predict():
    with torch.inference_mode():
        while not stop.is_set():
            network.probabilities(x)

thread = threading.Thread(target=predict)
thread.start()
for _ in range(150):
    network.layers[0].weight.data = torch.zeros(1500, 784)
    network.layers[1].weight.data = torch.zeros(1500, 1500)
    x.data = torch.zeros(512, 784)
stop.set()
thread.join()
print("done")
"""


# --- preprocessing on the way


@pytest.mark.usefixtures("simd")
@pytest.mark.parametrize("features", [1, 5, 16, 784])
def test_raw_rows_give_what_preprocessed_ones_give(features: int) -> None:
    network = build(f"{features}-33-10")
    means, deviations = tuple(normal(features).tolist()), tuple((normal(features).abs() + 0.5).tolist())
    for preprocessing in (Preprocessing.lesson(features), Preprocessing(features, 255.0, means, deviations)):
        run = run_of(network, preprocessing)
        pixels = torch.randint(0, 256, (70, features), dtype=torch.uint8)
        for raw in (pixels, pixels.float() / 7, pixels.long(), pixels.double(), pixels.numpy()):
            x = preprocessing(raw)
            answers = run.probabilities(raw)
            assert torch.equal(answers, taken(network, x))
            torch.testing.assert_close(answers.double(), exact(network, x).softmax(-1), atol=1e-6, rtol=0)


def test_rows_of_bytes_are_not_taken_without_a_step() -> None:
    step = Preprocessing.lesson(12).step
    pixels = torch.zeros(2, 12, dtype=torch.uint8)
    network = build()
    assert torch.equal(taken(network, pixels, step=step), taken(network, torch.full((2, 12), -1.0)))
    with torch.no_grad():
        assert left(network, pixels)
        assert forward_pass(network, pixels, (step[0][:5], step[1]), softmax=True) is None
        assert forward_pass(network, pixels, (step[0], step[1].double()), softmax=True) is None
