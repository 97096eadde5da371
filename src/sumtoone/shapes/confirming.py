"""What is right about a result, and how that is known: rows that sum to one, one answer for each row, a mean loss."""

from __future__ import annotations

from sumtoone.shapes.nodes import Node
from sumtoone.shapes.scene import Scene, logs_sum_to_one, plain, sums_to_one
from sumtoone.shapes.tracing import definition


def confirmed(node: Node, scene: Scene) -> tuple[str, dict[str, object]] | None:
    """Return the name and the fields of the text that says what is right about a result, or None."""
    result = plain(node)
    shape = scene.shape(result)
    if shape is None:
        return None
    if len(shape) == 2:
        axes = sums_to_one(result, scene)
        if axes == (1,):
            known = "softmax" if result.operation in ("softmax", "exp") else "division"
            return f"rows-{known}", {"rows": f"{shape[0]:,}", "source": result.inputs[0].source}
        if logs_sum_to_one(result, scene) == (1,):
            return "log-rows", {"rows": f"{shape[0]:,}"}
        return None
    return _of_answers(result, shape, scene)


def _of_answers(node: Node, shape: tuple[int, ...], scene: Scene) -> tuple[str, dict[str, object]] | None:
    if node.operation in ("argmax", "indices") and len(shape) == 1:
        inner = node if node.operation == "argmax" else definition(node.inputs[0])
        before = scene.entered.get(inner)
        largest = inner.operation in ("argmax", "max")
        if largest and before and len(before[0]) == 2 and scene.axes(inner) == (1,):
            return "predictions", {"rows": f"{shape[0]:,}"}
    if shape:
        return None
    if node.operation in ("cross_entropy", "nll_loss") and node.arguments.get("reduction", "mean") == "mean":
        before = scene.entered[node]
        known = node.operation == "cross_entropy" or logs_sum_to_one(node.inputs[0], scene) is not None
        if known and len(before[0]) == 2:
            return "mean-loss", {"rows": f"{before[0][0]:,}"}
    if node.operation == "mean":
        compared = plain(node.inputs[0])
        size = scene.shape(compared)
        if compared.operation == "==" and size is not None and len(size) == 1:
            return "accuracy", {"rows": f"{size[0]:,}"}
    return None
