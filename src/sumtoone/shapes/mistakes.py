"""The silent mistakes of softmax, predictions and losses: the wrong axis, everything at once, once too often."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from sumtoone.shapes.edits import Edit, applied, below, reduction, removed, renamed, with_dim, written
from sumtoone.shapes.nodes import Node
from sumtoone.shapes.rules import chosen_axis
from sumtoone.shapes.scene import Found, Scene, Shape, log_sum, logs_sum_to_one, plain, same, sums_to_one
from sumtoone.shapes.tracing import definition
from sumtoone.shapes.vocabulary import LOSSES, SOFTMAXES


def _is_batch(shape: Shape) -> bool:
    return len(shape) == 2 and min(shape) > 1


def _along_batch(node: Node, shapes: tuple[Shape, ...], _: Scene) -> Iterator[Found]:
    """A softmax down the columns of (rows, classes): it normalises over the batch."""
    if node.operation in SOFTMAXES and "dim" in node.arguments:
        shape = shapes[0]
        if _is_batch(shape) and chosen_axis(node, 2) == 0:
            yield Found("softmax-batch", {"rows": shape[0], "columns": shape[1]}, (with_dim(node, 1),))


def _no_dim(node: Node, shapes: tuple[Shape, ...], _: Scene) -> Iterator[Found]:
    """F.softmax without dim: PyTorch picks an axis by the rank, and warns."""
    if node.operation in SOFTMAXES and "dim" not in node.arguments:
        rank = len(shapes[0])
        yield Found("softmax-no-dim", {"axis": chosen_axis(node, rank), "rank": rank}, (with_dim(node, -1),))


def _twice(node: Node, _: tuple[Shape, ...], scene: Scene) -> Iterator[Found]:
    """A softmax of probabilities: it pulls them towards each other."""
    if node.operation not in (*SOFTMAXES, "cross_entropy"):
        return
    inner = plain(node.inputs[0])
    if sums_to_one(inner, scene) is not None:
        code = "loss-softmax" if node.operation == "cross_entropy" else "softmax-twice"
        once = (removed(inner),) if inner.operation == "softmax" else ()
        yield Found(code, {"inner": inner.source}, (removed(node),) if node.operation == "softmax" else once)


def _loss_of_probabilities(node: Node, _: tuple[Shape, ...], scene: Scene) -> Iterator[Found]:
    """nll_loss takes logarithms; probabilities and logits it takes too, without a word."""
    if node.operation != "nll_loss":
        return
    inner = plain(node.inputs[0])
    if sums_to_one(inner, scene) is not None:
        yield Found("nll-probabilities", {"inner": inner.source}, _logged(node.inputs[0]))
    elif inner.operation in ("linear", "layer", "@", "mm", "+"):
        yield Found("nll-logits", {"inner": inner.source}, _called(node, "cross_entropy", "CrossEntropyLoss"))


def _logged(part: Node) -> tuple[Edit, ...]:
    """Return the edit that takes the logarithm of probabilities: by another softmax, where they are one."""
    inner = plain(part)
    if inner.operation == "softmax":
        return _called(inner, "log_softmax", "LogSoftmax")
    return (Edit(part.tree, written(f"torch.log({part.source})")),)


def _called(node: Node, function: str, layer: str) -> tuple[Edit, ...]:
    """Return the edit that calls another function, or makes another layer where the lines make one."""
    is_loss = node.form == "nn" and node.operation in LOSSES
    made = definition(node.arguments["through"].inputs[0]) if is_loss else node
    return (renamed(made, layer if node.form == "nn" else function),) if isinstance(made.tree, ast.Call) else ()


def _normalised(node: Node, shapes: tuple[Shape, ...], scene: Scene) -> Iterator[Found]:
    """Dividing (rows, classes) by a sum along dim 0, or by the sum of everything, is no softmax of the rows."""
    if node.operation != "/" or not _is_batch(shapes[0]):
        return
    total = reduction(node.inputs[1])
    if total is None or total.operation != "sum" or not same(node.inputs[0], total.inputs[0]):
        return
    axes = scene.axes(total)
    fields = {"rows": shapes[0][0], "columns": shapes[0][1]}
    fixes = (with_dim(total, 1, keepdim=True), with_dim(total, 1))
    if axes == (0,) and shapes[1] in ((shapes[0][1],), (1, shapes[0][1])):
        yield Found("sum-batch", fields, fixes)
    elif axes is not None and set(axes) == {0, 1}:
        yield Found("sum-all", {**fields, "elements": f"{shapes[0][0] * shapes[0][1]:,}"}, fixes)


def _answers(node: Node, _: tuple[Shape, ...], scene: Scene) -> Iterator[Found]:
    """argmax down the columns, or over everything, is no prediction for each row."""
    places = _places(node, scene)
    if places is None or not _is_batch(scene.entered[places][0]):
        return
    rows, columns = scene.entered[places][0]
    if places.arguments.get("dim") in (0, -2):
        yield Found("argmax-batch", {"rows": rows, "columns": columns}, (with_dim(places, 1),))
    elif "dim" not in places.arguments:
        yield Found("argmax-all", {"rows": rows, "elements": f"{rows * columns:,}"}, (with_dim(places, 1),))


def _places(node: Node, scene: Scene) -> Node | None:
    """Return what found the places of the largest or the smallest: max and min do, where their indices are taken."""
    if node.operation in ("argmax", "argmin"):
        return node
    taken = node.operation == "indices" or (node.operation == "index" and node.arguments["index"] in ((1,), (-1,)))
    found = definition(node.inputs[0]) if taken else node
    pair = found.operation in ("max", "min") and "dim" in found.arguments and found.form != "np"
    return found if pair and (taken or node in scene.placed) else None


def _shifted(node: Node, shapes: tuple[Shape, ...], scene: Scene) -> Iterator[Found]:
    """A softmax does not change when a row is shifted as a whole; a shift of the columns changes it."""
    most = reduction(node.inputs[1]) if node.operation == "-" else None
    total = log_sum(node)
    taken = most if total is None else total
    if taken is None or not _is_batch(shapes[0]) or scene.axes(taken) != (0,):
        return
    fields = {"rows": shapes[0][0], "columns": shapes[0][1]}
    fixes = (with_dim(taken, 1, keepdim=True), with_dim(taken, 1))
    if total is not None and shapes[1] in (shapes[0][1:], (1, shapes[0][1])):
        yield Found("softmax-batch", fields, fixes)
    elif taken.operation in ("max", "amax") and same(node.inputs[0], taken.inputs[0]):
        yield Found("shift-batch", {**fields, "most": taken.source}, fixes)


def _standardised(node: Node, shapes: tuple[Shape, ...], scene: Scene) -> Iterator[Found]:
    """The mean along one axis and the spread along another."""
    if node.operation != "/" or not _is_batch(shapes[0]):
        return
    difference = definition(node.inputs[0])
    mean = reduction(difference.inputs[1]) if difference.operation == "-" else None
    spread = next((one for one in below(node.inputs[1]) if one.operation in ("std", "var")), None)
    if mean is None or mean.operation != "mean" or spread is None or not same(mean.inputs[0], spread.inputs[0]):
        return
    axes, others = scene.axes(mean), scene.axes(spread)
    if axes is not None and others is not None and axes != others and len(axes) == len(others) == 1:
        fields = {"mean": mean.source, "spread": spread.source, "axis": axes[0], "other": others[0]}
        edits = [with_dim(mean, others[0], keepdim=True), with_dim(spread, axes[0], keepdim=True)]
        # Columns need no keepdim: where it stands, rows were meant.
        yield Found("axes-differ", fields, tuple(edits if others == (1,) else reversed(edits)))


def _without_log(node: Node, _: tuple[Shape, ...], scene: Scene) -> Iterator[Found]:
    """The negative mean of what probabilities sum to with labels: the logarithm is missing."""
    if node.operation != "neg":
        return
    inner = definition(node.inputs[0])
    while inner.operation in ("mean", "sum"):
        inner = definition(inner.inputs[0])
    if inner.operation == "*" and inner is not definition(node.inputs[0]):
        if any(logs_sum_to_one(part, scene) is not None for part in inner.inputs):
            return
        for part in inner.inputs:
            if sums_to_one(part, scene) is not None:
                yield Found("loss-no-log", {"inner": plain(part).source}, _logged(part))


def _mean_of_all(node: Node, shapes: tuple[Shape, ...], scene: Scene) -> Iterator[Found]:
    """A mean of a loss over rows and classes alike is smaller than that over rows of what each row sums to."""
    if node.operation != "mean" or "dim" in node.arguments:
        return
    logs = [one for one in below(node.inputs[0]) if one.operation in ("log", "log_softmax")]
    if _is_batch(shapes[0]) and logs:
        rows, columns = shapes[0]
        inner = node.inputs[0]
        fields = {"count": f"{rows * columns:,}", "rows": rows, "columns": columns}
        yield Found("mean-all", fields, (applied(inner, "sum", "dim=1", node.form),))
    inner = definition(node.inputs[0])
    while inner.operation == "neg":
        inner = definition(inner.inputs[0])
    if inner.operation == "sum" and shapes[0] == () and _is_batch(scene.entered[inner][0]):
        yield Found("mean-nothing", {"inner": inner.source}, (with_dim(inner, 1),))
    if inner.operation == "sum" and logs and inner.arguments.get("dim") in (0, -2) and len(shapes[0]) == 1:
        yield Found("loss-columns", {"columns": shapes[0][0], "inner": inner.source}, (with_dim(inner, 1),))


MISTAKES: tuple[Callable[[Node, tuple[Shape, ...], Scene], Iterator[Found]], ...] = (
    _along_batch,
    _no_dim,
    _twice,
    _loss_of_probabilities,
    _normalised,
    _answers,
    _shifted,
    _standardised,
    _mean_of_all,
    _without_log,
)
