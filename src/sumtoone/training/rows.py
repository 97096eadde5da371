"""Where the rows of some steps come from: the data set as it is, or drawn anew; the same for every engine.

Shape suffixes: N rows, D inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from sumtoone.data import Dataset, Preprocessing
from sumtoone.options import TrainingOptions
from sumtoone.training.deforming import Deformer
from sumtoone.training.randomness import Orders, derived_seed
from sumtoone.training.state import Plan

# Drawn at a time, a batch at least: more would leave the processor's caches before a step reads them.
_ROWS_AT_ONCE = 512


class Rows(NamedTuple):
    """The rows of ``steps`` steps: ``order`` names their places in the others, one batch after another.

    Shape: ``inputs`` (N, D) uint8 or float32; ``labels`` (N,); ``weights`` (N,), None where all rows count alike.
    """

    inputs: Tensor
    labels: Tensor
    weights: Tensor | None
    order: Tensor
    steps: int


def fitted(dataset: Dataset, options: TrainingOptions) -> Preprocessing:
    """Return the preprocessing that training fits when it is given none.

    Where pictures of floats are deformed, all pixels of a channel share one mean and one deviation, as those of uint8
    always do: what is rare in a pixel, and would be far from its mean, is moved there from the pixels beside it.
    """
    inputs_ND, image = dataset.train.inputs, dataset.image_shape
    if options.deformation is None or image is None or inputs_ND.dtype == torch.uint8:
        return Preprocessing.fitted(inputs_ND)
    channels = (*image, 1)[2]
    of_channel = Preprocessing.fitted(inputs_ND.reshape(-1, channels))
    pixels = 1 if len(of_channel.mean) == 1 else dataset.features // channels
    return replace(of_channel, features=dataset.features, mean=of_channel.mean * pixels, std=of_channel.std * pixels)


class Source:
    """Gives the rows of a plan's steps, on its device; what remains to be done with them are ``scale`` and ``shift``.

    Rows that are deformed or noisy follow from the seed, the epoch and their place in it, however the steps are asked
    for.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan, device = plan, plan.device
        train, deformation = plan.dataset.train, plan.options.deformations
        inputs_ND, (scale, shift) = plan.preprocessing.prepared(train.inputs)
        self._deformer = None
        if deformation is not None:
            assert plan.dataset.image_shape is not None, "check_fit() was asked"
            self._deformer = Deformer(deformation, plan.dataset.image_shape, device)
            # Pixels are moved before anything is computed of them.
            inputs_ND = train.inputs
        elif inputs_ND.dtype != torch.uint8:
            inputs_ND = inputs_ND.float()
        self._step = self.scale, self.shift = scale.to(device), shift.to(device)
        if plan.options.noise:
            # Noise is added to what a layer sees: nothing remains to be done.
            self.scale, self.shift = torch.ones_like(self.scale), torch.zeros_like(self.shift)
        # The whole data set lives where the network does, pixels as uint8.
        self._inputs_ND, self._labels_N = inputs_ND.contiguous().to(device), train.labels.contiguous().to(device)
        self._weights_N = None if plan.weights is None else plan.weights.contiguous().to(device)
        self._orders = Orders(plan.options.seed, len(train), device)
        self._batch = min(plan.options.batch_size, len(train))
        self._steps = max(1, _ROWS_AT_ONCE // self._batch)
        self._latest: tuple[tuple[int, int], Rows] | None = None

    def of(self, epoch: int, first: int, count: int) -> Iterator[Rows]:
        """Give the rows of ``count`` steps of an epoch from ``first`` on, in one part or in several."""
        if not self._plan.options.draws_rows:
            order_N = self._orders.of(epoch)[first * self._batch : (first + count) * self._batch]
            yield Rows(self._inputs_ND, self._labels_N, self._weights_N, order_N, count)
            return
        end = first + count
        while first < end:
            group, begin = divmod(first, self._steps)
            steps = min(end - first, self._steps - begin)
            whole = self._drawn(epoch, group)
            yield whole._replace(order=whole.order[begin * self._batch : (begin + steps) * self._batch], steps=steps)
            first += steps

    def _drawn(self, epoch: int, group: int) -> Rows:
        """Return the rows of a group of steps, of which the latest is kept: a group may be asked for in parts."""
        if self._latest is None or self._latest[0] != (epoch, group):
            size = self._steps * self._batch
            order_N = self._orders.of(epoch)[group * size : (group + 1) * size]
            inputs_ND = self._inputs_ND[order_N]
            if self._deformer is not None:
                drawn = self._deformer.draw(len(order_N), self._generator("deformation", epoch, group))
                inputs_ND, _ = self._plan.preprocessing.prepared(self._deformer.deformed(inputs_ND, drawn))
            inputs_ND = self._noisy(inputs_ND.float(), epoch, group)
            weights_N = None if self._weights_N is None else self._weights_N[order_N]
            places_N = torch.arange(len(order_N), device=self._plan.device)
            self._latest = (epoch, group), Rows(inputs_ND, self._labels_N[order_N], weights_N, places_N, self._steps)
        return self._latest[1]

    def _noisy(self, inputs_ND: Tensor, epoch: int, group: int) -> Tensor:
        """Return the standardised rows with noise, if any is wanted, else the rows."""
        if not self._plan.options.noise:
            return inputs_ND
        scale, shift = self._step
        noise_ND = torch.randn(inputs_ND.shape, generator=self._generator("noise", epoch, group))
        return torch.addcmul(shift, inputs_ND, scale).add_(
            noise_ND.to(self._plan.device), alpha=self._plan.options.noise
        )

    def _generator(self, what: str, epoch: int, group: int) -> torch.Generator:
        return torch.Generator().manual_seed(derived_seed(self._plan.options.seed, f"{what} {group}", epoch))
