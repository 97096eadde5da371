"""``POST /predict``: what goes in, what comes out, and what is refused in which words."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image, ImageDraw

from served import Served, ask, ask_json, digits_run, served, table_run
from sumtoone import Dataset, Network, fit, open_run
from sumtoone.errors import UnavailableError
from sumtoone.photos import prepare
from sumtoone.serving.model import Model
from sumtoone.serving.predicting import Pictures, json_rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def digits(folder: Path) -> Iterator[Served]:
    with served(digits_run(folder), "--max-rows", 100, "--max-pixels", 1_000_000) as server:
        yield server


@pytest.fixture(scope="module")
def table(folder: Path) -> Iterator[Served]:
    with served(table_run(folder), "--max-rows", 100_000) as server:
        yield server


def _probabilities(answer: dict[str, Any]) -> list[list[float]]:
    answers = answer.get("predictions", [answer])
    for one in answers:
        assert one["label"] == max(one["probabilities"], key=one["probabilities"].get)
    return [list(one["probabilities"].values()) for one in answers]


def test_every_form_of_rows_gives_what_the_run_gives(digits: Served, folder: Path) -> None:
    run, rows = open_run(folder / "digits"), np.random.default_rng(1).integers(0, 256, (3, 784), np.uint8)
    expected = run.probabilities(rows).tolist()
    flat, pictures = rows.tolist(), rows.reshape(3, 28, 28).tolist()
    alone: list[Any] = [{"pixels": flat[0]}, {"pixels": pictures[0]}, {"vector": flat[0]}]
    together: list[Any] = [{"pixels": flat}, {"pixels": pictures}, {"vectors": flat}]
    for document in alone:
        status, answer = ask_json(digits, document)
        assert (status, answer["model"], list(answer)) == (200, "digits", ["model", "label", "probabilities"])
        assert _probabilities(answer) == expected[:1]
    for document in [*together, {"pixels": [[float(pixel) for pixel in row] for row in flat]}]:
        status, answer = ask_json(digits, document)
        assert (status, list(answer)) == (200, ["model", "predictions"])
        assert _probabilities(answer) == expected
    status, answer = ask_json(digits, {"pixels": flat[:1]})
    assert _probabilities(answer) == expected[:1]
    assert "predictions" in answer


def test_whole_numbers_are_pixels_however_dark(digits: Served, folder: Path) -> None:
    rows = np.random.default_rng(2).integers(0, 2, (3, 784), np.uint8)
    status, answer = ask_json(digits, {"pixels": rows.tolist()})
    assert status == 200, answer
    assert _probabilities(answer) == open_run(folder / "digits").probabilities(rows).tolist()


def test_a_column_of_whole_numbers_is_one_of_pixels_too(tmp_path: Path) -> None:
    import pyarrow

    rows = np.random.default_rng(3).integers(0, 2, (40, 20), np.uint8)
    names = [f"c{place}" for place in range(20)]
    frame = pyarrow.table(dict(zip(names, rows.T, strict=True)))
    run = fit(Network("20-2"), Dataset.from_arrays(frame, [0, 1] * 20), epochs=1)
    model, expected = Model(run), rows[:2].tolist()
    assert model.pixels
    documents: list[Any] = [
        {"rows": [dict(zip(names, row, strict=True)) for row in expected]},
        {"columns": {name: rows[:2, place].tolist() for place, name in enumerate(names)}},
    ]
    for document in documents:
        found, _ = json_rows(json.dumps(document).encode(), model)
        assert (found.dtype, found.tolist()) == (np.uint8, expected)


def test_a_single_channel_may_be_an_axis(digits: Served, folder: Path) -> None:
    rows = np.random.default_rng(1).integers(0, 256, (3, 784), np.uint8)
    expected = open_run(folder / "digits").probabilities(rows).tolist()
    for shape in ((3, 28, 28, 1), (3, 1, 28, 28)):
        for kind in ("pixels", "vectors"):
            status, answer = ask_json(digits, {kind: rows.reshape(shape).tolist()})
            assert (status, _probabilities(answer)) == (200, expected)
    status, answer = ask_json(digits, {"pixels": rows[0].reshape(28, 28, 1).tolist()})
    assert (status, _probabilities(answer)) == (200, expected[:1])
    assert "predictions" not in answer


def test_a_truncated_picture_is_called_an_image(digits: Served) -> None:
    status, _, answer = ask(digits, body=_one()[:-200], content_type="image/png")
    assert (status, json.loads(answer)["code"]) == (400, "image-broken")
    assert json.loads(answer)["got"].startswith("the image: ")


def test_a_pixel_between_two_levels_is_taken_as_it_is(digits: Served, folder: Path) -> None:
    row = np.linspace(0, 255, 784, dtype=np.float32)
    status, answer = ask_json(digits, {"vector": row.tolist()})
    assert (status, _probabilities(answer)) == (200, open_run(folder / "digits").probabilities(row[None]).tolist())


def _one() -> bytes:
    paper = Image.new("RGB", (300, 200), (250, 240, 200))
    ImageDraw.Draw(paper).line([(60, 40), (60, 160)], fill=(20, 20, 120), width=15)
    file = io.BytesIO()
    paper.save(file, "PNG")
    return file.getvalue()


def test_a_picture_is_prepared_as_predict_prepares_it(digits: Served, folder: Path) -> None:
    run = open_run(folder / "digits")
    expected = run.probabilities(prepare(_one(), digits=True)[None]).tolist()
    status, _, body = ask(digits, body=_one(), content_type="image/png")
    assert (status, _probabilities(json.loads(body))) == (200, expected)
    sent = requests.post(digits.url + "predict", files={"file": ("one.png", _one())}, timeout=60)
    assert (sent.status_code, _probabilities(sent.json())) == (200, expected)


def test_named_columns_decide_and_never_positions(table: Served, folder: Path) -> None:
    run, rows = open_run(folder / "table"), np.array([[0.5, 4.0, 1e-3], [-1.0, 9.0, 2e-3]])
    expected = run.probabilities(rows).tolist()
    (a1, b1, c1), (a2, b2, c2) = rows.tolist()
    documents: list[Any] = [
        {"columns": {"높이": [c1, c2], "b": [b1, b2], "a": [a1, a2]}},
        {"rows": [{"b": b1, "높이": c1, "a": a1}, {"a": a2, "b": b2, "높이": c2}]},
        {"vectors": rows.tolist()},
    ]
    for document in documents:
        status, answer = ask_json(table, document)
        assert (status, _probabilities(answer)) == (200, expected)
    status, answer = ask_json(table, {"columns": {"높이": c1, "b": b1, "a": a1}})
    assert (status, _probabilities(answer)) == (200, expected[:1])
    assert sorted(answer["probabilities"]) == ["narrow", "넓음"]


FLAT = [0, 128, 255, 7] * 196

REFUSED: list[tuple[Any, int, str, str]] = [
    (b"{", 400, "serve-json", "something else at line 1, column 2"),
    (b"[" * 1_000_000, 400, "serve-json", "something else at line 1, column 1026"),
    (b'{"pixels": [NaN]}', 400, "serve-json", "something else at line 1, column 13"),
    (b"", 400, "serve-json", "something else at line 1, column 1"),
    ([1, 2], 400, "serve-document", "list"),
    ({}, 400, "serve-document", "{}"),
    ({"pixels": FLAT, "vector": FLAT}, 400, "serve-document", "pixels, vector"),
    ({"picture": FLAT}, 400, "serve-document", "picture"),
    ({"pixels": "0" * 784}, 400, "serve-numbers", f'"{"0" * 39}'),
    ({"pixels": [*FLAT[:-1], "7"]}, 400, "serve-numbers", '"7"'),
    ({"pixels": [*FLAT[:-1], True]}, 400, "serve-numbers", "true"),
    ({"pixels": [*FLAT[:-1], None]}, 400, "serve-numbers", "null"),
    ({"pixels": {"0": 1}}, 400, "serve-numbers", '{"0":1}'),
    ({"pixels": [[1, 2], [3]]}, 400, "serve-numbers", "[[…], …]"),
    ({"pixels": [[[[[1]]]]]}, 400, "serve-numbers", "[[…], …]"),
    ({"pixels": 7}, 400, "serve-shape", "[]"),
    ({"pixels": []}, 400, "serve-shape", "[0]"),
    ({"pixels": FLAT[1:]}, 400, "serve-shape", "[783]"),
    ({"pixels": [FLAT[:392], FLAT[392:]]}, 400, "serve-shape", "[2, 392]"),
    ({"vectors": FLAT}, 400, "serve-vectors", "vectors of shape [784]"),
    ({"vector": [FLAT]}, 400, "serve-vectors", "vector of shape [1, 784]"),
    ({"pixels": [*FLAT[:-1], 256]}, 400, "serve-pixels", "values from 0 to 256"),
    ({"pixels": [*FLAT[:-1], -1]}, 400, "serve-pixels", "values from -1 to 255"),
    ({"pixels": [pixel / 255 for pixel in FLAT]}, 400, "preprocessing-pixels", "784 values from 0 to 1"),
    ({"pixels": [*[0.0] * 783, 1.0]}, 400, "preprocessing-pixels", "784 values from 0 to 1"),
    ({"pixels": [FLAT] * 101}, 413, "serve-rows", "101 rows"),
    ({"columns": {"a": 1}}, 400, "serve-no-columns", "names"),
    ({"rows": [{"a": 1}]}, 400, "serve-no-columns", "names"),
]


@pytest.mark.parametrize(("document", "status", "code", "got"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(digits: Served, document: Any, status: int, code: str, got: str) -> None:
    answered, answer = ask_json(digits, document)
    assert (answered, answer["code"], answer["got"]) == (status, code, got)
    assert list(answer) == ["error", "code", "expected", "got", "try"]


OF_TABLES: list[tuple[Any, str, str]] = [
    ({"columns": {"a": 1, "b": 2}}, "data-columns", "missing: 높이; not known: -"),
    ({"columns": {"a": 1, "b": 2, "높이": 3, "c": 4}}, "data-columns", "missing: -; not known: c"),
    ({"columns": {"a": [1], "b": [1, 2], "높이": [3]}}, "serve-columns", "a: (1,), b: (2,), 높이: (1,)"),
    ({"columns": {"a": [1], "b": 1, "높이": [3]}}, "serve-columns", "a: (1,), b: (), 높이: (1,)"),
    ({"columns": {"a": "1", "b": 1, "높이": 3}}, "serve-numbers", 'a: "1"'),
    ({"columns": {"a": [1, 2], "b": [1, None], "높이": [3, 4]}}, "serve-numbers", "b: null"),
    ({"rows": [{"a": 1, "b": 2, "높이": 3}, {"a": 1, "b": 2, "높이": True}]}, "serve-numbers", "높이: true"),
    ({"rows": [{"a": [1], "b": [2], "높이": [3]}]}, "serve-columns", "a: (1, 1), b: (1, 1), 높이: (1, 1)"),
    ({"columns": {}}, "serve-columns", "dict"),
    ({"columns": [1, 2, 3]}, "serve-columns", "list"),
    ({"rows": []}, "serve-columns", "list"),
    ({"rows": [{"a": 1}, {"b": 1}]}, "serve-columns", "b"),
    ({"columns": {"a": [], "b": [], "높이": []}}, "serve-no-rows", "none"),
    ({"vector": [1e39, 0, 0]}, "serve-finite", "NaN, infinity, or a number beyond float32"),
    ({"pixels": [1, 2, 3]}, "serve-no-pixels", "pixels or an image"),
]


@pytest.mark.parametrize(("document", "code", "got"), OF_TABLES, ids=range(len(OF_TABLES)))
def test_what_is_refused_of_a_table(table: Served, document: Any, code: str, got: str) -> None:
    status, answer = ask_json(table, document)
    assert (status, answer["code"], answer["got"]) == (400, code, got)


def test_times_keep_their_digits(tmp_path: Path) -> None:
    rows = np.array([[0.0, 5.0, 1.7e9], [0.0, 5.0, 1.7e9 + 1e-3]])
    run = open_run(table_run(tmp_path, far=1.7e9))
    expected = run.probabilities(rows).tolist()
    assert expected[0] != expected[1]
    with served(tmp_path / "table") as server:
        status, answer = ask_json(server, {"vectors": rows.tolist()})
    assert (status, _probabilities(answer)) == (200, expected)


def test_a_whole_refusal(table: Served) -> None:
    status, answer = ask_json(table, {"vector": [1, 2]})
    assert status == 400
    assert answer == {
        "error": "'vector' is one row, 'vectors' is a list of rows "
        "(expected: vector: [x1, …]; vectors: [[x1, …], …]; got: vector of shape [2])",
        "code": "serve-vectors",
        "expected": "vector: [x1, …]; vectors: [[x1, …], …]",
        "got": "vector of shape [2]",
        "try": "use the other name, or nest the list once more or less",
    }


def _form(*parts: bytes) -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + b"--x--\r\n"


FILE = b'Content-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n'
FORM = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"\x89PNG\r\n\x1a\nno", "image/png", 400, "image-broken"),
        (b"GIF8", "image/png", 400, "image-kind"),
        (b"", "image/png", 400, "image-kind"),
        (b"{}", "text/plain", 415, "serve-media-type"),
        (b"{}", "", 415, "serve-media-type"),
        (b"{}", "application/x-www-form-urlencoded", 415, "serve-media-type"),
        (b"no form", FORM, 400, "serve-form"),
        (b"", "multipart/form-data", 400, "serve-form"),
        (_form(FILE + b"x", FILE + b"y"), FORM, 400, "serve-form"),
        (_form(b'Content-Disposition: form-data; name="f"\r\n\r\nx'), FORM, 400, "serve-form"),
        (_form(*[b'Content-Disposition: form-data; name="f"\r\n\r\n'] * 10_000), FORM, 400, "serve-form"),
        (_form(b"no header"), FORM, 400, "serve-form"),
        (_form(FILE + b"x"), FORM, 400, "image-kind"),
        (b"--x--\r\n", FORM, 400, "serve-form"),
    ],
)
def test_pictures_and_forms_that_are_refused(digits: Served, body: bytes, kind: str, status: int, code: str) -> None:
    answered, _, answer = ask(
        digits, body=body, **({"content_type": kind} if kind else {}), content_length=str(len(body))
    )
    assert (answered, json.loads(answer)["code"]) == (status, code)


def test_a_picture_is_measured_before_it_is_decoded(digits: Served, table: Served) -> None:
    file = io.BytesIO()
    Image.new("L", (2000, 1000)).save(file, "PNG")
    status, _, answer = ask(digits, body=file.getvalue(), content_type="image/png")
    found = json.loads(answer)
    assert (status, found["code"], found["got"]) == (413, "serve-image-pixels", "2000 x 1000")
    file = io.BytesIO()
    Image.new("L", (900, 900), 255).save(file, "PNG")
    status, _, answer = ask(digits, body=file.getvalue(), content_type="image/png")
    assert (status, json.loads(answer)["code"]) == (400, "photo-no-ink")
    status, _, answer = ask(table, body=file.getvalue(), content_type="image/png")
    assert (status, json.loads(answer)["code"]) == (400, "serve-no-pixels")


def test_a_compressed_body_is_refused(digits: Served) -> None:
    status, answer = ask_json(digits, {"pixels": FLAT}, content_encoding="gzip")
    assert (status, answer["code"], answer["got"]) == (415, "serve-encoding", "gzip")


def test_an_answer_larger_than_any_buffer_comes_whole_to_who_reads_slowly(table: Served) -> None:
    body = json.dumps({"vectors": [[n % 7, 5.0, 0.0] for n in range(100_000)]}).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", table.port))
        head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        said = b"".join(iter(lambda: connection.recv(65_536), b""))
    answer = json.loads(said.partition(b"\r\n\r\n")[2])
    assert len(said) > 8_000_000
    assert len(answer["predictions"]) == 100_000
    assert answer["predictions"][:7] == answer["predictions"][7:14]


def test_pictures_wait_within_limits(digits: Served, folder: Path) -> None:
    model = Model(open_run(folder / "digits"))
    for deadline, most, code in ((1e12, 0, "serve-full"), (0.0, 1, "serve-late")):
        pictures = Pictures(model, 1000, most)
        with pytest.raises(UnavailableError) as caught:
            asyncio.run(pictures.rows(_one(), deadline))
        assert caught.value.code == code
        pictures.thread.close()


MODULE = """
import torch
class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(2, 2)
    def forward(self, x):
        logits = self.inner(x)
        if (x > 95).any():
            raise MemoryError if (x > 99).any() else ValueError("a secret of the module")
        return torch.where(x[:, :1] > 90, torch.nan, logits)
"""


def test_a_module_of_ones_own_is_served(tmp_path: Path) -> None:
    from sumtoone.adoption.files import module_from_file

    (tmp_path / "own.py").write_text(MODULE)
    network = f"{tmp_path / 'own.py'}:Own"
    rows = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
    run = fit(module_from_file(network, 0), Dataset.from_arrays(rows, [0, 1] * 20), epochs=1, out=tmp_path / "own run")
    with served(tmp_path / "own run", "--network", network, may_say=True) as server:
        assert server.model == "own-run"
        status, answer = ask_json(server, {"vectors": rows.tolist()})
        assert status == 200
        assert _probabilities(answer) == run.probabilities(rows).tolist()
        # (x - 0) / 1, or nearly: the preprocessing was fitted on 40 normal values.
        scale, shift = (float(part[0]) for part in run.preprocessing.step)
        nan, failing, lacking = ([(level - shift) / scale, 0.0] for level in (93, 97, 101))
        status, answer = ask_json(server, {"vector": nan})
        assert (status, answer["code"]) == (400, "serve-no-answer")
        tensor = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": nan}
        status, answer = ask_json(server, {"inputs": [tensor]}, "/v2/models/own-run/infer")
        assert (status, answer["code"]) == (400, "serve-no-answer")
        status, answer = ask_json(server, {"vector": failing})
        assert (status, answer["code"]) == (500, "serve-defect")
        assert "secret" not in json.dumps(answer)
        status, answer = ask_json(server, {"vector": lacking})
        assert (status, answer["code"]) == (503, "serve-full")
        assert ask_json(server, {"vectors": rows.tolist()})[0] == 200
    assert "ValueError: a secret of the module" in server.said


def test_refusals_are_in_the_servers_language(folder: Path, table: Served) -> None:
    with served(folder / "table", "--lang", "ko") as server:
        status, answer = ask_json(server, {"vector": [1, 2, "3"]})
    assert (status, answer["error"]) == (
        400,
        '수가 아닙니다 (기대한 것: 수의 목록, 또는 길이가 같은 목록들; 받은 것: "3")',
    )
