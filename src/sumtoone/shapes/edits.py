"""Changes of a program's text in the learner's own style: a piece taken out, turned over, given another argument."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from operator import is_
from typing import cast

from sumtoone.shapes.nodes import Node
from sumtoone.shapes.reading import module_of
from sumtoone.shapes.tracing import definition
from sumtoone.shapes.vocabulary import ALIASES, REDUCTIONS, SIGNATURES, SOFTMAXES

_ORIGIN = "sumtoone_origin"


@dataclass(frozen=True, eq=False)
class Edit:
    """A piece of a program's tree and what takes its place; without ``new`` it leaves the list that it stands in."""

    old: ast.AST
    new: ast.expr | None


def replaced(tree: ast.AST, edit: Edit) -> ast.AST:
    """Return a tree with one node replaced; what does not change stays the same object."""
    if tree is edit.old and edit.new is not None:
        return _instead_of(tree, edit.new)
    parts: dict[str, object] = {}
    for name, value in ast.iter_fields(tree):
        if isinstance(value, list):
            items = [replaced(item, edit) if isinstance(item, ast.AST) else item for item in value]
            items = [item for item in items if edit.new is not None or item is not edit.old]
            parts[name] = value if len(items) == len(value) and all(map(is_, items, value)) else items
        else:
            parts[name] = replaced(value, edit) if isinstance(value, ast.AST) else value
    changed = any(part is not getattr(tree, name) for name, part in parts.items())
    return _instead_of(tree, type(tree)(**parts)) if changed else tree


def _instead_of(old: ast.AST, new: ast.AST) -> ast.AST:
    setattr(new, _ORIGIN, origin(old))
    return ast.copy_location(new, old)


def origin(tree: ast.AST) -> ast.AST:
    """Return what a piece was before it was edited."""
    found = getattr(tree, _ORIGIN, tree)
    assert isinstance(found, ast.AST)
    return found


def written(text: str) -> ast.expr:
    """Return the tree of an expression."""
    return ast.parse(text, mode="eval").body


def ended(node: Node, ending: str) -> Edit:
    """Return the edit that puts an ending such as ``.T`` behind a piece."""
    return Edit(node.tree, written(f"({node.source}){ending}"))


def applied(node: Node, name: str, arguments: str, form: str) -> Edit:
    """Return the edit that applies a function to a piece, as a function or as a method, whichever ``form`` is."""
    if form in ("torch", "np"):
        return Edit(node.tree, written(f"{form}.{name}({node.source}, {arguments})"))
    return ended(node, f".{name}({arguments})")


def operation(symbol: str, node: Node, left: Node, right: Node) -> Edit:
    """Return the edit that writes another operator between two pieces, or calls another function."""
    if isinstance(node.tree, ast.Call):
        return renamed(node, {"*": "mul", "@": "matmul"}[symbol])
    return Edit(node.tree, written(f"({left.source}) {symbol} ({right.source})"))


def is_method(tree: ast.expr) -> bool:
    """Whether a call is a method of a tensor, and not a function of a module."""
    return isinstance(tree, ast.Call) and isinstance(tree.func, ast.Attribute) and module_of(tree.func.value) is None


def with_argument(node: Node, tree: ast.expr, parameter: str, value: int) -> ast.expr:
    """Return a call with one argument changed where it stands, or added in the style of the others."""
    assert isinstance(tree, ast.Call)
    names = [name for name, _ in SIGNATURES.get(node.operation, ())] or [parameter]
    first = 0 if is_method(tree) or node.form == "nn" else 1
    place = names.index(parameter) + first
    constant = ast.Constant(value)
    aliases = [parameter, *(alias for alias, name in ALIASES.items() if name == parameter)]
    if len(tree.args) > place:
        args = [*tree.args[:place], constant, *tree.args[place + 1 :]]
        return ast.Call(tree.func, args, tree.keywords)
    if any(word.arg in aliases for word in tree.keywords):
        words = [ast.keyword(word.arg, constant) if word.arg in aliases else word for word in tree.keywords]
        return ast.Call(tree.func, tree.args, words)
    numpy = node.form == "np" or any(word.arg == "axis" for word in tree.keywords)
    name = aliases[-1] if numpy and len(aliases) > 1 else parameter
    return ast.Call(tree.func, tree.args, [*tree.keywords, ast.keyword(name, constant)])


def renamed(node: Node, name: str) -> Edit:
    """Return the edit that calls another function with the same arguments."""
    assert isinstance(node.tree, ast.Call)
    assert isinstance(node.tree.func, ast.Attribute)
    function = ast.Attribute(node.tree.func.value, name, ast.Load())
    return Edit(node.tree, ast.Call(function, node.tree.args, node.tree.keywords))


def with_dim(node: Node, dim: int, *, keepdim: bool = False) -> Edit:
    """Return the edit that gives a function another dim, and ``keepdim=True`` if asked for."""
    tree = with_argument(node, node.tree, "dim", dim)
    return Edit(node.tree, with_argument(node, tree, "keepdim", True) if keepdim else tree)


def kept(node: Node) -> Edit:
    """Return the edit that keeps the axis of a reduction."""
    return Edit(node.tree, with_argument(node, node.tree, "keepdim", True))


def without_kept(node: Node) -> Edit:
    """Return the edit that no longer keeps the axis of a reduction."""
    assert isinstance(node.tree, ast.Call)
    words = [word for word in node.tree.keywords if word.arg not in ("keepdim", "keepdims")]
    if len(words) < len(node.tree.keywords):
        return Edit(node.tree, ast.Call(node.tree.func, node.tree.args, words))
    return Edit(node.tree, ast.Call(node.tree.func, node.tree.args[:-1], words))


def removed(node: Node) -> Edit:
    """Return the edit that takes an operation out and leaves what went into it."""
    through = node.arguments.get("through")
    if through is None:
        return Edit(node.tree, node.inputs[0].tree)
    if definition(through.inputs[0]).arguments.get("layer") == "Sequential":
        return Edit(node.tree, None)
    return Edit(through.tree, through.inputs[1].tree)


def with_sizes(node: Node, sizes: tuple[object, ...]) -> Edit:
    """Return the edit that gives ``view``, ``reshape`` or what makes a tensor other sizes."""
    assert isinstance(node.tree, ast.Call)
    tree = node.tree
    entries = list(cast("ast.Call", written(f"size({', '.join(map(str, sizes))})")).args)  # a size may be *x.shape
    function = not is_method(tree) and node.operation != "create"
    listed = tree.args[int(function) :]
    if function or (listed and isinstance(listed[0], ast.Tuple | ast.List)):
        entries = [ast.Tuple(entries, ast.Load())]
    return Edit(tree, ast.Call(tree.func, [*tree.args[: int(function)], *entries], tree.keywords))


def size_entries(node: Node) -> list[ast.expr]:
    """Return the sizes of a call as they are written."""
    assert isinstance(node.tree, ast.Call)
    listed = node.tree.args[0 if is_method(node.tree) else 1 :]
    if len(listed) == 1 and isinstance(listed[0], ast.Tuple | ast.List):
        return listed[0].elts
    return listed


def below(node: Node) -> Iterator[Node]:
    """Yield an operation and all that goes into it, the nearest first, also through names of lines before."""
    level, seen = [definition(node)], 0
    while level and seen < 60:
        yield from level
        seen += len(level)
        level = [definition(part) for one in level for part in one.inputs if part.operation != "module"]


def without_keepdim(node: Node) -> bool:
    """Whether a node is a reduction along an axis that lost the axis."""
    return node.operation in REDUCTIONS and "dim" in node.arguments and not node.arguments.get("keepdim")


def reduction(node: Node) -> Node | None:
    """Return the reduction that a vector or a column was made by, or None."""
    node = definition(node)
    while node.operation in ("values", "indices", "index", "view", "reshape", "unsqueeze", "T", "t", "transpose"):
        node = definition(node.inputs[0])
    return node if node.operation in REDUCTIONS else None


def turned_pieces(node: Node) -> Iterator[Edit]:
    """Yield ``[None, :]`` as ``[:, None]``, ``unsqueeze(0)`` as ``unsqueeze(1)``, ``view(1, -1)`` turned alike."""
    for one in below(node):
        tree = one.tree
        if one.operation == "index" and None in one.arguments["index"] and isinstance(tree, ast.Subscript):
            assert isinstance(tree.slice, ast.Tuple | ast.Constant)
            whole = tree.slice.elts if isinstance(tree.slice, ast.Tuple) else [tree.slice, ast.Slice()]
            yield Edit(tree, ast.Subscript(tree.value, ast.Tuple(list(reversed(whole)), ast.Load()), ast.Load()))
        if one.operation == "unsqueeze" and isinstance(tree, ast.Call) and one.arguments["dim"] in (0, 1, -1):
            yield Edit(tree, with_argument(one, tree, "dim", int(one.arguments["dim"] == 0)))
        if one.operation in ("view", "reshape") and isinstance(tree, ast.Call) and len(size_entries(one)) == 2:
            yield with_sizes(one, tuple(ast.unparse(entry) for entry in reversed(size_entries(one))))


_PIECES = ("T", "mT", "t", "transpose", "permute", "unsqueeze", "squeeze", "flatten", "view", "reshape")


def taken_out(node: Node) -> Iterator[Edit]:
    """Yield the program without one of the pieces that only turn, add or take axes."""
    for one in below(node):
        nothing = one.operation == "index" and all(entry in (None, ":", "...") for entry in one.arguments["index"])
        if one.operation in _PIECES or nothing:
            yield removed(one)


def other_dims(node: Node, ranks: dict[Node, int]) -> Iterator[Edit]:
    """Yield reductions and softmaxes along another axis."""
    for one in below(node):
        dim = one.arguments.get("dim")
        if one.operation in (*REDUCTIONS, *SOFTMAXES) and isinstance(dim, int) and isinstance(one.tree, ast.Call):
            rank = ranks.get(one, 0)
            for other in range(rank - 1, -1, -1):
                if other != dim % max(rank, 1):
                    yield with_dim(one, other)
