"""``"784-128-64-10"`` ⇄ a frozen :class:`Specification`, and every complaint about such a string."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sumtoone.errors import SpecificationError, UsageError, raise_all
from sumtoone.language import text
from sumtoone.language.display import printable, quoted
from sumtoone.language.lines import cut, listed

ACTIVATIONS = ("sigmoid", "tanh", "relu", "gelu", "leaky-relu", "identity")

LARGEST_SIZE = 10_000_000
MOST_SIZES = 1_000
MOST_PARAMETERS = 10_000_000_000
# ``my_file.py:MyNetwork``: a network that is a module in somebody's file.
IN_FILE = re.compile(r"(?P<path>.+\.py)(?::(?P<name>[^:/\\]*))?", re.IGNORECASE)
# Of a description, in an error.
_LONGEST = 60

_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-"))
_OTHER_SEPARATORS = str.maketrans(dict.fromkeys(",;:/xX×>", "-"))


@dataclass(frozen=True)
class Specification:
    """What a dense network is made of: its sizes, its hidden activation and its dropout.

    Parameters
    ----------
    sizes
        Input size, hidden sizes, number of classes: ``(784, 128, 64, 10)``.
    activation
        The function after every hidden layer: one of ``ACTIVATIONS``.
    dropout
        The share of hidden values set to zero in training, in [0, 1).

    Raises
    ------
    SpecificationError
        If the sizes do not describe a network. :class:`UsageError` for the other two.

    Examples
    --------
    >>> specification = Specification.parse("784-128-64-10")
    >>> specification.sizes, specification.activation
    ((784, 128, 64, 10), 'relu')
    >>> str(specification)
    '784-128-64-10'
    >>> Specification.parse(str(specification)) == specification
    True
    """

    sizes: tuple[int, ...]
    activation: str = "relu"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("activation", "dropout"):
            object.__setattr__(self, name, plain_number(getattr(self, name)))
        sizes = tuple(map(plain_number, self.sizes)) if isinstance(self.sizes, list | tuple) else (None,)
        if not all(type(size) is int for size in sizes):
            given = f"{type(self.sizes).__name__}: {quoted(self.sizes)[:60]}"
            raise SpecificationError("specification-type", given=given)
        object.__setattr__(self, "sizes", sizes)
        problems = [
            *_size_problems(self.sizes),
            *_activation_problems(self.activation),
            *_dropout_problems(self.dropout),
        ]
        raise_all(problems)

    @classmethod
    def parse(cls, sizes: str | Sequence[int], activation: str = "relu", dropout: float = 0.0) -> Specification:
        """Read a string such as ``"784-128-64-10"``, or a sequence of sizes."""
        return cls(_parse(sizes) if isinstance(sizes, str) else sizes, activation, dropout)  # type: ignore[arg-type]

    @property
    def inputs(self) -> int:
        """The number of input features, D."""
        return self.sizes[0]

    @property
    def outputs(self) -> int:
        """The number of classes, K."""
        return self.sizes[-1]

    @property
    def parameters(self) -> int:
        """How many numbers the network learns: weights and biases.

        >>> Specification.parse("784-128-64-10").parameters
        109386
        """
        return sum((before + 1) * after for before, after in pairwise(self.sizes))

    def __str__(self) -> str:
        return "-".join(map(str, self.sizes))


def plain_number(value: Any) -> Any:
    """Return a number of NumPy's or PyTorch's, also an array of no axes, as Python's own; all else as it is.

    >>> import numpy as np
    >>> plain_number(np.int64(3)), plain_number(np.array(0.5)), plain_number("3")
    (3, 0.5, '3')
    """
    try:
        return value.item() if getattr(value, "shape", None) == () else value
    except Exception:
        # What somebody's own class, or a tensor without values, raises is open-ended.
        return value


def names_file(given: str) -> bool:
    """Return whether a network is given as a file and not by its sizes.

    >>> names_file("net.py:Net"), names_file("784-128-64-10")
    (True, False)
    """
    return IN_FILE.fullmatch(given.strip()) is not None


def did_you_mean(given: object, known: Sequence[str]) -> str:
    """Return the hint for an unknown name: the nearest known one, or all of them, or the first of many."""
    near = difflib.get_close_matches(printable(given).lower().replace("_", "-"), known, n=1)
    if near:
        return text("specification.did-you-mean", guess=near[0])
    return text("specification.choose-one", known=listed(known))


def not_among(name: str, given: object, known: Sequence[str]) -> UsageError:
    """Return the error for an argument that is none of those known."""
    shown = printable(quoted(given), 60)
    return UsageError("choice", name=name, given=shown, known=", ".join(known), hint=did_you_mean(given, known))


def _parse(given: str) -> tuple[int, ...]:
    string = given.strip()
    if not string:
        raise SpecificationError("specification-empty")
    parts = [part.strip() for part in string.translate(_DASHES).split("-")]
    if len(parts) > MOST_SIZES:
        # One complaint for a million dashes, not a million.
        raise _too_large("sizes", len(parts))
    problems: list[SpecificationError] = []
    for place, part in enumerate(parts, start=1):
        where = {"place": place, "given": cut(given, _LONGEST)}
        if not part:
            problems.append(SpecificationError("specification-gap", **where))
        elif not (part.isascii() and part.isdigit()):
            shown, hint = cut(part, _LONGEST), _number_hint(part)
            problems.append(SpecificationError("specification-number", **where, part=shown, hint=hint))
    raise_all(problems)
    # A number of more than 18 digits is over every limit; int() of a hostile megabyte of digits would take long.
    return tuple(int(part) if len(part) <= 18 else 10**18 for part in parts)


def _number_hint(part: str) -> str:
    separated = "-".join(part.translate(_OTHER_SEPARATORS).replace(" ", "-").split("-"))
    pieces = [piece for piece in separated.split("-") if piece]
    if len(pieces) > 1 and all(piece.isascii() and piece.isdigit() for piece in pieces):
        return text("specification.separator", guess="-".join(pieces))
    if part.isdecimal():
        return text("specification.plain-digits", guess=int(part[:18]))
    return text("specification.whole-numbers")


def _size_problems(sizes: tuple[int, ...]) -> list[SpecificationError]:
    # A number of thousands of digits has no decimal form in Python.
    given = cut("-".join(str(size) if abs(size) < 10**18 else "…" for size in sizes[:20]), _LONGEST)
    if not sizes:
        return [SpecificationError("specification-empty")]
    if len(sizes) == 1:
        return [SpecificationError("specification-short", given=given)]
    if len(sizes) > MOST_SIZES:
        return [_too_large("sizes", len(sizes))]
    problems = [
        SpecificationError("specification-size", size=size, place=place, limit=LARGEST_SIZE, given=given)
        for place, size in enumerate(sizes, start=1)
        if not 1 <= size <= LARGEST_SIZE
    ]
    if sizes[-1] == 1:
        problems.append(SpecificationError("specification-classes", given=given))
    count = sum((before + 1) * after for before, after in pairwise(sizes))
    if not problems and count > MOST_PARAMETERS:
        problems.append(_too_large("parameters", count))
    return problems


def _too_large(what: str, count: int) -> SpecificationError:
    given = text(f"specification.{what}", count=f"{count:,}")
    return SpecificationError("specification-large", sizes=MOST_SIZES, parameters=f"{MOST_PARAMETERS:,}", given=given)


def _activation_problems(activation: object) -> list[UsageError]:
    if isinstance(activation, str) and activation in ACTIVATIONS:
        return []
    return [not_among("activation", activation, ACTIVATIONS)]


def _dropout_problems(dropout: object) -> list[UsageError]:
    if isinstance(dropout, int | float) and not isinstance(dropout, bool) and 0 <= dropout < 1:
        return []
    return [UsageError("number-range", name="dropout", given=quoted(dropout), wanted="0 <= x < 1", example=0.2)]
