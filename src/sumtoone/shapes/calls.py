"""A call becomes a :class:`Node`: a function, a method, a layer, something that makes a tensor."""

from __future__ import annotations

import ast
import difflib
from typing import Any, NoReturn

from sumtoone.errors import UsageError
from sumtoone.language import text
from sumtoone.shapes.nodes import Node, shortened
from sumtoone.shapes.reading import Reader, integer, is_integer, module_of
from sumtoone.shapes.vocabulary import (
    ALIASES,
    CREATORS,
    JOINERS,
    KEYWORD_ONLY,
    KINDS,
    KNOWN,
    LAYERS,
    LIKES,
    NUMBERS,
    OPERATORS,
    PYTHON_SIGNATURES,
    REQUIRED,
    SIGNATURES,
    WITHOUT_SHAPE,
)


def call(reader: Reader, tree: ast.Call) -> Node:
    """Return the node of ``x.sum(dim=1)``, ``torch.sum(x, dim=1)``, ``nn.Linear(784, 10)(x)`` or ``len(x)``."""
    match tree.func:
        case ast.Name(id="len") if len(tree.args) == 1 and not tree.keywords:
            return Node("len", (reader.tensor(tree.args[0]),), tree)
        case ast.Name(id="range") if tree.args and not tree.keywords:
            return _created(reader, tree, "arange")
        case ast.Name(id=name) if name not in reader.known:
            near = name if name in SIGNATURES else "softmax"
            raise UsageError("explain-own-function", name=shortened(name), near=f"torch.{near}")
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            raise UsageError("explain-own-layer", name=shortened(f"self.{name}"))
        case ast.Attribute(value=owner, attr=name):
            module = module_of(owner)
            return _method(reader, tree, owner, name) if module is None else _function(reader, tree, module, name)
        case _:
            inputs = [reader.read(tree.func), *(reader.tensor(one) for one in _plain(tree, tree.args))]
            if tree.keywords or len(inputs) < 2:
                raise UsageError("explain-argument", given=_shown(tree), signature="layer(x)")
            return Node("apply", tuple(inputs), tree)


def _function(reader: Reader, tree: ast.Call, module: str, name: str) -> Node:
    """Return the node of a function of a module."""
    if module == "nn":
        return _layer(reader, tree, name)
    if module in ("torch", "np", "random") and name in (*CREATORS, *LIKES):
        return _created(reader, tree, name)
    if module in ("torch", "np") and name in (*JOINERS, "concatenate"):
        return _joined(reader, tree, name)
    if (module, name) in (("torch", "einsum"), ("np", "einsum")):
        return _einsum(reader, tree)
    if module not in KNOWN:
        raise UsageError("explain-module", module=shortened(module), given=_callee(tree))
    if name not in KNOWN[module]:
        raise _unknown(tree, name, KNOWN[module] | ({*CREATORS, *JOINERS, "einsum"} if module == "torch" else set()))
    given = {word.arg: word.value for word in tree.keywords}
    if tree.args and not isinstance(tree.args[0], ast.Starred):
        return _bound(reader, tree, name, module, reader.tensor(tree.args[0]), tree.args[1:])
    if "input" in given:
        return _bound(reader, tree, name, module, reader.tensor(given["input"]), tree.args)
    raise UsageError("explain-argument", given=_callee(tree), signature=_signature(name, "input"))


def _method(reader: Reader, tree: ast.Call, owner: ast.expr, name: str) -> Node:
    tensor = reader.tensor(owner)
    if name in ("to", "type", "astype", "cuda", "requires_grad_"):
        return Node(_conversion(reader, tree, name), (tensor,), tree, {}, "method")
    if name not in KNOWN["method"]:
        raise _unknown(tree, name, KNOWN["method"])
    return _bound(reader, tree, name, "np" if reader.arrays else "method", tensor, tree.args, bound=True)


def _conversion(reader: Reader, tree: ast.Call, name: str) -> str:
    """Return the operation that ``x.to(…)`` and its like are; what may be a type has to be one that is known."""
    types = [word.value for word in tree.keywords if word.arg == "dtype"]
    for place in tree.args:
        is_type = isinstance(place, ast.Attribute) and module_of(place.value) in ("torch", "np")
        is_tensor = isinstance(place, ast.Name) and place.id in reader.known  # whose type is taken
        types += [place] if name in ("type", "astype") or is_type or is_tensor else []
    if not types:  # only a device
        return "detach"
    kinds = [NUMBERS.get(one.id) if isinstance(one, ast.Name) and name == "astype" else _kind(one) for one in types]
    if len(kinds) > 1 or kinds[0] is None:
        _refuse_argument(tree, name, "dtype=torch.float32")
    return {"integer": "long", "boolean": "bool"}.get(kinds[0], kinds[0])


def _kind(tree: ast.expr) -> str | None:
    """Return the kind of element that ``torch.float32`` and its like name, or None for any other."""
    return KINDS.get(tree.attr) if isinstance(tree, ast.Attribute) else None


def _bound(
    reader: Reader, tree: ast.Call, name: str, form: str, tensor: Node, places: list[ast.expr], *, bound: bool = False
) -> Node:
    """Give each argument of a call its parameter's name and value."""
    parameters = SIGNATURES[name]
    kinds = dict(parameters)
    if bound and "sizes" in kinds.values() and places and not isinstance(places[0], ast.Tuple | ast.List):
        places = [ast.Tuple(elts=places, ctx=ast.Load())]  # x.view(2, 3) is x.view((2, 3))
    given = _given(tree, name, parameters, places, {} if form == "F" or name in PYTHON_SIGNATURES else ALIASES)
    if not bound and not tree.args:
        given = [(word, value) for word, value in given if word != "input"]  # that is the tensor itself
    if any((name, parameter) in KEYWORD_ONLY for (parameter, _), _ in zip(parameters, places, strict=False)):
        _refuse_argument(tree, name)
    inputs, arguments = [tensor], {}
    for parameter, value in given:
        if kinds.get(parameter) == "operand":
            if not (isinstance(value, ast.Constant) and value.value is None):
                inputs.append(reader.read(value))
        elif not (parameter == "dim" and isinstance(value, ast.Constant) and value.value is None):
            arguments[parameter] = _argument(reader, tree, name, kinds.get(parameter, ""), value)
    if any(need not in {parameter for parameter, _ in given} for need in REQUIRED.get(name, ())):
        _refuse_argument(tree, name)
    if form == "s1" and name in ("softmax", "log_softmax"):
        arguments.setdefault("dim", -1)
    return Node(OPERATORS.get(name, name), tuple(inputs), tree, arguments, form)


def _given(
    tree: ast.Call,
    name: str,
    parameters: tuple[tuple[str, str], ...],
    places: list[ast.expr],
    aliases: dict[str, str],
) -> list[tuple[str, ast.expr]]:
    """Return parameters with what is given for them, by place and by name; each once."""
    if len(places) > len(parameters):
        _refuse_argument(tree, name)
    given = [(parameter, place) for (parameter, _), place in zip(parameters, places, strict=False)]
    given += [(aliases.get(word.arg or "", word.arg or ""), word.value) for word in tree.keywords]
    if len({parameter for parameter, _ in given}) < len(given):
        _refuse_argument(tree, name)
    return given


def _argument(reader: Reader, tree: ast.Call, name: str, kind: str, value: ast.expr) -> Any:
    if kind in ("axis", "axes"):
        if isinstance(value, ast.Tuple | ast.List):
            if kind == "axes" and value.elts and all(map(is_integer, value.elts)):
                return tuple(map(integer, value.elts))
        elif is_integer(value) or not isinstance(value, ast.Constant):
            return reader.whole(value)
    if kind == "sizes":
        return _sizes(reader, tree, name, value)
    if kind == "flag" and isinstance(value, ast.Constant) and isinstance(value.value, bool):
        return value.value
    if kind == "word" and isinstance(value, ast.Constant) and value.value in ("mean", "sum", "none"):
        return value.value
    if kind == "kind" and (found := _kind(value)) is not None:
        return found
    if kind == "number":
        node = reader.read(value)
        if node.operation == "number" and (name != "norm" or node.arguments["value"] > 0):
            return node.arguments["value"]
    return _refuse_argument(tree, name)


def _sizes(reader: Reader, tree: ast.Call, name: str, value: ast.expr) -> tuple[Any, ...]:
    """Return sizes: whole numbers and nodes; one that gives several, such as ``x.shape``, is spread out."""
    if not isinstance(value, ast.Tuple | ast.List):
        node = None if isinstance(value, ast.Constant) else reader.whole(value)
        if not isinstance(node, Node) or node.operation not in ("shape", "size", "index"):
            _refuse_argument(tree, name)
        return (node,)
    spread = {one: reader.read(one.value) for one in value.elts if isinstance(one, ast.Starred)}
    return tuple(Node("spread", (spread[one],), one) if one in spread else reader.whole(one) for one in value.elts)


def _created(reader: Reader, tree: ast.Call, name: str) -> Node:
    """Return the node of what makes a tensor: it carries its own shape."""
    words = {word.arg: word.value for word in tree.keywords if word.arg not in WITHOUT_SHAPE}
    dtype = words.pop("dtype", None)
    kind = None if dtype is None else _kind(dtype)
    if dtype is not None and kind is None:
        _refuse_argument(tree, name, "size, dtype=torch.float32")
    places = list(_plain(tree, tree.args))
    arguments: dict[str, Any] = {"maker": name, "kind": kind}
    if name in LIKES:
        if len(places) != 1 or words:
            _refuse_argument(tree, name, "input")
        return Node("create", (reader.tensor(places[0]),), tree, arguments)
    if name == "tensor":
        arguments["literal"] = _literal(tree, places)
        return Node("create", (), tree, arguments)
    if name in ("full", "randint"):
        sizes = words.pop("size", None)
        sizes = sizes or next((one for one in places if isinstance(one, ast.Tuple | ast.List)), None)
        arguments["whole"] = name == "randint" or (len(places) > 1 and is_integer(places[1]))
        places = [] if sizes is None else [sizes]
    if words or (not places and name != "tensor"):
        _refuse_argument(tree, name, "size")
    whole: ast.Tuple | ast.List = ast.Tuple(elts=places, ctx=ast.Load())
    one = len(places) == 1 and not is_integer(places[0]) and not isinstance(places[0], ast.Name)
    if one and isinstance(places[0], ast.Tuple | ast.List):
        whole = places[0]
    arguments["size"] = _sizes(reader, tree, name, whole)
    return Node("create", (), tree, arguments)


def _literal(tree: ast.Call, places: list[ast.expr]) -> tuple[tuple[int, ...], str]:
    """Return shape and kind of the nested lists in ``torch.tensor([[1.0, 2.0], [3.0, 4.0]])``."""
    try:
        value = ast.literal_eval(places[0]) if len(places) == 1 else None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        value = None
    shape: list[int] = []
    level: list[Any] = [value]
    while level and isinstance(level[0], list | tuple):
        if any(not isinstance(one, list | tuple) or len(one) != len(level[0]) for one in level):
            _refuse_argument(tree, "tensor", "data")
        shape.append(len(level[0]))
        level = [inner for one in level for inner in one]
    if value is None or any(not isinstance(one, int | float) for one in level):
        _refuse_argument(tree, "tensor", "data")
    if not level or any(isinstance(one, float) for one in level):
        return tuple(shape), "float"
    return tuple(shape), "boolean" if all(isinstance(one, bool) for one in level) else "integer"


def _joined(reader: Reader, tree: ast.Call, name: str) -> Node:
    given = _given(tree, name, (("tensors", "operands"), ("dim", "axis")), tree.args, ALIASES)
    arguments = dict(given)
    listed, dim = arguments.pop("tensors", None), arguments.pop("dim", None)
    if not isinstance(listed, ast.Tuple | ast.List) or not listed.elts or arguments:
        _refuse_argument(tree, name, "(a, b), dim")
    inputs = tuple(reader.tensor(one) for one in _plain(tree, listed.elts))
    axis = 0 if dim is None else reader.whole(dim)
    return Node("stack" if name == "stack" else "cat", inputs, tree, {"dim": axis}, "torch")


def _einsum(reader: Reader, tree: ast.Call) -> Node:
    places = list(_plain(tree, tree.args))
    equation = places[0].value if places and isinstance(places[0], ast.Constant) else None
    if not isinstance(equation, str) or len(places) < 2 or tree.keywords:
        _refuse_argument(tree, "einsum", "'bi,io->bo', x, w")
    inputs = tuple(reader.tensor(one) for one in places[1:])
    return Node("einsum", inputs, tree, {"equation": "".join(equation.split())}, "torch")


def _layer(reader: Reader, tree: ast.Call, name: str) -> Node:
    if name not in LAYERS:
        raise _unknown(tree, name, set(LAYERS))
    if name == "Sequential":
        layers = tuple(reader.read(one) for one in _plain(tree, tree.args))
        if tree.keywords or not layers:
            _refuse_argument(tree, name, "layer, layer, …")
        return Node("module", layers, tree, {"layer": name}, "nn")
    kinds = dict(LAYERS[name])
    if not kinds and tree.args:
        _refuse_argument(tree, f"nn.{name}()", "x")
    given = _given(tree, name, LAYERS[name], list(_plain(tree, tree.args)), {})
    arguments = {word: _argument(reader, tree, name, kinds.get(word, ""), value) for word, value in given}
    if name == "Linear" and not {"in_features", "out_features"} <= set(arguments):
        _refuse_argument(tree, name, "in_features, out_features")
    if any(isinstance(one, int) and one < 0 for word, one in arguments.items() if word.endswith("features")):
        _refuse_argument(tree, name)
    return Node("module", (), tree, {"layer": name, **arguments}, "nn")


def _plain(tree: ast.Call, given: list[ast.expr]) -> list[ast.expr]:
    if any(isinstance(one, ast.Starred) for one in given):
        raise UsageError("explain-argument", given=_shown(tree), signature=_callee(tree))
    return given


def _unknown(tree: ast.Call, name: str, known: set[str]) -> UsageError:
    """Return the error for a function that is not explained; a neighbour is named only where it is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
    hint = text("specification.did-you-mean", guess=near[0]) if near else text("explain.name-it")
    return UsageError("explain-function", given=_callee(tree), hint=hint)


def _callee(tree: ast.Call) -> str:
    return shortened(ast.unparse(tree.func))


def _shown(tree: ast.Call) -> str:
    return shortened(ast.unparse(tree))


def _signature(name: str, first: str = "") -> str:
    parameters = [first, *(parameter for parameter, _ in (SIGNATURES.get(name) or LAYERS.get(name) or ()))]
    return f"{name}({', '.join(filter(None, parameters))})"


def _refuse_argument(tree: ast.Call, name: str, parameters: str = "") -> NoReturn:
    signature = f"{name}({parameters})" if parameters else _signature(name)
    raise UsageError("explain-argument", given=_shown(tree), signature=signature)
