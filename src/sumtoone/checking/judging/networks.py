"""Judges a network: the layers that really ran, what stands between them, how it ends, on the judge's own weights.

The weights of the network are replaced by the judge's before it answers, and what it answers is recomputed from them:
a network that does not use its layers cannot answer right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, prod
from typing import Any

import numpy as np

from sumtoone.checking.judging.arithmetic import shape_of, shown
from sumtoone.checking.judging.asking import Asked, Pass
from sumtoone.checking.judging.chain import Chain
from sumtoone.checking.judging.failing import failed, stopped
from sumtoone.checking.judging.functions import Judged
from sumtoone.checking.subject import Stopped, Subject
from sumtoone.checking.verdict import Finding, Maker

_SHAPES = ((784,), (1, 28, 28), (28, 28))
_ROWS = 64
# The largest of the exercises has 203,530.
_MOST_NUMBERS = 4_000_000


@dataclass(frozen=True)
class Wanted:
    """What the exercise asks for."""

    sizes: tuple[int, ...]
    activation: str

    @property
    def written(self) -> str:
        """The sizes as they are written."""
        return "-".join(map(str, self.sizes))


@np.errstate(all="ignore")  # whatever numbers come from a learner's code
def judge_network(
    subject: Subject, entry: Mapping[str, Any], wanted: Wanted, random: np.random.Generator, seconds: float
) -> Judged:
    """Return what is to be said of a class or an instance as the exercise's network."""
    name = entry["name"]
    base = {"name": name, "wanted": wanted.written, "shape": (_ROWS, 784)}
    place = {"line": entry.get("line"), "cell": entry.get("cell")}

    def found(code: str, **fields: Any) -> Finding:
        return Finding(code, **place, fields=base | fields)

    try:
        built = _built(subject, entry, wanted, seconds)
        if built.get("error"):
            return Judged(_not_built(built["error"], found, base))
        if not built["module"]:
            return Judged(found("not-a-module"))
        if _numbers_in(built) > _MOST_NUMBERS:
            sizes = _declared(built)
            return Judged(found("layer-sizes", sizes=sizes, got=sizes))
        network = Asked(subject, built, random, seconds, wanted.sizes[-1])
        first = _first(network)
        finding = _read(first, built, wanted, found, entry, base)
        if finding.code not in ("correct", *_ONLY_THE_END):
            return Judged(finding, passed_cases=frozenset(_reached(first, wanted)))
        return _finished(network, first, finding, wanted, found)
    except Stopped as stop:
        return Judged(stopped(stop, step=name, name=name))


_ONLY_THE_END = ("no-softmax", "log-probabilities", "double-softmax", "wrong-axis", "softmax-inside")


def _built(subject: Subject, entry: Mapping[str, Any], wanted: Wanted, seconds: float) -> dict[str, Any]:
    sizes = list(wanted.sizes)
    choices: list[Any] = [[], sizes, [sizes], [sizes[0], sizes[1:-1], sizes[-1]], [sizes[0], sizes[-1]]]
    reply, _ = subject.ask({"do": "build", "key": entry["key"], "arguments": choices, "seconds": seconds})
    return reply


def _declared(built: Mapping[str, Any]) -> str:
    """Return the sizes of the linear layers in the order in which they were made."""
    linear = built.get("linear", ())
    return "-".join(str(size) for size in (linear[0][1], *(item[2] for item in linear))) if linear else ""


def _numbers_in(built: Mapping[str, Any]) -> float:
    shapes = [shape for _, shape in built.get("parameters", ())]
    return sum(prod(shape) if len(shape) <= 8 else inf for shape in shapes)


def _not_built(error: Mapping[str, Any], found: Maker, base: Mapping[str, Any]) -> Finding:
    if "before Module.__init__() call" in error["message"] or "super().__init__" in error["message"]:
        return replace(failed(error, **base), code="missing-super")
    return failed(error, **base)


def _first(network: Asked) -> Pass:
    """Return the first pass, in the form of rows that the network takes."""
    tried = None
    for shape in _SHAPES:
        network.shape = shape
        made = network.forward(_ROWS, gradient=True)
        if not made.reply.get("error") and shape_of(made.output)[:1] == (_ROWS,):
            return made
        tried = tried or made
    network.shape = _SHAPES[0]
    return tried or made


def _read(
    made: Pass,
    built: Mapping[str, Any],
    wanted: Wanted,
    found: Maker,
    entry: Mapping[str, Any],
    base: Mapping[str, Any],
) -> Finding:
    linear = built.get("linear", ())
    declared = _declared(built)
    if error := made.reply.get("error"):
        return _not_run(error, entry, declared, wanted, found, base)
    if made.reply.get("none"):
        return found("returns-nothing")
    if not made.reply.get("tensor"):
        return found("not-a-tensor", got=made.reply.get("type", ""))
    chain = made.chain
    if chain is None or not made.trusted:
        return _unread(made, declared, wanted, found)
    unused = [name for name, *_ in linear if f"{name}.weight" not in {layer.name for layer in chain.layers}]
    if chain.sizes != wanted.written or len(chain.layers) != len(wanted.sizes) - 1:
        if unused and (
            declared == wanted.written or (made.reply.get("layers") and len(chain.layers) < len(wanted.sizes) - 1)
        ):
            return found("layer-unused", layer=", ".join(unused), sizes=chain.sizes)
        return found("layer-sizes", sizes=chain.sizes, got=chain.sizes)
    if shape_of(made.output) != (len(made.rows), wanted.sizes[-1]):
        return found("wrong-shape", got=shape_of(made.output), wanted=(len(made.rows), wanted.sizes[-1]))
    if finding := _between(chain, wanted, found):
        return finding
    if unused:
        return found("layer-unused", layer=", ".join(unused), sizes=chain.sizes)
    return _ending(chain, made, found)


def _between(chain: Chain, wanted: Wanted, found: Maker) -> Finding | None:
    gaps = list(zip(chain.layers, chain.between, strict=False))
    for code, is_it in (
        ("missing-activation", lambda name: name == "none"),
        ("softmax-inside", lambda name: name is not None and "softmax" in name),
        ("not-elementwise", lambda name: name is None),
        ("wrong-activation", lambda name: name != wanted.activation),
    ):
        for layer, name in gaps:
            if is_it(name):
                fields = {"after": _short(layer.name), "got": name or "", "wanted": wanted.activation}
                finding: Finding = found(code, layer=_short(layer.name), **fields)
                return replace(finding, line=layer.line or finding.line)
    return None


def _ending(chain: Chain, made: Pass, found: Maker) -> Finding:
    last = _short(chain.layers[-1].name)
    fields = {"after": last, "layer": last, "got": shown(made.output[0] if made.output is not None else None)}
    total = None if made.output is None else shown(np.asarray(made.output, np.float64).sum(axis=1), 3)
    fields["sums"] = total or ""
    if chain.on_output != "none":
        return found("activation-on-output", **fields | {"what": chain.on_output})
    if chain.ending is None:
        return found("wrong-values", **fields)
    codes = {
        "softmax": "correct",
        "none": "no-softmax",
        "log_softmax": "log-probabilities",
        "softmax over dim 0": "wrong-axis",
        "softmax over everything": "wrong-axis",
        "log_softmax over dim 0": "wrong-axis",
        "softmax twice": "double-softmax",
        "softmax, log_softmax": "double-softmax",
        "exp": "not-normalised",
        "negated softmax": "negated",
    }
    return found(codes[chain.ending], **fields)


def _unread(made: Pass, declared: str, wanted: Wanted, found: Maker) -> Finding:
    """Return what is wrong with a network whose output does not follow from its own weights."""
    shape = shape_of(made.output)
    if declared and declared != wanted.written:
        return found("layer-sizes", sizes=declared, got=declared)
    if shape != (len(made.rows), wanted.sizes[-1]):
        return found("wrong-shape", got=tuple(shape), wanted=(len(made.rows), wanted.sizes[-1]))
    return found("ignores-weights", sizes=declared)


def _not_run(
    error: Mapping[str, Any],
    entry: Mapping[str, Any],
    declared: str,
    wanted: Wanted,
    found: Maker,
    base: Mapping[str, Any],
) -> Finding:
    message, kind = error["message"], error["error"]
    if kind == "NotImplementedError" and "forward" in message:
        return found("forward-missing", names=", ".join(entry.get("methods") or ()))
    if kind == "TypeError" and "forward()" in message and "positional argument" in message:
        return found("forward-signature", error=message.splitlines()[0])
    if "before Module.__init__() call" in message:
        return found("missing-super")
    if "mat1 and mat2" in message and declared and declared != wanted.written:
        return replace(found("layer-sizes", sizes=declared, got=declared), line=error.get("line") or entry.get("line"))
    return failed(error, **base)


def _finished(network: Asked, first: Pass, finding: Finding, wanted: Wanted, found: Maker) -> Judged:
    """Hold what was read against other batches, and say what is worth a note."""
    passed = _reached(first, wanted)
    for rows, case in ((1, "batch-of-1"), (5, "batch-of-5")):
        # The pass in training mode shows what a network does when nobody looks; dropout is random there.
        made = network.forward(rows, train=rows > 1 and not network.built.get("random"))
        if made.chain is not None and made.trusted and shape_of(made.output) == (rows, wanted.sizes[-1]):
            other = _between(made.chain, wanted, found) or _ending(made.chain, made, found)
            if other.code == "correct":
                passed.add(case)
            elif finding.code == "correct" and rows > 1:
                finding = other
        elif finding.code == "correct":
            said = ((made.reply.get("error") or {}).get("message") or "").splitlines() or [""]
            finding = found("fixed-batch", shape=(rows, 784), error=said[0], got=shape_of(made.output))
    passed.add("weights")
    remarks = []
    texts = " ".join(first.reply.get("warnings", ()))
    if "Implicit dimension choice" in texts:
        remarks.append(found("implicit-dim"))
    if finding.code == "correct" and first.reply.get("unreached"):
        remarks.append(found("no-gradient", layer=", ".join(first.reply["unreached"][:6])))
    else:
        passed.add("gradient")
    network.shape = (1, 28, 28)
    try:
        if network.forward(5).trusted:
            passed.add("images")
    except Stopped:
        pass
    return Judged(finding, tuple(remarks), frozenset(passed))


def _reached(made: Pass, wanted: Wanted) -> set[str]:
    """Return the cases that hold whatever else is wrong."""
    if made.chain is None or not made.trusted:
        return set()
    cases = set()
    if made.chain.sizes == wanted.written:
        cases.add("sizes")
    if set(made.chain.between) == {wanted.activation}:
        cases.add("activation")
    if made.chain.ending == "softmax" and made.chain.on_output == "none":
        cases.add("ending")
    return cases


def _short(name: str) -> str:
    return name.removesuffix(".weight")
