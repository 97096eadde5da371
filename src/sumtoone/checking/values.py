"""What is said of a learner's values and errors: plain words of bounded length, and arrays."""

from __future__ import annotations

import inspect
import traceback
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Larger answers are described, not sent.
_MOST_NUMBERS = 1 << 20
_LONGEST_TEXT = 2_000
# The cells of a submission are known to Python by these names and their number.
FILE = "submission:"

Reply = tuple[dict[str, Any], list[Any]]


def belongs(file: str) -> bool:
    """Whether a name of a source file is that of a learner's cell."""
    return file.startswith(FILE)


def placed(place: tuple[str, int]) -> dict[str, Any]:
    """Return a place in a cell as plain values."""
    return {"cell": cell_of(place[0]), "line": place[1] or None}


def cell_of(file: str) -> int | None:
    """Return the number of the notebook's cell that a name of a source file stands for; None for a file."""
    return int(file.removeprefix(FILE) or 0) or None


def facts_of(value: Any) -> dict[str, Any]:
    """Return what is known of something that was defined: its kind, and what recognition and judging need of it."""
    kind = "other"
    if isinstance(value, type):
        kind = "class"
    elif isinstance(value, nn.Module):
        kind = "instance"
    elif isinstance(value, Tensor | np.ndarray):
        kind = "tensor"
    elif callable(value):
        kind = "function"
    facts: dict[str, Any] = {"kind": kind, "shape": None, "required": None}
    if kind == "other":
        facts["empty"] = value is None or value is Ellipsis
    if kind == "tensor":
        facts["shape"] = [int(size) for size in value.shape]
    if kind in ("function", "class"):
        parameters = parameters_of(value)
        facts["required"] = sum(item.default is item.empty for item in parameters)
        facts["parameters"] = [item.name[:80] for item in parameters][:40]
        facts["own"] = getattr(getattr(value, "__code__", None), "co_filename", "").startswith(FILE)
    if kind == "class":
        facts["module"] = issubclass(value, nn.Module)
        facts["methods"] = [str(name)[:80] for name in vars(value) if callable(getattr(value, str(name), None))][:80]
    if kind == "instance":
        facts["of"] = type(value).__name__[:80]
        facts["library"] = type(value).__module__.startswith("torch.")
    return facts


def parameters_of(value: Any) -> list[inspect.Parameter]:
    """Return the positional parameters of a function or class; none where it does not say."""
    try:
        found = inspect.signature(value).parameters.values()
    except (ValueError, TypeError):
        return []
    return [item for item in found if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD)]


def told(result: Any) -> Reply:
    """Return a result in words and, where it is numbers and not too many, as an array."""
    reply: dict[str, Any] = {"error": None, "type": type(result).__name__[:80], "shape": None, "tensor": False}
    reply["none"] = result is None
    if result is None:
        return reply, []
    if isinstance(result, Tensor) and result.is_complex():
        return reply | {"type": "a tensor of complex numbers"}, []
    if isinstance(result, Tensor | np.ndarray):
        reply["tensor"] = isinstance(result, Tensor)
        array = array_of(result)
        reply["shape"], reply["dtype"] = list(array.shape), str(array.dtype)
        return reply, [array] if _may_be_sent(array) else []
    try:
        array = np.asarray(_plain(result), dtype=np.float64)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return reply, []
    reply["shape"] = list(array.shape)
    return reply, [array] if _may_be_sent(array) else []


def _may_be_sent(array: Any) -> bool:
    """Whether an answer is numbers that a judge would look at, not millions of them or shapes of no use."""
    return bool(array.size <= _MOST_NUMBERS and array.ndim <= 8 and max(array.shape, default=0) <= _MOST_NUMBERS)


def _plain(item: Any) -> Any:
    if isinstance(item, Tensor):
        return array_of(item).tolist()
    return [_plain(part) for part in item] if isinstance(item, list | tuple) else item


def array_of(value: Any) -> Any:
    """Return the numbers of a tensor or an array, copied; what has none is an error like any other."""
    if not isinstance(value, Tensor):
        return np.array(value) if value.dtype.kind in "fiub" else np.zeros(value.shape)
    value = value.detach().cpu()
    value = value.real if value.is_complex() else value
    return (value.float() if value.dtype in (torch.float16, torch.bfloat16) else value).numpy().copy()


def described(error: BaseException) -> dict[str, Any]:
    """Return what an error says, cut; and where in the learner's code it was raised."""
    try:
        message = str(error)
    except BaseException:
        message = ""
    frames = [frame for frame in _frames(error) if belongs(frame.filename)]
    last = frames[-1] if frames else None
    return {
        "error": type(error).__name__[:80],
        "kinds": [kind.__name__[:80] for kind in type(error).__mro__[:8]],
        "message": message[:_LONGEST_TEXT],
        "number": getattr(error, "errno", None) if isinstance(error, OSError) else None,
        "line": last.lineno if last else None,
        "cell": cell_of(last.filename) if last else None,
    }


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    try:
        return list(traceback.extract_tb(error.__traceback__, limit=200))
    except BaseException:
        return []


def line_of(error: BaseException, file: str) -> int | None:
    """Return the last line of a cell that an error came through."""
    return next((frame.lineno for frame in reversed(_frames(error)) if frame.filename == file), None)
