"""What to write instead: edits of the program, shown only after the program has been followed with them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from sumtoone.errors import UsageError
from sumtoone.shapes.edits import Edit, origin, replaced
from sumtoone.shapes.meant import bias_of, fits
from sumtoone.shapes.nodes import Program
from sumtoone.shapes.parsing import program_of
from sumtoone.shapes.repairs import repairs
from sumtoone.shapes.scene import Scene, scene_of
from sumtoone.shapes.tracing import Step, Trace, trace
from sumtoone.shapes.traps import WEAK, traps_in
from sumtoone.shapes.values import Value, shown, tensor

MOST_SUGGESTIONS = 3
MOST_TRIED = 80
# Steps followed in search of advice for one program: half a second for the longest.
MOST_STEPS = 10_000


@dataclass(frozen=True)
class Suggestion:
    """A line to write instead, and the shape it gives."""

    line: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.line}  # {shown(self.shape)}"


@dataclass(frozen=True)
class Cures:
    """What could be written instead of what fails, and the traps that remain with the first."""

    suggestions: tuple[Suggestion, ...]
    remaining: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Tried:
    suggestion: Suggestion
    traps: frozenset[str]
    worth: tuple[int, int]
    program: Program


class Adviser:
    """Tries edits of one program with its values, as many as its length allows."""

    def __init__(self, program: Program, values: Mapping[str, Value]) -> None:
        self.program = program
        self.values = dict(values)
        self._steps_left = MOST_STEPS

    def cures(self, followed: Trace) -> Cures:
        """Return what could be written instead of the step that fails, the likeliest first."""
        step = followed.failed
        assert step is not None
        bias = bias_of(step, scene_of(followed, self.values))
        if bias is not None and bias.edit is None:
            return Cures(self.bias(bias.name, bias.outputs))
        best = self._best(self.program, followed, 1)
        return Cures(tuple(one.suggestion for one in best), best[0].traps if best else frozenset())

    def bias(self, name: str, outputs: int) -> tuple[Suggestion, ...]:
        """Return the line that gives a bias one number for each output, if all works with it."""
        values = {**self.values, name: tensor((outputs,), self.values[name].kind)}
        fits_all = trace(self.program, values).value is not None
        return (Suggestion(f"{name} = torch.zeros({outputs})", (outputs,)),) if fits_all else ()

    def better(self, edits: Iterable[Edit], had: int) -> tuple[Suggestion, ...]:
        """Return what could be written instead of a trap; where one is strong, each leaves fewer than there were."""
        tried = [one for edit in edits if (one := self._tried(self.program, edit)) is not None]
        fewer = [one.suggestion for one in tried if not had or one.worth[0] < had]
        return tuple(dict.fromkeys(fewer))[:MOST_SUGGESTIONS]

    def _best(self, program: Program, followed: Trace, more: int) -> list[_Tried]:
        step = followed.failed
        assert step is not None
        found: dict[str, _Tried] = {}
        scene = scene_of(followed, self.values)
        for edit in islice(repairs(step, scene), MOST_TRIED):
            one = self._tried(program, edit, step, more, scene)
            if one is not None:
                found.setdefault(one.suggestion.line, one)
            if sum(one.worth == (0, 0) for one in found.values()) == MOST_SUGGESTIONS:
                break
        best = sorted(found.values(), key=lambda one: one.worth)[:MOST_SUGGESTIONS]
        # What gives another shape than was meant is shown only where nothing better is known.
        return [one for one in best if one.worth == (0, 0) or best[0].worth != (0, 0)]

    def _tried(
        self, program: Program, edit: Edit, step: Step | None = None, more: int = 0, scene: Scene | None = None
    ) -> _Tried | None:
        """Return a program with an edit, if it works then; a second fault in the same line is cured as well."""
        if self._steps_left < 0:
            return None
        tree = replaced(program.tree, edit)
        assert isinstance(tree, ast.Module)
        try:
            other = program_of(tree.body, self.values, self.program.arrays)
            followed = trace(other, self.values)
        except UsageError:
            return None
        self._steps_left -= len(followed.steps)
        if followed.failed is not None:
            if not more or step is None or origin(followed.failed.node.tree) is origin(step.node.tree):
                return None
            best = next(iter(self._best(other, followed, more - 1)), None)
            # Two edits are less likely than one, even one that turns the result over.
            return None if best is None else replace(best, worth=(best.worth[0], best.worth[1] + 1))
        places = [place for place, old in enumerate(self.program.tree.body) if tree.body[place] is not old]
        if len(places) != 1:
            return None
        changed = tree.body[places[0]]
        lines = [value for one, value in zip(other.statements, followed.lines, strict=True) if one.tree is changed]
        suggestion = Suggestion(ast.unparse(changed), lines[-1].shape)
        traps = [trap.code for trap in traps_in(followed, self.values) if trap.code not in WEAK]
        turned = 0
        if step is not None and scene is not None:
            same = [one.output for one in followed.steps if origin(one.node.tree) is origin(step.node.tree)]
            turned = int(bool(same) and same[-1] is not None and not fits(step, same[-1].shape, scene))
        return _Tried(suggestion, frozenset(traps), (len(traps), turned), other)
