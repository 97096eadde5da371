"""Holds what a subject answers to the form that answers have: whoever wrote them may have been a learner's code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

from numpy.typing import NDArray

from sumtoone.checking.subject import Stopped, Subject

_PLACE = {"line": (int, NoneType), "cell": (int, NoneType)}
_ERROR = {"error": str, "kinds": list, "message": str, "number": (int, NoneType), **_PLACE}
_ENTRY = {"key": int, "name": str, "kind": str, "shape": (list, NoneType), "required": (int, NoneType), **_PLACE}
_MAYBE = {
    "parameters": list, "methods": list, "of": str, "class": (int, NoneType), "library": bool, "module": bool,
    "own": bool, "empty": bool,
}  # fmt: skip
_VALUE = {"type": str, "shape": (list, NoneType), "tensor": bool, "none": bool}
_FORMS: Mapping[str, Mapping[str, Any]] = {
    "run": {"errors": list, "defined": list, "warnings": list},
    "call": {**_VALUE, "warnings": list, "operations": list, "last": (dict, NoneType), "changed": bool},
    "build": {"key": int, "module": bool},
    "forward": {**_VALUE, "warnings": list},
    "trace": _VALUE,
    "value": _VALUE,
}


_LONGEST = 1 << 22
_LONGEST_TEXT = 2_000
_MOST = 5_000


class Checked:
    """A subject whose malformed answers stop it: ``forbidden``."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return self._subject.printed

    def ask(
        self, request: Mapping[str, Any], arrays: Sequence[NDArray[Any]] = ()
    ) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """Return the reply and its arrays; raise :class:`Stopped` if they are not what was asked for."""
        reply, sent = self._subject.ask(request, arrays)
        if not all(map(_are_numbers, sent)):
            raise Stopped("forbidden", "numbers of another form")
        if not (_is_error(reply) if reply.get("error") else _fits(request["do"], reply, sent)):
            raise Stopped("forbidden", "an answer of another form")
        return reply, sent


def _are_numbers(item: NDArray[Any]) -> bool:
    return item.dtype.kind in "fiub" and item.ndim <= 8 and max(item.shape, default=0) <= _LONGEST


def _is_error(reply: Mapping[str, Any]) -> bool:
    return _has(reply["error"], _ERROR) and _short(reply["error"])


def _short(error: Mapping[str, Any]) -> bool:
    return len(error["message"]) <= _LONGEST_TEXT and len(error["error"]) <= 80 and _texts(error["kinds"])


def _fits(do: str, reply: Mapping[str, Any], arrays: Sequence[NDArray[Any]]) -> bool:
    if not _has(reply, _FORMS[do]):
        return False
    if do == "run":
        if max(len(reply["defined"]), len(reply["errors"])) > _MOST:
            return False
        known = all(_has(entry, _ENTRY) and _maybe(entry) and _sizes(entry["shape"]) for entry in reply["defined"])
        return known and all(_has(error, _ERROR) and _short(error) for error in reply["errors"])
    if do == "build":
        return not reply["module"] or _is_network(reply)
    if not all(map(_texts, (reply.get("warnings", []), reply.get("operations", []) if do == "call" else []))):
        return False
    last = reply.get("last")
    return (last is None or _has(last, _PLACE)) and _layers_fit(reply, arrays)


def _is_network(reply: Mapping[str, Any]) -> bool:
    parameters, linear = reply.get("parameters"), reply.get("linear")
    return (
        isinstance(parameters, list)
        and isinstance(linear, list)
        and len(parameters) <= _MOST
        and all(_row(item, (str, list)) and len(item[1]) <= 64 and _sizes(item[1]) for item in parameters)
        and all(_row(item, (str, int, int)) for item in linear)
    )


def _layers_fit(reply: Mapping[str, Any], arrays: Sequence[NDArray[Any]]) -> bool:
    layers, unreached = reply.get("layers", []), reply.get("unreached", [])
    if not (isinstance(layers, list) and _texts(unreached) and isinstance(reply.get("operations", []), list)):
        return False
    if not all(_has(layer, _PLACE) for layer in layers):
        return False
    if not layers:
        return len(arrays) <= 1
    if len(arrays) != 1 + 3 * len(layers):
        return False
    triples = zip(arrays[1::3], arrays[2::3], arrays[3::3], strict=True)
    return all(_multiplies(rows, weight, bias) for rows, weight, bias in triples)


def _multiplies(rows: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any]) -> bool:
    if not (
        rows.ndim == weight.ndim == 2 and rows.shape[1] == weight.shape[0] and 0 not in (*rows.shape, *weight.shape)
    ):
        return False
    if any(item.dtype.kind not in "fiu" for item in (rows, weight, bias)) or bias.ndim > 2:
        return False
    # What is added spreads over the rows and the columns, or is nothing.
    pairs = zip(bias.shape[::-1], (weight.shape[1], rows.shape[0]), strict=False)
    return not bias.size or all(size in (1, whole) for size, whole in pairs)


def _has(item: Any, form: Mapping[str, Any]) -> bool:
    return isinstance(item, dict) and all(_kind(item.get(name), kinds) for name, kinds in form.items())


def _kind(value: Any, kinds: Any) -> bool:
    return isinstance(value, kinds) and (kinds is bool or not isinstance(value, bool))


def _maybe(entry: Mapping[str, Any]) -> bool:
    there = {name: kinds for name, kinds in _MAYBE.items() if name in entry}
    return _has(entry, there) and all(_texts(entry.get(name, [])) for name in ("parameters", "methods"))


def _texts(items: Any) -> bool:
    return (
        isinstance(items, list)
        and len(items) <= _MOST
        and all(isinstance(item, str) and len(item) <= _LONGEST_TEXT for item in items)
    )


def _sizes(shape: Any) -> bool:
    return shape is None or all(type(size) is int and size >= 0 for size in shape)


def _row(item: Any, kinds: Sequence[type]) -> bool:
    return isinstance(item, list) and len(item) == len(kinds) and all(map(_kind, item, kinds))
