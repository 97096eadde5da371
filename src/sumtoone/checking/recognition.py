"""Which exercises a submission answers, by what it defines: names, near misses included."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

Defined = Mapping[str, Any]

# Words that make another exercise of a name, or a test of one.
_OTHER = {"log", "stable", "gradient", "grad", "derivative", "backward", "prime", "temperature", "cross", "entropy"}
_OTHER |= {"loss", "test", "check", "plot", "show", "print"}
_ARTICLES = ("my", "own", "the", "mine")
_NETWORK = re.compile(r"net|model|classif|perceptron|mlp|ann\b|forward", re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\da-zA-Z_]+")
_NEAR = 0.82
_OUT = ("out", "output", "outputs", "logits", "y", "outs", "result", "y_hat", "net_out", "network_output", "out_put")
_PROBABILITIES = re.compile(r"prob|ps$|soft|pred|sum", re.IGNORECASE)
_WEIGHT = re.compile(r"(w|weights?|b|bias)_?(\d|h|i|o|hidden|out|output|input|in)\w*|weights?|bias(es)?", re.IGNORECASE)
_FLAT_PIXELS, _OUTPUT = 784, [64, 10]
_MOST = 40


class Exercise(Protocol):
    """What is asked of an exercise here: its name, its kind, the name that it asks for and others it is known by."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def defines(self) -> str: ...  # noqa: D102
    @property
    def spellings(self) -> Sequence[str]: ...  # noqa: D102


@dataclass(frozen=True)
class Candidate:
    """Something in a submission that may answer an exercise, or one of several.

    ``closeness`` is 0 for the very name, 1 for a known other spelling, 2 and 3 for near misses, 9 for a guess;
    ``key`` is the one under which it was reported, if it was.
    """

    exercises: tuple[str, ...]
    name: str
    kind: str
    line: int | None = None
    cell: int | None = None
    key: int | None = None
    closeness: int = 0


def candidates(
    defined: Sequence[Defined], exercises: Sequence[Exercise], path: str = "", exercise: str | None = None
) -> list[Candidate]:
    """Return what answers each exercise; every network, the last defined first.

    Parameters
    ----------
    defined
        What running reported, or what :func:`~sumtoone.checking.definitions.statically_defined` found, in its order.
    exercises
        All that there are.
    path
        The submission's; its name helps where nothing has the name that is asked for.
    exercise
        The only one that is asked for, if it was named; what has its kind then counts whatever its name.
    """
    asked = [item for item in exercises if exercise in (None, item.name)]
    titled = exercise or _titled(path, exercises)
    functions = [item for item in exercises if item.kind in ("softmax", "function")]
    found = list(_functions(defined, functions))
    networks = [entry for entry in _networks(defined) if not _is_function_class(entry, functions)]
    if networks or any(_rank(entry) == 0 for entry, _, _ in found):
        # Beside a learner's own, what a library gives, or a class for a layer, is a part of it.
        found = [one for one in found if _rank(one[0]) == 0 or one[1].name == titled]
    made = [_candidate(entry, (item.name,), closeness) for entry, item, closeness in found if item in asked]
    for item in asked:
        if item in functions and item.name == titled and not any(item.name in one.exercises for one in made):
            made += _guessed(defined, item, exercises)
    kinds = [item.name for item in asked if item.kind == "network"]
    kinds = [name for name in kinds if name == titled] or kinds
    if kinds:
        # The kind of network that is named first is the one that the class is named after.
        made += [
            _candidate(entry, tuple(sorted(kinds, key=lambda name: name.split("-")[0] not in entry["name"].lower())))
            for entry in networks
        ]
    others = [entry["name"] for entry in defined if entry["kind"] == "class" and not entry.get("module")]
    for item in asked:
        if item.kind == "script":
            ends = _outputs(defined, item, sure=item.name == titled, alone=all(one.name in others for one in made))
            # A class without a module may hold the weights of a hand-made network.
            made = [one for one in made if not (ends and one.name in others and exercise is None)] + ends
    order = [item.name for item in exercises]
    return sorted(made, key=lambda one: order.index(one.exercises[0]))


def near_forward(names: Sequence[str]) -> str | None:
    """Return the method that was meant to be ``forward`` (foward, Forward); None if it is there, or nothing like it."""
    if "forward" in names:
        return None
    near = [(difflib.SequenceMatcher(None, name.lower(), "forward").ratio(), name) for name in names if len(name) < 40]
    best = max(near, default=(0.0, ""))
    return best[1] if best[0] >= 0.75 else None


# --- which exercise


def _candidate(entry: Defined, exercises: tuple[str, ...], closeness: int = 0) -> Candidate:
    where = entry.get("line"), entry.get("cell"), entry.get("key")
    return Candidate(exercises, str(entry["name"]), str(entry["kind"]), *where, closeness)


def _is_function_class(entry: Defined, functions: Sequence[Exercise]) -> bool:
    """Whether a class goes by the name of a function, such as ``Softmax``."""
    near = [_closeness(str(entry["name"]), item) for item in functions]
    return entry["kind"] == "class" and any(how is not None and how[0] <= 2 for how in near)


def _titled(path: str, exercises: Sequence[Exercise]) -> str | None:
    """Return the exercise that a file is named after: the longest name that is part of the file's."""
    stem = "".join(_words(PurePosixPath(path.replace("\\", "/")).stem))
    names = [item.name for item in exercises if "".join(_words(item.name)) in stem]
    return max(names, key=len, default=None)


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name[:200])]


def _closeness(name: str, exercise: Exercise) -> tuple[int, float] | None:
    """Return how near a name is to an exercise's, then how unlike it is; None if it is not near."""
    targets = (exercise.defines, *exercise.spellings)
    if name in targets:
        return (0 if name == exercise.defines else 1), 0.0
    words = [word for word in _words(name) if word not in _ARTICLES]
    joined = "".join(words)
    best: tuple[int, float] | None = None
    for target in targets:
        wanted = [word for word in _words(target) if word not in _ARTICLES]
        if joined == "".join(wanted):
            return 2, 0.0
        if ({*words} - {*wanted}) & _OTHER:
            continue
        ratio = difflib.SequenceMatcher(None, joined, "".join(wanted)).ratio()
        if {*wanted} <= {*words} or ratio >= _NEAR:
            best = min(best or (3, 1.0), (3, 1 - ratio))
    return best


def _functions(defined: Sequence[Defined], exercises: Sequence[Exercise]) -> Iterator[tuple[Defined, Exercise, int]]:
    """Yield for each exercise the entry that is nearest to it: each entry counts for its nearest exercise alone."""
    ranked: dict[str, list[tuple[tuple[int, int, int], Defined, Exercise]]] = {}
    for order, entry in enumerate(defined):
        rank = _rank(entry)
        if rank is None:
            continue
        measured = [(_closeness(str(entry["name"]), item), item) for item in exercises]
        close = [(*how, item) for how, item in measured if how is not None]
        if close:
            near, _, item = min(close, key=lambda one: (one[0], one[1], -len(one[2].defines)))
            ranked.setdefault(item.name, []).append(((near, rank, -order), entry, item))
    for found in ranked.values():
        (near, *_), entry, item = min(found, key=lambda one: one[0])
        yield entry, item, near


def _rank(entry: Defined) -> int | None:
    """Return how well an entry can stand for a function; None if it cannot."""
    if entry["kind"] == "function":
        return 0 if entry.get("own", True) else 1
    return {"instance": 2, "class": 3}.get(entry["kind"])


def _guessed(defined: Sequence[Defined], exercise: Exercise, exercises: Sequence[Exercise]) -> list[Candidate]:
    """Return the last function of the learner's own that is no activation and no other exercise's."""
    others = [item for item in exercises if item.kind in ("softmax", "function") and item.name != exercise.name]
    own = [entry for entry in defined if entry["kind"] == "function" and entry.get("own", True)]
    own = [entry for entry in own if not re.match(r"(activation|sigmoid|relu|tanh)", entry["name"], re.IGNORECASE)]
    own = [entry for entry in own if all(_closeness(entry["name"], item) is None for item in others)]
    return [_candidate(own[-1], (exercise.name,), 9)] if own else []


def _networks(defined: Sequence[Defined]) -> list[Defined]:
    classes = [entry for entry in defined if entry["kind"] == "class" and _may_be_network(entry)]
    names = {entry["name"] for entry in classes}
    instances = [entry for entry in defined if entry["kind"] == "instance" and _is_own_network(entry, names)]
    return [*reversed(classes), *reversed(instances)][:_MOST]


def _may_be_network(entry: Defined) -> bool:
    methods = entry.get("methods") or ()
    named = _NETWORK.search(entry["name"]) is not None
    return bool(entry.get("module") or "forward" in methods or near_forward(methods) or named)


def _is_own_network(entry: Defined, classes: set[str]) -> bool:
    of = str(entry.get("of") or "")
    if entry.get("class") is not None or of in classes:
        return False  # its class stands for it
    return of in ("Sequential", "ModuleList", "") or not entry.get("library")


def _outputs(defined: Sequence[Defined], exercise: Exercise, sure: bool, alone: bool) -> list[Candidate]:
    """Return the tensor that a hand-made network ends in."""
    tensors = [
        (order, entry)
        for order, entry in enumerate(defined)
        # What is no tensor is an answer where it is empty still, or where nothing but its name is known.
        if (entry["kind"] == "tensor" and entry.get("shape") == _OUTPUT)
        or (entry["kind"] == "other" and entry.get("empty", True) and _named_out(entry["name"], exercise) in (0, 1))
    ]
    weights = any(_is_weight(entry) for entry in defined)
    ranked = []
    for order, entry in tensors:
        named = _named_out(entry["name"], exercise)
        if named is None and (entry["kind"] == "other" or not (weights or sure)):
            continue
        if weights or sure or alone:
            spoiled = _PROBABILITIES.search(entry["name"]) is not None and named != 0
            ranked.append(((spoiled, 5 if named is None else named, -order), entry))
    # A tensor of another shape under the very name is the learner's answer all the same.
    for order, entry in enumerate(defined):
        if entry["kind"] == "tensor" and entry["name"] == exercise.defines and (weights or sure):
            ranked.append(((False, 0, -order), entry))
    if not ranked:
        return []
    (_, named, _), entry = min(ranked, key=lambda one: one[0])
    return [_candidate(entry, (exercise.name,), 9 if named == 5 else named)]


def _named_out(name: str, exercise: Exercise) -> int | None:
    if name == exercise.defines:
        return 0
    if name in exercise.spellings or name.lower() in _OUT:
        return 1
    return 2 if {"out", "output", "logits"} & {*_words(name)} else None


def _is_weight(entry: Defined) -> bool:
    if entry["kind"] == "tensor":
        shape = entry.get("shape") or []
        return len(shape) == 2 and _FLAT_PIXELS in shape and not (shape[0] == _OUTPUT[0] and shape[1] == _FLAT_PIXELS)
    return entry["kind"] == "other" and _WEIGHT.fullmatch(entry["name"]) is not None
