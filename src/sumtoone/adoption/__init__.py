"""Takes over a module that someone else wrote: what it is, as a frozen value.

The module runs once in evaluation mode, every operation is written down (``recording``), and the record is read as
linear layers (``reading``) with functions between them (``functions``). What was read is held against the module
before it is returned. :meth:`sumtoone.Network.from_module` builds a network from it.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.nn.parameter import is_lazy

from sumtoone.adoption.reading import Chain, read
from sumtoone.adoption.recording import evaluating, record
from sumtoone.errors import DtypeError, ShapeError, UsageError
from sumtoone.functional import ACTIVATION_FUNCTIONS, softmax
from sumtoone.language import text
from sumtoone.specification import Specification

__all__ = ["Adopted", "adopt"]

# In float64 both sides agree to 1e-12; a misreading shows far above this.
_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Adopted:
    """What a module is made of.

    Parameters
    ----------
    specification
        Its sizes, its hidden activation and its dropout.
    weights, biases
        One (H, D) and one (H,) float32 tensor for each layer, copied; a layer without bias has zeros.
    ending
        What stood behind the last layer: ``"none"``, ``"softmax"`` or ``"log_softmax"``.
    notes
        Keys of texts that the person should read, such as ``"adoption.float64"``.
    """

    specification: Specification
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    ending: Literal["none", "softmax", "log_softmax"]
    notes: tuple[str, ...] = ()


def adopt(module: nn.Module, example_input: Tensor) -> Adopted:
    """Return what ``module`` is made of, found by running it once on ``example_input``.

    Parameters
    ----------
    module
        From (N, …) float inputs to (N, K) logits, probabilities or log-probabilities: linear layers, one of the six
        activations between them, in any style. It is left as it was.
    example_input
        Rows of the shape that the module takes, such as ``torch.rand(64, 1, 28, 28)``. The values do not matter.

    Raises
    ------
    UsageError, ShapeError, DtypeError
        If the module is not such a network; the error names the operation, where it stands, and what would do.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> module = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10), nn.Softmax(dim=1))
    >>> adopted = adopt(module, torch.rand(2, 1, 28, 28))
    >>> str(adopted.specification), adopted.specification.activation, adopted.ending
    ('784-32-10', 'relu', 'softmax')
    """
    dtype = _check_module(module)
    rows = _check_example(example_input).detach()
    if len(rows) == 1:
        rows = torch.cat([rows, rows])  # one row would hide along which axis the softmax runs
    rows = rows.to(next(module.parameters()).device, dtype)
    recording, output = record(module, rows)
    output_NK = _check_output(output, len(rows))
    _check_gradient(output_NK)
    names = {parameter.untyped_storage().data_ptr(): name for name, parameter in module.named_parameters()}
    chain = read(recording, output_NK, names, len(rows))
    _check_equal(chain, module, rows)
    sizes = (chain.weights[0].shape[1], *(weight.shape[0] for weight in chain.weights))
    frozen = not all(parameter.requires_grad for parameter in module.parameters())
    converted = dtype != torch.float32
    return Adopted(
        specification=Specification(sizes, chain.activation, chain.dropout),
        weights=tuple(map(_copied, chain.weights)),
        biases=tuple(map(_copied, chain.biases)),
        ending=cast("Literal['none', 'softmax', 'log_softmax']", chain.ending),
        notes=("adoption.float64",) * converted + ("adoption.frozen",) * frozen,
    )


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()


def _check_module(module: nn.Module) -> torch.dtype:
    """Return the one dtype of the parameters, float32 or float64."""
    if not isinstance(module, nn.Module):
        what = {"function": "Network.from_module", "name": "module", "wanted": text("training.takes-network")}
        hint = "Network.from_module(MyNetwork(), rows)"
        raise UsageError("argument-type", **what, given=_kind(module), hint=hint)
    parameters = dict(module.named_parameters())
    for name, parameter in parameters.items():
        if is_lazy(parameter):
            raise UsageError("adopt-lazy", name=name)
        if parameter.dtype not in (torch.float32, torch.float64):
            raise DtypeError("adopt-dtype", name=name, dtype=parameter.dtype)
    taken = _required(module)
    if len(taken) > 1:
        raise UsageError("adopt-inputs", names=", ".join(taken), count=len(taken))
    if not parameters:
        raise UsageError("module-no-parameters", given=type(module).__name__)
    return torch.float64 if any(p.dtype == torch.float64 for p in parameters.values()) else torch.float32


def _required(module: nn.Module) -> list[str]:
    """Return the names of the inputs that forward must be given."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except ValueError:  # a traced module has no signature, and one input or it raises
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [item.name for item in parameters if item.kind in kinds and item.default is item.empty]


def _check_example(example_input: Tensor) -> Tensor:
    if not isinstance(example_input, Tensor):
        raise DtypeError("adopt-example", given=_kind(example_input))
    if not example_input.is_floating_point():
        raise DtypeError("adopt-example", given=example_input.dtype)
    if example_input.ndim < 2 or not example_input.numel():
        raise ShapeError("adopt-example", given=tuple(example_input.shape))
    return example_input


def _check_output(output: Any, rows: int) -> Tensor:
    if not isinstance(output, Tensor):
        raise UsageError("adopt-output", given=_kind(output), rows=rows)
    if tuple(output.shape) in ((rows,), (rows, 1)):
        raise ShapeError("adopt-one-output", given=tuple(output.shape))
    if output.ndim != 2 or len(output) != rows:
        raise ShapeError("adopt-output", given=tuple(output.shape), rows=rows)
    return output


def _check_gradient(output: Tensor) -> None:
    """Refuse a custom autograd function: what it computes can be read, what its gradient is cannot."""
    seen, waiting = set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, BackwardCFunction):
            raise UsageError("adopt-custom", given=type(node).__name__.removesuffix("Backward"))
        waiting.extend(parent for parent, _ in node.next_functions)


def _check_equal(chain: Chain, module: nn.Module, rows: Tensor) -> None:
    """Hold what was read against the module on random rows; the last guard against a misreading."""
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(rows.shape, generator=generator).to(rows)
    with torch.no_grad(), evaluating(module):
        try:
            tensors = {name: tensor.double() for name, tensor in module.named_parameters()}
            wanted, exact = torch.func.functional_call(module, tensors, (random.double(),)), True
        except (RuntimeError, TypeError):  # a module that insists on float32
            wanted, exact = module(random), False
    x_ND = random.double().reshape(len(rows), -1)
    *hidden, last = zip(chain.weights, chain.biases, strict=True)
    for weight_HD, bias_H in hidden:
        x_ND = ACTIVATION_FUNCTIONS[chain.activation](x_ND @ weight_HD.detach().double().t() + bias_H.detach().double())
    logits_NK = x_ND @ last[0].detach().double().t() + last[1].detach().double()
    wanted = wanted.double()
    probabilities = {"none": lambda: softmax(wanted, dim=1), "softmax": lambda: wanted, "log_softmax": wanted.exp}
    difference = float((probabilities[chain.ending]() - softmax(logits_NK, dim=1)).abs().max())
    # Rounding in float32 grows with the logits.
    if not difference <= _TOLERANCE * (1.0 if exact else max(1.0, float(logits_NK.abs().max()))):
        raise UsageError("adopt-differs", difference=f"{difference:.1e}")


def _kind(item: object) -> str:
    return f"the class {item.__name__}" if isinstance(item, type) else type(item).__name__
