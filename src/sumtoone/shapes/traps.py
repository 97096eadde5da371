"""The silent traps: expressions that work, and often give something else than was meant. One rule each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sumtoone.shapes.parsing import Node
from sumtoone.shapes.rules import chosen_axis, reduced_axes
from sumtoone.shapes.suggestions import Suggestion, inside, kept, verified, with_input, without_keepdim
from sumtoone.shapes.tracing import Step
from sumtoone.shapes.values import shown
from sumtoone.shapes.vocabulary import ARITHMETIC, COMPARISONS, REDUCTIONS, SOFTMAXES

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Trap:
    """A trap found: the name of its text, the text's fields, and what to write instead."""

    code: str
    fields: Mapping[str, object]
    suggestions: tuple[Suggestion, ...]


@dataclass(frozen=True)
class _Found:
    code: str
    fields: Mapping[str, object]
    candidates: Sequence[str]


def traps_in(root: Node, steps: Sequence[Step], shapes: Mapping[str, Shape]) -> tuple[Trap, ...]:
    """Return the traps in the steps that work, in the order of the steps."""
    entered = {step.node: tuple(value.shape for value in step.inputs) for step in steps}
    found = []
    for step in steps:
        if step.output is None:
            continue
        for rule in _RULES:
            for trap in rule(step.node, entered[step.node], entered):
                suggestions = verified(root, step.node, trap.candidates, shapes)
                found.append(Trap(trap.code, {"source": step.node.source, **trap.fields}, suggestions))
    return tuple(found)


_Entered = Mapping[Node, tuple[Shape, ...]]


def _along_batch(node: Node, shapes: tuple[Shape, ...], _: _Entered) -> Iterator[_Found]:
    """A softmax down the columns of (rows, classes): it normalises over the batch."""
    if node.operation in SOFTMAXES and "dim" in node.arguments:
        shape = shapes[0]
        if len(shape) == 2 and chosen_axis(node, 2) == 0 and min(shape) > 1:
            fields = {"rows": shape[0], "columns": shape[1]}
            yield _Found("softmax-batch", fields, [_softmax(node, 1)])


def _no_dim(node: Node, shapes: tuple[Shape, ...], _: _Entered) -> Iterator[_Found]:
    """F.softmax without dim: PyTorch picks an axis by the rank, and warns."""
    if node.operation in SOFTMAXES and "dim" not in node.arguments:
        rank = len(shapes[0])
        yield _Found("softmax-no-dim", {"axis": chosen_axis(node, rank), "rank": rank}, [_softmax(node, -1)])


def _twice(node: Node, _: tuple[Shape, ...], entered: _Entered) -> Iterator[_Found]:
    """A softmax of probabilities: it pulls them towards each other."""
    inner = node.inputs[0]
    if node.operation in SOFTMAXES and inner.operation == "softmax":
        axis = chosen_axis(inner, len(entered[inner][0]))
        once = inner.source if node.operation == "softmax" else f"{inside(inner.inputs[0])}.log_softmax(dim={axis})"
        yield _Found("softmax-twice", {"inner": inner.source}, [once])


def _softmax(node: Node, dim: int) -> str:
    inner = node.inputs[0]
    if node.form == "method":
        return f"{inside(inner)}.{node.operation}(dim={dim})"
    return f"{node.form}.{node.operation}({inner.source}, dim={dim})"


def _row_and_matrix(node: Node, shapes: tuple[Shape, ...], entered: _Entered) -> Iterator[_Found]:
    """A vector beside a matrix lines up with the columns, also where it was made from the rows."""
    if node.operation not in (*ARITHMETIC, *COMPARISONS):
        return
    for place in (0, 1):
        vector, matrix = shapes[place], shapes[1 - place]
        part = node.inputs[place]
        if len(vector) != 1 or len(matrix) != 2 or vector[0] != matrix[1] or min(matrix) < 2:
            continue
        origin = _reduction(part)
        axes = reduced_axes(origin, len(entered[origin][0])) if origin and len(entered[origin][0]) == 2 else None
        fields = {"vector": part.source, "matrix": node.inputs[1 - place].source, "size": vector[0]}
        if matrix[0] == matrix[1] and axes == (1,) and without_keepdim(part):
            yield _Found("square-reduced", fields, [with_input(node, place, kept(part))])
        elif matrix[0] == matrix[1] and axes is None:
            yield _Found("square", fields, [with_input(node, place, f"{inside(part)}[:, None]")])
        elif node.operation == "/" and place == 1 and axes is None:
            yield _Found("columns", {**fields, "rows": matrix[0]}, [])


def _normalised_over_batch(node: Node, shapes: tuple[Shape, ...], entered: _Entered) -> Iterator[_Found]:
    """Dividing (rows, classes) by a sum along dim 0 makes the columns sum to one, not the rows."""
    if node.operation != "/" or node.inputs[1].operation != "sum":
        return
    total = node.inputs[1]
    shape = entered[total][0]
    if shape == shapes[0] and len(shape) == 2 and min(shape) > 1 and reduced_axes(total, 2) == (0,):
        better = with_input(node, 1, f"{inside(total.inputs[0])}.sum(dim=1, keepdim=True)")
        yield _Found("sum-batch", {"rows": shape[0], "columns": shape[1]}, [better])


def _reduction(node: Node) -> Node | None:
    while node.operation in ("values", "indices", "index"):
        node = node.inputs[0]
    return node if node.operation in REDUCTIONS and "dim" in node.arguments else None


def _outer(node: Node, shapes: tuple[Shape, ...], _: _Entered) -> Iterator[_Found]:
    """(n, 1) beside (n,): both are stretched, every row meets every entry."""
    if node.operation not in (*ARITHMETIC, *COMPARISONS):
        return
    for place in (0, 1):
        column, vector = shapes[place], shapes[1 - place]
        if len(column) == 2 and len(vector) == 1 and column == (vector[0], 1) and vector[0] > 1:
            code = "outer-comparison" if node.operation in COMPARISONS else "outer"
            fields = {"column": node.inputs[place].source, "vector": node.inputs[1 - place].source, "size": vector[0]}
            squeezed = with_input(node, place, f"{inside(node.inputs[place])}.squeeze(1)")
            added = with_input(node, 1 - place, f"{inside(node.inputs[1 - place])}[:, None]")
            yield _Found(code, {**fields, "count": f"{vector[0] ** 2:,}"}, [squeezed, added])


def _product(node: Node, shapes: tuple[Shape, ...], _: _Entered) -> Iterator[_Found]:
    """Square matrices: ``*`` and ``@`` both work and give one shape."""
    if node.operation in ("*", "@", "mm") and len(shapes[0]) == 2 and shapes[0] == shapes[1] and min(shapes[0]) > 1:
        if node.operation == "*" and shapes[0][0] == shapes[0][1]:
            yield _Found("star", {}, [f"{inside(node.inputs[0])} @ {inside(node.inputs[1])}"])
        elif node.operation != "*":
            yield _Found("matmul", {}, [f"{inside(node.inputs[0])} * {inside(node.inputs[1])}"])


def _mean_of_all(node: Node, shapes: tuple[Shape, ...], _: _Entered) -> Iterator[_Found]:
    """A mean over rows and classes alike is smaller than the mean over rows of what each row sums to."""
    shape = shapes[0]
    if node.inputs[0].operation == "float":  # the share of what is true, not a loss
        return
    if node.operation == "mean" and "dim" not in node.arguments and len(shape) == 2 and min(shape) > 1:
        fields = {"count": f"{shape[0] * shape[1]:,}", "rows": shape[0], "columns": shape[1]}
        yield _Found("mean-all", fields, [f"{inside(node.inputs[0])}.sum(dim=1).mean()"])


def _reread(node: Node, shapes: tuple[Shape, ...], _: _Entered) -> Iterator[_Found]:
    """A view of (rows, columns) as (columns, rows) is no transpose: the rows are cut anew."""
    sizes = node.arguments.get("size", node.arguments.get("shape"))
    shape = shapes[0]
    if node.operation not in ("view", "reshape") or len(shape) != 2 or len(sizes) != 2:
        return
    turned = all(size in (-1, wanted) for size, wanted in zip(sizes, reversed(shape), strict=True))
    if turned and shape[0] != shape[1] and min(shape) > 1:
        yield _Found("view-mixed", {"shape": shown(shape)}, [f"{inside(node.inputs[0])}.T"])


def _turned(node: Node, shapes: tuple[Shape, ...], _: _Entered) -> Iterator[_Found]:
    """``.T`` is for matrices; elsewhere it does nothing, or turns the batch over too."""
    rank = len(shapes[0])
    if node.operation == "T" and rank > 2:
        order = ", ".join(map(str, reversed(range(rank))))
        inner = inside(node.inputs[0])
        yield _Found("t-batch", {"shape": shown(shapes[0])}, [f"{inner}.mT", f"{inner}.permute({order})"])
    if (node.operation in ("T", "t") and rank < 2) or (node.operation == "mT" and rank == 0):
        column = [f"{inside(node.inputs[0])}[:, None]"] if rank else []
        yield _Found("t-nothing", {"shape": shown(shapes[0])}, column)


_Rule = Callable[[Node, tuple[Shape, ...], _Entered], Iterator[_Found]]

_RULES: tuple[_Rule, ...] = (
    _along_batch,
    _no_dim,
    _twice,
    _row_and_matrix,
    _normalised_over_batch,
    _outer,
    _product,
    _mean_of_all,
    _reread,
    _turned,
)
