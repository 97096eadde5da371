"""What is saved opens as the same thing: networks of every kind, modules of one's own; or it is refused at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from sumtoone import Dataset, Network, Run, Split, fit, open_run, resume
from sumtoone.errors import DataError, DtypeError, RunError, ShapeError, SumtooneError, UsageError
from test_training import build, make_dataset, weights

DATASET = make_dataset()
ROWS = DATASET.test.inputs

_WHOLE = "data = sumtoone.load('digits'), or Dataset.from_arrays(x, y), whole and not one of its splits"
_NO_FORWARD = (
    "Module has no forward. It is written with another name, or is not indented into the class "
    '(Module [Module] is missing the required "forward" function)'
)
_STRIDED = "torch.strided"
_FROZEN = "all of whose parameters are frozen, or which has none"


class _Stop(Exception):
    """Ends training in the middle."""


def _stop_in_epoch(number: int) -> Callable[[Any], None]:
    def listen(event: Any) -> None:
        if event["epoch"] == number:
            raise _Stop

    return listen


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


# --- networks


def tied() -> Network:
    network = Network("12-8-8-8-3")
    network.layers[2].weight = network.layers[1].weight
    return network


def in_float64() -> Network:
    with default_dtype(torch.float64):
        return build()


def bias_frozen() -> Network:
    network = build()
    network.layers[1].bias.requires_grad_(False)
    return network


def gradient_watched() -> Network:
    network = build()
    network.layers[0].weight.register_hook(lambda gradient: gradient * 0.5)
    return network


def strided() -> Network:
    network = build()
    layer: Any = network.layers[0]
    layer.weight = nn.Parameter(layer.weight.detach().t().contiguous().t())
    return network


NETWORKS: dict[str, Callable[[], Network]] = {
    "as built": build,
    "dropout": lambda: build(dropout=0.3),
    "tied": tied,
    "float64": in_float64,
    "double": lambda: build().double(),
    "half": lambda: build().half(),
    "bfloat16": lambda: build().bfloat16(),
    "frozen layer": bias_frozen,
    "gradient hook": gradient_watched,
    "other strides": strided,
    "evaluation mode": lambda: build(dropout=0.3).eval(),
}


@pytest.mark.parametrize("engine", ["auto", "plain"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_comes_back_to_the_bit(kind: str, engine: str, tmp_path: Path) -> None:
    run = fit(NETWORKS[kind](), DATASET, epochs=2, engine=engine, out=tmp_path / "run")
    run.save(tmp_path / "saved")
    for folder in ("run", "saved"):
        again = open_run(tmp_path / folder)
        assert torch.equal(again.probabilities(ROWS), run.probabilities(ROWS))
        assert [tensor.dtype for tensor in again.network.parameters()] == [
            tensor.dtype for tensor in run.network.parameters()
        ]
    assert again.probabilities(ROWS).dtype == torch.float32


def test_tied_weights_come_back_tied(tmp_path: Path) -> None:
    fit(tied(), DATASET, epochs=1, out=tmp_path / "run")
    network: Any = open_run(tmp_path / "run").network
    assert network.layers[2].weight is network.layers[1].weight
    assert (tmp_path / "run" / "model.safetensors").read_bytes().count(b"data_offsets") == 7


def hooked() -> Network:
    network = build()
    network.layers[1].register_forward_hook(lambda module, given, out: out * 2)
    return network


def hooked_before() -> Network:
    network = build()
    network.register_forward_pre_hook(lambda module, given: (given[0] * 2,))
    return network


def own_forward() -> Network:
    network: Any = build()
    network.forward = lambda x: Network.forward(network, x) * 2
    return network


def pruned() -> Network:
    network = build()
    prune.l1_unstructured(network.layers[0], "weight", 0.5)
    return network


def normed() -> Network:
    network = build()
    parametrizations.weight_norm(network.layers[1])
    return network


def spectral() -> Network:
    network = build()
    parametrizations.spectral_norm(network.layers[0])
    return network


def another_layer() -> Network:
    network = build()
    network.layers.append(nn.Dropout(0.5))
    return network


def another_kind() -> Network:
    network: Any = build()
    network.layers[1] = nn.Sequential(network.layers[1], nn.Tanh())
    return network


def without_bias() -> Network:
    network: Any = build()
    network.layers[1] = nn.Linear(16, 8, bias=False)
    return network


def another_size() -> Network:
    network: Any = build()
    network.layers[0], network.layers[1] = nn.Linear(12, 20), nn.Linear(20, 8)
    return network


def buffered() -> Network:
    network = build()
    network.register_buffer("scale", torch.ones(3))
    return network


def mixed() -> Network:
    network = build()
    network.layers[2].double()
    return network


CHANGED = {
    "layers.1": [hooked, normed, another_kind],
    "Network": [hooked_before, own_forward],
    "layers.0.weight_orig": [pruned],
    "layers.0": [spectral],
    "layers.3": [another_layer],
    "layers.1.bias": [without_bias],
    "layers.0.weight": [another_size],
    "scale": [buffered],
    "layers.2.weight": [mixed],
}


@pytest.mark.parametrize(
    ("part", "change"),
    [(part, change) for part, changes in CHANGED.items() for change in changes],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_network_that_is_no_longer_what_it_says_is_refused_before_a_step(
    part: str, change: Callable[[], Network], tmp_path: Path
) -> None:
    network, events = change(), []
    before = weights(network)
    with pytest.raises(RunError) as caught:
        fit(network, DATASET, epochs=1, out=tmp_path / "run", on_event=events.append)
    assert str(caught.value) == (
        "This Network is no longer what its description says, and could not be opened again from it [run-changed]\n"
        "  expected: linear layers with an activation between them, as Network(…) builds them, all of one type\n"
        f"  got: a change at {part}\n"
        "  try: take the change out (prune.remove, parametrize.remove_parametrizations, handle.remove()), or write a "
        "class of your own around it: class Mine(nn.Module), which open_run(path, network=Mine()) reads back"
    )
    assert not events
    assert weights(network) == before
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("change", [hooked, pruned, buffered])
def test_a_run_whose_network_was_changed_is_not_saved(change: Callable[[], Network], tmp_path: Path) -> None:
    run = replace(fit(build(), DATASET, epochs=1), network=change())
    with pytest.raises(RunError) as caught:
        run.save(tmp_path / "deep" / "run")
    assert caught.value.code == "run-changed"
    assert not (tmp_path / "deep").exists()


def test_probabilities_do_not_depend_on_the_mode_or_on_autocast() -> None:
    run = fit(build(dropout=0.4), DATASET, epochs=1)
    expected = run.probabilities(ROWS)
    run.network.train()
    assert torch.equal(run.probabilities(ROWS), expected)
    assert run.network.training
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(run.probabilities(ROWS), expected)
    module = fit(nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3)), DATASET, epochs=1)
    expected = module.probabilities(ROWS)
    module.network.train()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module.probabilities(ROWS), expected)


# --- modules of one's own


class Residual(nn.Module):
    """A skip connection, a norm with running statistics, a buffer that training changes, a tied weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(12, 12), nn.Linear(12, 12), nn.Linear(12, 3)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(12)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.calls += 1
        return self.last(x + self.norm(torch.relu(self.second(torch.relu(self.first(x))))))


class Sharper(Network):
    """A Network that computes something else."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * 2


class Lowered(Network):
    """A Network with a type and a frozen layer of its own."""

    def __init__(self) -> None:
        super().__init__("12-6-3")
        self.layers[0].requires_grad_(False)


MODULES: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Sequential(nn.Linear(12, 3)),
    "batch norm": lambda: nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)),
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 3, 4)), nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)
    ),
    "lazy": lambda: nn.Sequential(nn.LazyLinear(6), nn.LazyBatchNorm1d(), nn.Tanh(), nn.LazyLinear(3)),
    "residual": Residual,
    "subclass": lambda: Sharper("12-8-3"),
    "frozen subclass": Lowered,
    "float64": lambda: nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)).double(),
    "bfloat16": lambda: nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)).bfloat16(),
    "recurrent": lambda: _LastOf(nn.GRU(4, 5, batch_first=True), nn.Linear(5, 3)),
    "layer norm": lambda: nn.Sequential(nn.LayerNorm(12), nn.Linear(12, 3)),
    "log softmax": lambda: nn.Sequential(nn.Linear(12, 3), nn.LogSoftmax(dim=1)),
    "network inside": lambda: nn.Sequential(Network("12-6-4"), nn.ReLU(), nn.Linear(4, 3)),
    "weight norm": lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(12, 3))),
}


class _LastOf(nn.Module):
    """The last state of a recurrent layer over the rows as steps of four numbers."""

    def __init__(self, states: nn.GRU, output: nn.Linear) -> None:
        super().__init__()
        self.states, self.output = states, output

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.states(x.view(len(x), 3, 4))[0][:, -1])


def same_tensors(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def make(kind: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODULES[kind]()


@pytest.mark.parametrize("kind", MODULES)
def test_a_module_comes_back_to_the_bit(kind: str, tmp_path: Path) -> None:
    run = fit(make(kind), DATASET, epochs=2, batch_size=16, out=tmp_path / "run")
    run.save(tmp_path / "saved")
    for folder in ("run", "saved"):
        again = open_run(tmp_path / folder, network=make(kind))
        assert torch.equal(again.probabilities(ROWS), run.probabilities(ROWS))
        assert same_tensors(again.network, run.network)
    with pytest.raises(RunError) as caught:
        open_run(tmp_path / "run")
    name = type(run.network).__name__
    assert (caught.value.code, caught.value.expected) == ("run-module", f"an instance of {name}")
    with pytest.raises(RunError) as caught:
        open_run(tmp_path / "run", network=nn.Sequential(nn.Linear(12, 4)))
    assert caught.value.code == "run-module-tensors"


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("kind", MODULES)
def test_a_module_goes_on_to_the_bit(kind: str, optimizer: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 3, "batch_size": 16, "optimizer": optimizer, "early_stopping": 3}
    whole = fit(make(kind), DATASET, **options)
    with pytest.raises(_Stop):
        fit(make(kind), DATASET, out=tmp_path / "run", on_event=_stop_in_epoch(2), **options)
    again = resume(tmp_path / "run", DATASET, make(kind))
    assert torch.equal(again.probabilities(ROWS), whole.probabilities(ROWS))
    assert again.history["train_loss"] == whole.history["train_loss"]
    assert torch.equal(open_run(tmp_path / "run", make(kind)).probabilities(ROWS), whole.probabilities(ROWS))


def test_a_module_that_answers_something_else_is_noticed(tmp_path: Path) -> None:
    fit(make("subclass"), DATASET, epochs=1, out=tmp_path / "run")
    with pytest.raises(RunError) as caught:
        open_run(tmp_path / "run", network=Network("12-8-3"))
    assert str(caught.value) == (
        f"With the tensors of the run in {tmp_path / 'run'} the module answers something else than the trained one did "
        "[run-module-differs]\n"
        "  expected: the answers that were written when it was trained\n"
        "  got: others from this Network\n"
        "  try: its forward, its hooks or its settings have changed: build it as it was built for the training"
    )


@pytest.mark.parametrize("given", [Network, "net.py", 3])
def test_what_is_no_module_opens_no_run(given: Any, tmp_path: Path) -> None:
    fit(make("linear"), DATASET, epochs=1, out=tmp_path / "run")
    with pytest.raises(UsageError) as caught:
        open_run(tmp_path / "run", network=given)
    assert caught.value.code == "argument-type"


def test_a_network_needs_no_module(tmp_path: Path) -> None:
    fit(build(), DATASET, epochs=1, out=tmp_path / "run")
    with pytest.raises(RunError) as caught:
        open_run(tmp_path / "run", network=make("linear"))
    assert caught.value.code == "run-network-given"


# --- going on with parts that do not learn


@pytest.mark.parametrize("engine", ["auto", "plain"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("frozen", ["layers.0.weight", "layers.0", "layers.1.bias", "layers.2"])
def test_frozen_parameters_stay_so_when_training_goes_on(
    frozen: str, optimizer: str, engine: str, tmp_path: Path
) -> None:
    def partly() -> Network:
        network = build()
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(not name.startswith(frozen))
        return network

    options: dict[str, Any] = {"epochs": 4, "batch_size": 16, "optimizer": optimizer, "engine": engine}
    start = {name: tensor.clone() for name, tensor in build().state_dict().items() if name.startswith(frozen)}
    whole = fit(partly(), DATASET, **options)
    with pytest.raises(_Stop):
        fit(partly(), DATASET, out=tmp_path / "run", on_event=_stop_in_epoch(3), **options)
    again = resume(tmp_path / "run", DATASET)
    assert weights(again.network) == weights(whole.network)
    assert all(torch.equal(again.network.state_dict()[name], tensor) for name, tensor in start.items())
    assert [name for name, each in again.network.named_parameters() if not each.requires_grad] == list(start)


def test_hooks_of_gradients_are_needed_to_go_on(tmp_path: Path) -> None:
    whole = fit(gradient_watched(), DATASET, epochs=3, optimizer="sgd")
    with pytest.raises(_Stop):
        fit(gradient_watched(), DATASET, epochs=3, optimizer="sgd", out=tmp_path / "run", on_event=_stop_in_epoch(2))
    with pytest.raises(RunError) as caught:
        resume(tmp_path / "run", DATASET)
    assert caught.value.code == "run-module"
    again = resume(tmp_path / "run", DATASET, gradient_watched())
    assert weights(again.network) == weights(whole.network)
    assert torch.equal(open_run(tmp_path / "run").probabilities(ROWS), whole.probabilities(ROWS))


@pytest.mark.parametrize("kind", ["tied", "float64", "half"])
def test_other_networks_go_on_to_the_bit(kind: str, tmp_path: Path) -> None:
    whole = fit(NETWORKS[kind](), DATASET, epochs=3)
    with pytest.raises(_Stop):
        fit(NETWORKS[kind](), DATASET, epochs=3, out=tmp_path / "run", on_event=_stop_in_epoch(2))
    assert same_tensors(resume(tmp_path / "run", DATASET).network, whole.network)


# --- refused before the first step, by the true cause


def refused(network: nn.Module, dataset: Dataset = DATASET, **options: Any) -> SumtooneError:
    held = {name: tensor for name, tensor in network.state_dict().items() if not getattr(tensor, "is_meta", True)}
    before = {name: tensor.clone() for name, tensor in held.items()}
    events: list[Any] = []
    with pytest.raises(SumtooneError) as caught:
        fit(network, dataset, epochs=3, on_event=events.append, **options)
    assert not events
    assert all(torch.equal(tensor, before[name]) for name, tensor in held.items())
    return caught.value


@pytest.mark.parametrize("axis", [0, 1])
def test_a_softmax_is_not_trained_on_a_softmax(axis: int) -> None:
    error = refused(nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(dim=axis)))
    assert str(error) == (
        "The network ends in a softmax: its outputs are probabilities, and the loss would take a softmax of them once "
        "more [training-softmax]\n"
        "  expected: logits: what stands before the softmax\n"
        f"  got: outputs of Sequential that are never negative and sum to one along axis {axis}\n"
        "  try: take the softmax out of forward; run.probabilities applies it. Network.from_module(module, rows) takes "
        "it out of dense networks"
    )


def test_a_softmax_by_hand_is_one() -> None:
    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(12, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            exponentials = self.layer(x).exp()
            return exponentials / exponentials.sum(dim=1, keepdim=True)

    assert refused(ByHand()).code == "training-softmax"


@pytest.mark.parametrize("batch", [219, 73, 3])
def test_a_last_batch_of_one_row_is_told_before_it_comes(batch: int) -> None:
    rows = replace(DATASET, train=Split(DATASET.train.inputs[:220], DATASET.train.labels[:220]))
    error = refused(make("batch norm"), rows, batch_size=batch)
    smaller = {219: 218, 73: 72, 3: 2}[batch]
    assert str(error) == (
        "The network cannot take the last batch of an epoch [training-last-batch]\n"
        f"  expected: a step on 1 rows: 220 rows in batches of {batch} leave so many\n"
        "  got: ValueError: Expected more than 1 value per channel when training, got input size torch.Size([1, 8])\n"
        f"  try: batch_size={smaller}; BatchNorm needs two rows or more in every batch"
    )
    assert math.isfinite(fit(make("batch norm"), rows, epochs=1, batch_size=smaller).history["train_loss"][0])


def test_a_module_that_counts_on_its_batch_is_told_so() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(12, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x.view(64 if self.training else -1, 12))

    error = refused(Fixed(), batch_size=64)
    assert error.code == "training-last-batch"
    assert "a step on 28 rows" in error.expected


def test_convolutions_are_told_how_to_begin() -> None:
    images = replace(DATASET, image_shape=(3, 4))
    error = refused(nn.Sequential(nn.Conv2d(1, 4, 2), nn.Flatten(), nn.Linear(24, 3)), images)
    assert str(error) == (
        "The network's convolutions cannot take rows of this data set [training-convolution]\n"
        "  expected: logits for inputs of shape (64, 12): each row an image of (3, 4), line by line\n"
        "  got: RuntimeError: Expected 3D (unbatched) or 4D (batched) input to conv2d, "
        "but got input of size: [64, 12]\n"
        "  try: begin with nn.Unflatten(1, (1, 3, 4))"
    )
    colours = replace(DATASET, image_shape=(2, 2, 3))
    error = refused(nn.Sequential(nn.Conv2d(3, 4, 2), nn.Flatten(), nn.Linear(4, 3)), colours)
    assert error.try_ == "begin with x.unflatten(1, (2, 2, 3)).movedim(-1, 1)"


class _Extra(nn.Linear):
    """Keeps something that is no tensor."""

    def get_extra_state(self) -> Any:
        return {"set": {1, 2}}

    def set_extra_state(self, state: Any) -> None:
        pass


class _Raises(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)  # type: ignore[no-any-return]


class _Detached(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).detach()


class _Argmax(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).argsort(dim=1)


class _Complex(nn.Linear):
    def __init__(self) -> None:
        super().__init__(12, 3, dtype=torch.complex64)


class _Looked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.layer = nn.Embedding(5, 4, sparse=True), nn.Linear(48, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.table(x.abs().long().clamp(max=4)).flatten(1))


@pytest.mark.parametrize(
    ("network", "kind", "code", "got"),
    [
        (lambda: _Extra(12, 3), RunError, "run-part", "_extra_state: dict"),
        (_Complex, RunError, "run-part", f"weight: torch.complex64, {_STRIDED}, cpu"),
        (lambda: nn.Linear(12, 3, device="meta"), RunError, "run-part", f"weight: torch.float32, {_STRIDED}, meta"),
        (_Raises, ShapeError, "module-forward", "AttributeError: '_Raises' object has no attribute 'layers'"),
        (lambda: _Detached(12, 3), UsageError, "training-detached", "_Detached, whose output is detached from them"),
        (lambda: _Argmax(12, 3), DtypeError, "training-logits", "torch.int64"),
        (_Looked, UsageError, "training-sparse", "table.weight"),
        (lambda: build().requires_grad_(False), UsageError, "training-frozen", f"Network, {_FROZEN}"),
        (lambda: nn.Linear(12, 3).requires_grad_(False), UsageError, "training-frozen", f"Linear, {_FROZEN}"),
        (nn.Module, ShapeError, "module-forward", _NO_FORWARD),
        (lambda: nn.Linear(12, 4), ShapeError, "training-classes", "(64, 4)"),
        (lambda: nn.Flatten(0), ShapeError, "training-classes", "(768,)"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_or_kept_is_named(
    network: Callable[[], nn.Module], kind: type[SumtooneError], code: str, got: str
) -> None:
    error = refused(network())
    assert (type(error), error.code, error.got) == (kind, code, got)


def test_early_stopping_without_validation_rows(tmp_path: Path) -> None:
    empty = replace(DATASET, validation=Split(ROWS[:0], DATASET.test.labels[:0]))
    with pytest.raises(DataError) as caught:
        fit(build(), empty, epochs=50, early_stopping=3, out=tmp_path / "run")
    assert str(caught.value) == (
        "There are no validation rows for early_stopping [split-needed]\n"
        "  expected: rows that the network was not trained on\n"
        "  got: 0 validation rows in clouds, 220 rows to train on\n"
        "  try: leave early_stopping out, or add rows to the validation split"
    )
    run = fit(build(), empty, epochs=2, out=tmp_path / "run")
    assert b'"validation_loss": null' in (tmp_path / "run" / "history.jsonl").read_bytes()
    again = open_run(tmp_path / "run")
    assert all(math.isnan(value) for value in again.history["validation_loss"] + run.history["validation_loss"])


# --- wrong calls


@pytest.mark.parametrize(
    ("arguments", "got", "hint"),
    [
        ((build(), "digits"), "str", "fit(network, sumtoone.load('digits'))"),
        ((build(), DATASET.train), "Split", _WHOLE),
        ((build(), (1, 2)), "tuple", _WHOLE),
        ((build(), None), "NoneType", _WHOLE),
        ((build(), DATASET, 5), "int", "name it: epochs=5, or options=TrainingOptions(epochs=5)"),
        ((Network, DATASET), "the class Network", "fit(Network('784-128-64-10'), data)"),
        (("12-3", DATASET), "str", "fit(Network('784-128-64-10'), data)"),
    ],
)  # fmt: skip
def test_an_argument_of_another_kind(arguments: Any, got: str, hint: str) -> None:
    with pytest.raises(DtypeError) as caught:
        fit(*arguments)
    assert (caught.value.code, caught.value.got, caught.value.try_) == ("argument-type", got, hint)


def test_arguments_in_the_other_order() -> None:
    wrong: Any = (DATASET, build())
    with pytest.raises(SumtooneError) as caught:
        fit(*wrong)
    assert str(caught.value) == (
        "fit does not take this as network [argument-type]\n"
        "  expected: an nn.Module that has been built\n"
        "  got: Dataset\n"
        "  try: fit(Network('784-128-64-10'), data)\n"
        "fit does not take this as dataset [argument-type]\n"
        "  expected: a Dataset with its three splits\n"
        "  got: Network\n"
        "  try: fit(network, data): the network comes first"
    )


@pytest.mark.parametrize("options", [{"preprocessing": 3}, {"on_event": 3}])
def test_other_arguments_of_another_kind(options: Any) -> None:
    with pytest.raises(DtypeError) as caught:
        fit(build(), DATASET, **options)
    assert (caught.value.code, caught.value.got) == ("argument-type", "int")


@pytest.mark.parametrize(
    ("verb", "path"),
    [(verb, path) for verb in (open_run, resume, Run.save) for path in (None, 5, b"runs", 0.5)]
    + [(lambda path: fit(build(), DATASET, out=path), path) for path in (5, b"runs", 0.5)],
)
def test_what_is_no_path(verb: Callable[..., Any], path: Any) -> None:
    arguments = (fit(build(), DATASET, epochs=1), path) if verb is Run.save else (path,)
    with pytest.raises(UsageError) as caught:
        verb(*arguments)
    assert (caught.value.code, caught.value.got) == ("argument-type", f"{path!r} ({type(path).__name__})")


@pytest.mark.parametrize("verb", [open_run, resume])
@pytest.mark.parametrize("path", ["x" * 300, "a\0b"])
def test_a_path_that_no_system_takes(verb: Callable[..., Any], path: str) -> None:
    with pytest.raises(RunError) as caught:
        verb(path)
    assert caught.value.code == "run-unreadable"
