"""Probabilities of 1, 64 and 1,024 images by 784-128-64-10: ours, and those who serve networks.

Inside the timer: a thousand calls or fewer, each from rows of floats in memory to probabilities in memory.
Outside: the network, its export and its compilation. The first round is the first call, with the compilation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.loops import torch_network
from benchmarks.material import start_weights
from benchmarks.protocol import comparison, counts_of_threads, entries, machine
from benchmarks.workers import Session, Task, in_turns
from sumtoone import Network

OURS = "sumtoone"
ROWS = (1, 64, 1024)
# The largest difference from NumPy's float64 that a probability may have.
TOLERANCE = 1e-5
_PRODUCTS_PER_TURN = 1_000_000_000
Call = Callable[[], Any]


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """Return the record: for each number of rows, seconds of one call and how many times ours."""
    contenders = {name: prepare for name, prepare in CONTENDERS.items() if not (quick and prepare is compiled)}
    sizes = []
    for rows in ROWS[:1] if quick else ROWS:
        tasks = [Task(rows=rows, threads=threads) for threads in counts_of_threads(quick)]
        results = in_turns(entries(contenders, tasks), rounds)
        sizes.append({"rows": rows, "missing": results.missing, **comparison(results, OURS, list(contenders))})
    return {
        "what": "one call, float rows to probabilities, 784-128-64-10",
        "machine": machine(),
        "rounds": rounds,
        "sizes": sizes,
        "disagreeing": far_off(sizes),
    }


def far_off(sizes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the contenders whose probabilities are others than PyTorch's, size by size."""
    return [
        f"{name}, {size['rows']} rows"
        for size in sizes
        for name, contender in size.get("contenders", {}).items()
        if not contender["judged"] <= TOLERANCE
    ]


def ours(task: Task) -> Session:
    """``Network.probabilities``."""
    torch.set_num_threads(task.threads)
    network, x_ND = Network(task.network).eval(), rows_for(task)
    return session(task, lambda: lambda: network.probabilities(x_ND))


def eager(task: Task) -> Session:
    """``nn.Sequential`` that ends in a softmax."""
    torch.set_num_threads(task.threads)
    network, x_ND = nn.Sequential(*torch_network(task), nn.Softmax(dim=1)).eval(), rows_for(task)
    return session(task, lambda: lambda: network(x_ND))


def compiled(task: Task) -> Session:
    """The same under ``torch.compile``, for this very shape."""
    torch.set_num_threads(task.threads)
    network, x_ND = nn.Sequential(*torch_network(task), nn.Softmax(dim=1)).eval(), rows_for(task)

    def build() -> Call:
        quick = torch.compile(network, dynamic=False)
        return lambda: quick(x_ND)

    return session(task, build)


def onnx(task: Task) -> Session:
    """onnxruntime on the graph of the same layers."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.threads
    exported, x_ND = _exported(task), rows_for(task).numpy()

    def build() -> Call:
        session = onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {"x": x_ND})[0]

    return session(task, build)


def openvino(task: Task) -> Session:
    """OpenVINO on the same graph, for this very shape, in float32; one request, used again and again."""
    from openvino import Core, Tensor

    exported, x_ND = _exported(task), rows_for(task).numpy()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": task.threads,
    }

    def build() -> Call:
        core = Core()
        model = core.read_model(exported)
        model.reshape(list(x_ND.shape))
        request = core.compile_model(model, "CPU", settings).create_infer_request()

        def call() -> Any:  # in two thirds of the time of ``infer(rows, share_inputs=True, share_outputs=True)``
            request.set_input_tensor(Tensor(x_ND, shared_memory=True))
            request.infer()
            return request.get_output_tensor().data

        return call

    return session(task, build)


def scikit_learn(task: Task) -> Session:
    """``MLPClassifier.predict_proba`` with our weights."""
    from sklearn.neural_network import MLPClassifier

    start, x_ND = start_weights(task), rows_for(task).numpy()
    widths = [weight.shape[0] for weight, _ in start[:-1]]
    classifier = with_weights(MLPClassifier(widths, task.activation, batch_size=10), start)
    return session(task, lambda: lambda: classifier.predict_proba(x_ND))


def with_weights(classifier: Any, layers: Sequence[tuple[Tensor, Tensor]]) -> Any:
    """Return an ``MLPClassifier`` that has these weights (out, in) and biases (out,), in float32."""
    features, classes = layers[0][0].shape[1], layers[-1][0].shape[0]
    labels = np.arange(classifier.batch_size) % classes
    classifier.partial_fit(np.zeros((len(labels), features), np.float32), labels, classes=range(classes))
    classifier.coefs_ = [np.ascontiguousarray(weight.T.numpy()) for weight, _ in layers]
    classifier.intercepts_ = [bias.numpy().copy() for _, bias in layers]
    return classifier


def numpy(task: Task) -> Session:
    """The same arithmetic in NumPy."""
    return session(task, lambda: _in_numpy(task, np.float32))


def _in_numpy(task: Task, dtype: type[np.floating[Any]]) -> Call:
    layers = [(weight.numpy().T.astype(dtype), bias.numpy().astype(dtype)) for weight, bias in start_weights(task)]
    x_ND = rows_for(task).numpy().astype(dtype)

    def call() -> Any:
        values = x_ND
        for weight, bias in layers[:-1]:
            values = np.maximum(values @ weight + bias, 0)
        logits = values @ layers[-1][0] + layers[-1][1]
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    return call


def _exported(task: Task) -> bytes:
    """Return the network as an ONNX file, with rows of any number."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, name = [], [], "x"
    layers = start_weights(task)
    for place, (weight, bias) in enumerate(layers):
        weights += [
            numpy_helper.from_array(weight.numpy(), f"w{place}"),
            numpy_helper.from_array(bias.numpy(), f"b{place}"),
        ]
        nodes.append(helper.make_node("Gemm", [name, f"w{place}", f"b{place}"], [f"z{place}"], transB=1))
        name = f"z{place}"
        if place + 1 < len(layers):
            nodes.append(helper.make_node("Relu", [name], [f"a{place}"]))
            name = f"a{place}"
    nodes.append(helper.make_node("Softmax", [name], ["p"], axis=1))
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", layers[0][0].shape[1]]),
        helper.make_tensor_value_info("p", TensorProto.FLOAT, ["rows", layers[-1][0].shape[0]]),
    ]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], weights)
    # An opset and a format that many versions of the runtime read.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def rows_for(task: Task) -> Tensor:
    """Return the rows (N, 784) float32 whose probabilities are asked for."""
    assert task.rows is not None
    return torch.rand(task.rows, 784, generator=torch.Generator().manual_seed(0)) * 2 - 1


def session(task: Task, build: Callable[[], Call]) -> Session:
    """A turn is many calls; that of the warm-up counts what ``build`` compiles and one call, and then warms up."""
    assert task.rows is not None
    products = task.rows * sum(weight.numel() for weight, _ in start_weights(task))
    calls = max(10, min(1000, _PRODUCTS_PER_TURN // products))
    exact = _in_numpy(task, np.float64)()
    call: Call

    @torch.inference_mode()
    def run(turn: int) -> float:
        nonlocal call
        first, started = 0.0, time.perf_counter()
        if turn == 0:
            call = build()
            call()
            first = time.perf_counter() - started
        started = time.perf_counter()
        for _ in range(calls):
            call()
        return first or (time.perf_counter() - started) / calls

    @torch.inference_mode()
    def judge() -> float:
        return float(np.abs(np.asarray(call()) - exact).max())

    return Session(run, judge)


CONTENDERS: dict[str, Callable[[Task], Session]] = {
    OURS: ours,
    "PyTorch, eager": eager,
    "PyTorch, torch.compile": compiled,
    "onnxruntime": onnx,
    "OpenVINO": openvino,
    "scikit-learn": scikit_learn,
    "NumPy": numpy,
}
