"""What a server lets in: sizes, times, names, sites and tokens; and what its metrics say of it afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from served import Served, ask, ask_json, digits_run, served
from sumtoone import open_run
from sumtoone.errors import SumtooneError, UsageError
from sumtoone.serving.app import Application
from sumtoone.serving.limits import MOST_HELD, Bodies, Gone, Guard, Limits
from sumtoone.serving.model import Model
from sumtoone.serving.server import _many_files

TOKEN = "0123456789abcdef-._~"
PIXELS = {"pixels": [0, 9, 255, 128] * 196}
BODY = json.dumps(PIXELS).encode()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def server(run: Path) -> Iterator[Served]:
    names = ("--allow-host", "Name.Example", "--allow-origin", "https://ours.example")
    with served(run, "--max-body", 10_000, "--read-timeout", 1, "--max-connections", 20, *names) as found:
        yield found


@pytest.fixture(scope="module")
def guarded(run: Path) -> Iterator[Served]:
    with served(run, "--host", "0.0.0.0", env={"SUMTOONE_TOKEN": TOKEN}) as found:
        yield found


def _said(served: Served, *parts: bytes) -> bytes:
    """Send bytes as they are, and return all that comes until the server closes."""
    connection = served.connect()
    for part in parts:
        connection.sendall(part)
    return _rest(connection)


def _rest(connection: socket.socket) -> bytes:
    """Return all that comes until the server closes."""
    found = b""
    with connection, contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65_536):
            found += more
    return found


def _status(said: bytes) -> int:
    return int(said.split(b" ", 2)[1])


def _head(path: bytes = b"/predict", *lines: bytes, method: bytes = b"POST") -> bytes:
    start = (method + b" " + path + b" HTTP/1.1", b"Host: localhost", b"Content-Type: application/json")
    return b"\r\n".join([*start, *lines, b"", b""])


# --- names, sites, tokens


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:1", 200),
        ("LOCALHOST.", 200),
        ("127.0.0.1:8000", 200),
        ("10.1.2.3", 200),
        ("[::1]:8000", 200),
        ("name.example:80", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost:80@evil.example", 421),
        ("localhost:x", 421),
        ("[::1", 421),
        ("[evil]", 421),
        ("[::1]x", 421),
        ("lócalhost", 421),
        ("a b", 421),
        ("", 421),
    ],
)
def test_only_names_of_ours_are_answered(server: Served, host: str, status: int) -> None:
    answered, _, body = ask(server, path="/v2/health/live", method="GET", host=host)
    assert answered == status
    assert status == 200 or json.loads(body)["code"] == "serve-host"


def test_every_name_where_one_wants_it_so(run: Path) -> None:
    with served(run, "--allow-host", "*") as server:
        for number in range(70):
            assert ask(server, path="/v2/health/live", method="GET", host=f"a{number}.example")[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:7", "host": "localhost:7"}, 200),
        ({"origin": "https://ours.example"}, 200),
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://localhost:8", "host": "localhost:7"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
    ],
)
def test_pages_of_other_sites_may_not_post(server: Served, headers: dict[str, str], status: int) -> None:
    answered, answer = ask_json(server, PIXELS, **headers)
    assert answered == status
    assert status == 200 or answer["code"] == "serve-origin"


def test_another_site_reads_only_where_it_is_allowed(server: Served, guarded: Served) -> None:
    asked = {"access_control_request_method": "POST", "access_control_request_headers": "content-type"}
    status, headers, _ = ask(server, method="OPTIONS", origin="https://ours.example", **asked)
    assert (status, headers["access-control-allow-origin"]) == (200, "https://ours.example")
    assert headers["access-control-allow-methods"] == "GET, POST"
    assert "content-type" in headers["access-control-allow-headers"].lower().split(", ")
    for refused, origin, code in (
        (405, "https://evil.example", "serve-method"),
        (421, "https://ours.example", "serve-host"),
    ):
        host = "evil.example" if refused == 421 else "localhost"
        status, headers, body = ask(server, method="OPTIONS", origin=origin, host=host, **asked)
        assert (status, json.loads(body)["code"], headers["vary"]) == (refused, code, "Origin")
        assert ("access-control-allow-origin" in headers) == (refused == 421)
    status, headers, _ = ask(server, body=BODY, origin="https://ours.example", content_type="application/json")
    assert (status, headers["access-control-allow-origin"]) == (200, "https://ours.example")
    status, headers, _ = ask(guarded, method="OPTIONS", origin="https://ours.example", **asked)
    assert (status, "access-control-allow-origin" in headers) == (405, False)


def test_a_token_opens_what_is_closed_without(guarded: Served) -> None:
    assert guarded.url.endswith(f"/?token={TOKEN}")
    paths = ["/metrics", "/openapi.json", "/v2", "/v2/models/digits", "/page/model.json", "/predict", "/nothing"]
    for path in paths:
        for headers in ({}, {"authorization": "Bearer x"}, {"authorization": TOKEN}, {"cookie": f"a=b; c={TOKEN}"}):
            status, found, body = ask(guarded, path=path, method="GET", **headers)
            assert (status, json.loads(body)["code"], found["www-authenticate"]) == (401, "serve-token", "Bearer")
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert ask(guarded, path=path, method="GET")[0] == 200
    assert ask_json(guarded, PIXELS, authorization=f"Bearer {TOKEN}")[0] == 200
    assert ask_json(guarded, PIXELS, authorization=f"bearer {TOKEN}")[0] == 200


def test_the_page_is_opened_by_its_address_and_keeps_a_cookie(guarded: Served) -> None:
    status, headers, _ = ask(guarded, path="/?token=wrong", method="GET")
    assert status == 401
    status, headers, _ = ask(guarded, path=f"/?token={TOKEN}", method="GET")
    assert (status, headers["location"], headers["referrer-policy"]) == (303, "./", "no-referrer")
    cookie, *rules = headers["set-cookie"].split("; ")
    assert rules == ["Path=/", "HttpOnly", "SameSite=Strict"]
    assert TOKEN not in cookie
    assert ask_json(guarded, PIXELS, cookie=f"x=y; {cookie}")[0] == 200
    assert ask_json(guarded, PIXELS, cookie=cookie[:-1])[0] == 401


# --- sizes


def test_bodies_are_measured_as_they_come(server: Served) -> None:
    large = b"x" * 10_001
    status, answer = ask_json(server, large)
    assert (status, answer["code"], answer["expected"]) == (413, "serve-body", "at most 10,000 bytes")
    assert ask_json(server, b" " * (10_000 - len(BODY)) + BODY)[0] == 200
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    said = _said(server, _head(b"/predict", b"Transfer-Encoding: chunked"), *[chunk] * 4, b"0\r\n\r\n", b"x y\r\n\r\n")
    assert _status(said) == 413
    good = [b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:1000], BODY[1000:])]
    said = _said(server, _head(b"/predict", b"Transfer-Encoding: chunked"), *good, b"0\r\n\r\n", b"x y\r\n\r\n")
    assert _status(said) == 200
    assert b'"label"' in said


def test_who_leaves_in_the_middle_is_forgotten(server: Served) -> None:
    with server.connect() as connection:
        connection.sendall(_head(b"/predict", b"Content-Length: 100") + b"{")
    with server.connect() as connection:
        connection.sendall(_head(b"/predict", b"Content-Length: %d" % len(BODY)) + BODY)
    assert ask_json(server, PIXELS)[0] == 200


@pytest.mark.parametrize(
    ("most", "held", "parts", "code"),
    [
        (1000, MOST_HELD - 2, 1, "serve-full"),
        (1000, MOST_HELD - 5, 2, "serve-full"),
        (2, 0, 1, "serve-body"),
        (5, 0, 2, "serve-body"),
        (6, MOST_HELD - 6, 2, None),
    ],
)
def test_all_bodies_together_have_a_limit(most: int, held: int, parts: int, code: str | None) -> None:
    """A unit, as the bodies would be 256 MiB; one that is refused is held no more."""
    sent = [{"type": "http.request", "body": b"abc", "more_body": left > 0} for left in reversed(range(parts))]

    async def receive() -> dict[str, Any]:
        return sent.pop(0)

    bodies = Bodies(most)
    bodies.held = held
    if code is None:
        body = asyncio.run(bodies.read({}, receive))
        bodies.release(len(body))
    else:
        with pytest.raises(SumtooneError) as caught:
            asyncio.run(bodies.read({}, receive))
        assert caught.value.code == code
    assert bodies.held == held


@pytest.mark.parametrize("before", [0, 1])
def test_the_body_of_who_leaves_is_held_no_more(before: int) -> None:
    sent = [*[{"type": "http.request", "body": b"abc", "more_body": True}] * before, {"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        return sent.pop(0)

    bodies = Bodies(1000)
    with pytest.raises(Gone):
        asyncio.run(bodies.read({}, receive))
    assert bodies.held == 0


def test_bodies_that_were_answered_are_held_no_more(run: Path) -> None:
    """An application by itself: in a process, 256 MiB would have to pass before any is missed."""
    limits = Limits(2**20, pixels=10_000, queue=10, deadline=60, read_timeout=60, grace=1, connections=10)
    application = Application(Model(open_run(run)), limits, Guard())
    picture = io.BytesIO()
    stroke = Image.new("L", (60, 60), 255)
    stroke.paste(0, (27, 10, 33, 50))
    stroke.save(picture, "PNG")
    asked = [
        (BODY, b"application/json", 200),
        (b"{", b"application/json", 400),
        (picture.getvalue(), b"image/png", 200),
    ]
    asked += [
        (b"no picture", b"image/png", 400),
        (BODY, b"text/plain", 415),
        (BODY, b"multipart/form-data", 400),
    ]

    async def answered(body: bytes, kind: bytes) -> int:
        sent: list[Any] = []
        held: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            held.append(application._bodies.held)
            sent.append(message)

        headers = [(b"host", b"localhost"), (b"content-type", kind)]
        await application({"type": "http", "method": "POST", "path": "/predict", "headers": headers}, receive, send)
        assert held == [0, 0]
        status: int = sent[0]["status"]
        return status

    try:
        assert [asyncio.run(answered(body, kind)) for body, kind, _ in asked] == [status for _, _, status in asked]
    finally:
        application.close()


def test_more_connections_than_files_are_made_room_for() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        with _many_files(1000):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(1128, before[1])
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 512
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_flood_after_the_answer_is_cut(server: Served) -> None:
    flood = b"x" * 50_000_000
    with server.connect() as connection, pytest.raises(OSError, match=r"reset|pipe"):
        connection.sendall(_head(b"/predict", b"Content-Length: %d" % len(flood)) + flood)


def test_heads_have_an_end(server: Served) -> None:
    assert _status(_said(server, b"GET / HTTP/1.1\r\n", *[b"X-%d: %s\r\n" % (n, b"y" * 8000) for n in range(9)])) == 431
    assert _status(_said(server, b"GET /" + b"x" * 70_000)) == 431
    assert ask(server, path="/v2", method="GET", x="y" * 60_000)[0] == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nX: 1\r\nX: 2\r\nConnection: close\r\n\r\n", 200),
        (b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade, close\r\n\r\n", 200),
        (b"GET /v2 HTTP/1.0\r\nHost: localhost\r\n\r\n", 200),
        (b"GET /v2 HTTP/1.1\r\nConnection: close\r\n\r\n", 421),
    ],
)
def test_what_is_hardly_http(server: Served, sent: bytes, status: int) -> None:
    said = _said(server, sent)
    assert _status(said) == status, said
    head, _, body = said.partition(b"\r\n\r\n")
    if status != 200:
        assert set(json.loads(body)) == {"error", "code", "expected", "got", "try"}
        assert b"content-type: application/json" in head


def test_requests_behind_one_another_are_answered_in_their_order_but_not_without_end(server: Served) -> None:
    paths = [b"/v2/health/live", b"/v2/health/ready"] * 50
    last = _head(b"/v2", b"Connection: close", method=b"GET")
    said = _said(server, b"".join(_head(path, method=b"GET") for path in paths) + last)
    assert re.findall(rb'"(live|ready|name)":', said) == [*[b"live", b"ready"] * 50, b"name"]
    said = _said(server, _head(b"/v2", method=b"GET") * 2000)
    assert 100 < said.count(b"HTTP/1.1 200") < 400


def test_garbage_behind_a_good_request_takes_its_answer_from_nobody(server: Served) -> None:
    good = _head(b"/predict", b"Content-Length: %d" % len(BODY)) + BODY
    said = _said(server, good + b"\x00\x01garbage\r\n\r\n")
    assert (_status(said), said.count(b"HTTP/1.1")) == (200, 1)
    said = _said(server, good + good + _head(b"/v2", b"Connection: close", method=b"GET"))
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"200"] * 3


# --- times


def test_slow_and_silent_clients_are_cut(server: Served) -> None:
    heads = [_head(b"/predict", b"Content-Length: 100"), _head(b"/predict", b"Transfer-Encoding: chunked") + b"1\r\n{"]
    slow = [b"", b"POST /pre", *heads]
    connections = [server.connect() for _ in slow]
    for connection, sent in zip(connections, slow, strict=True):
        connection.sendall(sent)
    said = []
    for connection in connections:
        with connection:
            said.append(connection.recv(65_536))
            assert connection.recv(1) == b""
    assert said[0] == b""
    for one in said[1:]:
        assert _status(one) == 408
        assert json.loads(one.partition(b"\r\n\r\n")[2])["expected"] == "all of it within 1 seconds"
    assert ask_json(server, PIXELS)[0] == 200


def test_who_does_not_read_the_answers_is_cut(server: Served) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", server.port))
        with pytest.raises(OSError, match=r"reset|pipe"):
            connection.sendall(_head(b"/openapi.json", method=b"GET") * 100_000)
    assert ask_json(server, PIXELS)[0] == 200


def test_one_connection_too_many_is_told_so(server: Served) -> None:
    idle = [server.connect() for _ in range(20)]
    for connection in idle:
        connection.sendall(_head(b"/v2", method=b"GET"))
        assert b"200" in connection.recv(65_536)
    said = _said(server)
    assert (_status(said), b"retry-after: 1" in said) == (503, True)
    for connection in idle:
        connection.close()


def test_a_deadline_that_is_over_is_told(run: Path) -> None:
    picture = io.BytesIO()
    Image.effect_noise((2000, 2000), 90).save(picture, "PNG")
    with served(run, "--deadline", "0.001") as server:
        status, _, body = ask(server, body=picture.getvalue(), content_type="image/png")
        assert (status, json.loads(body)["code"]) == (504, "serve-late")


WAITING = """
import pathlib, time, torch
class Waiting(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(2, 2)
    def forward(self, x):
        go = pathlib.Path(__file__).with_name("go")
        while (x > 90).any() and not go.exists():
            time.sleep(0.01)
        return self.inner(x)
"""


def _until(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < end


def _metric(server: Served, name: str) -> float:
    body = ask(server, path="/metrics", method="GET")[2].decode()
    return float(re.findall(rf"^sumtoone_{name} (\S+)$", body, re.M)[0])


def test_a_full_queue_and_a_deadline_refuse_and_compute_nothing(tmp_path: Path) -> None:
    """A module that waits holds the queue up: the second request waits, the third is refused."""
    from sumtoone import Dataset, fit
    from sumtoone.adoption.files import module_from_file

    network = f"{tmp_path / 'waiting.py'}:Waiting"
    (tmp_path / "waiting.py").write_text(WAITING)
    rows = [[float(n % 7), 1.0] for n in range(40)]
    fit(module_from_file(network, 0), Dataset.from_arrays(rows, [0, 1] * 20), epochs=1, out=tmp_path / "run")
    options = ("--network", network, "--queue", 1, "--deadline", 0.5, "--grace", 0.5)
    with served(tmp_path / "run", *options) as server, ThreadPoolExecutor(1) as others:
        held = json.dumps({"vector": [1e6, 0]}).encode()
        connection = server.connect()
        connection.sendall(_head(b"/predict", b"Content-Length: %d" % len(held)) + held)
        _until(lambda: _metric(server, "queue_seconds_count") == 1)
        second = others.submit(ask_json, server, {"vectors": [[1, 2], [3, 4]]})
        _until(lambda: _metric(server, "queue_waiting") == 1)
        status, headers, body = ask(server, body=b"x", content_type="application/json")
        assert (status, headers["retry-after"], json.loads(body)["code"]) == (503, "1", "serve-full")
        time.sleep(0.6)  # past the deadline of the second
        # What comes behind a whole request takes nothing from it, be it garbage.
        connection.sendall(b"\x00\x01\r\n\r\n")
        _until(lambda: _metric(server, "queue_waiting") == 1)
        connection.sendall(b"and more")
        (tmp_path / "go").touch()
        with connection:
            said = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert (_status(said), said.count(b"HTTP/1.1")) == (200, 1)
        status, answer = second.result()
        assert (status, answer["code"]) == (504, "serve-late")
        assert _metric(server, "rows_total") == 1
        assert ask_json(server, {"vectors": [[1, 2], [3, 4]]})[0] == 200
    # A computation without an end does not keep the server beyond its grace.
    (tmp_path / "go").unlink()
    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        with served(tmp_path / "run", *options) as server, server.connect() as connection:
            connection.sendall(_head(b"/predict", b"Content-Length: %d" % len(held)) + held)
            _until(lambda: _metric(server, "queue_seconds_count") == 1)
            assert server.stop(number) == code


SLOW_STORAGE = """
import threading
from pathlib import Path
from sumtoone import page, photos
marks = Path(__file__).parent
def never(*given, **named):
    (marks / "begun").touch()
    threading.Event().wait()
photos.prepare = page.document = never
"""


@pytest.mark.parametrize(("method", "path"), [("GET", "/page/model.json"), ("POST", "/predict")])
def test_storage_that_gives_nothing_does_not_keep_the_server(run: Path, tmp_path: Path, method: str, path: str) -> None:
    """What reads a document or decodes a picture waits without end: the server leaves after its grace."""
    (tmp_path / "sitecustomize.py").write_text(SLOW_STORAGE)
    picture = io.BytesIO()
    Image.new("L", (28, 28)).save(picture, "PNG")
    with served(run, "--grace", 0.5, new=True, env={"PYTHONPATH": str(tmp_path)}) as server:
        body = picture.getvalue() if method == "POST" else b""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        with server.connect() as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            _until((tmp_path / "begun").exists)
            assert server.stop() == 0


# --- metrics


def test_the_metrics_add_up(run: Path) -> None:
    names = ("--allow-origin", "https://ours.example", "--max-connections", 3, "--read-timeout", 2)
    with served(run, *names) as server:
        # What the connections themselves refuse, first: nothing else may be connected still.
        bad = {server.connect(): sent for sent in (b"GET\r\n\r\n", b"GET /" + b"x" * 70_000, b"GET /")}
        assert _status(_said(server)) == 503
        for connection, sent in bad.items():
            connection.sendall(sent)
        assert [_status(_rest(connection)) for connection in bad] == [400, 431, 408]
        for _ in range(5):
            assert ask_json(server, PIXELS)[0] == 200
        assert ask_json(server, {"pixels": [PIXELS["pixels"]] * 7})[0] == 200
        assert ask_json(server, {})[0] == 400
        assert ask(server, path="/v2/models/x", method="GET")[0] == 404
        assert ask(server, path="/nothing", method="GET")[0] == 404
        assert ask(server, path="/predict", host="evil.example")[0] == 421
        asked = {"access_control_request_method": "POST"}
        for origin, answered in (("https://ours.example", 200), ("https://evil.example", 405)):
            assert ask(server, method="OPTIONS", origin=origin, **asked)[0] == answered
        status, headers, body = ask(server, path="/metrics", method="GET")
        assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        found = dict(re.findall(r"^(sumtoone_\S+) (\S+)$", body.decode(), re.M))
        counted = {name: float(value) for name, value in found.items() if "_requests_total" in name}
    assert counted == {
        'sumtoone_requests_total{path="/predict",status="200"}': 6.0,
        'sumtoone_requests_total{path="/predict",status="400"}': 1.0,
        'sumtoone_requests_total{path="/predict",status="405"}': 1.0,
        'sumtoone_requests_total{path="/v2/models/{model}",status="404"}': 1.0,
        'sumtoone_requests_total{path="other",status="200"}': 1.0,
        **{f'sumtoone_requests_total{{path="other",status="{n}"}}': 1.0 for n in (400, 404, 408, 421, 431, 503)},
    }
    numbers = {
        name: float(found[f"sumtoone_{name}"]) for name in ("rows_total", "batch_rows_sum", "queue_seconds_count")
    }
    assert numbers == {"rows_total": 12.0, "batch_rows_sum": 12.0, "queue_seconds_count": 6.0}
    assert found["sumtoone_batch_requests_sum"] == "6.0"
    assert found["sumtoone_queue_waiting"] == "0.0"
    assert found["sumtoone_compute_seconds_count"] == found["sumtoone_batch_rows_count"] == "6.0"


@pytest.mark.parametrize("said", ["evil.example", "Evil.Example.", "evil.example:8000"])
def test_the_advice_about_a_host_can_be_followed(said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Guard().check("GET", "/predict", {b"host": said.encode()})
    assert caught.value.try_ == "start the server with --allow-host evil.example"
    for advised in (said, "evil.example"):
        Guard((advised,)).check("GET", "/predict", {b"host": said.encode()})


@pytest.mark.parametrize("given", ["https://evil.example", "a b", ""])
def test_what_is_no_host_is_not_allowed_in_silence(given: str) -> None:
    with pytest.raises(UsageError) as caught:
        Guard((given,))
    assert caught.value.code == "serve-allow-host"
