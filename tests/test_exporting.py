"""Exports: what was written answers as the run does, in programs that are not ours, and is whole or absent."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from google.protobuf import text_format
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import prune
from tritonclient.grpc import model_config_pb2

import sumtoone as s1
import warm
from sumtoone import lesson
from sumtoone.data import names
from sumtoone.exporting import FORMATS, STYLES, agreement, export, onnx_graph, source, write
from sumtoone.language import speaking
from sumtoone.specification import ACTIVATIONS, Specification

# Times in seconds: in float32 all rows of a day would be a few steps of 128 seconds.
SECONDS = s1.Preprocessing(2, mean=(1.7e9, 0.5), std=(3600.0, 0.25))


def run_of(
    sizes: str = "4-3",
    activation: str = "relu",
    preprocessing: s1.Preprocessing | None = None,
    dtype: torch.dtype = torch.float32,
    **changes: Any,
) -> s1.Run:
    """A run that nobody trained, with biases that are not 0."""
    network = s1.Network(Specification.parse(sizes, activation)).to(dtype)
    with torch.no_grad():
        for place, layer in enumerate(network.layers):
            layer.bias.copy_(torch.linspace(-0.5, 0.5, layer.out_features) * (place + 1))
    described = network.specification
    run = s1.Run(
        network=network.eval(),
        preprocessing=preprocessing or s1.Preprocessing.lesson(described.inputs),
        classes=tuple(map(str, range(described.outputs))),
        history=s1.History(),
        options=s1.TrainingOptions(),
        name="run",
        data="rows.npz",
        fingerprint="0" * 64,
    )
    return replace(run, **changes)


def some_rows(preprocessing: s1.Preprocessing, count: int, seed: int = 1) -> Tensor:
    """Raw rows as a data set of this kind holds them."""
    generator = np.random.default_rng(seed)
    shape = count, preprocessing.features
    if agreement.raw_type(preprocessing) == "uint8":
        if preprocessing.far:
            return torch.from_numpy(generator.integers(124, 132, shape, dtype=np.uint8))
        return torch.from_numpy(generator.integers(0, 256, shape, dtype=np.uint8))
    rows = generator.normal(size=shape) * preprocessing.std + preprocessing.mean
    return torch.from_numpy((rows * preprocessing.divisor).astype(agreement.raw_type(preprocessing)))


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(s1.SumtooneError) as caught:
        call()
    return str(caught.value)


def opened(content: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


# --- ONNX


@st.composite
def preprocessings(draw: st.DrawFn, features: int) -> s1.Preprocessing:
    kind = draw(
        st.sampled_from(["pixels", "pixels of their own", "dull pixels", "numbers", "columns", "far", "scaled"])
    )
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    means, deviations = generator.normal(size=features), generator.uniform(0.1, 3, features)
    columns = {"mean": tuple(means.tolist()), "std": tuple(deviations.tolist())}
    match kind:
        case "pixels":
            return s1.Preprocessing(features, 255.0, (0.1307,), (0.3081,))
        case "pixels of their own":
            return s1.Preprocessing(features, 255.0, **columns)
        case "dull pixels":
            return s1.Preprocessing(features, 255.0, (0.5,), (0.004,))
        case "numbers":
            return s1.Preprocessing(features)
        case "far":
            means[0] = 1.7e9
            return s1.Preprocessing(features, draw(st.sampled_from([1.0, 60.0])), tuple(means.tolist()), columns["std"])
        case "scaled":
            return s1.Preprocessing(features, 60.0, (20.0,), (0.5,))
        case _:
            return s1.Preprocessing(features, **columns)


@st.composite
def runs(draw: st.DrawFn) -> s1.Run:
    sizes = [draw(st.integers(1, 40)), *draw(st.lists(st.integers(1, 20), max_size=3)), draw(st.integers(2, 12))]
    activation = draw(st.sampled_from(ACTIVATIONS))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return run_of("-".join(map(str, sizes)), activation, draw(preprocessings(sizes[0])), dtype)


@settings(max_examples=40)
@given(run=runs(), count=st.sampled_from([0, 1, 2, 65]))
def test_an_onnx_file_answers_as_the_run_in_two_runtimes(run: s1.Run, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written = write(run, Path(folder) / "a.onnx", "onnx")
        content = written.path.read_bytes()
    assert written.bytes == len(content)
    assert written.difference is not None
    assert written.difference <= 1e-5
    onnx.checker.check_model(content, full_check=True)
    rows = some_rows(run.preprocessing, count)
    expected = run.probabilities(rows).numpy()
    probabilities, labels = opened(content).run(None, {"input": rows.numpy()})
    assert (probabilities.shape, probabilities.dtype) == (expected.shape, np.float32)
    assert (labels.shape, labels.dtype) == ((count,), np.int64)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(labels, probabilities.argmax(axis=1))
    if count:
        again, places = ReferenceEvaluator(onnx.load_from_string(content)).run(None, {"input": rows.numpy()})
        np.testing.assert_allclose(again, expected, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(places, again.argmax(axis=1))


def test_the_graph_is_the_network() -> None:
    run = run_of("784-128-64-10", "relu", name="숫자", image_shape=(28, 28))
    model = onnx.load_from_string(onnx_graph.model(run))
    operations = [node.op_type for node in model.graph.node]
    assert operations == ["Cast", "Mul", "Add", "Gemm", "Relu", "Gemm", "Relu", "Gemm", "Softmax", "ArgMax"]
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for name, parameter in run.network.named_parameters():
        np.testing.assert_array_equal(tensors[name], parameter.detach().numpy())
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "name": "숫자",
        "sumtoone": s1.__version__,
        "classes": '["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]',
        "image_shape": "[28, 28]",
    }
    assert (model.graph.name, model.producer_name, model.producer_version) == ("숫자", "sumtoone", s1.__version__)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    assert model.ir_version == 9


@pytest.mark.parametrize(
    ("preprocessing", "kind"),
    [
        (s1.Preprocessing.lesson(4), onnx.TensorProto.UINT8),
        (s1.Preprocessing(4), onnx.TensorProto.FLOAT),
        (s1.Preprocessing(4, mean=(1e9,)), onnx.TensorProto.DOUBLE),
    ],
)
def test_the_input_has_the_type_of_raw_rows(preprocessing: s1.Preprocessing, kind: int) -> None:
    graph = onnx.load_from_string(onnx_graph.model(run_of("4-3", preprocessing=preprocessing))).graph
    (given_,) = graph.input
    assert (given_.name, given_.type.tensor_type.elem_type) == ("input", kind)
    assert [axis.dim_param or axis.dim_value for axis in given_.type.tensor_type.shape.dim] == ["N", 4]
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in graph.output
    }
    assert shapes == {"probabilities": ["N", 3], "label": ["N"]}


def test_of_equal_probabilities_the_first_is_the_label() -> None:
    run = run_of("2-3", preprocessing=s1.Preprocessing(2))
    with torch.no_grad():
        for parameter in run.network.parameters():
            parameter.zero_()
    probabilities, labels = opened(onnx_graph.model(run)).run(None, {"input": np.ones((2, 2), np.float32)})
    np.testing.assert_array_equal(probabilities, np.full((2, 3), np.float32(1 / 3)))
    assert labels.tolist() == [0, 0]


def test_an_onnx_file_takes_no_rows_of_another_width_or_type() -> None:
    session = opened(onnx_graph.model(run_of("4-3")))
    for rows in (np.zeros((1, 3), np.uint8), np.zeros((1, 4), np.float32), np.zeros(4, np.uint8)):
        with pytest.raises(Exception, match="INVALID_ARGUMENT"):
            session.run(None, {"input": rows})


# --- far from zero: what folding into float32 weights would lose


def test_times_in_seconds_keep_their_digits() -> None:
    run = run_of("2-8-3", "tanh", SECONDS)
    rows = torch.tensor([[1.7e9, 0.5], [1.7e9 + 60, 0.5], [1.7e9 - 60, 0.5]], dtype=torch.float64)
    answers = onnx_graph.session(onnx_graph.model(run))(rows)
    assert (answers - run.probabilities(rows)).abs().max() <= 1e-6
    assert len({tuple(row) for row in answers.tolist()}) == 3


def test_what_was_folded_into_float32_weights_is_refused() -> None:
    run = run_of("2-3", preprocessing=SECONDS)
    (layer,) = run.network.layers
    weight, bias = (each.float() for each in SECONDS.folded(layer.weight.detach(), layer.bias.detach()))
    message = refused(
        lambda: agreement.checked(run, lambda rows: s1.softmax(rows.float() @ weight.T + bias), "the folded one")
    )
    assert message == (
        "The exported network does not answer as the run does, and was not written [export-differs]\n"
        "  expected: probabilities within 1e-05 of the run's, on 256 rows\n"
        f"  got: a difference of {message.split('a difference of ')[1].split()[0]} in the folded one\n"
        "  try: look at the run's weights: where logits are so large that float32 rounds them by whole numbers, or are "
        "infinite, no two programs answer alike; train with a smaller learning rate or with weight decay"
    )


@pytest.mark.parametrize(
    "planted",
    [
        lambda run, rows: run.probabilities(rows) + 1.1e-5,
        lambda run, rows: run.probabilities(rows).roll(1, dims=0),
        lambda run, rows: run.probabilities(rows) * math.nan,
        lambda run, rows: s1.softmax(run.logits(rows), dim=0),
        lambda run, rows: s1.softmax(run.probabilities(rows)),
        lambda run, rows: s1.softmax(run.network(rows.float())),
    ],
)
def test_no_other_answer_passes_the_check(planted: Callable[[s1.Run, Tensor], Tensor]) -> None:
    run = run_of("4-5-3")
    assert agreement.checked(run, run.probabilities, "itself") == 0
    with torch.inference_mode(), pytest.raises(s1.RunError) as caught:
        agreement.checked(run, lambda rows: planted(run, rows), "it")
    assert caught.value.code == "export-differs"


@pytest.mark.parametrize("format_", ["onnx", "triton", "pytorch"])
def test_a_network_without_numbers_is_refused_and_leaves_nothing(tmp_path: Path, format_: str) -> None:
    run = run_of()
    with torch.no_grad():
        next(run.network.parameters()).fill_(math.nan)
    what = "model.py" if format_ == "pytorch" else "onnxruntime"
    assert f"got: a difference of nan in {what}" in refused(lambda: export(run, tmp_path / "deep" / "x", format_))
    assert list(tmp_path.iterdir()) == []


def test_the_rows_of_the_check_are_those_that_matter() -> None:
    (pixels,) = agreement.rows(s1.Preprocessing.lesson(9))
    assert (pixels.shape, pixels.dtype) == ((256, 9), torch.uint8)
    constant = pixels[(pixels == pixels[:, :1]).all(dim=1), 0].tolist()
    assert {0, 255} <= set(constant) | set(pixels.flatten().tolist())
    assert len(set(constant)) >= 60
    (numbers,) = agreement.rows(s1.Preprocessing(2, mean=(1.0, -5.0), std=(2.0, 0.5)))
    assert (numbers.shape, numbers.dtype) == ((256, 2), torch.float32)
    assert numbers[0].tolist() == [0, 0]
    assert numbers[1:].min(dim=0).values.tolist() == [1 - 6 * 2, -5 - 6 * 0.5]
    assert numbers[1:].max(dim=0).values.tolist() == [1 + 6 * 2, -5 + 6 * 0.5]
    (dull,) = agreement.rows(s1.Preprocessing(2, 255.0, (0.5,), (0.004,)))
    assert (dull.dtype, int(dull.min()), int(dull.max())) == (torch.uint8, 121, 134)
    (far,) = agreement.rows(SECONDS)
    assert far.dtype == torch.float64
    assert (far[:, 0] - 1.7e9).abs().max() == 6 * 3600


def test_the_rows_of_wide_networks_come_a_few_at_a_time() -> None:
    parts = agreement.rows(s1.Preprocessing(2**20))
    assert next(parts).shape == (4, 2**20)
    assert sum(len(part) for part in agreement.rows(s1.Preprocessing(2**15))) == 256


# --- Triton


def config_of(folder: Path) -> Any:
    return text_format.Parse((folder / "config.pbtxt").read_text(encoding="utf-8"), model_config_pb2.ModelConfig())


@pytest.mark.parametrize(
    "preprocessing", [s1.Preprocessing.lesson(4), s1.Preprocessing(4), s1.Preprocessing(4, mean=(1e9,))]
)
def test_tritons_own_protobuf_reads_what_onnx_says(tmp_path: Path, preprocessing: s1.Preprocessing) -> None:
    run = run_of(
        "4-6-3",
        "gelu",
        preprocessing,
        classes=("고양이", "a dog", "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}"),
    )
    written = write(run, tmp_path / "models" / "동물", "triton")
    files = {str(path.relative_to(written.path)): path for path in written.path.rglob("*") if path.is_file()}
    assert set(files) == {"config.pbtxt", "labels.txt", "1/model.onnx"}
    assert written.bytes == sum(path.stat().st_size for path in files.values())
    config = config_of(written.path)
    # No name: then it is the folder's, whatever that is called.
    assert (config.name, config.backend, config.max_batch_size) == ("", "onnxruntime", 1024)
    assert config.HasField("dynamic_batching")
    model = opened(files["1/model.onnx"].read_bytes())
    kinds = {
        "tensor(uint8)": "TYPE_UINT8",
        "tensor(float)": "TYPE_FP32",
        "tensor(double)": "TYPE_FP64",
        "tensor(int64)": "TYPE_INT64",
    }

    def said(value: Any) -> tuple[str, str, list[int]]:
        shape = list(value.reshape.shape) if value.HasField("reshape") else list(value.dims)
        return value.name, model_config_pb2.DataType.Name(value.data_type), shape

    assert [said(value) for value in config.input] == [
        (value.name, kinds[value.type], value.shape[1:]) for value in model.get_inputs()
    ]
    assert [said(value) for value in config.output] == [
        (value.name, kinds[value.type], value.shape[1:]) for value in model.get_outputs()
    ]
    # What Triton is given and what it makes of it hold as many values.
    for value in [*config.input, *config.output]:
        assert not value.HasField("reshape") or math.prod(value.dims) == math.prod(value.reshape.shape)
        assert len(value.dims) == 1
    (labelled,) = [value for value in config.output if value.label_filename]
    assert labelled.name == "probabilities"
    assert (written.path / labelled.label_filename).read_text(encoding="utf-8").split("\n") == [*run.classes, ""]


def test_a_class_takes_one_line_of_the_labels(tmp_path: Path) -> None:
    run = run_of("4-3", classes=("a\nb", "c", "\x1b[2J"))
    assert not all(map(names.is_name, run.classes))
    folder = export(run, tmp_path / "model", "triton")
    assert (folder / "labels.txt").read_text().split("\n") == ["a\\nb", "c", "\\x1b[2J", ""]
    model = onnx.load_from_string((folder / "1" / "model.onnx").read_bytes())
    classes = next(entry.value for entry in model.metadata_props if entry.key == "classes")
    assert json.loads(classes) == list(run.classes)


# --- PyTorch without sumtoone

# In a process where importing sumtoone fails.
_ASK = """
import sys
sys.modules["sumtoone"] = None
sys.path.insert(0, sys.argv[1])
from safetensors.torch import load_file, save_file
import model
rows = load_file(sys.argv[2])["rows"]
save_file({"probabilities": model.probabilities(rows), "none": model.probabilities(rows[:0])}, sys.argv[3])
print(*model.predict(rows), sep="\\n")
print(sorted(name for name in sys.modules if name.startswith("sumtoone.")))
"""


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "run",
    [
        run_of("784-32-10", "sigmoid"),
        run_of("6-5-4-3", "leaky-relu", s1.Preprocessing(6), classes=("한글", "it's", '"\\')),
        run_of("2-8-3", "gelu", SECONDS, torch.float64, columns=("time", "값"), name='"""\\x\n'),
        run_of("3-2", preprocessing=s1.Preprocessing(3, 60.0, (0.5, 1.0, 2.0), (2.0,))),
    ],
    ids=["images", "rows", "times", "single"],
)
def test_a_folder_answers_where_there_is_no_sumtoone(tmp_path: Path, run: s1.Run, style: str) -> None:
    rows = some_rows(run.preprocessing, 64)
    written = write(run, tmp_path / "out", "pytorch", style=style)
    assert written.bytes == sum(path.stat().st_size for path in written.path.iterdir())
    save_file({"rows": rows}, tmp_path / "rows.safetensors")
    done = warm.run(_ASK, written.path, tmp_path / "rows.safetensors", tmp_path / "answers.safetensors", warn="error")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [*run.predict(rows), "[]"]
    answers = load_file(tmp_path / "answers.safetensors")
    assert (answers["probabilities"] - run.probabilities(rows)).abs().max() <= 1e-6
    assert (answers["none"].shape, answers["none"].dtype) == ((0, len(run.classes)), torch.float32)
    kept = load_file(written.path / "model.safetensors")
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(run.network.parameters(), _weights(kept), strict=True))


def _weights(tensors: dict[str, Tensor]) -> list[Tensor]:
    layers = sorted({name.rpartition(".")[0] for name in tensors if "." in name})
    return [tensors[f"{layer}.{part}"] for layer in layers for part in ("weight", "bias")]


def module_of(run: s1.Run, style: str = "class") -> dict[str, Any]:
    """What the Python file defines."""
    with tempfile.TemporaryDirectory() as folder:
        path = export(run, Path(folder) / "out", "pytorch", style=style) / "model.py"
        module: dict[str, Any] = {"__name__": "model", "__file__": str(path)}
        exec(compile(path.read_bytes(), path, "exec"), module)
    return module


@settings(max_examples=25)
@given(run=runs(), style=st.sampled_from(STYLES), language=st.sampled_from(["en", "ko"]))
@example(run=run_of("4-2-2", "identity", dtype=torch.float64), style="functional", language="ko")
def test_the_python_file_is_python_and_answers_as_the_run(run: s1.Run, style: str, language: str) -> None:
    with speaking(language):
        module = module_of(run, style)
    rows = some_rows(run.preprocessing, 16)
    assert (module["probabilities"](rows) - run.probabilities(rows)).abs().max() <= 1e-5
    # As lists, Python's numbers are float64; pixels have to be said.
    if rows.dtype != torch.uint8:
        assert torch.equal(module["probabilities"](rows.tolist()), module["probabilities"](rows))


def test_the_class_is_the_lessons() -> None:
    run = run_of("784-256-10", "sigmoid")
    module = module_of(run)
    theirs = lesson.ClassNetwork()
    assert repr(module["network"]) == repr(theirs).replace("ClassNetwork(", "Network(")
    theirs.load_state_dict(module["network"].state_dict())
    rows = some_rows(run.preprocessing, 8)
    assert torch.equal(theirs(module["prepare"](rows)), module["probabilities"](rows))
    functional = module_of(run, "functional")
    assert repr(functional["network"]) == repr(lesson.FunctionalNetwork()).replace("FunctionalNetwork(", "Network(")


def test_the_python_file_as_a_learner_reads_it(tmp_path: Path) -> None:
    run = run_of("6-5-4-2", "leaky-relu", s1.Preprocessing(6, mean=(1.0,) * 6, std=(2.0,) * 6), columns=tuple("abcdef"))
    with speaking("ko"):
        words = (export(run, tmp_path / "ko", "pytorch") / "model.py").read_text(encoding="utf-8")
    assert "한 행에 놓이는 값의 순서." in words
    words = (export(run, tmp_path / "en", "pytorch", style="functional") / "model.py").read_text(encoding="utf-8")
    assert (
        words
        == f'''\
# run: a network 6-5-4-2 with leaky-relu, trained with sumtoone {s1.__version__}.
# Needs torch and safetensors, nothing else: from model import predict

from pathlib import Path

import torch
from safetensors.torch import load
from torch import nn
from torch.nn import functional as F

CLASSES = ["0", "1"]

# The order of the values in a row.
COLUMNS = ["a", "b", "c", "d", "e", "f"]

WEIGHTS = load(Path(__file__).with_name("model.safetensors").read_bytes())

# (x / 1 - mean) / std: what the network sees of a value x.
MEAN, STD = WEIGHTS.pop("mean"), WEIGHTS.pop("std")
# The same as one multiplication and one addition: x * SCALE + SHIFT.
SCALE, SHIFT = (1 / (1 * STD)).float(), (-MEAN / STD).float()


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(6, 5)
        self.fc2 = nn.Linear(5, 4)
        self.fc3 = nn.Linear(4, 2)

    def forward(self, x):
        """Turn prepared rows (N, 6) into probabilities (N, 2)."""
        x = F.leaky_relu(self.fc1(x))
        x = F.leaky_relu(self.fc2(x))
        return F.softmax(self.fc3(x), dim=1)


network = Network()
network.load_state_dict(WEIGHTS)
network.eval()


def prepare(rows):
    """Turn raw rows (N, ...) as the data set holds them into what the network sees, (N, 6)."""
    x = torch.as_tensor(rows, dtype=torch.float32)
    if not x.isfinite().all():
        raise ValueError("a value is NaN, infinite, or too large for the type of the rows")
    x = x.flatten(1)
    if x.shape[1] != 6:
        raise ValueError("a row must have 6 values")
    return x * SCALE + SHIFT


def probabilities(rows):
    """Return the probabilities (N, 2) of raw rows; each row sums to one."""
    with torch.no_grad():
        return network(prepare(rows))


def predict(rows):
    """Return the name of the most probable class of each raw row."""
    return [CLASSES[place] for place in probabilities(rows).argmax(dim=1)]
'''
    )


def test_many_classes_have_a_line_each() -> None:
    run = run_of("2-40", classes=tuple(f"class {place}\u202e" for place in range(40)))
    assert module_of(run)["CLASSES"] == list(run.classes)
    text = source.files(run, "class")["model.py"].decode()
    assert "\n    'class 7\\u202e',\n" in text


def test_the_python_file_refuses_rows_that_are_none_of_its_own() -> None:
    pixels, numbers = (
        module_of(run_of("4-3")),
        module_of(run_of("4-3", preprocessing=s1.Preprocessing(4, mean=(0.0,) * 4))),
    )
    with pytest.raises(TypeError, match=r"^rows must hold pixels from 0 to 255 of torch\.uint8$"):
        pixels["probabilities"](torch.zeros(1, 4))
    for rows in (torch.zeros(1, 1), torch.zeros(2, 2, 3)):
        with pytest.raises(ValueError, match=r"^a row must have 4 values$"):
            numbers["probabilities"](rows)
    assert numbers["probabilities"](torch.zeros(3, 2, 2)).shape == (3, 3)
    for value in (math.nan, math.inf, -math.inf, 1e39):
        with pytest.raises(ValueError, match=r"^a value is NaN, infinite, or too large for the type of the rows$"):
            numbers["predict"]([[0.0] * 4, [0.0, 0.0, 0.0, value]])


def test_the_python_file_refuses_pictures_with_their_axes_in_another_order() -> None:
    colours = module_of(run_of("60-3", image_shape=(4, 5, 3)))
    grey = module_of(run_of("20-3", image_shape=(4, 5)))
    pictures = torch.arange(120, dtype=torch.uint8).reshape(2, 4, 5, 3)
    assert torch.equal(colours["probabilities"](pictures), colours["probabilities"](pictures.reshape(2, 60)))
    for axes in ((0, 3, 1, 2), (0, 2, 1, 3)):
        with pytest.raises(ValueError, match=r"^a picture must have the shape \(4, 5, 3\)$"):
            colours["predict"](pictures.permute(axes))
    for shape in ((4, 5), (1, 4, 5), (4, 5, 1), (20,)):
        assert grey["probabilities"](pictures[..., 0].reshape(2, *shape)).shape == (2, 3)
    with pytest.raises(ValueError, match=r"^a picture must have the shape \(4, 5\)$"):
        grey["predict"](pictures[..., 0].permute(0, 2, 1))


# --- the same bytes, and files that are whole or absent


@pytest.mark.parametrize("format_", FORMATS)
def test_made_twice_it_has_the_same_bytes(tmp_path: Path, format_: str) -> None:
    run = run_of("784-8-10", image_shape=(28, 28))
    once, twice = export(run, tmp_path / "once", format_), export(run, str(tmp_path / "a" / "twice"), format_)
    assert twice == tmp_path / "a" / "twice"

    def content(path: Path) -> dict[str, bytes]:
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        return {str(file.relative_to(path)): file.read_bytes() for file in files}

    assert content(once)
    assert content(once) == content(twice)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "once"]


def test_a_page_is_one_file(tmp_path: Path) -> None:
    written = write(run_of("784-128-64-10", image_shape=(28, 28)), tmp_path / "page.html", "html")
    content = written.path.read_bytes()
    assert content[:15].lower() == b"<!doctype html>"
    assert (written.bytes, written.difference) == (len(content), None)
    assert len(content) < 1.5 * 2**20


@pytest.mark.parametrize("format_", FORMATS)
def test_nothing_is_overwritten(tmp_path: Path, format_: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "folder", "link"):
        assert refused(lambda name=name: export(run_of(), tmp_path / name, format_)) == (  # type: ignore[misc]
            "There is something at this path already; it is not overwritten [export-exists]\n"
            "  expected: a path where nothing is\n"
            f"  got: {tmp_path / name}\n"
            "  try: another --out, or remove what is there"
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "link"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names that are not text are Linux's")
@pytest.mark.parametrize("format_", ["onnx", "triton", "pytorch"])
def test_names_that_are_no_text(tmp_path: Path, format_: str) -> None:
    place = tmp_path / os.fsdecode(b"a\xff \n'")
    assert export(run_of(name=place.name), place, format_) == place
    assert [path.name for path in tmp_path.iterdir()] == [place.name]


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("place", ["file/x", "new/a\x00b", "new/" + "x" * 300])
def test_what_cannot_be_written_is_said(tmp_path: Path, format_: str, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    run = run_of("784-8-10", image_shape=(28, 28))
    why = r"(\w+: )?embedded null (byte|character in path)" if "\x00" in place else "File (exists|name too long)"
    message = refused(lambda: export(run, tmp_path / place, format_))
    assert message.splitlines()[0] == "The export cannot be written [export-unwritable]"
    assert re.search(f": {why}$", message.splitlines()[2])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_comes_while_a_folder_is_written_stays(tmp_path: Path) -> None:
    from sumtoone.exporting import target

    def collide() -> None:
        with target.new_folder(tmp_path / "out", {"a": b"a"}):
            (tmp_path / "out").mkdir()

    assert refused(collide).startswith("There is something at this path already")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert list((tmp_path / "out").iterdir()) == []


def test_the_random_numbers_of_torch_are_left_as_they_were(tmp_path: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    for format_ in ("onnx", "triton", "pytorch"):
        export(run_of(), tmp_path / format_, format_)
    assert torch.equal(torch.rand(3), expected)


# --- refusals


class Mine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def pruned() -> s1.Run:
    run = run_of()
    prune.l1_unstructured(run.network.layers[0], "weight", amount=1)
    return run


def huge() -> s1.Run:
    run = run_of()
    run.network.specification = Specification.parse("60000-10000-2")
    return run


@pytest.mark.parametrize(
    ("make", "formats", "message"),
    [
        (
            lambda: run_of(network=Mine()),
            FORMATS,
            "Only a Network can be exported; this run trained a module of your own, whose operations may be any "
            "[export-module]\n"
            "  expected: a run whose network is a Network\n"
            "  got: Mine\n"
            "  try: if it is linear layers with one activation between them: "
            "dataclasses.replace(run, network=Network.from_module(module, rows))",
        ),
        (
            lambda: run_of(dtype=torch.bfloat16),
            FORMATS,
            "A network of half-width numbers rounds on every machine in a way of its own [export-dtype]\n"
            "  expected: weights of float32 or float64\n"
            "  got: bfloat16\n"
            "  try: run.network.float(), and look at its accuracy again",
        ),
        (
            huge,
            ("onnx", "triton"),
            "The network is too large for an ONNX file [export-large]\n"
            "  expected: at most 2,130,706,432 bytes of weights\n"
            "  got: 2,400,120,008 bytes\n"
            "  try: the format pytorch",
        ),
        (
            pruned,
            FORMATS,
            "This Network is no longer what its description says, and could not be opened again from it [run-changed]\n"
            "  expected: linear layers with an activation between them, as Network(…) builds them, all of one type\n"
            "  got: a change at layers.0.weight_orig\n"
            "  try: take the change out (prune.remove, parametrize.remove_parametrizations, handle.remove()), or write "
            "a class of your own around it: class Mine(nn.Module), which open_run(path, network=Mine()) reads back",
        ),
    ],
    ids=["module", "half", "huge", "changed"],
)
def test_runs_that_no_file_can_answer_for(
    tmp_path: Path, make: Callable[[], s1.Run], formats: tuple[str, ...], message: str
) -> None:
    for format_ in formats:
        assert refused(lambda format_=format_: export(make(), tmp_path / "x", format_)) == message  # type: ignore[misc]
    assert list(tmp_path.iterdir()) == []


def test_the_way_out_for_a_module_of_linear_layers(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    run = replace(run_of(network=module), network=s1.Network.from_module(module, torch.rand(2, 4)))
    answers = onnx_graph.session(export(run, tmp_path / "x.onnx", "onnx").read_bytes())
    rows = some_rows(run.preprocessing, 8)
    expected = torch.softmax(module(run.preprocessing(rows)), dim=1)
    assert torch.allclose(answers(rows), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            {"format": "onyx"},
            "format cannot be this [choice]\n"
            "  expected: one of onnx, triton, html, pytorch\n"
            "  got: 'onyx'\n"
            "  try: did you mean onnx?",
        ),
        (
            {"format": "pytorch", "style": "klass"},
            "style cannot be this [choice]\n"
            "  expected: one of class, functional\n"
            "  got: 'klass'\n"
            "  try: did you mean class?",
        ),
        (
            {"format": "onnx", "style": "class"},
            "Only a Python file has a style [export-style]\n"
            "  expected: style with the format pytorch\n"
            "  got: style class with the format onnx\n"
            "  try: leave the style out, or choose the format pytorch",
        ),
    ],
)
def test_wrong_words(tmp_path: Path, words: dict[str, Any], message: str) -> None:
    assert refused(lambda: export(run_of(), tmp_path / "x", **words)) == message


def test_what_is_no_run(tmp_path: Path) -> None:
    assert refused(lambda: export("runs/first", tmp_path / "x", "onnx")) == (  # type: ignore[arg-type]
        "export does not take this as run [argument-type]\n"
        "  expected: Run\n"
        "  got: str\n"
        '  try: export(open_run("runs/first"), out, format)'
    )


# In a process where a package is not there.
_WITHOUT = """
import sys
sys.modules[sys.argv.pop(1)] = None
from sumtoone.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.measured
@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_a_package_that_is_missing_is_said_with_its_extra(tmp_path: Path, missing: str) -> None:
    run_of("4-3").save(tmp_path / "run")
    for format_ in ("onnx", "triton"):
        done = warm.run(
            _WITHOUT, missing, "export", "run", "--format", format_, cwd=tmp_path, warn="error", env={**os.environ}
        )
        assert (done.returncode, done.stdout) == (4, "")
        assert done.stderr == (
            "sumtoone: A package is missing that writes and checks ONNX files [export-extra]\n"
            "  expected: the packages onnx and onnxruntime\n"
            f"  got: no {missing}\n"
            "  try: pip install 'sumtoone[onnx]'\n"
        )
    done = warm.run(_WITHOUT, missing, "export", "run", "--format", "pytorch", cwd=tmp_path, warn="error")
    assert done.returncode == 0
