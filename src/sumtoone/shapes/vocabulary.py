"""What is understood: the operators, and the functions with their parameters."""

from __future__ import annotations

import ast

ARITHMETIC = ("+", "-", "*", "/", "//", "%", "**")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
LOGIC = ("&", "|", "^")

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
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
}
UNARY: dict[type[ast.AST], str] = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "not"}
ATTRIBUTES = ("T", "mT", "values", "indices", "shape", "ndim")

# What people write before a function's name, and what it stands for.
MODULES = {
    "torch": "torch",
    "F": "F",
    "nn.functional": "F",
    "torch.nn.functional": "F",
    "nn": "nn",
    "torch.nn": "nn",
    "np": "np",
    "numpy": "np",
    "np.random": "random",
    "numpy.random": "random",
    "s1": "s1",
    "sumtoone": "s1",
}
OTHER_MODULES = ("math", "jnp", "jax", "tf", "keras", "plt", "pd", "os", "sys")
ROOTS = frozenset({name.partition(".")[0] for name in MODULES} | set(OTHER_MODULES))

# Functions that give each element a new value, and leave the shape.
_TO_FLOAT = ("exp", "log", "sqrt", "sigmoid", "tanh", "log1p", "log2", "log10", "sin", "cos")
_SAME = ("abs", "relu", "neg", "square", "sign", "detach", "clone", "contiguous", "cpu")
_TO_KIND = ("float", "double", "long", "bool")
ELEMENTWISE = (*_TO_FLOAT, *_SAME, *_TO_KIND, "clamp", "pos", "not", "dropout")
SOFTMAXES = ("softmax", "log_softmax")
LOSSES = ("cross_entropy", "nll_loss", "mse_loss")

_ONE_AXIS = (("dim", "axis"), ("keepdim", "flag"))
_SEVERAL_AXES = (("dim", "axes"), ("keepdim", "flag"))

REDUCTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    **dict.fromkeys(("sum", "mean", "std", "var", "any", "all", "amax", "amin", "logsumexp"), _SEVERAL_AXES),
    **dict.fromkeys(("prod", "max", "min", "argmax", "argmin"), _ONE_AXIS),
    "norm": (("p", "number"), *_SEVERAL_AXES),
}
# Functions that are operators under another name.
OPERATORS = {
    "add": "+",
    "sub": "-",
    "subtract": "-",
    "mul": "*",
    "multiply": "*",
    "div": "/",
    "divide": "/",
    "pow": "**",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "matmul": "@",
    "maximum": "maximum",
    "minimum": "minimum",
    "mm": "mm",
    "bmm": "bmm",
    "dot": "dot",
}
_LOSS = (("target", "operand"), ("reduction", "word"))

# Parameters in PyTorch's order behind the tensor itself, each with the kind of value it takes.
SIGNATURES: dict[str, tuple[tuple[str, str], ...]] = {
    **REDUCTIONS,
    **dict.fromkeys((*_TO_FLOAT, *_SAME, *_TO_KIND, "t", "size", "numel", "item"), ()),
    **dict.fromkeys(SOFTMAXES, (("dim", "axis"),)),
    **dict.fromkeys(OPERATORS, (("other", "operand"),)),
    **dict.fromkeys(LOSSES, _LOSS),
    "pow": (("exponent", "operand"),),
    "mm": (("mat2", "operand"),),
    "bmm": (("mat2", "operand"),),
    "dot": (("tensor", "operand"),),
    "clamp": (("min", "number"), ("max", "number")),
    "dropout": (("p", "number"),),
    "view": (("size", "sizes"),),
    "reshape": (("shape", "sizes"),),
    "expand": (("size", "sizes"),),
    "permute": (("dims", "sizes"),),
    "unsqueeze": (("dim", "axis"),),
    "squeeze": (("dim", "axes"),),
    "flatten": (("start_dim", "axis"), ("end_dim", "axis")),
    "transpose": (("dim0", "axis"), ("dim1", "axis")),
    "size": (("dim", "axis"),),
    "gather": (("dim", "axis"), ("index", "operand")),
    "linear": (("weight", "operand"), ("bias", "operand")),
    "one_hot": (("num_classes", "axis"),),
    "where": (("self", "operand"), ("other", "operand")),
}
REQUIRED = {
    **dict.fromkeys(OPERATORS, ("other",)),
    "pow": ("exponent",),
    "mm": ("mat2",),
    "bmm": ("mat2",),
    "dot": ("tensor",),
    "view": ("size",),
    "reshape": ("shape",),
    "expand": ("size",),
    "permute": ("dims",),
    "unsqueeze": ("dim",),
    "transpose": ("dim0", "dim1"),
    "gather": ("dim", "index"),
    "linear": ("weight",),
    "where": ("self", "other"),
    **dict.fromkeys(LOSSES, ("target",)),
}
# PyTorch's second place of std and var is not keepdim, and the third of a loss is its weight.
KEYWORD_ONLY = {("std", "keepdim"), ("var", "keepdim"), *((name, "reduction") for name in LOSSES)}
METHOD_ONLY = {"view", "expand", *_TO_KIND, "contiguous", "cpu", "size", "item"}
_F_ONLY = {"linear", "one_hot", "dropout", *LOSSES}
FUNCTIONAL = {"softmax", "log_softmax", "relu", "sigmoid", "tanh", *_F_ONLY}
KNOWN: dict[str, set[str]] = {
    "F": FUNCTIONAL,
    "torch": set(SIGNATURES) - METHOD_ONLY - _F_ONLY,
    "method": set(SIGNATURES) - _F_ONLY - {"where"},
    "s1": {"softmax", "log_softmax", "cross_entropy", "relu", "sigmoid", "tanh"},
    "np": {*REDUCTIONS, *_TO_FLOAT, "abs", "square", "sign", "matmul", "dot", "maximum", "minimum", "reshape"}
    - {"logsumexp", "norm"},
}
# PyTorch takes NumPy's names too, except where the function is written in Python.
ALIASES = {"axis": "dim", "keepdims": "keepdim"}
PYTHON_SIGNATURES = {"norm"}

CREATORS = ("zeros", "ones", "rand", "randn", "empty", "full", "eye", "arange", "randint", "randperm", "tensor")
LIKES = ("zeros_like", "ones_like", "rand_like", "randn_like", "empty_like")
JOINERS = ("cat", "concat", "stack")
# Keywords of creators that change no shape.
WITHOUT_SHAPE = ("device", "requires_grad", "generator")
KINDS = {
    **dict.fromkeys(("float", "float32"), "float"),
    **dict.fromkeys(("double", "float64"), "double"),
    **dict.fromkeys(("long", "int64"), "integer"),
    "bool": "boolean",
}
NUMBERS = {"int": "integer", "float": "double", "bool": "boolean"}  # Python's own types, as NumPy reads them

# Layers: parameters as above, with those that have to be there first.
LAYERS: dict[str, tuple[tuple[str, str], ...]] = {
    "Linear": (("in_features", "axis"), ("out_features", "axis"), ("bias", "flag"), ("device", ""), ("dtype", "kind")),
    "Sequential": (),
    "Flatten": (("start_dim", "axis"), ("end_dim", "axis")),
    "Softmax": (("dim", "axis"),),
    "LogSoftmax": (("dim", "axis"),),
    "Dropout": (("p", "number"),),
    **dict.fromkeys(("ReLU", "Sigmoid", "Tanh", "Identity"), ()),
    **dict.fromkeys(("CrossEntropyLoss", "NLLLoss", "MSELoss"), (("reduction", "word"),)),
}
LAYER_FUNCTIONS = {
    "Flatten": "flatten",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Dropout": "dropout",
    "ReLU": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "CrossEntropyLoss": "cross_entropy",
    "NLLLoss": "nll_loss",
    "MSELoss": "mse_loss",
}
