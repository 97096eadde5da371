"""What makes tensors (``randn``, ``cat``, ``one_hot``), and what compares with labels (losses, ``gather``)."""

from __future__ import annotations

from collections.abc import Sequence

from sumtoone.errors import UsageError
from sumtoone.shapes.nodes import Node, shortened
from sumtoone.shapes.values import (
    BOOLEAN,
    FLOAT,
    FLOATS,
    INTEGER,
    Fails,
    Value,
    axis_of,
    broadcast,
    checked,
    made_from,
    promoted,
    shown,
    tensor,
)

_WHOLE = ("arange", "randint", "randperm")


def created(node: Node, inputs: Sequence[Value]) -> Value:
    """Return what ``torch.randn(784, 256)`` and its like make: they carry their own shape."""
    maker, kind = node.arguments["maker"], node.arguments["kind"]
    if inputs:
        return made_from(inputs[0].shape, kind or inputs[0].kind, inputs[0])
    if maker == "tensor":
        shape, own = node.arguments["literal"]
        return tensor(shape, kind or own)
    sizes = node.arguments["size"]
    if maker in ("arange", "randperm", "eye") and not 1 <= len(sizes) <= 3:
        raise UsageError("explain-argument", given=shortened(node.source), signature=f"{maker}(n)")
    if any(size < 0 for size in sizes) and maker != "arange":
        raise Fails("size-negative", source=node.source)
    if maker == "arange":
        places = range(*sizes) if len(sizes) < 3 or sizes[2] else ()
        sizes = (len(places),)
    elif maker == "randperm":
        sizes = sizes[:1]
    elif maker == "eye":
        sizes = (sizes[0], sizes[-1])
    whole = maker in _WHOLE or node.arguments.get("whole")
    return tensor(sizes, kind or (INTEGER if whole else FLOAT))


def joined(node: Node, inputs: Sequence[Value]) -> Value:
    """Return tensors put behind each other along an axis, or along a new one."""
    first = node.inputs[0].source
    if node.operation == "stack":
        axis = axis_of(node.arguments["dim"], len(inputs[0].shape) + 1, node.source)
        for part, value in zip(node.inputs, inputs, strict=True):
            if value.shape != inputs[0].shape:
                fields = {"left": first, "left_shape": shown(inputs[0].shape)}
                raise Fails("stack-shape", **fields, right=part.source, right_shape=shown(value.shape))
        shape = (*inputs[0].shape[:axis], len(inputs), *inputs[0].shape[axis:])
        return made_from(shape, promoted(*inputs), *inputs)
    if any(not value.shape for value in inputs):
        raise Fails("cat-scalar", source=node.source)
    # PyTorch leaves an empty vector out, whatever the others are.
    counted = [(part, value) for part, value in zip(node.inputs, inputs, strict=True) if value.shape != (0,)]
    if not counted:
        return made_from((0,), promoted(*inputs), *inputs)
    one = counted[0][1]
    axis = axis_of(node.arguments["dim"], len(one.shape), node.source)
    for part, value in counted:
        rest, wanted = list(value.shape), list(one.shape)
        fits = len(rest) == len(wanted)
        if fits:
            rest[axis] = wanted[axis] = 0
        if not fits or rest != wanted:
            fields = {"left": counted[0][0].source, "left_shape": shown(one.shape)}
            raise Fails("cat-shape", **fields, axis=axis, right=part.source, right_shape=shown(value.shape))
    total = sum(value.shape[axis] for _, value in counted)
    return made_from((*one.shape[:axis], total, *one.shape[axis + 1 :]), promoted(*inputs), *inputs)


def one_hot(node: Node, labels: Value) -> Value:
    """Return a row of zeros with a single one for each label."""
    if labels.kind != INTEGER and not labels.assumed:
        raise Fails("labels-kind", source=node.source, inner=node.inputs[0].source, kind=labels.kind)
    count = node.arguments.get("num_classes", -1)
    if count < 1:
        raise UsageError("explain-values", given=shortened(node.source), what="num_classes=10")
    return tensor((*labels.shape, count), INTEGER)


def where(node: Node, inputs: Sequence[Value]) -> Value:
    """Return one tensor where a condition holds, the other elsewhere."""
    condition, *others = inputs
    if condition.kind != BOOLEAN and not condition.assumed:
        raise Fails("kind", source=node.source, inner=node.inputs[0].source, kind=condition.kind)
    shape: tuple[int, ...] | None = condition.shape
    for part, value in zip(node.inputs[1:], others, strict=True):
        before, shape = shape, broadcast(shape or (), value.shape)
        if shape is None:
            fields = {"source": node.source, "inner": part.source, "shape": shown(value.shape)}
            raise Fails("where-shape", **fields, condition=shown(before or ()))
    assert shape is not None
    return made_from(shape, promoted(*others), *inputs)


def gathered(node: Node, value: Value, index: Value) -> Value:
    """Return the numbers that an index picks along an axis, one for each of its entries."""
    if index.kind != INTEGER and not index.assumed:
        raise Fails("labels-kind", source=node.source, inner=node.inputs[1].source, kind=index.kind)
    axis = axis_of(node.arguments["dim"], len(value.shape), node.source)
    sizes, mine = value.shape or (1,), index.shape or (1,)  # a tensor without axes counts as a vector of one
    fits = len(sizes) == len(mine) and all(
        one <= size for place, (one, size) in enumerate(zip(mine, sizes, strict=True)) if place != axis
    )
    if not fits or (index.elements and sizes[axis] == 0):
        fields = {"source": node.source, "inner": node.inputs[1].source}
        raise Fails("gather-shape", **fields, axis=axis, index=shown(index.shape), shape=shown(value.shape))
    return Value(index.shape, value.kind, None)


def loss(node: Node, x: Value, target: Value) -> Value:
    """Return what a loss gives: one number, or with ``reduction="none"`` one for each row."""
    if node.operation == "mse_loss":
        return _squared(node, x, target)
    sources = {"source": node.source, "left": node.inputs[0].source, "right": node.inputs[1].source}
    fields = {**sources, "left_shape": shown(x.shape), "right_shape": shown(target.shape)}
    if x.kind not in FLOATS:
        raise Fails("kind", source=node.source, inner=sources["left"], kind=x.kind)
    rows = x.shape[:1] if len(x.shape) > 1 else ()
    if node.operation == "cross_entropy" and x.shape == target.shape and x.shape:
        if target.kind not in FLOATS:
            raise Fails("labels-one-hot", **fields)
        return _summed(node, x, (*rows, *x.shape[2:]))
    wanted = (*rows, *x.shape[2:])
    if len(x.shape) == 1 and target.shape == (1,):
        wanted = target.shape
    if not x.shape or target.shape != wanted:
        column = target.shape == (*wanted, 1)
        raise Fails("labels-column" if column else "labels-shape", **fields, wanted=shown(wanted))
    if target.kind != INTEGER and not target.assumed:
        raise Fails("labels-kind", source=node.source, inner=sources["right"], kind=target.kind)
    return _summed(node, x, wanted)


def _squared(node: Node, x: Value, target: Value) -> Value:
    shape = broadcast(x.shape, target.shape)
    sources = {"left": node.inputs[0].source, "right": node.inputs[1].source}
    if shape is None:
        shapes = {"left_shape": shown(x.shape), "right_shape": shown(target.shape)}
        raise Fails("loss-shape", source=node.source, **sources, **shapes)
    kind = promoted(x, target)
    if kind not in FLOATS:
        raise Fails("kind", source=node.source, inner=sources["left"], kind=kind)
    return _summed(node, x, shape)


def _summed(node: Node, x: Value, shape: tuple[int, ...]) -> Value:
    if node.arguments.get("reduction", "mean") == "none":
        return checked(Value(shape, x.kind, None))
    return tensor((), x.kind)
