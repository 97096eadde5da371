"""What an index picks: numbers, slices, ``None``, ``...``, masks, and tensors of places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

from sumtoone.shapes.nodes import Node, Slice
from sumtoone.shapes.values import BOOLEAN, INTEGER, Fails, Value, broadcast, checked, shown


def picked(value: Value, entries: Sequence[Any]) -> Value:
    """Return the axes that ``":"`` keeps, a slice cuts and ``None`` adds; a number takes its axis away."""
    sizes, steps, axis = [], [], 0
    strides = (0,) * len(value.shape) if value.strides is None else value.strides
    for entry in entries:
        if entry is None:
            after = value.shape[axis] * strides[axis] if axis < len(value.shape) else 1
            sizes.append(1)
            steps.append(after)
            continue
        if entry == ":":
            sizes.append(value.shape[axis])
            steps.append(strides[axis])
        elif isinstance(entry, Slice):
            places = range(*slice(entry.lower, entry.upper, entry.step).indices(value.shape[axis]))
            sizes.append(len(places))
            steps.append(strides[axis] * places.step)
        axis += 1
    layout = None if value.strides is None else tuple(steps)
    return replace(checked(Value(tuple(sizes), value.kind, layout)), assumed=value.assumed)


def indexed(node: Node, value: Value) -> Value:
    """Return ``x[index]``; a mask is followed as if it held True alone."""
    rank = len(value.shape)
    index = [_ready(node, entry, value, place) for place, entry in enumerate(node.arguments["index"])]
    taken = sum(_axes(entry) for entry in index)
    if taken > rank:
        raise Fails("index-many", source=node.source, count=taken, shape=shown(value.shape), rank=rank)
    place = index.index("...") if "..." in index else len(index)
    entries = [*index[:place], *[":"] * (rank - taken), *index[place + 1 :]]
    nodes = node.arguments.get("index_nodes", ())
    listed = {id(entry): part for entry, part in zip(index, nodes, strict=False) if isinstance(entry, Value)}
    axis = 0
    for entry in entries:
        for number in listed[id(entry)].arguments.get("numbers", ()) if id(entry) in listed else ():
            if not -value.shape[axis] <= number < value.shape[axis]:
                raise Fails("index-range", source=node.source, index=number, axis=axis, size=value.shape[axis])
        if isinstance(entry, int) and not -value.shape[axis] <= entry < value.shape[axis]:
            raise Fails("index-range", source=node.source, index=entry, axis=axis, size=value.shape[axis])
        if isinstance(entry, Slice) and entry.step is not None and entry.step < 1:
            raise Fails("slice-step", source=node.source, step=entry.step)
        if isinstance(entry, Value) and entry.kind == BOOLEAN:
            there = value.shape[axis : axis + len(entry.shape)]
            if there != entry.shape:
                raise Fails("mask-shape", source=node.source, mask=shown(entry.shape), shape=shown(value.shape))
        axis += _axes(entry)
    if not any(isinstance(entry, Value) for entry in entries):
        return picked(value, entries)
    return _gathered(node, value, entries)


def is_mask(node: Node, index: Value, value: Value) -> bool:
    """Whether a tensor chooses as a mask; where nobody said what it holds, its name and shape tell."""
    if not index.assumed:
        return index.kind == BOOLEAN
    named = "mask" in str(node.arguments.get("name", "")).lower()
    return named or (len(index.shape) > 1 and index.shape == value.shape[: len(index.shape)])


def _ready(node: Node, entry: Any, value: Value, place: int) -> Any:
    """Return an entry with a tensor's kind settled; a tensor of one whole number is a number."""
    if not isinstance(entry, Value):
        return entry
    part = node.arguments["index_nodes"][place]
    if entry.assumed:
        entry = replace(entry, kind=BOOLEAN if is_mask(part, entry, value) else INTEGER)
    if entry.kind not in (INTEGER, BOOLEAN):
        raise Fails("index-kind", source=node.source, inner=part.source, kind=entry.kind)
    return 0 if entry.shape == () and entry.kind == INTEGER else entry


def _axes(entry: Any) -> int:
    """Return how many axes an entry takes."""
    if isinstance(entry, Value) and entry.kind == BOOLEAN:
        return len(entry.shape)
    return int(entry is not None and entry != "...")


def _gathered(node: Node, value: Value, entries: list[Any]) -> Value:
    """Return what tensors of places pick: their common shape stands where they stand, or first if apart."""
    plain: list[Any] = []
    for entry in entries:
        # A single True stands beside an axis of its own.
        plain += ([":"] * _axes(entry) or [None]) if isinstance(entry, Value) else [entry]
    basic = picked(value, plain)
    places: list[Value | None] = []
    for entry in entries:
        if isinstance(entry, Value) and entry.kind == BOOLEAN:
            places += [Value((prod(entry.shape),), INTEGER)] * max(len(entry.shape), 1)
        elif isinstance(entry, Value):
            places.append(entry)
        elif not isinstance(entry, int):
            places.append(None)
    common: tuple[int, ...] | None = ()
    for one in places:
        if one is not None and common is not None:
            before, common = common, broadcast(common, one.shape)
            if common is None:
                raise Fails("index-broadcast", source=node.source, left=shown(before), right=shown(one.shape))
    assert common is not None
    axes = [axis for axis, one in enumerate(places) if one is not None]
    for axis, one in enumerate(places):
        if one is not None and one.elements and basic.shape[axis] == 0:
            raise Fails("index-range", source=node.source, index=0, axis=axis, size=0)
    together = axes == list(range(axes[0], axes[-1] + 1))
    left = axes[0] if together else 0
    rest = [size for axis, size in enumerate(basic.shape) if axis not in axes]
    return checked(Value((*rest[:left], *common, *rest[left:]), value.kind, None))
