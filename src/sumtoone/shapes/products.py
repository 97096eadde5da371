"""Products of matrices: ``@`` and its like, linear layers, einsum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sumtoone.errors import UsageError
from sumtoone.shapes.nodes import Node, shortened
from sumtoone.shapes.values import (
    BOOLEAN,
    FLOAT,
    FLOATS,
    Fails,
    Value,
    broadcast,
    checked,
    made_from,
    promoted,
    shown,
    tensor,
)


def matmul(node: Node, left: Value, right: Value) -> Value:
    """Return the product of two tensors; ``mm``, ``bmm`` and ``dot`` take one rank alone."""
    if left.number is not None or right.number is not None:
        raise Fails("matmul-number", source=node.source)
    fields = {
        "left": node.inputs[0].source,
        "right": node.inputs[1].source,
        "left_shape": shown(left.shape),
        "right_shape": shown(right.shape),
    }
    ranks = len(left.shape), len(right.shape)
    rank = {"mm": 2, "bmm": 3, "dot": 1}.get(node.operation)
    if rank is not None and ranks != (rank, rank):
        raise Fails(f"{node.operation}-rank", **fields)
    if 0 in ranks:
        raise Fails("matmul-scalar", **fields)
    inner = left.shape[-1], right.shape[max(ranks[1] - 2, 0)]
    if inner[0] != inner[1]:
        raise Fails("matmul-inner", **fields, left_size=inner[0], right_size=inner[1])
    batch = broadcast(left.shape[:-2], right.shape[:-2])
    if batch is None or (node.operation == "bmm" and left.shape[0] != right.shape[0]):
        raise Fails("matmul-batch", **fields)
    shape = (*batch, *left.shape[-2:-1], *(right.shape[-1:] if ranks[1] > 1 else ()))
    # PyTorch returns before it looks at the elements where there are none.
    empty = 0 in (inner[0], *shape)
    unseen = empty and ((min(ranks) > 1 and ranks[1] > 2) or (left.kind == right.kind and max(ranks) > 1))
    fits = node.form == "np" or (left.kind == right.kind and left.kind != BOOLEAN)
    if not fits and not (unseen and rank is None):
        raise Fails("matmul-kind", source=node.source, left_kind=left.kind, right_kind=right.kind)
    if max(ranks) > 2:
        return Value(tensor(shape).shape, promoted(left, right), None)  # PyTorch chooses the layout
    return made_from(shape, promoted(left, right), left, right)


def linear(node: Node, inputs: Sequence[Value]) -> Value:
    """Return ``x @ weight.T + bias``."""
    x, weight, *bias = inputs
    sources = [part.source for part in node.inputs]
    fields: dict[str, object] = {"left": sources[0], "right": sources[1]}
    fields |= {"left_shape": shown(x.shape), "right_shape": shown(weight.shape)}
    if bias and len(weight.shape) == 1 and len(x.shape) > 1:  # PyTorch's own affair
        raise UsageError("explain-argument", given=shortened(node.source), signature="F.linear(x, weight, bias)")
    if len(weight.shape) not in (1, 2) or not x.shape:
        raise Fails("linear-rank", **fields)
    if x.shape[-1] != weight.shape[-1]:
        raise Fails("linear-inner", **fields, takes=weight.shape[-1], receives=x.shape[-1])
    if x.kind != weight.kind or x.kind == BOOLEAN:
        raise Fails("matmul-kind", source=node.source, left_kind=x.kind, right_kind=weight.kind)
    shape = (*x.shape[:-1], *weight.shape[:-1])
    if bias and broadcast(bias[0].shape, shape) != shape:
        given = shown(bias[0].shape)
        raise Fails("bias", bias=sources[2], shape=given, outputs=shape[-1] if shape else 1, source=node.source)
    if bias and bias[0].kind != x.kind:
        raise Fails("matmul-kind", source=node.source, left_kind=x.kind, right_kind=bias[0].kind)
    return checked(Value(shape, x.kind, None) if len(shape) > 2 else tensor(shape, x.kind))


def layer(node: Node, x: Value) -> Value:
    """Return what ``nn.Linear(in_features, out_features)`` makes of a tensor."""
    takes, gives = node.arguments["in_features"], node.arguments["out_features"]
    if not x.shape or x.shape[-1] != takes:
        inner = node.inputs[0].source
        receives = x.shape[-1] if x.shape else 1
        fields = {"source": node.source, "inner": inner, "shape": shown(x.shape)}
        raise Fails("layer-inner", **fields, takes=takes, receives=receives)
    if x.kind not in FLOATS:
        raise Fails("kind", source=node.source, inner=node.inputs[0].source, kind=x.kind)
    kind = node.arguments.get("dtype", FLOAT)
    if x.kind != kind:
        raise Fails("matmul-kind", source=node.source, left_kind=x.kind, right_kind=kind)
    shape = (*x.shape[:-1], gives)
    return Value(tensor(shape).shape, x.kind, None) if len(shape) > 2 else tensor(shape, x.kind)


def einsum(node: Node, inputs: Sequence[Value]) -> Value:
    """Return the sum of products that an equation such as ``"bi,io->bo"`` names."""
    equation: str = node.arguments["equation"]
    left, arrow, written = equation.partition("->")
    terms = left.split(",")
    if not all(letter.isascii() and letter.isalpha() for letter in "".join((*terms, written))):
        raise UsageError("explain-argument", given=shortened(node.source), signature="einsum('bi,io->bo', x, w)")
    if len(terms) != len(inputs):
        raise Fails("einsum-count", equation=equation, terms=len(terms), count=len(inputs))
    sizes: dict[str, int] = {}
    for term, part, value in zip(terms, node.inputs, inputs, strict=True):
        fields = {"term": term, "inner": part.source, "shape": shown(value.shape)}
        if len(term) != len(value.shape):
            raise Fails("einsum-rank", **fields, letters=len(term), rank=len(value.shape))
        own: dict[str, int] = {}
        for letter, size in zip(term, value.shape, strict=True):
            before = own.setdefault(letter, size)
            if before == size:
                before = sizes.get(letter, 1)
            if before != size and (1 not in (before, size) or own[letter] != size):
                raise Fails("einsum-size", **fields, letter=letter, size=size, before=before)
            sizes[letter] = size if before == 1 else before
    letters = written if arrow else "".join(sorted(one for one in sizes if left.count(one) == 1))
    for letter in letters:
        if letter not in sizes or letters.count(letter) > 1:
            raise Fails("einsum-output", equation=equation, letter=letter)
    kinds = {value.kind for value in inputs}
    # PyTorch multiplies matrices where a letter is summed away on both sides, and entries elsewhere.
    found = [dict(zip(term, value.shape, strict=True)) for term, value in zip(terms, inputs, strict=True)]
    summed = any(letter not in letters and all(one.get(letter, 1) != 1 for one in found) for letter in sizes)
    if len(kinds) > 1 and (summed or len(inputs) > 2):
        raise Fails("matmul-kind", source=node.source, left_kind=inputs[0].kind, right_kind=inputs[-1].kind)
    return checked(Value(tuple(sizes[letter] for letter in letters), promoted(*inputs), None))


def takes_and_gives(node: Node, shapes: Mapping[Node, Sequence[tuple[int, ...]]]) -> int | None:
    """Return how many outputs a product has for each row, or None where it is no product."""
    if node.operation == "layer":
        return int(node.arguments["out_features"])
    if node.operation in ("@", "mm") and len(shapes[node][1]) == 2:
        return shapes[node][1][1]
    return None
