"""``sumtoone serve``: its beginning, its end, and what it refuses before it begins."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

import warm
from served import Served, ask, ask_json, digits_run, served
from sumtoone.cli import app, main
from test_json_documents import READY, picture

PIXELS = {"pixels": [0, 9, 255, 128] * 196}
BODY = json.dumps(PIXELS).encode()
REQUEST = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
REQUEST %= (len(BODY), BODY)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits_run(tmp_path_factory.mktemp("runs"))


def test_it_says_where_it_is_and_ends_with_nothing_on_sigterm(run: Path) -> None:
    with served(run, new=True) as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", server.url)
        assert server.model == "digits"
        assert json.dumps(picture(server.ready)) == json.dumps(READY)
        assert ask_json(server, PIXELS)[0] == 200
        assert server.stop(signal.SIGTERM) == 0
    assert server.said == f"The page and the predictions are at {server.url} (Ctrl-C ends it)\n"


def test_ctrl_c_is_an_interruption(run: Path) -> None:
    with served(run, "--lang", "ko") as server:
        assert server.stop(signal.SIGINT) == 130
    assert server.said == f"페이지와 예측은 {server.url}에 있습니다 (Ctrl-C로 끝냅니다)\n중단했습니다\n"


def test_the_address_alone_when_it_is_to_be_quiet(run: Path) -> None:
    with served(run, "--quiet") as server:
        assert ask(server, path="/v2/health/live", method="GET")[0] == 200
    assert server.said == ""


@pytest.mark.parametrize("moment", range(5))
def test_what_was_accepted_is_answered_after_sigterm(run: Path, moment: int) -> None:
    """Eight clients ask without a pause; every request that was sent on an open connection has its answer."""
    lost: list[str] = []
    answered = [0] * 8
    begun = threading.Semaphore(0)

    def one(server: Served, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        with contextlib.closing(connection):
            while True:
                try:
                    if connection.sock is None:
                        connection.connect()
                except ConnectionRefusedError:
                    return  # nobody listens any more
                try:
                    connection.request("POST", "/predict", BODY, {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    answer.read()
                except (OSError, http.client.HTTPException) as error:
                    lost.append(repr(error))
                    return
                if answer.status != 200:
                    lost.append(f"{answer.status}")
                answered[number] += 1
                begun.release()

    with served(run) as server:
        threads = [threading.Thread(target=one, args=(server, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(50 + 17 * moment):
            assert begun.acquire(timeout=30)
        assert server.stop() == 0
        for thread in threads:
            thread.join()
    assert lost == []
    assert min(answered) > 0


@pytest.mark.parametrize("cut", [9, 70, -10])
def test_a_request_that_pauses_in_its_head_or_body_is_answered_after_sigterm(run: Path, cut: int) -> None:
    # Limits that no busy machine reaches.
    with (
        served(run, "--grace", "600", "--read-timeout", "600") as server,
        server.connect() as slow,
        server.connect() as idle,
    ):
        slow.sendall(REQUEST[:cut])
        idle.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        # To its last byte: head and body may come apart.
        with http.client.HTTPResponse(idle) as answer:
            answer.begin()
            assert answer.status == 200
            answer.read()
        os.kill(server.pid, signal.SIGTERM)
        # Closed when it was silent for long enough; the other one was silent for longer.
        assert idle.recv(65_536) == b""
        slow.sendall(REQUEST[cut:])
        said = b"".join(iter(lambda: slow.recv(65_536), b""))
        assert said.startswith(b"HTTP/1.1 200")
        assert server.wait() == 0


def test_it_is_not_ready_from_the_moment_it_is_told_to_leave(run: Path) -> None:
    with served(run) as server:
        slow = server.connect()
        slow.sendall(REQUEST[:-10])
        assert ask(server, path="/v2/health/ready", method="GET")[0] == 200
        signal_sent = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        _until(lambda: ask(server, path="/v2/health/ready", method="GET")[0] == 503)
        assert json.loads(ask(server, path="/v2/models/digits/ready", method="GET")[2])["ready"] is False
        status, headers, _ = ask(server, path="/v2/health/live", method="GET")
        assert (status, headers["connection"]) == (200, "close")
        # What had begun to come is taken to its end.
        slow.sendall(REQUEST[-10:])
        with slow:
            said = b"".join(iter(lambda: slow.recv(65_536), b""))
        assert said.startswith(b"HTTP/1.1 200")
        assert server.wait() == 0
        assert time.monotonic() - signal_sent < 15
        with pytest.raises(ConnectionRefusedError):
            server.connect()


def _until(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < end


def test_the_grace_has_an_end(run: Path) -> None:
    with served(run, "--grace", "0.5") as server:
        half = server.connect()
        half.sendall(REQUEST[:-10])
        started = server.connect()
        started.sendall(b"POST /pre")
        assert ask(server, path="/v2", method="GET")[0] == 200
        assert server.stop() == 0
        for connection in (half, started):
            assert not connection.recv(65_536).startswith(b"HTTP/1.1 200")
            connection.close()


def test_a_second_signal_ends_it_at_once(run: Path) -> None:
    with served(run, "--grace", "600", "--read-timeout", "600") as server:
        half = server.connect()
        half.sendall(REQUEST[:-10])
        assert ask(server, path="/v2", method="GET")[0] == 200
        os.kill(server.pid, signal.SIGTERM)
        _until(lambda: ask(server, path="/v2/health/ready", method="GET")[0] == 503)
        assert server.stop() == 0
        half.close()


# --- what is refused before it begins


def _error(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, str]]:
    code = main(["serve", *map(str, words), "--json"])
    return code, json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize(
    ("words", "code", "error", "got"),
    [
        (["--host", "0.0.0.0"], 2, "serve-token-needed", "--host 0.0.0.0 without a token"),
        (["--token", "0123456789abcdef", "--no-token"], 2, "serve-token-both", "both"),
        (["--token", "short"], 2, "serve-token-weak", "5 characters"),
        (["--token", "0123456789 abcdef"], 2, "serve-token-weak", "17 characters"),
        (["--host", "192.0.2.1", "--no-token"], 4, "serve-address", "192.0.2.1: Cannot assign requested address"),
        *(
            (["--allow-origin", given], 2, "serve-allow-origin", given)
            for given in ("nonsense", "null", "*", "example.org", "ftp://a", "https://a/b", "https://", "https://a:b")
        ),
        (["--name", "첫 실행"], 2, "serve-name", "첫 실행"),
        (["--name", "a/b"], 2, "serve-name", "a/b"),
        (["--port", "70000"], 2, "argument-value", "70000"),
        (["--deadline", "0"], 2, "argument-value", "0"),
        (["--grace", "nan"], 2, "argument-value", "nan"),
    ],
)
def test_what_cannot_be_served(
    run: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, error: str, got: str
) -> None:
    answered, found = _error(capsys, run, *words)
    assert (answered, found["code"], found["got"]) == (code, error, got)


def test_no_run_and_no_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _error(capsys, tmp_path, "--port", 0)[1]["code"] == "run-missing"
    for nobody in ("a" * 70, "nobody.invalid"):
        code, found = _error(capsys, tmp_path, "--host", nobody, "--no-token")
        assert (code, found["code"]) == (4, "serve-address")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, found = _error(capsys, tmp_path, "--port", port)
    assert (code, found["code"], found["got"]) == (4, "serve-port", f"{port}: Address already in use")


@pytest.mark.no_cover
def test_odd_words_at_every_option_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With a run that is not there, so that nothing is served whatever passes."""
    command = typer.main.get_command(app).commands["serve"]
    options = sorted({name for one in command.params for name in one.opts if name.startswith("--")} - {"--help"})
    assert len(options) > 15
    for option in options:
        for word in ("a\x00b", "\ud800\x1b[2J\n", "nan"):
            code = main(["serve", "none", "--port", "0", option, word, "--json"])
            out, err = capsys.readouterr()
            assert code in (2, 3, 4), (option, word, err)
            assert "Traceback" not in err
            assert set(json.loads(out)) == {"error"}


def test_a_token_of_the_surroundings_counts_and_can_be_refused(run: Path) -> None:
    token = {"SUMTOONE_TOKEN": "0123456789abcdef"}
    with served(run, env=token) as server:
        assert server.url.endswith("/?token=0123456789abcdef")
        assert ask_json(server, PIXELS)[0] == 401
    with served(run, "--no-token", "--name", "digit-reader", env=token) as server:
        assert server.model == "digit-reader"
        assert ask_json(server, PIXELS)[0] == 200


def test_everywhere_is_no_address_to_go_to(run: Path) -> None:
    """0.0.0.0 is all addresses of this machine: a browser here needs one of them, and one elsewhere another."""
    with served(run, "--host", "0.0.0.0", "--token", "0123456789abcdef") as server:
        assert server.url == f"http://127.0.0.1:{server.port}/?token=0123456789abcdef"
        assert ask(server, path="/v2/health/live", method="GET")[0] == 200
    ready, elsewhere = server.said.splitlines()
    assert server.url in ready
    address = r"([0-9.]+|ADDRESS-OF-THIS-MACHINE)"
    found = re.fullmatch(rf"From another machine: http://{address}:{server.port}/\?token=0123456789abcdef", elsewhere)
    assert found is not None
    assert found[1] != "0.0.0.0"


@pytest.mark.measured
def test_without_the_extra_it_says_what_to_install(run: Path) -> None:
    program = """
import sys
from importlib.machinery import PathFinder
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("uvicorn", "orjson"):
            return None
        return PathFinder.find_spec(name, path, target)
sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not PathFinder] + [Without()]
from sumtoone.cli import main
sys.exit(main(["serve", sys.argv[1]]))
"""
    done = subprocess.run([sys.executable, "-c", program, run], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "sumtoone: What serves a run is not installed [serve-extra]\n"
        "  expected: the packages of the extra [serve]\n"
        "  got: missing: orjson, uvicorn\n"
        "  try: pip install 'sumtoone[serve]'\n"
    )


def test_open_shows_the_page_in_the_browser(run: Path, tmp_path: Path) -> None:
    """BROWSER names a program, as :mod:`webbrowser` has it: here one that writes down what it is given."""
    browser, shown = tmp_path / "browser", tmp_path / "shown"
    browser.write_text(f'#!/bin/sh\necho "$1" > {shown}.part && mv {shown}.part {shown}\n')
    browser.chmod(0o755)
    with served(run, "--open", env={"BROWSER": f"{browser} %s"}) as server:
        _until(shown.exists)
        assert shown.read_text() == server.url + "\n"


def test_where_no_browser_can_be_started_it_says_so(run: Path) -> None:
    environment = {**os.environ, **warm.measuring, "BROWSER": "", "PATH": ""}
    command = [sys.executable, "-m", "sumtoone", "serve", str(run), "--port", "0", "--open", "--quiet", "--lang", "ko"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        # Where nothing is said, it ends, and so does the wait for a line.
        watch = threading.Timer(60, server.kill)
        watch.start()
        url = server.stdout.readline().strip()
        # It is said from a thread, whenever the system has answered.
        said = server.stderr.readline()
        server.terminate()
        watch.cancel()
    assert said == f"여기서는 브라우저를 시작할 수 없습니다. 이 주소를 브라우저에서 여세요: {url}\n"
    assert server.returncode == 0


def test_a_name_that_no_address_can_hold_is_made_one() -> None:
    from sumtoone.serving.limits import url_name

    made = ["a-b-c", "run", "model", "model", "model", "premiere"]
    assert [url_name(name) for name in ("a b/c", "run 첫", "첫 실행", "..", "★", "première")] == made


def test_an_origin_is_what_browsers_send() -> None:
    from sumtoone.serving.limits import Guard, origin

    given = ["https://example.org/", "HTTPS://Example.org:443", "http://a:8080", "http://[::1]:80"]
    assert [origin(one) for one in given] == [
        "https://example.org",
        "https://example.org",
        "http://a:8080",
        "http://[::1]",
    ]
    found = origin("https://example.org:443/")
    assert found is not None
    Guard(origins=(found,)).check("POST", "/predict", {b"host": b"localhost", b"origin": b"https://example.org"})


def test_help_shows_every_limit(capsys: pytest.CaptureFixture[str]) -> None:
    done = warm.run(None, "serve", "--help")
    assert done.returncode == 0
    for name in ("body", "rows", "pixels", "connections"):
        assert f"--max-{name}" in done.stdout
