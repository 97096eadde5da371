"""The lesson's helper, for today's PyTorch: ``import sumtoone.helper as helper``.

An old notebook changes one line, ``import helper`` to ``%load_ext sumtoone.helper``: that brings the helper, and
``dataiter.next()`` is read as ``next(dataiter)``.

Pictures are drawn into pyplot's figures, which a notebook shows by itself at the end of a cell. This is the only
module of the package that knows pyplot, and only inside the functions that draw.

Image tensors are as the lesson's transform makes them, ``Normalize((0.5,), (0.5,))``: values in [-1, 1].
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sumtoone import plots
from sumtoone.adoption.failing import reason
from sumtoone.checking import check, check_classifier
from sumtoone.data.sources import SOURCES
from sumtoone.errors import DataError, DtypeError, ShapeError, SumtooneError, TrainingError, UsageError
from sumtoone.functional import cross_entropy
from sumtoone.language import text
from sumtoone.specification import not_among

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_CLASSES = {
    "MNIST": tuple("0123456789"),
    "Fashion": SOURCES["fashion-mnist"].classes,
}


def imshow(image: Tensor, ax: Axes | None = None, title: str | None = None, normalize: bool = True) -> Axes:
    """Show one image and return its axes.

    Shape: ``image`` (1, H, W) or (H, W) grey, (3, H, W) in colour; leading axes of length 1 are dropped.

    Parameters
    ----------
    ax
        Where to draw; a new figure if left out.
    title
        What to write above it.
    normalize
        Whether to undo ``Normalize((0.5,), (0.5,))``. Bytes are shown as they are.

    Raises
    ------
    DtypeError, ShapeError
        If this is no tensor of one image.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> axes = imshow(torch.zeros(1, 28, 28), title="grey")
    >>> axes.get_title(), axes.images[0].get_array().shape, float(axes.images[0].get_array().max())
    ('grey', (28, 28), 0.5)
    """
    picture = _picture(image)
    if picture.dtype.kind == "f":
        picture = (picture * 0.5 + 0.5 if normalize else picture).clip(0.0, 1.0)
    if ax is None:
        from matplotlib import pyplot

        _, ax = pyplot.subplots()
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1 if picture.dtype.kind == "f" else 255)
    ax.axis("off")
    if title is not None:
        ax.set_title(title)
    return ax


def view_classify(img: Tensor, ps: Tensor, version: str = "MNIST") -> tuple[Axes, Axes]:
    """Show an image beside its ten probabilities, and return the two axes.

    Shape: ``img`` of 784 values, (1, 28, 28), (28, 28) or (1, 784); ``ps`` (1, 10) or (10,).

    Parameters
    ----------
    ps
        Probabilities: of log-probabilities give ``torch.exp(ps)``, of logits ``softmax(ps)``.
    version
        The names of the classes: ``"MNIST"`` for the digits, ``"Fashion"`` for Fashion-MNIST's clothes.

    Raises
    ------
    DtypeError, ShapeError, DataError
        If this is no image, or these are no ten probabilities that sum to one.
    UsageError
        If there is no such version.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> image, bars = view_classify(torch.rand(1, 28, 28), torch.full((1, 10), 0.1))
    >>> len(bars.patches)
    10
    """
    if version not in _CLASSES:
        raise not_among("version", version, tuple(_CLASSES))
    picture = _picture(img)
    if picture.shape != (28, 28):
        raise ShapeError("helper-digit", shape=tuple(img.shape))
    shares = ps.detach().cpu() if isinstance(ps, Tensor) else ps
    figure = plots.prediction(picture, shares, _CLASSES[version], (28, 28))
    _adopt(figure)
    image, bars = figure.axes
    return image, bars


def view_recon(img: Tensor, recon: Tensor) -> tuple[Axes, Axes]:
    """Show an image beside its reconstruction, on one scale of brightness, and return the two axes.

    Shape: both as the image of :func:`imshow`, or flattened squares such as (1, 784); equal sizes.

    Raises
    ------
    DtypeError, ShapeError
        If one is no tensor of one image, or their sizes differ.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> [axes.images[0].get_array().shape for axes in view_recon(torch.rand(1, 28, 28), torch.rand(1, 784))]
    [(28, 28), (28, 28)]
    """
    from matplotlib import pyplot

    original, copied = _picture(img), _picture(recon)
    if original.shape != copied.shape:
        raise ShapeError("helper-reconstruction", image=tuple(img.shape), reconstruction=tuple(recon.shape))
    darkest = float(min(original.min(), copied.min()))
    brightest = float(max(original.max(), copied.max()))
    _, (left, right) = pyplot.subplots(ncols=2, sharex=True, sharey=True)
    for axes, picture in ((left, original), (right, copied)):
        # matplotlib takes colours from 0 to 1 only.
        shown = (picture - darkest) / ((brightest - darkest) or 1.0) if picture.ndim == 3 else picture
        axes.imshow(shown, cmap="gray", vmin=darkest, vmax=brightest)
        axes.axis("off")
    return left, right


def test_network(net: nn.Module, trainloader: Iterable[Any], exercise: str | None = None) -> bool:  # noqa: PT028
    """Send one batch forward, its error back, and take one step, on a copy; return True if all of it works.

    What is wrong for every classifier is refused, with the reason: softmax over the batch, over everything or twice, no
    activation between two layers, an activation on the logits. With ``exercise`` the exercise itself is judged.

    The network keeps its weights. An output of the images' own shape is taken for a reconstruction, any other for
    a number for each class.

    Parameters
    ----------
    trainloader
        Gives pairs of images (N, …) and labels (N,), as a ``DataLoader`` does.
    exercise
        Such as ``"relu-network"``: sizes, activation and softmax must be as it asks.

    Raises
    ------
    DataError
        If the first batch is no such pair.
    UsageError
        If this is no network, it has no parameters, its output does not depend on one of them, or it is wrong:
        ``helper-judged``, with the verdict's own words.
    ShapeError
        If the network cannot take the images, or does not give (N, K), or labels are outside [0, K).
    TrainingError
        If the loss is no finite number.

    Examples
    --------
    >>> from sumtoone.lesson import ExerciseNetwork
    >>> batch = torch.rand(64, 784), torch.randint(10, (64,))
    >>> test_network(ExerciseNetwork(), [batch])
    True
    """
    if not isinstance(net, nn.Module):
        what = {"function": "test_network", "name": "net", "wanted": text("training.takes-network")}
        raise UsageError("argument-type", **what, given=repr(net)[:60], hint="net = Network()")
    if not any(True for _ in net.parameters()):
        raise UsageError("module-no-parameters", given=type(net).__name__)
    images, labels = _batch(trainloader)
    trial = copy.deepcopy(net).train()
    optimizer = torch.optim.SGD(trial.parameters(), lr=0.003)
    optimizer.zero_grad()
    loss = _loss(_forward(trial, images), images, labels)
    if not bool(torch.isfinite(loss)):
        raise TrainingError("helper-loss", given=float(loss.detach()))
    if loss.requires_grad:
        loss.backward()
    unreached = [name for name, value in trial.named_parameters() if value.requires_grad and value.grad is None]
    if unreached:
        raise UsageError("helper-unreached", kind=type(net).__name__, names=", ".join(unreached))
    optimizer.step()
    output = _forward(trial, images)
    if exercise is None and output.shape == images.shape:
        return True
    verdict = check(net, exercise) if exercise else check_classifier(net, tuple(images.shape[1:]), output.shape[1])
    if not verdict.passed:
        raise UsageError("helper-judged", code=verdict.code, text=verdict.text, hint=verdict.hint)
    return True


test_network.__test__ = False  # type: ignore[attr-defined]  # a function for people, not a test for pytest


def _picture(image: object) -> NDArray[Any]:
    """Return one image as (H, W) or (H, W, 3), float or bytes; a flat one of a square number of values as a square."""
    if not isinstance(image, Tensor) or image.is_complex() or image.dtype == torch.bool:
        raise DtypeError("helper-image", given=image.dtype if isinstance(image, Tensor) else type(image).__name__)
    x = image.detach().cpu()
    while x.ndim > 2 and x.shape[0] == 1:
        x = x[0]
    side = math.isqrt(x.numel())
    if x.shape in {(side * side,), (1, side * side)}:
        x = x.reshape(side, side)
    if x.numel() == 0 or not (x.ndim == 2 or (x.ndim == 3 and x.shape[0] == 3)):
        raise ShapeError("helper-image", given=tuple(image.shape))
    x = x if x.dtype == torch.uint8 else x.float()
    return (x.permute(1, 2, 0) if x.ndim == 3 else x).numpy()


def _adopt(figure: Figure) -> None:
    """Make a finished figure pyplot's current one, so that a notebook shows it."""
    from matplotlib import pyplot

    # pyplot calls this "class" once and manages the figure that it returns.
    pyplot.figure(FigureClass=cast("type[Figure]", lambda *_arguments, **_options: figure))


def _batch(loader: Iterable[Any]) -> tuple[Tensor, Tensor]:
    batch = next(iter(loader), None)
    pair = tuple(batch) if isinstance(batch, list | tuple) else ()
    if not (len(pair) == 2 and all(isinstance(part, Tensor) for part in pair)):
        kinds = ", ".join(type(part).__name__ for part in pair[:9]) or "-"
        raise DataError("helper-batch", given=f"{type(batch).__name__} ({kinds})")
    images, labels = pair
    if labels.ndim != 1 or labels.shape != images.shape[:1] or len(labels) == 0:
        raise DataError("helper-batch", given=f"images {tuple(images.shape)}, labels {tuple(labels.shape)}")
    return images, labels


def _forward(net: nn.Module, images: Tensor) -> Tensor:
    shape = tuple(images.shape)
    try:
        output = net(images)
    except SumtooneError:
        raise
    except Exception as error:
        # What somebody's own forward raises is open-ended.
        why, hint = reason(error, text("training.flatten"))
        raise ShapeError("module-forward", shape=shape, given=why, hint=hint) from error
    if not isinstance(output, Tensor):
        raise DtypeError("helper-output", shape=shape, given=type(output).__name__, rows=len(images))
    if output.shape != images.shape and (output.ndim != 2 or len(output) != len(images)):
        raise ShapeError("helper-output", shape=shape, given=tuple(output.shape), rows=len(images))
    return output


def _loss(output: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """Return a loss that has a slope for every output: which one makes no difference to whether a step works."""
    return F.mse_loss(output, images) if output.shape == images.shape else cross_entropy(output, labels)


def load_ipython_extension(shell: Any) -> None:
    """Do for a notebook of the older lesson what it needs, at ``%load_ext sumtoone.helper``."""
    from sumtoone import notebook

    notebook.read_old_lesson(shell)
    shell.push({"helper": sys.modules[__name__]})


def unload_ipython_extension(shell: Any) -> None:
    """Read the cells after this one as Python alone does."""
    from sumtoone import notebook

    notebook.read_as_written(shell)
