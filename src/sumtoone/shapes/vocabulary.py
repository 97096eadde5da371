"""What is understood: the operators, and the functions with their parameters."""

from __future__ import annotations

import ast

ARITHMETIC = ("+", "-", "*", "/", "//", "%", "**")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")

BINARY: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.MatMult: "@",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
UNARY: dict[type[ast.AST], str] = {ast.USub: "neg", ast.UAdd: "pos"}
ATTRIBUTES = ("T", "mT", "values", "indices")

ELEMENTWISE = ("exp", "log", "sqrt", "abs", "relu", "sigmoid", "tanh", "float", "clamp", "neg", "pos")
SOFTMAXES = ("softmax", "log_softmax")

_ONE_AXIS = (("dim", "axis"), ("keepdim", "flag"))
_SEVERAL_AXES = (("dim", "axes"), ("keepdim", "flag"))

REDUCTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    **dict.fromkeys(("sum", "mean", "std", "var", "any", "all", "amax", "amin", "logsumexp"), _SEVERAL_AXES),
    **dict.fromkeys(("prod", "max", "min", "argmax", "argmin"), _ONE_AXIS),
    "norm": (("p", "number"), *_SEVERAL_AXES),
}

# Parameters in PyTorch's order, each with the kind of value it takes.
SIGNATURES: dict[str, tuple[tuple[str, str], ...]] = {
    **REDUCTIONS,
    **dict.fromkeys(("exp", "log", "sqrt", "abs", "relu", "sigmoid", "tanh", "float", "t"), ()),
    **dict.fromkeys(SOFTMAXES, (("dim", "axis"),)),
    **dict.fromkeys(("matmul", "mm"), (("other", "operand"),)),
    "clamp": (("min", "number"), ("max", "number")),
    "view": (("size", "sizes"),),
    "reshape": (("shape", "sizes"),),
    "expand": (("size", "sizes"),),
    "permute": (("dims", "sizes"),),
    "unsqueeze": (("dim", "axis"),),
    "squeeze": (("dim", "axes"),),
    "flatten": (("start_dim", "axis"), ("end_dim", "axis")),
    "transpose": (("dim0", "axis"), ("dim1", "axis")),
}
REQUIRED = {
    "matmul": ("other",),
    "mm": ("other",),
    "view": ("size",),
    "reshape": ("shape",),
    "expand": ("size",),
    "permute": ("dims",),
    "unsqueeze": ("dim",),
    "transpose": ("dim0", "dim1"),
}
# PyTorch's second place of std and var is not keepdim.
KEYWORD_ONLY = {("std", "keepdim"), ("var", "keepdim")}
METHOD_ONLY = {"view", "expand", "float"}
FUNCTIONAL = {"softmax", "log_softmax", "relu", "sigmoid", "tanh"}
# PyTorch takes NumPy's names too, except where the function is written in Python.
ALIASES = {"axis": "dim", "keepdims": "keepdim"}
PYTHON_SIGNATURES = {"norm"}
