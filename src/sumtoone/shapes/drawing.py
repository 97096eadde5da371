"""An explanation as lines of text: the steps, shapes laid under each other, the verdict, what to write instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isnan

from sumtoone.language import text
from sumtoone.language.lines import WIDTH, cells, cut, padded, wrapped
from sumtoone.shapes.indexing import is_mask
from sumtoone.shapes.repairs import bias_of
from sumtoone.shapes.rules import reduced_axes
from sumtoone.shapes.scene import Found, Scene
from sumtoone.shapes.suggestions import Suggestion
from sumtoone.shapes.tracing import Step, Trace
from sumtoone.shapes.values import Value, shown
from sumtoone.shapes.vocabulary import ARITHMETIC, COMPARISONS, REDUCTIONS

_INDENT = "     "
_LONGEST_LABEL = 24
_LONGEST_SOURCE = 40


def heading(source: str, values: Mapping[str, Value]) -> list[str]:
    """Return the lines and the shapes of their tensors."""
    listed = ", ".join(f"{name} {shown(value.shape)}" for name, value in values.items())
    return [*(line for one in source.split("\n") for line in wrapped(one)), *(wrapped(listed, "  ") if listed else [])]


def step_lines(step: Step, number: int) -> list[str]:
    """Return the lines of one step."""
    lines = wrapped(cut(step.node.source, WIDTH - 8), f"{number:>2}. ")
    if step.node.operation in (*ARITHMETIC, *COMPARISONS) and not any(value.pair for value in step.inputs):
        return [*lines, *_aligned(step)]
    if step.output is None:
        arrow = " , ".join(map(_shown_value, step.inputs))
        return [*lines, *wrapped(arrow.replace(" ,", ","), _INDENT)] if arrow else lines
    arrow = f"{', '.join(map(_shown_value, step.inputs))} → {shown(step.output.shape)}".removeprefix(" → ")
    return [*lines, *wrapped(arrow, _INDENT), *(line for note in _notes(step) for line in wrapped(note, _INDENT))]


def verdict(followed: Trace) -> list[str]:
    """Return the line that says what comes out."""
    value = followed.value
    if value is None:
        return []
    if value.number is not None:
        number = text("explain.number") if isnan(value.number) else value.number
        return wrapped(text("explain.result-number", number=number))
    if value.sizes is not None:
        return wrapped(text("explain.result-sizes", sizes=shown(value.sizes)))
    return wrapped(text("explain.pair" if value.pair else "explain.result", shape=shown(value.shape)))


def failure_text(step: Step, scene: Scene) -> str:
    """Return in plain words why PyTorch refuses, on one line."""
    failure = step.failure
    assert failure is not None
    bias = bias_of(step, scene)
    if bias is not None:
        shapes = {part.source: value.shape for part, value in zip(step.node.inputs, step.inputs, strict=True)}
        fields = {"bias": _short(bias.name), "shape": shown(shapes[bias.name]), "outputs": bias.outputs}
        return text("explain.fails.bias", **fields)
    fields = {name: _short(value) for name, value in failure.fields.items()}
    fields.update({name: text(f"explain.kind.{one}") for name, one in fields.items() if name.endswith("kind")})
    return text(f"explain.fails.{failure.code}", **fields)


def trap_text(trap: Found, advice: Sequence[Suggestion]) -> str:
    """Return what a trap does and what to write instead, in lines that fit."""
    fields = {name: _short(value) for name, value in trap.fields.items()}
    fields.update({name: text(f"explain.kind.{one}") for name, one in fields.items() if name.endswith("kind")})
    return "\n".join([*wrapped(text(f"explain.trap.{trap.code}", **fields)), *instead(advice)])


def confirmation(code: str, fields: Mapping[str, object]) -> str:
    """Return what is right about a result, on one line."""
    return text(f"explain.confirmed.{code}", **{name: _short(value) for name, value in fields.items()})


def instead(suggestions: Sequence[Suggestion]) -> list[str]:
    """Return the lines to write instead, the shape each gives behind it."""
    if not suggestions:
        return []
    column = max(cells(suggestion.line) for suggestion in suggestions)
    lines = [f"    {padded(one.line, column)}  # {shown(one.shape)}" for one in suggestions]
    pairs = zip(lines, suggestions, strict=True)
    fitting = [[line] if cells(line) <= WIDTH else wrapped(str(one), "    ", "        ") for line, one in pairs]
    return [f"  {text('explain.instead')}", *(line for one in fitting for line in one)]


def as_html(lines: str, *, failed: bool) -> str:
    """Return the text for a notebook, in a fixed-width font."""
    import html  # a tenth of a terminal's answer would go into loading it

    colour = "#b3261e" if failed else "#2e7d32"
    style = f"border-left:3px solid {colour};padding:4px 12px;line-height:1.35"
    return f'<pre style="{style}">{html.escape(lines)}</pre>'


def _short(value: object) -> object:
    return cut(value, _LONGEST_SOURCE) if isinstance(value, str) else value


def _shown_value(value: Value) -> str:
    if value.number is not None:
        return text("explain.number")
    if value.module is not None or value.sizes is not None:
        return text("explain.kind.module" if value.sizes is None else "explain.kind.sizes")
    return text("explain.pair-of", shape=shown(value.shape)) if value.pair else shown(value.shape)


def _aligned(step: Step) -> list[str]:
    """Return the operands' shapes laid under each other from the right, and what each axis does."""
    parts = [(part.source, value) for part, value in zip(step.node.inputs, step.inputs, strict=True)]
    rows = [(cut(source, _LONGEST_LABEL), value.shape) for source, value in parts if value.number is None]
    if len(rows) < len(parts):
        words = text("explain.scalar", shape=shown(max((value.shape for _, value in parts), key=len)))
        return wrapped(words, _INDENT)
    if step.output is not None:
        rows.append(("=", step.output.shape))
    label = max(cells(source) for source, _ in rows)
    rank = max(len(shape) for _, shape in rows)
    padded_rows = [(source, ("",) * (rank - len(shape)) + tuple(map(str, shape))) for source, shape in rows]
    widths = [max(len(sizes[axis]) for _, sizes in padded_rows) for axis in range(rank)]
    lines = []
    for source, sizes in padded_rows:
        figures = "  ".join(f"{size:>{width}}" for size, width in zip(sizes, widths, strict=True))
        lines.append(f"{_INDENT}{padded(source, label)}  {figures or '()'}".rstrip())
    notes = _clash(step, widths, label) if step.output is None else _stretches(step, rank)
    return [*lines, *notes]


def _clash(step: Step, widths: Sequence[int], label: int) -> list[str]:
    """Return a mark under the axis where two shapes clash; other failures have their own words."""
    assert step.failure is not None
    if step.failure.code != "broadcast":
        return []
    back = -int(str(step.failure.fields["axis"]))
    behind = sum(width + 2 for width in widths[len(widths) - back + 1 :])
    before = cells(_INDENT) + label + 2 + sum(width + 2 for width in widths) - 2 - behind - 1
    fields = step.failure.fields
    words = text("explain.clash", left=fields["left_size"], right=fields["right_size"])
    if before + 2 + cells(words) <= WIDTH:
        return [" " * before + "^ " + words]
    return [" " * before + "^", *wrapped(words, _INDENT)]


def _stretches(step: Step, rank: int) -> list[str]:
    """Return a line for each operand that is stretched or repeated along an axis."""
    assert step.output is not None
    lines = []
    for part, value in zip(step.node.inputs, step.inputs, strict=True):
        missing = rank - len(value.shape)
        for axis, size in enumerate(step.output.shape):
            fields = {"name": cut(part.source, _LONGEST_LABEL), "axis": axis, "size": size}
            if axis < missing and size != 1:
                lines.append(text("explain.repeated", **fields))
            elif axis >= missing and value.shape[axis - missing] == 1 and size != 1:
                lines.append(text("explain.stretched", **fields))
    return [piece for line in lines for piece in wrapped(line, _INDENT)]


def _notes(step: Step) -> list[str]:
    """Return what is worth a word about a step that works."""
    node, shape = step.node, step.inputs[0].shape if step.inputs else ()
    assert step.output is not None
    if node.operation in REDUCTIONS:
        axes = reduced_axes(node, len(shape))
        if step.output.pair:
            return [text("explain.returns-pair", operation=node.operation)]
        if "dim" not in node.arguments or not shape:
            return [text("explain.all", elements=f"{step.inputs[0].elements:,}")]
        key = "explain.kept" if node.arguments.get("keepdim") else "explain.gone"
        return [text(key, axes=", ".join(map(str, axes)), sizes=", ".join(str(shape[axis]) for axis in axes))]
    if node.operation in ("@", "mm"):
        return [text("explain.inner", size=shape[-1])]
    if node.operation == "index":
        entries = zip(node.arguments.get("index_nodes", ()), node.arguments["index"], strict=False)
        chosen = [one for part, one in entries if isinstance(one, Value) and is_mask(part, one, step.inputs[0])]
        return [text("explain.mask", most=f"{one.elements:,}") for one in chosen]
    return []


def joined(blocks: Sequence[Sequence[str]]) -> str:
    """Return blocks of lines with an empty line between them."""
    filled = [block for block in blocks if block]
    lines = [*(line for block, _ in pairwise([*filled, ()]) for line in (*block, ""))]
    return "\n".join(lines).rstrip("\n")
