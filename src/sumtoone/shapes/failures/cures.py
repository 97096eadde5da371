"""What a mistake means where it was made: the learner's own names and layer in it, and what to write instead."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt, prod

from sumtoone.errors import SumtooneError
from sumtoone.language import text
from sumtoone.shapes.failures.messages import Reading
from sumtoone.shapes.failures.scenes import Scene, is_module, last_name, named
from sumtoone.shapes.values import shown
from sumtoone.shapes.vocabulary import REDUCTIONS

# How PyTorch's messages name the kinds that learners know as dtypes.
_DTYPES = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64",
    "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
    # And some messages as C++ names them.
    "float": "float32", "double": "float64", "c10::Half": "float16", "c10::BFloat16": "bfloat16", "long int": "int64",
    "long long": "int64", "int": "int32", "short int": "int16", "signed char": "int8", "unsigned char": "uint8",
    "bool": "bool", "ComplexFloat": "complex64", "c10::complex<float>": "complex64",
}  # fmt: skip
_METHODS = {"float32": "float", "float64": "double", "float16": "half", "int64": "long"}
_LAYERS = (
    "Linear", "ReLU", "Sigmoid", "Tanh", "GELU", "SiLU", "LeakyReLU", "Softmax", "LogSoftmax", "Flatten", "Dropout",
    "Sequential", "ModuleList", "Conv2d", "BatchNorm1d", "CrossEntropyLoss", "function", "method", "type",
    "builtin_function_or_method",
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A mistake in words: its code, what met what, and lines to write instead."""

    code: str
    what: str
    instead: tuple[str, ...]


def found(reading: Reading, scene: Scene) -> Found | None:
    """Return a message's mistake in words; None where it is a message that not PyTorch alone gives."""
    rule = _RULES.get(reading.code)
    if rule is not None:
        return rule(reading, scene)
    fields = {name: _DTYPES.get(value, value) for name, value in reading.fields.items()}
    return _words(reading.code, {"x": scene.tensor, **fields})


def _words(
    code: str, fields: Mapping[str, object], cures: Sequence[str] = ("instead",), lines: tuple[str, ...] = ()
) -> Found:
    """Return a mistake's words from the texts; ``lines`` are written already, and stand first."""
    written = [line for name in cures for line in text(f"mistake.{code}.{name}", **fields).split("\n")]
    return Found(code, text(f"mistake.{code}.what", **fields), (*lines, *written))


# --- the rules of those mistakes whose words depend on where they were made


def _matmul(reading: Reading, scene: Scene) -> Found:
    rows, inner, other, columns = map(reading.number, ("rows", "inner", "other", "columns"))
    if scene.is_linear:
        return _linear(scene, rows, inner, other, columns)
    *_, left, right = scene.pair("mat1", "mat2")
    fields = {"left": left, "right": right, **reading.fields}
    if scene.name == "linear" and columns == inner:
        return _words("linear-weight", fields)
    ready = _explained(scene)
    if ready:
        return _words("matmul", fields, (), ready)
    cures = ["transposed"] * (columns == inner) + ["flatten"] * _may_be_images(rows, inner, other)
    return _words("matmul", fields, cures or ("instead",))


def _linear(scene: Scene, rows: int, receives: int, takes: int, outputs: int) -> Found:
    """Tell rows that were not flattened from a size that is wrong; where only the images' shape could, name both."""
    name, x = scene.layer, scene.tensor
    made = "" if scene.is_inside or scene.attribute is None else f"{scene.attribute} = "
    if name is None or scene.is_inside:
        key = "mistake.linear" if name is None else "mistake.inside"
        layer = text(key, takes=takes, outputs=outputs, **({"name": name} if name else {}))
    else:
        layer = name
    fields = {"layer": layer, "takes": takes, "receives": receives, "outputs": outputs, "made": made, "x": x}
    flatten = text("mistake.linear-flatten.instead", **fields)
    shape = scene.circumstances.received
    if shape is None:
        lines = (flatten,) if _may_be_images(rows, receives, takes) else ()
        return _words("linear-features", fields, lines=lines)
    if len(shape) > 2 and prod(shape[1:]) == takes:
        return _words("linear-flatten", fields)
    if len(shape) > 3:
        line = text("mistake.linear-features.instead", **{**fields, "receives": prod(shape[1:])})
        return _words("linear-features", fields, (), (flatten, line))
    return _words("linear-features", fields)


def _may_be_images(rows: int, width: int, wanted: int) -> bool:
    """Whether rows may be the lines of square images of as many pixels as are wanted."""
    return 1 < width < wanted and wanted % (width * width) == 0 and rows % (wanted // width) == 0


def _broadcast(reading: Reading, scene: Scene) -> Found:
    first, second, left, right = scene.pair("a", "b")
    sizes = {"left_size": reading.fields["left"], "right_size": reading.fields["right"], "axis": reading.fields["axis"]}
    fields = {"left": left, "right": right, **sizes}
    ready = _explained(scene)
    if ready:
        return _words("broadcast", fields, (), ready)
    kept = [] if scene.operation is None else _kept(scene.operation, (first, second))
    if kept:
        return _words("broadcast", {**fields, "line": kept[0]}, ("kept",))
    if _is_product(scene):
        return _words("broadcast", fields, ("product",))
    return _words("broadcast", fields, ("instead" if reading.number("axis") else "sizes",))


def _is_product(scene: Scene) -> bool:
    match scene.operation:
        case ast.BinOp(op=ast.MatMult()):
            return True
    return scene.name in ("matmul", "bmm")


def _kept(whole: ast.expr | ast.AugAssign, sides: tuple[ast.expr | None, ...]) -> list[str]:
    """Return an operation with the axis kept that one of its sides sums away."""
    lines = []
    for side in sides:
        if isinstance(side, ast.Call) and last_name(side.func) in REDUCTIONS:
            words = [word.arg for word in side.keywords]
            places = len(side.args) - (isinstance(side.func, ast.Attribute) and is_module(side.func.value))
            if (
                "keepdim" not in words
                and "keepdims" not in words
                and ("dim" in words or "axis" in words or places == 1)
            ):
                longer = ast.Call(side.func, side.args, [*side.keywords, ast.keyword("keepdim", ast.Constant(True))])
                lines.append(ast.unparse(whole).replace(ast.unparse(side), ast.unparse(longer)))
    return lines


def _explained(scene: Scene) -> tuple[str, ...]:
    """Return what :func:`sumtoone.explain` writes instead, where the shapes of all names are known."""
    from sumtoone.shapes import explain

    shapes, tree = scene.circumstances.shapes, scene.operation
    if not shapes or not isinstance(tree, ast.expr):
        return ()
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    try:
        explained = explain(ast.unparse(tree), **{name: shapes[name] for name in names if name in shapes})
    except (SumtooneError, TypeError):
        return ()  # a line that explain does not take; the message alone has to do
    if explained.shape is not None:
        return ()
    return tuple(f"{one.line}  # {shown(one.shape)}" for one in explained.suggestions)


def _view(reading: Reading, scene: Scene) -> Found:
    sizes, elements = reading.sizes("sizes"), reading.number("elements")
    needed = prod(size for size in sizes if size != -1)
    fields = {"sizes": tuple(sizes), "needed": needed, "elements": elements, "x": scene.tensor}
    code = "view-divide" if -1 in sizes else "view"
    rest = prod(sizes[1:]) if len(sizes) == 2 and -1 not in sizes else 0
    if rest > 1 and elements % rest == 0 and elements // rest < sizes[0]:
        line = text("mistake.view.rows", x=scene.tensor, rows=elements // rest, rest=rest)
        return _words(code, fields, ("last",), (line,))
    return _words(code, fields)


def _dtypes(reading: Reading, scene: Scene) -> Found:
    dtypes = {side: _DTYPES.get(one, one) for side, one in reading.fields.items()}
    if scene.is_loss and "found" in dtypes:
        found, expected = dtypes["found"], dtypes["expected"]
        if expected == "int64":
            return _words("target-dtype", {"found": found})
        return _words("loss-dtype", {"left": found, "right": expected, "method": _METHODS.get(expected, "float")})
    # A product of many matrices expects on the right what it found on the left.
    left, right = dtypes.get("left") or dtypes["expected"], dtypes.get("right") or dtypes["found"]
    fields = {"left": left, "right": right}
    wanted = "float32" if "float32" in fields.values() else left if left.startswith("float") else right
    first, second, *_ = scene.pair("x", "x")
    odd = first if left != wanted else second
    x = scene.tensor if odd is None or scene.layer is not None else named(odd, "x")
    fields |= {"x": x, "wanted": wanted, "method": _METHODS.get(wanted, "float")}
    is_network = scene.layer is not None and (left, right) == ("float64", "float32")
    return _words("dtypes", fields, ["instead"] + ["network"] * is_network)


def _tensor_types(reading: Reading, scene: Scene) -> Found:
    places = tuple("cuda" if reading.fields[side] else "cpu" for side in ("left_place", "right_place"))
    if places[0] != places[1]:
        return _words("devices", {"left": places[0], "right": places[1]})
    return _dtypes(reading, scene)


def _not_for_dtype(reading: Reading, scene: Scene) -> Found:
    """Tell the labels of a loss, which are whole numbers, from what is computed with, which is not."""
    found = _DTYPES.get(reading.fields["found"], reading.fields["found"])
    if reading.fields["operation"].startswith("nll_loss"):
        return _words("target-dtype", {"found": found})
    cure = "whole" if found in ("float32", "float64") else "instead"
    return _words("not-for-dtype", {"found": found, "x": scene.tensor}, (cure,))


def _dimension(reading: Reading, scene: Scene) -> Found:
    cures = ("vector",) if reading.fields["high"] == "0" else ("instead",)
    return _words("dimension", {"x": scene.tensor, **reading.fields}, cures)


def _target_range(reading: Reading, scene: Scene) -> Found:
    label = reading.number("label")
    return _words("target-negative" if label < 0 else "target-range", {"label": label, "count": label + 1})


def _target_shape(reading: Reading, scene: Scene) -> Found:
    sizes = ", ".join(map(str, reading.sizes("wanted")))
    return _words("target-shape", {"sizes": sizes, **reading.fields})


def _attribute(reading: Reading, scene: Scene) -> Found | None:
    """Speak of a module's part, or of None in PyTorch's own code; any other attribute is Python's affair."""
    beyond = [frame.file.replace("\\", "/") for frame in scene.failure.beyond]
    if not any("/torch/" in file for file in beyond):
        return None
    if reading.fields["kind"] == "NoneType":
        return _words("nothing", {})
    return _words("attribute", reading.fields) if beyond[-1].endswith("/modules/module.py") else None


def _argument(reading: Reading, scene: Scene) -> Found:
    given = reading.fields["found"].rpartition(".")[2]
    if given == "NoneType":
        return _words("nothing", {})
    x = "labels" if reading.fields["name"] == "target" else scene.tensor
    kinds = {"ndarray": "array", "list": "numbers", "int": "numbers", "float": "numbers", "tuple": "tuple"}
    cure = kinds.get(given, "called" if given in _LAYERS else "instead")
    return _words("argument-type", {"x": x, **reading.fields, "found": given}, (cure,))


def _expand(reading: Reading, scene: Scene) -> Found:
    bias = scene.is_linear or scene.name in ("linear", "addmm")
    return _words("expand", {"x": scene.tensor, **reading.fields}, ("bias" if bias else "instead",))


def _index(reading: Reading, scene: Scene) -> Found:
    return _words("index-range", {"last": reading.number("size") - 1, **reading.fields})


def _cat_sizes(reading: Reading, scene: Scene) -> Found:
    return _words("cat-sizes", reading.fields, ("side" if reading.fields["axis"] == "0" else "instead",))


def _dim_missing(reading: Reading, scene: Scene) -> Found:
    return _words("dim-missing", reading.fields, ("softmax" if "softmax" in reading.fields["function"] else "instead",))


def _conv_axes(reading: Reading, scene: Scene) -> Found:
    shape = reading.sizes("shape")
    side = isqrt(shape[-1]) if len(shape) == 2 else 0
    fields = {"x": scene.tensor, "side": side, "pixels": side * side, **reading.fields}
    return _words("conv-axes", fields, ("square" if len(shape) == 2 and side * side == shape[-1] else "instead",))


def _of_layer(kind: str) -> Callable[[Reading, Scene], Found]:
    return lambda reading, scene: _words(reading.code, {"layer": scene.layer or kind, **reading.fields})


_RULES: Mapping[str, Callable[[Reading, Scene], Found | None]] = {
    "matmul": _matmul,
    "broadcast": _broadcast,
    "view": _view,
    "dtypes": _dtypes,
    "tensor-types": _tensor_types,
    "not-for-dtype": _not_for_dtype,
    "dimension": _dimension,
    "target-range": _target_range,
    "target-shape": _target_shape,
    "attribute": _attribute,
    "argument-type": _argument,
    "expand": _expand,
    "index-range": _index,
    "cat-sizes": _cat_sizes,
    "dim-missing": _dim_missing,
    "conv-axes": _conv_axes,
    "norm-features": _of_layer("BatchNorm"),
    "conv-channels": _of_layer("nn.Conv2d"),
}
