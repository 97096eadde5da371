"""What shape each operation gives, or why PyTorch refuses it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from sumtoone.errors import UsageError
from sumtoone.shapes.parsing import Node
from sumtoone.shapes.values import (
    BOOLEAN,
    FLOAT,
    INTEGER,
    Fails,
    Value,
    axis_of,
    broadcast,
    made_from,
    shown,
    tensor,
    view_strides,
)
from sumtoone.shapes.views import VIEWS
from sumtoone.shapes.vocabulary import ARITHMETIC, COMPARISONS, ELEMENTWISE, REDUCTIONS, SOFTMAXES

_NEED_FLOAT = ("mean", "std", "var", "norm", *SOFTMAXES)
_NEED_NUMBERS = ("abs", "relu", "neg", "pos", "argmax", "argmin")
_MADE_FLOAT = ("exp", "log", "sqrt", "sigmoid", "tanh", "float", "logsumexp")
_NEED_ELEMENTS = ("max", "min", "argmax", "argmin", "amax", "amin")
_NO_KEEPDIM_ALONE = ("sum", "mean", "prod", "max", "min")


def result(node: Node, inputs: Sequence[Value]) -> Value:
    """Return what an operation makes of its inputs.

    Raises
    ------
    Fails
        If PyTorch would raise.
    UsageError
        If the result is larger than is explained here.
    """
    operation = node.operation
    if operation in ("values", "indices"):
        return _member(node, inputs[0], operation)
    if operation == "index" and inputs[0].pair:
        return _place_of_pair(node, inputs[0])
    for part, value in zip(node.inputs, inputs, strict=True):
        if value.pair:
            raise Fails("pair", source=part.source)
    if operation in ARITHMETIC or operation in COMPARISONS:
        return _broadcast(node, inputs[0], inputs[1])
    if operation in ("@", "mm"):
        return _matmul(node, inputs[0], inputs[1])
    if operation in VIEWS:
        return VIEWS[operation](node, inputs[0])
    if operation in ("view", "reshape"):
        return _view(node, inputs[0])
    kind = _kind(node, inputs[0])
    if operation in REDUCTIONS:
        return _reduced(node, inputs[0], kind)
    assert operation in ELEMENTWISE or operation in SOFTMAXES
    return _elementwise(node, inputs[0], kind)


def reduced_axes(node: Node, rank: int) -> tuple[int, ...]:
    """Return the axes that a reduction reduces, counted from 0: all where it names none."""
    dim = node.arguments.get("dim")
    if dim is None:
        return tuple(range(rank))
    dims = [axis_of(one, rank, node.source) for one in (dim if isinstance(dim, tuple) else (dim,))]
    if len(set(dims)) < len(dims):
        raise Fails("axis-twice", source=node.source)
    return tuple(dims)


def chosen_axis(node: Node, rank: int) -> int:
    """Return the axis of a softmax; F.softmax without dim picks one as PyTorch does, by the rank."""
    dim = node.arguments.get("dim")
    if dim is None and node.form != "F":
        raise Fails("dim-missing", source=node.source)
    return axis_of((0 if rank in (0, 1, 3) else 1) if dim is None else dim, rank, node.source)


def _member(node: Node, value: Value, name: str) -> Value:
    if not value.pair:
        raise Fails("no-pair", source=node.inputs[0].source, name=name)
    return made_from(value.shape, value.kind if name == "values" else INTEGER, value)


def _place_of_pair(node: Node, value: Value) -> Value:
    """Return a place of (values, indices), which is a tuple of Python and is indexed as one."""
    index = node.arguments["index"]
    if index == (":",):
        return value
    if index not in ((0,), (1,), (-2,), (-1,)):
        raise Fails("pair-index", source=node.inputs[0].source)
    return _member(node, value, ("values", "indices")[index[0]])


def _kind(node: Node, value: Value) -> str:
    """Return the kind of element an operation of one tensor gives."""
    operation = node.operation
    fits = value.kind == FLOAT or (value.kind == INTEGER and operation not in _NEED_FLOAT)
    fits = fits or (operation in SOFTMAXES and value.elements == 0)  # PyTorch returns before it looks
    if (operation in _NEED_FLOAT or operation in _NEED_NUMBERS) and not fits:
        raise Fails("kind", source=node.source, inner=node.inputs[0].source, kind=value.kind)
    if operation in _MADE_FLOAT:
        return FLOAT
    if operation in ("any", "all"):
        return BOOLEAN
    if operation in ("argmax", "argmin"):
        return INTEGER
    if operation in ("sum", "prod") and value.kind == BOOLEAN:
        return INTEGER
    if operation == "clamp":
        numbers = (node.arguments.get("min"), node.arguments.get("max"))
        return _promoted(value, *(tensor_of(number) for number in numbers if number is not None))
    return value.kind


def tensor_of(number: float) -> Value:
    """Return a Python number as a value."""
    return Value((), FLOAT if isinstance(number, float) else INTEGER, (), number)


def _promoted(*values: Value) -> str:
    return next(kind for kind in (FLOAT, INTEGER, BOOLEAN) if any(value.kind == kind for value in values))


def _broadcast(node: Node, left: Value, right: Value) -> Value:
    symbol = node.operation
    shape = broadcast(left.shape, right.shape)
    if shape is None:
        raise Fails("broadcast", **_first_clash(node, left.shape, right.shape))
    kind = _promoted(left, right)
    if symbol in COMPARISONS:
        return made_from(shape, BOOLEAN, left, right)
    _check_arithmetic(node, left, right, kind)
    return made_from(shape, FLOAT if symbol == "/" else kind, left, right)


def _check_arithmetic(node: Node, left: Value, right: Value, kind: str) -> None:
    """Refuse the arithmetic that depends on the kind of element."""
    symbol = node.operation
    booleans = [part.source for part, value in zip(node.inputs, (left, right), strict=True) if value.kind == BOOLEAN]
    if symbol == "-" and booleans:
        raise Fails("boolean-minus", source=node.source, inner=booleans[0])
    if symbol in ("//", "%", "**") and kind == BOOLEAN:
        raise Fails("kind", source=node.source, inner=booleans[0], kind=kind)
    if kind != FLOAT and right.number is not None:
        if symbol == "**" and right.number < 0:
            raise Fails("negative-power", source=node.source, inner=node.inputs[0].source)
        if symbol in ("//", "%") and right.number == 0 and left.elements:
            raise Fails("zero-division", source=node.source)


def _first_clash(node: Node, left: Sequence[int], right: Sequence[int]) -> dict[str, object]:
    """Return what the text of a failed broadcast says of the last axis where the shapes clash."""
    for back in range(1, min(len(left), len(right)) + 1):
        x, y = left[-back], right[-back]
        if x != y and 1 not in (x, y):
            break
    sources = [part.source for part in node.inputs]
    return {
        "left": sources[0],
        "right": sources[1],
        "left_shape": shown(left),
        "right_shape": shown(right),
        "left_size": x,
        "right_size": y,
        "axis": -back,
    }


def _elementwise(node: Node, value: Value, kind: str) -> Value:
    if node.operation in SOFTMAXES:
        chosen_axis(node, len(value.shape))
    if node.operation == "clamp" and not node.arguments:
        raise Fails("clamp-empty", source=node.source)
    if node.operation == "pos" or (node.operation == "float" and value.kind == FLOAT):
        return value  # the tensor itself
    return made_from(value.shape, kind, value)


def _reduced(node: Node, value: Value, kind: str) -> Value:
    operation, rank = node.operation, len(value.shape)
    keepdim, dim = node.arguments.get("keepdim"), node.arguments.get("dim")
    if dim is None and operation == "logsumexp":
        raise Fails("dim-missing", source=node.source)
    if dim is None and keepdim is not None and operation in _NO_KEEPDIM_ALONE:
        raise Fails("keepdim-alone", source=node.source)
    axes = reduced_axes(node, rank)
    if operation == "norm" and dim is not None and len(axes) > 2 and "p" not in node.arguments:
        raise Fails("norm-axes", source=node.source)
    if operation in _NEED_ELEMENTS:
        empty = [axis for axis in axes if rank and value.shape[axis] == 0]
        if (dim is None and value.elements == 0) or (dim is not None and empty):
            raise Fails("empty", source=node.source, shape=shown(value.shape))
    sizes = [1 if axis in axes else size for axis, size in enumerate(value.shape) if keepdim or axis not in axes]
    reduced = made_from(sizes, kind, value)
    if operation in ("max", "min") and dim is not None:
        return Value(reduced.shape, reduced.kind, reduced.strides, pair=True)
    return reduced


def _matmul(node: Node, left: Value, right: Value) -> Value:
    if left.number is not None or right.number is not None:
        raise Fails("matmul-number", source=node.source)
    fields = {
        "left": node.inputs[0].source,
        "right": node.inputs[1].source,
        "left_shape": shown(left.shape),
        "right_shape": shown(right.shape),
    }
    ranks = len(left.shape), len(right.shape)
    if node.operation == "mm" and ranks != (2, 2):
        raise Fails("mm-rank", **fields)
    if 0 in ranks:
        raise Fails("matmul-scalar", **fields)
    inner = left.shape[-1], right.shape[max(ranks[1] - 2, 0)]
    if inner[0] != inner[1]:
        raise Fails("matmul-inner", **fields, left_size=inner[0], right_size=inner[1])
    batch = broadcast(left.shape[:-2], right.shape[:-2])
    if batch is None:
        raise Fails("matmul-batch", **fields)
    shape = (*batch, *left.shape[-2:-1], *(right.shape[-1:] if ranks[1] > 1 else ()))
    # PyTorch returns before it looks at the elements where there are none.
    empty = 0 in (inner[0], *shape)
    unseen = empty and ((min(ranks) > 1 and ranks[1] > 2) or (left.kind == right.kind and max(ranks) > 1))
    if (left.kind != right.kind or left.kind == BOOLEAN) and not unseen:
        raise Fails("matmul-kind", source=node.source, left_kind=left.kind, right_kind=right.kind)
    if max(ranks) > 2:
        return Value(tensor(shape).shape, left.kind, None)  # PyTorch chooses the layout
    return made_from(shape, left.kind, left, right)


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
    return viewed(node, value, tensor(sizes).shape)


def viewed(node: Node, value: Value, shape: tuple[int, ...]) -> Value:
    """Return memory read in another shape; reshape copies where view may not."""
    if value.strides is None:
        if node.operation == "view" and shape != value.shape:
            raise UsageError("explain-layout", given=node.source[:60])
        return Value(shape, value.kind, value.strides)
    strides = view_strides(value, shape)
    if strides is None:
        if node.operation == "view":
            raise Fails("view-layout", source=node.source)
        return made_from(shape, value.kind)
    return Value(shape, value.kind, strides)
