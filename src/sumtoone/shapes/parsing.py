"""Lines such as ``"loss = -(y * log_p).sum(dim=1).mean()"`` become a :class:`Program`; nothing is ever run as Python.

Python's own parser reads the text; a walk over a short list of what is understood turns its tree into ours and
refuses the rest by name and place.
"""

from __future__ import annotations

import ast
import textwrap
import warnings
from collections.abc import Collection, Iterator

from sumtoone.errors import UsageError
from sumtoone.shapes.calls import call
from sumtoone.shapes.nodes import Program, Statement, shortened
from sumtoone.shapes.reading import Reader, refuse
from sumtoone.shapes.values import too_large

LONGEST_TEXT = 4_000
MOST_LINES = 60


def parse(expression: str, given: Collection[str] = (), *, arrays: bool = False) -> Program:
    """Read an expression over tensors, or several lines of them.

    ``given`` are the names that stand for something outside the text; calling one of them applies a layer.
    ``arrays`` says that they are NumPy's, which the text tells otherwise where it holds ``np``.

    Raises
    ------
    UsageError
        If it is no Python, is too long, or holds a piece outside the language explained here.

    Examples
    --------
    >>> node = parse("a / a.sum(dim=1)").statements[0].node
    >>> node.operation, [part.source for part in node.inputs]
    ('/', ['a', 'a.sum(dim=1)'])
    """
    if not isinstance(expression, str):
        what = {"function": "explain", "name": "expression", "wanted": "str", "given": type(expression).__name__}
        raise UsageError("argument-type", **what, hint="explain('a / b', a=(64, 10), b=(64, 1))")
    stripped = textwrap.dedent(expression).strip()
    if len(stripped) > LONGEST_TEXT:
        raise too_large("characters", LONGEST_TEXT, len(stripped))
    try:
        with warnings.catch_warnings():
            # Python warns of doubtful syntax such as `1(a)`, which is refused below in our own words.
            warnings.simplefilter("ignore")
            body = list(_flat(ast.parse(stripped).body))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = getattr(error, "offset", None) or 1
        raise UsageError("explain-syntax", given=shortened(stripped), place=place) from None
    if len(body) > MOST_LINES:
        raise too_large("lines", MOST_LINES, len(body))
    return program_of(body, given, arrays)


def program_of(body: list[ast.stmt], given: Collection[str], arrays: bool) -> Program:
    """Return the program that Python's statements are."""
    names = [part.id for one in body for part in ast.walk(one) if isinstance(part, ast.Name)]
    arrays = arrays or "np" in names or "numpy" in names
    known = set(given)
    statements: list[Statement] = []
    for tree in body:
        found = list(_statements(tree, Reader(frozenset(known), arrays, call)))
        known.update(name for statement in found for name in statement.targets)
        statements += found
    if not statements:
        raise UsageError("explain-no-tensor")
    return Program(ast.Module(body, []), tuple(statements), arrays)


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that compute: no imports and comments; those within a ``with`` stand for themselves."""
    for statement in body:
        match statement:
            case ast.Import() | ast.ImportFrom() | ast.Pass() | ast.Expr(value=ast.Constant(value=str())):
                continue
            case ast.With(body=inner):
                yield from _flat(inner)
            case _:
                yield statement


def _statements(tree: ast.stmt, reader: Reader) -> Iterator[Statement]:
    match tree:
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=args)):
            yield from (Statement(reader.read(one), (), tree) for one in args if not isinstance(one, ast.Constant))
        case ast.Expr(value=ast.expr() as value) | ast.Return(value=ast.expr() as value):
            yield Statement(reader.read(value), (), tree)
        case ast.Assign(targets=[target], value=value):
            yield Statement(reader.read(value), _targets(target), tree)
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield Statement(reader.read(value), (name,), tree)
        case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
            left = ast.copy_location(ast.Name(name, ast.Load()), target)
            whole = ast.copy_location(ast.BinOp(left, op, value), tree)
            yield Statement(reader.read(whole, in_place=True), (name,), tree)
        case _:
            refuse(tree)


def _targets(target: ast.expr) -> tuple[str, ...]:
    names = [one for one in (target.elts if isinstance(target, ast.Tuple) else [target]) if isinstance(one, ast.Name)]
    if len(names) < (max(len(target.elts), 2) if isinstance(target, ast.Tuple) else 1):
        refuse(target)
    return tuple(name.id for name in names)
