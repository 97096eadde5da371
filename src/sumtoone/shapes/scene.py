"""What is known after a program was followed: the shapes that met in each operation, and what sums to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sumtoone.shapes.edits import Edit, reduction
from sumtoone.shapes.nodes import Node
from sumtoone.shapes.rules import chosen_axis, reduced_axes
from sumtoone.shapes.tracing import Trace, definition
from sumtoone.shapes.values import Fails, Value

Shape = tuple[int, ...]
_SAME = ("item", "detach", "clone", "contiguous", "cpu", "float", "double")
# Each is another one, as often as it stands there: random numbers, a layer's own weights.
_ANEW = ("create", "dropout", "module")


@dataclass(frozen=True)
class Found:
    """A trap: the name of its text, the text's fields, and what could be written instead, the likeliest first.

    ``bias`` is the name of a bias that no line makes, and how many numbers it should have.
    """

    code: str
    fields: Mapping[str, object]
    edits: tuple[Edit, ...] = ()
    source: str = ""
    bias: tuple[str, int] | None = None


@dataclass(frozen=True)
class Scene:
    """The shapes of a followed program, and those of its (values, indices) whose indices a line gave a name."""

    values: Mapping[str, Value]
    entered: Mapping[Node, tuple[Shape, ...]] = field(default_factory=dict)
    left: Mapping[Node, Shape] = field(default_factory=dict)
    placed: tuple[Node, ...] = ()

    def shape(self, node: Node) -> Shape | None:
        """Return the shape of a node, or None where it is not known."""
        node = definition(node)
        if node.operation == "name":
            value = self.values.get(node.arguments["name"])
            return value.shape if value is not None and value.is_tensor else None
        return self.left.get(node)

    def axes(self, node: Node) -> tuple[int, ...] | None:
        """Return the axes that a reduction reduces, counted from 0."""
        try:
            return reduced_axes(node, len(self.entered[node][0])) if node in self.entered else None
        except Fails:
            return None


def scene_of(trace: Trace, values: Mapping[str, Value]) -> Scene:
    """Return what is known of the steps that work."""
    steps = [step for step in trace.steps if step.output is not None]
    entered = {step.node: tuple(value.shape for value in step.inputs) for step in trace.steps}
    left = {step.node: step.output.shape for step in steps if step.output is not None}
    return Scene(values, entered, left, trace.placed)


def same(left: Node, right: Node) -> bool:
    """Whether two pieces compute one and the same."""
    left, right = definition(left), definition(right)
    if left is right:
        return True
    if left.operation != right.operation or len(left.inputs) != len(right.inputs) or left.operation in _ANEW:
        return False
    if left.operation == "layer" and not same(*(node.arguments["through"].inputs[0] for node in (left, right))):
        return False
    arguments = [{name: one for name, one in node.arguments.items() if name != "through"} for node in (left, right)]
    return arguments[0] == arguments[1] and all(map(same, left.inputs, right.inputs))


def plain(node: Node) -> Node:
    """Return what a node is but for copies, and names of lines before."""
    node = definition(node)
    while node.operation in _SAME:
        node = definition(node.inputs[0])
    return node


def kept_shape(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """Return the shape of a reduction that keeps its axes."""
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape))


def sums_to_one(node: Node, scene: Scene) -> tuple[int, ...] | None:
    """Return the axes along which the numbers of a tensor sum to one, where that is known."""
    node = plain(node)
    shape = scene.shape(node)
    if shape is None or not shape:
        return None
    if node.operation == "softmax":
        return (chosen_axis(node, len(shape)),)
    if node.operation == "exp":
        return logs_sum_to_one(node.inputs[0], scene)
    if node.operation != "/":
        return None
    total = reduction(node.inputs[1])
    if total is None or total.operation != "sum" or not same(node.inputs[0], total.inputs[0]):
        return None
    axes, given = scene.axes(total), scene.shape(node.inputs[1])
    if axes is None or given is None or shape != scene.shape(node.inputs[0]):
        return None
    wanted = kept_shape(shape, axes)
    return axes if (1,) * (len(wanted) - len(given)) + given == wanted else None


def logs_sum_to_one(node: Node, scene: Scene) -> tuple[int, ...] | None:
    """Return the axes along which a tensor is the logarithm of what sums to one, where that is known."""
    node = plain(node)
    shape = scene.shape(node)
    if shape is None:
        return None
    if node.operation == "log_softmax":
        return (chosen_axis(node, len(shape)),)
    if node.operation == "log":
        return sums_to_one(node.inputs[0], scene)
    total = log_sum(node)
    if total is None:
        return None
    axes, given = scene.axes(total), scene.shape(node.inputs[1])
    return axes if axes is not None and given == kept_shape(shape, axes) else None


def log_sum(node: Node) -> Node | None:
    """Return the sum whose logarithm is taken away from what it sums the exponentials of, or None."""
    if node.operation != "-":
        return None
    total = reduction(node.inputs[1])
    if total is not None and total.operation == "logsumexp":
        return total if same(node.inputs[0], total.inputs[0]) else None
    inner = plain(node.inputs[1])
    total = reduction(inner.inputs[0]) if inner.operation == "log" else None
    if total is None or total.operation != "sum":
        return None
    summed = plain(total.inputs[0])
    return total if summed.operation == "exp" and same(node.inputs[0], summed.inputs[0]) else None
