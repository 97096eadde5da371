"""A program followed from the inside out and from line to line: what goes into each operation and what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sumtoone.errors import UsageError
from sumtoone.shapes.nodes import Node, Program, Slice, parts, shortened
from sumtoone.shapes.reading import together
from sumtoone.shapes.rules import result, tensor_of
from sumtoone.shapes.values import INTEGER, Fails, Value, tensor
from sumtoone.shapes.vocabulary import ARITHMETIC, LAYER_FUNCTIONS, LOSSES

_OF_PYTHON = ("shape", "size", "len", "ndim", "numel")


@dataclass(frozen=True)
class Step:
    """One operation; ``output`` is None where it fails, and ``failure`` says why."""

    node: Node
    inputs: tuple[Value, ...]
    output: Value | None
    failure: Fails | None = None


@dataclass(frozen=True)
class Trace:
    """The steps in the order PyTorch takes them, up to the first that fails; then what the last line gives.

    ``placed`` are those of (values, indices) whose indices a line gave a name.
    """

    steps: tuple[Step, ...]
    node: Node
    value: Value | None
    lines: tuple[Value, ...]
    placed: tuple[Node, ...] = ()

    @property
    def failed(self) -> Step | None:
        """The step that fails, or None."""
        return self.steps[-1] if self.value is None else None


def trace(program: Program, values: Mapping[str, Value]) -> Trace:
    """Follow a program; ``values`` are those of the names that it does not make itself."""
    follower = _Follower(dict(values))
    node: Node = program.statements[0].node
    value: Value | None = None
    lines: list[Value] = []
    for statement in program.statements:
        try:
            node, value = follower.follow(statement.node)
            follower.name(statement.targets, node, value)
        except _Failed:
            value = None
            break
        lines.append(value)
    return Trace(tuple(follower.steps), node, value, tuple(lines), tuple(follower.placed))


def definition(node: Node) -> Node:
    """Return what a name was given, or the node itself where it is none of a line before."""
    while node.operation == "name" and "origin" in node.arguments:
        node = node.arguments["origin"]
    return node


class _Failed(Exception):  # noqa: N818 - ends the way through a program
    pass


class _Follower:
    def __init__(self, values: dict[str, Value]) -> None:
        self.values = values
        self.origins: dict[str, Node] = {}
        self.steps: list[Step] = []
        self.placed: list[Node] = []

    def name(self, targets: Sequence[str], node: Node, value: Value) -> None:
        """Give what a line makes to its names."""
        if len(targets) < 2:
            self.values.update(dict.fromkeys(targets, value))
            self.origins.update(dict.fromkeys(targets, node))
            return
        made: list[Node] = []
        if value.pair:
            whole = replace(value, pair=False)
            several = [whole, replace(whole, kind=INTEGER)]
            made = [Node(part, (node,), node.tree, form="method") for part in ("values", "indices")]
        elif value.is_tensor and value.shape[:1] == (len(targets),):
            several = [Value(value.shape[1:], value.kind, None)] * len(targets)
        else:
            several = [tensor_of(size) for size in value.sizes or ()]
        if len(several) != len(targets):
            count = value.shape[0] if value.is_tensor and value.shape else len(several)
            failure = Fails("unpack", source=node.source, count=count, names=", ".join(targets))
            self.fail(node, (), failure)
        for target, one in zip(targets, several, strict=True):
            self.values[target] = one
            self.origins.pop(target, None)
        self.origins.update(zip(targets, made, strict=False))
        if value.pair and targets[1] != "_":
            self.placed.append(definition(node))

    def fail(self, node: Node, inputs: tuple[Value, ...], failure: Fails) -> None:
        """End the way here."""
        self.steps.append(Step(node, inputs, None, failure))
        raise _Failed

    def follow(self, node: Node) -> tuple[Node, Value]:
        """Return a node with all that is known by now filled in, and its value."""
        match node.operation:
            case "name":
                name = node.arguments["name"]
                origin = {"origin": self.origins[name]} if name in self.origins else {}
                return replace(node, arguments={"name": name, **origin}), self.values[name]
            case "number":
                return node, tensor_of(node.arguments["value"])
            case "numbers":
                return node, tensor((len(node.arguments["numbers"]),), INTEGER)
        followed = [self.follow(part) for part in node.inputs]
        inner, inputs = tuple(part for part, _ in followed), tuple(value for _, value in followed)
        node = replace(node, inputs=inner, arguments=self.resolved(node))
        if node.operation == "module":
            return node, Value((), module=node)
        if node.operation == "apply":
            return self.applied(node, inputs)
        return node, self.step(node, inputs)

    def step(self, node: Node, inputs: tuple[Value, ...]) -> Value:
        """Take one step; what Python alone does, such as ``x.shape[0] * 2``, is none."""
        try:
            value = _of_python(node, inputs)
            if value is not None:
                return value
            value = result(node, inputs)
        except Fails as failure:
            self.fail(node, inputs, failure)
            raise AssertionError from None
        self.steps.append(Step(node, inputs, value))
        return value

    def applied(self, node: Node, inputs: tuple[Value, ...]) -> tuple[Node, Value]:
        """Follow a tensor through a layer, or through each of several in turn."""
        module = inputs[0].module
        if module is None:
            self.fail(node, inputs, Fails("no-layer", source=node.source, inner=node.inputs[0].source))
            raise AssertionError
        last, value = node.inputs[1], inputs[1]
        layers = _layers(module)
        losses = [one for one in layers if LAYER_FUNCTIONS.get(one.arguments["layer"]) in LOSSES]
        if len(inputs) != 2 + bool(losses) or (losses and len(layers) > 1):
            self.fail(node, inputs, Fails("layer-inputs", source=node.source, count=len(inputs) - 1))
        for layer in layers:
            kind = layer.arguments["layer"]
            operation = "layer" if kind == "Linear" else LAYER_FUNCTIONS.get(kind, "detach")
            more = (last, *node.inputs[2:])
            tree = node.tree if losses else layer.tree
            last, before = Node(operation, more, tree, {**layer.arguments, "through": node}, "nn"), value
            value = self.step(last, (before, *inputs[2:]))
        return last, value

    def resolved(self, node: Node) -> dict[str, Any]:
        """Return arguments with a value for each node among them."""
        if not any(True for _ in parts(node.arguments.values())):
            return dict(node.arguments)
        if node.operation == "index":
            return self.resolved_index(node)
        found: dict[str, Any] = {}
        for name, argument in node.arguments.items():
            if isinstance(argument, tuple) and any(isinstance(one, Node) for one in argument):
                found[name] = tuple(size for one in argument for size in self.sizes(node, one, len(argument) == 1))
            else:
                found[name] = self.whole(node, argument) if isinstance(argument, Node) else argument
        return found

    def resolved_index(self, node: Node) -> dict[str, Any]:
        entries, nodes = [], []
        for written in node.arguments["index"]:
            part, entry = None, written
            if isinstance(written, Slice):
                entry = Slice(*(self.whole(node, one) for one in (written.lower, written.upper, written.step)))
            elif isinstance(written, Node):
                part, value = self.follow(written)
                entry = value if value.is_tensor else self.number(node, value)
            entries.append(entry)
            nodes.append(part)
        return {"index": tuple(entries), "index_nodes": tuple(nodes)}

    def sizes(self, node: Node, entry: object, alone: bool) -> tuple[int, ...]:
        """Return the sizes that one entry stands for: ``*x.shape``, ``x.shape`` alone, or a number."""
        if not isinstance(entry, Node):
            assert isinstance(entry, int)
            return (entry,)
        spread = entry.operation == "spread"
        _, value = self.follow(entry.inputs[0] if spread else entry)
        if value.sizes is None and not spread:
            return (self.number(node, value),)
        # PyTorch takes no call without any size, and no sizes within sizes.
        if value.sizes is None or not (spread or alone) or (spread and alone and not value.sizes):
            raise UsageError("explain-argument", given=shortened(node.source), signature=f"{node.operation}(…)")
        return value.sizes

    def whole(self, node: Node, argument: Any) -> Any:
        return self.number(node, self.follow(argument)[1]) if isinstance(argument, Node) else argument

    def number(self, node: Node, value: Value) -> int:
        """Return the whole number that an argument comes to."""
        if not isinstance(value.number, int):
            raise UsageError("explain-argument", given=shortened(node.source), signature=f"{node.operation}(…)")
        return value.number


def _layers(module: Node) -> list[Node]:
    if module.arguments["layer"] != "Sequential":
        return [module]
    found = []
    for part in module.inputs:
        inner = definition(part)
        if inner.operation != "module":
            raise UsageError("explain-argument", given=shortened(part.source), signature="nn.Sequential(layer, …)")
        found += _layers(inner)
    return found


def _of_python(node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """Return the number or the sizes that an expression about shapes comes to, or None where a tensor does."""
    operation, first = node.operation, inputs[0] if inputs else None
    if first is None:
        return None
    if operation in ("index", "len") and first.sizes is not None:
        return _of_sizes(node, first.sizes)
    if operation in _OF_PYTHON and first.is_tensor:
        return _of_tensor(node, first)
    if operation in (*ARITHMETIC, "neg", "pos") and all(value.number is not None for value in inputs):
        numbers = [value.number or 0 for value in inputs]
        found = together(operation, *numbers) if len(numbers) == 2 else numbers[0] * (-1 if operation == "neg" else 1)
        if found is None:
            raise UsageError("explain-number", given=shortened(node.source))
        return tensor_of(found)
    return None


def _of_sizes(node: Node, sizes: tuple[int, ...]) -> Value:
    if node.operation == "len":
        return tensor_of(len(sizes))
    entry = node.arguments["index"][0] if len(node.arguments["index"]) == 1 else None
    if entry == ":":
        return Value((), sizes=sizes)
    if isinstance(entry, Slice):
        return Value((), sizes=sizes[slice(entry.lower, entry.upper, entry.step)])
    if not isinstance(entry, int):
        raise UsageError("explain-argument", given=shortened(node.source), signature="x.shape[0]")
    if not -len(sizes) <= entry < len(sizes):
        raise Fails("shape-range", source=node.source, index=entry, shape=str(sizes))
    return tensor_of(sizes[entry])


def _of_tensor(node: Node, value: Value) -> Value:
    dim = node.arguments.get("dim")
    if node.operation == "len":
        if not value.shape:
            raise Fails("len-scalar", source=node.source)
        return tensor_of(value.shape[0])
    if node.operation in ("ndim", "numel"):
        return tensor_of(len(value.shape) if node.operation == "ndim" else value.elements)
    if dim is None:
        return Value((), sizes=value.shape)
    rank = len(value.shape)
    if not -rank <= dim < rank:
        raise Fails("axis-range", source=node.source, dim=dim, low=-rank, high=rank - 1)
    return tensor_of(value.shape[dim])
