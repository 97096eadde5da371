"""An expression such as ``"a / b.sum(dim=1)"`` becomes a tree of :class:`Node`; nothing is ever evaluated as Python.

Python's own parser reads the text; a walk over a short list of what is understood turns its tree into ours and
refuses the rest by name and place.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn

from sumtoone.errors import UsageError
from sumtoone.language.display import printable
from sumtoone.shapes.values import too_large
from sumtoone.shapes.vocabulary import (
    ALIASES,
    ATTRIBUTES,
    BINARY,
    FUNCTIONAL,
    KEYWORD_ONLY,
    METHOD_ONLY,
    PYTHON_SIGNATURES,
    REQUIRED,
    SIGNATURES,
    UNARY,
)
from sumtoone.specification import did_you_mean

LONGEST_EXPRESSION = 200
DEEPEST_NESTING = 40
LARGEST_NUMBER = 10**15
NAMESPACES = ("torch", "F")
# What people write before a function's name too: modules, not tensors.
OTHER_MODULES = ("s1", "sumtoone", "np", "numpy", "nn", "math", "jnp", "tf")


@dataclass(frozen=True, eq=False)
class Node:
    """One operation of an expression: its name, what goes in, and the piece of text it stands for."""

    operation: str
    inputs: tuple[Node, ...]
    tree: ast.expr
    arguments: Mapping[str, Any] = field(default_factory=dict)
    form: str = ""

    @cached_property
    def source(self) -> str:
        """The operation as it is written, spaces made even."""
        return ast.unparse(self.tree)


def parse(expression: str) -> Node:
    """Read an expression over tensors.

    Raises
    ------
    UsageError
        If it is no expression, is too long, or holds a piece outside the language explained here.

    Examples
    --------
    >>> node = parse("a / a.sum(dim=1)")
    >>> node.operation, [part.source for part in node.inputs]
    ('/', ['a', 'a.sum(dim=1)'])
    """
    if not isinstance(expression, str):
        what = {"function": "explain", "name": "expression", "wanted": "str", "given": type(expression).__name__}
        raise UsageError("argument-type", **what, hint="explain('a / b', a=(64, 10), b=(64, 1))")
    stripped = expression.strip()
    if len(stripped) > LONGEST_EXPRESSION:
        raise too_large("characters", LONGEST_EXPRESSION, len(stripped))
    try:
        with warnings.catch_warnings():
            # Python warns of doubtful syntax such as `1(a)`, which is refused below in our own words.
            warnings.simplefilter("ignore")
            tree = ast.parse(stripped, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = getattr(error, "offset", None) or 1
        raise UsageError("explain-syntax", given=shortened(stripped), place=place) from None
    return _node(tree, 0)


def names_of(node: Node) -> list[str]:
    """Return the names of the tensors in an expression, each once, in order of appearance."""
    own = [node.arguments["name"]] if node.operation == "name" else []
    return list(dict.fromkeys([*own, *(name for part in node.inputs for name in names_of(part))]))


def shortened(given: str) -> str:
    """Return a piece of what was given for an error: printable and not long."""
    return printable(given, 50)


def _node(tree: ast.expr, depth: int) -> Node:
    if depth > DEEPEST_NESTING:
        raise too_large("nesting", DEEPEST_NESTING, f"> {DEEPEST_NESTING}")
    match tree:
        case ast.Name(id=name):
            if name in NAMESPACES:
                _refuse(tree)
            return Node("name", (), tree, {"name": name})
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return _number(tree, value)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            return _unary(tree, UNARY[type(op)], _node(operand, depth + 1))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return _binary(tree, BINARY[type(op)], _node(left, depth + 1), _node(right, depth + 1))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in BINARY:
            return _binary(tree, BINARY[type(op)], _node(left, depth + 1), _node(right, depth + 1))
        case ast.Attribute(value=inner, attr=name) if name in ATTRIBUTES:
            return Node(name, (_tensor(inner, depth),), tree)
        case ast.Subscript(value=inner, slice=index):
            return Node("index", (_tensor(inner, depth),), tree, {"index": _index(index)})
        case ast.Call(func=ast.Attribute()):
            return _call(tree, depth)
        case _:
            return _refuse(tree)


def _tensor(tree: ast.expr, depth: int) -> Node:
    """Return a node that may be a tensor; a number has neither methods nor axes."""
    node = _node(tree, depth + 1)
    if node.operation == "number":
        raise UsageError("explain-number", given=shortened(node.source))
    return node


def _number(tree: ast.expr, value: float) -> Node:
    if not abs(value) <= LARGEST_NUMBER:
        raise too_large("magnitude", LARGEST_NUMBER, shortened(ast.unparse(tree)))
    return Node("number", (), tree, {"value": value})


def _unary(tree: ast.expr, symbol: str, operand: Node) -> Node:
    if operand.operation == "number":
        value = operand.arguments["value"]
        return _number(tree, -value if symbol == "neg" else value)
    return Node(symbol, (operand,), tree)


def _binary(tree: ast.expr, symbol: str, left: Node, right: Node) -> Node:
    """Return the node of an operator; what two numbers make together is a number, as in Python."""
    if left.operation != "number" or right.operation != "number":
        return Node(symbol, (left, right), tree)
    x, y = left.arguments["value"], right.arguments["value"]
    if symbol == "/" and y != 0:
        return _number(tree, x / y)
    if symbol in ("+", "-", "*"):
        return _number(tree, {"+": x + y, "-": x - y, "*": x * y}[symbol])
    raise UsageError("explain-number", given=shortened(ast.unparse(tree)))


def _call(tree: ast.Call, depth: int) -> Node:
    """Return the node of ``x.sum(dim=1)``, ``torch.sum(x, dim=1)`` or ``F.softmax(x, dim=1)``."""
    assert isinstance(tree.func, ast.Attribute)
    name, receiver = tree.func.attr, tree.func.value
    form = receiver.id if isinstance(receiver, ast.Name) and receiver.id in NAMESPACES else "method"
    if isinstance(receiver, ast.Name) and receiver.id in OTHER_MODULES:
        near = name if name in SIGNATURES else "softmax"
        raise UsageError("explain-module", module=receiver.id, given=_callee(tree), name=near)
    known = {"torch": set(SIGNATURES) - METHOD_ONLY, "F": FUNCTIONAL, "method": set(SIGNATURES)}[form]
    if name not in known:
        raise UsageError("explain-function", given=_callee(tree), hint=did_you_mean(name, sorted(known)))
    if form == "method":
        return _bound(tree, name, form, _tensor(receiver, depth), tree.args, depth)
    given = {word.arg: word.value for word in tree.keywords}
    if tree.args and not isinstance(tree.args[0], ast.Starred):
        return _bound(tree, name, form, _tensor(tree.args[0], depth), tree.args[1:], depth)
    if "input" in given:
        return _bound(tree, name, form, _tensor(given["input"], depth), tree.args, depth)
    raise UsageError("explain-argument", given=_callee(tree), signature=_signature(name))


def _bound(tree: ast.Call, name: str, form: str, tensor: Node, places: list[ast.expr], depth: int) -> Node:
    """Give each argument of a call its parameter's name and value."""
    parameters = SIGNATURES[name]
    kinds = dict(parameters)
    aliases = {} if form == "F" or name in PYTHON_SIGNATURES else ALIASES
    if form == "method" and "sizes" in kinds.values() and places and _is_integer(places[0]):
        places = [ast.Tuple(elts=places, ctx=ast.Load())]  # x.view(2, 3) is x.view((2, 3))
    if len(places) > len(parameters):
        _refuse_argument(tree, name)
    given = [(parameter, place) for (parameter, _), place in zip(parameters, places, strict=False)]
    if any((name, parameter) in KEYWORD_ONLY for parameter, _ in given):
        _refuse_argument(tree, name)
    words = [(word.arg or "", word.value) for word in tree.keywords]
    if form != "method" and not tree.args:
        words = [(word, value) for word, value in words if word != "input"]  # that is the tensor itself
    given += [(aliases.get(word, word), value) for word, value in words]
    if len({parameter for parameter, _ in given}) < len(given):
        _refuse_argument(tree, name)
    inputs, arguments = [tensor], {}
    for parameter, value in given:
        if kinds.get(parameter) == "operand":
            inputs.append(_node(value, depth + 1))
        else:
            arguments[parameter] = _argument(tree, name, kinds.get(parameter, ""), value)
    missing = [need for need in REQUIRED.get(name, ()) if need not in {parameter for parameter, _ in given}]
    if missing:
        _refuse_argument(tree, name)
    return Node({"matmul": "@"}.get(name, name), tuple(inputs), tree, arguments, form)


def _argument(tree: ast.Call, name: str, kind: str, value: ast.expr) -> Any:
    if kind in ("axis", "axes") and _is_integer(value):
        return _integer(value)
    several = kind == "sizes" or (kind == "axes" and isinstance(value, ast.Tuple | ast.List) and len(value.elts) > 0)
    if several and isinstance(value, ast.Tuple | ast.List) and all(map(_is_integer, value.elts)):
        return tuple(map(_integer, value.elts))
    if kind == "flag" and isinstance(value, ast.Constant) and isinstance(value.value, bool):
        return value.value
    if kind == "number":
        node = _node(value, DEEPEST_NESTING)
        if node.operation == "number" and (name != "norm" or node.arguments["value"] > 0):
            return node.arguments["value"]
    return _refuse_argument(tree, name)


def _is_integer(tree: ast.expr) -> bool:
    inner = tree.operand if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub) else tree
    return isinstance(inner, ast.Constant) and type(inner.value) is int


def _integer(tree: ast.expr) -> int:
    value = ast.literal_eval(tree)
    assert isinstance(value, int)
    _number(tree, value)
    return value


def _index(tree: ast.expr) -> tuple[int | str | None, ...]:
    """Return an index as its entries: whole numbers, ``None``, ``":"`` and ``"..."``."""
    entries: list[int | str | None] = []
    for entry in tree.elts if isinstance(tree, ast.Tuple) else [tree]:
        match entry:
            case ast.Slice(lower=None, upper=None, step=None):
                entries.append(":")
            case ast.Constant(value=None):
                entries.append(None)
            case ast.Constant(value=value) if value is ... and "..." not in entries:
                entries.append("...")
            case _ if _is_integer(entry):
                entries.append(_integer(entry))
            case _:
                _refuse(entry)
    return tuple(entries)


def _callee(tree: ast.Call) -> str:
    return shortened(ast.unparse(tree.func))


def _signature(name: str) -> str:
    return f"{name}({', '.join(parameter for parameter, _ in SIGNATURES[name])})"


def _refuse_argument(tree: ast.Call, name: str) -> NoReturn:
    raise UsageError("explain-argument", given=shortened(ast.unparse(tree)), signature=_signature(name))


def _refuse(tree: ast.expr) -> NoReturn:
    place = getattr(tree, "col_offset", 0) + 1
    raise UsageError("explain-piece", piece=shortened(ast.unparse(tree)), place=place)
