"""The exception types a user can meet.

Each error carries a stable ``code``; its words live in the language files under
``error.<code>`` as ``message``, ``expected``, ``got`` and ``try``, and are looked up
when the error is read, so that one error can be shown in either language.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from sumtoone.language import error_text, text

# A screen holds a handful of problems; the last line counts the others.
_MOST_SHOWN = 20


class SumtooneError(Exception):
    """The base of every error that sumtoone raises for its users.

    Parameters
    ----------
    code
        The stable name of the mistake, such as ``"specification-empty"``.
    fields
        The values that the texts of this code name.

    Examples
    --------
    >>> from sumtoone import Network
    >>> try:
    ...     Network("784-0-10")
    ... except SumtooneError as error:
    ...     print(error.code, "|", error.got)
    specification-size | 0 at place 2 of '784-0-10'
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, code: str, /, **fields: object) -> None:
        super().__init__(code)
        self.code = code
        self.fields = fields

    @property
    def message(self) -> str:
        """What went wrong, in one line."""
        return self._part("message")

    @property
    def expected(self) -> str:
        """What would have been right."""
        return self._part("expected")

    @property
    def got(self) -> str:
        """What came instead."""
        return self._part("got")

    @property
    def try_(self) -> str:
        """What to do next."""
        return self._part("try")

    def _part(self, part: str) -> str:
        return error_text(self.code, part, self.fields)

    def __str__(self) -> str:
        return (
            f"{self.message} [{self.code}]\n"
            f"  {text('error.expected')}: {self.expected}\n"
            f"  {text('error.got')}: {self.got}\n"
            f"  {text('error.try')}: {self.try_}"
        )

    def to_json(self) -> dict[str, str]:
        """Return the code and the four texts as plain values, in the language in force.

        >>> SpecificationError("specification-empty").to_json()["got"]
        'an empty text'
        """
        parts = {"code": self.code, "message": self.message, "expected": self.expected, "got": self.got}
        return {**parts, "try": self.try_}

    def __reduce__(self) -> tuple[object, ...]:
        # Exception.__reduce__ would lose the fields on the way from a worker process.
        return _rebuild, (type(self), self.code, self.fields)


def _rebuild(kind: type[SumtooneError], code: str, fields: dict[str, object]) -> SumtooneError:
    return kind(code, **fields)


class UsageError(SumtooneError, ValueError):
    """An argument or option that cannot be right, whatever the data."""

    exit_code = 2


class SpecificationError(UsageError):
    """A string or list that does not describe a network."""


class SeveralErrors(UsageError):  # noqa: N818 - it is more than one
    """More than one wrong argument, reported together; ``problems`` holds them."""

    def __init__(self, code: str = "several", /, **fields: object) -> None:
        super().__init__(code, **fields)
        self.problems: tuple[SumtooneError, ...] = tuple(fields["problems"])  # type: ignore[arg-type]

    def __str__(self) -> str:
        shown = [str(problem) for problem in self.problems[:_MOST_SHOWN]]
        left = len(self.problems) - len(shown)
        return "\n".join([*shown, *([text("error.more", count=left)] if left else [])])


class ShapeError(SumtooneError, ValueError):
    """A tensor whose shape, dimension or values do not fit the call."""


class DtypeError(SumtooneError, TypeError):
    """A tensor, or something that is no tensor, of a type the call cannot take."""


class DataError(SumtooneError, ValueError):
    """A data set or image that cannot be read as one."""


class RunError(SumtooneError):
    """A run folder that is missing, in use, unfinished or damaged."""


class TrainingError(SumtooneError, ArithmeticError):
    """Training that cannot go on, such as a loss that is no longer a number."""

    exit_code = 1


class UnavailableError(SumtooneError, RuntimeError):
    """Something the environment lacks: a device, an extra, the network."""

    exit_code = 4


def raise_all(problems: Sequence[SumtooneError]) -> None:
    """Raise what is in ``problems``: nothing, the one error, or all of them as one :class:`SeveralErrors`."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise SeveralErrors("several", problems=tuple(problems), count=len(problems))
