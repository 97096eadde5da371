"""The learning rate of each step, as a function of the step alone: resuming needs no state."""

from __future__ import annotations

import math

from sumtoone.options import TrainingOptions

# One-cycle as PyTorch's OneCycleLR has it: 30 % of the steps up from 1/25, then down to 1/250,000 of the peak.
_WARM_SHARE = 0.3
_START = 1 / 25
_END = _START / 1e4


def learning_rate(options: TrainingOptions, step: int, steps: int) -> float:
    """Return the learning rate of ``step`` (from 0) out of ``steps``.

    Smith & Topin 2018 for one-cycle, Loshchilov & Hutter 2017 (without restarts) for cosine.

    >>> options = TrainingOptions(lr=1.0, schedule="cosine")
    >>> [round(learning_rate(options, step, 5), 3) for step in range(5)]
    [1.0, 0.905, 0.655, 0.345, 0.095]
    """
    peak = options.learning_rate
    if options.schedule == "cosine":
        return _between(peak, 0.0, step / steps)
    if options.schedule == "one-cycle":
        top = _WARM_SHARE * steps - 1
        if step <= top:
            return _between(_START * peak, peak, step / top if top > 0 else 1.0)
        rest = (steps - 1) - top
        return _between(peak, _END * peak, (step - top) / rest)
    return peak


def _between(start: float, end: float, share: float) -> float:
    """Go from ``start`` to ``end`` along half a cosine."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
