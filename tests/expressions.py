"""Random expressions over random shapes, and what PyTorch itself makes of them."""

from __future__ import annotations

import random
import re
import warnings

import torch
import torch.nn.functional as F

SIZES = (0, 1, 2, 3, 5)
BINARY = ("+", "-", "*", "/", "/", "**", "//", "%", "@", "@", "<", "<=", ">", ">=", "==", "!=")
REDUCTIONS = ("sum", "mean", "max", "min", "prod", "std", "var", "argmax", "argmin", "any", "all", "amax", "amin")
ELEMENTWISE = ("exp", "log", "sqrt", "abs", "relu", "sigmoid", "tanh", "float")

Shape = tuple[int, ...]


def random_case(dice: random.Random) -> tuple[str, dict[str, Shape]]:
    """Return an expression and the shapes of its names; the shapes often nearly fit each other."""
    whole = _shape(dice)
    shapes = {name: _related(dice, whole) for name in "abc"}
    expression = _expression(dice, shapes, dice.choice((1, 1, 2, 2, 3)))
    while re.search(r"expand\([^)]*-1[^)]*\b0\b|expand\([^)]*\b0\b[^)]*-1", expression):
        # PyTorch lets a new axis of size -1 pass beside one of size 0, and makes a tensor of negative size.
        expression = _expression(dice, shapes, 2)
    names = set(re.findall(r"\b[abc]\b", expression))
    return expression, {name: shape for name, shape in shapes.items() if name in names}


def outcome(expression: str, shapes: dict[str, Shape]) -> Shape | None:
    """Return the shape that PyTorch gives on real tensors, or None where it raises."""
    names = {"torch": torch, "F": F, **{name: torch.ones(shape) for name, shape in shapes.items()}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = eval(expression, {}, names)
        except (RuntimeError, IndexError, TypeError, AttributeError, NotImplementedError):
            return None
    if isinstance(value, tuple):
        value = value[0] if len(value) == 2 else None  # a pair times 2 is Python's tuple of four
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None  # x.values of a tensor is a bare method


def _shape(dice: random.Random) -> Shape:
    weights = (1, 3, 4, 5, 5)
    return tuple(dice.choices(SIZES, weights)[0] for _ in range(dice.choices(range(5), (1, 3, 6, 3, 1))[0]))


def _related(dice: random.Random, whole: Shape) -> Shape:
    if dice.random() < 0.25:
        return _shape(dice)
    shape = [size if dice.random() < 0.8 else 1 for size in whole[dice.choice((0, 0, 0, 1)) :]]
    return tuple(reversed(shape)) if dice.random() < 0.25 else tuple(shape)


def _expression(dice: random.Random, shapes: dict[str, Shape], depth: int) -> str:
    if depth == 0:
        return dice.choice("abc")
    inner = _expression(dice, shapes, depth - 1)
    kind = dice.choices(("binary", "reduction", "elementwise", "softmax", "view"), (6, 5, 2, 1, 6))[0]
    if kind == "binary":
        return _binary(dice, shapes, inner, depth)
    if kind == "elementwise":
        name = dice.choice(ELEMENTWISE)
        if dice.random() < 0.2:
            return f"(-{inner})" if dice.random() < 0.8 else f"(+{inner})"
        if dice.random() < 0.2:
            return f"{inner}.clamp({dice.choice(('', 'min=0', 'max=1.5', '0, 1', 'min=0, max=2'))})"
        form = "torch" if dice.random() < 0.4 and name != "float" else "method"
        return _call(dice, form, name, inner, "")
    if kind == "softmax":
        form = dice.choice(("method", "torch", "F"))
        arguments = dice.choice((f"dim={_dim(dice)}", f"{_dim(dice)}", f"dim={_dim(dice)}", ""))
        return _call(dice, form, dice.choice(("softmax", "log_softmax")), inner, arguments)
    return _reduction(dice, inner) if kind == "reduction" else _view(dice, shapes, inner)


def _binary(dice: random.Random, shapes: dict[str, Shape], inner: str, depth: int) -> str:
    symbol = dice.choice(BINARY)
    # Whole numbers divided by zero raise by value, not by shape: only float tensors are divided with rest.
    if symbol in ("//", "%"):
        inner = f"{inner}.float()"
    other = _expression(dice, shapes, depth - 1) if dice.random() < 0.5 else dice.choice("abc")
    if symbol in ("//", "%"):
        other = f"{other}.float()"
    if dice.random() < 0.12:
        other = dice.choice(("2", "0.5", "-1", "3", "(1 + 2)", "1e-6"))
    if symbol == "@" and dice.random() < 0.3:
        name = dice.choice(("matmul", "mm"))
        return f"torch.{name}({inner}, {other})" if dice.random() < 0.5 else f"{inner}.{name}({other})"
    pair = (inner, other) if dice.random() < 0.7 else (other, inner)
    return f"({pair[0]} {symbol} {pair[1]})"


def _call(dice: random.Random, form: str, name: str, inner: str, arguments: str) -> str:
    if form == "method":
        return f"{inner}.{name}({arguments})"
    return f"{form}.{name}({inner}{', ' if arguments else ''}{arguments})"


def _dim(dice: random.Random) -> int:
    return dice.choices((0, 1, -1, 2, -2, 3, -3, 4), (6, 7, 7, 3, 3, 1, 1, 1))[0]


def _reduction(dice: random.Random, inner: str) -> str:
    name = dice.choice((*REDUCTIONS, "sum", "mean", "max", "norm", "logsumexp"))
    dim = f"{_dim(dice)}"
    if name not in ("max", "min", "prod", "argmax", "argmin") and dice.random() < 0.3:
        dim = dice.choice((f"({_dim(dice)},)", f"({_dim(dice)}, {_dim(dice)})", "(0, 1, 2)", "[0, -1]"))
    keepdim = dice.choice(("keepdim=True", "keepdim=False", "keepdim=True"))
    word = "dim" if name == "norm" or dice.random() < 0.9 else "axis"
    arguments = dice.choice(("", f"{word}={dim}", f"{word}={dim}", f"{word}={dim}, {keepdim}", f"dim={dim}, {keepdim}"))
    if dice.random() < 0.1:
        arguments = keepdim
    if name == "norm" and dice.random() < 0.4:
        arguments = ", ".join(filter(None, (dice.choice(("2", "1", "3.0")), arguments)))
    elif name != "norm" and dice.random() < 0.2:
        arguments = arguments.replace("dim=", "", 1) if arguments.startswith("dim=") else arguments
        if name not in ("std", "var") and arguments.count("=") == 1 and dice.random() < 0.5:
            arguments = arguments.replace(", keepdim=", ", ")
    call = _call(dice, dice.choice(("method", "method", "torch")), name, inner, arguments)
    member = name in ("max", "min") and dice.random() < (0.7 if "dim" in call or "(1" in call else 0.1)
    return call + (dice.choice((".values", ".indices", "[0]", "[1]", "[2]")) if member else "")


def _view(dice: random.Random, shapes: dict[str, Shape], inner: str) -> str:
    dims = [_dim(dice) for _ in range(dice.randint(1, 4))]
    sizes = list(_related(dice, shapes[dice.choice("abc")])) or [1]
    dice.shuffle(sizes)
    if dice.random() < 0.5:
        sizes[dice.randrange(len(sizes))] = -1
    order = dice.sample(range(rank := dice.randint(1, 4)), rank)
    entries = dice.choices((":", "None", "0", "-1", "1"), (4, 4, 2, 1, 1), k=dice.randint(1, 3))
    if dice.random() < 0.3:
        entries.insert(dice.randint(0, len(entries)), "...")
    written = ", ".join(map(str, sizes))
    endings = (
        f".view({written})",
        f".view({written})",
        ".view(-1)",
        f".reshape({written})",
        f".reshape(({written},))",
        ".reshape(())",
        f".unsqueeze({dims[0]})",
        f".squeeze({dims[0]})",
        f".squeeze(({', '.join(map(str, dims))},))",
        ".squeeze()",
        ".flatten()",
        f".flatten({dims[0]})",
        f".flatten(start_dim={dims[0]}, end_dim={dims[-1]})",
        f".transpose({dims[0]}, {dims[-1]})",
        f".permute({', '.join(map(str, order))})",
        f".permute({', '.join(map(str, dims))})",
        f".expand({written})",
        f".expand({dice.choice((-1, 2, 3))}, {written})",
        ".t()",
        ".T",
        ".T",
        ".mT",
        f"[{', '.join(entries)}]",
        f"[{', '.join(entries)}]",
    )
    return inner + dice.choice(endings)
