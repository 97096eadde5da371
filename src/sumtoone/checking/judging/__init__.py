"""Judges what a learner wrote by what it does: inputs and values in, findings out. It knows no process and no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sumtoone.checking import definitions, recognition
from sumtoone.checking.exercises import Exercise, find, names
from sumtoone.checking.judging.failing import RUNNING, failed, stopped
from sumtoone.checking.judging.functions import Judged, judge_function
from sumtoone.checking.judging.networks import Wanted, judge_network
from sumtoone.checking.judging.replies import Checked
from sumtoone.checking.judging.scripts import judge_script
from sumtoone.checking.repairs import repair
from sumtoone.checking.sources import Submission
from sumtoone.checking.subject import Stopped, Subject
from sumtoone.checking.verdict import Finding

__all__ = ["Judged", "Wanted", "judge", "judge_network"]

_ROWS = 64


@dataclass(frozen=True)
class _Ran:
    """What running a submission gave: what it defines, the errors of its statements, the images it was given."""

    defined: Sequence[Mapping[str, Any]]
    errors: Sequence[Mapping[str, Any]]
    images: Any


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
        return [(name, Judged(submission.problem)) for name in _asked(written, submission, exercise)]
    try:
        ran = _run(subject, submission, random, seconds)
    except Stopped as stop:
        ended = Judged(stopped(stop, step=RUNNING, name=submission.path))
        return [(name, ended) for name in _asked(written, submission, exercise)]
    judging = _Judging(subject, submission, ran, random, seconds)
    found = _candidates(ran.defined, submission, exercise)
    results = {name: judging.of(find(name), those) for name, those in judging.by_exercise(found).items()}
    if exercise and exercise not in results:
        results = {exercise: Judged(_nothing(submission, ran, find(exercise)))}
    if not results:
        return [(None, _placed(Judged(_nothing(submission, ran, None)), submission))]
    return [(name, _placed(_noted(results[name], submission, ran), submission)) for name in names() if name in results]


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


def _run(subject: Subject, submission: Submission, random: np.random.Generator, seconds: float) -> _Ran:
    images = random.uniform(-1, 1, (_ROWS, 1, 28, 28)).astype(np.float32)
    labels = random.integers(0, 10, _ROWS)
    cells = [{"number": cell.number, "source": cell.source} for cell in submission.cells]
    reply, _ = subject.ask({"do": "run", "cells": cells, "seconds": seconds}, [images, labels])
    if reply.get("error"):
        raise Stopped("crashed", str(reply["error"].get("message", "")))
    return _Ran(reply["defined"], reply["errors"], images)


@dataclass(frozen=True)
class _Judging:
    """What the judging of one submission needs throughout."""

    subject: Subject
    submission: Submission
    ran: _Ran
    random: np.random.Generator
    seconds: float

    def by_exercise(self, found: Sequence[recognition.Candidate]) -> dict[str, list[Mapping[str, Any]]]:
        """Return the entries that may answer each exercise, the likeliest first."""
        entries = {entry["key"]: entry for entry in self.ran.defined}
        made: dict[str, list[Mapping[str, Any]]] = {}
        for one in found:
            if one.key in entries:
                name = one.exercises[0] if len(one.exercises) == 1 else self._network_kind(entries[one.key])
                made.setdefault(name, []).append(entries[one.key])
        return made

    def _network_kind(self, entry: Mapping[str, Any]) -> str:
        """Return which of the lesson's two networks one is: by how much of each it has, else by how many layers."""
        both = [find("sigmoid-network"), find("relu-network")]
        made = [(item, self._network(item, entry)) for item in both]
        best = max(made, key=lambda pair: (pair[1].finding.code == "correct", len(pair[1].passed_cases)))
        if best[1].passed_cases:
            return best[0].name
        sizes = str(best[1].finding.fields.get("sizes") or "")
        relu = sizes.count("-") > 2 if sizes else "relu" in self.submission.source.lower()
        return both[relu].name

    def _network(self, exercise: Exercise, entry: Mapping[str, Any]) -> Judged:
        wanted = Wanted(exercise.sizes, exercise.activation)
        return judge_network(self.subject, entry, wanted, self.random, self.seconds)

    def of(self, exercise: Exercise, entries: Sequence[Mapping[str, Any]]) -> Judged:
        """Return what is to be said of one exercise."""
        try:
            return self._of(exercise, entries)
        except Stopped as stop:
            return Judged(stopped(stop, step=exercise.name, name=str(entries[0]["name"])))

    def _of(self, exercise: Exercise, entries: Sequence[Mapping[str, Any]]) -> Judged:
        if exercise.kind == "network":
            made = self._networks(exercise, entries)
        elif exercise.kind == "script":
            wanted = Wanted(exercise.sizes, exercise.activation, softmax=False)
            made = judge_script(self.subject, entries[0], self.ran.defined, self.ran.images, wanted)
            # A loop that was cut short leaves what it had so far.
            ended = [failed(error) for error in self.ran.errors if error["error"] in ("TooLong", "MemoryError")]
            made = replace(made, finding=ended[0]) if ended else made
        else:
            cases = [case.name for case in exercise.cases]
            cases += [case for case in ("large", "apart") if case not in cases and exercise.kind == "softmax"]
            cases += ["dim"] * exercise.takes_dim
            made = judge_function(self.subject, entries[0], exercise.name, cases, self.random, self.seconds)
        if made.finding.code in ("returns-nothing", "raises", "not-found") and self._unfinished(entries[0]["name"]):
            made = replace(made, finding=replace(made.finding, code="template"))
        return made

    def _unfinished(self, name: str) -> bool:
        return name in {entry["name"] for entry in definitions.unfinished(self.submission.cells)}

    def _networks(self, exercise: Exercise, entries: Sequence[Mapping[str, Any]]) -> Judged:
        """Judge the classes and the finished networks; the right one counts, else the last one that was written."""
        made = [(entry, self._network(exercise, entry)) for entry in entries]
        entry, judged = next((pair for pair in made if pair[1].finding.code == "correct"), made[0])
        stale = _stale(entry, self.ran.defined) if judged.finding.code == "correct" else None
        if stale is None:
            # A network that was made of the right class may have been changed since.
            same = [
                item for item in self.ran.defined if item["kind"] == "instance" and item.get("class") == entry["key"]
            ]
            made_of_it = self._network(exercise, same[-1]) if same and judged.finding.code == "correct" else judged
            return judged if made_of_it.finding.code == "correct" else made_of_it
        fields = {**judged.finding.fields, "name": stale["name"], "got": stale.get("of", "")}
        return replace(judged, finding=Finding("stale-class", stale["line"], stale["cell"], fields))


def _noted(judged: Judged, submission: Submission, ran: _Ran) -> Judged:
    """Add what is known of cells of the lesson that broke, and of statements that raised elsewhere."""
    repaired = [found for error in ran.errors if (found := repair(error, _line_of(submission, error)))]
    others = [] if repaired else [replace(failed(error), code="statement-raises") for error in ran.errors[:1]]
    return replace(judged, remarks=(*judged.remarks, *_once([*submission.repairs, *repaired, *others])))


def _stale(right: Mapping[str, Any], defined: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the last network that was made of a class which the right one was to replace."""
    made = [entry for entry in defined if entry["kind"] == "instance" and not entry.get("library")]
    if right["kind"] != "class" or not made or any(entry.get("class") == right["key"] for entry in made):
        return None
    last = made[-1]
    return last if last["key"] > right["key"] or last.get("of") == right["name"] else None


def _nothing(submission: Submission, ran: _Ran, exercise: Exercise | None) -> Finding:
    """Return why there is nothing to judge: an error on the way, a cell that is no Python, a missing name."""
    wanted = exercise.defines if exercise else ", ".join(find(name).defines for name in names()[:4])
    if submission.flaws:
        return submission.flaws[-1]
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
