"""What can be asked of a submission, whoever runs it: requests and replies of plain values, and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = Sequence[NDArray[np.generic]]


class Stopped(Exception):  # noqa: N818 - it is no error of ours
    """A submission was stopped from outside, or ended by itself.

    Parameters
    ----------
    reason
        ``"time-limit"``, ``"memory-limit"``, ``"output-limit"``, ``"crashed"`` or ``"forbidden"``.
    detail
        What is known of it in plain words, such as the name of a signal.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class Subject(Protocol):
    """Something that a learner wrote, running somewhere."""

    @property
    def printed(self) -> str:
        """What it has printed so far, cut to a bounded length; never parsed."""

    def ask(self, request: Mapping[str, Any], arrays: Arrays = ()) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """Return the reply to a request and its arrays; raise :class:`Stopped` if there will be none."""
