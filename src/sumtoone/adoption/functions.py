"""The functions a network can have, recognised by what they compute and not by how they are written.

The steps between two layers are run again on values of our own, and what comes out is compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sumtoone.adoption.recording import Recording, Reference, Step, replace_tensors

# As far as an exponential of twice the value is finite in float64; beyond, functions by hand may overflow.
_FINITE = 300.0

ENDINGS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "none": lambda z_NK: z_NK,
    "softmax": lambda z_NK: z_NK.softmax(1),
    "log_softmax": lambda z_NK: z_NK.log_softmax(1),
}
WRONG_AXES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "softmax 0": lambda z_NK: z_NK.softmax(0),
    "log_softmax 0": lambda z_NK: z_NK.log_softmax(0),
    "softmax 0, 1": lambda z_NK: z_NK.flatten().softmax(0).view_as(z_NK),
}
TWICE: Mapping[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda z_NK: z_NK.softmax(1).softmax(1),
    "log_softmax": lambda z_NK: z_NK.softmax(1).log_softmax(1),
}


@dataclass
class Layer:
    """A linear layer being read: where it stands, its parameters, and the steps from it to the next one."""

    step: Step | None = None
    weight: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    bias: Tensor | None = None
    start: int = 0
    end: int = 0
    steps: list[Step] = field(default_factory=list)


def run_again(recording: Recording, layer: Layer, probe: Tensor) -> dict[int, Tensor]:
    """Run the steps behind a layer on other values and return all that come out."""
    values = {layer.start: probe.clone()}

    def look_up(reference: Reference) -> Tensor:
        return values.get(reference.number, recording.tensors[reference.number].detach().cpu())

    for step in layer.steps:
        result = step.function(
            *_as_lists(replace_tensors(step.arguments, Reference, look_up)),
            **replace_tensors(step.keywords, Reference, look_up),
        )
        results = result if isinstance(result, list | tuple) else (result,)
        tensors = [item for item in results if isinstance(item, Tensor)]
        values.update(zip(step.outputs, tensors, strict=True))
    return values


def _as_lists(arguments: tuple[Any, ...]) -> Iterator[Any]:
    return (list(item) if isinstance(item, tuple) else item for item in arguments)


def _probes(shape: torch.Size) -> list[Tensor]:
    """Return inputs that tell the functions apart: a dense grid about 0, far values, and random rows."""
    far = torch.logspace(-3, math.log10(_FINITE), 60, dtype=torch.float64)
    grid = torch.cat([torch.linspace(-8, 8, 401, dtype=torch.float64), far, -far])
    rounds = -(-len(grid) // shape.numel())
    generator = torch.Generator().manual_seed(0)
    spread = grid.repeat(-(-rounds * shape.numel() // len(grid)))[: rounds * shape.numel()]
    random = [
        scale * torch.randn(shape, generator=generator, dtype=torch.float64) for scale in (1.0, 5.0, 20.0, 1e4, 1e6)
    ]
    return [*random, *spread.view(rounds, *shape)]


def recognise(
    recording: Recording,
    layer: Layer,
    known: Mapping[str, Callable[[Tensor], Tensor]],
    rows: int,
    end: int | None = None,
) -> str | None:
    """Return the name of the function that the steps behind a layer compute, or None."""
    remaining = dict(known)
    for probe in _probes(recording.tensors[layer.start].shape):
        try:
            result = run_again(recording, layer, probe)[layer.end if end is None else end]
        except (RuntimeError, TypeError, ValueError):
            return None
        if result.numel() != probe.numel():
            return None
        for name, function in list(remaining.items()):
            wanted = function(probe.reshape(rows, -1))
            found = result.reshape(rows, -1).double()
            if probe.abs().max() > _FINITE:
                found = torch.where(found.isfinite(), found, wanted)
            if not torch.allclose(found, wanted, rtol=1e-6, atol=1e-7):
                del remaining[name]
        if not remaining:
            return None
    return next(iter(remaining))
