"""The exercises as content: what is asked, where to begin, what is right, what counts, and hints in steps.

Each exercise is a folder beside this file: ``exercise.toml``, ``statement.en.md`` and ``statement.ko.md``, ``stub.py``
and ``solution.py``. Nothing here runs any of it, and nothing here needs torch.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from sumtoone.language import language, text
from sumtoone.specification import not_among

# In the order in which they are taught: first the four of the lesson.
_ORDER = (
    "handmade-network",
    "softmax",
    "sigmoid-network",
    "relu-network",
    "stable-softmax",
    "log-softmax",
    "cross-entropy",
    "linear",
    "softmax-gradient",
    "temperature",
)


@dataclass(frozen=True)
class ExerciseCase:
    """One case that an exercise is judged by, and the points that it counts."""

    name: str
    points: float

    @property
    def title(self) -> str:
        """What the case looks at, in the language in force."""
        return text(f"case.{self.name}")


@dataclass(frozen=True)
class Exercise:
    """What there is to know about one exercise.

    Parameters
    ----------
    name
        Such as ``"softmax-gradient"``.
    kind
        ``"softmax"``, ``"function"``, ``"network"`` (a class) or ``"script"`` (a tensor that a script leaves).
    defines
        The function, class or tensor that a submission is to define.
    spellings
        Other names that are taken for it.
    cases
        What is looked at; the points sum to 10.
    sizes
        Of a network, from the input to the classes; empty otherwise.
    activation
        After each hidden layer of a network; empty otherwise.
    takes_dim
        Whether a function that takes an argument ``dim`` is tried with another one.
    """

    name: str
    kind: str
    defines: str
    spellings: tuple[str, ...]
    cases: tuple[ExerciseCase, ...]
    sizes: tuple[int, ...] = ()
    activation: str = ""
    takes_dim: bool = False

    @property
    def title(self) -> str:
        """The heading of the statement, in the language in force."""
        return self.statement.partition("\n")[0].removeprefix("# ")

    @property
    def statement(self) -> str:
        """What is asked, as Markdown, in the language in force."""
        return _content(self.name, f"statement.{language()}.md")

    @property
    def hints(self) -> tuple[str, ...]:
        """Three hints, each a step further, in the language in force."""
        return tuple(_table(self.name)["hints"][language()])

    @property
    def stub(self) -> str:
        """The unfinished file that a learner begins with."""
        return _content(self.name, "stub.py")

    @property
    def solution(self) -> str:
        """One right answer."""
        return _content(self.name, "solution.py")

    @property
    def file_name(self) -> str:
        """The name under which a learner's file is begun, such as ``softmax_gradient.py``."""
        return f"{self.name.replace('-', '_')}.py"


def names() -> tuple[str, ...]:
    """Return the names of all exercises in the order in which they are taught."""
    return _ORDER


def find(name: str) -> Exercise:
    """Return an exercise by its name; ``_`` and spaces count as ``-``, and capitals as small letters.

    Raises
    ------
    UsageError
        If there is no such exercise.

    >>> find("relu-network").sizes
    (784, 128, 64, 10)
    """
    known = str(name).strip().lower().replace("_", "-").replace(" ", "-")
    if known not in _ORDER:
        raise not_among("exercise", name, _ORDER)
    return _find(known)


@cache
def _find(name: str) -> Exercise:
    table = _table(name)
    return Exercise(
        name=name,
        kind=table["kind"],
        defines=table["name"],
        spellings=tuple(table["names"]),
        cases=tuple(ExerciseCase(**case) for case in table["cases"]),
        sizes=tuple(table.get("sizes", ())),
        activation=table.get("activation", ""),
        takes_dim=table.get("dim", False),
    )


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(_content(name, "exercise.toml"))


@cache
def _content(name: str, part: str) -> str:
    return files(__package__).joinpath(name, part).read_text(encoding="utf-8")
