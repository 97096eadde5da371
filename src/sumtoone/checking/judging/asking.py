"""Asks a network with fresh rows and the judge's own weights, and reads what ran; :mod:`.networks` judges it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.checking.judging.arithmetic import close
from sumtoone.checking.judging.chain import Chain, Layer, guessed, read
from sumtoone.checking.subject import Subject


@dataclass(frozen=True)
class Pass:
    """One forward pass: the rows, the reply, the output, the chain that was read."""

    rows: NDArray[np.float32]
    reply: Mapping[str, Any]
    output: NDArray[Any] | None
    chain: Chain | None
    trusted: bool


class Asked:
    """A network that was built, and how it is asked: with fresh rows of ``width`` numbers in the form ``shape``."""

    def __init__(
        self,
        subject: Subject,
        built: Mapping[str, Any],
        random: np.random.Generator,
        seconds: float,
        classes: int,
        shape: tuple[int, ...] = (784,),
    ) -> None:
        self.subject, self.built, self.random, self.seconds = subject, built, random, seconds
        self.shape, self.width, self.classes = shape, int(np.prod(shape)), classes

    def forward(self, rows: int, *, gradient: bool = False, train: bool = False) -> Pass:
        """Run the network on fresh rows with fresh weights, and read what ran."""
        x = self.random.uniform(-1, 1, (rows, self.width)).astype(np.float32)
        weights = [(name, self._weight(shape)) for name, shape in self.built.get("parameters", ())]
        request = {"do": "forward", "key": self.built["key"], "seconds": self.seconds}
        request |= {"gradient": gradient, "train": train}
        reply, arrays = self.subject.ask(request, [x.reshape(rows, *self.shape), *(value for _, value in weights)])
        output = arrays[0] if arrays else None
        if reply.get("error") or output is None or not reply.get("tensor"):
            return Pass(x, reply, output, None, trusted=False)
        exact = {name: value.astype(np.float64) for name, value in weights}
        triples = zip(reply.get("layers", []), arrays[2::3], arrays[3::3], strict=True)
        layers = [_layer(place, weight, bias, exact) for place, weight, bias in triples]
        chain = read(x.astype(np.float64), output, layers, arrays[1::3])
        trusted = bool(layers) and all(layer.name for layer in layers)
        if output.ndim == 2 and (chain is None or not chain.known or not trusted):
            other = guessed(x.astype(np.float64), output, exact)
            if other is not None:
                return Pass(x, reply, output, other, trusted=True)
        return Pass(x, reply, output, chain, trusted)

    def _weight(self, shape: Sequence[int]) -> NDArray[np.float32]:
        # Hidden values reach beyond 6, where a ReLU6 ends; logits stay near each other, so that every class counts.
        spread = 1.5 / np.sqrt(max(1, shape[-1])) if len(shape) > 1 else 2.5
        if self.classes in shape[:1]:
            spread /= 5
        return (self.random.normal(0, 1, shape) * spread).astype(np.float32)


def _layer(
    place: Mapping[str, Any],
    weight: NDArray[Any],
    bias: NDArray[Any],
    known: Mapping[str, NDArray[Any]],
) -> Layer:
    """Return a layer with the judge's own copy of its weight; without a name where it is none of the network's."""
    name, exact = "", weight.astype(np.float64)
    for key, value in known.items():
        for turned in (value.T, value):
            if turned.shape == weight.shape and close(weight, turned):
                name, exact = key, turned
    # What is added must be one of the network's own vectors: a made-up bias would explain any output.
    if bias.size and not any(close(bias, value) for value in known.values() if value.shape == bias.shape):
        name = ""
    return Layer(exact, bias.astype(np.float64) if bias.size else None, name, place.get("line"), place.get("cell"))
