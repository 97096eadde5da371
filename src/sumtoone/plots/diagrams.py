"""Pictures of the lesson: shapes on their way through a network, and the activation functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from sumtoone.language import text
from sumtoone.plots.canvas import BLUE, GREY, ORANGE, PALE_BLUE, PALE_GREY, VERMILION, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sumtoone.specification import Specification

MOST_BOXES = 9

# Inches: a box, the way to the next one, and the height that the arrows run at.
_BOX, _WAY, _MIDDLE, _MARGIN, _HEIGHT = 1.25, 1.35, 1.75, 0.2, 3.7


@drawing()
def activation_shapes(specification: Specification, batch_size: int = 64) -> Figure:
    """Draw the shape of a batch on its way through a network, and the operation between each shape and the next.

    A box is as high as the logarithm of its layer's size. Of more than nine boxes the middle ones are left out.

    Examples
    --------
    >>> from sumtoone import Specification
    >>> figure = activation_shapes(Specification.parse("784-128-64-10"), batch_size=64)
    >>> [words.get_text() for words in figure.axes[0].texts if words.get_weight() == "bold"]
    ['(64, 784)', '(64, 128)', '(64, 64)', '(64, 10)', '(64, 10)']
    """
    names = _stage_names(specification)
    sizes = (*specification.sizes, specification.outputs)
    shown: list[int | None] = list(range(len(names)))
    if len(names) > MOST_BOXES:
        shown = [0, 1, 2, 3, None, *range(len(names) - 4, len(names))]

    width = len(shown) * (_BOX + _WAY) - _WAY + 2 * _MARGIN
    figure = Figure(figsize=(width, _HEIGHT))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, _HEIGHT))
    axes.axis("off")
    for place, stage in enumerate(shown):
        left = _MARGIN + place * (_BOX + _WAY)
        if place:
            arrow = {"arrowstyle": "-|>", "color": GREY, "linewidth": 1.2, "shrinkA": 4, "shrinkB": 4}
            axes.annotate("", (left, _MIDDLE), (left - _WAY, _MIDDLE), arrowprops=arrow)
        if stage is None:
            axes.text(left + _BOX / 2, _MIDDLE, "…", ha="center", va="center", fontsize=24, color=GREY)
            skipped = text("plots.left-out", count=len(names) - len(shown) + 1)
            axes.text(left + _BOX / 2, _MIDDLE - 0.3, skipped, ha="center", va="top", color=GREY)
            continue
        height = 0.5 + 1.6 * math.log2(sizes[stage]) / math.log2(max(sizes))
        _draw_box(axes, left, height, ORANGE if stage == len(names) - 1 else BLUE)
        shape = f"({batch_size}, {sizes[stage]})"
        # Numbers alone, so in the one font that is always there in bold: a font of Hangul may not be.
        axes.text(left + _BOX / 2, _MIDDLE, shape, ha="center", va="center", weight="bold", family="DejaVu Sans")
        axes.text(left + _BOX / 2, 0.32, names[stage], ha="center", va="center")
        if place and shown[place - 1] is not None:
            above, below = _operation(specification, stage)
            note: dict[str, Any] = {"fontsize": 9, "linespacing": 1.4}
            axes.text(left - _WAY / 2, _MIDDLE + 0.1, above, ha="center", va="bottom", **note)
            axes.text(left - _WAY / 2, _MIDDLE - 0.1, below, ha="center", va="top", color=BLUE, **note)
    network = str(specification) if len(names) <= MOST_BOXES else f"{sizes[0]}-{sizes[1]} … {sizes[-1]}"
    title = text("plots.shapes", network=network, parameters=specification.parameters, batch=batch_size)
    axes.text(width / 2, 3.4, title, ha="center", va="center", fontsize=11)
    return figure


def _stage_names(specification: Specification) -> list[str]:
    hidden = [text("plots.hidden", number=number) for number in range(1, len(specification.sizes) - 1)]
    return [text("plots.inputs"), *hidden, text("plots.logits"), text("plots.probabilities-box")]


def _operation(specification: Specification, stage: int) -> tuple[str, str]:
    """Return what leads to a stage: the affine map or the softmax, and what follows it there."""
    layers = len(specification.sizes) - 1
    if stage > layers:
        return "softmax", text("plots.rows-sum-to-one")
    affine = f"@ W{stage} + b{stage}\nW{stage} {specification.sizes[stage - 1 : stage + 1]}"
    if stage == layers:
        return affine, ""
    dropout = f"\ndropout {specification.dropout:g}" if specification.dropout else ""
    return affine, specification.activation + dropout


def _draw_box(axes: Axes, left: float, height: float, colour: str) -> None:
    corner = (left, _MIDDLE - height / 2)
    rounded = "round,pad=0,rounding_size=0.06"
    box = FancyBboxPatch(corner, _BOX, height, rounded, facecolor=PALE_BLUE, edgecolor=colour, linewidth=1.5)
    axes.add_patch(box)


@drawing()
def activation_functions() -> Figure:
    """Draw sigmoid, tanh and relu with their derivatives, by which errors travel back through a network."""
    x = np.linspace(-5.0, 5.0, 501)
    sigmoid, tanh = 1.0 / (1.0 + np.exp(-x)), np.tanh(x)
    # At 0 relu has a corner and no derivative; NaN leaves the gap.
    step = np.where(x == 0.0, np.nan, (x > 0.0).astype(np.float64))
    panels = (
        ("sigmoid(x) = 1 / (1 + exp(−x))", sigmoid, sigmoid * (1.0 - sigmoid)),
        ("tanh(x)", tanh, 1.0 - tanh**2),
        ("relu(x) = max(0, x)", np.maximum(x, 0.0), step),
    )
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for axes, (title, values, slopes) in zip(figure.subplots(1, 3), panels, strict=True):
        axes.axhline(0.0, color=PALE_GREY, linewidth=0.8)
        axes.axvline(0.0, color=PALE_GREY, linewidth=0.8)
        axes.plot(x, values, color=BLUE, linewidth=2, label=text("plots.function"))
        label = text("plots.derivative", largest=float(np.nanmax(slopes)))
        axes.plot(x, slopes, "--", color=VERMILION, linewidth=2, label=label)
        axes.set(title=title, xlabel="x")
        bottom, top = axes.get_ylim()
        axes.set_ylim(bottom, top + 0.4 * (top - bottom))
        # On white: the line of x = 0 would run through the words.
        axes.legend(loc="upper left", frameon=True, framealpha=1.0, edgecolor="none")
    return figure
