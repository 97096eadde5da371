"""What is known of a tensor without its numbers: shape, kind of element, and layout in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import nan, prod
from typing import TYPE_CHECKING

from sumtoone.errors import UsageError
from sumtoone.language import text

if TYPE_CHECKING:
    from sumtoone.shapes.nodes import Node

LARGEST_AXIS = 1_000_000
MOST_AXES = 8
MOST_ELEMENTS = 10**15

FLOAT, DOUBLE, INTEGER, BOOLEAN = "float", "double", "integer", "boolean"
FLOATS = (FLOAT, DOUBLE)
# The value of a number that only a run would tell, such as that of x.mean().item().
UNKNOWN = nan


class Fails(Exception):  # noqa: N818 - a verdict on somebody else's expression
    """An operation that PyTorch refuses; ``code`` names the text that says why."""

    def __init__(self, code: str, /, **fields: object) -> None:
        super().__init__(code)
        self.code = code
        self.fields = fields


@dataclass(frozen=True)
class Value:
    """A tensor of an expression, or one of the other things that stand there.

    ``strides`` is None where the layout is PyTorch's own affair; ``number`` is set for a Python number alone;
    ``pair`` marks the (values, indices) that ``max`` and ``min`` along an axis return; ``sizes`` is what
    ``x.shape`` holds; ``module`` a layer. ``assumed`` marks a tensor of which nobody said what it holds.
    """

    shape: tuple[int, ...]
    kind: str = FLOAT
    strides: tuple[int, ...] | None = None
    number: float | None = None
    pair: bool = False
    sizes: tuple[int, ...] | None = None
    module: Node | None = None
    assumed: bool = False

    @property
    def is_tensor(self) -> bool:
        """Whether it is a tensor, and not a pair, a number, a shape or a layer."""
        return self.number is None and self.sizes is None and self.module is None and not self.pair

    @property
    def elements(self) -> int:
        """How many numbers the tensor holds."""
        return prod(self.shape)

    @property
    def contiguous(self) -> bool:
        """Whether the elements lie in memory in the order of the axes, as far as is known."""
        if self.strides is None or 0 in self.shape:
            return self.strides is not None
        ordered = row_major(self.shape)
        return all(
            size == 1 or stride == wanted
            for size, stride, wanted in zip(self.shape, self.strides, ordered, strict=True)
        )


def tensor(shape: Sequence[int], kind: str = FLOAT) -> Value:
    """Return a fresh tensor whose elements lie in order."""
    return checked(Value(tuple(shape), kind, row_major(shape)))


def made_from(shape: Sequence[int], kind: str, *inputs: Value) -> Value:
    """Return a new tensor that an operation fills; its layout follows from that of the inputs."""
    ordered = all(value.contiguous for value in inputs if value.number is None)
    return checked(Value(tuple(shape), kind, row_major(shape) if ordered else None))


def promoted(*values: Value) -> str:
    """Return the kind of element that several kinds become together; a tensor without axes gives way."""
    for kinds in ((DOUBLE, FLOAT), (INTEGER,), (BOOLEAN,)):
        present = [value for value in values if value.kind in kinds]
        strong = [value for value in present if value.shape] or [value for value in present if value.number is None]
        if present:
            return next(kind for kind in kinds if any(value.kind == kind for value in strong or present))
    raise AssertionError(values)


def checked(value: Value) -> Value:
    """Return the value unless it is larger than is explained here."""
    if len(value.shape) > MOST_AXES:
        raise too_large("axes", MOST_AXES, shown(value.shape[:20]))
    if prod(size for size in value.shape if size) > MOST_ELEMENTS:
        raise too_large("elements", MOST_ELEMENTS, shown(value.shape))
    return value


def too_large(what: str, limit: int, given: object) -> UsageError:
    """Return the error for more than is explained here."""
    return UsageError("explain-limit", limit=text(f"explain.most.{what}", limit=f"{limit:,}"), given=given)


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of a tensor whose elements lie in order.

    >>> row_major((2, 3, 5))
    (15, 5, 1)
    """
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def shown(shape: Sequence[int]) -> str:
    """Return a shape as Python writes it.

    >>> shown((64,)), shown(())
    ('(64,)', '()')
    """
    return str(tuple(shape))


def broadcast(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...] | None:
    """Return the shape that two shapes broadcast to, or None where they do not.

    >>> broadcast((64, 1), (10,)), broadcast((64, 10), (64,))
    ((64, 10), None)
    """
    sizes = []
    for x, y in zip_longest(reversed(left), reversed(right), fillvalue=1):
        if x != y and 1 not in (x, y):
            return None
        sizes.append(y if x == 1 else x)
    return tuple(reversed(sizes))


def axis_of(dim: int, rank: int, source: str) -> int:
    """Return a dim counted from 0; a tensor without axes takes 0 and -1, as in PyTorch."""
    room = max(rank, 1)
    if not -room <= dim < room:
        raise Fails("axis-range", source=source, dim=dim, low=-room, high=room - 1)
    return dim % room


def view_strides(value: Value, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the strides with which memory as it lies can be read in another shape, or None if it cannot.

    Neighbouring axes that follow each other in memory form one run; each run has to be cut into whole axes.
    """
    assert value.strides is not None
    if value.elements == 0:
        return value.strides if shape == value.shape else row_major(shape)
    runs: list[tuple[int, int]] = []  # (elements, stride of the last axis), from the last axis forwards
    for size, stride in zip(reversed(value.shape), reversed(value.strides), strict=True):
        if size == 1:
            continue
        if runs and stride == runs[-1][0] * runs[-1][1]:
            runs[-1] = (runs[-1][0] * size, runs[-1][1])
        else:
            runs.append((size, stride))
    strides: list[int] = []
    place, used = 0, 1
    for size in reversed(shape):
        elements, step = runs[place] if place < len(runs) else (1, 1)
        strides.append(step * used)
        used *= size
        if size > 1 and elements % used:
            return None
        if used == elements and used > 1:
            place, used = place + 1, 1
    return tuple(reversed(strides))
