"""What to write instead: candidates for a failed operation, shown only after they have been followed themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import is_

from sumtoone.errors import UsageError
from sumtoone.language.lines import WIDTH, cells
from sumtoone.shapes.parsing import Node, parse
from sumtoone.shapes.tracing import Step, trace
from sumtoone.shapes.values import FLOAT, Value, broadcast, shown
from sumtoone.shapes.vocabulary import REDUCTIONS

MOST_SUGGESTIONS = 3


@dataclass(frozen=True)
class Suggestion:
    """A line to write instead, and the shape it gives."""

    line: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.line}  # {shown(self.shape)}"


def verified(
    root: Node, old: Node, candidates: Iterable[str], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Suggestion, ...]:
    """Return the first few candidates for ``old`` that make the whole expression work and fit a line."""
    found: dict[str, Suggestion] = {}
    for candidate in candidates:
        if len(found) == MOST_SUGGESTIONS:
            break
        line = ast.unparse(_swapped(root.tree, old.tree, ast.parse(candidate, mode="eval").body))
        shape = _shape_of(line, shapes)
        if shape is not None and cells(str(Suggestion(line, shape))) <= WIDTH - 4:
            found.setdefault(line, Suggestion(line, shape))
    return tuple(found.values())


def _shape_of(line: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...] | None:
    try:
        steps = trace(parse(line), shapes)
    except UsageError:
        return None
    return steps[-1].output.shape if steps and steps[-1].output is not None else None


def _swapped(tree: ast.AST, old: ast.AST, new: ast.AST) -> ast.AST:
    """Return a tree with one node replaced; what does not change stays the same object."""
    if tree is old:
        return new
    parts: dict[str, object] = {}
    for name, value in ast.iter_fields(tree):
        if isinstance(value, list):
            items = [_swapped(item, old, new) if isinstance(item, ast.AST) else item for item in value]
            parts[name] = value if all(map(is_, items, value)) else items
        else:
            parts[name] = _swapped(value, old, new) if isinstance(value, ast.AST) else value
    changed = any(part is not getattr(tree, name) for name, part in parts.items())
    return type(tree)(**parts) if changed else tree


# --- candidates, each the text of an operation that may take the place of the failed one


def repairs(step: Step) -> Iterator[str]:
    """Yield what could be written instead of a failed operation, the likeliest first."""
    node, failure = step.node, step.failure
    assert failure is not None
    match failure.code:
        case "broadcast":
            yield from _aligned(node, *step.inputs)
        case "matmul-inner" | "mm-rank" | "matmul-scalar" | "matmul-batch":
            yield from _products(node, *step.inputs)
        case "matmul-number":
            left, right = node.inputs
            yield _operation("*", left, right.source)
        case "pair":
            yield from (_with_input(node, place, ".values") for place in range(len(node.inputs)))
        case "kind" | "boolean-minus" | "negative-power" | "matmul-kind":
            yield from _as_floats(node, *step.inputs)
        case "axis-range" | "dim-missing" | "keepdim-alone":
            yield from _with_dim(node, len(step.inputs[0].shape))
        case "view-layout":
            yield f"{inside(node.inputs[0])}.reshape{node.arguments['size']}"
        case "view-count" | "view-divide" | "view-two":
            yield from _views(node)
        case "t-rank":
            yield f"{inside(node.inputs[0])}.mT"
        case "mt-rank":
            yield f"{inside(node.inputs[0])}[:, None]"
        case "no-pair":
            yield node.inputs[0].source


def _aligned(node: Node, left: Value, right: Value) -> Iterator[str]:
    """Yield operands brought into line: keepdim kept, an axis added, a matrix turned over."""
    values = left, right
    for place, part in enumerate(node.inputs):
        if without_keepdim(part):
            yield with_input(node, place, kept(part))
    for place, (value, other) in enumerate(((left, right), (right, left))):
        if len(value.shape) < len(other.shape):
            for axis in range(len(value.shape), -1, -1):
                shape = (*value.shape[:axis], 1, *value.shape[axis:])
                if broadcast(shape, other.shape) == other.shape:
                    yield from _added_axis(node, place, value, axis)
    for place in (1, 0):
        if len(values[place].shape) == 2 and broadcast(values[place].shape[::-1], values[1 - place].shape):
            yield _with_input(node, place, ".T")
    if node.operation == "*":
        yield _operation("@", node.inputs[0], node.inputs[1].source)


def _added_axis(node: Node, place: int, value: Value, axis: int) -> Iterator[str]:
    if len(value.shape) == 1 and axis == 1:
        yield _with_input(node, place, "[:, None]")
        yield _with_input(node, place, f".view({value.shape[0]}, 1)")
    yield _with_input(node, place, f".unsqueeze({axis})")


def _products(node: Node, left: Value, right: Value) -> Iterator[str]:
    first, second = node.inputs
    if len(right.shape) >= 2:
        yield _operation("@", first, f"{inside(second)}.mT" if len(right.shape) > 2 else f"{inside(second)}.T")
    if len(left.shape) == 2:
        yield f"{inside(first)}.T @ {inside(second)}"
    if node.operation == "mm":
        yield _operation("@", first, second.source)
    if left.shape == right.shape or () in (left.shape, right.shape):
        yield _operation("*", first, second.source)


def _as_floats(node: Node, *values: Value) -> Iterator[str]:
    tree: ast.AST = node.tree
    for part, value in zip(node.inputs, values, strict=True):
        if value.kind != FLOAT and value.number is None:
            tree = _swapped(tree, part.tree, ast.parse(f"{inside(part)}.float()", mode="eval").body)
    yield ast.unparse(tree)


def _with_dim(node: Node, rank: int) -> Iterator[str]:
    if not isinstance(node.tree, ast.Call) or node.operation not in (*REDUCTIONS, "softmax", "log_softmax"):
        return
    inner = inside(node.inputs[0])
    keepdim = ", keepdim=True" if node.arguments.get("keepdim") else ""
    power = f"p={node.arguments['p']}, " if "p" in node.arguments else ""
    if rank:
        yield f"{inner}.{node.operation}({power}dim={rank - 1}{keepdim})"
    yield f"{inner}.{node.operation}({power}dim=-1{keepdim})"


def _views(node: Node) -> Iterator[str]:
    sizes = node.arguments["size" if node.operation == "view" else "shape"]
    for place in range(len(sizes)):
        guess = (*sizes[:place], -1, *sizes[place + 1 :])
        if guess.count(-1) == 1:
            yield f"{inside(node.inputs[0])}.{node.operation}({', '.join(map(str, guess))})"


# --- pieces of such texts


def without_keepdim(node: Node) -> bool:
    """Whether a node is a reduction along an axis that lost the axis."""
    tree = node.tree
    if not isinstance(tree, ast.Call) or node.operation not in REDUCTIONS or "dim" not in node.arguments:
        return node.operation in ("values", "index") and without_keepdim(node.inputs[0])
    return not node.arguments.get("keepdim")


def kept(node: Node) -> str:
    """Return the text of a reduction with its axis kept."""
    if node.operation in ("values", "index"):
        tree = _swapped(node.tree, node.inputs[0].tree, ast.parse(kept(node.inputs[0]), mode="eval").body)
        return ast.unparse(tree)
    assert isinstance(node.tree, ast.Call)
    names = [name for name in ("dim", "keepdim") if name in node.arguments]
    values = {**{name: node.arguments[name] for name in names}, "keepdim": True}
    power = f"p={node.arguments['p']}, " if "p" in node.arguments else ""
    arguments = power + ", ".join(f"{name}={value}" for name, value in values.items())
    inner = node.inputs[0]
    if node.form == "torch":
        return f"torch.{node.operation}({inner.source}, {arguments})"
    return f"{inside(inner)}.{node.operation}({arguments})"


def with_input(node: Node, place: int, written: str) -> str:
    """Return the text of an operation with one operand written otherwise."""
    return ast.unparse(_swapped(node.tree, node.inputs[place].tree, ast.parse(written, mode="eval").body))


def _with_input(node: Node, place: int, ending: str) -> str:
    return with_input(node, place, inside(node.inputs[place]) + ending)


def _operation(symbol: str, left: Node, right: str) -> str:
    return f"{inside(left)} {symbol} ({right})"


def inside(node: Node) -> str:
    """Return the text of a node in brackets; superfluous ones go when the line is written."""
    return f"({node.source})"
