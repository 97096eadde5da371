"""Random lines as a lesson writes them: sizes, slices, masks, layers, losses, several lines; and what PyTorch makes."""

from __future__ import annotations

import ast
import random
import re
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from expressions import Shape, random_case

SIZES = (1, 2, 3, 3, 5)
EQUATIONS = (
    "bi,io->bo",
    "ij->ji",
    "ij,ij->i",
    "bij,bjk->bik",
    "ii->i",
    "ij,j->i",
    "i,j->ij",
    "ij,jk",
    "ii",
    "ij,ik->q",
)
REFUSALS = (RuntimeError, IndexError, TypeError, AttributeError, NotImplementedError, ValueError)


def random_lines(dice: random.Random) -> tuple[str, dict[str, Shape]]:
    """Return lines and the shapes of their names; the shapes often nearly fit each other."""
    whole = tuple(dice.choice(SIZES) for _ in range(dice.choices(range(1, 5), (2, 6, 3, 1))[0]))
    shapes = {name: _near(dice, whole) for name in "abc"}
    line = _line(dice, shapes, dice.choice((1, 1, 2, 2, 3)))
    if dice.random() < 0.25:
        line = dice.choice((f"d = {line}; d + {dice.choice('abc')}", f"d = {line}\n{_line(dice, shapes, 1)} - d"))
    elif dice.random() < 0.1:
        first = dice.choice(("", "", "a = a.long()\n", "a = a > 0\n", "a = a.double()\n"))
        operator = dice.choice(("+", "*", "-", "/", "//", "**", "&"))
        other = dice.choice((f"({line}) * 1", f"({line}) * 1", dice.choice("abc"), "c.long()", "c > 0", "2", "0.5"))
        line = f"{first}a {operator}= {other}\na{dice.choice(('', '', '.mean()', ' @ b.mT'))}"
    used = {node.id for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Name)}
    return line, {name: shape for name, shape in shapes.items() if name in used}


def value_of(lines: str, names: dict[str, Any]) -> Any:
    """Return what the last line gives when PyTorch itself runs them all."""
    body = ast.parse(lines).body
    space = {"torch": torch, "F": F, "nn": nn, **names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for statement in body:
            if isinstance(statement, ast.Expr) and "print" not in lines:
                value = eval(compile(ast.Expression(statement.value), "", "eval"), space)
            else:
                exec(compile(ast.Module([statement], []), "", "exec"), space)
                named = [one.id for one in ast.walk(statement) if isinstance(one, ast.Name) and one.id in space]
                value = space[named[0]] if named else None
    return value


def outcome(lines: str, shapes: dict[str, Shape]) -> Shape | None:
    """Return the shape that PyTorch gives on tensors of ones, or None where it raises."""
    try:
        value = value_of(lines, {name: torch.ones(shape) for name, shape in shapes.items()})
    except REFUSALS:
        return None
    if isinstance(value, tuple) and not isinstance(value, torch.Size):
        value = value[0] if len(value) == 2 else None
    if isinstance(value, int | float | torch.Size):
        return ()
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None


def _near(dice: random.Random, whole: Shape) -> Shape:
    shape = [size if dice.random() < 0.85 else dice.choice(SIZES) for size in whole[dice.choice((0, 0, 0, 1)) :]]
    return tuple(reversed(shape)) if dice.random() < 0.2 else tuple(shape)


def _line(dice: random.Random, shapes: dict[str, Shape], depth: int) -> str:
    if depth == 0:
        return dice.choice("abc")
    if dice.random() < 0.15 and not re.search(r"max\(|min\(", piece := random_case(dice)[0]):
        return piece
    inner, other = _line(dice, shapes, depth - 1), dice.choice("abc")
    makers = (_sized, _sliced, _picked, _made, _joined, _compared, _layered, _product)
    return dice.choice(makers)(dice, shapes, inner, other)


def _size(dice: random.Random, shapes: dict[str, Shape], name: str) -> str:
    rank = len(shapes[name])
    axis = dice.randrange(-rank - 1, rank + 1)
    written = (f"{name}.shape[{axis}]", f"{name}.size({axis})", f"len({name})", f"{name}.shape[0] * 2 // 2")
    return dice.choice((*written, f"{name}.numel() // {dice.choice((1, 2, 3))}", f"{name}.ndim"))


def _sized(dice: random.Random, shapes: dict[str, Shape], inner: str, other: str) -> str:
    size = _size(dice, shapes, other)
    view = dice.choice(("view", "view", "reshape"))
    sizes = (f"{size}, -1", f"-1, {size}", f"*{other}.shape", f"{other}.shape", f"{other}.size()", f"{other}.shape[:1]")
    more = (f"*{other}.shape[:-1], -1", f"{other}.shape[0], {size}", f"({size}, 1)", f"{other}.shape[1:]")
    if dice.random() < 0.2:
        return f"({inner} / {size})"
    if dice.random() < 0.1:
        return f"{inner}.sum(dim={other}.ndim - 1)"
    return f"{inner}.{view}({dice.choice((*sizes, *more))})"


def _sliced(dice: random.Random, shapes: dict[str, Shape], inner: str, other: str) -> str:
    cuts = (
        ":",
        "1:",
        ":2",
        "::2",
        "1:3",
        ":-1",
        "-2:",
        "0",
        "None",
        "...",
        f":{other}.shape[0]",
        "5:",
        f"{other}.ndim",
    )
    entries = dice.choices(cuts, (5, 3, 3, 2, 3, 2, 1, 2, 2, 1, 1, 1, 0.3), k=dice.randint(1, 3))
    if entries.count("...") > 1:
        entries = ["..."]
    return f"{inner}[{', '.join(entries)}]"


def _picked(dice: random.Random, shapes: dict[str, Shape], inner: str, other: str) -> str:
    third = dice.choice("abc")
    places = f"torch.zeros({dice.choice((1, 2, 3))}, dtype=torch.long)"
    grid = "torch.zeros(2, 1, dtype=torch.long)"
    entries = ("0", ":", "None", "...", places, places, grid, "[0, 0]", "torch.tensor(0)", f"{other} > 0", "0:1")
    index = (
        f"{other} > 0",
        f"{other} == {third}",
        f"({other} > 0) & ({third} > 0)",
        places,
        f"{other}.long() * 0",
        f"torch.arange(1), {other}.argmax() * 0",
        ", ".join(one for place, one in enumerate(dice.choices(entries, k=3)) if place == 0 or one != "..."),
    )
    chosen = dice.choice((*index, index[-1]))
    if dice.random() < 0.25:
        return f"{inner}.gather({dice.choice((0, 1, -1))}, {other}.long() * 0)"
    if dice.random() < 0.2:
        return f"torch.where({other} > 0, {inner}, {dice.choice((third, '0.5', '1'))})"
    return f"{inner}[{chosen}]"


def _made(dice: random.Random, shapes: dict[str, Shape], inner: str, other: str) -> str:
    size = _size(dice, shapes, other)
    made = (
        f"torch.randn({dice.choice(SIZES)}, {size})",
        f"torch.ones({other}.shape)",
        f"torch.zeros(({size}, 3))",
        f"torch.zeros_like({other})",
        f"torch.full(({size},), {dice.choice(('1', '0.5'))})",
        f"torch.eye({dice.choice(SIZES)})",
        f"torch.arange({size})",
        f"torch.arange(1, {dice.choice(SIZES)})",
        "torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])",
        "torch.tensor([1, 2, 3])",
        "torch.rand(3, dtype=torch.float64)",
        "torch.randint(0, 3, (3,))",
    )
    return f"({inner} {dice.choice(('+', '-', '*', '/', '@', '=='))} {dice.choice(made)})"


def _joined(dice: random.Random, shapes: dict[str, Shape], inner: str, other: str) -> str:
    dim = dice.choice(("", ", dim=0", ", dim=1", ", 1", ", -1", ", dim=2", ", axis=0"))
    name = dice.choice(("cat", "cat", "stack"))
    listed = dice.choice((f"[{inner}, {other}]", f"({inner}, {other}, {dice.choice('abc')})", f"[{inner}]"))
    return f"torch.{name}({listed}{dim})"


def _compared(dice: random.Random, shapes: dict[str, Shape], inner: str, other: str) -> str:
    labels = dice.choice((f"{other}.long() * 0", f"{other}.argmax(dim={dice.choice((0, 1, -1))}) * 0", other))
    loss = dice.choice(("cross_entropy", "nll_loss", "mse_loss", "mse_loss"))
    reduction = dice.choice(("", "", ", reduction='sum'", ", reduction='none'"))
    written = (
        f"F.{loss}({inner}, {labels}{reduction})",
        f"F.{loss}({inner}, {other}{reduction})",
        f"nn.CrossEntropyLoss()({inner}, {labels})",
        f"F.one_hot({labels}, 3)",
        f"torch.maximum({inner}, {other})",
        f"torch.eq({inner}, {other}).float()",
        f"torch.add({inner}, {other})",
        f"{inner}.div({other})",
        f"(~({inner} > {other}) | ({other} > 0))",
        f"{inner}.pow({dice.choice(('2', '0.5', other))})",
        f"({inner} == {other}).float().mean().item()",
        f"{inner}.square().detach().clone()",
    )
    return dice.choice(written)


def _layered(dice: random.Random, shapes: dict[str, Shape], inner: str, other: str) -> str:
    takes, gives = shapes[other][-1] if shapes[other] else 1, dice.choice((2, 3))
    linear = f"nn.Linear({takes}, {gives})"
    layers = dice.choices(("nn.ReLU()", "nn.Sigmoid()", "nn.Softmax(dim=1)", "nn.Flatten()", "nn.Dropout(0.5)"), k=2)
    net = f"nn.Sequential({', '.join([*layers[:1], linear, layers[1], f'nn.Linear({gives}, 3)'])})"
    bias = dice.choice(("", "", f", {other}[0]", f", bias={dice.choice('abc')}"))
    written = (
        f"{linear}({inner})",
        f"{linear}({other})",
        f"{net}({inner})",
        f"F.linear({inner}, {other}{bias})",
        f"F.linear({inner}, {other}.T)",
        f"nn.LogSoftmax(dim=-1)({inner})",
    )
    return dice.choice(written)


def _product(dice: random.Random, shapes: dict[str, Shape], inner: str, other: str) -> str:
    equation = dice.choice(EQUATIONS)
    operands = [inner, other][: equation.partition("->")[0].count(",") + 1]
    operands += [other] if dice.random() < 0.05 else []
    written = (
        f"torch.einsum('{equation}', {', '.join(operands)})",
        f"torch.bmm({inner}, {other})",
        f"torch.bmm({inner}, {other}.mT)",
        f"torch.dot({inner}, {other})",
        f"torch.matmul({inner}, {other}.T)",
        f"({inner} @ {other}.double())",
    )
    return dice.choice((written[0], *written))
