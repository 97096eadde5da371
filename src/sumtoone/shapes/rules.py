"""What shape each operation gives, or why PyTorch refuses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sumtoone.shapes.making import created, gathered, joined, loss, one_hot, where
from sumtoone.shapes.nodes import Node
from sumtoone.shapes.products import einsum, layer, linear, matmul
from sumtoone.shapes.values import (
    BOOLEAN,
    DOUBLE,
    FLOAT,
    FLOATS,
    INTEGER,
    UNKNOWN,
    Fails,
    Value,
    axis_of,
    broadcast,
    made_from,
    promoted,
    shown,
)
from sumtoone.shapes.views import VIEWS
from sumtoone.shapes.vocabulary import ARITHMETIC, COMPARISONS, ELEMENTWISE, LOGIC, LOSSES, REDUCTIONS, SOFTMAXES

_NEED_FLOAT = ("mean", "std", "var", "norm", "dropout", *SOFTMAXES)
_NEED_NUMBERS = ("abs", "relu", "neg", "pos", "argmax", "argmin", "sign")
_MADE_FLOAT = ("exp", "log", "sqrt", "sigmoid", "tanh", "logsumexp", "log1p", "log2", "log10", "sin", "cos")
_MADE = {"float": FLOAT, "double": DOUBLE, "long": INTEGER, "bool": BOOLEAN, "any": BOOLEAN, "all": BOOLEAN}
_NEED_ELEMENTS = ("max", "min", "argmax", "argmin", "amax", "amin")
_NO_KEEPDIM_ALONE = ("sum", "mean", "prod", "max", "min")
_PRODUCTS = ("@", "mm", "bmm", "dot")
# What is changed in place takes what is of its own category, or of a smaller one.
_CATEGORIES = {BOOLEAN: 0, INTEGER: 1, FLOAT: 2, DOUBLE: 2}
_OVERLAY = (*ARITHMETIC, *COMPARISONS, *LOGIC, "maximum", "minimum")


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
    if operation in ("values", "indices") and inputs[0].is_tensor | inputs[0].pair:
        return _member(node, inputs[0], operation)
    if operation == "index" and inputs[0].pair:
        return _place_of_pair(node, inputs[0])
    # A function adds to a number first, and compares with none; a method belongs to a tensor.
    first = node.form in ("", "np") or operation == "where" or (node.form == "torch" and operation in ARITHMETIC)
    for place, (part, value) in enumerate(zip(node.inputs, inputs, strict=True)):
        if value.pair:
            raise Fails("pair", source=part.source)
        number = value.number is not None and operation in (*_OVERLAY, *_PRODUCTS, "where") and (place or first)
        if not value.is_tensor and not number:
            what = "module" if value.module is not None else "number" if value.sizes is None else "sizes"
            raise Fails("no-tensor", source=node.source, inner=part.source, what_kind=what)
    if operation in VIEWS:
        return replace(VIEWS[operation](node, inputs[0]), assumed=inputs[0].assumed)
    if operation in REDUCTIONS:
        return _reduced(node, inputs[0], _kind(node, inputs[0]))
    if operation in ELEMENTWISE or operation in SOFTMAXES:
        return _elementwise(node, inputs[0], _kind(node, inputs[0]))
    return _of_several(node, inputs)


def _of_several(node: Node, inputs: Sequence[Value]) -> Value:
    """Return what operations of two tensors and more give, and those that make a tensor."""
    match node.operation:
        case operation if operation in _OVERLAY:
            return _broadcast(node, inputs[0], inputs[1])
        case operation if operation in _PRODUCTS:
            return matmul(node, inputs[0], inputs[1])
        case operation if operation in LOSSES:
            return loss(node, inputs[0], inputs[1])
        case "create":
            return created(node, inputs)
        case "cat" | "stack":
            return joined(node, inputs)
        case "linear":
            return linear(node, inputs)
        case "layer":
            return layer(node, inputs[0])
        case "one_hot":
            return one_hot(node, inputs[0])
        case "where":
            return where(node, inputs)
        case "gather":
            return gathered(node, inputs[0], inputs[1])
        case "item":
            return _single(node, inputs[0])
        case _:
            assert node.operation == "einsum"
            return einsum(node, inputs)


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
    if dim is None and node.form not in ("F", "nn"):
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


def _single(node: Node, value: Value) -> Value:
    if value.elements != 1:
        raise Fails("item-many", source=node.source, shape=shown(value.shape), elements=f"{value.elements:,}")
    return Value((), FLOAT if value.kind in FLOATS else value.kind, (), UNKNOWN)


def _kind(node: Node, value: Value) -> str:
    """Return the kind of element an operation of one tensor gives."""
    operation = node.operation
    fits = value.kind in FLOATS or (value.kind == INTEGER and operation not in _NEED_FLOAT)
    fits = fits or (operation in SOFTMAXES and value.elements == 0)  # PyTorch returns before it looks
    needed = operation in _NEED_FLOAT or (operation in _NEED_NUMBERS and node.form != "np")
    if needed and not fits:
        if node.form == "np":
            return DOUBLE
        raise Fails("kind", source=node.source, inner=node.inputs[0].source, kind=value.kind)
    if operation == "not" and value.kind in FLOATS and not value.assumed:
        raise Fails("kind", source=node.source, inner=node.inputs[0].source, kind=value.kind)
    if operation in _MADE:
        return _MADE[operation]
    if operation in _MADE_FLOAT:
        return value.kind if value.kind in FLOATS else FLOAT
    if operation in ("argmax", "argmin"):
        return INTEGER
    if operation in ("sum", "prod", "square") and value.kind == BOOLEAN:
        return INTEGER
    if operation == "not" and value.assumed:
        return BOOLEAN
    if operation == "clamp":
        numbers = (node.arguments.get("min"), node.arguments.get("max"))
        return promoted(value, *(tensor_of(number) for number in numbers if number is not None))
    return value.kind


def tensor_of(number: float) -> Value:
    """Return a Python number as a value."""
    return Value((), FLOAT if isinstance(number, float) else INTEGER, (), number)


def _broadcast(node: Node, left: Value, right: Value) -> Value:
    shape = broadcast(left.shape, right.shape)
    if shape is None:
        raise Fails("broadcast", **_first_clash(node, left.shape, right.shape))
    kind = _overlaid(node, left, right)
    if node.arguments.get("in_place") and left.is_tensor:  # a number has nothing to change
        fields = {"source": node.source, "left": node.inputs[0].source}
        if shape != left.shape:
            raise Fails("in-place", **fields, shape=shown(left.shape), result=shown(shape))
        assumed = left.assumed or (right.assumed and node.operation != "/")
        if not assumed and _CATEGORIES[kind] > _CATEGORIES[left.kind]:
            raise Fails("in-place-kind", **fields, left_kind=left.kind, result_kind=kind)
        kind = kind if left.assumed and kind not in FLOATS else left.kind
    return made_from(shape, kind, left, right)


def _overlaid(node: Node, left: Value, right: Value) -> str:
    """Return the kind of element that an operation of two gives."""
    symbol, kind = node.operation, promoted(left, right)
    if symbol in COMPARISONS:
        return BOOLEAN
    if symbol in LOGIC:
        return _logical(node, left, right)
    if symbol in ("maximum", "minimum"):
        if not (left.is_tensor and right.is_tensor):
            raise Fails("two-tensors", source=node.source)
        return kind
    _check_arithmetic(node, left, right, kind)
    return FLOAT if symbol == "/" and kind not in FLOATS else kind


def _logical(node: Node, left: Value, right: Value) -> str:
    """Return the kind of element of ``&``, ``|`` and ``^``, which take no floats."""
    kinds = [value.kind for value in (left, right) if not value.assumed] or [BOOLEAN]
    for part, value in zip(node.inputs, (left, right), strict=True):
        if value.kind in FLOATS and not value.assumed:
            raise Fails("kind", source=node.source, inner=part.source, kind=value.kind)
    return INTEGER if INTEGER in kinds else BOOLEAN


def _check_arithmetic(node: Node, left: Value, right: Value, kind: str) -> None:
    """Refuse the arithmetic that depends on the kind of element."""
    symbol = node.operation
    booleans = [part.source for part, value in zip(node.inputs, (left, right), strict=True) if value.kind == BOOLEAN]
    if symbol == "-" and booleans:
        raise Fails("boolean-minus", source=node.source, inner=booleans[0])
    if symbol in ("//", "%", "**") and kind == BOOLEAN:
        raise Fails("kind", source=node.source, inner=booleans[0], kind=kind)
    if kind not in FLOATS and right.number is not None:
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
    if node.operation == "pos" or (node.operation in _MADE and value.kind == kind):
        return replace(value, assumed=value.assumed and node.operation == "pos")  # the tensor itself
    return made_from(value.shape, kind, value)


def _reduced(node: Node, value: Value, kind: str) -> Value:
    operation, rank = node.operation, len(value.shape)
    keepdim, dim = node.arguments.get("keepdim"), node.arguments.get("dim")
    if dim is None and operation == "logsumexp":
        raise Fails("dim-missing", source=node.source)
    if dim is None and keepdim is not None and operation in _NO_KEEPDIM_ALONE and node.form != "np":
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
    if operation in ("max", "min") and dim is not None and node.form != "np":
        return Value(reduced.shape, reduced.kind, reduced.strides, pair=True)
    return reduced
