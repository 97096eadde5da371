"""The description of the HTTP interface, as OpenAPI 3.1 has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sumtoone.language import text
from sumtoone.serving.binary import TYPES
from sumtoone.serving.inference_protocol import HEADER_LENGTH, INPUT, OUTPUTS, VERSION
from sumtoone.serving.model import Model
from sumtoone.version import __version__

# What Pillow is let decode.
IMAGES = ("image/png", "image/jpeg", "image/bmp", "image/gif", "image/webp")
_BYTES = {"type": "string", "format": "binary"}
_NUMBER: dict[str, Any] = {"type": "number"}
_ERROR = {"$ref": "#/components/schemas/Error"}
# What may be refused anywhere; what a body can be refused for besides.
_ANYWHERE = ("400", "401", "403", "408", "421", "431", "500", "503")
_OF_BODIES = ("413", "415", "504")


def document(model: Model) -> dict[str, Any]:
    """Return the description of what a server of this model answers."""
    return {
        "openapi": "3.1.0",
        "info": {"title": f"sumtoone: {model.name}", "version": __version__},
        "paths": {
            "/predict": {"post": _predict(model)},
            "/v2": {"get": _get("server", {"type": "object", "required": ["name", "version", "extensions"]})},
            "/v2/health/live": {"get": _get("live", _flags("live"))},
            "/v2/health/ready": {"get": _get("ready", _flags("ready"))},
            **_of_model(
                model, "", {"get": _get("model", {"type": "object", "required": ["name", "inputs", "outputs"]})}
            ),
            **_of_model(model, "/ready", {"get": _get("model-ready", _flags("ready"))}),
            **_of_model(model, "/infer", {"post": _infer(model)}),
            "/page/{name}": {"get": _page()},
            "/metrics": {"get": _get("metrics", {"type": "string"}, "text/plain")},
            "/openapi.json": {"get": _get("openapi", {"type": "object", "required": ["openapi", "paths"]})},
        },
        "components": {
            "schemas": {"Error": _error(), "Prediction": _prediction(model)},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _error() -> dict[str, Any]:
    names = ("error", "code", "expected", "got", "try")
    return {"type": "object", "required": list(names), "properties": {name: {"type": "string"} for name in names}}


def _prediction(model: Model) -> dict[str, Any]:
    probabilities = {
        "type": "object",
        "required": list(model.classes),
        "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
    }
    properties = {"label": {"enum": list(model.classes)}, "probabilities": probabilities}
    return {"type": "object", "required": ["label", "probabilities"], "properties": properties}


def _get(key: str, schema: dict[str, Any], media_type: str = "application/json") -> dict[str, Any]:
    return {"summary": text(f"serving.paths.{key}"), "responses": _responses(schema, media_type)}


def _page() -> dict[str, Any]:
    responses = _responses({"type": "object"})
    responses["200"]["content"]["application/octet-stream"] = {"schema": _BYTES}
    return {
        "summary": text("serving.paths.page"),
        "parameters": [
            {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}, "example": "model.json"},
            # Of which run, by its fingerprint: 409 where it is another.
            {"name": "run", "in": "query", "schema": {"type": "string"}},
        ],
        "responses": {**responses, **dict.fromkeys(("404", "409"), responses["400"])},
    }


def _flags(name: str) -> dict[str, Any]:
    return {"type": "object", "required": [name], "properties": {name: {"type": "boolean"}}}


def _responses(
    schema: dict[str, Any], media_type: str = "application/json", besides: tuple[str, ...] = ()
) -> dict[str, Any]:
    refusal = {"description": text("serving.paths.refused"), "content": {"application/json": {"schema": _ERROR}}}
    good = {"description": text("serving.paths.answered"), "content": {media_type: {"schema": schema}}}
    return {"200": good, **dict.fromkeys((*_ANYWHERE, *besides), refusal)}


def _of_model(model: Model, path: str, item: dict[str, Any]) -> dict[str, Any]:
    known = {"model": model.name, "version": VERSION}

    def with_names(*names: str) -> dict[str, Any]:
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": [known[name]]}}
            for name in names
        ]
        verbs = {verb: {**operation} for verb, operation in item.items()}
        for operation in verbs.values():
            operation["responses"] = {**operation["responses"], "404": operation["responses"]["400"]}
            operation["parameters"] = [*operation.get("parameters", []), *parameters]
        return verbs

    return {
        f"/v2/models/{{model}}{path}": with_names("model"),
        f"/v2/models/{{model}}/versions/{{version}}{path}": with_names("model", "version"),
    }


def _predict(model: Model) -> dict[str, Any]:
    value = {"type": "integer", "minimum": 0, "maximum": 255} if model.pixels else _NUMBER
    one = {"anyOf": [_nested(shape, value) for shape in model.shapes]}
    # All rows of a request have one shape.
    several = {"anyOf": [_several(model, _nested(shape, value)) for shape in model.shapes]}
    kinds = [_only("vector", one), _only("vectors", several)]
    content: dict[str, Any] = {}
    if model.takes_images:
        kinds.append(_only("pixels", {"anyOf": [*one["anyOf"], *several["anyOf"]]}))
        content = {kind: {"schema": _BYTES} for kind in IMAGES}
        content["multipart/form-data"] = {"schema": _only("file", _BYTES)}
    if model.run.columns is not None:
        named, listed = (_named(model.run.columns, schema) for schema in (value, _several(model, value)))
        kinds += [_only("columns", {"anyOf": [named, listed]}), _only("rows", _several(model, named))]
    content["application/json"] = {"schema": {"oneOf": kinds}}
    prediction = {"$ref": "#/components/schemas/Prediction"}
    predictions = {"type": "array", "items": prediction}
    found = {"type": "object", "required": ["model", "predictions"], "properties": {"predictions": predictions}}
    return {
        "summary": text("serving.paths.predict"),
        "requestBody": {"required": True, "content": content},
        "responses": _responses({"anyOf": [prediction, found]}, besides=_OF_BODIES),
    }


def _nested(shape: tuple[int, ...], value: dict[str, Any]) -> dict[str, Any]:
    for length in reversed(shape):
        value = {"type": "array", "items": value, "minItems": length, "maxItems": length}
    return value


def _several(model: Model, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema, "minItems": 1, "maxItems": model.most_rows}


def _named(columns: Sequence[str], schema: dict[str, Any]) -> dict[str, Any]:
    properties = dict.fromkeys(columns, schema)
    return {"type": "object", "required": list(columns), "properties": properties, "additionalProperties": False}


def _only(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": [name], "properties": {name: schema}, "additionalProperties": False}


def _infer(model: Model) -> dict[str, Any]:
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"const": INPUT},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "datatype": {"enum": list(TYPES)},
            "data": {"type": "array"},
        },
    }
    output = {"type": "object", "required": ["name"], "properties": {"name": {"enum": list(OUTPUTS)}}}
    request = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "inputs": {"type": "array", "items": tensor, "minItems": 1, "maxItems": 1},
            "outputs": {"type": "array", "items": output, "maxItems": len(OUTPUTS)},
        },
    }
    response = {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {"model_name": {"const": model.name}, "model_version": {"const": VERSION}},
    }
    responses = _responses(response, besides=_OF_BODIES)
    responses["200"]["content"]["application/octet-stream"] = {"schema": _BYTES}
    # With its length in the header, JSON may have the tensor's bytes behind it: then it is no JSON any more.
    content = {"application/json": {"schema": request}, "application/octet-stream": {"schema": _BYTES}}
    header = {"name": HEADER_LENGTH.decode(), "in": "header", "schema": {"type": "integer", "minimum": 0}}
    return {
        "summary": text("serving.paths.infer"),
        "parameters": [header],
        "requestBody": {"required": True, "content": content},
        "responses": responses,
    }
