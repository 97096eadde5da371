"""The Open Inference Protocol, version 2, over REST, with its binary tensor extension both ways.

One input, ``input``, of raw rows; two outputs, ``probabilities`` and ``label``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from sumtoone.errors import DataError
from sumtoone.runs import check_finite
from sumtoone.serving import binary
from sumtoone.serving.answers import BINARY, Answer
from sumtoone.serving.model import Model
from sumtoone.serving.predicting import numbers, read_json
from sumtoone.version import __version__

Values = NDArray[Any]

HEADER_LENGTH = b"inference-header-content-length"
VERSION = "1"
INPUT = "input"
OUTPUTS = ("probabilities", "label")
# What would change the answer, and is not done here: it is refused, not passed over.
_NOT_DONE = ("classification", "shared_memory_region", "shared_memory_offset", "shared_memory_byte_size")
# A microsecond, in seconds: the unit of ``timeout``.
_UNIT = 1e-6


def server_metadata() -> dict[str, Any]:
    """Return what ``GET /v2`` tells."""
    return {"name": "sumtoone", "version": __version__, "extensions": ["binary_tensor_data"]}


def model_metadata(model: Model) -> dict[str, Any]:
    """Return what ``GET /v2/models/{name}`` tells."""
    kind = "UINT8" if model.pixels else "FP64" if model.run.preprocessing.far else "FP32"
    return {
        "name": model.name,
        "versions": [VERSION],
        "platform": "sumtoone",
        "inputs": [{"name": INPUT, "datatype": kind, "shape": [-1, model.features]}],
        "outputs": [
            {"name": OUTPUTS[0], "datatype": "FP32", "shape": [-1, len(model.classes)]},
            {"name": OUTPUTS[1], "datatype": "BYTES", "shape": [-1]},
        ],
    }


@dataclass(frozen=True)
class Request:
    """An inference request, read and checked.

    Parameters
    ----------
    rows
        What to compute, (N, D).
    outputs
        The outputs that are wanted, in their order, each with whether as raw bytes.
    id
        What the sender calls it; None where it has no name.
    timeout
        Seconds the sender waits at most; infinite where it does not say.
    """

    rows: Values
    outputs: tuple[tuple[str, bool], ...]
    id: str | None
    timeout: float


def read(headers: Mapping[bytes, bytes], body: bytes, model: Model) -> Request:
    """Return the request in a body.

    Raises
    ------
    DataError, ShapeError, DtypeError
        If it is none, or asks for what is not here.
    """
    length = _header_length(headers, len(body))
    document = read_json(body if length == len(body) else body[:length])
    if not isinstance(document, dict):
        raise DataError("serve-request", name="{…}", wanted="{…}", given=type(document).__name__)
    parameters = _parameters(document)
    identity = document.get("id")
    if identity is not None and not isinstance(identity, str):
        raise DataError("serve-request", name="id", wanted="string", given=type(identity).__name__)
    return Request(
        _rows(document, memoryview(body)[length:], model),
        _outputs(document, _flag(parameters, "binary_data_output", False)),
        identity,
        _timeout(parameters),
    )


def _header_length(headers: Mapping[bytes, bytes], size: int) -> int:
    given = headers.get(HEADER_LENGTH)
    if given is None:
        return size
    if not (given.isdigit() and len(given) < 12 and int(given) <= size):
        shown = given[:40].decode("latin-1")
        raise DataError("serve-request", name="Inference-Header-Content-Length", wanted=f"0 … {size}", given=shown)
    return int(given)


def _parameters(document: dict[str, Any]) -> dict[str, Any]:
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict):
        raise DataError("serve-request", name="parameters", wanted="{…}", given=type(parameters).__name__)
    for name in _NOT_DONE:
        if name in parameters:
            raise DataError("serve-request", name="parameters", wanted="binary_data", given=name)
    return parameters


def _flag(parameters: dict[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise DataError("serve-request", name=name, wanted="true, false", given=type(value).__name__)
    return value


def _timeout(parameters: dict[str, Any]) -> float:
    value = parameters.get("timeout")
    if value is None:
        return math.inf
    if type(value) is not int or value < 0:
        raise DataError("serve-request", name="timeout", wanted="0, 1, … (µs)", given=orjson.dumps(value)[:40].decode())
    # As Triton takes it: 0 is no timeout of one's own.
    return value * _UNIT if value else math.inf


def _rows(document: dict[str, Any], raw: memoryview, model: Model) -> Values:
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        given = f"{len(inputs)}" if isinstance(inputs, list) else type(inputs).__name__
        raise DataError("serve-request", name="inputs", wanted=f'[{{"name": "{INPUT}", …}}]', given=given)
    tensor = inputs[0]
    if tensor.get("name") != INPUT:
        given = orjson.dumps(tensor.get("name"))[:40].decode(errors="replace")
        raise DataError("serve-request", name="inputs[0].name", wanted=INPUT, given=given)
    shape, kind = binary.shape_of(tensor), binary.type_of(tensor)
    size = _parameters(tensor).get("binary_data_size")
    if size is None and "data" in tensor:
        if len(raw):
            raise DataError("serve-tensor", name="binary_data_size", wanted=f"{len(raw)}", given="-")
        return model.rows(binary.from_numbers(numbers(tensor["data"]), kind, shape))
    if "data" in tensor:
        raise DataError("serve-tensor", name="data", wanted="data | binary_data_size", given="data, binary_data_size")
    if type(size) is not int or size != len(raw):
        given = orjson.dumps(size)[:40].decode()
        raise DataError("serve-tensor", name="binary_data_size", wanted=f"{len(raw)}", given=given)
    return model.rows(binary.from_bytes(raw, kind, shape))


def _outputs(document: dict[str, Any], as_bytes: bool) -> tuple[tuple[str, bool], ...]:
    wanted = document.get("outputs")
    if wanted is None or wanted == []:
        return tuple((name, as_bytes) for name in OUTPUTS)
    if not isinstance(wanted, list) or any(not isinstance(output, dict) for output in wanted):
        raise DataError("serve-request", name="outputs", wanted="[{…}, …]", given=type(wanted).__name__)
    names = [output.get("name") for output in wanted]
    if any(name not in OUTPUTS for name in names) or len(set(names)) != len(names):
        given = orjson.dumps(names)[:80].decode(errors="replace")
        raise DataError("serve-request", name="outputs", wanted=", ".join(OUTPUTS), given=given)
    return tuple(
        (name, _flag(_parameters(output), "binary_data", as_bytes)) for name, output in zip(names, wanted, strict=True)
    )


@dataclass(frozen=True, eq=False)
class Writer:
    """Makes responses of probabilities."""

    model: Model

    @cached_property
    def _texts(self) -> list[bytes]:
        return binary.bytes_of_texts(self.model.classes)

    def answer(self, request: Request, probabilities: Values) -> Answer:
        """Return probabilities (N, K) as what a request asks for.

        Raises
        ------
        DataError
            ``serve-no-answer`` if the network gave something else than numbers.
        """
        check_finite(probabilities)
        places: list[int] = probabilities.argmax(axis=1).tolist()
        outputs: list[dict[str, Any]] = []
        raw: list[bytes] = []
        for name, as_bytes in request.outputs:
            if name == OUTPUTS[0]:
                output: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": list(probabilities.shape)}
            else:
                output = {"name": name, "datatype": "BYTES", "shape": [len(places)]}
            if as_bytes:
                raw.append(self._raw(name, probabilities, places))
                output["parameters"] = {"binary_data_size": len(raw[-1])}
            elif name == OUTPUTS[0]:
                output["data"] = probabilities.ravel().tolist()
            else:
                output["data"] = [self.model.classes[place] for place in places]
            outputs.append(output)
        document = {"model_name": self.model.name, "model_version": VERSION, "outputs": outputs}
        if request.id is not None:
            document["id"] = request.id
        head = orjson.dumps(document)
        if not raw:
            return Answer(head)
        length = (HEADER_LENGTH, b"%d" % len(head))
        return Answer(b"".join([head, *raw]), headers=(*BINARY, length))

    def _raw(self, name: str, probabilities: Values, places: list[int]) -> bytes:
        if name == OUTPUTS[0]:
            return np.ascontiguousarray(probabilities, "<f4").tobytes()
        return b"".join([self._texts[place] for place in places])
