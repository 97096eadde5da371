"""Edits that may cure a failed operation, the likeliest first; whether they do is tried elsewhere."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

from sumtoone.shapes.edits import (
    Edit,
    below,
    ended,
    kept,
    operation,
    other_dims,
    removed,
    replaced,
    size_entries,
    taken_out,
    turned_pieces,
    with_argument,
    with_dim,
    with_sizes,
    without_keepdim,
    written,
)
from sumtoone.shapes.nodes import Node
from sumtoone.shapes.products import takes_and_gives
from sumtoone.shapes.scene import Scene, Shape
from sumtoone.shapes.tracing import Step, definition
from sumtoone.shapes.values import FLOATS, broadcast
from sumtoone.shapes.vocabulary import COMPARISONS, REDUCTIONS, SOFTMAXES


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


def repairs(step: Step, scene: Scene) -> Iterator[Edit]:
    """Yield what could be written instead of a failed operation, the likeliest first."""
    assert step.failure is not None
    found = _REPAIRS.get(step.failure.code)
    return iter(()) if found is None else found(step, scene)


def _of_labels(step: Step, scene: Scene) -> Iterator[Edit]:
    """Yield labels that go with the rows."""
    x, labels = step.node.inputs[:2]
    if len(step.inputs[1].shape) == len(step.inputs[0].shape):
        yield ended(labels, ".squeeze(1)")
        yield ended(labels, ".argmax(dim=1)")
    yield from taken_out(x)
    yield from taken_out(labels)
    yield from other_dims(labels, _ranks(scene))


def _of_members(step: Step, _: Scene) -> Iterator[Edit]:
    endings = (".indices", ".values") if step.node.operation in COMPARISONS else (".values",)
    return (ended(part, ending) for part in step.node.inputs for ending in endings)


def _joined(step: Step, _: Scene) -> Iterator[Edit]:
    rank = len(step.inputs[0].shape)
    yield from (Edit(step.node.tree, _with_axis(step.node, axis)) for axis in range(rank - 1, -1, -1))
    yield from (edit for part in step.node.inputs for edit in taken_out(part))


def _without_pieces(step: Step, _: Scene) -> Iterator[Edit]:
    return (edit for part in step.node.inputs for edit in taken_out(part))


def _behind(ending: str) -> Callable[[Step, Scene], Iterator[Edit]]:
    """Return what replaces an operation by its input with an ending."""
    return lambda step, _: iter([Edit(step.node.tree, ended(step.node.inputs[0], ending).new)])


def _with_axis(node: Node, axis: int) -> ast.expr:
    assert isinstance(node.tree, ast.Call)
    words = [word for word in node.tree.keywords if word.arg not in ("dim", "axis")]
    return ast.Call(node.tree.func, node.tree.args[:1], [*words, ast.keyword("dim", ast.Constant(axis))])


def _ranks(scene: Scene) -> dict[Node, int]:
    return {node: len(shapes[0]) for node, shapes in scene.entered.items() if shapes}


def _aligned(step: Step, scene: Scene) -> Iterator[Edit]:
    """Yield operands brought into line: a bias made right, keepdim kept, a piece turned or taken out, an axis added."""
    node = step.node
    bias = bias_of(step, scene)
    if bias is not None and bias.edit is not None:
        yield bias.edit
    for part in node.inputs:
        yield from (kept(one) for one in below(part) if without_keepdim(one) and isinstance(one.tree, ast.Call))
    for pieces in (turned_pieces, taken_out):
        yield from (edit for part in reversed(node.inputs) for edit in pieces(part))
    yield from _lined_up(step)
    yield from (edit for part in reversed(node.inputs) for edit in other_dims(part, _ranks(scene)))
    if node.operation == "*":
        yield operation("@", node, *node.inputs)


def _lined_up(step: Step) -> Iterator[Edit]:
    """Yield operands with an axis added, or turned over."""
    node, values = step.node, step.inputs
    for place, (value, other) in enumerate(((values[0], values[1]), (values[1], values[0]))):
        if len(value.shape) < len(other.shape):
            for axis in range(len(value.shape), -1, -1):
                shape = (*value.shape[:axis], 1, *value.shape[axis:])
                if broadcast(shape, other.shape) == other.shape:
                    yield from _added_axis(node.inputs[place], value.shape, axis)
    for place in (1, 0):
        if len(values[place].shape) == 2 and broadcast(values[place].shape[::-1], values[1 - place].shape):
            yield from _turned_over(node.inputs[place], 2)


def _added_axis(part: Node, shape: Shape, axis: int) -> Iterator[Edit]:
    if len(shape) == 1 and axis == 1:
        yield ended(part, "[:, None]")
        yield ended(part, f".view({shape[0]}, 1)")
    yield ended(part, f".unsqueeze({axis})")


def _turned_over(part: Node, rank: int) -> Iterator[Edit]:
    """Yield a matrix turned over; where a piece turned it already, that one is taken out instead."""
    if definition(part).operation not in ("T", "mT", "t", "transpose", "unsqueeze", "index"):
        yield ended(part, ".mT" if rank > 2 else ".T")


def flattened(part: Node, shape: Shape) -> Iterator[Edit]:
    """Yield the rows of a batch of images laid out flat."""
    if part.operation == "name":
        yield ended(part, f".view({part.source}.shape[0], -1)")
    yield ended(part, f".view({shape[0]}, -1)")
    yield ended(part, ".flatten(1)")


def _multiplied(step: Step, scene: Scene) -> Iterator[Edit]:
    node, (left, right) = step.node, step.inputs[:2]
    first, second = node.inputs[:2]
    for part in (first, second):
        yield from taken_out(part)
    for part in (first, second):
        yield from _view_pieces(part, scene)
    if len(left.shape) > 2 and len(right.shape) == 2 and prod(left.shape[1:]) == right.shape[0]:
        yield from flattened(first, left.shape)
    if len(left.shape) == len(right.shape) == 2 and left.shape[0] == right.shape[1]:
        yield _swapped(node)
    if len(right.shape) >= 2:
        yield from _turned_over(second, len(right.shape))
    if len(left.shape) == 2:
        yield from _turned_over(first, 2)
    if node.operation in ("mm", "bmm"):
        yield Edit(node.tree, _called(node, "matmul"))
    if left.shape == right.shape or () in (left.shape, right.shape):
        yield operation("*", node, first, second)


def _view_pieces(part: Node, scene: Scene) -> Iterator[Edit]:
    """Yield views with other sizes where one stands in what goes in."""
    for one in below(part):
        if one.operation in ("view", "reshape") and isinstance(one.tree, ast.Call) and one in scene.entered:
            shape = scene.entered[one][0]
            if shape:
                yield with_sizes(one, (shape[0], -1))
                yield from _views(one, shape)
        if one.operation == "flatten" and isinstance(one.tree, ast.Call):
            yield Edit(one.tree, with_argument(one, one.tree, "start_dim", 1))


def _swapped(node: Node) -> Edit:
    """Return the edit that exchanges the two sides of a product."""
    first, second = node.inputs[:2]
    tree = replaced(node.tree, Edit(first.tree, ast.Name("sumtoone_left", ast.Load())))
    tree = replaced(tree, Edit(second.tree, written(f"({first.source})")))
    names = [one for one in ast.walk(tree) if isinstance(one, ast.Name) and one.id == "sumtoone_left"]
    tree = replaced(tree, Edit(names[0], written(f"({second.source})")))
    assert isinstance(tree, ast.expr)
    return Edit(node.tree, tree)


def _layers(step: Step, scene: Scene) -> Iterator[Edit]:
    """Yield inputs that a linear layer takes, then the layer with what it receives."""
    node, x = step.node, step.inputs[0]
    first = node.inputs[0]
    takes = node.arguments["in_features"] if node.operation == "layer" else (0, *step.inputs[1].shape)[-1]
    yield from taken_out(first)
    yield from _view_pieces(first, scene)
    if node.operation == "linear":
        yield from taken_out(node.inputs[1])
    if len(x.shape) > 2 and prod(x.shape[1:]) == takes:
        yield from flattened(first, x.shape)
    if node.operation == "linear" and len(step.inputs[1].shape) == 2:
        yield from _turned_over(node.inputs[1], 2)
    if len(x.shape) == 2 and x.shape[0] == takes and first.operation != "layer":
        yield from _turned_over(first, 2)
    if node.operation == "layer" and x.shape and isinstance(node.tree, ast.Call):
        yield Edit(node.tree, _with_layer_sizes(node.tree, x.shape[-1]))


def _with_layer_sizes(tree: ast.Call, takes: int) -> ast.expr:
    """Return a linear layer that takes so many numbers; one whose sizes are exchanged has them put right."""
    if len(tree.args) == 2 and isinstance(tree.args[1], ast.Constant) and tree.args[1].value == takes:
        return ast.Call(tree.func, [tree.args[1], tree.args[0]], tree.keywords)
    if tree.args:
        return ast.Call(tree.func, [ast.Constant(takes), *tree.args[1:]], tree.keywords)
    words = [ast.keyword(w.arg, ast.Constant(takes) if w.arg == "in_features" else w.value) for w in tree.keywords]
    return ast.Call(tree.func, [], words)


def _kinds(step: Step, _: Scene) -> Iterator[Edit]:
    """Yield operands of another kind of element: a change of kind taken out, or one put in."""
    node = step.node
    for part in node.inputs:
        for one in below(part):
            if one.operation in ("float", "double", "long", "bool"):
                yield removed(one)
        if node.operation in ("nll_loss", "cross_entropy"):
            yield from (removed(one) for one in below(part) if one.operation == "argmax")
    if node.operation in ("nll_loss", "cross_entropy", "one_hot", "gather") and len(node.inputs) > 1:
        whole = step.failure is not None and step.failure.code == "labels-one-hot"
        yield ended(node.inputs[-1], ".float()" if whole else ".long()")
    elif node.operation == "one_hot":
        yield ended(node.inputs[0], ".long()")
    tree: ast.AST = node.tree
    for part, value in zip(node.inputs, step.inputs, strict=True):
        if value.kind not in FLOATS and value.number is None:
            tree = replaced(tree, ended(part, ".float()"))
    if isinstance(tree, ast.expr) and tree is not node.tree:
        yield Edit(node.tree, tree)


def _dims(step: Step, _: Scene) -> Iterator[Edit]:
    node, rank = step.node, len(step.inputs[0].shape)
    if not isinstance(node.tree, ast.Call) or node.operation not in (*REDUCTIONS, *SOFTMAXES):
        return
    if rank:
        yield with_dim(node, rank - 1)
    yield with_dim(node, -1)
    if rank > 1:
        yield from (with_dim(node, axis) for axis in range(rank - 2, -1, -1))


def _called(node: Node, name: str) -> ast.expr:
    assert isinstance(node.tree, ast.Call)
    assert isinstance(node.tree.func, ast.Attribute)
    return ast.Call(ast.Attribute(node.tree.func.value, name, ast.Load()), node.tree.args, node.tree.keywords)


def _viewed(step: Step, scene: Scene) -> Iterator[Edit]:
    yield from _reduced_rows(step, scene)
    if step.node.operation in ("view", "reshape"):
        yield from _views(step.node, step.inputs[0].shape)


def _reduced_rows(step: Step, scene: Scene) -> Iterator[Edit]:
    """Yield a reduction of each row where one of everything left a single number."""
    inner = definition(step.node.inputs[0])
    if inner.operation in REDUCTIONS and inner in scene.entered and step.inputs[0].shape == ():
        rank = len(scene.entered[inner][0])
        yield from (with_dim(inner, axis) for axis in range(rank - 1, 0, -1))


def _views(node: Node, shape: Shape) -> Iterator[Edit]:
    """Yield views with -1 in one place, first those whose rows stay rows."""
    entries = [ast.unparse(entry) for entry in size_entries(node)]
    sizes = node.arguments["size" if node.operation == "view" else "shape"]
    for place in range(len(sizes)):
        if len(sizes) == len(entries) and -1 not in (*sizes[:place], *sizes[place + 1 :]):
            yield with_sizes(node, (*entries[:place], -1, *entries[place + 1 :]))
    if len(sizes) == 2 and len(shape) > 1:
        yield with_sizes(node, (shape[0], -1))


_REPAIRS: dict[str, Callable[[Step, Scene], Iterator[Edit]]] = {
    **dict.fromkeys(("broadcast", "bias", "loss-shape", "in-place"), _aligned),
    **dict.fromkeys(("matmul-inner", "mm-rank", "matmul-scalar", "matmul-batch", "bmm-rank", "dot-rank"), _multiplied),
    **dict.fromkeys(("linear-inner", "linear-rank", "layer-inner"), _layers),
    **dict.fromkeys(("kind", "boolean-minus", "negative-power", "matmul-kind", "labels-kind"), _kinds),
    "labels-one-hot": _kinds,
    **dict.fromkeys(("axis-range", "dim-missing", "keepdim-alone"), _dims),
    "index-many": _viewed,
    **dict.fromkeys(("view-count", "view-divide", "view-two", "view-negative"), _viewed),
    **dict.fromkeys(("labels-column", "labels-shape"), _of_labels),
    **dict.fromkeys(("cat-shape", "stack-shape"), _joined),
    **dict.fromkeys(("permute-count", "flatten-order", "expand-size", "einsum-size", "einsum-rank"), _without_pieces),
    "gather-shape": lambda step, _: iter([ended(step.node.inputs[1], ".unsqueeze(1)")]),
    "matmul-number": lambda step, _: iter([operation("*", step.node, *step.node.inputs)]),
    "pair": _of_members,
    "view-layout": lambda step, _: iter([Edit(step.node.tree, _called(step.node, "reshape"))]),
    "t-rank": _behind(".mT"),
    "mt-rank": _behind("[:, None]"),
    "no-pair": lambda step, _: iter([removed(step.node)]),
}
