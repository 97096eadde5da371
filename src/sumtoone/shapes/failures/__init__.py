"""An error of PyTorch's, explained: what met what, in which layer and line, what to write instead; without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sumtoone.errors import DataError
from sumtoone.language import text
from sumtoone.language.display import printable
from sumtoone.language.lines import cut, wrapped
from sumtoone.shapes import drawing
from sumtoone.shapes.failures import cures
from sumtoone.shapes.failures.messages import recognised
from sumtoone.shapes.failures.scenes import Circumstances, Scene
from sumtoone.shapes.failures.tracebacks import Failure, Frame, read

__all__ = ["Circumstances", "ErrorExplanation", "Failure", "explain_error", "explain_failure"]

_LONGEST_SOURCE = 100
_LONGEST_FIELD = 2_000


@dataclass(frozen=True)
class ErrorExplanation:
    """What an error says.

    Attributes
    ----------
    code
        The mistake, such as ``"linear-features"``; None where the message is not known, and nothing is guessed.
    kind, message
        The class of the error and its own words.
    place
        The learner's own line that it came from, or None.
    layer
        The layer that it came from, or None.
    what
        What met what, in plain words, or None.
    instead
        Lines to write instead.
    text
        All of it for a terminal, no line wider than 80 cells, but for places and lines to copy.
    """

    code: str | None
    kind: str
    message: str
    place: Frame | None
    layer: str | None
    what: str | None
    instead: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return drawing.as_html(self.text, failed=self.code is None)

    def to_json(self) -> dict[str, Any]:
        """Return plain values: what ``sumtoone explain --error --json`` prints."""
        place = self.place and {
            "file": self.place.file,
            "line": self.place.line,
            "function": self.place.function or None,
            "source": self.place.source or None,
        }
        return {
            "code": self.code,
            "kind": self.kind,
            "message": self.message,
            "place": place,
            "layer": self.layer,
            "what": self.what,
            "instead": list(self.instead),
            "text": self.text,
        }


def explain_error(traceback: str) -> ErrorExplanation:
    """Explain the last error in a text: a traceback of Python or of a notebook, or the message's line alone.

    Nothing is run. A message that is not known is named as such: ``code`` is None then.

    Raises
    ------
    DataError
        If the text holds no error.

    Examples
    --------
    >>> found = explain_error("RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x784 and 256x784)")
    >>> found.code, found.instead
    ('matmul', ('mat1 @ mat2.T  # (64, 784) @ (784, 256)',))
    """
    failure = read(traceback)
    if failure is None:
        raise DataError(
            "explain-no-error", given=printable(" ".join(traceback.split()), 60) or text("mistake.nothing-there")
        )
    return explain_failure(failure)


def explain_failure(failure: Failure, circumstances: Circumstances | None = None) -> ErrorExplanation:
    """Explain an error that was read already, with what else is known of it.

    >>> explain_failure(Failure("IndexError", "Target 10 is out of bounds.")).code
    'target-range'
    """
    circumstances = circumstances or Circumstances()
    failure = _printable(failure)
    scene = Scene(failure, circumstances)
    reading = recognised(failure.message)
    found = None if reading is None else cures.found(reading, scene)
    place = failure.own
    what = None if found is None else found.what
    instead = () if found is None else found.instead
    blocks = [
        wrapped(f"{failure.kind}: {failure.message.partition(chr(10))[0]}"),
        _place_lines(place, scene.layer),
        wrapped(what or text("mistake.unknown" if place else "mistake.unknown-nowhere")),
        [f"  {text('explain.instead')}", *(f"    {line}" for line in instead)] if instead else [],
    ]
    head, *rest = blocks
    words = drawing.joined([[*head, *rest[0]], *rest[1:]])
    code = None if found is None else found.code
    return ErrorExplanation(code, failure.kind, failure.message, place, scene.layer, what, instead, words)


def _printable(failure: Failure) -> Failure:
    """Return an error whose texts no terminal obeys; the lines of its message stay lines."""
    frames = (
        Frame(_shown(frame.file), frame.line, *map(_shown, (frame.function, frame.source, frame.piece)))
        for frame in failure.frames
    )
    message = "\n".join(map(_shown, failure.message.split("\n")))
    return Failure(_shown(failure.kind), message, tuple(frames))


def _shown(given: str) -> str:
    return printable(given, _LONGEST_FIELD)


def _place_lines(place: Frame | None, layer: str | None) -> list[str]:
    if place is None:
        return []
    parts = [place.file if place.line is None else text("mistake.place", file=place.file, line=place.line)]
    if place.function and not place.function.startswith("<"):
        parts.append(text("mistake.function", function=place.function))
    parts += [text("mistake.layer", layer=layer)] if layer else []
    source = [f"    {cut(place.source, _LONGEST_SOURCE)}"] if place.source else []
    return [f"  {', '.join(parts)}", *source]
