"""The picture of a comparison: how contenders fare over the epochs, with what other seeds would give around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from sumtoone.errors import DataError
from sumtoone.language import text
from sumtoone.plots.canvas import GREY, drawing, readable

# Of Okabe and Ito 2008, without the yellow that white paper swallows; then again with other strokes.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STROKES = ("-", "--", ":", "-.")
_MARKED_EPOCHS = 30
_LONGEST_NAME = 40


@dataclass(frozen=True)
class Curve:
    """A contender's means over its seeds, one for each epoch, and the ends of their intervals.

    Shape: ``means``, ``lows`` and ``highs`` (E,), shares in [0, 1]; empty where no seed got anywhere.
    """

    name: str
    means: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]


@drawing()
def comparison_curves(curves: Sequence[Curve], *, reach: float | None = None, seeds: int = 1) -> Figure:
    """Draw the validation accuracy of contenders over the epochs, each mean in the band of its interval.

    Raises
    ------
    DataError
        If there is nothing to draw.
    """
    shown = [curve for curve in curves if len(curve.means)]
    if not shown:
        raise DataError("plot-history-empty")
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for place, (curve, name) in enumerate(
        zip(shown, readable([curve.name for curve in shown], _LONGEST_NAME), strict=True)
    ):
        turn, which = divmod(place, len(_COLOURS))
        colour, stroke = _COLOURS[which], _STROKES[turn % len(_STROKES)]
        epochs = range(1, len(curve.means) + 1)
        size = 4 if len(epochs) <= _MARKED_EPOCHS else 0
        axes.fill_between(epochs, curve.lows, curve.highs, color=colour, alpha=0.18, linewidth=0)
        axes.plot(epochs, curve.means, stroke, marker="o", markersize=size, color=colour, label=name)
    if reach is not None:
        axes.axhline(reach, color=GREY, linewidth=0.8, linestyle="--")
    axes.set(xlabel=text("plots.epoch"), ylabel=text("plots.validation-accuracy"))
    axes.set_title(text("plots.comparison", seeds=seeds))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(axis="y")
    figure.legend(loc="outside right upper")
    return figure
