"""Weights averaged over a training: steadier than those of its last step, and at no cost worth naming.

The average has the profile of a power of the time so far (Karras et al. 2024, "Analyzing and improving the training
dynamics of diffusion models"): it needs no beginning, and its reach grows with the training. Half a training's age is
the plain mean of Polyak & Juditsky (1992).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from sumtoone.training.engines import under, wide
from sumtoone.training.state import Plan

# So often in an epoch weights are looked at, by every engine at the same steps: a look costs a copy of them.
_LOOKS = 8
_PREFIX = "average."


class Average:
    """The average of a network's weights, whose mean age is ``options.averaging`` of the training so far."""

    def __init__(self, plan: Plan) -> None:
        self._share, self._steps = plan.options.averaging, plan.steps_per_epoch
        self._weights = plan.trained()
        self._between = -(-self._steps // _LOOKS)
        self._average: dict[str, Tensor] = {}

    def before_a_look(self, step: int) -> int:
        """Return how many steps of an epoch from ``step`` on may be taken before the next look."""
        left = self._steps - step
        return left if self._share is None else min(left, self._between - step % self._between)

    def wants_a_look(self, step: int) -> bool:
        """Whether the weights after so many steps of an epoch are to be looked at."""
        return self._share is not None and (step % self._between == 0 or step == self._steps)

    @torch.no_grad()
    def look(self, epoch: int, step: int) -> None:
        """Take up the weights as the network has them after ``step`` steps of ``epoch``, which counts from 0."""
        assert self._share is not None, "wants_a_look() was asked"
        looks = epoch * -(-self._steps // self._between) + -(-step // self._between)
        # The weight of a look is as its time to the power of 1 / share - 2.
        new = 1 - (1 - 1 / looks) ** (1 / self._share - 1)
        for name, weight in self._weights.items():
            self._average.setdefault(name, wide(weight).clone()).lerp_(wide(weight), new)

    @contextmanager
    def in_network(self) -> Iterator[None]:
        """Let the network have the average inside the block, where there is one, and then its own weights again."""
        own = {name: self._weights[name].detach().clone() for name in self._average}
        self.leave()
        try:
            yield
        finally:
            self._write(own)

    def leave(self) -> None:
        """Let the network have the average, where there is one."""
        self._write(self._average)

    @torch.no_grad()
    def _write(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            self._weights[name].copy_(tensor)

    def state(self) -> dict[str, Tensor]:
        """Return the average's tensors, under names that no engine has."""
        return {_PREFIX + name: tensor for name, tensor in self._average.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up the tensors that :meth:`state` returned."""
        kept = under(_PREFIX, tensors)
        self._average = {
            name: kept[name].to(weight.device).clone() for name, weight in self._weights.items() if name in kept
        }
