"""Where a message came from: the learner's line as a tree, the layer that it calls, the tensors that met."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sumtoone.shapes.failures.tracebacks import Failure
from sumtoone.shapes.vocabulary import BINARY

_LONGEST_NAME = 40
_PRODUCTS = ("mm", "matmul", "linear", "bmm", "mv", "dot")
_TWO = ("add", "sub", "mul", "div", "eq", "pow", "maximum", "minimum", "mse_loss", "l1_loss")


@dataclass(frozen=True)
class Circumstances:
    """What is known of an error beside its traceback, where the program that raised it is at hand.

    Attributes
    ----------
    layer
        The layer in which it was raised, as the learner's module names it: ``"fc2"`` or ``"layers[2]"``.
    is_linear
        Whether the layer is PyTorch's own linear layer.
    received
        The shape of the tensor that reached the layer.
    shapes
        The shape of each tensor with a name where the learner's line stands.
    is_whole
        Whether ``layer`` is the whole network, and so only the name of its class.
    """

    layer: str | None = None
    is_linear: bool = False
    received: tuple[int, ...] | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    is_whole: bool = False


@dataclass(frozen=True)
class Scene:
    """Where a message came from, and the names that the learner gave to what met there."""

    failure: Failure
    circumstances: Circumstances

    @cached_property
    def operation(self) -> ast.expr | ast.AugAssign | None:
        """The piece of the learner's line that failed, as a tree."""
        return None if self.failure.own is None else self.failure.own.operation()

    @property
    def name(self) -> str | None:
        """The name of the function, method or layer that was called, or None."""
        call = self._call(_calls_any)
        return None if call is None else last_name(call.func)

    @property
    def is_linear(self) -> bool:
        """Whether the error was raised in PyTorch's own linear layer."""
        files = [frame.file.replace("\\", "/") for frame in self.failure.beyond]
        return self.circumstances.is_linear or any(file.endswith("/modules/linear.py") for file in files)

    @property
    def is_loss(self) -> bool:
        """Whether the error was raised in a loss that takes labels, under whatever name it was called."""
        names = [self.name or "", *(frame.function for frame in self.failure.beyond)]
        return any("cross_entropy" in name or "nll_loss" in name for name in names)

    @cached_property
    def layer(self) -> str | None:
        """The layer that failed: as the module names it, else as the line that calls it does."""
        if self.circumstances.layer is not None:
            return self.circumstances.layer
        files = [frame.file.replace("\\", "/") for frame in self.failure.beyond]
        if not any("/torch/nn/modules/" in file and not file.endswith("/module.py") for file in files):
            return None  # what every call of a module goes through is no layer
        call = self._call(_calls_layer)
        return None if call is None else named(call.func, "").removeprefix("self.") or None

    @property
    def attribute(self) -> str | None:
        """What the layer is kept under, such as ``self.fc1``, or None."""
        if self.circumstances.layer is not None:
            name = self.circumstances.layer
            return f"self.{name}" if name.isidentifier() and not self.circumstances.is_whole else None
        call = self._call(_calls_layer)
        return None if call is None or isinstance(call.func, ast.Call) else ast.unparse(call.func)

    @property
    def is_inside(self) -> bool:
        """Whether the layer's name is of something, such as ``nn.Sequential``, that holds what failed."""
        files = [frame.file for frame in self.failure.beyond]
        return self.circumstances.layer is None and any(file.endswith("container.py") for file in files)

    @property
    def tensor(self) -> str:
        """The tensor that went in, as the learner wrote it, or ``"x"``."""
        call = self._call(_calls_any)
        if call is None:
            return "x"
        if isinstance(call.func, ast.Attribute) and not (_calls_layer(call) or is_module(call.func.value)):
            return _simple(call.func.value)
        return _simple(call.args[0]) if call.args else "x"

    def _whole(self) -> ast.AST | None:
        """Return the piece that is marked as what failed; of a line without marks it may be any part."""
        return self.operation if self.failure.own is not None and self.failure.own.piece else None

    def _parts(self) -> list[ast.AST]:
        return [] if self.operation is None else list(ast.walk(self.operation))

    def _call(self, wanted: Callable[[ast.Call], bool]) -> ast.Call | None:
        """Return the call that failed, if it is one that is wanted, else the one such call of the line."""
        whole = self._whole()
        if isinstance(whole, ast.Call) and wanted(whole):
            return whole
        calls = [part for part in self._parts() if isinstance(part, ast.Call) and wanted(part)]
        return calls[0] if len(calls) == 1 else None

    def _operands(self) -> tuple[ast.expr, ast.expr] | None:
        """Return the two sides of what failed, or of the one operation of the line."""
        whole = self._whole()
        sides = [found for part in self._parts() if (found := _sides(part)) is not None]
        if whole is not None and (found := _sides(whole)) is not None:
            return found
        return sides[0] if len(sides) == 1 else None

    def pair(self, left: str, right: str) -> tuple[ast.expr | None, ast.expr | None, str, str]:
        """Return the two things that met, as trees and as they are written; else the names that are given."""
        found = self._operands()
        if found is None:
            return None, None, left, right
        return *found, named(found[0], left), named(found[1], right)


def _sides(node: ast.AST) -> tuple[ast.expr, ast.expr] | None:
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return left, right
        case ast.AugAssign(target=left, value=right):
            return left, right
        case ast.Compare(left=left, comparators=[right]):
            return left, right
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in (*_PRODUCTS, *_TWO):
            places = node.args if is_module(value) else [value, *node.args]
            return (places[0], places[1]) if len(places) > 1 else None
    return None


def _calls_any(call: ast.Call) -> bool:
    return True


def _calls_layer(call: ast.Call) -> bool:
    """Whether a call is of ``self.fc1`` or of a plain name such as ``net``."""
    match call.func:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name != "forward"
        case ast.Subscript() | ast.Name() | ast.Call():
            return True
    return False


def is_module(tree: ast.expr) -> bool:
    """Return whether what stands before a function's name is a module of PyTorch's, and no tensor."""
    return ast.unparse(tree) in ("torch", "F", "nn", "np", "numpy", "nn.functional", "torch.nn.functional", "super()")


def last_name(tree: ast.expr) -> str | None:
    """Return the name of a function or method without what stands before it."""
    if isinstance(tree, ast.Attribute):
        return tree.attr
    return tree.id if isinstance(tree, ast.Name) else None


def named(tree: ast.expr, otherwise: str) -> str:
    """Return a piece as it is written, or another name for it where it is long."""
    written = ast.unparse(tree)
    return written if len(written) <= _LONGEST_NAME else otherwise


def _simple(tree: ast.expr) -> str:
    """Return a name as it is written, ``"x"`` for what would have to be computed again."""
    return named(tree, "x") if isinstance(tree, ast.Name | ast.Attribute) else "x"
