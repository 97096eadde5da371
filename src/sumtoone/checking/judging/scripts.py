"""Judges the network by hand: a script that leaves ten numbers for each image in a variable.

Shape suffixes: N images, D inputs, H hidden units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.checking.judging.arithmetic import close, shown
from sumtoone.checking.judging.chain import Chain, Layer, guessed, read
from sumtoone.checking.judging.functions import Judged
from sumtoone.checking.judging.networks import Wanted
from sumtoone.checking.subject import Subject
from sumtoone.checking.verdict import Finding, Maker

# What makes a curve of a line.
_BENDING = {
    "sigmoid",
    "exp",
    "exp2",
    "expm1",
    "tanh",
    "relu",
    "pow",
    "reciprocal",
    "softmax",
    "log_softmax",
    "clamp",
    "clamp_min",
    "maximum",
    "gelu",
    "elu",
    "leaky_relu",
    "threshold",
    "silu",
    "softplus",
    "log",
    "where",
    "logaddexp",
    "abs",
    "hardtanh",
}
_CASES = ("sizes", "activation", "ending", "weights")


def judge_script(
    subject: Subject,
    entry: Mapping[str, Any],
    defined: Sequence[Mapping[str, Any]],
    images: NDArray[Any],
    wanted: Wanted,
) -> Judged:
    """Return what is to be said of the tensor that a script made of ``images``, (N, 1, 28, 28)."""
    x_ND = images.reshape(len(images), -1).astype(np.float64)
    base = {"name": entry["name"], "shape": tuple(images.shape), "wanted": wanted.written}

    def found(code: str, **fields: Any) -> Finding:
        return Finding(code, entry.get("line"), entry.get("cell"), base | fields)

    if entry["kind"] == "other":
        return Judged(found("template" if entry.get("empty") else "not-a-tensor", got=""))
    reply, arrays = subject.ask({"do": "trace", "key": entry["key"]})
    if reply.get("error") or not arrays:
        return Judged(found("wrong-values", got=reply.get("type", "")))
    output, inputs, steps = arrays[0], arrays[1::3], reply.get("operations") or []
    layers = [_layer(*each) for each in zip(reply.get("layers") or [], arrays[2::3], arrays[3::3], strict=True)]
    right_shape = (len(images), wanted.sizes[-1])
    lost = not layers or not close(np.asarray(inputs[0]), x_ND)
    if lost and (chain := _untraced(subject, defined, x_ND, output)) is not None:
        made = _judged(chain, output, right_shape, wanted, found)
        return replace(made, remarks=(found("numpy-detour"),) * (not steps))
    if not steps:
        return Judged(found("ignores-images", got=tuple(output.shape)))
    if problem := _biases(subject, defined, layers, found):
        return Judged(problem)
    inputs, layers = _without_ones(x_ND, inputs, layers)
    first = np.shape(inputs[0]) if layers else ()
    if output.shape != right_shape and (first != x_ND.shape or len(layers) != len(wanted.sizes) - 1):
        return Judged(found("wrong-shape", got=tuple(output.shape), wanted=right_shape))
    if not layers or not close(np.asarray(inputs[0]), x_ND):
        code = "ignores-images" if not layers or first == x_ND.shape else "layer-sizes"
        return Judged(found(code, got=first or "", sizes=first or ""))
    chain = read(x_ND, output, layers, inputs)
    assert chain is not None
    called = {str(step.get("kind", "")).strip("_") for step in steps if isinstance(step, dict)}
    if not called & _BENDING:
        # Near zero every curve is a line: where nothing that bends was called, it is a line.
        chain = replace(chain, between=tuple("none" if name else None for name in chain.between))
    return _judged(chain, output, right_shape, wanted, found)


def _judged(chain: Chain, output: NDArray[Any], right_shape: tuple[int, int], wanted: Wanted, found: Maker) -> Judged:
    passed = set()
    if chain.sizes == wanted.written:
        passed.add("sizes")
    else:
        return Judged(found("layer-sizes", sizes=chain.sizes, got=chain.sizes))
    if set(chain.between) == {wanted.activation}:
        passed.add("activation")
    if chain.on_output == "none" and chain.ending == "none":
        passed.add("ending")
    if output.shape != right_shape:
        return Judged(found("wrong-shape", got=tuple(output.shape), wanted=right_shape), passed_cases=frozenset(passed))
    finding = _finding(chain, output, wanted, found)
    if finding.code == "correct":
        passed.update(_CASES)
    return Judged(finding, passed_cases=frozenset(passed))


def _finding(chain: Chain, output: NDArray[Any], wanted: Wanted, found: Maker) -> Finding:
    numbers = {"got": shown(output[0]), "sums": f"{output.min():.3f} … {output.max():.3f}"}
    for layer, name in zip(chain.layers, chain.between, strict=False):
        if name != wanted.activation:
            code = "wrong-activation" if name else "not-elementwise"
            code = "softmax-inside" if name and "softmax" in name else "missing-activation" if name == "none" else code
            said = {"after": "hidden", "layer": "hidden", "got": name or "", "wanted": wanted.activation}
            return found(code, **said).at(layer.line, layer.cell)
    if any(not np.ptp(layer.weight) for layer in chain.layers) or np.allclose(output, output[:1], rtol=1e-5, atol=1e-7):
        return found("ignores-images", **numbers)
    if chain.on_output == "sigmoid" and chain.ending == "none":
        return found("sigmoid-on-output", **numbers)
    if chain.on_output != "none":
        return found("activation-on-output", what=chain.on_output, **numbers)
    if any(layer.bias is None for layer in chain.layers):
        return found("bias-missing", **numbers)
    numbers |= {"after": "output", "layer": "output"}
    endings = {"none": "correct", "log_softmax": "log-probabilities", "softmax": "softmax-inside"}
    return found(
        endings.get(chain.ending or "", "wrong-axis" if "dim 0" in (chain.ending or "") else "wrong-values"), **numbers
    )


def _untraced(
    subject: Subject, defined: Sequence[Mapping[str, Any]], x_ND: NDArray[Any], output: NDArray[Any]
) -> Chain | None:
    """Return the chain of the script's own tensors that gives the output: rows one by one, or through NumPy."""
    keys = [item["key"] for item in defined if item["kind"] == "tensor" and len(item.get("shape") or ()) in (1, 2)]
    values = {str(key): sent[0] for key in keys[-40:] if (sent := subject.ask({"do": "value", "key": key})[1])}
    tensors = {}
    for name, value in values.items():
        if value.shape not in (output.shape, x_ND.shape) and value.size > 1:
            tensors[name] = (value.reshape(-1) if 1 in value.shape else value).astype(np.float64)
    return guessed(x_ND, output, tensors) if output.ndim == 2 else None


def _biases(
    subject: Subject, defined: Sequence[Mapping[str, Any]], layers: list[Layer], found: Maker
) -> Finding | None:
    """Return what is wrong with how biases are added: one number for each unit, after the product."""
    for layer in layers:
        columns = layer.weight.shape[1]
        said: dict[str, Any] = {"wanted": (columns,), "layer": columns}
        if layer.bias is not None and layer.bias.shape not in ((columns,), (1, columns)):
            return found("bias-shape", got=layer.bias.shape, **said).at(layer.line, layer.cell)
        if layer.bias is None and _holds_bias(subject, defined, layer.weight):
            return found("bias-inside-product", got=layer.weight.shape, **said).at(layer.line, layer.cell)
    return None


def _holds_bias(subject: Subject, defined: Sequence[Mapping[str, Any]], weight: NDArray[Any]) -> bool:
    """Whether a weight is the sum of two tensors of the script: a bias was added to it before the product."""
    tensors = [item for item in defined if item["kind"] == "tensor" and item.get("shape")]
    like = [item for item in tensors if tuple(item["shape"]) in (weight.shape, weight.shape[::-1])][:12]
    small = [item for item in tensors if np.prod(item["shape"]) in (1, weight.shape[0], weight.shape[1])][:24]
    values = {item["key"]: subject.ask({"do": "value", "key": item["key"]})[1][:1] for item in [*like, *small]}
    for one in like:
        for value in values[one["key"]]:
            base = value if value.shape == weight.shape else value.T
            for other in small:
                for bias in values[other["key"]]:
                    shapes = (bias, bias.reshape(-1, 1), bias.reshape(1, -1))
                    if any(_sum_is(base, shape, weight) for shape in shapes) and np.any(bias):
                        return True
    return False


def _without_ones(
    x_ND: NDArray[Any], inputs: Sequence[NDArray[Any]], layers: list[Layer]
) -> tuple[list[NDArray[Any]], list[Layer]]:
    """Take biases that came as a column of ones, last or first, out of the rows."""
    plain: list[NDArray[Any]] = []
    made: list[Layer] = []
    for rows, layer in zip(inputs, layers, strict=True):
        place = next((at for at in (-1, 0) if layer.bias is None and rows.ndim == 2 and np.all(rows[:, at] == 1)), None)
        if place is not None and (plain or rows.shape[1] == x_ND.shape[1] + 1):
            weight, bias = np.delete(layer.weight, place, axis=0), layer.weight[place]
            plain.append(np.delete(rows, place, axis=1))
            made.append(replace(layer, weight=weight, bias=bias))
        else:
            plain.append(rows)
            made.append(layer)
    return plain, made


def _sum_is(base: NDArray[Any], bias: NDArray[Any], weight: NDArray[Any]) -> bool:
    try:
        total = base + bias
    except ValueError:
        return False
    return close(total, weight)


def _layer(place: Mapping[str, Any], weight: NDArray[Any], bias: NDArray[Any]) -> Layer:
    added = bias.astype(np.float64) if bias.size else None
    return Layer(weight.astype(np.float64), added, "", place.get("line"), place.get("cell"))
