"""Why shapes broadcast or do not, step by step, and what to write instead; without a tensor and without torch."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sumtoone.errors import SumtooneError, UsageError, raise_all
from sumtoone.language import text
from sumtoone.language.display import quoted
from sumtoone.language.lines import wrapped
from sumtoone.shapes import drawing
from sumtoone.shapes.parsing import NAMESPACES, names_of, parse, shortened
from sumtoone.shapes.suggestions import Suggestion, repairs, verified
from sumtoone.shapes.tracing import trace
from sumtoone.shapes.traps import traps_in
from sumtoone.shapes.values import LARGEST_AXIS, MOST_AXES
from sumtoone.specification import did_you_mean, plain_number

__all__ = ["Explanation", "Suggestion", "explain"]


@dataclass(frozen=True)
class Explanation:
    """What an expression does with shapes.

    Attributes
    ----------
    expression
        The expression, its spaces made even.
    shape
        The result's shape, or None where PyTorch raises. For ``max`` and ``min`` along an axis: the values' shape.
    error
        Why PyTorch raises, in plain words, or None.
    warnings
        The silent traps: what works, and often gives something else than was meant.
    suggestions
        Lines to write instead, each followed to its own shape: those of the error, then those of the warnings.
    text
        All of it for a terminal, no line wider than 80 cells.
    """

    expression: str
    shapes: Mapping[str, tuple[int, ...]]
    shape: tuple[int, ...] | None
    error: str | None
    warnings: tuple[str, ...]
    suggestions: tuple[Suggestion, ...]
    text: str

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return drawing.as_html(self.text, failed=self.shape is None)

    def to_json(self) -> dict[str, Any]:
        """Return plain values: what ``sumtoone explain --json`` prints."""
        return {
            "expression": self.expression,
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "shape": None if self.shape is None else list(self.shape),
            "error": self.error,
            "warnings": list(self.warnings),
            "suggestions": [{"line": one.line, "shape": list(one.shape)} for one in self.suggestions],
            "text": self.text,
        }


def explain(expression: str, /, **shapes: Sequence[int]) -> Explanation:
    """Explain what an expression does with shapes: how they broadcast, or why they do not and what to write instead.

    Nothing is computed: the expression is read, not run, and tensors are float tensors of which the shape alone
    is known. Understood are arithmetic, comparisons and ``@``, reductions, softmax and the common elementwise
    functions, views, and indexing with ``None``, ``:``, ``...`` and whole numbers; as methods, as ``torch.`` and
    as ``F.`` functions.

    Parameters
    ----------
    expression
        Such as ``"a / b"`` or ``"F.softmax(x, dim=1).sum(dim=0)"``.
    shapes
        The shape of each name: ``a=(64, 10)``, ``c=()`` for a tensor without axes.

    Raises
    ------
    UsageError
        If the expression is not understood, or names and shapes do not match. What PyTorch would refuse is no
        error here but the answer: see ``Explanation.error``.

    Examples
    --------
    >>> explain("a / b", a=(64, 10), b=(10,)).shape
    (64, 10)
    >>> found = explain("a / b", a=(64, 10), b=(64,))
    >>> found.shape is None, found.suggestions[0].line
    (True, 'a / b[:, None]')

    The rules of broadcasting are those of PyTorch's notes on broadcasting semantics.
    """
    root = parse(expression)
    known = _checked_shapes(names_of(root), shapes)
    steps = trace(root, known)
    failure = steps[-1].failure if steps else None
    traps = traps_in(root, steps, known)
    repaired = verified(root, steps[-1].node, repairs(steps[-1]), known) if failure else ()
    error = drawing.failure_text(failure) if failure else None
    output = steps[-1].output if steps else None
    shape = (output.shape if output else None) if steps else known[root.source]
    warnings = tuple(map(drawing.trap_text, traps))
    blocks = [
        drawing.heading(root, known),
        *(drawing.step_lines(step, number) for number, step in enumerate(steps, start=1)),
        [*wrapped(error, f"{text('explain.error')}: ", "  "), *drawing.instead(repaired)] if error else [],
        drawing.verdict(root, steps, shape),
        *(_warning_lines(warning) for warning in warnings),
    ]
    suggestions = (*repaired, *(one for trap in traps for one in trap.suggestions))
    return Explanation(root.source, known, shape, error, warnings, suggestions, drawing.joined(blocks))


def _warning_lines(warning: str) -> list[str]:
    words, _, rest = warning.partition(f"\n  {text('explain.instead')}")
    lines = wrapped(words, f"{text('explain.warning')}: ", "  ")
    return [*lines, *(warning[len(words) + 1 :].split("\n") if rest else [])]


def _checked_shapes(names: Sequence[str], given: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each name, or raise every complaint about them at once."""
    problems: list[SumtooneError] = []
    shapes: dict[str, Sequence[int]] = {}
    for key, shape in given.items():
        name = unicodedata.normalize("NFKC", key)  # as Python reads it
        if name in shapes:
            problems.append(UsageError("explain-shape-twice", name=shortened(name)))
        shapes[name] = shape
    if not names:
        raise UsageError("explain-no-tensor")
    for name in names:
        if name not in shapes:
            hint = did_you_mean(name, unused) if (unused := [one for one in shapes if one not in names]) else ""
            hint = hint or text("explain.add-shape", name=name)
            problems.append(UsageError("explain-shape-missing", name=shortened(name), hint=hint))
    for name, shape in shapes.items():
        if name not in names or name in NAMESPACES:
            listed = shortened(", ".join(names))
            problems.append(UsageError("explain-shape-unused", name=_named(name), names=listed))
        elif not _is_shape(shape):
            given_shape = shortened(quoted(shape))
            fields = {"largest": f"{LARGEST_AXIS:,}", "limit": MOST_AXES}
            problems.append(UsageError("explain-shape-value", name=shortened(name), given=given_shape, **fields))
    raise_all(problems)
    return {name: tuple(map(plain_number, shapes[name])) for name in names}


def _is_shape(shape: object) -> bool:
    if not isinstance(shape, tuple | list) or len(shape) > MOST_AXES:
        return False
    return all(type(size) is int and 0 <= size <= LARGEST_AXIS for size in map(plain_number, shape))


def _named(name: str) -> str:
    return shortened(name if name.isidentifier() else quoted(name))
