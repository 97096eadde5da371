"""The Open Inference Protocol, asked by NVIDIA's own client as it is, and byte by byte."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from served import Served, ask, ask_json, digits_run, served
from sumtoone import open_run

with warnings.catch_warnings():
    # Its libraries warn of one another when they are loaded.
    warnings.simplefilter("ignore")
    import tritonclient.http as triton
    from tritonclient.utils import InferenceServerException

ROWS = np.random.default_rng(5).integers(0, 256, (5, 784), np.uint8)
DATATYPES = {
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def server(run: Path) -> Iterator[Served]:
    with served(run, "--max-rows", 100) as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Any]:
    found = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
    yield found
    found.close()


@pytest.fixture(scope="module")
def expected(run: Path) -> np.ndarray:
    return open_run(run).probabilities(ROWS).numpy()


def _input(rows: np.ndarray, datatype: str = "UINT8", *, binary: bool = True) -> list[Any]:
    tensor = triton.InferInput("input", list(rows.shape), datatype)
    tensor.set_data_from_numpy(rows, binary_data=binary)
    return [tensor]


def test_what_the_client_asks_of_a_server(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits")
    assert client.is_model_ready("digits", "1")
    assert not client.is_model_ready("other")
    assert not client.is_model_ready("digits", "2")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    described = client.get_model_metadata("digits")
    assert described == client.get_model_metadata("digits", "1")
    assert described["inputs"] == [{"name": "input", "datatype": "UINT8", "shape": [-1, 784]}]
    assert described["outputs"] == [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
    ]


# The client sends FP16 as bytes alone.
@pytest.mark.parametrize(
    ("datatype", "binary"),
    [(name, binary) for name in DATATYPES for binary in (True, False) if binary or name != "FP16"],
)
def test_inference_gives_what_the_run_gives(client: Any, expected: np.ndarray, datatype: str, binary: bool) -> None:
    rows = ROWS.astype(DATATYPES[datatype])
    result = client.infer("digits", _input(rows, datatype, binary=binary), request_id="mine", timeout=10_000_000)
    assert np.array_equal(result.as_numpy("probabilities"), expected)
    assert result.as_numpy("label").tolist() == [str(place).encode() for place in expected.argmax(axis=1)]
    response = result.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == ("mine", "digits", "1")


def test_pictures_and_small_integers(client: Any, expected: np.ndarray) -> None:
    result = client.infer("digits", _input(ROWS.reshape(5, 28, 28)), "1")
    assert np.array_equal(result.as_numpy("probabilities"), expected)
    result = client.infer("digits", _input((ROWS // 2).astype(np.int8), "INT8"))
    halves = client.infer("digits", _input(ROWS // 2))
    assert np.array_equal(result.as_numpy("probabilities"), halves.as_numpy("probabilities"))


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_outputs_are_chosen_one_by_one(client: Any, expected: np.ndarray, binary: bool) -> None:
    label = triton.InferRequestedOutput("label", binary_data=binary)
    both = [label, triton.InferRequestedOutput("probabilities", binary_data=not binary)]
    result = client.infer("digits", _input(ROWS), outputs=[label])
    assert [output["name"] for output in result.get_response()["outputs"]] == ["label"]
    assert result.as_numpy("probabilities") is None
    result = client.infer("digits", _input(ROWS), outputs=both)
    assert [output["name"] for output in result.get_response()["outputs"]] == ["label", "probabilities"]
    assert np.array_equal(result.as_numpy("probabilities"), expected)
    assert len(result.as_numpy("label")) == 5


def test_many_requests_at_once_get_each_its_own(server: Served, run: Path) -> None:
    rows = np.random.default_rng(6).integers(0, 256, (64, 784), np.uint8)
    expected = open_run(run).probabilities(rows).numpy()
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=8) as client:
        asked = [client.async_infer("digits", _input(row[None]), request_id=str(n)) for n, row in enumerate(rows)]
        for number, one in enumerate(asked):
            result = one.get_result()
            assert result.get_response()["id"] == str(number)
            assert np.array_equal(result.as_numpy("probabilities"), expected[number : number + 1])


def test_errors_reach_the_client_in_our_words(client: Any) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer("other", _input(ROWS))
    assert caught.value.message() == ("This server has no such model (expected: digits, 1; got: other, 1)")
    with pytest.raises(InferenceServerException) as caught:
        client.infer("digits", _input(ROWS[:, :9]))
    assert caught.value.message() == (
        "The values do not make rows of this model (expected: [784], [N, 784], [28, 28], [N, 28, 28]; got: [5, 9])"
    )
    with pytest.raises(InferenceServerException) as caught:
        client.infer("digits", _input(ROWS), timeout=1)
    assert caught.value.message().startswith("The request was not begun before its deadline, and was dropped")
    with pytest.raises(InferenceServerException) as caught:
        client.infer("digits", _input(ROWS), outputs=[triton.InferRequestedOutput("label", class_count=3)])
    assert caught.value.message().endswith("(expected: parameters: binary_data; got: classification)")
    with pytest.raises(InferenceServerException) as caught:
        client.infer("digits", _input(ROWS), request_compression_algorithm="gzip")
    assert caught.value.message() == (
        "The body is compressed (expected: a body as it is, without the header 'Content-Encoding'; got: gzip)"
    )
    bad = ROWS.astype(np.float32)
    bad[3, 3] = np.nan
    with pytest.raises(InferenceServerException) as caught:
        client.infer("digits", _input(bad, "FP32"))
    assert caught.value.message().startswith("A value is not finite")


def test_json_alone(server: Served, expected: np.ndarray) -> None:
    tensor = {"name": "input", "shape": [5, 784], "datatype": "UINT8", "data": ROWS.tolist()}
    status, answer = ask_json(server, {"inputs": [tensor]}, "/v2/models/digits/infer")
    assert status == 200
    assert list(answer) == ["model_name", "model_version", "outputs"]
    probabilities, label = answer["outputs"]
    assert probabilities == {
        "name": "probabilities",
        "datatype": "FP32",
        "shape": [5, 10],
        "data": expected.ravel().tolist(),
    }
    assert label["data"] == [str(place) for place in expected.argmax(axis=1)]
    flat = {**tensor, "data": ROWS.ravel().tolist()}
    assert ask_json(server, {"inputs": [flat]}, "/v2/models/digits/versions/1/infer") == (200, answer)
    asked = {"inputs": [tensor], "outputs": [{"name": "label", "parameters": {"binary_data": False}}], "id": ""}
    status, answer = ask_json(server, asked, "/v2/models/digits/infer")
    assert answer == {"model_name": "digits", "model_version": "1", "outputs": [label], "id": ""}


TENSOR: dict[str, Any] = {"name": "input", "shape": [1, 784], "datatype": "UINT8", "data": [9] * 784}
RAW: dict[str, Any] = {"name": "input", "shape": [1, 784], "datatype": "UINT8"}


@pytest.mark.parametrize(
    ("changed", "code", "got"),
    [
        ({"name": "x"}, "serve-request", '"x"'),
        ({"name": None}, "serve-request", "null"),
        ({"shape": [2, 784]}, "serve-tensor", "[784]"),
        ({"shape": [-1, 784]}, "serve-tensor", "[-1, 784]"),
        ({"shape": [1.0, 784]}, "serve-tensor", "[1.0, 784]"),
        ({"shape": [1] * 9}, "serve-tensor", "[1, 1, 1, 1, 1, 1, 1, 1, 1]"),
        ({"shape": "x"}, "serve-tensor", "'x'"),
        ({"shape": {}}, "serve-tensor", "dict"),
        ({"shape": [0, 784], "data": []}, "serve-no-rows", "none"),
        ({"datatype": "BYTES"}, "serve-tensor", "'BYTES'"),
        ({"datatype": 7}, "serve-tensor", "7"),
        ({"data": "x"}, "serve-numbers", '"x"'),
        ({"data": {"a": 1}}, "serve-numbers", '{"a":1}'),
        ({"data": [[9] * 392, [9] * 392]}, "serve-tensor", "[2, 392]"),
        ({"data": [9.5] * 784}, "serve-tensor", "9.5 … 9.5"),
        ({"data": [300] * 784}, "serve-tensor", "300 … 300"),
        ({"datatype": "INT16", "data": [300] * 784}, "serve-pixels", "values from 300 to 300"),
        ({"datatype": "FP32", "data": [0.5] * 784}, "preprocessing-pixels", "784 values from 0.5 to 0.5"),
        ({"parameters": {"binary_data_size": 784}}, "serve-tensor", "data, binary_data_size"),
        ({"parameters": {"shared_memory_region": "x"}}, "serve-request", "shared_memory_region"),
        ({"parameters": []}, "serve-request", "list"),
        ({"shape": [101, 784], "data": [9] * 784 * 101}, "serve-rows", "101 rows"),
    ],
)
def test_tensors_that_are_refused(server: Served, changed: dict[str, Any], code: str, got: str) -> None:
    status, answer = ask_json(server, {"inputs": [{**TENSOR, **changed}]}, "/v2/models/digits/infer")
    assert (status, answer["code"], answer["got"]) == (413 if code == "serve-rows" else 400, code, got)


@pytest.mark.parametrize(
    ("document", "code", "got"),
    [
        (b"", "serve-json", "something else at line 1, column 1"),
        ([], "serve-request", "list"),
        ({}, "serve-request", "NoneType"),
        ({"inputs": []}, "serve-request", "0"),
        ({"inputs": [TENSOR, TENSOR]}, "serve-request", "2"),
        ({"inputs": [7]}, "serve-request", "1"),
        ({"inputs": [TENSOR], "id": 7}, "serve-request", "int"),
        ({"inputs": [TENSOR], "parameters": 7}, "serve-request", "int"),
        ({"inputs": [TENSOR], "parameters": {"timeout": "1"}}, "serve-request", '"1"'),
        ({"inputs": [TENSOR], "parameters": {"timeout": -1}}, "serve-request", "-1"),
        ({"inputs": [TENSOR], "parameters": {"binary_data_output": 1}}, "serve-request", "int"),
        ({"inputs": [TENSOR], "outputs": {}}, "serve-request", "dict"),
        ({"inputs": [TENSOR], "outputs": [7]}, "serve-request", "list"),
        ({"inputs": [TENSOR], "outputs": [{"name": "x"}]}, "serve-request", '["x"]'),
        ({"inputs": [TENSOR], "outputs": [{"name": []}]}, "serve-request", "[[]]"),
        ({"inputs": [TENSOR], "outputs": [{"name": "label"}] * 2}, "serve-request", '["label","label"]'),
        ({"inputs": [RAW]}, "serve-tensor", "null"),
    ],
)
def test_requests_that_are_refused(server: Served, document: Any, code: str, got: str) -> None:
    status, answer = ask_json(server, document, "/v2/models/digits/infer")
    assert (status, answer["code"], answer["got"]) == (400, code, got)


@pytest.mark.parametrize(
    ("length", "size", "raw", "code"),
    [
        ("99999", 784, 784, "serve-request"),
        ("-1", 784, 784, "serve-request"),
        ("x", 784, 784, "serve-request"),
        ("", 784, 784, "serve-request"),
        ("9" * 5000, 784, 784, "serve-request"),
        ("0", 784, 784, "serve-json"),
        ("right", 784, 783, "serve-tensor"),
        ("right", 783, 783, "serve-tensor"),
        ("right", "784", 784, "serve-tensor"),
        ("right", True, 784, "serve-tensor"),
        (None, 784, 784, "serve-json"),
    ],
)
def test_lengths_that_lie(server: Served, length: str | None, size: Any, raw: int, code: str) -> None:
    head = json.dumps({"inputs": [{**RAW, "parameters": {"binary_data_size": size}}]}).encode()
    given = str(len(head)) if length == "right" else length
    headers = {} if given is None else {"inference_header_content_length": given}
    status, _, body = ask(server, path="/v2/models/digits/infer", body=head + bytes([7]) * raw, **headers)
    assert (status, json.loads(body)["code"]) == (400, code)


def test_raw_bytes_that_nothing_speaks_of(server: Served) -> None:
    head = json.dumps({"inputs": [TENSOR]}).encode()
    headers = {"inference_header_content_length": str(len(head))}
    status, _, body = ask(server, path="/v2/models/digits/infer", body=head + b"more", **headers)
    assert (status, json.loads(body)["got"]) == (400, "-")


def test_a_name_that_is_not_ascii_is_asked_by_another(tmp_path: Path, run: Path, expected: np.ndarray) -> None:
    """The client writes a name into the address twice encoded: what stays as it is comes through."""
    with served(run.rename(tmp_path / "숫자 été"), "--max-rows", 100) as server:
        found = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
        assert server.model == "ete"
        assert found.is_model_ready(server.model)
        assert np.array_equal(found.infer(server.model, _input(ROWS)).as_numpy("probabilities"), expected)
        found.close()
    (tmp_path / "숫자 été").rename(run)


def test_another_model_is_told_where_this_one_is(server: Served) -> None:
    status, _, body = ask(server, path="/v2/models/other", method="GET")
    assert (status, json.loads(body)["try"]) == (404, "GET /v2/models/digits")


def test_paths_and_methods(server: Served) -> None:
    for path, method, status, code in [
        ("/v2/models/digits/infer", "GET", 405, "serve-method"),
        ("/v2/models/other/infer", "POST", 404, "serve-model"),
        ("/v2/models/digits/versions/2/infer", "POST", 404, "serve-model"),
        ("/v2/models/digits/config", "GET", 404, "serve-path"),
        ("/v2/health/ready", "POST", 405, "serve-method"),
        ("/predict", "GET", 405, "serve-method"),
        ("/nothing", "GET", 404, "serve-path"),
        ("/v2/models/%00%ff/ready", "GET", 404, "serve-model"),
    ]:
        answered, headers, body = ask(server, path=path, method=method)
        assert (answered, json.loads(body)["code"]) == (status, code), path
        assert ("allow" in headers) == (status == 405)
    assert json.loads(ask(server, path="/v2/health/live", method="GET")[2]) == {"live": True}
    assert json.loads(ask(server, path="/v2/health/ready", method="GET")[2]) == {"ready": True}
    assert json.loads(ask(server, path="/v2/models/digits/ready", method="GET")[2]) == {"name": "digits", "ready": True}
    status, headers, body = ask(server, path="/v2", method="HEAD")
    assert (status, body, int(headers["content-length"]) > 20) == (200, b"", True)
