"""Judges what a learner wrote by what it does: inputs and values in, findings out. It knows no process and no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sumtoone.checking import definitions, recognition
from sumtoone.checking.exercises import Exercise, find, names
from sumtoone.checking.judging.choosing import Judging, Ran, cell_at, network_of
from sumtoone.checking.judging.failing import RUNNING, failed, stopped
from sumtoone.checking.judging.functions import Judged, judge_function
from sumtoone.checking.judging.networks import Wanted, judge_network
from sumtoone.checking.judging.replies import Checked
from sumtoone.checking.repairs import repair
from sumtoone.checking.sources import Submission
from sumtoone.checking.subject import Stopped, Subject
from sumtoone.checking.verdict import Case, Finding

__all__ = ["Judged", "Wanted", "cases_of", "judge", "judge_function", "judge_network"]

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
        return [(name, _placed(Judged(problem), submission)) for name in _asked(written, submission, exercise)]
    try:
        ran = _run(subject, submission, random, seconds)
    except Stopped as stop:
        ended = Judged(stopped(stop, step=RUNNING, name=submission.path))
        return [(name, ended) for name in _asked(written, submission, exercise)]
    judging = Judging(subject, submission, ran, random, seconds)
    found = _candidates(ran.defined, submission, exercise)
    results = {name: judging.of(find(name), those) for name, those in judging.by_exercise(found).items()}
    ran_here = {(entry["name"], entry["line"], entry["cell"]) for entry in ran.defined}
    missing = [entry for entry in written if (entry["name"], entry["line"], entry["cell"]) not in ran_here]
    for name in _asked(missing, submission, exercise):
        if name is not None and name not in results:
            results[name] = Judged(_nothing(submission, ran, find(name), written))
    if not results:
        return [(None, _placed(Judged(_nothing(submission, ran, None, written)), submission))]
    found_here = [name for name in names() if name in results]
    notes = _notes(submission, ran)
    # What is wrong elsewhere in the file is said once.
    results[found_here[0]] = replace(results[found_here[0]], remarks=(*results[found_here[0]].remarks, *notes))
    return [(name, _placed(results[name], submission)) for name in found_here]


def cases_of(made: Judged, exercise: str | None) -> tuple[Case, ...]:
    """Return the cases of an exercise and whether each went well."""
    passed = made.finding.code == "correct"
    cases = find(exercise).cases if exercise else ()
    return tuple(Case(case.name, case.points, passed or case.name in made.passed_cases) for case in cases)


def _candidates(
    defined: Sequence[Mapping[str, Any]], submission: Submission, exercise: str | None
) -> list[recognition.Candidate]:
    return recognition.candidates(defined, list(map(find, names())), submission.path, exercise)


def _asked(written: Sequence[Mapping[str, Any]], submission: Submission, exercise: str | None) -> Sequence[str | None]:
    """Return the exercises of a submission that could not be run, from its text."""
    if exercise:
        return [exercise]
    found = {_exercise_of(one, submission) for one in _candidates(written, submission, None)}
    return [name for name in names() if name in found] or [None]


def _exercise_of(one: recognition.Candidate, submission: Submission) -> str:
    """Return the exercise that a candidate is for: of the two networks, the one of its name or its layers."""
    cell = cell_at(submission, one.cell)
    text = definitions.statement_at(cell, one.line) or cell.source if cell is not None and one.line else ""
    return (network_of(one.name, text) if len(one.exercises) > 1 else None) or one.exercises[0]


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
    # What the lesson's own old cells raise has nothing to do with the exercise; what its own cell raises has.
    errors = [error for error in ran.errors if repair(error, _line_of(submission, error)) is None] or ran.errors
    near = [error for error in errors if error.get("cell") in cells] or errors
    if near:
        return failed(near[0], name=wanted)
    known = ", ".join(dict.fromkeys(entry["name"] for entry in ran.defined))
    return Finding("not-found", fields={"wanted": wanted, "names": known or "-"})


def _line_of(submission: Submission, error: Mapping[str, Any]) -> str:
    cell, line = cell_at(submission, error.get("cell")), error.get("line")
    return cell.lines[line - 1] if cell is not None and line is not None and 0 < line <= len(cell.lines) else ""


def _placed(judged: Judged, submission: Submission) -> Judged:
    """Return findings with their rows in the source of the whole submission."""

    def place(finding: Finding) -> Finding:
        cell = cell_at(submission, finding.cell)
        if cell is None or finding.line is None:
            return finding
        return replace(finding, row=cell.first_line + finding.line - 1)

    return replace(judged, finding=place(judged.finding), remarks=tuple(map(place, judged.remarks)))


def _once(findings: Sequence[Finding]) -> list[Finding]:
    """Return the first finding of each code."""
    return list({finding.code: finding for finding in reversed(findings)}.values())[::-1]
