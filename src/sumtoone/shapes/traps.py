"""The silent traps of broadcasting and views: what works, and often gives something else than was meant."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

from sumtoone.shapes.edits import (
    Edit,
    ended,
    is_method,
    kept,
    operation,
    other_dims,
    reduction,
    turned_pieces,
    with_argument,
    with_sizes,
    without_keepdim,
    without_kept,
    written,
)
from sumtoone.shapes.mistakes import MISTAKES
from sumtoone.shapes.nodes import Node
from sumtoone.shapes.scene import Found, Scene, Shape, scene_of
from sumtoone.shapes.tracing import Trace, definition
from sumtoone.shapes.values import BOOLEAN, Value, shown
from sumtoone.shapes.vocabulary import ARITHMETIC, COMPARISONS

# What is only a word of caution; nothing need be wrong.
WEAK = ("star", "matmul", "square", "columns", "t-nothing")
# Once one of these has given a tensor a shape that nobody meant, what follows from the shape is no second mistake.
_OF_SHAPE = ("outer", "outer-comparison", "loss-broadcast", "view-mixed", "view-rows", "view-flat", "bias-column")
_FOLLOWING = (*_OF_SHAPE, "mean-all", "argmax-batch", "sum-batch", "sum-all", "softmax-batch")


def traps_in(trace: Trace, values: dict[str, Value]) -> tuple[Found, ...]:
    """Return the traps in the steps that work, in the order of the steps; one cause, one trap."""
    scene = scene_of(trace, values)
    found: list[tuple[Node, Found]] = []
    for step in trace.steps:
        if step.output is None:
            continue
        shapes = scene.entered[step.node]
        for rule in (*_RULES, *MISTAKES):
            for trap in rule(step.node, shapes, scene):
                inner = set(_inside(step.node))
                caused = trap.code in _FOLLOWING and any(one in inner and had.code in _OF_SHAPE for one, had in found)
                if not caused:
                    fields = {"source": step.node.source, **trap.fields}
                    found.append((step.node, replace(trap, fields=fields, source=step.node.source)))
    unique = {(trap.code, trap.source): trap for _, trap in found}
    return tuple(unique.values())


def _inside(node: Node) -> Iterator[Node]:
    for part in map(definition, node.inputs):
        yield part
        yield from _inside(part)


def _overlay(node: Node) -> bool:
    return node.operation in (*ARITHMETIC, *COMPARISONS)


def _is_product(node: Node) -> bool:
    return definition(node).operation in ("@", "mm", "linear", "layer")


def _row_and_matrix(node: Node, shapes: tuple[Shape, ...], scene: Scene) -> Iterator[Found]:
    """A vector beside a matrix lines up with the columns, also where it was made from the rows."""
    if not _overlay(node):
        return
    for place in (0, 1):
        vector, matrix = shapes[place], shapes[1 - place]
        part = node.inputs[place]
        if len(vector) != 1 or len(matrix) != 2 or vector[0] != matrix[1] or min(matrix) < 2:
            continue
        origin = reduction(part)
        axes = scene.axes(origin) if origin and len(scene.entered[origin][0]) == 2 else None
        fields = {"vector": part.source, "matrix": node.inputs[1 - place].source, "size": vector[0]}
        if matrix[0] == matrix[1] and axes == (1,) and origin is not None and without_keepdim(origin):
            yield Found("square-reduced", fields, (kept(origin), ended(part, "[:, None]")))
        elif matrix[0] == matrix[1] and axes is None and not (node.operation == "+" and _is_product(node.inputs[0])):
            yield Found("square", fields, (ended(part, "[:, None]"),))
        elif node.operation == "/" and place == 1 and axes is None:
            yield Found("columns", {**fields, "rows": matrix[0]})


def _turned(node: Node, shapes: tuple[Shape, ...], scene: Scene) -> Iterator[Found]:
    """Beside a square matrix, what was made from its rows is laid along the columns, or the other way round."""
    if not _overlay(node) or node.operation in COMPARISONS:
        return
    for place in (0, 1):
        part, line, matrix = node.inputs[place], shapes[place], shapes[1 - place]
        origin = reduction(part)
        if len(matrix) != 2 or len(line) != 2 or matrix[0] != matrix[1] or matrix[0] < 2 or origin is None:
            continue
        axes = scene.axes(origin)
        one_axis = axes is not None and len(axes) == 1
        if scene.entered[origin][0] == matrix and axes and one_axis and min(line) == 1 < line[axes[0]]:
            fields = {"line": part.source, "rows_kind": "rows" if axes == (1,) else "columns"}
            edits = (*turned_pieces(part), *other_dims(part, {origin: 2}))
            yield Found("square-turned", {**fields, "others_kind": "columns" if axes == (1,) else "rows"}, edits)


def _outer(node: Node, shapes: tuple[Shape, ...], scene: Scene) -> Iterator[Found]:
    """(n, 1) beside (n,): both are stretched, every row meets every entry."""
    if not _overlay(node) and node.operation != "mse_loss":
        return
    for place in (0, 1):
        column, vector = shapes[place], shapes[1 - place]
        if len(column) == 2 and len(vector) == 1 and column == (vector[0], 1) and vector[0] > 1:
            code = "outer-comparison" if node.operation in COMPARISONS else "outer"
            code = "loss-broadcast" if node.operation == "mse_loss" else code
            part, other = node.inputs[place], node.inputs[1 - place]
            fields = {"column": part.source, "vector": other.source, "size": vector[0]}
            origin = reduction(part)
            edits = [ended(part, ".squeeze(1)"), ended(other, "[:, None]")]
            if origin is not None and origin is definition(part) and origin.arguments.get("keepdim"):
                edits.insert(0, without_kept(origin))
            yield Found(code, {**fields, "count": f"{vector[0] ** 2:,}"}, tuple(edits))


def _bias_column(node: Node, shapes: tuple[Shape, ...], scene: Scene) -> Iterator[Found]:
    """A column added to a product: one number for each row, where a bias has one for each output."""
    if node.operation == "linear" and len(shapes) == 3 and len(shapes[0]) == 2:
        yield from _bias(node.inputs[2], shapes[2], scene.left[node])
    for place in (0, 1) if node.operation == "+" else ():
        if _is_product(node.inputs[1 - place]):
            yield from _bias(node.inputs[place], shapes[place], shapes[1 - place])


def _bias(part: Node, shape: Shape, rows: Shape) -> Iterator[Found]:
    made = inner = definition(part)
    while inner.operation in ("index", "view", "reshape", "unsqueeze"):
        inner = definition(inner.inputs[0])
    if len(rows) == 2 and shape == (rows[0], 1) and min(rows) > 1 and inner.operation in ("name", "create"):
        fields = {"bias": part.source, "shape": shown(shape), "outputs": rows[1]}
        edits = (with_sizes(made, (rows[1],)),) if made.operation == "create" else ()
        yield Found("bias-column", fields, edits, bias=(part.source, rows[1]) if made.operation == "name" else None)


def _product(node: Node, shapes: tuple[Shape, ...], _: Scene) -> Iterator[Found]:
    """Square matrices: ``*`` and ``@`` both work and give one shape."""
    if node.operation in ("*", "@", "mm") and len(shapes[0]) == 2 and shapes[0] == shapes[1] and min(shapes[0]) > 1:
        if node.operation == "*" and shapes[0][0] == shapes[0][1]:
            yield Found("star", {}, (operation("@", node, *node.inputs),))
        elif node.operation != "*":
            yield Found("matmul", {}, (operation("*", node, *node.inputs),))


def _reread(node: Node, shapes: tuple[Shape, ...], scene: Scene) -> Iterator[Found]:
    """A view that moves the batch axis cuts the elements anew, and mixes examples."""
    if node.operation not in ("view", "reshape") or len(shapes[0]) < 2 or (not is_method(node.tree) and not node.form):
        return
    shape, new = shapes[0], scene.left[node]
    rows = shape[0]
    if min(shape) == 0 or rows == 1 or new[:1] == (rows,):
        return
    if len(new) == 1:
        if len(shape) > 2:
            fields = {"shape": shown(shape), "elements": new[0], "rows": rows}
            yield Found("view-flat", fields, (with_sizes(node, (rows, -1)),))
    elif len(shape) == 2 and len(new) == 2 and new == (shape[1], rows) and shape[1] > 1:
        turned = Edit(node.tree, ended(node.inputs[0], ".T").new)
        yield Found("view-mixed", {"shape": shown(shape)}, (turned, with_sizes(node, (rows, -1))))
    elif (new[0] < rows and not (new[0] == 1 and new[1:] == shape)) or new[0] % rows:
        fields = {"shape": shown(shape), "rows": rows, "new": new[0]}
        yield Found("view-rows", fields, (with_sizes(node, (rows, *((-1,) if len(new) == 2 else new[1:]))),))


def _flattened(node: Node, shapes: tuple[Shape, ...], scene: Scene) -> Iterator[Found]:
    """``flatten()`` of a batch of images also flattens the batch."""
    if node.operation == "flatten" and len(shapes[0]) > 2 and shapes[0][0] > 1 and len(scene.left[node]) == 1:
        fields = {"shape": shown(shapes[0]), "elements": scene.left[node][0], "rows": shapes[0][0]}
        yield Found("view-flat", fields, (Edit(node.tree, with_argument(node, node.tree, "start_dim", 1)),))


def _transposed(node: Node, shapes: tuple[Shape, ...], _: Scene) -> Iterator[Found]:
    """``.T`` is for matrices; elsewhere it does nothing, or turns the batch over too."""
    if node.operation not in ("T", "t", "mT"):
        return
    rank = len(shapes[0])
    if node.operation == "T" and rank > 2:
        order = ", ".join(map(str, reversed(range(rank))))
        edits = [Edit(node.tree, ended(node.inputs[0], ending).new) for ending in (".mT", f".permute({order})")]
        yield Found("t-batch", {"shape": shown(shapes[0])}, tuple(edits))
    if (node.operation in ("T", "t") and rank < 2) or (node.operation == "mT" and rank == 0):
        column = (Edit(node.tree, ended(node.inputs[0], "[:, None]").new),) if rank else ()
        yield Found("t-nothing", {"shape": shown(shapes[0])}, column)


def _columns_of_labels(node: Node, shapes: tuple[Shape, ...], _: Scene) -> Iterator[Found]:
    """``p[:, y]`` picks all those columns in every row, not one number for each row."""
    if node.operation != "index" or len(shapes[0]) != 2 or len(node.arguments["index"]) != 2:
        return
    rows, labels = shapes[0][0], node.arguments["index"][1]
    whole = node.arguments["index"][0] == ":" and isinstance(labels, Value) and labels.kind != BOOLEAN
    if whole and labels.shape == (rows,) and rows > 1 and isinstance(node.tree, ast.Subscript):
        written_labels = ast.unparse(cast("ast.Tuple", node.tree.slice).elts[1])
        better = written(f"({node.inputs[0].source})[torch.arange({rows}), {written_labels}]")
        yield Found("index-columns", {"labels": written_labels, "rows": rows}, (Edit(node.tree, better),))


Rule = Callable[[Node, tuple[Shape, ...], Scene], Iterator[Found]]

_RULES: tuple[Rule, ...] = (
    _row_and_matrix,
    _turned,
    _outer,
    _bias_column,
    _product,
    _reread,
    _flattened,
    _transposed,
    _columns_of_labels,
)
