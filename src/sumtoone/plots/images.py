"""Pictures of images: a grid of them with their classes, and one beside its probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from sumtoone.errors import DataError, ShapeError, UsageError
from sumtoone.evaluation.checks import as_numbers, check_labels, check_probabilities
from sumtoone.language import text
from sumtoone.plots.canvas import BLUE, GREY, VERMILION, drawing, readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

MOST_IMAGES = 256
# More classes than these are drawn as the most probable ten.
MOST_BARS = 12

# Screen pixels: the side that small images are enlarged to, and that large ones are reduced to.
_SIDE, _LARGEST_SIDE, _MARGIN, _CAPTION = 84, 168, 12, 26


@drawing()
def digit_grid(
    inputs: Tensor | ArrayLike,
    labels: Tensor | ArrayLike,
    classes: Sequence[str],
    image_shape: tuple[int, ...] | None,
    *,
    columns: int = 8,
) -> Figure:
    """Draw images in rows, each under the name of its class, a pixel of a small image as a square of whole pixels.

    Bytes are drawn from 0 (black) to 255 (white), other numbers from the smallest to the largest shown.

    Shape: ``inputs`` (N, D) or (N, *image_shape), N from 1 to 256; ``labels`` (N,).

    Raises
    ------
    DataError
        If the rows are no pictures, or a label names no class.
    ShapeError
        If the rows do not fill ``image_shape``, or labels are missing.
    UsageError
        If there are more than 256 images, or ``columns`` is not positive.
    """
    images, truth = _images(inputs, image_shape), as_numbers(labels, "ui", "evaluation-labels-dtype")
    names, brightness = readable(classes), _brightness(images)
    count, height, width = images.shape[:3]
    if columns < 1 or count > MOST_IMAGES:
        raise UsageError("plot-grid", count=count, limit=MOST_IMAGES, columns=columns)
    if truth.shape != (count,):
        raise ShapeError("plot-shape", name="labels", count=count, given=truth.shape)
    check_labels(truth, len(names))

    side = max(height, width)
    zoom = max(1, round(_SIDE / side)) if side <= _LARGEST_SIDE else _LARGEST_SIDE / side
    wide, high = max(1, round(width * zoom)), max(1, round(height * zoom))
    cell_wide, cell_high = max(wide, _SIDE) + _MARGIN, high + _CAPTION
    total_wide = min(columns, count) * cell_wide + _MARGIN
    total_high = math.ceil(count / columns) * cell_high + _MARGIN
    figure = Figure(figsize=(total_wide / 100, total_high / 100))
    for place, (image, label) in enumerate(zip(images, truth, strict=True)):
        row, column = divmod(place, columns)
        left = _MARGIN + column * cell_wide + (cell_wide - _MARGIN - wide) // 2
        bottom = total_high - (row + 1) * cell_high
        axes = figure.add_axes((left / total_wide, bottom / total_high, wide / total_wide, high / total_high))
        _show(axes, image, brightness)
        axes.set_title(names[label], fontsize=9, pad=4)
    return figure


@drawing()
def prediction(
    image: Tensor | ArrayLike,
    probabilities: Tensor | ArrayLike,
    classes: Sequence[str],
    image_shape: tuple[int, ...] | None,
) -> Figure:
    """Draw an image beside its probabilities as bars, as the lesson's ``view_classify`` does.

    All classes in their order, or the ten most probable if there are more than twelve.

    Shape: ``image`` (D,) or ``image_shape``; ``probabilities`` (K,) or (1, K).

    Raises
    ------
    DataError
        If the values are no picture, or no probabilities that sum to one.
    ShapeError
        If the values do not fill ``image_shape``, or there is not one probability for each class.

    Examples
    --------
    >>> import torch
    >>> square = torch.tensor([[0, 255], [255, 0]], dtype=torch.uint8)
    >>> figure = prediction(square, [0.75, 0.25], ["even", "odd"], (2, 2))
    >>> figure.axes[0].get_title()
    'even: 75.0%'
    """
    given = as_numbers(probabilities, "uif", "evaluation-probabilities-dtype")
    if given.shape not in {(len(classes),), (1, len(classes))}:
        raise ShapeError("plot-shape", name="probabilities", count=len(classes), given=given.shape)
    shares = given.reshape(-1)
    check_probabilities(shares[None])
    images, names = _images(image, image_shape, rows=1), readable(classes)
    best = int(shares.argmax())
    every = len(names) <= MOST_BARS
    shown = list(range(len(names))) if every else np.argsort(-shares, kind="stable")[:10].tolist()

    figure = Figure(figsize=(7.6, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    _show(left, images[0], _brightness(images))
    left.set_title(text("plots.prediction", name=names[best], share=shares[best]))
    places = range(len(shown))
    right.barh(places, shares[shown], color=[VERMILION if each == best else BLUE for each in shown], height=0.7)
    for place, each in zip(places, shown, strict=True):
        right.text(shares[each] + 0.015, place, f"{shares[each]:.1%}", va="center", fontsize=9, color=GREY)
    right.set_yticks(places, [names[each] for each in shown])
    right.tick_params(axis="y", length=0)
    right.invert_yaxis()
    right.set_xlim(0, 1.14)
    right.set_xticks([0, 0.25, 0.5, 0.75, 1])
    right.xaxis.set_major_formatter(PercentFormatter(1.0))
    right.set_title(text("plots.probabilities") if every else text("plots.most-probable", count=10, classes=len(names)))
    return figure


def _images(values: Tensor | ArrayLike, shape: tuple[int, ...] | None, rows: int | None = None) -> NDArray[Any]:
    """Return rows as pictures (N, H, W) or (N, H, W, C); ``rows`` says N where the values do not."""
    array = as_numbers(values, "uif", "plot-images-dtype")
    if shape is None:
        raise DataError("plot-no-images", shape=array.shape)
    known = len(shape) == 2 or (len(shape) == 3 and shape[2] in {1, 3, 4})
    count = rows if rows is not None else (len(array) if array.ndim else 0)
    if not known or count < 1 or array.size != count * math.prod(shape):
        raise ShapeError("plot-image-shape", shape=array.shape, image_shape=tuple(shape))
    return array.reshape(count, *(shape[:2] if shape[2:] == (1,) else shape))


def _brightness(images: NDArray[Any]) -> tuple[float, float]:
    """Return black and white: 0 and 255 for bytes, the extremes of what is shown for other numbers."""
    return (0.0, 255.0) if images.dtype == np.uint8 else (float(images.min()), float(images.max()))


def _show(axes: Axes, image: NDArray[Any], brightness: tuple[float, float]) -> None:
    black, white = brightness
    if image.ndim == 3 and image.dtype != np.uint8:
        # matplotlib takes colours as bytes or from 0 to 1, and applies no vmin and vmax to them.
        image = (image - black) / ((white - black) or 1.0)
    axes.imshow(image, cmap="gray", vmin=black, vmax=white, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
