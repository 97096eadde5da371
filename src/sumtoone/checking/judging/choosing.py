"""Which of the things that a submission defines answer an exercise, and what is to be said of the exercise then."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from textwrap import dedent
from typing import Any

import numpy as np

from sumtoone.checking import definitions, recognition
from sumtoone.checking.exercises import Exercise, find
from sumtoone.checking.judging.failing import failed, stopped
from sumtoone.checking.judging.functions import Judged, judge_function
from sumtoone.checking.judging.networks import Wanted, judge_network
from sumtoone.checking.judging.scripts import judge_script
from sumtoone.checking.sources import Submission
from sumtoone.checking.subject import Stopped, Subject
from sumtoone.checking.syntax import Cell, attempt
from sumtoone.checking.verdict import Finding

Entry = Mapping[str, Any]
_NETWORKS = ("sigmoid-network", "relu-network")


@dataclass(frozen=True)
class Ran:
    """What running a submission gave: what it defines, the errors of its statements, the images it was given."""

    defined: Sequence[Entry]
    errors: Sequence[Entry]
    images: Any


def cell_at(submission: Submission, number: int | None) -> Cell | None:
    """Return the cell of a number, of those that are no Python too; of a file the only one there is."""
    return next((cell for cell in (*submission.cells, *submission.broken) if cell.number == number), None)


def network_of(name: str, text: str) -> str | None:
    """Return which of the lesson's networks one is by its name or its number of layers, if they tell."""
    named = [each for each in _NETWORKS if each.split("-")[0] in name.lower()]
    if len(named) == 1:
        return named[0]
    layers = layers_in(text)
    return _NETWORKS[layers - 2] if layers in (2, 3) else None


def layers_in(text: str) -> int:
    """Return how many linear layers a statement makes; those that are only spoken of in comments are none."""
    tree = attempt(dedent(text))
    if tree is None:
        return re.sub(r"#.*", "", text).count("Linear(")
    called = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return sum(ast.unparse(each).endswith("Linear") for each in called)


@dataclass(frozen=True)
class Judging:
    """What the judging of one submission needs throughout."""

    subject: Subject
    submission: Submission
    ran: Ran
    random: np.random.Generator
    seconds: float
    _judged: dict[tuple[int, str], Judged] = field(default_factory=dict)

    def by_exercise(self, found: Sequence[recognition.Candidate]) -> dict[str, list[Entry]]:
        """Return the entries that may answer each exercise, the likeliest first."""
        entries = {entry["key"]: entry for entry in self.ran.defined}
        made: dict[str, list[Entry]] = {}
        for one in found:
            if one.key in entries:
                name = one.exercises[0] if len(one.exercises) == 1 else self._kind(entries[one.key])
                made.setdefault(name, []).append(entries[one.key])
        return made

    def _kind(self, entry: Entry) -> str:
        """Return which of the lesson's networks one is: by its name, its number of layers, else by what it does."""
        if (known := network_of(entry["name"], self._text_of(entry))) is not None:
            return known
        best = max(_NETWORKS, key=lambda name: len(self._network(name, entry).passed_cases))
        if self._network(best, entry).passed_cases:
            return best
        text = self._text_of(entry)
        return "relu-network" if layers_in(text) > 3 or "relu" in text.lower() else "sigmoid-network"

    def _text_of(self, entry: Entry) -> str:
        cell, line = cell_at(self.submission, entry.get("cell")), entry.get("line")
        return definitions.statement_at(cell, line) if cell is not None and line is not None else ""

    def _network(self, name: str, entry: Entry) -> Judged:
        if (entry["key"], name) not in self._judged:
            asked = find(name)
            wanted = Wanted(asked.sizes, asked.activation)
            made = judge_network(self.subject, entry, wanted, self.random, self.seconds)
            self._judged[entry["key"], name] = made
        return self._judged[entry["key"], name]

    def of(self, exercise: Exercise, entries: Sequence[Entry]) -> Judged:
        """Return what is to be said of one exercise."""
        try:
            return self._of(exercise, entries)
        except Stopped as stop:
            return Judged(stopped(stop, step=exercise.name, name=str(entries[0]["name"])))

    def _of(self, exercise: Exercise, entries: Sequence[Entry]) -> Judged:
        if exercise.kind == "network":
            made = self._networks(exercise, entries)
        elif exercise.kind == "script":
            made = self._script(exercise, entries[0])
        else:
            made = judge_function(self.subject, entries[0], exercise, self.random, self.seconds)
        if made.finding.code in ("returns-nothing", "raises", "not-found") and self._unfinished(entries[0]["name"]):
            made = replace(made, finding=replace(made.finding, code="template"))
        return made

    def _unfinished(self, name: str) -> bool:
        return name in {entry["name"] for entry in definitions.unfinished(self.submission.cells)}

    def _script(self, exercise: Exercise, entry: Entry) -> Judged:
        wanted = Wanted(exercise.sizes, exercise.activation)
        # In the lesson's notebook the same name is bound again where classes follow.
        first = min((item["key"] for item in self.ran.defined if item.get("module")), default=None)
        same = [item for item in self.ran.defined if item["name"] == entry["name"] and item["kind"] == entry["kind"]]
        before = [item for item in same if first is not None and item["key"] < first]
        entry = before[-1] if before else entry
        made = judge_script(self.subject, entry, self.ran.defined, self.ran.images, wanted)
        # A loop that was cut short leaves what it had so far.
        found = [failed(error) for error in self.ran.errors]
        ended = [each for each in found if each.code in ("time-limit", "memory-limit")]
        return replace(made, finding=ended[0]) if ended else made

    def _networks(self, exercise: Exercise, entries: Sequence[Entry]) -> Judged:
        """Judge the classes, or what was built without one; the right one counts, else the last that was written."""
        given = [entry for entry in entries if definitions.is_given(self._text_of(entry))]
        own = [entry for entry in entries if entry not in given and entry["kind"] == "class"]
        own = own or [entry for entry in entries if entry not in given]
        # Where the lesson's own network of this kind is there, a class of the other kind was not meant for it.
        kinds = {self._kind(entry) for entry in given}
        own = own if exercise.name not in kinds else [entry for entry in own if self._kind(entry) == exercise.name]
        if not own:
            known = [item for item in self.ran.defined if item["kind"] in ("class", "instance")]
            lesson = sum(definitions.is_given(text) for text in {self._text_of(item) for item in known}) > 1
            if lesson and exercise.name == "relu-network":  # the lesson builds it once more, after the exercise
                return Judged(Finding("template", fields={"name": exercise.defines}))
            own = given
        made = [(entry, self._network(exercise.name, entry)) for entry in own]
        entry, judged = next((pair for pair in made if pair[1].finding.code == "correct"), made[0])
        if judged.finding.code != "correct":
            return judged
        stale = self._stale(entry)
        if stale is not None:
            fields = {**judged.finding.fields, "name": stale["name"], "got": stale.get("of", "")}
            return replace(judged, finding=Finding("stale-class", stale["line"], stale["cell"], fields))
        # A network that was made of the right class may have been changed since.
        made_of_it = [
            item for item in self.ran.defined if item["kind"] == "instance" and item.get("class") == entry["key"]
        ]
        changed = self._network(exercise.name, made_of_it[-1]) if made_of_it else judged
        return judged if changed.finding.code == "correct" else changed

    def _stale(self, right: Entry) -> Entry | None:
        """Return the last network of a class that the right one was to replace: older, and right for no exercise."""
        made = [item for item in self.ran.defined if item["kind"] == "instance" and not item.get("library")]
        if right["kind"] != "class" or not made or any(item.get("class") == right["key"] for item in made):
            return None
        last = made[-1]
        old = next((item for item in self.ran.defined if item["key"] == last.get("class")), None)
        if old is None or old["key"] > right["key"] or (last["key"] < right["key"] and last.get("of") != right["name"]):
            return None
        lacks = f"'{old['name']}' object has no attribute"
        own = not definitions.is_given(self._text_of(right))
        if own and any(lacks in error["message"] for error in self.ran.errors):
            return last
        return None if any(self._network(name, old).finding.code == "correct" for name in _NETWORKS) else last
