"""What lines of a program become: a tree of operations, each with the piece of text it stands for."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sumtoone.language.display import printable


@dataclass(frozen=True, eq=False)
class Node:
    """One operation: its name, what goes in, its arguments, and the piece of Python's tree it stands for.

    An argument that is not known before shapes are, such as ``x.shape[0]``, is a node too. ``form`` is how the
    function was written: ``"torch"``, ``"F"``, ``"np"``, ``"s1"``, ``"nn"`` or ``"method"``.
    """

    operation: str
    inputs: tuple[Node, ...]
    tree: ast.expr
    arguments: Mapping[str, Any] = field(default_factory=dict)
    form: str = ""

    @cached_property
    def source(self) -> str:
        """The operation as it is written, spaces made even."""
        return ast.unparse(self.tree)


@dataclass(frozen=True)
class Slice:
    """``lower:upper:step`` of an index; each a whole number, a node that gives one, or None."""

    lower: Any
    upper: Any
    step: Any


@dataclass(frozen=True, eq=False)
class Statement:
    """One line: what it computes, and the names that it gives to it, if any."""

    node: Node
    targets: tuple[str, ...]
    tree: ast.stmt


@dataclass(frozen=True, eq=False)
class Program:
    """The lines of a text that compute something, in order; ``arrays`` where they are NumPy's."""

    tree: ast.Module
    statements: tuple[Statement, ...]
    arrays: bool

    @cached_property
    def source(self) -> str:
        """The lines as they are written, spaces made even."""
        return ast.unparse(self.tree)

    def names(self) -> list[str]:
        """Return the names that have to be given, each once, in order of appearance: those that no line makes."""
        made: set[str] = set()
        needed: list[str] = []
        for statement in self.statements:
            needed += [name for name in names_of(statement.node) if name not in made]
            made.update(statement.targets)
        return list(dict.fromkeys(needed))


def names_of(node: Node) -> list[str]:
    """Return the names in an expression, each once, in order of appearance."""
    own = [node.arguments["name"]] if node.operation == "name" else []
    inner = (*node.inputs, *parts(node.arguments.values()))
    return list(dict.fromkeys([*own, *(name for part in inner for name in names_of(part))]))


def parts(values: object) -> Iterator[Node]:
    """Yield the nodes among arguments, also those within tuples and slices."""
    if isinstance(values, Node):
        yield values
    elif isinstance(values, Slice):
        yield from parts((values.lower, values.upper, values.step))
    elif not isinstance(values, str) and hasattr(values, "__iter__"):
        for value in values:
            yield from parts(value)


def shortened(given: str) -> str:
    """Return a piece of what was given for an error: printable and not long."""
    return printable(given, 50)
