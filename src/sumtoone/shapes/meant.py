"""What was meant where an operation fails: rows that stay rows, and a bias with one number for each output."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from math import prod

from sumtoone.shapes.edits import Edit, below, with_sizes
from sumtoone.shapes.nodes import Node
from sumtoone.shapes.products import takes_and_gives
from sumtoone.shapes.scene import Scene, Shape
from sumtoone.shapes.tracing import Step, definition


@dataclass(frozen=True)
class Bias:
    """A bias of a wrong shape: its name, how many outputs there are, and the edit where a line makes it."""

    name: str
    outputs: int
    edit: Edit | None


def fits(step: Step, shape: Shape, scene: Scene) -> bool:
    """Whether a cured operation gives the shape that was probably meant: rows stay rows."""
    assert step.failure is not None
    shapes = [value.shape for value in step.inputs if value.is_tensor]
    match step.failure.code:
        case "view-count" | "view-divide" if len(shapes[0]) < 2:
            return True
        case "broadcast":
            return shape == max(shapes, key=lambda one: (len(one), prod(one)))
        case "matmul-inner" | "mm-rank" | "layer-inner" | "linear-inner" | "view-count" | "view-divide":
            return shape[:1] == _rows(step.node.inputs[0], shapes[0], scene)
        case _:
            return True


def _rows(part: Node, shape: Shape, scene: Scene) -> Shape:
    """Return how many rows go in: those of a batch of images, whatever a view made of them."""
    for one in below(part):
        before = scene.entered.get(one, ((),))
        if one.operation in ("view", "reshape", "flatten") and len(before[0]) > 2:
            return before[0][:1]
    return shape[:1]


def bias_of(step: Step, scene: Scene) -> Bias | None:
    """Return the bias that a failed sum of a product and a vector means, or None where it is no such sum."""
    if step.failure is None or step.failure.code not in ("broadcast", "bias"):
        return None
    if step.node.operation == "linear":
        weights = step.inputs[1].shape
        return _bias(step.node.inputs[2], weights[0]) if len(weights) == 2 else None
    for place in (0, 1):
        product = definition(step.node.inputs[1 - place])
        outputs = takes_and_gives(product, scene.entered) if product in scene.entered else None
        if step.node.operation == "+" and outputs is not None and len(step.inputs[place].shape) <= 2:
            return _bias(step.node.inputs[place], outputs)
    return None


def _bias(part: Node, outputs: int) -> Bias | None:
    made = definition(part)
    if made.operation == "create" and made.arguments.get("size") is not None and isinstance(made.tree, ast.Call):
        return Bias(part.source, outputs, with_sizes(made, (outputs,)))
    return Bias(part.source, outputs, None) if made.operation == "name" else None
