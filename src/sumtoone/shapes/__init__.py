"""Why shapes broadcast or do not, step by step, and what to write instead; without a tensor and without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sumtoone.errors import UsageError
from sumtoone.language import text
from sumtoone.language.lines import wrapped
from sumtoone.shapes import drawing
from sumtoone.shapes.confirming import confirmed
from sumtoone.shapes.given import is_array, values_of
from sumtoone.shapes.parsing import parse
from sumtoone.shapes.scene import scene_of
from sumtoone.shapes.suggestions import Adviser, Cures, Suggestion
from sumtoone.shapes.tracing import Step, trace
from sumtoone.shapes.traps import WEAK, traps_in

__all__ = ["Explanation", "Suggestion", "explain"]


@dataclass(frozen=True)
class Explanation:
    """What an expression does with shapes.

    Attributes
    ----------
    expression
        The lines, their spaces made even.
    shape
        The last line's shape, or None where PyTorch raises. For ``max`` and ``min`` along an axis: the values' shape.
    error
        Why PyTorch raises, in plain words, or None.
    warnings
        The silent traps: what works, and often gives something else than was meant.
    suggestions
        Lines to write instead, each followed to its own shape: those of the error, then those of the warnings.
    confirmed
        What is right about the result, and how that is known, such as that each row sums to one; or None.
    text
        All of it for a terminal, no line wider than 80 cells.
    """

    expression: str
    shapes: Mapping[str, tuple[int, ...]]
    shape: tuple[int, ...] | None
    error: str | None
    warnings: tuple[str, ...]
    suggestions: tuple[Suggestion, ...]
    confirmed: str | None
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
            "confirmed": self.confirmed,
            "text": self.text,
        }


def explain(expression: str, /, **shapes: Any) -> Explanation:
    """Explain what an expression does with shapes: how they broadcast, or why they do not and what to write instead.

    Nothing is computed: the lines are read, not run. Understood are the lines of a lesson: arithmetic, comparisons and
    ``@``, reductions, softmax, losses and the common elementwise functions, views, indexing with numbers, slices,
    masks and tensors, ``cat``, ``stack`` and ``einsum``, dense layers (``nn.Linear(784, 10)(x)``), ``torch.randn`` and
    its like, ``x.shape[0]``; as methods, as ``torch.``, ``F.``, ``np.`` and ``s1.`` functions; with assignments, and
    several lines at once.

    Parameters
    ----------
    expression
        Such as ``"a / b"`` or ``"F.softmax(x, dim=1).sum(dim=0)"``, or several lines.
    shapes
        The shape of each name that the lines do not make themselves: ``a=(64, 10)``, ``c=()`` for a tensor without
        axes. Or the tensor itself, whose shape and type of element are taken, or a dense ``nn`` module.

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
    >>> explain("e = torch.exp(x); e / e.sum(dim=1, keepdim=True)", x=(64, 10)).confirmed
    'each of the 64 rows sums to one: e is divided by its own sum along the row.'

    The rules of broadcasting are those of PyTorch's notes on broadcasting semantics.
    """
    program = parse(expression, shapes, arrays=any(map(is_array, shapes.values())))
    known = values_of(program.names(), shapes)
    followed = trace(program, known)
    if followed.value is not None and followed.value.module is not None:
        raise UsageError("explain-no-tensor")
    adviser = Adviser(program, known)
    cures = adviser.cures(followed) if followed.failed else Cures(())
    traps = traps_in(followed, known)
    if cures.suggestions:
        traps = tuple(trap for trap in traps if trap.code in cures.remaining)
    strong = sum(trap.code not in WEAK for trap in traps)
    advice = [
        adviser.bias(*trap.bias) if trap.bias else adviser.better(trap.edits, strong if trap.code not in WEAK else 0)
        for trap in traps
    ]
    error = drawing.failure_text(followed.failed, scene_of(followed, known)) if followed.failed else None
    shape = None if followed.value is None else followed.value.shape
    warnings = tuple(map(drawing.trap_text, traps, advice))
    right = confirmed(followed.node, scene_of(followed, known)) if shape is not None and not strong else None
    words = None if right is None else drawing.confirmation(*right)
    blocks = [
        drawing.heading(program.source, {name: value for name, value in known.items() if value.module is None}),
        *(drawing.step_lines(step, number) for number, step in enumerate(_once(followed.steps), start=1)),
        [*wrapped(error, f"{text('explain.error')}: ", "  "), *drawing.instead(cures.suggestions)] if error else [],
        drawing.verdict(followed),
        [] if words is None else wrapped(words, f"{text('explain.right')}: ", "  "),
        *(_warning_lines(warning) for warning in warnings),
    ]
    suggestions = (*cures.suggestions, *(one for found in advice for one in found))
    given = {name: value.shape for name, value in known.items() if value.module is None}
    return Explanation(program.source, given, shape, error, warnings, suggestions, words, drawing.joined(blocks))


def _once(steps: Sequence[Step]) -> list[Step]:
    """Return the steps but for those that stand there already: ``torch.exp(x)`` twice in a line is one step."""
    return list({(step.node.source, step.inputs, step.output): step for step in reversed(steps)}.values())[::-1]


def _warning_lines(warning: str) -> list[str]:
    words, _, rest = warning.partition(f"\n  {text('explain.instead')}")
    lines = wrapped(words, f"{text('explain.warning')}: ", "  ")
    return [*lines, *(warning[len(words) + 1 :].split("\n") if rest else [])]
