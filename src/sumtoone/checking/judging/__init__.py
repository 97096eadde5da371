"""Judges what a learner wrote by what it does: inputs and values in, findings out. It knows no process and no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sumtoone.checking import definitions, recognition
from sumtoone.checking.exercises import Exercise, find, names
from sumtoone.checking.judging.choosing import Judging, Ran
from sumtoone.checking.judging.failing import RUNNING, failed, stopped
from sumtoone.checking.judging.functions import Judged
from sumtoone.checking.judging.networks import Wanted, judge_network
from sumtoone.checking.judging.replies import Checked
from sumtoone.checking.repairs import repair
from sumtoone.checking.sources import Submission
from sumtoone.checking.subject import Stopped, Subject
from sumtoone.checking.verdict import Finding

__all__ = ["Judged", "Wanted", "judge", "judge_network"]

_ROWS = 64


@np.errstate(all="ignore")  # whatever numbers come from a learner's code
def judge(
    subject: Subject, submission: Submission, exercise: str | None, random: np.random.Generator, seconds: float
) -> list[tuple[str | None, Judged]]:
    """Return what is to be said of each exercise of a submission: of the one that is named, or of all that are found.

    Parameters
    ----------
    seconds
        The share of time of one statement and of one call.
    """
    subject = Checked(subject)
    written = definitions.statically_defined((*submission.cells, *submission.broken))
    if submission.problem is not None:
        known = {"wanted": ", ".join(find(name).defines for name in names()[:4]), "names": "-"}
        problem = replace(submission.problem, fields=known | dict(submission.problem.fields))
        return [(name, Judged(problem)) for name in _asked(written, submission, exercise)]
    try:
        ran = _run(subject, submission, random, seconds)
    except Stopped as stop:
        ended = Judged(stopped(stop, step=RUNNING, name=submission.path))
        return [(name, ended) for name in _asked(written, submission, exercise)]
    judging = Judging(subject, submission, ran, random, seconds)
    found = _candidates(ran.defined, submission, exercise)
    results = {name: judging.of(find(name), those) for name, those in judging.by_exercise(found).items()}
    for name in _asked(written, submission, exercise):
        networks = {one for one in results if find(one).kind == "network"}
        if name is not None and name not in results and not (networks and find(name).kind == "network"):
            results[name] = Judged(_nothing(submission, ran, find(name), written))
    if not results:
        return [(None, _placed(Judged(_nothing(submission, ran, None, written)), submission))]
    found_here = [name for name in names() if name in results]
    notes = _notes(submission, ran)
    # What is wrong elsewhere in the file is said once.
    results[found_here[0]] = replace(results[found_here[0]], remarks=(*results[found_here[0]].remarks, *notes))
    return [(name, _placed(results[name], submission)) for name in found_here]


def _candidates(
    defined: Sequence[Mapping[str, Any]], submission: Submission, exercise: str | None
) -> list[recognition.Candidate]:
    return recognition.candidates(defined, list(map(find, names())), submission.path, exercise)


def _asked(written: Sequence[Mapping[str, Any]], submission: Submission, exercise: str | None) -> Sequence[str | None]:
    """Return the exercises of a submission that could not be run, from its text."""
    if exercise:
        return [exercise]
    found = {one.exercises[0] for one in _candidates(written, submission, None)}
    return [name for name in names() if name in found] or [None]


def _run(subject: Subject, submission: Submission, random: np.random.Generator, seconds: float) -> Ran:
    images = random.uniform(-1, 1, (_ROWS, 1, 28, 28)).astype(np.float32)
    labels = random.integers(0, 10, _ROWS)
    cells = [{"number": cell.number, "source": cell.source} for cell in submission.cells]
    reply, _ = subject.ask({"do": "run", "cells": cells, "seconds": seconds}, [images, labels])
    if reply.get("error"):
        raise Stopped("crashed", str(reply["error"].get("message", "")))
    return Ran(reply["defined"], reply["errors"], images)


def _notes(submission: Submission, ran: Ran) -> list[Finding]:
    """Return what is known of cells of the lesson that broke, and of statements that raised elsewhere."""
    repaired = [found for error in ran.errors if (found := repair(error, _line_of(submission, error)))]
    others = [] if repaired else [replace(failed(error), code="statement-raises") for error in ran.errors[:1]]
    return _once([*submission.repairs, *repaired, *others])


def _nothing(
    submission: Submission, ran: Ran, exercise: Exercise | None, written: Sequence[Mapping[str, Any]]
) -> Finding:
    """Return why there is nothing to judge: an error on the way, a cell that is no Python, a missing name."""
    wanted = exercise.defines if exercise else ", ".join(find(name).defines for name in names()[:4])
    entries = _candidates(written, submission, exercise.name) if exercise else []
    cells = {entry.cell for entry in entries}
    flaws = [flaw for flaw in submission.flaws if flaw.cell in cells] or list(submission.flaws) * (not entries)
    if flaws:
        return replace(flaws[-1], fields={"name": wanted, **flaws[-1].fields})
    if any(entry["unfinished"] for entry in written if entry["name"] in {one.name for one in entries}):
        return Finding("template", fields={"name": wanted})
    if definitions.template(submission.cells, exercise.stub if exercise else ""):
        return Finding("template", fields={"name": wanted})
    if ran.errors:
        return failed(ran.errors[0], name=wanted)
    known = ", ".join(dict.fromkeys(entry["name"] for entry in ran.defined))
    return Finding("not-found", fields={"wanted": wanted, "names": known or "-"})


def _line_of(submission: Submission, error: Mapping[str, Any]) -> str:
    number, line = error.get("cell"), error.get("line")
    if not isinstance(number, int) or not isinstance(line, int) or number >= len(submission.cells):
        return ""
    lines = submission.cells[number].source.splitlines()
    return lines[line - 1] if 0 < line <= len(lines) else ""


def _placed(judged: Judged, submission: Submission) -> Judged:
    """Return findings with the number of the notebook's cell in the place of the running number of what was run."""

    def place(finding: Finding) -> Finding:
        known = isinstance(finding.cell, int) and 0 <= finding.cell < len(submission.cells)
        return replace(
            finding, cell=submission.cells[finding.cell].number if known and finding.cell is not None else None
        )

    return replace(judged, finding=place(judged.finding), remarks=tuple(map(place, judged.remarks)))


def _once(findings: Sequence[Finding]) -> list[Finding]:
    return list({finding.code: finding for finding in findings}.values())
