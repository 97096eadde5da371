"""A run as an ONNX graph: raw rows in, probabilities and the place of the largest out.

The graph is written from the network's specification, operation by operation, so that every node is one that the
network has; PyTorch's own exporter is not asked. Shape suffixes: N rows, D inputs, H hidden values, K classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sumtoone.errors import UnavailableError
from sumtoone.exporting.agreement import raw_type
from sumtoone.language.display import printable
from sumtoone.network import LEAKY_SLOPE, Network
from sumtoone.version import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sumtoone.runs import Run

INPUT, PROBABILITIES, LABEL = "input", "probabilities", "label"
# Gelu is an operation from opset 20 on. onnxruntime has read both since 1.17.
_OPSET, _IR = 20, 9
_OPERATIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "gelu": "Gelu", "leaky-relu": "LeakyRelu"}
_TYPES = {"uint8": "UINT8", "float32": "FLOAT", "float64": "DOUBLE"}


@dataclass
class _Graph:
    """Nodes in their order, each with one output, and the tensors they need."""

    nodes: list[Any] = field(default_factory=list)
    tensors: list[Any] = field(default_factory=list)

    def node(self, operation: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operation, inputs, [output], name=output, **attributes))
        return output

    def cast(self, x: str, kind: str, output: str) -> str:
        from onnx import TensorProto

        return self.node("Cast", [x], output, to=TensorProto.DataType.Value(_TYPES[kind]))

    def tensor(self, values: Tensor | NDArray[np.generic], name: str) -> str:
        from onnx import numpy_helper

        array = values.detach().cpu().contiguous().numpy() if isinstance(values, Tensor) else values
        self.tensors.append(numpy_helper.from_array(array, name))
        return name


def model(run: Run) -> bytes:
    """Return the bytes of an ONNX file that answers as a run whose network is a :class:`Network` of float32 or float64.

    Input ``input`` (N, D): uint8 pixels, or numbers in float32; in float64 where the mean of one is far from zero for
    its deviation. Outputs ``probabilities`` (N, K) float32 and ``label`` (N,) int64, the place of the first largest.
    N is free, and may be 0. The classes stand in the file's metadata, as JSON.

    Raises
    ------
    UnavailableError
        If the onnx package is not installed.
    """
    _needed()
    from onnx import TensorProto, checker, helper

    network = run.answering
    assert isinstance(network, Network)
    graph = _Graph()
    logits = _layers(graph, network, _prepared(graph, run, network))
    probabilities = graph.node("Softmax", [logits], "softmax" if is_wide(network) else PROBABILITIES, axis=1)
    if is_wide(network):
        probabilities = graph.cast(probabilities, "float32", PROBABILITIES)
    graph.node("ArgMax", [probabilities], LABEL, axis=1, keepdims=0)

    kind = TensorProto.DataType.Value(_TYPES[raw_type(run.preprocessing)])
    inputs = [helper.make_tensor_value_info(INPUT, kind, ["N", network.specification.inputs])]
    outputs = [
        helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["N", network.specification.outputs]),
        helper.make_tensor_value_info(LABEL, TensorProto.INT64, ["N"]),
    ]
    name = printable(run.name) or "network"
    built = helper.make_model(
        helper.make_graph(graph.nodes, name, inputs, outputs, graph.tensors),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
        producer_name="sumtoone",
        producer_version=__version__,
    )
    helper.set_model_props(built, _properties(run, name))
    checker.check_model(built, full_check=True)
    return bytes(built.SerializeToString(deterministic=True))


def is_wide(network: Network) -> bool:
    """Return whether a network computes in float64."""
    return network.get_parameter("layers.0.weight").dtype == torch.float64


def session(content: bytes) -> Callable[[Tensor], Tensor]:
    """Return what gives the probabilities (N, K) that onnxruntime computes from a file's bytes for raw rows (N, D).

    Raises
    ------
    UnavailableError
        If onnxruntime is not installed.
    """
    _needed()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # A second pool of threads beside PyTorch's would only wait for it.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    opened = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda rows: torch.from_numpy(opened.run([PROBABILITIES], {INPUT: rows.numpy()})[0])


def _prepared(graph: _Graph, run: Run, network: Network) -> str:
    """Add what ``Preprocessing.applied`` does, in the types in which it does it."""
    step, x = run.preprocessing, INPUT
    if raw_type(step) == "uint8":
        x = graph.cast(x, "float64" if step.far else "float32", "pixels")
    if step.far:
        mean, std = np.array(step.mean), np.array(step.std)
        x = graph.node("Div", [x, graph.tensor(np.array([step.divisor]), "divisor")], "divided")
        x = graph.node("Sub", [x, graph.tensor(mean, "mean")], "centred")
        x = graph.cast(graph.node("Div", [x, graph.tensor(std, "std")], "standardised"), "float32", "prepared")
    else:
        scale, shift = step.scale_and_shift()
        scaled = graph.node("Mul", [x, graph.tensor(scale, "scale")], "scaled")
        x = graph.node("Add", [scaled, graph.tensor(shift, "shift")], "prepared")
    return graph.cast(x, "float64", "wide") if is_wide(network) else x


def _layers(graph: _Graph, network: Network, x: str) -> str:
    """Add the linear layers with their activation between them; the last gives the logits."""
    *hidden, last = range(len(network.layers))
    for place in [*hidden, last]:
        weight, bias = (network.get_parameter(f"layers.{place}.{part}") for part in ("weight", "bias"))
        inputs = [x, graph.tensor(weight, f"layers.{place}.weight"), graph.tensor(bias, f"layers.{place}.bias")]
        # A weight of nn.Linear is (H, D), and stays as it is.
        x = graph.node("Gemm", inputs, "logits" if place == last else f"layers.{place}", transB=1)
        if place != last:
            x = _activation(graph, network, x)
    return x


def _activation(graph: _Graph, network: Network, x: str) -> str:
    name = network.specification.activation
    output = f"{x}.{name}"
    if name == "identity":
        return x
    if name == "leaky-relu" and is_wide(network):
        # onnxruntime has no LeakyRelu of float64: the larger of x and its hundredth is the same.
        slope = graph.tensor(np.array([LEAKY_SLOPE]), f"{x}.slope")
        return graph.node("Max", [x, graph.node("Mul", [x, slope], f"{x}.leak")], output)
    if name == "gelu" and is_wide(network):
        # Nor a Gelu: its digits beyond float32's are lost here, which the check that follows lets pass or not.
        narrow = graph.node("Gelu", [graph.cast(x, "float32", f"{x}.narrow")], f"{output}.narrow")
        return graph.cast(narrow, "float64", output)
    attributes = {"alpha": LEAKY_SLOPE} if name == "leaky-relu" else {}
    return graph.node(_OPERATIONS[name], [x], output, **attributes)


def _properties(run: Run, name: str) -> dict[str, str]:
    """Return what the file says of the run beside its graph."""
    lists = {"classes": run.classes, "columns": run.columns, "image_shape": run.image_shape}
    written = {key: _json(list(values)) for key, values in lists.items() if values is not None}
    return {"name": name, "sumtoone": __version__, **written}


def _json(values: list[Any]) -> str:
    # Half of a letter, which UTF-8 cannot carry, is spelt in JSON as it is here.
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def _needed() -> None:
    for module in ("onnx", "onnxruntime"):
        try:
            import_module(module)
        except ImportError:
            raise UnavailableError("export-extra", given=module) from None
