"""What stands for the names of a program: shapes, tensors of any library, dense layers."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from sumtoone.errors import SumtooneError, UsageError, raise_all
from sumtoone.language import text
from sumtoone.language.display import quoted
from sumtoone.shapes.nodes import Node, shortened
from sumtoone.shapes.parsing import parse
from sumtoone.shapes.values import (
    FLOAT,
    LARGEST_AXIS,
    MOST_AXES,
    Value,
    checked,
    row_major,
)
from sumtoone.shapes.vocabulary import KINDS, LAYERS, ROOTS
from sumtoone.specification import did_you_mean, plain_number


def values_of(names: Sequence[str], given: Mapping[str, Any]) -> dict[str, Value]:
    """Return the value of each name, or raise every complaint about them at once."""
    problems: list[SumtooneError] = []
    found: dict[str, Any] = {}
    for key, one in given.items():
        name = unicodedata.normalize("NFKC", key)  # as Python reads it
        if name in found:
            problems.append(UsageError("explain-shape-twice", name=shortened(name)))
        found[name] = one
    for name in names:
        if name not in found:
            hint = did_you_mean(name, unused) if (unused := [one for one in found if one not in names]) else ""
            hint = hint or text("explain.add-shape", name=name)
            problems.append(UsageError("explain-shape-missing", name=shortened(name), hint=hint))
    values: dict[str, Value] = {}
    for name, one in found.items():
        if name not in names or name in ROOTS:
            listed = shortened(", ".join(names)) or "-"
            problems.append(UsageError("explain-shape-unused", name=_named(name), names=listed))
            continue
        value = _value(one)
        if value is None:
            given_shape = shortened(quoted(getattr(one, "dtype", one) if _kind(one) is None else one))
            fields = {"largest": f"{LARGEST_AXIS:,}", "limit": MOST_AXES}
            problems.append(UsageError("explain-shape-value", name=shortened(name), given=given_shape, **fields))
        else:
            values[name] = value
    raise_all(problems)
    return {name: values[name] for name in names}


def _value(given: Any) -> Value | None:
    """Return a shape, a tensor or a layer as a value, or None where it is none of them."""
    module = _module(given)
    if module is not None:
        return Value((), module=module)
    if not isinstance(given, tuple | list):
        given, kind = getattr(given, "shape", None), _kind(given)
        if not isinstance(given, tuple | list) or kind is None:
            return None
        shape = _sizes(given)
        return None if shape is None else checked(Value(shape, kind, row_major(shape)))
    shape = _sizes(given)
    return None if shape is None else checked(Value(shape, FLOAT, row_major(shape), assumed=True))


def _sizes(shape: Sequence[Any]) -> tuple[int, ...] | None:
    sizes = tuple(map(plain_number, shape)) if len(shape) <= MOST_AXES else (None,)
    if not all(type(size) is int and 0 <= size <= LARGEST_AXIS for size in sizes):
        return None
    return sizes


def _kind(given: Any) -> str | None:
    """Return what a tensor or an array holds, or None where it is neither or holds what is not explained."""
    return KINDS.get(str(getattr(given, "dtype", "")).rpartition(".")[2])


def _module(given: Any) -> Node | None:
    """Return the layers of a module of PyTorch's, which has been imported where there is one."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(given, torch.nn.Module):
        return None
    return parse(_written(given)).statements[0].node


def _written(module: Any) -> str:
    name = type(module).__name__
    if type(module).__module__.startswith("torch.nn."):
        if name == "Sequential":
            return f"nn.Sequential({', '.join(map(_written, module))})"
        if name in LAYERS:
            given = [(word, kind, getattr(module, word, None)) for word, kind in LAYERS[name] if kind != "flag"]
            words = [f"{word}={one!r}" if kind == "word" else str(one) for word, kind, one in given if one is not None]
            if name == "Linear" and _kind(module.weight) != FLOAT:
                words.append(f"dtype={module.weight.dtype}")
            return f"nn.{name}({', '.join(words)})"
    raise UsageError("explain-own-module", name=shortened(name))


def is_array(given: Any) -> bool:
    """Whether something is NumPy's, whose products take numbers of any two kinds."""
    return type(given).__module__ == "numpy"


def _named(name: str) -> str:
    return shortened(name if name.isidentifier() else quoted(name))
