"""Judges what is wrong for every classifier, whatever its sizes: no activation, softmax twice or along the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sumtoone.checking.judging.arithmetic import shape_of, shown
from sumtoone.checking.judging.asking import Asked, Pass
from sumtoone.checking.judging.functions import Judged
from sumtoone.checking.subject import Subject
from sumtoone.checking.verdict import Finding, Maker

_ROWS = 16
# Softmax along the batch, over everything, twice; logits, probabilities and log-probabilities are all right.
_ENDINGS = {
    "softmax over dim 0": "wrong-axis",
    "softmax over everything": "global-sum",
    "log_softmax over dim 0": "wrong-axis",
    "softmax twice": "double-softmax",
    "softmax, log_softmax": "double-softmax",
    "negated softmax": "negated",
}


@np.errstate(all="ignore")  # whatever numbers come from a learner's code
def judge_classifier(
    subject: Subject,
    entry: Mapping[str, Any],
    shape: tuple[int, ...],
    classes: int,
    random: np.random.Generator,
) -> Judged:
    """Return what is wrong with a classifier of rows of a shape; ``correct`` where its layers cannot be followed."""
    built, _ = subject.ask({"do": "build", "key": entry["key"]})
    made = Asked(subject, built, random, 0.0, classes, shape).forward(_ROWS)

    def found(code: str, **fields: Any) -> Finding:
        sums = "" if made.output is None else shown(np.asarray(made.output, np.float64).sum(axis=-1), 3)
        said = {"name": entry.get("of") or entry["name"], "shape": (_ROWS, *shape), "sums": sums}
        return Finding(code, fields=said | fields)

    return Judged(_finding(made, found))


def _finding(made: Pass, found: Maker) -> Finding:
    chain = made.chain
    if chain is None or not made.trusted:
        return _by_sums(made, found)
    after = [layer.name.removesuffix(".weight") for layer in chain.layers]
    for name, between in zip(after, chain.between, strict=False):
        if between == "none":
            return found("missing-activation", after=name, layer=name, wanted="relu, sigmoid, tanh, …")
    if chain.on_output != "none":
        return found("activation-on-output", after=after[-1], layer=after[-1], got=chain.on_output)
    return found(
        _ENDINGS.get(chain.ending or "", "correct"), got=shown(None if made.output is None else made.output[0])
    )


def _by_sums(made: Pass, found: Maker) -> Finding:
    """Return what the sums of the output say of a network that is no chain of layers."""
    if made.output is None or len(shape_of(made.output)) != 2:
        return found("correct")
    output = np.asarray(made.output, np.float64)
    by_row, by_column = (bool(np.allclose(output.sum(axis=axis), 1, atol=1e-4)) for axis in (1, 0))
    positive = bool((output >= 0).all())
    if positive and by_column and not by_row:
        return found("wrong-axis")
    return found("global-sum" if positive and abs(output.sum() - 1) < 1e-4 else "correct")
