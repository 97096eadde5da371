"""What each function of the exercises computes, what its known mistakes compute, and the inputs it is asked with.

A mistake is recognised by its values: whoever sums along the wrong axis gets exactly the numbers of that sum, however
it is written. Shape suffixes: N rows, K classes, D inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sumtoone.checking.judging.arithmetic import Numbers, log_softmax, one_hot, softmax

Guess = Callable[..., Numbers]
Inputs = tuple[Any, ...]


@dataclass(frozen=True)
class Problem:
    """What a function is asked with, what is right, and the known mistakes, the most fundamental first."""

    draw: Callable[[np.random.Generator, str], Inputs]
    right: Guess
    mistakes: tuple[tuple[str, Guess], ...]
    sums_to_one: bool = False


# --- inputs

_SHAPES = {"small": (5, 3), "square": (10, 10), "one-row": (1, 10), "float64": (4, 6), "dim": (5, 3), "apart": (6, 10)}


def logits(random: np.random.Generator, case: str) -> Numbers:
    """Return logits (N, K) of a case: float32 but where the case is float64."""
    x = random.normal(0, 2, _SHAPES.get(case, (64, 10)))
    if case == "large":
        x = random.uniform(-1, 1, (5, 10)) * 1000 + 500
    elif case == "apart":
        x += 200.0 * np.arange(len(x))[:, None] - 400
    elif case == "negative":
        # Of a shape that nobody can have been told of.
        x = random.uniform(-12, -2, (int(random.integers(6, 40)), int(random.integers(4, 20))))
    elif case == "fresh":
        # Numbers that lie far apart, and whose exponentials float32 still holds.
        x[::3] = (x[::3] * 8).clip(-40, 40)
    return x if case == "float64" else x.astype(np.float32)


def _only_logits(random: np.random.Generator, case: str) -> Inputs:
    return (logits(random, case),)


def _with_labels(random: np.random.Generator, case: str) -> Inputs:
    x = logits(random, case)
    return x, random.integers(0, x.shape[1], len(x))


def _with_temperature(random: np.random.Generator, case: str) -> Inputs:
    return logits(random, "" if case == "fresh" else case), np.float64(
        random.uniform(1.5, 4) if random.random() < 0.5 else random.uniform(0.2, 0.7)
    )


def _layer(random: np.random.Generator, case: str) -> Inputs:
    rows, outputs, inputs = {"small": (5, 4, 3), "square": (6, 6, 6), "one-row": (1, 10, 12)}.get(case, (64, 10, 20))
    kind = np.float64 if case == "float64" else np.float32
    return tuple(random.normal(0, 1, shape).astype(kind) for shape in ((rows, inputs), (outputs, inputs), (outputs,)))


# --- mistakes of everything that is a softmax


def _exp(x: Numbers) -> Numbers:
    return np.asarray(np.exp(x))


def _sums_as_row(x: Numbers) -> Numbers:
    return np.asarray(_exp(x) / _exp(x).sum(axis=1))


_AXES: tuple[tuple[str, Guess], ...] = (
    ("global-sum", lambda x: softmax(x, None)),
    ("wrong-axis", lambda x: softmax(x, 0)),
    ("missing-keepdim", _sums_as_row),
    ("missing-keepdim", lambda x: _sums_as_row(x - x.max(axis=1, keepdims=True))),
    ("missing-keepdim", lambda x: _sums_as_row(x - x.max())),
    ("wrong-axis", lambda x: _exp(x) / _exp(x).sum(axis=0)[:, None]),
)


def _within(
    outer: Callable[[Numbers], Numbers], guesses: tuple[tuple[str, Guess], ...]
) -> tuple[tuple[str, Guess], ...]:
    return tuple((code, lambda x, *rest, guess=guess: outer(guess(x, *rest))) for code, guess in guesses)


_SOFTMAX: tuple[tuple[str, Guess], ...] = (
    *_AXES,
    ("negated", lambda x: softmax(-x)),
    ("negated", lambda x: softmax(-x, None)),
    ("negated", lambda x: softmax(-x, 0)),
    ("no-exponential", lambda x: x / x.sum(axis=1, keepdims=True)),
    ("no-exponential", lambda x: x / x.sum(axis=0, keepdims=True)),
    ("no-exponential", lambda x: x / x.sum()),
    ("no-exponential", lambda x: np.abs(x) / np.abs(x).sum(axis=1, keepdims=True)),
    ("no-exponential", lambda x: x / np.abs(x).sum(axis=1, keepdims=True)),
    ("no-exponential", lambda x: x / _exp(x).sum(axis=1, keepdims=True)),
    ("no-exponential", lambda x: _exp(x) / x.sum(axis=1, keepdims=True)),
    ("log-probabilities", log_softmax),
    ("double-softmax", lambda x: softmax(softmax(x))),
    ("not-normalised", _exp),
    ("not-normalised", lambda x: _exp(x - x.max(axis=1, keepdims=True))),
    ("not-normalised", lambda x: _exp(x - x.max())),
    ("not-normalised", lambda x: _exp(x) / _exp(x).mean(axis=1, keepdims=True)),
    ("not-normalised", lambda x: _exp(x) / _exp(x).max(axis=1, keepdims=True)),
    ("not-normalised", lambda x: _exp(x) / (1 + _exp(x))),
    ("not-normalised", lambda x: _exp(x) / (1 + _exp(x).sum(axis=1, keepdims=True))),
    ("not-normalised", lambda x: _exp(x) / len(x)),
    ("not-normalised", lambda x: _exp(x) / x.shape[1]),
)  # fmt: skip


def _nll(probabilities: Numbers, labels: Any) -> Numbers:
    return np.asarray(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def _gap(x: Numbers, labels: Any) -> Numbers:
    return softmax(x) - one_hot(labels, x.shape[1])


PROBLEMS: Mapping[str, Problem] = {
    "softmax": Problem(_only_logits, softmax, _SOFTMAX, sums_to_one=True),
    "stable-softmax": Problem(_only_logits, softmax, _SOFTMAX, sums_to_one=True),
    "log-softmax": Problem(
        _only_logits,
        log_softmax,
        (
            ("no-logarithm", softmax),
            *_within(np.log, _AXES),
            ("negated", lambda x: log_softmax(-x)),
            ("negated", lambda x: -log_softmax(x)),
            ("double-softmax", lambda x: log_softmax(softmax(x))),
            ("double-softmax", lambda x: softmax(log_softmax(x))),
            ("not-normalised", lambda x: x),
            ("not-normalised", lambda x: x - x.max(axis=1, keepdims=True)),
            ("no-exponential", lambda x: x - np.log(np.abs(x.sum(axis=1, keepdims=True)))),
            ("no-exponential", lambda x: x - x.sum(axis=1, keepdims=True)),
            ("not-normalised", lambda x: x - np.exp(x).sum(axis=1, keepdims=True)),
            ("wrong-axis", lambda x: x - np.log(np.exp(x).sum(axis=0, keepdims=True))),
            ("missing-keepdim", lambda x: x - np.log(np.exp(x).sum(axis=1))),
            ("global-sum", lambda x: x - np.log(np.exp(x).sum())),
        ),
    ),
    "cross-entropy": Problem(
        _with_labels,
        lambda x, y: _nll(softmax(x), y),
        (
            ("mean-missing", lambda x, y: _nll(softmax(x), y) * len(y)),
            ("mean-missing", lambda x, y: -log_softmax(x)[np.arange(len(y)), y]),
            ("mean-missing", lambda x, y: _nll(softmax(x), y) / x.shape[1]),
            ("sign", lambda x, y: -_nll(softmax(x), y)),
            ("sign", lambda x, y: -_nll(softmax(x), y) * len(y)),
            ("double-softmax", lambda x, y: _nll(softmax(softmax(x)), y)),
            ("wrong-axis", lambda x, y: _nll(softmax(x, 0), y)),
            ("global-sum", lambda x, y: _nll(softmax(x, None), y)),
            ("labels-ignored", lambda x, y: -log_softmax(x).mean()),
            ("labels-ignored", lambda x, y: -log_softmax(x).sum(axis=1).mean()),
            ("labels-ignored", lambda x, y: -log_softmax(x).max(axis=1).mean()),
            ("labels-ignored", lambda x, y: -(softmax(x) * log_softmax(x)).sum(axis=1).mean()),
            ("no-logarithm", lambda x, y: -softmax(x)[np.arange(len(y)), y].mean()),
            ("no-logarithm", lambda x, y: 1 - softmax(x)[np.arange(len(y)), y].mean()),
            ("no-softmax", lambda x, y: -x[np.arange(len(y)), y].mean()),
            ("no-softmax", lambda x, y: -np.log(np.abs(x[np.arange(len(y)), y])).mean()),
        ),
    ),
    "linear": Problem(
        _layer,
        lambda x, w, b: x @ w.T + b,
        (
            ("bias-missing", lambda x, w, b: x @ w.T),
            ("transposed-weight", lambda x, w, b: x @ w + b),
            ("transposed-weight", lambda x, w, b: x @ w),
            ("transposed-weight", lambda x, w, b: x @ w.reshape(w.T.shape) + b),
            ("transposed-weight", lambda x, w, b: w @ x + b),
            ("sign", lambda x, w, b: x @ w.T - b),
            ("bias-inside-product", lambda x, w, b: x @ (w + b).T),
            ("bias-inside-product", lambda x, w, b: x @ (w + b[:, None]).T),
            ("wrong-shape", lambda x, w, b: w @ x.T + b[:, None]),
        ),
    ),
    "softmax-gradient": Problem(
        _with_labels,
        lambda x, y: _gap(x, y) / len(y),
        (
            ("mean-missing", _gap),
            ("mean-missing", lambda x, y: _gap(x, y) / x.shape[1]),
            ("mean-missing", lambda x, y: _gap(x, y) / x.size),
            ("sign", lambda x, y: -_gap(x, y) / len(y)),
            ("sign", lambda x, y: -_gap(x, y)),
            ("wrong-axis", lambda x, y: (softmax(x, 0) - one_hot(y, x.shape[1])) / len(y)),
            ("wrong-axis", lambda x, y: softmax(x, 0) - one_hot(y, x.shape[1])),
            ("global-sum", lambda x, y: (softmax(x, None) - one_hot(y, x.shape[1])) / len(y)),
            ("global-sum", lambda x, y: softmax(x, None) - one_hot(y, x.shape[1])),
            ("labels-ignored", lambda x, y: softmax(x)),
            ("labels-ignored", lambda x, y: softmax(x) / len(y)),
            ("labels-ignored", lambda x, y: softmax(x) - 1),
            ("labels-ignored", lambda x, y: (softmax(x) - 1) / len(y)),
            ("labels-ignored", lambda x, y: softmax(x) * (1 - softmax(x))),
            ("no-softmax", lambda x, y: (x - one_hot(y, x.shape[1])) / len(y)),
            ("no-softmax", lambda x, y: x - one_hot(y, x.shape[1])),
            ("log-probabilities", lambda x, y: (log_softmax(x) - one_hot(y, x.shape[1])) / len(y)),
            ("double-softmax", lambda x, y: (softmax(softmax(x)) - one_hot(y, x.shape[1])) / len(y)),
        ),
    ),
    "temperature": Problem(
        _with_temperature,
        lambda x, t: softmax(x / t),
        (
            ("temperature-ignored", lambda x, t: softmax(x)),
            ("temperature-multiplied", lambda x, t: softmax(x * t)),
            ("global-sum", lambda x, t: softmax(x / t, None)),
            ("wrong-axis", lambda x, t: softmax(x / t, 0)),
            ("missing-keepdim", lambda x, t: _sums_as_row(x / t)),
            ("negated", lambda x, t: softmax(-x / t)),
            ("temperature-outside", lambda x, t: softmax(x) / t),
            ("temperature-outside", lambda x, t: softmax(x) * t),
            ("temperature-outside", lambda x, t: np.exp(x) / t / np.exp(x).sum(axis=1, keepdims=True)),
            ("not-normalised", lambda x, t: np.exp(x / t)),
            ("log-probabilities", lambda x, t: log_softmax(x / t)),
            ("double-softmax", lambda x, t: softmax(softmax(x / t))),
            ("double-softmax", lambda x, t: softmax(softmax(x) / t)),
        ),
        sums_to_one=True,
    ),
}  # fmt: skip
