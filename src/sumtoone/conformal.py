"""Prediction sets by split conformal prediction: scores, their exact quantile, and the sets that it gives.

A score says how little a class suits a row. On rows that shaped nothing, the scores of the true classes are
exchangeable with that of a new row of the same kind: the new one is among the ⌈(n + 1) · coverage⌉ lowest with at least
that probability, whatever the network. Shape suffixes: N rows, D values in a row, K classes.

References
----------
Vovk, Gammerman and Shafer 2005, "Algorithmic Learning in a Random World"; Sadinle, Lei and Wasserman 2019, "Least
Ambiguous Set-Valued Classifiers With Bounded Error Levels", arXiv:1609.00451; Romano, Sesia and Candès 2020,
"Classification with Valid and Adaptive Coverage", arXiv:2006.02544.
"""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

METHODS = ("lac", "aps")
Numbers = NDArray[np.float64]


def draws(x_ND: NDArray[np.generic]) -> Numbers:
    """Return a number (N,) in [0, 1) for each row, drawn by a hash of its values.

    So the randomised sets of a row are the same every time and everywhere, and a score is a function of the row and
    its class alone: all that the guarantee asks for.

    >>> bool(draws(np.array([[1, 2]], np.uint8)) == draws(np.array([[1.0, 2.0]])))
    True
    """
    found = np.empty(len(x_ND))
    for place, row in enumerate(x_ND):
        # In float64, and with one zero: what is equal is drawn alike, whatever its type.
        content = np.ascontiguousarray(row, np.dtype("<f8")) + 0.0
        whole = int.from_bytes(hashlib.blake2b(content.tobytes(), digest_size=8).digest(), "little")
        found[place] = (whole >> 11) * 2.0**-53
    return found


def scores(logits_NK: NDArray[np.floating], draws_N: Numbers, method: str) -> Numbers:
    """Return the score (N, K) of each class.

    ``lac``: -log p. It orders as the 1 - p of its paper does, and goes on where float64 has no number between 1 - p and
    0. ``aps``: the probability of all likelier classes, and of a share of the class itself, which the row draws.
    """
    surprises = _surprises(logits_NK.astype(np.float64))
    if method == "lac":
        return surprises
    p_NK = np.exp(-surprises)
    order = np.argsort(surprises, axis=1, kind="stable")
    ordered = np.take_along_axis(p_NK, order, axis=1)
    before = np.cumsum(ordered, axis=1) - ordered
    found = np.empty_like(p_NK)
    np.put_along_axis(found, order, before + draws_N[:, None] * ordered, axis=1)
    return found


def _surprises(z_NK: Numbers) -> Numbers:
    """Return -log p, which for the likeliest class is log(1 + the sum of the others), not 0, where they are tiny."""
    rows, best = np.arange(len(z_NK)), z_NK.argmax(axis=1)
    below = z_NK - z_NK[rows, best][:, None]
    others = np.exp(below)
    others[rows, best] = 0.0
    rest: Numbers = np.log1p(others.sum(axis=1))[:, None] - below
    return rest


def threshold(ordered: Numbers, coverage: float) -> float:
    """Return the highest score that a class of a set may have: the ⌈(n + 1) · coverage⌉-th of n ordered scores.

    Exact: a coverage of 0.95 is taken for 95/100. Infinite, so that all classes are in every set, where n scores are
    too few for such a coverage.

    >>> threshold(np.arange(19.0), 0.95), threshold(np.arange(18.0), 0.95)
    (18.0, inf)
    """
    place = math.ceil((len(ordered) + 1) * Fraction(repr(coverage)))
    return math.inf if place > len(ordered) else float(ordered[place - 1])
