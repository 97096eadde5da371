"""Judges exercises of the lesson: right or wrong, and if wrong, why, with the learner's own line, shapes and numbers.

:func:`check` takes a file, whose code it runs in a confined process, or an object that lives here already.
``running`` judges hundreds of files; ``judging`` knows what is right and no process; ``confinement`` knows processes
and no softmax.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sumtoone.checking.exercises import find, names
from sumtoone.checking.verdict import Case, Finding, Verdict
from sumtoone.errors import UsageError
from sumtoone.language import text

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Case", "Finding", "Verdict", "check", "check_classifier"]


def check(what: Any, exercise: str | None = None, *, isolation: str | None = None, seconds: float = 10.0) -> Verdict:
    """Judge one exercise and say what is right or wrong about it.

    Parameters
    ----------
    what
        The path of a ``.py`` or ``.ipynb`` file, which is run in a confined process; or a function, a class or a
        network of this process, which is judged right here (``verdict.isolation`` is then ``"none"``). The object stays
        as it was.
    exercise
        Such as ``"softmax"``; it may be left out for a file that holds one exercise alone.
    isolation
        ``"strong"``, ``"good"`` or ``"weak"``; left out, the best that can be proved, and at least ``"good"``.
    seconds
        How long the file is waited for.

    Raises
    ------
    UsageError
        If there is no such exercise, or none is named where it has to be.
    DataError
        If the file cannot be read.
    UnavailableError
        If the isolation cannot be proved here.

    Examples
    --------
    >>> import torch
    >>> def softmax(x):
    ...     return torch.exp(x) / torch.exp(x).sum()
    >>> verdict = check(softmax, "softmax")
    >>> verdict.passed, verdict.code
    (False, 'global-sum')
    """
    if isinstance(what, str | Path):
        from sumtoone.checking.sources import gather, read

        found = gather([what])
        if len(found) != 1:
            raise UsageError("check-one", path=what, count=len(found))
        return _one(_judged(read(found[0]), exercise, isolation, seconds), str(what))
    if not callable(what):
        wanted = {"function": "check", "name": "what", "wanted": text("check.takes"), "given": type(what).__name__}
        raise UsageError("argument-type", **wanted, hint='check("my_softmax.py", "softmax")')
    if exercise is None:
        known = ", ".join(name for name in names() if find(name).kind != "script")
        raise UsageError("check-exercise", path=getattr(what, "__name__", type(what).__name__), names=known)
    return _of_object(what, exercise)


def check_classifier(network: Any, shape: tuple[int, ...], classes: int) -> Verdict:
    """Judge what is wrong with a network whatever it is for: see ``judging.classifiers``.

    Shape: rows of ``shape``, to ``classes`` numbers each. The network stays as it was.
    """
    import numpy as np

    from sumtoone.checking.judging.classifiers import judge_classifier

    here = _Here()
    entry = here.performer.bind(type(network).__name__, copy.deepcopy(network))
    made = judge_classifier(here, entry, shape, classes, np.random.default_rng())
    return Verdict(type(network).__name__, None, made.finding.code == "correct", made.finding)


def _judged(submission: Any, exercise: str | None, isolation: str | None, seconds: float) -> list[Verdict]:
    from sumtoone.checking.confinement import Nursery
    from sumtoone.checking.running import Settings, judged

    settings = Settings(find(exercise).name if exercise else None, isolation, seconds)
    with Nursery(isolation, settings.limits) as nursery:
        return judged(nursery, submission, settings)


def _one(verdicts: Sequence[Verdict], path: str) -> Verdict:
    if len(verdicts) > 1:
        raise UsageError("check-exercise", path=path, names=", ".join(str(verdict.exercise) for verdict in verdicts))
    return verdicts[0]


class _Here:
    """A subject in this process: not isolated, for what a person holds in their own hands."""

    printed = ""

    def __init__(self) -> None:
        from sumtoone.checking.performing import Performer

        self.performer = Performer()

    def ask(self, request: Mapping[str, Any], arrays: Any = ()) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        return self.performer.answer(request, arrays)


def _of_object(what: Any, exercise: str) -> Verdict:
    import numpy as np
    from torch import nn

    from sumtoone.checking.judging import Judged, Wanted, cases_of, judge_function, judge_network

    asked, started, here = find(exercise), time.monotonic(), _Here()
    # The judge puts weights of its own into a network.
    mine = copy.deepcopy(what) if isinstance(what, nn.Module) else what
    entry = here.performer.bind(getattr(what, "__name__", type(what).__name__), mine)
    random = np.random.default_rng()
    if asked.kind == "script":
        raise UsageError("check-script", name=asked.name)
    made: Judged
    if asked.kind == "network":
        made = judge_network(here, entry, Wanted(asked.sizes, asked.activation), random, 0.0)
    else:
        made = judge_function(here, entry, asked, random, 0.0)
    passed, seconds = made.finding.code == "correct", time.monotonic() - started
    return Verdict(entry["name"], asked.name, passed, made.finding, made.remarks, cases_of(made, exercise), seconds)
