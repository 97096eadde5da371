"""Right programs of the lesson, and machines that break one in one place."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Broken:
    """A right program, what became of it, the shapes of its names, and what was done."""

    right: str
    wrong: str
    shapes: dict[str, Shape]
    wrong_shapes: dict[str, Shape]
    how: str


def broken(dice: random.Random) -> Broken:
    """Return a program broken in one place."""
    while True:
        right, shapes = _program(dice)
        found = [one for machine in MACHINES for one in _by(machine, right, shapes)]
        if found:
            how = dice.choice(sorted({one.how for one in found}))
            return dice.choice([one for one in found if one.how == how])


# --- right programs


def _program(dice: random.Random) -> tuple[str, dict[str, Shape]]:
    rows, inner, outer = dice.sample((3, 4, 5, 6, 7, 8, 9), 3)
    pixels = dice.choice(((1, 2, 5), (1, 3, 3), (2, 6)))
    flat = 1
    for size in pixels:
        flat *= size
    if rows == flat:
        rows = 11
    x, w, b, y = dice.choice((("x", "w", "b", "y"), ("features", "weights", "bias", "labels"), ("e", "W1", "b1", "t")))
    square = dice.random() < 0.2
    wide = {x: (rows, rows if square else outer)}
    layer = {x: (rows, inner), w: (inner, outer), b: (outer,)}
    images = {"images": (rows, *pixels), w: (flat, outer), b: (outer,)}
    labelled = {x: (rows, outer), y: (rows,)}
    keep = dice.choice(("dim=1, keepdim=True", "axis=1, keepdim=True", "1, keepdim=True", "dim=1, keepdim=True"))
    column = dice.choice((f"{rows}, 1", "-1, 1"))
    flatten = dice.choice(("images.view(images.shape[0], -1)", "images.flatten(1)", f"images.view({rows}, -1)"))
    flatten = dice.choice((flatten, "images.reshape(len(images), -1)", "torch.flatten(images, 1)"))
    programs: list[tuple[str, dict[str, Shape]]] = [
        (f"torch.exp({x}) / torch.sum(torch.exp({x}), {keep})", wide),
        (f"{x}.exp() / {x}.exp().sum({keep})", wide),
        (f"torch.exp({x}) / torch.sum(torch.exp({x}), dim=1).view({column})", wide),
        (f"{x}.exp() / {x}.exp().sum(dim=1)[:, None]", wide),
        (f"{x}.exp() / {x}.exp().sum(1).unsqueeze(1)", wide),
        (f"z = torch.exp({x})\ntotal = z.sum({keep})\np = z / total", wide),
        (f"z = torch.exp({x} - {x}.max(dim=1, keepdim=True).values)\nz / z.sum(dim=1, keepdim=True)", wide),
        (f"{x} - {x}.max({keep}).values", {x: (rows, outer)}),
        (f"{x} - {x}.mean({keep})", {x: (rows, outer)}),
        (f"({x} - {x}.mean(dim=0)) / {x}.std(dim=0)", {x: (rows, outer)}),
        (f"({x} - {x}.mean({keep})) / {x}.std({keep})", {x: (rows, outer)}),
        (f"F.softmax({x}, dim=1)", {x: (rows, outer)}),
        (f"{x}.softmax(dim=1).argmax(dim=1)", {x: (rows, outer)}),
        (f"torch.softmax({x} @ {w} + {b}, dim=1)", layer),
        (f"{x} @ {w} + {b}", layer),
        (f"torch.mm({x}, {w}) + {b}", layer),
        (f"torch.sigmoid(torch.matmul({x}, {w}) + {b})", layer),
        (f"h = torch.relu({x} @ {w} + {b})\nF.log_softmax(h, dim=1)", layer),
        (f"F.linear({x}, {w}, {b})", {x: (rows, inner), w: (outer, inner), b: (outer,)}),
        (f"{x} @ {w}.T + {b}", {x: (rows, inner), w: (outer, inner), b: (outer,)}),
        (f"{flatten} @ {w} + {b}", images),
        (f"inputs = {flatten}\nh = torch.sigmoid(torch.mm(inputs, {w}) + {b})", images),
        (f"nn.Linear({flat}, {outer})({flatten})", {"images": images["images"]}),
        (f"nn.Sequential(nn.Linear({flat}, {inner}), nn.ReLU(), nn.Linear({inner}, {outer}))({flatten})", images),
        (f"({x}.argmax(dim=1) == {y}).float().mean()", labelled),
        (f"(torch.argmax({x}, dim=1) == {y}).float().mean()", labelled),
        (f"F.cross_entropy({x}, {y})", labelled),
        (f"F.nll_loss(F.log_softmax({x}, dim=1), {y})", labelled),
        (f"-torch.log(F.softmax({x}, dim=1))[torch.arange(len({y})), {y}].mean()", labelled),
        (f"-({y} * F.log_softmax({x}, dim=1)).sum(dim=1).mean()", {x: (rows, outer), y: (rows, outer)}),
        (f"-torch.mean(torch.sum({y} * torch.log({x}), dim=1))", {x: (rows, outer), y: (rows, outer)}),
        (f"(({x}.squeeze(1) - {y}) ** 2).mean()", {x: (rows, 1), y: (rows,)}),
        (f"F.mse_loss({x}.squeeze(1), {y})", {x: (rows, 1), y: (rows,)}),
    ]
    program, given = dice.choice(programs)
    used = {node.id for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Name)}
    return program, {name: shape for name, shape in given.items() if name in used}


# --- machines: each yields the tree of what it did at each place where it can


def _by(machine: Callable[[ast.AST], Iterator[ast.AST]], right: str, shapes: dict[str, Shape]) -> Iterator[Broken]:
    if machine is wrong_bias:
        yield from _with_wrong_bias(right, shapes)
        return
    tree = ast.parse(right)
    for place in ast.walk(tree):
        alone = (machine is keep_needlessly and "==" not in right) or (machine is softmax_again and "\n" in right)
        for new in () if alone else machine(place):
            wrong = ast.unparse(_swapped(tree, place, new))
            yield Broken(right, wrong, shapes, shapes, machine.__name__)


def _swapped(tree: ast.AST, old: ast.AST, new: ast.AST) -> ast.AST:
    if tree is old:
        return new
    parts = {}
    for name, value in ast.iter_fields(tree):
        if isinstance(value, list):
            parts[name] = [_swapped(one, old, new) if isinstance(one, ast.AST) else one for one in value]
        else:
            parts[name] = _swapped(value, old, new) if isinstance(value, ast.AST) else value
    return ast.copy_location(type(tree)(**parts), tree)


def _of(text: str, **pieces: ast.expr) -> ast.expr:
    tree: ast.AST = ast.parse(text, mode="eval").body
    for name, piece in pieces.items():
        for node in list(ast.walk(tree)):
            if isinstance(node, ast.Name) and node.id == name:
                tree = _swapped(tree, node, piece)
                break
    assert isinstance(tree, ast.expr)
    return tree


def drop_keepdim(place: ast.AST) -> Iterator[ast.AST]:
    if isinstance(place, ast.Call) and any(word.arg == "keepdim" for word in place.keywords):
        yield ast.Call(place.func, place.args, [word for word in place.keywords if word.arg != "keepdim"])


def change_dim(place: ast.AST) -> Iterator[ast.AST]:
    if isinstance(place, ast.Call) and any(word.arg in ("dim", "axis") for word in place.keywords):
        for dim in (0, 2):
            words = [ast.keyword(w.arg, ast.Constant(dim) if w.arg != "keepdim" else w.value) for w in place.keywords]
            standardised = isinstance(place.func, ast.Attribute) and place.func.attr in ("mean", "std")
            # Of two axes that differ nobody can tell which one was meant.
            if not standardised and any(ast.dump(w.value) == ast.dump(ast.Constant(1)) for w in place.keywords):
                yield ast.Call(place.func, place.args, words)


def drop_dim(place: ast.AST) -> Iterator[ast.AST]:
    if isinstance(place, ast.Call) and isinstance(place.func, ast.Attribute) and place.func.attr in ("sum", "argmax"):
        words = [word for word in place.keywords if word.arg not in ("dim", "axis", "keepdim")]
        if len(words) < len(place.keywords) and not any(isinstance(one, ast.Constant) for one in place.args):
            yield ast.Call(place.func, place.args, words)


def transpose(place: ast.AST) -> Iterator[ast.AST]:
    if isinstance(place, ast.BinOp) and isinstance(place.op, ast.MatMult):
        if not (isinstance(place.left, ast.Attribute) and place.left.attr == "T"):
            yield ast.BinOp(_of("x.T", x=place.left), place.op, place.right)
        yield ast.BinOp(place.left, place.op, _of("x.transpose(0, 1)", x=place.right))
    if isinstance(place, ast.Attribute) and place.attr == "T":
        yield place.value
    if isinstance(place, ast.Call) and isinstance(place.func, ast.Attribute) and place.func.attr in ("mm", "linear"):
        yield ast.Call(place.func, [place.args[0], _of("x.t()", x=place.args[1]), *place.args[2:]], [])


def swap_operands(place: ast.AST) -> Iterator[ast.AST]:
    if isinstance(place, ast.BinOp) and isinstance(place.op, ast.MatMult):
        yield ast.BinOp(place.right, place.op, place.left)
    if isinstance(place, ast.Call) and isinstance(place.func, ast.Attribute) and place.func.attr in ("mm", "matmul"):
        yield ast.Call(place.func, list(reversed(place.args)), [])


def star(place: ast.AST) -> Iterator[ast.AST]:
    if isinstance(place, ast.BinOp) and isinstance(place.op, ast.MatMult):
        yield ast.BinOp(place.left, ast.Mult(), place.right)


def drop_piece(place: ast.AST) -> Iterator[ast.AST]:
    """Without the flatten, the column's view, the squeeze, ``.float()``, ``.values``."""
    pieces = ("view", "reshape", "flatten", "unsqueeze", "squeeze", "float")
    if isinstance(place, ast.Call) and isinstance(place.func, ast.Attribute) and place.func.attr in pieces:
        function = isinstance(place.func.value, ast.Name) and place.func.value.id == "torch"
        yield place.args[0] if function else place.func.value
    if isinstance(place, ast.Attribute) and place.attr == "values":
        yield place.value
    if isinstance(place, ast.Subscript) and isinstance(place.slice, ast.Tuple) and "None" in ast.unparse(place.slice):
        yield place.value


def turn_piece(place: ast.AST) -> Iterator[ast.AST]:
    if isinstance(place, ast.Subscript) and isinstance(place.slice, ast.Tuple) and "None" in ast.unparse(place.slice):
        yield ast.Subscript(place.value, ast.Tuple(list(reversed(place.slice.elts)), ast.Load()), ast.Load())
    if isinstance(place, ast.Call) and isinstance(place.func, ast.Attribute):
        if place.func.attr == "unsqueeze":
            yield ast.Call(place.func, [ast.Constant(0)], [])
        if place.func.attr == "view" and len(place.args) == 2:
            yield ast.Call(place.func, list(reversed(place.args)), [])


def wrong_flatten(place: ast.AST) -> Iterator[ast.AST]:
    if isinstance(place, ast.Call) and isinstance(place.func, ast.Attribute) and "images" in ast.unparse(place):
        if place.func.attr in ("view", "reshape"):
            for sizes in ("(10, -1)", "(-1, 2)", "(-1,)"):
                entries = ast.parse(sizes, mode="eval").body
                assert isinstance(entries, ast.Tuple)
                yield ast.Call(place.func, entries.elts, [])
        if place.func.attr == "flatten":
            yield ast.Call(place.func, place.args[:-1], [])


def softmax_again(place: ast.AST) -> Iterator[ast.AST]:
    if isinstance(place, ast.Call) and isinstance(place.func, ast.Attribute):
        if place.func.attr == "cross_entropy":
            yield ast.Call(place.func, [_of("F.softmax(x, dim=1)", x=place.args[0]), *place.args[1:]], [])
        if place.func.attr == "softmax":
            yield _of("F.softmax(x, dim=1)", x=place)
        if place.func.attr == "log_softmax":
            function = ast.Attribute(place.func.value, "softmax", ast.Load())
            yield ast.Call(function, place.args, place.keywords)


def keep_needlessly(place: ast.AST) -> Iterator[ast.AST]:
    if isinstance(place, ast.Call) and isinstance(place.func, ast.Attribute) and place.func.attr == "argmax":
        yield ast.Call(place.func, place.args, [*place.keywords, ast.keyword("keepdim", ast.Constant(True))])


def wrong_layer(place: ast.AST) -> Iterator[ast.AST]:
    if isinstance(place, ast.Call) and isinstance(place.func, ast.Attribute) and place.func.attr == "Linear":
        takes, gives = place.args
        assert isinstance(takes, ast.Constant)
        assert isinstance(takes.value, int)
        yield ast.Call(place.func, [ast.Constant(takes.value + 1), gives], [])


def wrong_bias(place: ast.AST) -> Iterator[ast.AST]:
    """Stands for :func:`_with_wrong_bias`, which changes a shape and no line."""
    yield from ()


def _with_wrong_bias(right: str, shapes: dict[str, Shape]) -> Iterator[Broken]:
    for name in ("b", "bias", "b1"):
        if name in shapes:
            rows = next(iter(shapes.values()))[0]
            for wrong in ((rows,), (rows, 1), (shapes[name][0] + 1,)):
                yield Broken(right, right, shapes, {**shapes, name: wrong}, "wrong_bias")


MACHINES = (
    drop_keepdim,
    change_dim,
    drop_dim,
    transpose,
    swap_operands,
    star,
    drop_piece,
    turn_piece,
    wrong_flatten,
    softmax_again,
    keep_needlessly,
    wrong_layer,
    wrong_bias,
)
