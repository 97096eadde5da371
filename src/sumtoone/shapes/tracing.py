"""An expression followed from the inside out: what goes into each operation and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sumtoone.shapes.parsing import Node
from sumtoone.shapes.rules import result, tensor_of
from sumtoone.shapes.values import Fails, Value, tensor


@dataclass(frozen=True)
class Step:
    """One operation; ``output`` is None where it fails, and ``failure`` says why."""

    node: Node
    inputs: tuple[Value, ...]
    output: Value | None
    failure: Fails | None = None


def trace(node: Node, shapes: Mapping[str, tuple[int, ...]]) -> list[Step]:
    """Return the steps of an expression in the order PyTorch takes them, up to the first that fails."""
    steps: list[Step] = []
    _follow(node, shapes, steps)
    return steps


def _follow(node: Node, shapes: Mapping[str, tuple[int, ...]], steps: list[Step]) -> Value | None:
    if node.operation == "name":
        return tensor(shapes[node.arguments["name"]])
    if node.operation == "number":
        return tensor_of(node.arguments["value"])
    inputs = []
    for part in node.inputs:
        value = _follow(part, shapes, steps)
        if value is None:
            return None
        inputs.append(value)
    try:
        output = result(node, inputs)
    except Fails as failure:
        steps.append(Step(node, tuple(inputs), None, failure))
        return None
    steps.append(Step(node, tuple(inputs), output))
    return output
