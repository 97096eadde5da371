"""The layer in which a module failed, and what reached it: read from the exception's frames, nothing run again."""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType

from torch import Tensor, nn

from sumtoone.shapes.failures import ErrorExplanation, explain_failure
from sumtoone.shapes.failures.scenes import Circumstances
from sumtoone.shapes.failures.tracebacks import Failure, Frame


def explained(
    error: BaseException, *, inside: bool = False, place: Callable[[str], str] | None = None
) -> ErrorExplanation:
    """Explain an exception that was raised in this process, with the layer and the shapes that its frames still hold.

    Parameters
    ----------
    inside
        Leave out what lies before the first module: the lines that call it are not the learner's.
    place
        Gives the name under which a file is shown.

    Examples
    --------
    >>> import torch
    >>> network = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(64, 10))
    >>> try:
    ...     network(torch.rand(2, 784))
    ... except RuntimeError as error:
    ...     found = explained(error)
    >>> found.layer, found.what
    ('Sequential[2]', 'Sequential[2] takes 64, receives 128 numbers for each row.')
    """
    steps = list(traceback.walk_tb(error.__traceback__))
    frames = [_frame(summary) for summary in traceback.extract_tb(error.__traceback__)]
    if inside:
        first = next((at for at, (frame, _) in enumerate(steps) if _module(frame) is not None), 0)
        steps, frames = steps[first:], frames[first:]
    own = max((at for at, frame in enumerate(frames) if frame.is_own), default=None)
    shapes = {} if own is None else _shapes(steps[own][0])
    if place is not None:
        frames = [replace(frame, file=place(frame.file)) if frame.is_own else frame for frame in frames]
    failure = Failure(type(error).__name__, _message(error), tuple(frames))
    return explain_failure(failure, replace(_circumstances([frame for frame, _ in steps]), shapes=shapes))


def reason(error: BaseException, hint: str) -> tuple[str, str]:
    """Return for an error of ours what a module failed on and what to try: the explanation, where there is one.

    ``hint`` is what to try where the message is not known; what it failed on is then :func:`first_line`.
    """
    found = explained(error, inside=True)
    if found.what is None:
        return first_line(error), hint
    message = _message(error).partition("\n")[0]
    where = f"{Path(found.place.file).name}:{found.place.line}: " if found.place is not None else ""
    given = f"{found.what.rstrip('.')} ({where}{message})"
    lines = (line.strip().partition("  # ") for line in found.instead)
    return given, "; ".join(f"{code} ({remark})" if remark else code for code, _, remark in lines)


def first_line(error: BaseException) -> str:
    """Return an error's class and the first line of its message: that of a KeyError is a key, and no more."""
    message = _message(error).partition("\n")[0]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # somebody's own
        return ""


def _frame(summary: traceback.FrameSummary) -> Frame:
    """Return a frame with the piece of its line that Python was at."""
    line = linecache.getline(summary.filename, summary.lineno or 0)
    piece = ""
    if summary.colno is not None and summary.end_colno is not None and summary.lineno == summary.end_lineno:
        # Counted in bytes of UTF-8.
        piece = line.encode()[summary.colno : summary.end_colno].decode(errors="replace")
    return Frame(summary.filename, summary.lineno, summary.name, line.strip(), piece)


def _module(frame: FrameType) -> nn.Module | None:
    found = frame.f_locals.get("self")
    return found if isinstance(found, nn.Module) else None


def _circumstances(frames: list[FrameType]) -> Circumstances:
    """Return the innermost module that was running, under the name that the outermost one knows it by."""
    running = [(module, frame) for frame in frames if (module := _module(frame)) is not None]
    if not running:
        return Circumstances()
    (root, _), (layer, frame) = running[0], running[-1]
    if "_modules" not in vars(root):
        return Circumstances()  # without super().__init__() it has no parts yet
    path = {id(part): name for name, part in root.named_modules()}.get(id(layer), "")
    if not type(layer).__module__.startswith("torch.nn."):
        return Circumstances()  # the learner's own forward: its line says more
    received = frame.f_locals.get("input")
    return Circumstances(
        _written(path, type(root).__name__) or type(layer).__name__,
        type(layer) is nn.Linear,
        tuple(received.shape) if isinstance(received, Tensor) else None,
        is_whole=layer is root,
    )


def _written(path: str, kind: str) -> str:
    """Return the path of a part as Python writes it: ``layers.2`` as ``layers[2]``."""
    written = re.sub(r"(?:^|\.)(\d+)(?=\.|$)", r"[\1]", path)
    return kind + written if written.startswith("[") else written


def _shapes(frame: FrameType) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in frame.f_locals.items() if isinstance(value, Tensor)}
