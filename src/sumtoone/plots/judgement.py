"""Pictures of training and of judgement: curves over the epochs, the confusion matrix, the reliability diagram."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from sumtoone.errors import DataError
from sumtoone.evaluation import Reliability, Report
from sumtoone.intervals import with_interval
from sumtoone.language import text
from sumtoone.plots.canvas import BLUE, GREY, VERMILION, drawing, readable

if TYPE_CHECKING:
    from sumtoone.history import History

MOST_NUMBERED = 20
MOST_UPRIGHT = 12
MOST_NAMED = 64
MOST_MARKED_EPOCHS = 30


@drawing()
def training_curves(history: History) -> Figure:
    """Draw loss and accuracy of training and validation over the epochs, side by side.

    Raises
    ------
    DataError
        If there is no epoch in the history.
    """
    if not len(history):
        raise DataError("plot-history-empty")
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    size = 5 if len(history) <= MOST_MARKED_EPOCHS else 0
    for axes, quantity in ((loss, "loss"), (accuracy, "accuracy")):
        for part, colour, form in (("train", BLUE, "o-"), ("validation", VERMILION, "s--")):
            name = f"{part}_{quantity}"
            known = [(row["epoch"], row[name]) for row in history if row.get(name) is not None]
            if known:
                axes.plot(*zip(*known, strict=True), form, color=colour, markersize=size, label=text(f"plots.{part}"))
                axes.legend()
        axes.set(title=text(f"plots.{quantity}"), xlabel=text("plots.epoch"))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(axis="y")
    loss.set_ylabel(text("plots.nats"))
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    return figure


@drawing()
def confusion_matrix(report: Report) -> Figure:
    """Draw which class was taken for which: rows are the true class, columns the predicted one.

    The colour is a cell's share of its row, on a square-root scale so that rare mistakes show; up to 20
    classes the cells carry their counts, empty cells none. Of more than 100 classes: bars of the commonest confusions.
    """
    if report.confusion is None:
        return _commonest(report)
    counts, names = report.confusion, readable(report.classes)
    size = len(names)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(max(3.2, 0.52 * size), 9.0)
    figure = Figure(figsize=(side + 2.2, side + 1.2), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0.0, 1.0), interpolation="nearest")
    if size <= MOST_NUMBERED:
        for true, predicted in np.argwhere(counts):
            colour = "white" if shares[true, predicted] > 0.3 else "black"
            number = f"{counts[true, predicted]:,}"
            axes.text(predicted, true, number, ha="center", va="center", fontsize=8, color=colour)
    shown = range(0, size, math.ceil(size / MOST_NAMED))
    small = 9 if size <= MOST_NUMBERED else 7
    upright = size <= MOST_UPRIGHT and max(map(len, names)) <= 6
    axes.set_xticks(shown, [names[each] for each in shown], rotation=0 if upright else 90, fontsize=small)
    axes.set_yticks(shown, [names[each] for each in shown], fontsize=small)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel=text("plots.predicted"), ylabel=text("plots.true"))
    axes.set_title(text("plots.confusion", rows=report.rows, accuracy=with_interval(report.right, report.rows)))
    ticks = [0, 0.01, 0.05, 0.2, 0.5, 1]
    bar = figure.colorbar(picture, ax=axes, format=PercentFormatter(1.0), ticks=ticks, shrink=0.8)
    bar.set_label(text("plots.share-of-row"))
    bar.outline.set_visible(False)
    return figure


def _commonest(report: Report) -> Figure:
    """Draw the commonest confusions of two classes as bars."""
    found = report.confusions[:MOST_NUMBERED]
    names = dict(zip(report.classes, readable(report.classes), strict=True))
    figure = Figure(figsize=(8.0, 1.6 + 0.28 * max(1, len(found))), layout="constrained")
    axes = figure.subplots()
    places = range(len(found))
    axes.barh(places, [pair.count for pair in found], color=BLUE)
    axes.set_yticks(places, [f"{names[pair.true]} → {names[pair.predicted]}" for pair in found])
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(text("plots.confusion", rows=report.rows, accuracy=with_interval(report.right, report.rows)))
    axes.set_xlabel(text("plots.rows"))
    axes.set_ylabel(text("plots.confusions"))
    return figure


@drawing()
def reliability_diagram(judged: Report | Reliability) -> Figure:
    """Draw how often predictions of each confidence are right, and below it how many of them there are.

    The whiskers are Wilson's 95 % intervals: where one crosses the diagonal, luck alone may be the gap.
    Where the bars end on the diagonal, confidence can be taken at its word. Of a report, the error has its interval.
    """
    reliability = judged if isinstance(judged, Reliability) else judged.reliability
    filled = reliability.counts > 0
    left, width = reliability.edges[:-1], np.diff(reliability.edges)
    accuracy, confidence = reliability.accuracy[filled], reliability.confidence[filled]
    figure = Figure(figsize=(5.4, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.bar(
        left[filled],
        accuracy,
        width[filled],
        align="edge",
        color=BLUE,
        edgecolor="white",
        label=text("plots.share-right"),
    )
    upper.bar(
        left[filled],
        confidence - accuracy,
        width[filled],
        accuracy,
        align="edge",
        facecolor="none",
        edgecolor=VERMILION,
        hatch="////",
        linewidth=0.8,
        label=text("plots.gap"),
    )
    ends = np.array(reliability.intervals).reshape(-1, 2).T
    whiskers = np.abs(ends - accuracy)
    middle = left[filled] + width[filled] / 2
    upper.errorbar(middle, accuracy, whiskers, fmt="none", ecolor="black", capsize=2.5, label=text("plots.interval"))
    upper.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1.2, label=text("plots.calibrated"))
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel=text("plots.share-right"))
    error = f"{reliability.ece:.4f}"
    if isinstance(judged, Report):
        error += " [{:.4f}, {:.4f}]".format(*judged.intervals["ece"])
    upper.set_title(text("plots.reliability", ece=error))
    upper.yaxis.set_major_formatter(PercentFormatter(1.0))
    # Beside no axes but above them both: bars of low confidence stand where a legend inside would lie.
    figure.legend(*upper.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    lower.bar(left, reliability.counts, width, align="edge", color=GREY, edgecolor="white")
    for place, count in zip(middle, reliability.counts[filled], strict=True):
        lower.annotate(f"{count:,}", (place, count), (0, 1), textcoords="offset points", ha="center", fontsize=6)
    # Nearly all rows of a good network are in the last bin: on a plain scale the others would not show.
    lower.set_yscale("log")
    lower.set_ylim(0.7, max(10.0, 4.0 * float(reliability.counts.max())))
    lower.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    lower.yaxis.set_minor_locator(NullLocator())
    lower.xaxis.set_major_formatter(PercentFormatter(1.0))
    lower.set(xlabel=text("plots.confidence"), ylabel=text("plots.rows"))
    return figure
