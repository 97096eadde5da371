"""What a trained network is, in words that a file can hold, and the way back to it.

A :class:`Network` is described by its specification and made again from it. Any other module is named by its class:
whoever opens the run brings one, and it is held against what the trained one answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sumtoone.errors import RunError
from sumtoone.network import Network, changed_part, evaluating, input_kind
from sumtoone.private import has_gradient_hooks
from sumtoone.specification import Specification

Document = Mapping[str, Any]

# Two rows and so many of the numbers that come out tell one network from another …
_ROWS, _MOST_ANSWERS = 2, 64
# … rounded as another machine or another number of threads rounds.
_TOLERANCE = 1e-3
_KEPT_TYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)
# Bytes that a file holds for a tensor beside its numbers, and for those of layers whose sizes are not known yet.
_HEADER, _MOST_LAZY = 2**12, 2**30
# A file of one tensor must not claim the memory of a thousand.
_MOST_SHARING = 16


def check_keepable(network: nn.Module) -> None:
    """Raise :class:`RunError` if files could not give this network back, naming the part that they cannot hold.

    A :class:`Network` must compute what its specification says; every other module needs no more than tensors in
    its ``state_dict()``.
    """
    part = changed_part(network) if type(network) is Network else None
    if part is not None:
        raise RunError("run-changed", part=part)
    for name, value in network.state_dict().items():
        if not isinstance(value, Tensor):
            raise RunError("run-part", part=name, kind=type(value).__name__)
        if is_lazy(value):
            continue
        if value.layout is not torch.strided or value.is_meta or value.is_quantized or value.dtype not in _KEPT_TYPES:
            raise RunError("run-part", part=name, kind=f"{value.dtype}, {value.layout}, {value.device}")


def class_name(network: nn.Module) -> str:
    """Return what a person calls a module's class.

    >>> class_name(nn.Sequential())
    'Sequential'
    """
    return type(network).__name__


def describe(network: nn.Module, features: int) -> dict[str, Any]:
    """Return what to write of a network that :func:`check_keepable` let pass: its specification, or its class."""
    if type(network) is Network:
        described = network.specification
        return {
            "specification": {
                "sizes": str(described),
                "activation": described.activation,
                "dropout": described.dropout,
            }
        }
    return {
        "specification": None,
        "module": {"class": class_name(network), "answers": answers(network, features)},
    }


def describe_task(network: nn.Module) -> dict[str, Any]:
    """Return the same of a network in training: hooks of its gradients count, too, and it has no answers yet."""
    watched = any(map(has_gradient_hooks, network.parameters()))
    if type(network) is Network and not watched:
        return describe(network, network.specification.inputs)
    return {"specification": None, "module": {"class": class_name(network), "answers": None}}


def answers(network: nn.Module, features: int) -> list[float] | None:
    """Return the first numbers that a network gives for two rows between 0 and 1, the same everywhere.

    None if it gives none, or others when it is asked again.
    """
    places = torch.arange(_ROWS * features, dtype=torch.float64)
    rows = (0.5 + 0.5 * torch.sin(places)).reshape(_ROWS, features).to(*input_kind(network))
    try:
        with evaluating(network), torch.no_grad(), torch.random.fork_rng(devices=[]):
            first, again = (network(rows).double().flatten()[:_MOST_ANSWERS].tolist() for _ in range(2))
    except Exception:
        # A module may refuse such rows in any way it likes; it is then not held against them.
        return None
    return first if first == again and all(map(_is_finite, first)) else None


def _is_finite(value: float) -> bool:
    return value - value == 0


def restored(
    described: Document, tensors: Mapping[str, Tensor], network: nn.Module | None, features: int, path: str
) -> nn.Module:
    """Return the network of a description and its tensors; ``network`` is the module where one was trained.

    Raises
    ------
    RunError
        If a module is needed and none was given, the one given is another, or the run trained a :class:`Network`.
    ValueError
        If description and tensors do not fit each other.
    """
    if described["specification"] is not None:
        if network is not None and type(network) is not Network:
            raise RunError("run-network-given", path=path, given=class_name(network))
        return _network(specification_of(described["specification"]), tensors)
    module = described["module"]
    given = needed(str(module["class"]), network, path)
    load(given, tensors, path)
    expected = module["answers"]
    if expected is not None and not _agree(expected, answers(given, features)):
        raise RunError("run-module-differs", path=path, kind=class_name(given))
    return given


def needed(name: str, network: nn.Module | None, path: str) -> nn.Module:
    """Return the module that a run needs; :class:`RunError` if there is none."""
    if network is None:
        raise RunError("run-module", path=path, kind=name)
    return network


def specification_of(described: Any) -> Specification:
    """Return the specification that :func:`describe` wrote, or checkpoints of old, which held a list."""
    if isinstance(described, list):
        return Specification.parse(*described)
    return Specification.parse(described["sizes"], described["activation"], described["dropout"])


def load_size(described: Document, network: nn.Module | None) -> int:
    """Return how many bytes the tensors that a description speaks of can take in a file, at the most."""
    if described["specification"] is not None:
        specification = specification_of(described["specification"])
        most: int = 8 * int(specification.parameters) + _HEADER * len(specification.sizes) + 2**16
        return most
    sizes = [tensor.nbytes for tensor in network.state_dict().values() if not is_lazy(tensor)] if network else []
    return int(sum(sizes)) + _HEADER * len(sizes) + _MOST_LAZY


def load(network: nn.Module, tensors: Mapping[str, Tensor], path: str) -> None:
    """Give a module the tensors of a run; :class:`RunError`, and nothing changed, if they are not its own."""
    own = network.state_dict()
    for name in [*own, *tensors]:
        kinds = [_kind(place.get(name)) for place in (tensors, own)]
        if kinds[0] != kinds[1] and not (name in tensors and name in own and is_lazy(own[name])):
            raise RunError("run-module-tensors", path=path, part=name, expected=kinds[0], given=kinds[1])
    network.load_state_dict(dict(tensors))


def _kind(tensor: object) -> str:
    if isinstance(tensor, Tensor) and not is_lazy(tensor):
        return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
    return "-"


def _network(specification: Specification, tensors: Mapping[str, Tensor]) -> Network:
    held = sum(tensor.numel() for tensor in tensors.values())
    if held != specification.parameters:
        raise ValueError(f"{specification} does not have the weights in model.safetensors")
    if held > _MOST_SHARING * sum({id(tensor): tensor.numel() for tensor in tensors.values()}.values()):
        raise ValueError("more names than tensors")
    dtypes = {tensor.dtype for tensor in tensors.values()}
    dtype = dtypes.pop()
    if dtypes or not dtype.is_floating_point:
        raise ValueError("weights of different types")
    network = Network(specification).to(dtype)
    network.load_state_dict(dict(tensors))
    names: dict[int, str] = {}
    for name, tensor in tensors.items():
        first = names.setdefault(id(tensor), name)
        if first != name:
            layer, _, kind = name.rpartition(".")
            setattr(network.get_submodule(layer), kind, network.get_parameter(first))
    return network


def _agree(expected: Any, given: list[float] | None) -> bool:
    """Whether a module gives the numbers that were written of the trained one."""
    if given is None or len(given) != len(expected):
        return False
    scale = max(1.0, *map(abs, expected))
    return all(abs(float(one) - two) <= _TOLERANCE * scale for one, two in zip(expected, given, strict=True))
