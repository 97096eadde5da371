"""An expression of Python's tree becomes a :class:`Node`; what is not understood is named as what it is."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, NoReturn

from sumtoone.errors import UsageError
from sumtoone.language import text
from sumtoone.shapes.nodes import Node, Slice, shortened
from sumtoone.shapes.values import too_large
from sumtoone.shapes.vocabulary import ATTRIBUTES, BINARY, MODULES, ROOTS, UNARY

DEEPEST_NESTING = 40
LARGEST_NUMBER = 10**15

# What a piece that is not understood is called, by the kind of Python's tree.
_PIECES: tuple[tuple[tuple[type[ast.AST], ...], str], ...] = (
    ((ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef), "function"),
    ((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.For, ast.While), "loop"),
    ((ast.IfExp, ast.If), "condition"),
    ((ast.ClassDef,), "class"),
    ((ast.BoolOp, ast.Not), "words"),
    ((ast.Compare,), "chain"),
    ((ast.JoinedStr, ast.Constant), "constant"),
    ((ast.Tuple, ast.List), "sequence"),
    ((ast.Attribute,), "attribute"),
)


class Reader:
    """Reads expressions; knows which names stand for something, and whether the arrays are NumPy's."""

    def __init__(self, known: frozenset[str], arrays: bool, call: Callable[[Reader, ast.Call], Node]) -> None:
        self.known = known
        self.arrays = arrays
        self._call = call  # reads arguments, which are expressions again
        self._depth = 0

    def read(self, tree: ast.expr, *, in_place: bool = False) -> Node:
        """Return the node of an expression, or raise a :class:`UsageError` that names what is not understood."""
        if self._depth > DEEPEST_NESTING:
            raise too_large("nesting", DEEPEST_NESTING, f"> {DEEPEST_NESTING}")
        self._depth += 1
        node = self._node(tree)
        self._depth -= 1
        return Node(node.operation, node.inputs, tree, {"in_place": True}, node.form) if in_place else node

    def tensor(self, tree: ast.expr) -> Node:
        """Return a node that may be a tensor; a number has neither methods nor axes."""
        node = self.read(tree)
        if node.operation == "number":
            raise UsageError("explain-number", given=shortened(node.source))
        return node

    def _node(self, tree: ast.expr) -> Node:
        match tree:
            case ast.Name(id=name) if name not in ROOTS and name != "self":
                return Node("name", (), tree, {"name": name})
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return number(tree, value)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
                return _unary(tree, UNARY[type(op)], self.read(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
                return self._binary(tree, BINARY[type(op)], left, right)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in BINARY:
                return self._binary(tree, BINARY[type(op)], left, right)
            case ast.Attribute(value=inner, attr=name) if name in ATTRIBUTES and module_of(inner) is None:
                return Node(name, (self.tensor(inner),), tree)
            case ast.Subscript(value=inner, slice=index):
                return Node("index", (self.tensor(inner),), tree, {"index": self._index(index)})
            case ast.Call():
                return self._call(self, tree)
            case _:
                return refuse(tree)

    def _binary(self, tree: ast.expr, symbol: str, first: ast.expr, second: ast.expr) -> Node:
        """Return the node of an operator; what two numbers make together is a number, as in Python."""
        left, right = self.read(first), self.read(second)
        if left.operation != "number" or right.operation != "number":
            return Node(symbol, (left, right), tree, {}, "np" if self.arrays else "")
        value = together(symbol, left.arguments["value"], right.arguments["value"])
        if value is None:
            raise UsageError("explain-number", given=shortened(ast.unparse(tree)))
        return number(tree, value)

    def _index(self, tree: ast.expr) -> tuple[Any, ...]:
        """Return an index as its entries: whole numbers, ``None``, ``":"``, ``"..."``, slices and nodes."""
        entries: list[Any] = []
        for entry in tree.elts if isinstance(tree, ast.Tuple) else [tree]:
            match entry:
                case ast.Slice(lower=None, upper=None, step=None):
                    entries.append(":")
                case ast.Slice(lower=lower, upper=upper, step=step):
                    entries.append(Slice(*(None if one is None else self.whole(one) for one in (lower, upper, step))))
                case ast.Constant(value=None):
                    entries.append(None)
                case ast.Constant(value=value) if value is ... and "..." not in entries:
                    entries.append("...")
                case ast.List(elts=elements) if elements and all(map(is_integer, elements)):
                    entries.append(Node("numbers", (), entry, {"numbers": tuple(map(integer, elements))}))
                case _:
                    entries.append(self.whole(entry))
        return tuple(entries)

    def whole(self, tree: ast.expr) -> int | Node:
        """Return a whole number, or the node that gives one, or a tensor of them."""
        if is_integer(tree):
            return integer(tree)
        node = self.read(tree)
        if node.operation != "number":
            return node
        value = node.arguments["value"]
        return value if isinstance(value, int) else refuse(tree)


def number(tree: ast.expr, value: float) -> Node:
    """Return the node of a number that is not too large."""
    if not abs(value) <= LARGEST_NUMBER:
        raise too_large("magnitude", LARGEST_NUMBER, shortened(ast.unparse(tree)))
    return Node("number", (), tree, {"value": value})


def together(symbol: str, x: float, y: float) -> float | None:
    """Return what two numbers of Python make together, or None where that is no number of a moderate size."""
    match symbol:
        case "+":
            return x + y
        case "-":
            return x - y
        case "*":
            return x * y
        case "/" | "//" | "%" if y != 0:
            return {"/": x / y, "//": x // y}.get(symbol, x % y)
        case "**" if (x > 0 or isinstance(y, int)) and x != 0 and abs(y) <= 40 and abs(x) <= 40:
            return float(x**y) if isinstance(x, float) or y < 0 or isinstance(y, float) else int(x**y)
        case _:
            return None


def module_of(tree: ast.expr) -> str | None:
    """Return the module that ``torch.nn.functional`` and its like stand for, or None where it is none."""
    names: list[str] = []
    while isinstance(tree, ast.Attribute):
        names.append(tree.attr)
        tree = tree.value
    if not isinstance(tree, ast.Name) or tree.id not in ROOTS:
        return None
    dotted = ".".join([tree.id, *reversed(names)])
    return MODULES.get(dotted, dotted)


def is_integer(tree: ast.expr) -> bool:
    """Whether an expression is a whole number as it is written."""
    inner = tree.operand if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub) else tree
    return isinstance(inner, ast.Constant) and type(inner.value) is int


def integer(tree: ast.expr) -> int:
    """Return a whole number as it is written."""
    value = ast.literal_eval(tree)
    assert isinstance(value, int)
    number(tree, value)
    return value


def _unary(tree: ast.expr, symbol: str, operand: Node) -> Node:
    if operand.operation != "number":
        return Node(symbol, (operand,), tree)
    if symbol == "not":
        refuse(tree)
    value = operand.arguments["value"]
    return number(tree, -value if symbol == "neg" else value)


def refuse(tree: ast.AST) -> NoReturn:
    """Raise the error that names a piece as what it is."""
    place, line = getattr(tree, "col_offset", 0) + 1, getattr(tree, "lineno", 1)
    kind = type(tree.op) if isinstance(tree, ast.UnaryOp) else type(tree)
    name = next((name for kinds, name in _PIECES if kind in kinds), "other")
    if isinstance(tree, ast.Name):
        name = "self" if tree.id == "self" else "module"
    piece = shortened(ast.unparse(tree).partition("\n")[0])
    raise UsageError("explain-piece", what=text(f"explain.piece.{name}"), piece=piece, place=place, line=line)
