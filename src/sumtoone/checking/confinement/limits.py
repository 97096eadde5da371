"""What a submission may use, and what the levels of isolation promise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LEVELS = ("strong", "good", "weak")
PROPERTIES = ("files", "writes", "network", "signals", "processes", "memory", "existence")
# At `good` a submission may still learn whether a path exists.
_PROMISED = {"strong": frozenset(PROPERTIES), "good": frozenset(PROPERTIES) - {"existence"}, "weak": frozenset[str]()}


@dataclass(frozen=True)
class Limits:
    """What one submission may use: seconds of waiting for it, bytes of memory, bytes of output."""

    seconds: float = 10.0
    memory: int = 1 << 30
    output: int = 1 << 20


def reached(proved: Mapping[str, bool]) -> str:
    """Return the highest level of which everything is proved."""
    return next(level for level in LEVELS if all(proved.get(name) is True for name in _PROMISED[level]))


def missing(level: str, proved: Mapping[str, bool]) -> tuple[str, ...]:
    """Return what a level promises and is not proved."""
    return tuple(name for name in PROPERTIES if name in _PROMISED[level] and proved.get(name) is not True)
