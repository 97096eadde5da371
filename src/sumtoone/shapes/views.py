"""The operations that look at the same memory with other axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType

from sumtoone.errors import UsageError
from sumtoone.shapes.indexing import indexed, picked
from sumtoone.shapes.nodes import Node, shortened
from sumtoone.shapes.values import Fails, Value, axis_of, checked, made_from, shown, tensor, view_strides


def _transposed(node: Node, value: Value) -> Value:
    rank = len(value.shape)
    first = axis_of(node.arguments["dim0"], rank, node.source)
    second = axis_of(node.arguments["dim1"], rank, node.source)
    order = list(range(rank))
    if rank:
        order[first], order[second] = second, first
    return _ordered(value, order)


def _all_reversed(node: Node, value: Value) -> Value:
    rank = len(value.shape)
    if node.operation == "t" and rank > 2:
        raise Fails("t-rank", source=node.source, shape=shown(value.shape))
    return _ordered(value, list(reversed(range(rank))))


def _matrix_transposed(node: Node, value: Value) -> Value:
    rank = len(value.shape)
    if rank == 1:
        raise Fails("mt-rank", source=node.source, shape=shown(value.shape))
    order = list(range(rank))
    return _ordered(value, [*order[:-2], *reversed(order[-2:])])


def _permuted(node: Node, value: Value) -> Value:
    rank, dims = len(value.shape), node.arguments["dims"]
    if len(dims) != rank:
        raise Fails("permute-count", source=node.source, count=len(dims), shape=shown(value.shape), rank=rank)
    order = [axis_of(dim, rank, node.source) for dim in dims]
    if len(set(order)) < rank:
        raise Fails("axis-twice", source=node.source)
    return _ordered(value, order)


def _ordered(value: Value, order: list[int]) -> Value:
    strides = None if value.strides is None else tuple(value.strides[axis] for axis in order)
    return Value(tuple(value.shape[axis] for axis in order), value.kind, strides)


def _unsqueezed(node: Node, value: Value) -> Value:
    axis = axis_of(node.arguments["dim"], len(value.shape) + 1, node.source)
    entries: list[int | str | None] = [":"] * len(value.shape)
    entries.insert(axis, None)
    return picked(value, entries)


def _squeezed(node: Node, value: Value) -> Value:
    rank, dim = len(value.shape), node.arguments.get("dim")
    given = tuple(range(rank)) if dim is None else dim if isinstance(dim, tuple) else (dim,)
    axes = [axis_of(one, rank, node.source) for one in given]
    if len(set(axes)) < len(axes):
        raise Fails("axis-twice", source=node.source)
    return picked(value, [0 if axis in axes and size == 1 else ":" for axis, size in enumerate(value.shape)])


def _view(node: Node, value: Value) -> Value:
    sizes: tuple[int, ...] = node.arguments["size" if node.operation == "view" else "shape"]
    source, shape = node.source, shown(value.shape)
    if any(size < -1 for size in sizes):
        raise Fails("view-negative", source=source)
    if sizes.count(-1) > 1:
        raise Fails("view-two", source=source)
    known = prod(size for size in sizes if size != -1)
    fields = {"source": source, "shape": shape, "elements": value.elements}
    if -1 in sizes:
        if known == 0:
            code = "view-ambiguous" if value.elements == 0 else "view-divide"
            raise Fails(code, **fields, known=known)
        if value.elements % known:
            raise Fails("view-divide", **fields, known=known)
        sizes = tuple(value.elements // known if size == -1 else size for size in sizes)
    if prod(sizes) != value.elements:
        raise Fails("view-count", **fields, wanted=prod(sizes))
    return _viewed(node, value, tensor(sizes).shape)


def _viewed(node: Node, value: Value, shape: tuple[int, ...]) -> Value:
    """Return memory read in another shape; reshape copies where view may not."""
    if value.strides is None:
        if node.operation == "view" and shape != value.shape:
            raise UsageError("explain-layout", given=shortened(node.source))
        return Value(shape, value.kind, value.strides)
    strides = view_strides(value, shape)
    if strides is None:
        if node.operation == "view":
            raise Fails("view-layout", source=node.source)
        return made_from(shape, value.kind)
    return Value(shape, value.kind, strides)


def _flattened(node: Node, value: Value) -> Value:
    rank = len(value.shape)
    first = axis_of(node.arguments.get("start_dim", int(node.form == "nn")), rank, node.source)
    last = axis_of(node.arguments.get("end_dim", -1), rank, node.source)
    if first > last:
        raise Fails("flatten-order", source=node.source)
    if rank == 0:
        return Value((1,), value.kind, None if value.strides is None else (1,))
    together = 1
    for size in value.shape[first : last + 1]:
        together *= size
    shape = (*value.shape[:first], together, *value.shape[last + 1 :])
    strides = None if value.strides is None else view_strides(value, shape)
    if strides is None and value.strides is not None:
        return made_from(shape, value.kind)
    return Value(shape, value.kind, strides)


def _expanded(node: Node, value: Value) -> Value:
    sizes, rank = node.arguments["size"], len(value.shape)
    if len(sizes) < rank:
        raise Fails("expand-fewer", source=node.source, shape=shown(value.shape), count=len(sizes))
    new = len(sizes) - rank
    if any(size < -1 for size in sizes) or -1 in sizes[:new]:
        raise Fails("expand-negative", source=node.source)
    strides = value.strides or (0,) * rank
    shape, steps = list(sizes[:new]), [0] * new
    for axis, (size, wanted) in enumerate(zip(value.shape, sizes[new:], strict=True)):
        if wanted not in (-1, size) and size != 1:
            raise Fails("expand-size", source=node.source, axis=axis, size=size, wanted=wanted)
        shape.append(size if wanted == -1 else wanted)
        steps.append(strides[axis] if wanted in (-1, size) else 0)
    return checked(Value(tuple(shape), value.kind, None if value.strides is None else tuple(steps)))


VIEWS: Mapping[str, Callable[[Node, Value], Value]] = MappingProxyType(
    {
        "transpose": _transposed,
        "T": _all_reversed,
        "t": _all_reversed,
        "mT": _matrix_transposed,
        "permute": _permuted,
        "unsqueeze": _unsqueezed,
        "squeeze": _squeezed,
        "index": indexed,
        "view": _view,
        "reshape": _view,
        "flatten": _flattened,
        "expand": _expanded,
    }
)
