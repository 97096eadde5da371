"""A run as a folder that needs PyTorch and safetensors alone: the weights, and a Python file in the lesson's style."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from sumtoone.exporting.agreement import Answers, raw_type
from sumtoone.exporting.onnx_graph import is_wide
from sumtoone.language import text
from sumtoone.network import Network
from sumtoone.storage import tensors_to_bytes
from sumtoone.version import __version__

if TYPE_CHECKING:
    from sumtoone.runs import Run

STYLES = ("class", "functional")
# What a class of PyTorch's and a function of F's are called; the identity is nothing at all.
_MODULES = {
    "sigmoid": ("sigmoid", "nn.Sigmoid()"),
    "tanh": ("tanh", "nn.Tanh()"),
    "relu": ("relu", "nn.ReLU()"),
    "gelu": ("gelu", "nn.GELU()"),
    "leaky-relu": ("leaky_relu", "nn.LeakyReLU()"),
}
_LINE = 100


def files(run: Run, style: str) -> dict[str, bytes]:
    """Return ``model.py`` and ``model.safetensors`` by their names, for a run whose network is a :class:`Network`.

    The file's comments are in the language in force.
    """
    network = run.answering
    assert isinstance(network, Network)
    names = _names(len(network.layers))
    tensors: dict[str, Tensor] = {
        f"{name}.{part}": network.get_parameter(f"layers.{place}.{part}")
        for place, name in enumerate(names)
        for part in ("weight", "bias")
    }
    step = run.preprocessing
    if len(step.mean) > 1 or len(step.std) > 1:
        tensors |= {"mean": torch.tensor(step.mean, dtype=torch.float64)}
        tensors |= {"std": torch.tensor(step.std, dtype=torch.float64)}
    lines = [
        *_head(run, network, style),
        *_data(run),
        "",
        "",
        *_network(network, names, style),
        "",
        "",
        *_use(run, network),
    ]
    return {"model.py": "\n".join([*lines, ""]).encode("utf-8"), "model.safetensors": tensors_to_bytes(tensors)}


def answers(folder: Path) -> Answers:
    """Return what gives the probabilities (N, K) that the Python file in a folder of :func:`files` computes.

    The file is run in this process, as an import would, but leaves nothing in ``sys.modules`` and no compiled copy.
    """
    path = folder / "model.py"
    module = {"__name__": "model", "__file__": str(path)}
    # Its layers draw start weights before they are given their own.
    with torch.random.fork_rng(devices=[]):
        exec(compile(path.read_bytes(), path, "exec"), module)  # noqa: S102 - written here, a moment ago
    return cast("Answers", module["probabilities"])


def _names(count: int) -> list[str]:
    """Return what the layers are called: two as the lesson calls them, others as its exercise does."""
    return ["hidden", "output"] if count == 2 else [f"fc{place}" for place in range(1, count + 1)]


def _head(run: Run, network: Network, style: str) -> list[str]:
    described = network.specification
    words = {"name": run.name, "sizes": str(described), "activation": described.activation, "version": __version__}
    return [
        f"# {text('exporting.source.title', **words)}",
        f"# {text('exporting.source.needs')}",
        "",
        "from pathlib import Path",
        "",
        "import torch",
        "from safetensors.torch import load",
        "from torch import nn",
        *(["from torch.nn import functional as F"] if style == "functional" else []),
        "",
    ]


def _data(run: Run) -> list[str]:
    """The lines with everything that is no weight: classes, columns, and the preprocessing."""
    step, lines = run.preprocessing, _list("CLASSES", run.classes)
    if run.columns is not None:
        lines += ["", f"# {text('exporting.source.columns')}", *_list("COLUMNS", run.columns)]
    lines += ["", 'WEIGHTS = load(Path(__file__).with_name("model.safetensors").read_bytes())', ""]
    lines += [f"# (x / {_number(step.divisor)} - mean) / std: {text('exporting.source.step')}"]
    if len(step.mean) > 1 or len(step.std) > 1:
        lines += ['MEAN, STD = WEIGHTS.pop("mean"), WEIGHTS.pop("std")']
    else:
        lines += [f"MEAN = torch.tensor({step.mean[0]!r}, dtype=torch.float64)"]
        lines += [f"STD = torch.tensor({step.std[0]!r}, dtype=torch.float64)"]
    if not step.far:
        lines += [f"# {text('exporting.source.affine')}"]
        lines += [f"SCALE, SHIFT = (1 / ({_number(step.divisor)} * STD)).float(), (-MEAN / STD).float()"]
    return lines


def _network(network: Network, names: Sequence[str], style: str) -> list[str]:
    """The lines of the class: every operation a module, or what has no weights a function."""
    sizes = list(pairwise(network.specification.sizes))
    linear = [f"self.{name} = nn.Linear({before}, {after})" for name, (before, after) in zip(names, sizes, strict=True)]
    activation, module = _MODULES.get(network.specification.activation, ("", ""))
    hidden = len(names) > 1 and bool(activation)
    if style == "class":
        made = [*linear, *([f"self.{activation} = {module}"] if hidden else []), "self.softmax = nn.Softmax(dim=1)"]
        used = []
        for name in names[:-1]:
            used += [f"x = self.{name}(x)", *([f"x = self.{activation}(x)"] if hidden else [])]
        used += [f"x = self.{names[-1]}(x)", "x = self.softmax(x)", "return x"]
    else:
        made = linear
        used = [f"x = F.{activation}(self.{name}(x))" if hidden else f"x = self.{name}(x)" for name in names[:-1]]
        used += [f"return F.softmax(self.{names[-1]}(x), dim=1)"]
    shapes = {"inputs": sizes[0][0], "classes": sizes[-1][1]}
    return [
        "class Network(nn.Module):",
        "    def __init__(self):",
        *_indented(["super().__init__()", *made]),
        "",
        "    def forward(self, x):",
        *_indented([_docstring("forward", **shapes), *used]),
    ]


def _use(run: Run, network: Network) -> list[str]:
    """The lines that make the network and answer for raw rows."""
    step, shapes = run.preprocessing, {"inputs": run.preprocessing.features, "classes": len(run.classes)}
    kind = raw_type(step)
    if kind == "uint8":
        words = text("exporting.source.pixels")
        taken = ["x = torch.as_tensor(rows)", "if x.dtype != torch.uint8:", f'    raise TypeError("{words}")']
    else:
        taken = [f"x = torch.as_tensor(rows, dtype=torch.{kind})", "if not x.isfinite().all():"]
        taken += [f'    raise ValueError("{text("exporting.source.finite")}")']
    x = "x" if kind != "uint8" else "x.double()" if step.far else "x.float()"
    divided = x if step.divisor == 1 else f"{x} / {_number(step.divisor)}"
    prepared = f"(({divided} - MEAN) / STD).float()" if step.far else f"{x} * SCALE + SHIFT"
    wide = is_wide(network)
    return [
        "network = Network().double()" if wide else "network = Network()",
        "network.load_state_dict(WEIGHTS)",
        "network.eval()",
        "",
        "",
        "def prepare(rows):",
        *_indented([_docstring("prepare", **shapes), *taken, *_picture(run)], 1),
        "    x = x.flatten(1)",
        f"    if x.shape[1] != {step.features}:",
        f'        raise ValueError("{text("exporting.source.width", **shapes)}")',
        f"    return ({prepared}).double()" if wide else f"    return {prepared}",
        "",
        "",
        "def probabilities(rows):",
        *_indented([_docstring("probabilities", **shapes), "with torch.no_grad():"], 1),
        "        return network(prepare(rows)).float()" if wide else "        return network(prepare(rows))",
        "",
        "",
        "def predict(rows):",
        *_indented([_docstring("predict", **shapes)], 1),
        "    return [CLASSES[place] for place in probabilities(rows).argmax(dim=1)]",
    ]


def _picture(run: Run) -> list[str]:
    """The lines that refuse pictures whose axes are in another order; a single channel may be an axis or none."""
    if run.image_shape is None:
        return []
    words = text("exporting.source.picture", shape=", ".join(map(str, run.image_shape)))
    axes = [length for length in run.image_shape if length != 1]
    return [
        f"if x.ndim > 2 and [n for n in x.shape[1:] if n != 1] != {axes}:",
        f'    raise ValueError("{words}")',
    ]


def _docstring(key: str, **shapes: int) -> str:
    return f'"""{text(f"exporting.source.{key}", **shapes)}"""'


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


def _list(name: str, values: Sequence[str]) -> list[str]:
    """Return a list of texts on one line, or on one for each where they are too long for one."""
    # What JSON escapes of letters that can be printed, Python reads alike.
    written = [json.dumps(value, ensure_ascii=False) if value.isprintable() else repr(value) for value in values]
    line = f"{name} = [{', '.join(written)}]"
    return [line] if len(line) <= _LINE else [f"{name} = [", *(f"    {value}," for value in written), "]"]


def _indented(lines: Iterable[str], depth: int = 2) -> list[str]:
    return textwrap.indent("\n".join(lines), "    " * depth).split("\n")
