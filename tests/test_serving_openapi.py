"""The description of the HTTP interface holds: what it says is answered so, whatever is sent."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from served import Served, ask, ask_json, digits_run, served, table_run
from sumtoone.data import images

with warnings.catch_warnings():
    # Its libraries warn of one another when they are loaded.
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode


@pytest.fixture(scope="module", params=["digits", "table"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    make = {"digits": digits_run, "table": table_run}[request.param]
    with served(make(tmp_path_factory.mktemp("runs"))) as found:
        yield found


@pytest.mark.no_cover
@pytest.mark.parametrize("server", ["table"], indirect=True)  # that of images is asked by test_serving_load.py
def test_every_operation_answers_as_it_is_described(server: Served) -> None:
    """Statuses, types and documents of answers are those that the description knows, and none is a failure."""
    schema = schemathesis.openapi.from_url(server.url + "openapi.json")
    seen: dict[str, set[int]] = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        strategy = st.one_of(operation.as_strategy(mode) for mode in GenerationMode)

        @settings(max_examples=10, suppress_health_check=list(HealthCheck))
        @given(strategy)
        def check(case: Any) -> None:
            response = case.call()
            seen.setdefault(case.operation.label, set()).add(response.status_code)
            case.validate_response(response, checks=_checks())

        check()
    assert len(seen) == 12
    assert {200, 404} <= seen["GET /page/{name}"]
    assert not {status for statuses in seen.values() for status in statuses if status >= 500}
    assert {200, 400} <= seen["POST /predict"]
    assert {200, 404} <= seen["GET /v2/models/{model}/versions/{version}"]
    assert ask_json(server, {"vector": [9.0] * 3})[0] == 200


ROW = [7] * 784
TABLE = {"a": 1.5, "b": 2, "높이": 3}
LISTS = {name: [value] * 2 for name, value in TABLE.items()}
PICTURES = [ROW, [[7] * 28] * 28, [[[7]] * 28] * 28]


FORMS: dict[str, list[dict[str, Any]]] = {
    "digits": [
        *({"pixels": picture} for picture in PICTURES),
        *({"pixels": [picture] * 2} for picture in PICTURES),
        *({"vector": picture} for picture in PICTURES),
        *({"vectors": [picture] * 2} for picture in PICTURES),
    ],
    "table": [
        {"vector": [1.5, 2, 3]},
        {"vectors": [[1.5, 2, 3]] * 2},
        {"columns": TABLE},
        {"columns": LISTS},
        {"rows": [TABLE] * 2},
    ],
}


def test_each_form_of_a_body_is_described(server: Served) -> None:
    described = json.loads(ask(server, path="/openapi.json", method="GET")[2])
    schema = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    for body in FORMS[server.model]:
        assert ask_json(server, body)[0] == 200
        jsonschema.validate(body, schema)
        ((kind, value),) = body.items()
        deeper = {kind: [[[[value]]]]}
        assert ask_json(server, deeper)[0] == 400
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(deeper, schema)


def test_each_type_of_a_body_is_described(server: Served) -> None:
    paths = json.loads(ask(server, path="/openapi.json", method="GET")[2])["paths"]
    kinds = {f"image/{name.lower()}" for name in images.FORMATS} | {"multipart/form-data"}
    taken = {"application/json"} | (kinds if server.model == "digits" else set())
    assert set(paths["/predict"]["post"]["requestBody"]["content"]) == taken
    infer = paths["/v2/models/{model}/infer"]["post"]["requestBody"]["content"]
    assert set(infer) == {"application/json", "application/octet-stream"}
    assert {"404", "409"} <= set(paths["/page/{name}"]["get"]["responses"])


def _checks() -> list[Any]:
    from schemathesis import checks

    names = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
    return [getattr(checks, name, None) or checks.CHECKS.get_one(name) for name in names]
